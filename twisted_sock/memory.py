"""A connection in memory: two ends with the manners of Twisted's TCP transports, and no reactor.

`join` makes one between any two protocols. Nothing moves by itself: bytes, ends and resets go
from one end to the other when `Wire.flow` is called. `twisted_sock.testing` builds on it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

#: Bytes that a transport holds before it asks its producer to pause, as Twisted's own do.
BUFFER = 65536


@implementer(ITransport, IConsumer, IPushProducer)
class MemoryTransport:
    """One end of a connection in memory, with the manners of Twisted's TCP transports.

    Made in pairs by `join`. Nothing moves by itself: `Wire.flow` moves it.

    Attributes:
        reading: whether the protocol of this end takes what the other end sends.
        piece: the most bytes that the protocol is given at once.
        dataBuffer: what this end has written and the other has not taken.
    """

    offset = 0

    def __init__(self, host: IAddress, peer: IAddress) -> None:
        self._host = host
        self._peer = peer
        self.protocol: IProtocol
        self.other: MemoryTransport
        self.dataBuffer = b""
        self.reading = True
        self.piece = BUFFER
        self.connected = True
        self._producer: Any = None
        self._producer_paused = False
        self._closing = False
        self._half_closing = False
        self._write_closed = False
        self._read_closed = False
        self._reset: Failure | None = None

    # ITransport.

    def write(self, data: bytes) -> None:
        """Take some bytes to send."""
        if not isinstance(data, bytes):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        if self.connected and not self._closing and not self._write_closed:
            self.dataBuffer += data
            if self._producer is not None and len(self.dataBuffer) > BUFFER:
                self._producer_paused = True
                self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """Take several pieces to send."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close when everything is sent."""
        self._closing = True
        self.reading = False

    def loseWriteConnection(self) -> None:
        """Close the sending side when everything is sent."""
        self._half_closing = True

    def abortConnection(self) -> None:
        """Close now; what is unsent is lost."""
        self.dataBuffer = b""
        self._reset = self._reset or Failure(ConnectionAborted())

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There is nothing to delay."""

    def getHost(self) -> IAddress:
        """The address of this end."""
        return self._host

    def getPeer(self) -> IAddress:
        """The address of the other end."""
        return self._peer

    # IConsumer.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell this producer when to pause."""
        if self._producer is not None:
            raise RuntimeError("a producer is registered already")
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Tell it no more."""
        self._producer = None

    # IPushProducer.

    def pauseProducing(self) -> None:
        """Read no more."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        self.reading = not self._closing

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    # Moving; each step returns whether something happened.

    def step(self) -> bool:
        """Do the next thing that is to be done at this end."""
        if not self.connected:
            return False
        return self._break() or self._take() or self._take_end() or self._drained()

    def _break(self) -> bool:
        if self._reset is None:
            return False
        reset = self._reset
        if self.other.connected and self.other._reset is None:
            self.other._reset = Failure(ConnectionLost())
        self._lose(reset)
        return True

    def _take(self) -> bool:
        other = self.other
        if not (self.reading and other.dataBuffer):
            return False
        data, other.dataBuffer = other.dataBuffer[: self.piece], other.dataBuffer[self.piece :]
        self.protocol.dataReceived(data)
        return True

    def _take_end(self) -> bool:
        if not (self.reading and self.other._write_closed) or self._read_closed:
            return False
        if self.other.dataBuffer:
            return False
        self._read_closed = True
        half = IHalfCloseableProtocol(self.protocol, None)
        if half is not None:
            half.readConnectionLost()
        else:
            self._lose(Failure(ConnectionDone()))
        return True

    def _drained(self) -> bool:
        if self.dataBuffer and not self._write_closed:
            return False
        if self._producer is not None and self._producer_paused:
            self._producer_paused = False
            self._producer.resumeProducing()
            return True
        if self._closing:
            self._lose(Failure(ConnectionDone()))
            return True
        if self._half_closing and not self._write_closed:
            self._write_closed = True
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is not None:
                half.writeConnectionLost()
            return True
        return False

    def _lose(self, reason: Failure) -> None:
        self.connected = False
        self._write_closed = True
        if not reason.check(ConnectionDone):
            self.dataBuffer = b""
        self.protocol.connectionLost(reason)


class Wire:
    """Two ends joined in memory.

    Args:
        ends: the two transports.
    """

    def __init__(self, *ends: MemoryTransport) -> None:
        self.ends = ends

    def flow(self) -> None:
        """Move bytes and ends both ways until nothing moves any more."""
        while any(end.step() for end in self.ends):
            pass


def join(
    server: IProtocol, client: IProtocol, port: int = 40000, host: IAddress | None = None
) -> Wire:
    """Join two protocols in memory.

    Args:
        server: sees the client at 127.0.0.1 and `port`.
        client: sees the server at 127.0.0.1:1234.
        port: the client's.
        host: where the server sees the client instead.

    Returns:
        The wire between them; call its `flow` after anything that either has sent.
    """
    near = IPv4Address("TCP", "127.0.0.1", 1234)
    far = host or IPv4Address("TCP", "127.0.0.1", port)
    ends = MemoryTransport(near, far), MemoryTransport(far, near)
    for end, other, protocol in zip(ends, reversed(ends), (server, client), strict=True):
        end.other, end.protocol = other, protocol
    for end in ends:
        end.protocol.makeConnection(end)
    return Wire(*ends)
