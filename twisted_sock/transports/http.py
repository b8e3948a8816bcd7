"""One POST as one conversation: its body is the stream of lines in, its answer that of lines out.

So everything that a stream sees to holds here, too: framing, backpressure, deadlines, the end.
What is not known before the conversation has begun is the status of the answer: 200, or 503 when
there is no room for it. So what is said at the very beginning is held back until then.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import make_framer
from twisted_sock.interfaces import LineOwner, Peer
from twisted_sock.transports.stream import LineStream

#: Why there is no room for a conversation.
REFUSALS = (Reason.BUSY, Reason.SHUTDOWN)


class Exchange(Protocol):
    """What a conversation needs of HTTP: the answer to one request, and its body held up.

    Attributes:
        transport: the connection.
    """

    transport: Any

    def write(self, data: bytes) -> None:
        """Send some of the answer's body, its head before the first."""

    def finish(self) -> None:
        """The answer is whole."""

    def refuse(self, body: bytes) -> None:
        """Answer that there is no room now."""

    def hold(self, held: bool) -> None:
        """Read no more of the body, or read it again."""

    def abort(self) -> None:
        """Drop the connection."""


class Post:
    """What a `LineStream` takes for its transport.

    Args:
        owner: whom the conversation belongs to.
        exchange: the request that it is.
        peer: who is at the other end.
    """

    def __init__(self, owner: LineOwner, exchange: Exchange, peer: Peer) -> None:
        self.transport = exchange.transport  # where the stream sees how the peer reads
        self._exchange = exchange
        self._stream = LineStream(owner, make_framer(owner.policy), peer)
        self._peer = peer
        self._early: list[bytes] | None = []  # said before the status was known
        self._whole = False  # whether everything is said
        self._over = False

    # What HTTP calls.

    def begin(self) -> None:
        """The head of the request is there."""
        self._stream.makeConnection(self)
        early, self._early = self._early, None
        said = b"".join(early or [])
        # The sessions of conversations that there is no room for know why.
        reason = getattr(self._stream.session, "reason", None)
        if self._whole and reason in REFUSALS:
            self._exchange.refuse(said or f"{Problem(reason)}\n".encode())
            return
        if said:
            self._exchange.write(said)
        if self._whole:
            self._exchange.finish()

    def receive(self, data: bytes) -> None:
        """Some of the body came."""
        self._stream.dataReceived(data)

    def end(self) -> None:
        """The body is whole."""
        self._stream.readConnectionLost()

    def fail(self, problem: Problem) -> None:
        """Tell of a problem in the answer, and end it."""
        self._stream.session.fail(problem)

    def drop(self, problem: Problem | None) -> None:
        """End the conversation: the request is answered otherwise.

        Args:
            problem: why; None when the body broke off.
        """
        self._over = True
        if problem is not None:
            self._stream.session.cut(problem)
        self._stream.connectionLost(Failure(ConnectionLost()))

    def over(self, reason: Failure | None = None) -> None:
        """The answer is with the peer; or the connection is gone.

        Args:
            reason: how the connection ended, when the answer was not sent before.
        """
        if not self._over:
            self._over = True
            self._stream.connectionLost(reason or Failure(ConnectionDone()))

    @property
    def producer(self) -> LineStream:
        """Who is to pause when the connection has enough."""
        return self._stream

    # What the stream calls: the parts of ITransport and IConsumer that it needs.

    def write(self, data: bytes) -> None:
        """Send some bytes."""
        if self._early is None:
            self._exchange.write(data)
        else:
            self._early.append(data)

    def loseConnection(self) -> None:
        """Everything is said."""
        if not self._whole:
            self._whole = True
            if self._early is None:
                self._exchange.finish()

    def abortConnection(self) -> None:
        """Drop the connection."""
        if not self._over:
            self._exchange.abort()

    def pauseProducing(self) -> None:
        """Read no more of the body for now."""
        self._exchange.hold(True)

    def resumeProducing(self) -> None:
        """Read it again."""
        self._exchange.hold(False)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """HTTP knows it (see `producer`)."""

    def unregisterProducer(self) -> None:
        """HTTP knows it (see `producer`)."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """HTTP has seen to it."""

    def getPeer(self) -> IAddress:
        """Who is at the other end."""
        return self._peer.address
