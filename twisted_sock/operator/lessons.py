"""What was answered by hand while conversations were held; kept to be saved, up to a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

#: Characters that are kept, and what each line counts besides its own.
CHARACTERS = 1 << 22
EACH = 100


@dataclass(slots=True, eq=False)
class Taught:
    """What somebody has answered.

    Args:
        line: to which line.
        answer: the lines of the answer.
        kept: whether it is kept; what is not is added to no more.
    """

    line: str
    answer: list[str]
    kept: bool = True

    @property
    def size(self) -> int:
        """What it counts."""
        return sum(len(line) + EACH for line in (self.line, *self.answer))


class Lessons:
    """What was answered, the first first; the first are forgotten when it is too much."""

    def __init__(self) -> None:
        self._kept: deque[Taught] = deque()
        self._size = 0

    def __iter__(self) -> Iterator[Taught]:
        return iter(self._kept)

    def add(self, line: str, answer: str) -> Taught:
        """Keep what was answered to a line."""
        taught = Taught(line, [answer])
        self._kept.append(taught)
        self._count(taught.size)
        return taught

    def more(self, taught: Taught, text: str) -> None:
        """One more line of an answer."""
        if taught.kept:
            taught.answer.append(text)
            self._count(len(text) + EACH)

    def _count(self, size: int) -> None:
        self._size += size
        while self._size > CHARACTERS:
            first = self._kept.popleft()
            first.kept = False
            self._size -= first.size
