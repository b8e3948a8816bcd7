"""When to connect again: full jitter under a ceiling that is really one.

Each wait is drawn evenly between nothing and a ceiling, so that clients that lost the same server
come back spread out ("full jitter", https://aws.amazon.com/blogs/architecture/
exponential-backoff-and-jitter/). The ceiling grows with every failure up to `max_delay` and falls
back to the first only after a connection that was of use for `healthy_after` seconds: a server
that accepts and closes is a failing one.
"""

from __future__ import annotations

import random as random_numbers
from collections.abc import Callable

from twisted_sock.settings import Retry

#: Seconds; the ceiling when none is set, as a wait without end would be no wait.
LONGEST = 1e9


class Backoff:
    """Counts failures and says how long to wait after each.

    Args:
        retry: the rule.
        now: tells the time in seconds.
        random: gives numbers from 0 up to 1, evenly; `random.random` when left out.

    Attributes:
        failures: how many there were in a row.
    """

    def __init__(
        self, retry: Retry, now: Callable[[], float], random: Callable[[], float] | None = None
    ) -> None:
        self.retry = retry
        self.failures = 0
        self._now = now
        self._random = random or random_numbers.random
        self._ceiling = self._first = min(retry.first_delay, retry.max_delay or LONGEST)
        self._of_use_since: float | None = None
        self._failing_since = 0.0

    def of_use(self) -> None:
        """A connection is ready to be used."""
        self._of_use_since = self._now()

    def start_over(self) -> None:
        """Forget all failures."""
        self.failures = 0
        self._ceiling = self._first
        self._of_use_since = None

    def failed(self) -> float | None:
        """An attempt has failed, or a connection has ended.

        Returns:
            Seconds to wait before the next attempt; None to give up.
        """
        now = self._now()
        since, self._of_use_since = self._of_use_since, None
        if since is not None and now - since >= self.retry.healthy_after:
            self.start_over()
        if not self.failures:
            self._failing_since = now
        self.failures += 1
        delay = self._random() * self._ceiling
        highest = self.retry.max_delay or LONGEST
        self._ceiling = min(self._ceiling * self.retry.factor, highest)
        return None if self._hopeless(now + delay) else delay

    def _hopeless(self, next_attempt: float) -> bool:
        """Whether the rule for giving up forbids an attempt at that time."""
        retry = self.retry
        if 0 < retry.give_up_attempts <= self.failures:
            return True
        return 0 < retry.give_up_after < next_attempt - self._failing_since
