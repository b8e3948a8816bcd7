"""One peer that speaks in datagrams: what a session needs of UDP.

Output is gathered while input is handled, so that what one datagram leads to goes out in as few
as it fits. See `transports.udp` for the rules, and for why.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from twisted_sock.datagrams import Credit, fitting, joined
from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import Framer, Run, make_framer
from twisted_sock.interfaces import LineOwner, LineSession, Peer
from twisted_sock.settings import LinePolicy

#: A source: host and port; on IPv6 flow and scope as well, where there is a scope.
Source = tuple[Any, ...]

#: Bytes that may wait for their replies, and that a conversation may send at a stretch. A line
#: that waits costs more memory than its bytes.
PIECE = 65536
LINE_COST = 64

#: Seconds of rest after such a stretch: nothing else slows us down where a reply has no end.
REST = 0.01

#: Seconds after which is looked again whether lines that wait for each other can leave.
AGAIN = 0.05

NEVER = math.inf

BEHIND = Problem(Reason.DATAGRAM, "too many lines wait for their replies")
UNSENT = Problem(Reason.DATAGRAM, "the system could not send it")
DEAR = Problem(Reason.DATAGRAM, "the reply is longer than what was asked")
SILENT = Problem(Reason.IDLE, "nothing came while a reply was in work")


class State(enum.IntEnum):
    """How far a conversation is; the numbers only grow."""

    OPENING = 0  # its session has yet to start
    OPEN = 1
    CLOSED = 2  # nothing is said any more
    GONE = 3


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

    def forget(self, peer: DatagramPeer) -> None:
        """Nothing more is for a conversation: what comes from its peer now begins another."""
        raise NotImplementedError

    def gone(self) -> None:
        """A conversation is over, and everybody knows it."""
        raise NotImplementedError


class DatagramPeer:
    """One peer's conversation (a `SessionTransport`).

    Args:
        socket: the port.
        source: the peer's address.
    """

    __slots__ = (
        "_active",
        "_corked",
        "_credit",
        "_framer",
        "_given",
        "_heard",
        "_lines",
        "_paused",
        "_resting",
        "_socket",
        "_spare",
        "_strict",
        "_waiting",
        "bucket",
        "session",
        "source",
        "state",
    )

    session: LineSession

    def __init__(self, socket: Socket, source: Source) -> None:
        self._socket = socket
        self.source = source
        self.state = State.OPENING
        self.bucket = 0.0
        self._credit = Credit()
        self._strict = socket.strict
        self._framer: Framer = make_framer(socket.policy)
        self._spare = 0  # bytes of its last delimiter that a datagram does without
        # Stamps, in the clock's seconds.
        self._heard = socket.owner.now()  # something came
        self._active = self._heard  # something came or went
        # Output that waits: encoded lines. And bytes that were given to send without a rest.
        self._lines: list[bytes] = []
        self._corked = False
        self._given = 0
        self._resting = False
        # Input: what it costs to keep what came while the session could not take it.
        self._paused = False
        self._waiting = 0

    # What the port calls.

    def begin(self, data: bytes) -> None:
        """Open the conversation with its first datagram."""
        self.session = self._socket.owner.open_session(self)
        self._watch()
        self._do(self._begin, data)

    def receive(self, data: bytes) -> None:
        """Take another datagram; an empty one only shows that the peer is there."""
        self._heard = self._active = self._socket.owner.now()
        if data:
            self._do(self._take, data)

    def drain(self) -> None:
        """Answer what was read, then end."""
        self._do(self.session.drain)

    def cut(self, problem: Problem) -> None:
        """End without a word."""
        self._do(self.session.cut, problem)

    def _do(self, act: Callable[..., None], *arguments: object) -> None:
        """Do what leads to output, which leaves together; if it led to the end, that is now."""
        if self._corked:  # the user's code has led here
            act(*arguments)
            return
        self._corked = True
        try:
            act(*arguments)
        finally:
            self._corked = False
            self._flush()
            if self.state is State.CLOSED:
                self._gone()

    # Input.

    def _begin(self, data: bytes) -> None:
        self._read(data)
        runs = self._runs(data)
        self.session.start()
        if self.state is State.OPENING:
            self.state = State.OPEN
            self.session.receive(runs)

    def _take(self, data: bytes) -> None:
        if self._paused:
            self._waiting += len(data) + LINE_COST * (data.count(b"\n") + 1)
            if self._waiting > PIECE:
                self._waiting = PIECE
                self._socket.owner.note(BEHIND, self.peer)
                return
        self._read(data)
        self._given = 0
        self.session.receive(self._runs(data))

    def _read(self, data: bytes) -> None:
        self._credit.received(len(data))
        self._socket.owner.counters.bytes_in += len(data)

    def _runs(self, data: bytes) -> list[Run]:
        """The lines of a datagram; ours will be ended alike."""
        self._framer = framer = make_framer(self._socket.policy)
        runs = framer.feed(data) + framer.end()
        self._spare = 0 if data.endswith(b"\n") else len(framer.encode([""]))
        return runs

    # LineTransport: what the session asks for.

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return named(self.source)

    def send(self, lines: list[str]) -> bool:
        """Send some lines (see `LineTransport`)."""
        encoded = [self._framer.encode([line]) for line in lines]
        if self.state >= State.CLOSED:
            return True
        self._lines += encoded
        self._given += sum(map(len, encoded))
        self._active = self._socket.owner.now()
        self._flush()
        if self._given < PIECE:
            return True
        if not self._resting:
            self._resting = True
            self._socket.owner.reactor.callLater(REST, self._go_on)
        return False

    @property
    def overrun(self) -> bool:
        """Never: what cannot be sent is dropped (see `LineTransport`)."""
        return False

    def pause(self) -> None:
        """Take only so much more."""
        self._paused = True

    def resume(self) -> None:
        """Everything that came was taken."""
        self._paused = False
        self._waiting = 0
        self._flush()

    def ending(self) -> None:
        """Nothing to see to: nobody can hold this up (see `LineTransport`)."""

    def close(self) -> None:
        """Send what is unsent, and end."""
        if self.state is State.OPENING:  # a refusal must be worth nothing to an attacker
            self._strict = True
        self._end()
        self._flush()

    def abort(self) -> None:
        """End now."""
        self._lines.clear()
        self._end()

    def _end(self) -> None:
        """Say nothing any more. The session learns of its end when nothing of it is running."""
        if self.state < State.CLOSED:
            self.state = State.CLOSED
            self._socket.forget(self)
            if not self._corked:
                self._socket.owner.reactor.callLater(0, self._gone)

    def _gone(self) -> None:
        if self.state is not State.GONE:
            self.state = State.GONE
            owner = self._socket.owner
            owner.deadlines.forget(self)
            owner.session_ended(self, self.session.lost(Reason.DONE))
            self._socket.gone()

    def _go_on(self) -> None:
        """Others have had their turn."""
        self._resting = False
        self._given = 0
        if self.state is State.OPEN:
            self._do(self.session.writable)

    # Output.

    def _room(self) -> int:
        """The most bytes that one more datagram may have."""
        longest = self._socket.longest
        return min(longest, self._credit.room) if self._strict else longest

    def _flush(self) -> None:
        """Send what waits, in as few datagrams as it fits."""
        if self._corked or not self._lines or self._may_wait():
            return
        lines, self._lines = self._lines, []
        start = 0
        while start < len(lines):
            count = fitting(lines, start, self._room(), self._spare)
            if self._socket.policy.framing == "chunk":  # a datagram is a message
                count = min(count, 1)
            if count:
                self._write(joined(lines[start : start + count], self._spare), count)
                start += count
            elif words := self._instead(lines[start]):
                lines[start] = words
            else:
                start += 1

    def _may_wait(self) -> bool:
        """Whether more can still join what waits, when there is only one datagram for it all."""
        if not self._strict or self.state is not State.OPEN or self._credit.datagrams != 1:
            return False
        if not self.session.busy or sum(map(len, self._lines)) >= self._room():
            return False
        self._watch()
        return True

    def _write(self, data: bytes, lines: int) -> None:
        self._credit.sent(len(data))
        if not self._socket.write(data, self.source):
            self._socket.owner.note(UNSENT, self.peer)
            return
        counters = self._socket.owner.counters
        counters.lines_out += lines
        counters.bytes_out += len(data)

    def _instead(self, line: bytes) -> bytes:
        """Note that a line cannot be sent; return what to say in its place, if that fits."""
        longest = self._socket.longest
        long = len(line) - self._spare > longest
        too_long = f"a reply may have at most {longest} bytes"
        problem = Problem(Reason.DATAGRAM, too_long) if long else DEAR
        goodbye = self._socket.stopping and self.state is State.CLOSED
        if not goodbye:  # that would be one from everybody
            self._socket.owner.note(problem, self.peer)
        words = self.session.words(problem)
        if words is None:
            return b""
        try:
            said = self._framer.encode([words])
        except ValueError:  # they have several lines
            said = self._framer.encode([str(problem)])
        return said if fitting([said], 0, self._room(), self._spare) else b""

    # Deadlines.

    def check(self, now: float) -> float:
        """Act on what is due (see `Watched`)."""
        self._do(self._check, now)
        return self._next_check(now)

    def _check(self, now: float) -> None:
        self.session.check(now)
        if self.state is not State.OPEN:
            return
        if self._silent_at() <= now:
            # Nothing is said: the next question might be taken to be answered with it.
            if self.session.busy:
                self.session.cut(SILENT)
            else:
                self.session.end_input()
        elif self._idle_at(now) <= now:
            self.session.fail(Problem(Reason.IDLE))

    def _silent_at(self) -> float:
        """When nothing will have come for too long. Busy or not: it may be gone for good."""
        return self._heard + (self._socket.timeout or NEVER)

    def _idle_at(self, now: float) -> float:
        """When nothing will have been said for too long."""
        since = now if self.session.busy else self._active
        return since + (self._socket.owner.limits.idle_timeout or NEVER)

    def _next_check(self, now: float) -> float:
        """The first time at which anything can be due."""
        if self.state is State.GONE:
            return NEVER
        look = now + AGAIN if self._lines else NEVER
        return min(look, self._silent_at(), self._idle_at(now), self.session.next_check(now))

    def _watch(self) -> None:
        now = self._socket.owner.now()
        self._socket.owner.deadlines.watch(self, self._next_check(now))


def named(source: Source) -> Peer:
    """Who a datagram says that it comes from."""
    kind = IPv6Address if ":" in source[0] else IPv4Address
    return Peer(kind("UDP", *source))
