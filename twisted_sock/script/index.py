"""Finds what is for a line among many, without asking each.

Whole lines are looked up. The others stand in a tree that is walked along the line, a piece at a
time: rules for `GET 1 ...`, `GET 2 ...` and `QUIT...` are told apart by the first four characters,
then by the next two. Beginnings of the length that most have are looked up, too, once the way
through the tree is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from twisted_sock.script.matching import Matcher


class Matching(Protocol):
    """Something with a matcher, such as a rule."""

    @property
    def matcher(self) -> Matcher:
        """Says which lines it is for."""


Matched = TypeVar("Matched", bound=Matching)

#: Beginnings that are looked up, and characters that each may have.
MOST_HEADS = 4096
LONGEST_HEAD = 32

#: Places that the branches of a tree may have together, 16 bytes each; then it is begun anew. Each
#: branch has a place for each of those that are for any line, so many of them fill it soon.
MOST_PLACES = 500_000

#: One of them, and its place in the order of all.
Placed = tuple[int, Matched]


class Index(Generic[Matched]):
    """Some of them in their order, found by the line.

    Args:
        each: those that concern one state and one kind of peer.
        may_be_alone: whether one may be among `alone`.

    Attributes:
        usual: a length that many beginnings have.
        alone: by a beginning of that length, the only one that can be for lines that begin so,
            and that is for them if its `Matcher.look` says so; filled as they are found.
    """

    __slots__ = (
        "_by_line",
        "_may_be_alone",
        "_others",
        "_places",
        "_tree",
        "_whole_heads",
        "alone",
        "usual",
    )

    def __init__(self, each: Iterable[Matched], may_be_alone: Callable[[Matched], bool]) -> None:
        self._may_be_alone = may_be_alone
        self._by_line: dict[str, list[Placed[Matched]]] = {}
        others: list[Placed[Matched]] = []
        for place, one in enumerate(each):
            exact = one.matcher.match.exact
            fellows = others if exact is None else self._by_line.setdefault(exact, [])
            fellows.append((place, one))
        self._others = others
        self._places = 0
        self._tree = Branch(others, 0)
        self.usual = _usual_length(head for _, one in others for head in one.matcher.heads)
        self.alone: dict[str, Matched] = {}
        self._whole_heads = {line[: self.usual] for line in self._by_line}

    def candidates(self, line: str) -> Sequence[Matched]:
        """Those that may match a line, in their order; no other does.

        The line is what they say it has to be, or begins so (see `Matcher.look`).
        """
        branch = self._tree
        while branch.end:
            piece = line[branch.start : branch.end]
            branch = branch.branches.get(piece) or self._grown(branch, piece)
        if line in self._by_line:
            return _in_order([*self._by_line[line], *branch.placed])
        if len(branch.each) == 1 and branch.start <= self.usual:
            self._note(line[: self.usual], branch.each[0])
        return branch.each

    def _grown(self, branch: Branch[Matched], piece: str) -> Branch[Matched]:
        """The branch of another that was not asked for yet."""
        grown = branch.grown(piece)
        if piece in branch.branches:
            self._places += len(grown.placed)
            if self._places > MOST_PLACES:  # this walk ends in the old tree
                self._places = 0
                self._tree = Branch(self._others, 0)
        return grown

    def _note(self, head: str, one: Matched) -> None:
        """Of those that are no whole lines, only this is for lines that begin so."""
        if head in self._whole_heads or not self._may_be_alone(one):
            return
        if len(self.alone) >= MOST_HEADS:  # other lines are said than before
            self.alone.clear()
        self.alone[head] = one


def _usual_length(heads: Iterable[str]) -> int:
    lengths = Counter(len(head) for head in heads if len(head) <= LONGEST_HEAD)
    return max(lengths, key=lengths.__getitem__, default=0)


class Branch(Generic[Matched]):
    """Those that may match a line that begins in a certain way.

    Args:
        placed: them, in their order.
        start: how many characters of the beginning are known.

    Attributes:
        each: the same without their places.
        start, end: which piece of a line tells more of them apart; the end is 0 if none does.
        branches: what is known so far, by that piece.
    """

    __slots__ = ("_named", "_other", "_rest", "branches", "each", "end", "placed", "start")

    def __init__(self, placed: list[Placed[Matched]], start: int) -> None:
        self.placed = placed
        self.each = _in_order(placed)
        self.start = start
        self.end = min((len(head) for one in self.each for head in _beyond(one, start)), default=0)
        self.branches: dict[str, Branch[Matched]] = {}
        self._other: Branch[Matched] | None = None  # for all pieces that none has to have
        self._named: dict[str, list[Placed[Matched]]] = {}  # those that have to have a piece
        self._rest: list[Placed[Matched]] = []
        if self.end:
            self._tell_apart()

    def grown(self, piece: str) -> Branch[Matched]:
        """The branch for a piece; made when it is needed first."""
        if piece in self._named:
            placed = sorted([*self._named[piece], *self._rest], key=_place)
            self.branches[piece] = branch = Branch(placed, self.end)
            return branch
        if self._other is None:
            self._other = Branch(self._rest, self.end)
        return self._other

    def _tell_apart(self) -> None:
        for placed in self.placed:
            heads = _beyond(placed[1], self.start)
            for piece in {head[self.start : self.end] for head in heads}:
                self._named.setdefault(piece, []).append(placed)
            if not heads:
                self._rest.append(placed)


def _beyond(one: Matching, start: int) -> list[str]:
    """How lines for it begin, where more of that is known than some characters."""
    return [head for head in one.matcher.heads if len(head) > start]


def _in_order(placed: list[Placed[Matched]]) -> list[Matched]:
    return [one for _, one in sorted(placed, key=_place)]


def _place(placed: Placed[Matching]) -> int:
    return placed[0]
