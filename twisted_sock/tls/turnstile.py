"""Few at a time: what costs much must not keep everybody else waiting.

The arithmetic of one TLS handshake takes as long as some hundred lines. Of those that come
together only a few are gone on with in a turn of the reactor; the others wait in a queue, and
between the turns everybody else is served.
"""

from __future__ import annotations

from typing import Any, Protocol

#: How many go through in one turn of the reactor.
AT_ONCE = 2


class Waiting(Protocol):
    """Somebody in the queue."""

    def proceed(self) -> None:
        """It is its turn. Never raises."""


class Turnstile:
    """Lets a few through in each turn of the reactor.

    Args:
        clock: the reactor.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._left = AT_ONCE
        self._queue: dict[Waiting, None] = {}
        self._turning = False

    def enter(self, who: Waiting) -> bool:
        """Go through now, or queue up.

        Returns:
            Whether it may go on now; else its `proceed` is called later.
        """
        self._go_on_turning()
        if not self._left:
            self._queue[who] = None
            return False
        self._left -= 1
        return True

    def leave(self, who: Waiting) -> None:
        """Queue no longer."""
        self._queue.pop(who, None)

    def _go_on_turning(self) -> None:
        if not self._turning:
            self._turning = True
            self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        """The reactor has its next turn."""
        self._turning = False
        self._left = AT_ONCE
        while self._queue and self._left:
            self._go_on_turning()
            self._left -= 1
            who = next(iter(self._queue))
            del self._queue[who]
            who.proceed()
