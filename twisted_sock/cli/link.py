"""The connecting end of the command line: bytes to and from one peer, made again if asked.

The commands of `twisted-sock` speak to all kinds of servers, and show exactly what these say. So
a link knows nothing of lines: what is sent and what comes are bytes.

A link is CONNECTING, OPEN, WAITING to connect again, or CLOSED; its owner is told of every step.
A TLS connection is open when the peer has shown its certificate, not before.
"""

from __future__ import annotations

import enum
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from twisted_sock.cli.wire import PlainWire, SecureWire, Wire, why
from twisted_sock.client.retry import Backoff
from twisted_sock.interfaces import Peer


class State(enum.Enum):
    """Where a link is."""

    CONNECTING = enum.auto()
    OPEN = enum.auto()
    WAITING = enum.auto()
    CLOSED = enum.auto()


class Owner(Protocol):
    """What a link tells."""

    def opened(self, peer: Peer) -> None:
        """The connection is made."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def finished(self) -> None:
        """The peer says no more. What is said to it may still arrive."""

    def lost(self, clean: bool, why: str) -> None:
        """The connection is gone.

        Args:
            clean: whether it was closed in good order.
            why: in words.
        """

    def unreachable(self, why: str) -> None:
        """It could not be made."""

    def waiting(self, seconds: float) -> None:
        """It will be tried again after so long."""


class Link:
    """A connection to one peer.

    Args:
        reactor: the reactor.
        endpoint: where to connect to.
        owner: who is told.
        handshake: seconds for the handshake of TLS; 0: the endpoint is none of TLS.
        backoff: when to connect again; None: never.

    Attributes:
        state: where it is.
        handshake: seconds for the handshake of TLS.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        owner: Owner,
        handshake: float = 0.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._owner = owner
        self._wire_kind = SecureWire if handshake else PlainWire
        self.handshake = handshake
        self._backoff = backoff
        self._attempt: Deferred[Any] | None = None
        self._next: IDelayedCall | None = None
        self._wire: Wire | None = None
        self.state = State.CLOSED

    @property
    def again(self) -> bool:
        """Whether it connects again when the connection is lost."""
        return self._backoff is not None

    def open(self) -> None:
        """Connect."""
        self._next = None
        self.state = State.CONNECTING
        factory = Factory.forProtocol(lambda: self._wire_kind(self, self._reactor))
        factory.noisy = False
        self._attempt = self._endpoint.connect(factory)
        self._attempt.addCallbacks(self._made, self._not_made)

    def write(self, data: bytes) -> None:
        """Send some bytes; without a connection they are lost."""
        if self._wire is not None:
            self._wire.transport.write(data)

    def produce(self, producer: Any) -> None:
        """Tell a producer when to pause; one at a time."""
        if self._wire is not None:
            self._wire.transport.registerProducer(producer, True)

    def pauseProducing(self) -> None:
        """Read no more: what is read cannot be shown as fast (see `IPushProducer`)."""
        if self._wire is not None:
            self._wire.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again (see `IPushProducer`)."""
        if self._wire is not None:
            self._wire.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Nobody takes what is read any more (see `IProducer`)."""
        self.abort()

    def finish(self) -> bool:
        """Send what is unsent, then close the sending side.

        Returns:
            Whether the peer can be told; through TLS or a WebSocket it cannot.
        """
        self._backoff = None
        if self._wire is None or not self._wire.halves:
            return False
        self._wire.end_sending()
        return True

    def close(self) -> None:
        """Send what is unsent, close, and connect no more."""
        self._stop()
        self.hang_up()

    def hang_up(self) -> None:
        """Send what is unsent, close; then connect again, if that is what this link does."""
        if self._wire is not None:
            self._wire.close()

    def abort(self) -> None:
        """Drop the connection now, and connect no more."""
        self._stop()
        if self._wire is not None:
            self._wire.transport.abortConnection()

    # What the wire calls.

    def opened(self, wire: Wire) -> None:
        """The connection is made."""
        self.state = State.OPEN
        self._wire = wire
        if self._backoff is not None:
            self._backoff.of_use()
        self._owner.opened(Peer(wire.transport.getPeer()))

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self._owner.received(data)

    def finished(self) -> None:
        """The peer says no more."""
        self._owner.finished()

    def closed(self, wire: Wire, clean: bool, why: str) -> None:
        """The connection is gone."""
        was_open, self._wire = self._wire is wire, None
        self.state = State.CLOSED
        if was_open:
            self._owner.lost(clean, why)
        else:
            self._owner.unreachable(why)
        self._try_again()

    # Inside.

    def _made(self, _: object) -> None:
        self._attempt = None

    def _not_made(self, failure: Failure) -> None:
        self._attempt = None
        self.state = State.CLOSED
        if not failure.check(CancelledError):
            self._owner.unreachable(why(failure.value))
            self._try_again()

    def _try_again(self) -> None:
        seconds = None if self._backoff is None else self._backoff.failed()
        if seconds is not None:
            self.state = State.WAITING
            self._next = self._reactor.callLater(seconds, self.open)
            self._owner.waiting(seconds)

    def _stop(self) -> None:
        self._backoff = None
        if self._next is not None:
            self._next.cancel()
            self._next = None
            self.state = State.CLOSED
        if self._attempt is not None:
            self._attempt.cancel()
