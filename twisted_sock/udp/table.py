"""The conversations of a UDP port, by the peer's address: who has one, and who gets none.

See `transports.udp` for the rules, and for why.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import islice

from twisted.internet.error import MessageLengthError
from twisted.internet.protocol import DatagramProtocol

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import LineOwner
from twisted_sock.settings import Datagrams
from twisted_sock.udp.credit import LONGEST, for_several
from twisted_sock.udp.lines import Lines
from twisted_sock.udp.output import Socket, Source, named
from twisted_sock.udp.peer import DatagramPeer

#: Source ports below are those of services.
CLIENTS = 1024

#: Conversations silent longest that are looked at for one that has no reply in work.
CANDIDATES = 16

#: The UDP ports of this process, by number: how many listen on it, at different addresses.
OURS: Counter[int] = Counter()

EMPTY = Problem(Reason.DATAGRAM, "it is empty")
NOBODY = Problem(Reason.DATAGRAM, "its source is nobody that could be answered")
LOOP = Problem(Reason.DATAGRAM, "it comes from our own port number, and could go in circles")
SERVICE = Problem(
    Reason.DATAGRAM, f"it comes from a port below {CLIENTS}, and could go in circles"
)
ROOM = Problem(Reason.BUSY, "it had been silent longest, and another came")


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
        self._lines = Lines(self.policy)
        self._port = 0
        self._left = 0  # conversations that are not over
        self.stopping = False
        self._over: Callable[[], None] | None = None  # told when the last is over

    def startProtocol(self) -> None:
        """The port is open (see `DatagramProtocol`)."""
        self._port = self.transport.getHost().port  # type: ignore[union-attr]
        OURS[self._port] += 1

    def stopProtocol(self) -> None:
        """The port is closed (see `DatagramProtocol`)."""
        OURS[self._port] -= 1
        if not OURS[self._port]:
            del OURS[self._port]

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
            peer = self._peers[addr] = DatagramPeer(self, addr, self._lines)
            peer.begin(datagram)

    def _wrong(self, data: bytes, source: Source, peer: DatagramPeer | None) -> Problem | None:
        """Why a datagram must be dropped, if it must."""
        if len(data) > self.longest:
            return Problem(Reason.DATAGRAM, f"it has more than {self.longest} bytes")
        if source[1] in OURS:
            return LOOP
        if peer is not None:
            return None
        if source[1] < CLIENTS:
            return SERVICE
        if for_several(source[0]):
            return NOBODY
        return None if data else EMPTY

    def _make_room(self) -> None:
        """End the conversation that is silent longest, if there is no room for one more.

        Rather one that is idle: with another, a reply in work is lost.
        """
        if 0 < self._most <= len(self._peers):
            oldest = list(islice(self._peers.values(), CANDIDATES))
            idle = (peer for peer in oldest if not peer.session.busy)
            next(idle, oldest[0]).cut(ROOM)

    # Socket: what the conversations ask for.

    def write(self, data: bytes, to: Source) -> bool:
        """Send a datagram (see `Socket`)."""
        try:
            self.transport.write(data, to)  # type: ignore[union-attr]
        except (OSError, MessageLengthError):  # no room, no way there, or a firewall
            return False
        return True

    def forget(self, source: Source) -> None:
        """Nothing more is for a conversation (see `Socket`)."""
        del self._peers[source]

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
