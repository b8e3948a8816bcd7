"""UDP: lines in datagrams.

A datagram is one or more lines, a last one without a delimiter included; an empty datagram is
none. Each peer, which is an address and a port, has a conversation that begins with its first
datagram and ends when nothing has come from it for `udp_timeout`. There are at most
`max_udp_peers`: one more ends the one silent longest, rather one without a reply in work. So a
flood of invented addresses costs no more memory than that; nor does it lock anybody out of other
transports, as these conversations do not count as connections.

What one datagram leads to goes out in as few as it fits, of whole lines, and is ended as the peer
ends its own: `hello` is answered with `HELLO`, `hello` and a newline with `HELLO` and a newline.

Answers. Anybody can name somebody else as the sender of a datagram, so whatever we answer may
go to a victim. Unless `udp_answers` is "any", no more bytes and no more datagrams go to a peer
than have come from it (see `datagrams.Credit`): greetings, pushes and errors count, too. What is
beyond that is dropped and counted; the peer is told if that fits. As there is only one datagram
to answer one with, lines that are answered later wait for the others of their datagram.

Backpressure. There is none in UDP, and nothing is promised to arrive. While lines wait for their
replies only so much more is taken, and what the system has no room to send is not sent; both is
counted. Datagrams have no order: after one that there was no room for, a shorter one is taken.

Reply loops. One invented datagram could set two services upon each other, for ever. So never
answered is what comes from the number of a UDP port of this process, be it ourselves or another
of our kind; from a port below 1024, where services are that answer whatever comes (echo, chargen,
DNS, NTP) and clients hardly ever; or from an address of more than one host.
"""

from __future__ import annotations

import enum
import socket
from typing import Any, Protocol

from twisted.internet import defer, udp
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sock.interfaces import LineOwner
from twisted_sock.settings import Datagrams
from twisted_sock.udp.table import Conversations

#: Datagrams that are read before others have their turn.
AT_ONCE = 64

log = Logger()


class Served(LineOwner, Protocol):
    """A factory that conversations belong to, and that learns who listens."""

    def doStart(self) -> None:
        """A port listens."""

    def doStop(self) -> None:
        """A port has stopped."""


class UDPEndpoint:
    """A UDP port to listen on for lines in datagrams.

    Args:
        reactor: the reactor.
        port: its number; 0 for any.
        interface: the address to listen on.
        datagrams: what is allowed.
    """

    def __init__(self, reactor: Any, port: int, interface: str, datagrams: Datagrams) -> None:
        self._reactor = reactor
        self._port = port
        self._interface = interface
        self._datagrams = datagrams

    def listen(self, factory: Served) -> Deferred[IListeningPort]:
        """Open the conversations that come as those of a factory.

        Returns:
            Fires with the port, or fails with `CannotListenError`.
        """
        return defer.execute(self._listen, factory)

    def _listen(self, factory: Served) -> IListeningPort:
        table = Conversations(factory, self._datagrams)
        most = table.longest + 1  # so that one is seen to be longer, and not just cut
        port = FairPort(  # type: ignore[no-untyped-call]
            self._port, table, self._interface, most, self._reactor
        )
        try:
            port.startListening()  # type: ignore[no-untyped-call]
        except CannotListenError:
            port.made.close()  # Twisted's leaves that to the garbage collector
            raise
        factory.doStart()
        return IListeningPort(LinePort(port, table, factory))


class FairPort(udp.Port):
    """Reads only so many datagrams before others have their turn, and keeps IPv6 scopes.

    Twisted's reads on until it has 256 KiB, which may be any number of small datagrams.
    """

    made: socket.socket

    def createInternetSocket(self) -> socket.socket:
        """The socket, not bound yet (see `udp.Port`)."""
        self.made = super().createInternetSocket()
        return self.made

    def doRead(self) -> None:
        """Datagrams came."""
        for _ in range(AT_ONCE):
            try:
                data, source = self.socket.recvfrom(self.maxPacketSize)
            except OSError:  # there are no more, or the network has something to complain about
                return
            source = source if source[3:] > (0,) else source[:2]
            try:
                self.protocol.datagramReceived(data, source)
            except BaseException:  # one datagram must not cost all others the port
                log.failure("a datagram could not be handled")

    def write(self, datagram: bytes, addr: Any = None) -> None:
        """Send a datagram to where one came from: the address needs no check."""
        self.socket.sendto(datagram, addr)


class Listening(enum.Enum):
    """How far a port is."""

    OPEN = enum.auto()
    STOPPING = enum.auto()  # nothing is read; replies in work still leave
    CLOSED = enum.auto()


@implementer(IListeningPort)
class LinePort:
    """A port with conversations: stops when the last of them is over.

    Args:
        port: the socket.
        table: the conversations.
        factory: whom they belong to.
    """

    def __init__(self, port: FairPort, table: Conversations, factory: Served) -> None:
        self._port = port
        self._table = table
        self._factory = factory
        self._waiters: list[Deferred[None]] = []
        self._state = Listening.OPEN
        self._deadline: IDelayedCall | None = None

    def startListening(self) -> None:
        """Nothing is left to do (see `IListeningPort`)."""

    def getHost(self) -> IAddress:
        """Where it listens (see `IListeningPort`)."""
        return self._port.getHost()  # type: ignore[no-any-return, no-untyped-call]

    def stopListening(self) -> Deferred[None]:
        """Read no more; finish the replies in work, but no later than `drain_timeout`; close.

        Returns:
            Fires with None when the port is closed.
        """
        done: Deferred[None] = Deferred()
        self._waiters.append(done)
        if self._state is Listening.CLOSED:
            self._closed(None)
        elif self._state is Listening.OPEN:
            self._state = Listening.STOPPING
            self._port.stopReading()  # type: ignore[no-untyped-call]
            timeout = self._factory.limits.drain_timeout
            if timeout:
                self._deadline = self._factory.reactor.callLater(timeout, self._table.abort)
            self._table.drain(self._close)
            self._factory.doStop()
        return done

    def _close(self) -> None:
        """The last conversation is over."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        closed = defer.maybeDeferred(self._port.stopListening)
        closed.addBoth(self._closed)

    def _closed(self, _: object) -> None:
        self._state = Listening.CLOSED
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)
