"""Is anybody there? A question to a silent server, and how long it may stay silent. Pure."""

from __future__ import annotations

from collections.abc import Hashable

from twisted_sock.client.requests import NEVER, Request
from twisted_sock.metrics import Counters
from twisted_sock.settings import Requests

#: How often in the time of silence it is looked whether anything came.
LOOKS = 4


class Ping(Request):
    """A question whose answer nobody waits for."""

    __slots__ = ()

    def __init__(self, line: str, key: Hashable) -> None:
        super().__init__(line, key, NEVER)
        self.answer = None


class Dead(Exception):
    """Nobody is at the other end."""


class Heartbeat:
    """Asks a server that has said nothing for a while, to hear whether it is there.

    Whatever comes is a sign of life. That something came is only looked for now and then, so
    the question is asked up to a quarter later than it could be.

    Args:
        line: the question; the server must answer it.
        key: what the answer will be known by.
        settings: how long is too long.
        counters: those of this client alone; they tell whether something came.

    Attributes:
        next_look: when to look again, in the clock's seconds.
    """

    def __init__(self, line: str, key: Hashable, settings: Requests, counters: Counters) -> None:
        self.next_look = NEVER
        self._line = line
        self._key = key
        self._after = settings.ping_after or NEVER
        self._timeout = settings.ping_timeout or NEVER
        self._counters = counters
        self._seen = 0
        self._heard_at = 0.0
        self._pinged_at: float | None = None

    def start(self, now: float) -> None:
        """The connection is ready."""
        self._hear(now)
        self._plan(now)

    def check(self, now: float) -> Ping | None:
        """See whether anything came.

        Returns:
            The question, if it is time to ask it.

        Raises:
            Dead: it was asked, and nothing came in time.
        """
        ping = None
        if now < self.next_look:
            return ping
        if self._counters.bytes_in != self._seen:
            self._hear(now)
        elif self._pinged_at is not None:
            raise Dead
        elif now >= self._heard_at + self._after:
            self._pinged_at = now
            ping = Ping(self._line, self._key)
        self._plan(now)
        return ping

    def _hear(self, now: float) -> None:
        self._seen = self._counters.bytes_in
        self._heard_at = now
        self._pinged_at = None

    def _plan(self, now: float) -> None:
        if self._pinged_at is not None:
            self.next_look = self._pinged_at + self._timeout
        else:
            self.next_look = min(self._heard_at + self._after, now + self._after / LOOKS)
