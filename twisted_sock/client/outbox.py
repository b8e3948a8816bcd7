"""What a client has to say while it cannot: kept in order, and bounded.

When the outbox is full, the policy decides: the new line *waits* outside for a place, the new one
is refused (*fail*), or the oldest is *dropped* for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from twisted_sock.errors import NotSent


class Entry(Protocol):
    """Something to be sent."""

    line: str

    def placed(self) -> None:
        """It has a place in the outbox, or needs none."""


E = TypeVar("E", bound=Entry)


class Outbox(Generic[E]):
    """Entries in the order in which they will be sent.

    Args:
        size: places; 0 for any number.
        overflow: "wait", "fail" or "drop".
        dropped: told of an entry that lost its place to a newer one.
    """

    def __init__(self, size: int, overflow: str, dropped: Callable[[E], None]) -> None:
        self._size = size
        self._overflow = overflow
        self._dropped = dropped
        self._placed: deque[E] = deque()
        self._waiting: deque[E] = deque()  # for a place

    def __len__(self) -> int:
        return len(self._placed)

    def __iter__(self) -> Iterator[E]:
        """All entries, the oldest first, with those that wait for a place."""
        return iter([*self._placed, *self._waiting])

    def first(self) -> E:
        """The entry to send next."""
        return self._placed[0]

    def put(self, entry: E) -> None:
        """Give an entry the last place.

        Raises:
            NotSent: there is none, and the policy is to fail.
        """
        if 0 < self._size <= len(self._placed):
            if self._overflow == "wait":
                self._waiting.append(entry)
                return
            if self._overflow == "fail":
                raise NotSent(entry.line, "the outbox is full")
            self._dropped(self._placed.popleft())
        self._placed.append(entry)
        entry.placed()

    def pop(self) -> E:
        """Take the entry to send next; `move_up` when it is sent."""
        return self._placed.popleft()

    def remove(self, entry: E) -> None:
        """Take an entry out, wherever it is."""
        if entry in self._placed:
            self._placed.remove(entry)
            self.move_up()
        elif entry in self._waiting:
            self._waiting.remove(entry)

    def clear(self) -> list[E]:
        """Take all entries out."""
        entries = list(self)
        self._placed.clear()
        self._waiting.clear()
        return entries

    def move_up(self) -> None:
        """Give free places to those that wait for one."""
        while self._waiting and len(self._placed) < self._size:
            entry = self._waiting.popleft()
            self._placed.append(entry)
            entry.placed()
