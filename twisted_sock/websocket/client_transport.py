"""An open WebSocket of ours, made to look like a stream of bytes that are lines.

The protocol above reads and writes as over TCP; `websocket_lines` makes messages of it. What is
written in one call goes in one.

A WebSocket has no half-close: whoever says that it closes hears nothing more (RFC 6455 section
1.4). So `loseConnection` sends what is unsent and a close, and waits for that of the server, which
is then to end the connection. One that does not is cut off.
"""

from __future__ import annotations

import enum
from typing import Any

from twisted.internet._producer_helpers import _PullToPush
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IProtocol,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from twisted_sock.websocket.client_lines import Lines

#: Seconds that a server may take to end a connection when everything is said.
CLOSING = 2.0


class State(enum.Enum):
    """How far a connection is."""

    OPEN = enum.auto()
    FINISHING = enum.auto()  # it is to be closed when the producer above has finished
    CLOSING = enum.auto()  # nothing is said or delivered any more
    GONE = enum.auto()


@implementer(ITransport, IConsumer, IPushProducer)
class WebSocketTransport:
    """The transport that the protocol above is given.

    Args:
        transport: the one below, of TCP or TLS.
        lines: those of its WebSocket.
        reactor: the reactor.

    Attributes:
        transport: the one below.
        protocol: the one above.
    """

    protocol: IProtocol

    def __init__(self, transport: Any, lines: Lines, reactor: Any) -> None:
        self.transport = transport
        self._lines = lines
        self._reactor = reactor
        self._state = State.OPEN
        self._cut: IDelayedCall | None = None
        self._producer: Any = None
        self._choked = False  # the transport has enough
        self._paused = False  # the protocol wants nothing
        self._held = False  # nothing is read because the server does not take what it asks for
        transport.registerProducer(_Output(self), True)
        if ISSLTransport.providedBy(transport):
            alsoProvides(self, ISSLTransport)

    # ITransport.

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._state is not State.GONE

    @property
    def disconnecting(self) -> bool:
        """Whether it is being closed."""
        return self._state in (State.FINISHING, State.CLOSING)

    def write(self, data: bytes) -> None:
        """Send lines; what has no end yet waits for it."""
        if not isinstance(data, bytes):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        if self._state in (State.OPEN, State.FINISHING):
            self._lines.say(data)
            self._send()
            self._see_whether_it_closes()

    def writeSequence(self, data: Any) -> None:
        """Send several pieces."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Send what is unsent, and close; a producer may finish first."""
        if self._state is State.OPEN:
            self._state = State.FINISHING
            if self._producer is None:
                self._finish()

    def abortConnection(self) -> None:
        """Drop the connection now."""
        if self._state is not State.GONE:
            self._state = State.CLOSING
            self.transport.abortConnection()

    def getHost(self) -> IAddress:
        """The address of this end."""
        address: IAddress = self.transport.getHost()
        return address

    def getPeer(self) -> IAddress:
        """The address of the server."""
        address: IAddress = self.transport.getPeer()
        return address

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Whether to send small pieces at once (see `ITCPTransport`)."""
        self.transport.setTcpNoDelay(enabled)

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Whether to see that the server is there (see `ITCPTransport`)."""
        self.transport.setTcpKeepAlive(enabled)

    def getPeerCertificate(self) -> Any:
        """The certificate of the server; only over TLS (see `ISSLTransport`)."""
        return self.transport.getPeerCertificate()

    # IConsumer.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell this producer when to pause."""
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        if self._state is State.GONE:
            producer.stopProducing()
            return
        if not streaming:
            producer = _PullToPush(producer, self)
            producer.startStreaming()
        self._producer = producer
        if self._choked:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Tell it no more."""
        producer, self._producer = self._producer, None
        if isinstance(producer, _PullToPush):
            producer.stopStreaming()
        if self._state is State.FINISHING:
            self._finish()

    # IPushProducer.

    def pauseProducing(self) -> None:
        """Read no more."""
        if self._state is State.OPEN:
            self._paused = True
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again."""
        if self._state is State.OPEN:
            self._paused = False
            if not self._held:
                self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    # What is told from below.

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self._deliver(self._lines.feed(data))

    def lost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._state = State.GONE
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
        self.stopped()
        why = self._lines.why(clean=bool(reason.check(ConnectionDone)))
        if why is not None:
            reason = Failure(why)
        elif self._lines.done:
            reason = Failure(ConnectionDone())
        self.protocol.connectionLost(reason)

    def choked(self) -> None:
        """The transport has enough for now."""
        self._choked = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def drained(self) -> None:
        """The transport has sent everything."""
        self._choked = False
        if self._state is State.CLOSING:
            self._see_that_it_ends()
            return
        if self._held:
            self._held = False
            if not self._paused:
                self.transport.resumeProducing()
        if self._producer is not None:
            self._producer.resumeProducing()

    def stopped(self) -> None:
        """Nothing can be sent any more."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()

    # Inside.

    def _deliver(self, lines: bytes) -> None:
        """Give lines to the protocol, and the server what it is owed for what came."""
        answered = self._send()
        if answered and self._choked and self._state is State.OPEN:
            # It asks and asks, and does not take the answers: they must not pile up.
            self._held = True
            self.transport.pauseProducing()
        if lines and self._state is State.OPEN:
            self.protocol.dataReceived(lines)
        self._see_whether_it_closes()

    def _send(self) -> bool:
        """Hand down what is to be sent, if anything is."""
        data = self._lines.to_send()
        if data:
            self.transport.write(data)
        return bool(data)

    def _finish(self) -> None:
        """Say the rest, and close."""
        self._lines.close()
        self._send()
        self._see_whether_it_closes()

    def _see_whether_it_closes(self) -> None:
        """When one side has said so, wait for the end, and take nothing meanwhile."""
        if self._lines.open or self._state not in (State.OPEN, State.FINISHING):
            return
        self._state = State.CLOSING
        if self._producer is not None:
            self._producer.pauseProducing()
        self.transport.resumeProducing()
        if not self._choked:
            self._see_that_it_ends()

    def _see_that_it_ends(self) -> None:
        if self._cut is None:
            self._cut = self._reactor.callLater(CLOSING, self._hang_up)

    def _hang_up(self) -> None:
        """The server does not end the connection: do it."""
        self._cut = self._reactor.callLater(CLOSING, self._cut_off)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _cut_off(self) -> None:
        self._cut = None
        self.transport.abortConnection()


@implementer(IPushProducer)
class _Output:
    """Told by the transport below when it has enough."""

    def __init__(self, stream: WebSocketTransport) -> None:
        self._stream = stream

    def pauseProducing(self) -> None:
        self._stream.choked()

    def resumeProducing(self) -> None:
        self._stream.drained()

    def stopProducing(self) -> None:
        self._stream.stopped()
