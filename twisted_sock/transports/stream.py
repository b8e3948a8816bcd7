"""Byte streams: the only `IProtocol` of the package, for TCP, TLS, UNIX and whatever Twisted has.

It feeds what arrives to a framer, gives the lines to a session, and sends what the session says.
It sees to what a stream can go wrong with: a peer that does not read, one that begins a line and
never ends it, one that says nothing, one that never lets a closing connection go.

Unsent output. Twisted's transports buffer without bound and say through the producer interface
when 64 KiB are in the buffer and when it is empty again. In between, output waits here, where it
is counted. Past the high-water mark the session is told, and
nothing more is read from this peer until the output is below it again.

Closing. Everything unsent goes out first. Then only the sending side is closed, and what the
peer still sends is thrown away until it closes too: a socket closed with unread input would send
a reset, which can destroy what the peer has not read yet. A peer that makes no progress in the
grace time is cut off.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ISSLTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.errors import Problem, Reason
from twisted_sock.foreign import FirstLine
from twisted_sock.framing import Framer, Run
from twisted_sock.interfaces import LineOwner, LineSession, Peer, Wire
from twisted_sock.transports.wire import StreamWire

#: Bytes that Twisted's transports hold before they say "enough", and that are gathered here
#: before they are handed down.
PIECE = 65536

#: Times the high-water mark that may be unsent before what is pushed costs the connection.
OVERRUN = 16

#: Seconds until a stream is checked again that was just acted on.
AFTER_ACT = 1.0

#: How often in a stall or grace time progress is looked for.
LOOKS = 4


class State(enum.IntEnum):
    """How far a connection is; the numbers only grow."""

    OPEN = 0
    ENDING = 1  # the last replies come; what comes in is thrown away
    CLOSING = 2  # nothing is said any more; what is unsent still goes out
    LINGERING = 3  # our side is closed; the peer's not yet
    GONE = 4


OPEN, CLOSING = State.OPEN, State.CLOSING  # looked up for every chunk
NEVER = math.inf

Rules = tuple[tuple[Callable[[Any, float], float], Callable[[Any], object]], ...]


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class LineStream:
    """One connection that carries lines over a stream of bytes.

    Args:
        owner: the factory.
        framer: cuts the stream into lines.
        peer: who is at the other end; whom the transport names when left out.
        careful: whether to see first that the peer speaks no other protocol.
    """

    __slots__ = (
        "_active",
        "_begun",
        "_below_full",
        "_below_full_at",
        "_choked",
        "_corked",
        "_framer",
        "_handed",
        "_input_over",
        "_mark",
        "_moved",
        "_owner",
        "_peer",
        "_queue",
        "_queued",
        "bucket",
        "session",
        "state",
        "transport",
    )

    session: LineSession
    transport: Any  # ITransport, and what of its kin it has
    rules: ClassVar[Rules]  # what is checked; see below
    is_connection: ClassVar[bool] = True

    def __init__(
        self,
        owner: LineOwner,
        framer: Framer,
        peer: Peer | None = None,
        careful: bool = False,
    ) -> None:
        self._owner = owner
        self._framer = FirstLine(framer, self._go_on_with) if careful else framer
        self._peer = peer
        self.state = State.OPEN
        self.bucket = 0.0
        self._input_over = False
        # Stamps, in the clock's seconds.
        self._active = 0.0  # something was read or sent
        self._begun = NEVER  # the unfinished line was begun; never, when there is none
        self._below_full_at = 0.0  # the transport has said "enough"
        self._moved = 0.0  # the peer was last seen to take output
        self._mark: object = None  # what that was seen by
        # Output that waits here, because input is being handled or the transport has enough.
        self._queue: list[bytes] = []
        self._queued = 0  # bytes of it
        self._handed = 0  # bytes handed to the transport last
        self._corked = False
        self._choked = False  # there is enough with the transport, or with the wire
        self._below_full = False  # there is enough with the transport

    # IProtocol: the connection.

    def makeConnection(self, transport: Any) -> None:
        """The connection is made (see `IProtocol`)."""
        self.transport = transport
        self._active = self._owner.now()
        transport.registerProducer(self, True)
        if isinstance(transport.getPeer(), IPv4Address | IPv6Address):
            # Nagle's algorithm would hold back a reply until the one before is acknowledged.
            transport.setTcpNoDelay(True)
        self.session = self._owner.open_session(self)
        self._watch()
        self._corked = True
        self.session.start()
        self._uncork()

    def connectionMade(self) -> None:
        """Nothing is left to do (see `IProtocol`)."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes came (see `IProtocol`)."""
        if self.state is not OPEN:
            return
        owner = self._owner
        self._active = owner.now()
        owner.counters.bytes_in += len(data)
        lines = self._framer.whole_lines(data)
        if lines is None or self._choked:
            self._receive(data)
            return
        self._corked = True
        replies = self.session.answer(lines)
        self._corked = False
        if self._queued:  # said otherwise than in reply, and so before
            self._write_queued()
        if replies:
            self._reply(replies)

    def readConnectionLost(self) -> None:
        """The peer has finished sending (see `IHalfCloseableProtocol`)."""
        self._input_over = True
        self._begun = NEVER
        if self.state is not State.OPEN:
            if self.state >= State.CLOSING and not self._queued:
                self.transport.loseConnection()
            return
        self._corked = True
        runs = self._framer.end()
        if runs:
            self.session.receive(runs)
        self.session.end_input()
        self._uncork()

    def writeConnectionLost(self) -> None:
        """Everything is sent and our side closed (see `IHalfCloseableProtocol`)."""
        if self.state < CLOSING:  # on purpose, by `wire`
            return
        self.state = State.LINGERING
        self._moved = self._owner.now()

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone (see `IProtocol`)."""
        self.state = State.GONE
        self._owner.deadlines.forget(self)
        self._queue.clear()
        self._queued = 0
        clean = self._input_over or reason.check(ConnectionDone)
        ended = self.session.lost(Reason.DONE if clean else Reason.LOST)
        self._owner.session_ended(self, ended)

    # LineTransport: what the session asks for.

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._peer or Peer(self.transport.getPeer())

    def send(self, lines: list[str]) -> bool:
        """Send some lines (see `LineTransport`)."""
        data = self._framer.encode(lines)
        if self.state >= CLOSING:
            return True
        counters = self._owner.counters
        counters.lines_out += len(lines)
        counters.bytes_out += len(data)
        self._queue.append(data)
        self._queued += len(data)
        if not self._corked:
            self._active = self._owner.now()
            self._write_queued()
        elif self._queued > PIECE:
            self._write_queued()
        return not self._choked or not self._full()

    @property
    def overrun(self) -> bool:
        """Whether the peer is hopelessly behind (see `LineTransport`)."""
        limits = self._owner.limits
        if not self._full():
            return False
        # Only who leaves unread what is sent is late, not who waits for the end of a `hold`.
        since = self._below_full_at if self._below_full else NEVER
        late = 0 < limits.stall_timeout < self._owner.now() - since
        return late or self._handed + self._queued > OVERRUN * limits.high_water

    def pause(self) -> None:
        """Stop reading."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read again."""
        if self._begun < NEVER:
            self._begun = self._owner.now()
        self.transport.resumeProducing()

    def ending(self) -> None:
        """The last replies come; see that it ends."""
        self.state = max(self.state, State.ENDING)
        self._moved = self._owner.now()
        self._look()
        self._watch()

    def close(self) -> None:
        """Send what is unsent, then close; see that it ends."""
        if self.state >= State.CLOSING:
            return
        self.state = State.CLOSING
        self._moved = self._owner.now()
        self._look()
        self._write_queued()
        if not self._queued:
            self._hang_up()
        self._watch()

    def abort(self) -> None:
        """Drop the connection now."""
        if self.state is not State.GONE:
            self.state = State.CLOSING
            self._queue.clear()
            self._queued = 0
            self.transport.abortConnection()

    @property
    def wire(self) -> Wire:
        """What is below the lines: from now on it stands between us and the transport."""
        if not isinstance(self.transport, StreamWire):
            self.transport = StreamWire(self, self.transport)
        return self.transport

    # What the wire asks for.

    def encode(self, lines: list[str]) -> bytes:
        """The bytes that some lines are sent as (see `Wire`)."""
        return self._framer.encode(lines)

    def spill(self) -> None:
        """Hand all that waits to the transport, even if it has enough."""
        choked, self._choked = self._choked, False
        self._write_queued()
        self._choked = self._choked or choked

    def sent(self, size: int, lines: int) -> None:
        """Count what is sent past us."""
        counters = self._owner.counters
        counters.lines_out += lines
        counters.bytes_out += size
        self._active = self._owner.now()

    def wire_full(self) -> None:
        """What is sent waits, and is enough for now."""
        self._choke()

    def wire_free(self) -> None:
        """It waits no more."""
        if not self._below_full and self.state is not State.GONE:
            self._go_on()

    # IPushProducer: what the transport says of its buffer.

    def pauseProducing(self) -> None:
        """The transport has enough for now (see `IPushProducer`)."""
        if not self._below_full:
            self._below_full = True
            self._below_full_at = self._owner.now()
        self._choke()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty (see `IPushProducer`)."""
        self._below_full = False
        if not self._wire_is_full:
            self._go_on()

    def stopProducing(self) -> None:
        """The connection is lost, as `connectionLost` will say (see `IProducer`)."""

    def _choke(self) -> None:
        """Hand nothing more down."""
        if not self._choked:
            self._choked = True
            self._moved = self._owner.now()
            self._look()
            self._watch()

    def _go_on(self) -> None:
        """Hand down what waits, and see whether there is room again."""
        self._choked = False
        self._moved = self._owner.now()
        self._write_queued()
        if self.state is State.CLOSING:
            if not self._queued:
                self._hang_up()
        elif not self._full():
            self._corked = True
            self.session.writable()
            self._uncork()

    # Input.

    def _go_on_with(self, framer: Framer) -> None:
        """The peer does speak in lines."""
        self._framer = framer

    def _receive(self, data: bytes) -> None:
        """Take a chunk that the short way is not for."""
        self._take(self._framer.feed(data))

    def _take(self, runs: list[Run]) -> None:
        """Take what a chunk has completed."""
        if not self._framer.partial:
            self._begun = NEVER
        elif runs or self._begun == NEVER:
            self._begun = self._active
        if runs:
            self._corked = True
            self.session.receive(runs)
            self._uncork()

    # Output.

    def _reply(self, lines: list[str]) -> None:
        """Send the replies of the short way."""
        try:
            data = self._framer.encode(lines)
        except (TypeError, ValueError):
            self.session.send_each(lines)
        else:
            counters = self._owner.counters
            counters.lines_out += len(lines)
            counters.bytes_out += len(data)
            if len(data) > PIECE:
                self.session.shorten()
            if self._choked:
                self._queue.append(data)
                self._queued += len(data)
            else:
                self._handed = len(data)
                self.transport.write(data)
        if self._choked and self._full():
            self.session.hold()

    def _uncork(self) -> None:
        """Input is handled: everything that was said meanwhile goes out in one write."""
        self._corked = False
        self._write_queued()

    def _write_queued(self) -> None:
        """Hand what waits to the transport, unless it has enough."""
        if self._choked or not self._queued:
            return
        queue = self._queue
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        queue.clear()
        self._handed, self._queued = self._queued, 0
        self.transport.write(data)

    @property
    def _deaf(self) -> bool:
        """Whether nothing is read on purpose, by `wire`."""
        return isinstance(self.transport, StreamWire) and self.transport.deaf

    @property
    def _wire_is_full(self) -> bool:
        """Whether output waits on purpose, by `wire`, and enough of it."""
        return isinstance(self.transport, StreamWire) and self.transport.full

    def _full(self) -> bool:
        """Whether there is more unsent than the high-water mark allows."""
        unsent = PIECE + self._handed + self._queued
        return self._choked and 0 < self._owner.limits.high_water < unsent

    def _hang_up(self) -> None:
        """Everything is with the transport: close, the sending side first where that can be."""
        transport = self.transport
        transport.unregisterProducer()
        halves = hasattr(transport, "loseWriteConnection")
        if self._input_over or not halves or ISSLTransport.providedBy(transport):
            transport.loseConnection()
        else:
            transport.loseWriteConnection()
            transport.resumeProducing()

    # Deadlines.

    def check(self, now: float) -> float:
        """Act on what is due (see `Watched`)."""
        self.session.check(now)
        if self._choked or self.state in (State.ENDING, State.CLOSING):
            self._look()
        for due, act in self.rules:
            if due(self, now) <= now:
                act(self)
                return max(self._next_check(now), now + AFTER_ACT)
        return self._next_check(now)

    def _watch(self) -> None:
        if self.state is not State.GONE:
            now = self._owner.now()
            self._owner.deadlines.watch(self, self._next_check(now))

    def _next_check(self, now: float) -> float:
        """The first time at which anything can be due."""
        if self.state is State.GONE:
            return NEVER
        times = [due(self, now) for due, _ in self.rules]
        look = self._look_again(now)
        return min(*times, look, self.session.next_check(now))

    def _look_again(self, now: float) -> float:
        """When to see whether the peer has taken some output."""
        limits = self._owner.limits
        if self.state in (State.ENDING, State.CLOSING):
            return now + (limits.close_grace or NEVER) / LOOKS
        if self._choked:
            return now + (limits.stall_timeout or NEVER) / LOOKS
        return NEVER

    def _look(self) -> None:
        """See whether the peer has taken some output since the last look."""
        mark = _progress(self.transport)
        # What waits on purpose does not wait for the peer, unless that is behind, too.
        if mark != self._mark or (self._wire_is_full and not self._below_full):
            self._mark = mark
            self._moved = self._owner.now()

    def _stuck_at(self, now: float) -> float:
        """When a closing connection has waited long enough for a peer that owes us a step."""
        grace = self._owner.limits.close_grace
        if not grace or self.state is State.OPEN:
            return NEVER
        owes = self.state is not State.ENDING or self._choked
        return (self._moved if owes else now) + grace

    def _give_up(self) -> None:
        """The peer does not take the rest, or does not close its side."""
        if self.state is State.LINGERING:
            self.transport.loseConnection()
        else:
            self.session.cut(Problem(Reason.STUCK))

    def _slow_at(self, now: float) -> float:
        """When a peer that takes no output is given up."""
        timeout = self._owner.limits.stall_timeout
        waits = self._choked and self.state is State.OPEN
        return self._moved + timeout if timeout and waits else NEVER

    def _partial_at(self, now: float) -> float:
        """When a line that was begun must have ended. We must have been reading meanwhile."""
        timeout = self._owner.limits.line_timeout
        if not timeout or self.state is not State.OPEN:
            return NEVER
        reading = not (self.session.busy or self._full() or self._deaf)
        begun = min(max(self._begun, self.session.rested), now)
        return (begun if reading else now) + timeout

    def _idle_at(self, now: float) -> float:
        """When nothing will have been said for too long."""
        timeout = self._owner.limits.idle_timeout
        if not timeout or self.state is not State.OPEN:
            return NEVER
        waits = self.session.busy or self._choked
        return (now if waits else max(self._active, self._moved)) + timeout


#: When a rule is broken (in the clock's seconds, given what is known now), and what is done then.
RULES: Rules = (
    (LineStream._stuck_at, LineStream._give_up),
    (LineStream._slow_at, lambda stream: stream.session.cut(Problem(Reason.SLOW))),
    (LineStream._partial_at, lambda stream: stream.session.fail(Problem(Reason.PARTIAL))),
    (LineStream._idle_at, lambda stream: stream.session.fail(Problem(Reason.IDLE))),
)
LineStream.rules = RULES


def _progress(transport: Any) -> object:
    """Something that changes whenever the peer takes output; None where that cannot be seen.

    Twisted's descriptors keep what is unsent in `dataBuffer` from `offset` on, and touch both
    only when the socket took something. Wrappers, like that of TLS, have them below.
    """
    while not hasattr(transport, "dataBuffer"):
        transport = getattr(transport, "transport", None)
        if transport is None:
            return None
    return len(transport.dataBuffer), transport.offset
