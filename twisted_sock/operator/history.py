"""What is kept of a conversation: how many lines were said, and the last of them.

Most lines are answered at once with one line, while nobody watches. Such exchanges are kept some
together as they are, and become `Said` only when somebody asks for them: they shall cost next to
nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

#: What is told of a conversation: the last so many lines, of so many characters together.
LINES = 200
CHARACTERS = 65536

#: What a line counts besides its characters until it is looked whether too many are kept.
EACH = CHARACTERS // LINES


class Said(NamedTuple):
    """A line that was said.

    Args:
        way: "in" from the peer, "out" to it.
        text: the line.
        at: when, in seconds since 1970.
        by: "operator" if somebody who is attached has said it; else empty.
    """

    way: str
    text: str
    at: float
    by: str = ""


#: Lines of the peer that were each answered at once with one line: when, the lines, the answers,
#: both joined by newlines. A few long texts are kept sooner than many short ones.
Exchanges = tuple[float, str, str]

#: What is kept together: how many characters and lines it is, and what was said.
Kept = tuple[int, int, Said | Exchanges]


class History:
    """What was said in one conversation."""

    __slots__ = ("_in", "_kept", "_out", "_room")

    def __init__(self) -> None:
        self._in = self._out = 0
        self._kept: deque[Kept] = deque()
        self._room = CHARACTERS

    def add(self, said: Said) -> None:
        """A line was said."""
        if said.way == "in":
            self._in += 1
        else:
            self._out += 1
        size = len(said.text)
        self._kept.append((size, 1, said))
        self._room -= EACH + size
        if self._room < 0:
            self._trim()

    def add_all(self, at: float, asked: list[str], replies: list[str]) -> None:
        """Lines were said, and each was answered at once with one line.

        Args:
            at: when, in seconds since 1970.
            asked: the lines.
            replies: the answers, one for each.
        """
        number = len(asked)
        lines, answers = "\n".join(asked), "\n".join(replies)
        if lines.count("\n") + answers.count("\n") != 2 * (number - 1):
            self._add_each(at, asked, replies)  # some of them have more than one line
            return
        self._in += number
        self._out += number
        size = len(lines) + len(answers)
        self._kept.append((size, 2 * number, (at, lines, answers)))
        self._room -= 2 * number * EACH + size
        if self._room < 0:
            self._trim()

    def _add_each(self, at: float, asked: list[str], replies: list[str]) -> None:
        for line, reply in zip(asked, replies, strict=True):
            self.add(Said("in", line, at))
            self.add(Said("out", reply, at))

    @property
    def counts(self) -> dict[str, int]:
        """How many lines went "in" and "out"."""
        return {"in": self._in, "out": self._out}

    def last(self) -> list[Said]:
        """The last lines; of one that is longer than all together may be, its beginning."""
        lines = list(chain.from_iterable(_lines(said) for _, _, said in self._kept))[-LINES:]
        room = CHARACTERS
        last: list[Said] = []
        for said in reversed(lines):
            fits = len(said.text) <= room
            if not (fits or (room and len(said.text) > CHARACTERS)):
                break
            last.append(said._replace(text=said.text[:room]))
            room -= len(last[-1].text)
        return last[::-1]

    def _trim(self) -> None:
        """Forget what is not among the last lines any more; that is seen now and then only."""
        left, room, few = 0, CHARACTERS, LINES
        for size, number, _ in reversed(self._kept):
            left += 1
            room -= size
            few -= number
            if room <= 0 or few <= 0:
                break
        for _ in range(len(self._kept) - left):
            self._kept.popleft()
        self._room = CHARACTERS


def _lines(said: Said | Exchanges) -> Iterator[Said]:
    """Each line by itself."""
    if isinstance(said, Said):
        yield said
        return
    at, lines, answers = said
    for line, reply in zip(lines.split("\n"), answers.split("\n"), strict=True):
        yield Said("in", line, at)
        yield Said("out", reply, at)


def said_fields(said: Said) -> dict[str, Any]:
    """A line that was said, as watchers and histories have it."""
    by = {"by": said.by} if said.by else {}
    return {"way": said.way, "text": said.text, "at": round(said.at, 6), **by}
