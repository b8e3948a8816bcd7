"""Lines that answered nothing, kept until somebody reads them; then the oldest go first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed


class Pushes:
    """A bounded queue of lines, and an async iterator over them.

    Each line goes to one reader. When nobody reads and the queue is full, the oldest is dropped.

    Args:
        most: lines kept; 0 for any number.
        dropped: told of each line dropped; with True for the first since one was read.
    """

    def __init__(self, most: int, dropped: Callable[[bool], None]) -> None:
        self._most = most
        self._dropped = dropped
        self._lines: deque[str] = deque()
        self._readers: deque[Deferred[str]] = deque()
        self._dropping = False
        self._over = False

    def put(self, line: str) -> None:
        """A line came."""
        if self._readers:
            self._readers.popleft().callback(line)
            return
        self._lines.append(line)
        if 0 < self._most < len(self._lines):
            self._lines.popleft()
            first, self._dropping = not self._dropping, True
            self._dropped(first)

    def get(self) -> Deferred[str]:
        """The next line.

        Returns:
            Fires with it; fails with `StopAsyncIteration` when no more come.
        """
        if self._lines:
            self._dropping = False
            return succeed(self._lines.popleft())
        if self._over:
            return fail(StopAsyncIteration())
        reader: Deferred[str] = Deferred(self._readers.remove)
        self._readers.append(reader)
        return reader

    def end(self) -> None:
        """No more come: those that are there can still be read."""
        self._over = True
        while self._readers:
            self._readers.popleft().errback(StopAsyncIteration())

    def take(self) -> list[str]:
        """Take out all that are there."""
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def __aiter__(self) -> Pushes:
        return self

    def __anext__(self) -> Deferred[str]:
        return self.get()
