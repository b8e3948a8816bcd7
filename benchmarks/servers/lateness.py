"""How late the timers of a reactor fire, noted in a server while it serves."""

from __future__ import annotations

import json
import time
from typing import Any

from benchmarks.results import LATE_MOST, LATE_P50, LATE_P99, RATE, spread

#: Seconds from one firing of the timer to the next, were it never late.
EVERY = 0.01


class Lateness:
    """A timer that notes how late it is, each time. It begins at the first report.

    Args:
        reactor: whose timer.

    Attributes:
        lines: answered since the last report; the server counts them.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._late: list[float] = []
        self._due = 0.0  # not begun
        self._began = 0.0
        self.lines = 0

    def report(self) -> str:
        """How it went since the last report, as one line of JSON; then begin anew."""
        now = time.monotonic()
        if not self._due:
            self._set()
        elif self._due < now:  # as late as this already, and not fired yet
            self._late.append(now - self._due)
        p50, p99, most = spread(self._late)
        rate = self.lines / (now - self._began)
        self._late, self._began, self.lines = [], now, 0
        return json.dumps({LATE_P50: p50, LATE_P99: p99, LATE_MOST: most, RATE: rate})

    def _set(self) -> None:
        self._due = time.monotonic() + EVERY
        self._reactor.callLater(EVERY, self._fired)

    def _fired(self) -> None:
        self._late.append(time.monotonic() - self._due)
        self._set()
