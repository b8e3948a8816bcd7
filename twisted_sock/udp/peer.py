"""One peer that speaks in datagrams: what a session needs of UDP.

Output is gathered while input is handled, so that what one datagram leads to goes out in as few
as it fits. See `transports.udp` for the rules, and for why.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import ClassVar

from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import Run
from twisted_sock.interfaces import LineSession, Peer, Wire
from twisted_sock.transports.wire import DatagramWire
from twisted_sock.udp.lines import Lines
from twisted_sock.udp.output import Output, Socket, Source, named

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
SILENT = Problem(Reason.IDLE, "nothing came while a reply was in work")


class State(enum.IntEnum):
    """How far a conversation is; the numbers only grow."""

    OPENING = 0  # its session has yet to start
    OPEN = 1
    CLOSED = 2  # nothing is said any more
    GONE = 3


OPEN, CLOSED = State.OPEN, State.CLOSED  # looked up for every datagram


class DatagramPeer:
    """One peer's conversation (a `SessionTransport`).

    Args:
        socket: the port.
        source: the peer's address.
        lines: finds the lines of datagrams.
    """

    __slots__ = (
        "_active",
        "_given",
        "_heard",
        "_lines",
        "_output",
        "_paused",
        "_resting",
        "_socket",
        "_source",
        "_waiting",
        "bucket",
        "session",
        "state",
    )

    session: LineSession
    is_connection: ClassVar[bool] = False  # its address may be invented, and it needs no file

    def __init__(self, socket: Socket, source: Source, lines: Lines) -> None:
        self._socket = socket
        self._source = source
        self._lines = lines
        self._output = Output(socket, source, lines.newline)
        self.state = State.OPENING
        self.bucket = 0.0
        # Stamps, in the clock's seconds.
        self._heard = socket.owner.now()  # something came
        self._active = self._heard  # something came or went
        # Bytes that were given to send without a rest.
        self._given = 0
        self._resting = False
        # Input: what it costs to keep what came while the session could not take it.
        self._paused = False
        self._waiting = 0

    # What the port calls.

    def begin(self, data: bytes) -> None:
        """Open the conversation with its first datagram."""
        self.session = self._output.session = self._socket.owner.open_session(self)
        self._watch()
        self._do(self._begin, data)

    def _begin(self, data: bytes) -> None:
        self._count(data)
        runs = self._runs(data)
        self.session.start()
        if self.state is State.OPENING:
            self.state = State.OPEN
            self.session.receive(runs)

    def receive(self, data: bytes) -> None:
        """Take another datagram; an empty one only shows that the peer is there."""
        self._heard = self._active = self._socket.owner.now()
        if not data or (self._paused and not self._may_keep(data)):
            return
        self._count(data)
        whole = self._lines.whole(data)
        if whole is None:
            self._do(self.session.receive, self._runs(data))
        else:
            lines, self._output.ending = whole
            self._answer(lines)

    def drain(self) -> None:
        """Answer what was read, then end."""
        self._do(self.session.drain)

    def cut(self, problem: Problem) -> None:
        """End without a word."""
        self._do(self.session.cut, problem)

    def _do(self, act: Callable[..., None], *arguments: object) -> None:
        """Do what leads to output, which leaves together; if it led to the end, that is now."""
        output = self._output
        if output.corked:  # the user's code has led here
            act(*arguments)
            return
        output.corked = True
        try:
            act(*arguments)
        finally:
            output.corked = False
            self._settle()

    def _settle(self) -> None:
        """Input was handled: send what it led to."""
        self._flush()
        if self.state is CLOSED:
            self._gone()

    # Input.

    def _may_keep(self, data: bytes) -> bool:
        """Whether there is room for lines that must wait for the replies in work."""
        cost = len(data) + LINE_COST * (data.count(b"\n") + 1)
        if self._waiting + cost > PIECE:
            self._socket.owner.note(BEHIND, self.peer)
            return False
        self._waiting += cost
        return True

    def _count(self, data: bytes) -> None:
        self._given = 0
        self._socket.owner.counters.bytes_in += len(data)
        self._output.received(len(data))

    def _runs(self, data: bytes) -> list[Run]:
        runs, self._output.ending = self._lines.runs(data)
        return runs

    def _answer(self, lines: list[str]) -> None:
        """Take good lines: the short way."""
        output = self._output
        output.corked = True
        try:
            replies = self.session.answer(lines)
        finally:
            output.corked = False
        if replies:
            self._reply(replies)
        if output.waiting or self.state is CLOSED:
            self._settle()

    # Output.

    def _reply(self, lines: list[str]) -> None:
        """Send the replies of the short way."""
        try:
            self._given += self._output.reply(lines)
        except (TypeError, ValueError):
            self._do(self.session.send_each, lines)
            return
        if self._given >= PIECE:
            self._rest()
            self.session.shorten()
            self.session.hold()

    def _flush(self) -> None:
        if self._output.flush():
            self._watch()

    # LineTransport: what the session asks for.

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return named(self._source)

    def send(self, lines: list[str]) -> bool:
        """Send some lines (see `LineTransport`)."""
        given = self._output.put(lines)
        if self.state >= CLOSED:
            return True
        self._given += given
        self._active = self._socket.owner.now()
        self._flush()
        if self._given < PIECE:
            return True
        self._rest()
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
            self._output.strict = True
        self._end()
        self._flush()

    def abort(self) -> None:
        """End now."""
        self._output.waiting.clear()
        self._end()

    @property
    def wire(self) -> Wire:
        """What is below the lines."""
        return DatagramWire(self)

    # What the wire asks for.

    def encode(self, lines: list[str]) -> bytes:
        """The bytes that some lines are sent as (see `Wire`)."""
        return self._output.ending.framer.encode(lines)

    def send_encoded(self, line: bytes) -> None:
        """Send a line in such bytes, if there is still somebody to send it to."""
        if self.state < CLOSED:
            self._output.waiting.append(line)
            self._given += len(line)
            self._active = self._socket.owner.now()
            self._flush()

    def _end(self) -> None:
        """Say nothing any more. The session learns of its end when nothing of it is running."""
        if self.state < CLOSED:
            self.state = CLOSED
            self._output.last = True
            self._socket.forget(self._source)
            if not self._output.corked:
                self._socket.owner.reactor.callLater(0, self._gone)

    def _gone(self) -> None:
        if self.state is not State.GONE:
            self.state = State.GONE
            owner = self._socket.owner
            owner.deadlines.forget(self)
            owner.session_ended(self, self.session.lost(Reason.DONE))
            self._socket.gone()

    def _rest(self) -> None:
        """Let others have their turn before more is said."""
        if not self._resting:
            self._resting = True
            self._socket.owner.reactor.callLater(REST, self._go_on)

    def _go_on(self) -> None:
        """Others have had their turn."""
        self._resting = False
        self._given = 0
        if self.state is OPEN:
            self._do(self.session.writable)

    # Deadlines.

    def check(self, now: float) -> float:
        """Act on what is due (see `Watched`)."""
        self._do(self._check, now)
        return self._next_check(now)

    def _check(self, now: float) -> None:
        self.session.check(now)
        if self.state is not OPEN:
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
        look = now + AGAIN if self._output.waiting else NEVER
        return min(look, self._silent_at(), self._idle_at(now), self.session.next_check(now))

    def _watch(self) -> None:
        now = self._socket.owner.now()
        self._socket.owner.deadlines.watch(self, self._next_check(now))
