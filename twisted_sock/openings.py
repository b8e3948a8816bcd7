"""Connections whose conversation has yet to begin: while TLS shakes hands, a PROXY header or the
head of an HTTP request is awaited.

Such a connection has told us nothing and may never. Each has a deadline, and there are only so
many at once: one more drops the oldest, which has had the longest time to show that it is meant
in earnest. So a flood of them keeps nobody else out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from twisted_sock.deadlines import Deadlines
from twisted_sock.settings import Limits

#: Why one is given up when the server stops.
STOPPING = "the server is stopping"


class Opening(ABC):
    """A connection whose conversation has yet to begin.

    Attributes:
        bucket: where `Deadlines` keeps it; not for others to touch.
    """

    bucket = 0.0

    @abstractmethod
    def give_up(self, why: str) -> None:
        """End the connection: it took too long, or must make room. Never raises."""

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection now."""

    def check(self, now: float) -> float:
        """The deadline has come (see `deadlines.Watched`)."""
        self.give_up("it took too long")
        return math.inf


class Openings:
    """The openings of one factory.

    Args:
        now: tells the time, in the clock's seconds.
        deadlines: tells when one took too long.
        limits: how long they may take, and how many there may be.
        ended: called when the last of those is gone that were there at `end`.

    Attributes:
        ending: those of them that are still there.
    """

    def __init__(
        self,
        now: Callable[[], float],
        deadlines: Deadlines,
        limits: Limits,
        ended: Callable[[], None],
    ) -> None:
        self._now = now
        self._deadlines = deadlines
        self._limits = limits
        self._ended = ended
        self._openings: dict[Opening, None] = {}  # that are watched, the oldest first
        self._present: set[Opening] = set()  # these, and others that are no longer
        self.ending: set[Opening] = set()

    def begin(self, opening: Opening, timeout: float | None = None) -> None:
        """Watch a connection until `done`.

        Args:
            opening: the connection; one that is watched already begins anew.
            timeout: the seconds that it has, 0 for ever; those of the limits when left out.
        """
        self.done(opening)
        if opening in self.ending:
            opening.give_up(STOPPING)
            return
        most = self._limits.max_handshakes
        if 0 < most <= len(self._openings):
            oldest = next(iter(self._openings))
            self.done(oldest)
            oldest.give_up("there are too many like it")
        self._openings[opening] = None
        self._present.add(opening)
        seconds = self._limits.handshake_timeout if timeout is None else timeout
        self._deadlines.watch(opening, self._now() + (seconds or math.inf))

    def done(self, opening: Opening) -> None:
        """What was awaited is there, or will not come; watch it no more."""
        if self._openings.pop(opening, self) is None:
            self._deadlines.forget(opening)

    def gone(self, opening: Opening) -> None:
        """Its conversation has taken over, or its connection is lost."""
        self.done(opening)
        self._present.discard(opening)
        if opening in self.ending:
            self.ending.discard(opening)
            if not self.ending:
                self._ended()

    def end(self) -> None:
        """End them all; `ended` is called when they are gone."""
        self.ending = set(self._present)
        while self._openings:
            opening = next(iter(self._openings))
            self.done(opening)
            opening.give_up(STOPPING)

    def abort(self) -> None:
        """Drop those that are ending."""
        for opening in list(self.ending):
            opening.abort()

    def __len__(self) -> int:
        return len(self._openings)
