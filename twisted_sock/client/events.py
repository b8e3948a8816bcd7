"""What can be seen of a client: its state, its events, its counters.

client.on_event(print)
# Connecting(attempt=1)
# Connected(peer=Peer(address=IPv4Address(type='TCP', host='127.0.0.1', port=1234)))
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.logger import Logger

from twisted_sock.errors import Reason
from twisted_sock.interfaces import Peer
from twisted_sock.metrics import Counters


class ClientState(enum.StrEnum):
    """Where a client is."""

    NEW = "new"  # not started; what is asked waits in the outbox
    CONNECTING = "connecting"
    PREPARING = "preparing"  # connected; on_connect is at work
    READY = "ready"  # the outbox flows
    WAITING = "waiting"  # for the next attempt
    STOPPING = "stopping"  # the last connection ends
    STOPPED = "stopped"  # what is asked is refused
    GAVE_UP = "gave up"  # so it is here


@dataclass(frozen=True, slots=True)
class Connecting:
    """An attempt begins; the first has the number 1, and the first after a healthy connection."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is ready to be used: on_connect has finished."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """An attempt failed: no connection, or on_connect did not finish."""

    why: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection that was ready is gone."""

    reason: Reason
    why: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """The next attempt begins after so many seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """A line that was in the outbox will not be sent."""

    line: str
    why: str


@dataclass(frozen=True, slots=True)
class PushesDropped:
    """Nobody reads the pushes: the oldest are dropped. Told for the first of a row."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """There will be no further attempt."""

    why: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The client has stopped."""


Event = (
    Connecting
    | Connected
    | ConnectFailed
    | Disconnected
    | Retrying
    | Dropped
    | PushesDropped
    | GaveUp
    | Stopped
)


@dataclass(slots=True)
class ClientCounters(Counters):
    """What has happened to a client since it was made. What `Counters` has is there, too.

    Requests are asked; each ends as one answered or one failed, and until then is neither.

    Attributes:
        attempts: connections begun.
        ready: connections that became ready to be used.
        asked: requests made.
        answered: requests answered.
        failed: requests failed, by the name of their error.
        dropped: lines of the outbox that were not sent, requests and others.
        late_answers: answers that came when nobody waited for them any more.
        pushes: lines that answered nothing.
        pushes_dropped: of these, dropped because nobody read them.
    """

    attempts: int = 0
    ready: int = 0
    asked: int = 0
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    late_answers: int = 0
    pushes: int = 0
    pushes_dropped: int = 0


class Listeners:
    """Those who want to know of events."""

    log = Logger()

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[[Event], object]] = {}

    def add(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Tell `callback` of every event; returns what ends that."""
        token = object()
        self._callbacks[token] = callback

        def remove() -> None:
            self._callbacks.pop(token, None)

        return remove

    def tell(self, event: Event) -> None:
        """Tell all of an event; one that fails costs the others nothing."""
        for callback in list(self._callbacks.values()):
            try:
                callback(event)
            except Exception:
                self.log.failure("a listener of the client's events failed")
