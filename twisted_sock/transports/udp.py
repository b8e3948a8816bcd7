"""UDP: lines in datagrams.

A datagram is one or more lines, a last one without a delimiter included; an empty datagram is
none. Each peer, which is an address and a port, has a conversation that begins with its first
datagram and ends when nothing has come from it for `udp_timeout`. There are at most
`max_udp_peers`: one more ends the one silent longest. So a flood of invented addresses costs no
more memory than that.

What one datagram leads to goes out in as few as it fits, of whole lines, and is ended as the peer
ends its own: `hello` is answered with `HELLO`, `hello` and a newline with `HELLO` and a newline.

Answers. Anybody can name somebody else as the sender of a datagram, so whatever we answer may
go to a victim. Unless `udp_answers` is "any", no more bytes and no more datagrams go to a peer
than have come from it (see `datagrams.Credit`): greetings, pushes and errors count, too. What is
beyond that is dropped and counted; the peer is told if that fits. As there is only one datagram
to answer one with, lines that are answered later wait for the others of their datagram.

Backpressure. There is none in UDP, and nothing is promised to arrive. While lines wait for their
replies only so much more is taken, and what the system has no room to send is not sent; both is
counted.

Reply loops. Never answered is what comes from a port number like our own, be it ourselves or
another of our kind, from port 0, or from an address of more than one host.
"""

from __future__ import annotations

import dataclasses
import enum
import socket
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address as IPv6
from ipaddress import ip_address
from typing import Any, Protocol

from twisted.internet import defer, udp
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from twisted_sock.datagrams import LONGEST
from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import LineOwner
from twisted_sock.settings import Datagrams
from twisted_sock.transports.datagram_peer import DatagramPeer, Socket, Source, named

#: Datagrams that are read before others have their turn.
AT_ONCE = 64

EMPTY = Problem(Reason.DATAGRAM, "it is empty")
NOBODY = Problem(Reason.DATAGRAM, "its source is nobody that could be answered")
LOOP = Problem(Reason.DATAGRAM, "it comes from our own port number, and could go in circles")
ROOM = Problem(Reason.BUSY, "it had been silent longest, and another came")

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


class Conversations(DatagramProtocol, Socket):
    """The conversations of one port, by the peer's address.

    Args:
        owner: whom they belong to.
        datagrams: what is allowed.
    """

    noisy = False

    def __init__(self, owner: LineOwner, datagrams: Datagrams) -> None:
        self.owner = owner
        # The end of a datagram is the end of its last line.
        self.policy = dataclasses.replace(owner.policy, eof_tail="deliver")
        self.longest = min(datagrams.max_datagram or LONGEST, LONGEST)
        self.timeout = datagrams.udp_timeout
        self.strict = datagrams.udp_answers == "smaller"
        self._most = datagrams.max_udp_peers
        self._peers: OrderedDict[Source, DatagramPeer] = OrderedDict()  # silent longest first
        self._port = 0
        self._left = 0  # conversations that are not over
        self.stopping = False
        self._over: Callable[[], None] | None = None  # told when the last is over

    def startProtocol(self) -> None:
        """The port is open (see `DatagramProtocol`)."""
        self._port = self.transport.getHost().port  # type: ignore[union-attr]

    def datagramReceived(self, datagram: bytes, addr: Source) -> None:
        """A datagram came (see `DatagramProtocol`)."""
        if self.stopping:
            return
        peer = self._peers.get(addr)
        problem = self._wrong(datagram, addr, peer)
        if problem is not None:
            self.owner.note(problem, named(addr))
        elif peer is not None:
            self._peers.move_to_end(addr)
            peer.receive(datagram)
        else:
            self._make_room()
            self._left += 1
            peer = self._peers[addr] = DatagramPeer(self, addr)
            peer.begin(datagram)

    def _wrong(self, data: bytes, source: Source, peer: DatagramPeer | None) -> Problem | None:
        """Why a datagram must be dropped, if it must."""
        if len(data) > self.longest:
            return Problem(Reason.DATAGRAM, f"it has more than {self.longest} bytes")
        if peer is not None:
            return None
        if source[1] == self._port:
            return LOOP
        if source[1] == 0 or for_several(source[0]):
            return NOBODY
        return None if data else EMPTY

    def _make_room(self) -> None:
        """End the conversation that is silent longest, if there is no room for one more."""
        if 0 < self._most <= len(self._peers):
            next(iter(self._peers.values())).cut(ROOM)

    # Socket: what the conversations ask for.

    def write(self, data: bytes, to: Source) -> bool:
        """Send a datagram (see `Socket`)."""
        try:
            self.transport.write(data, to)  # type: ignore[union-attr]
        except (OSError, MessageLengthError):  # no room, no way there, or a firewall
            return False
        return True

    def forget(self, peer: DatagramPeer) -> None:
        """Nothing more is for a conversation (see `Socket`)."""
        del self._peers[peer.source]

    def gone(self) -> None:
        """A conversation is over (see `Socket`)."""
        self._left -= 1
        self._see_whether_over()

    # What the port calls.

    def drain(self, over: Callable[[], None]) -> None:
        """Finish the replies in work, then call `over`."""
        self.stopping = True
        self._over = over
        for peer in list(self._peers.values()):
            peer.drain()
        self._see_whether_over()

    def abort(self) -> None:
        """End all conversations that are left."""
        for peer in list(self._peers.values()):
            peer.session.abort()

    def _see_whether_over(self) -> None:
        if self._over is not None and not self._left:
            over, self._over = self._over, None
            over()


def for_several(host: str) -> bool:
    """Whether an address is that of several hosts, or of none."""
    address = ip_address(host)
    if isinstance(address, IPv6):
        address = address.ipv4_mapped or address
    return address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255"
