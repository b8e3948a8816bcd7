"""Many lazy timers on one pending call.

Every connection has deadlines, and nearly none is ever reached. A timer of the reactor for each
would cost more memory than the rest of the connection and work at every line. Here a connection
only keeps stamps of what happened when; from time to time it is *checked*, and says itself when
to be checked again. Connections that are due at about the same time share one bucket, and all
buckets share one pending call.

A check is never early and at most 1/64 of its delay late.
"""

from __future__ import annotations

import heapq
import math
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

AFTER_FAILURE = 1.0  # seconds until something whose check failed is checked again
SOONEST = 0.001  # seconds: a check that asks for an earlier one would never let go


class Watched(Protocol):
    """Something with deadlines.

    Attributes:
        bucket: where `Deadlines` keeps it; 0 while it is not watched. Its own to write.
    """

    bucket: float

    def check(self, now: float) -> float:
        """Act on what is due, and return when to be checked again; `math.inf` for never.

        Args:
            now: the clock's seconds.
        """


class Deadlines:
    """Checks watched things when they asked to be.

    Args:
        clock: tells the time and keeps the one pending call.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._buckets: dict[float, dict[Watched, None]] = {}
        self._times: list[float] = []  # a heap of the buckets' times
        self._call: IDelayedCall | None = None
        self._watched = 0

    def watch(self, item: Watched, when: float) -> None:
        """Check `item` at `when`, in the clock's seconds, instead of when it was to be checked."""
        self.forget(item)
        if math.isinf(when):
            return
        now = self._clock.seconds()
        when = max(when, now + SOONEST)
        # Buckets are a power of two wide, at most 1/64 of the delay.
        delay = when - now
        width = 2.0 ** (math.frexp(delay)[1] - 7)
        time = math.ceil(when / width) * width
        item.bucket = time
        self._watched += 1
        if time not in self._buckets:
            self._buckets[time] = {}
            heapq.heappush(self._times, time)
        self._buckets[time][item] = None
        self._arrange()

    def forget(self, item: Watched) -> None:
        """Check `item` no more."""
        if not item.bucket:
            return
        bucket = self._buckets.get(item.bucket)
        if bucket is not None:
            del bucket[item]
        item.bucket = 0.0
        self._watched -= 1
        if not self._watched:
            self._rest()

    def _arrange(self) -> None:
        """See that the pending call comes in time for the first bucket."""
        when = self._times[0]
        if self._call is not None and self._call.getTime() <= when:
            return
        delay = max(0.0, when - self._clock.seconds())
        if self._call is not None:
            self._call.reset(delay)
        else:
            self._call = self._clock.callLater(delay, self._ring)

    def _ring(self) -> None:
        """Check everything that is due."""
        self._call = None
        now = self._clock.seconds()
        while self._times and self._times[0] <= now:
            time = heapq.heappop(self._times)
            for item in self._buckets.pop(time):
                if item.bucket == time:  # not forgotten by the check of another
                    self.forget(item)
                    self.watch(item, self._check(item, now))
        if self._watched:
            self._arrange()

    def _check(self, item: Watched, now: float) -> float:
        """Check one item; a check that fails must not cost the others theirs."""
        try:
            return item.check(now)
        except Exception:
            self.log.failure("the check of a deadline failed")
            return now + AFTER_FAILURE

    def _rest(self) -> None:
        """Nothing is watched any more: keep no call pending."""
        self._buckets.clear()
        self._times.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None
