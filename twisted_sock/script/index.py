"""Finds what is for a line among many, without asking each.

Whole lines are looked up. The others stand in a tree that is walked along the line, and only
where what is known of their beginnings differs: eight rules for `GET 1 ...` to `GET 8 ...` are
told apart by one character.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from twisted_sock.script.matching import Matcher


class Matching(Protocol):
    """Something with a matcher: a rule, a fault."""

    @property
    def matcher(self) -> Matcher:
        """Says which lines it is for."""


Matched = TypeVar("Matched", bound=Matching)


class Index(Generic[Matched]):
    """Some of them in their order, found by the line.

    Args:
        each: those that concern one state and one kind of peer.
    """

    __slots__ = ("_by_line", "_place", "_tree")

    def __init__(self, each: Sequence[Matched]) -> None:
        self._place = {id(one): place for place, one in enumerate(each)}
        self._by_line: dict[str, list[Matched]] = {}
        others: list[Matched] = []
        for one in each:
            exact = one.matcher.match.exact
            if exact is None:
                others.append(one)
            else:
                self._by_line.setdefault(exact, []).append(one)
        self._tree = Branch(others, 0)

    def candidates(self, line: str) -> Sequence[Matched]:
        """Those that may match a line, in their order; no other does."""
        branch = self._tree
        while (place := branch.place) >= 0:
            char = line[place : place + 1]
            branch = branch.branches.get(char) or branch.grown(char)
        few = branch.each
        exact = self._by_line.get(line)
        if exact is None:
            return few
        return sorted([*exact, *few], key=self._placed) if few else exact

    def _placed(self, one: Matched) -> int:
        return self._place[id(one)]


class Branch(Generic[Matched]):
    """Those that may match a line that begins in a certain way.

    Args:
        each: them, in their order.
        known: how many characters of the beginning are known.

    Attributes:
        place: which character tells more of them apart; -1 when none does.
        branches: what is known so far, by that character.
    """

    __slots__ = ("_named", "_other", "branches", "each", "place")

    def __init__(self, each: list[Matched], known: int) -> None:
        self.each = each
        self.place, self._named = _where_they_differ(each, known)
        self.branches: dict[str, Branch[Matched]] = {}
        self._other: Branch[Matched] | None = None  # for all characters that none has to have

    def grown(self, char: str) -> Branch[Matched]:
        """The branch for a character; made when it is needed first."""
        if char in self._named:
            self.branches[char] = branch = self._grow(char)
            return branch
        if self._other is None:
            self._other = self._grow(char)
        return self._other

    def _grow(self, char: str) -> Branch[Matched]:
        may = (one.matcher.characters(self.place) for one in self.each)
        each = [one for one, chars in zip(self.each, may, strict=True) if char in (chars or char)]
        return Branch(each, self.place + 1)


def _where_they_differ(each: Sequence[Matching], known: int) -> tuple[int, frozenset[str]]:
    """The first place where not all have to have the same character, and those that some have.

    Args:
        each: them.
        known: the first place that can be.
    """
    longest = max((len(one.matcher.prefix) for one in each), default=0)
    for place in range(known, max(longest, known + 1)):
        named = frozenset("").union(*(one.matcher.characters(place) for one in each))
        if len(named) > 1:
            return place, named
    return -1, frozenset()
