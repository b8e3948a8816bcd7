"""What goes to one peer that speaks in datagrams: lines that wait for one, within its credit.

See `transports.udp` for the rules, and for why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import LineOwner, LineSession, Peer
from twisted_sock.settings import LinePolicy
from twisted_sock.udp.credit import Credit, fitting, joined
from twisted_sock.udp.lines import Ending

#: A source: host and port; on IPv6 flow and scope as well, where there is a scope.
Source = tuple[Any, ...]

UNSENT = Problem(Reason.DATAGRAM, "the system could not send it")
DEAR = Problem(Reason.DATAGRAM, "the reply is longer than what was asked")


class Socket:
    """What the conversations of one port share. Abstract.

    Attributes:
        owner: whom the conversations belong to.
        policy: what a line is.
        longest: bytes that a datagram may have.
        timeout: seconds of silence that end a conversation; 0 for none.
        strict: whether no more may go to a peer than came from it.
        stopping: whether nothing is read any more.
    """

    owner: LineOwner
    policy: LinePolicy
    longest: int
    timeout: float
    strict: bool
    stopping: bool

    def write(self, data: bytes, to: Source) -> bool:
        """Send a datagram; returns whether the system took it."""
        raise NotImplementedError

    def forget(self, source: Source) -> None:
        """Nothing more is for a conversation: what comes from its peer now begins another."""
        raise NotImplementedError

    def gone(self) -> None:
        """A conversation is over, and everybody knows it."""
        raise NotImplementedError


class Output:
    """What goes to one peer.

    Args:
        socket: the port.
        source: the peer's address.
        ending: how to end it.

    Attributes:
        session: whose output it is.
        corked: whether it is gathered, as input is being handled that leads to it.
        last: whether nothing will be added to it.
        strict: whether no more may go than came.
        waiting: encoded lines that wait.
    """

    __slots__ = (
        "_credit",
        "_socket",
        "_source",
        "corked",
        "ending",
        "last",
        "session",
        "strict",
        "waiting",
    )

    session: LineSession

    def __init__(self, socket: Socket, source: Source, ending: Ending) -> None:
        self._socket = socket
        self._source = source
        self._credit = Credit()
        self.ending = ending
        self.corked = False
        self.last = False
        self.strict = socket.strict
        self.waiting: list[bytes] = []

    def received(self, size: int) -> None:
        """A datagram of so many bytes came, and pays for another.

        Lines that waited for it leave, so that they are ended as what they answer.
        """
        self._credit.received(size)
        if self.waiting:
            self.flush()

    def reply(self, lines: list[str]) -> int:
        """Send lines after which nothing is in work: the short way of `put` and `flush`.

        Returns:
            Their bytes.

        Raises:
            ValueError, TypeError: some line cannot be sent; none was.
        """
        framer, spare = self.ending
        data = whole = framer.encode(lines)
        if spare and lines[-1]:
            data = whole[:-spare]
        if self.waiting or len(data) > self._room():
            self.put(lines)
            self.flush()
        else:
            self._write(data, len(lines))
        return len(whole)

    def put(self, lines: list[str]) -> int:
        """Let lines wait for `flush`; returns and raises as `reply` does."""
        encoded = [self.ending.framer.encode([line]) for line in lines]
        if not self.last:
            self.waiting += encoded
        return sum(map(len, encoded))

    def flush(self) -> bool:
        """Send what waits, in as few datagrams as it fits.

        Returns:
            Whether it waits on, as the only datagram that may go has room for more.
        """
        if self.corked or not self.waiting:
            return False
        if self._may_wait():
            return True
        lines, self.waiting = self.waiting, []
        spare = self.ending.spare
        start = 0
        while start < len(lines):
            count = fitting(lines, start, self._room(), spare)
            if self._socket.policy.framing == "chunk":  # a datagram is a message
                count = min(count, 1)
            if count:
                self._write(joined(lines[start : start + count], spare), count)
                start += count
            elif words := self._instead(lines[start]):
                lines[start] = words
            else:
                start += 1
        return False

    def _may_wait(self) -> bool:
        """Whether more can still join what waits, when there is only one datagram for it all."""
        if not self.strict or self.last or self._credit.datagrams != 1:
            return False
        return self.session.busy and size(self.waiting) < self._room()

    def _room(self) -> int:
        """The most bytes that one more datagram may have."""
        longest = self._socket.longest
        return min(longest, self._credit.room) if self.strict else longest

    def _write(self, data: bytes, lines: int) -> None:
        self._credit.sent(len(data))
        if not self._socket.write(data, self._source):
            self._socket.owner.note(UNSENT, named(self._source))
            return
        counters = self._socket.owner.counters
        counters.lines_out += lines
        counters.bytes_out += len(data)

    def _instead(self, line: bytes) -> bytes:
        """Note that a line cannot be sent; return what to say in its place, if that fits."""
        longest = self._socket.longest
        long = len(line) - self.ending.spare > longest
        too_long = f"a reply may have at most {longest} bytes"
        problem = Problem(Reason.DATAGRAM, too_long) if long else DEAR
        goodbye = self._socket.stopping and self.last
        if not goodbye:  # that would be one from everybody
            self._socket.owner.note(problem, named(self._source))
        words = self.session.words(problem)
        if words is None:
            return b""
        try:
            said = self.ending.framer.encode([words])
        except ValueError:  # they have several lines
            said = self.ending.framer.encode([str(problem)])
        return said if fitting([said], 0, self._room(), self.ending.spare) else b""


def size(lines: Sequence[bytes]) -> int:
    """Bytes of some lines."""
    return sum(map(len, lines))


def named(source: Source) -> Peer:
    """Who a datagram says that it comes from."""
    kind = IPv6Address if ":" in source[0] else IPv4Address
    return Peer(kind("UDP", *source))
