"""One conversation in lines: order, window, state, and the end.

A session stands between a transport, which gives it runs of lines, and the user's code, which
gives it replies. It knows nothing of bytes.

The states, and what moves a session from one to the next::

    OPEN ──end_input, drain──▶ ENDING ──all answered──▶ CLOSED ──lost──▶ GONE
      └──close, fatal problem──▶ CLOSING ──work in hand answered──▶ CLOSED

In OPEN lines come in; in ENDING no more come, but those read are still delivered; in CLOSING
those that wait are dropped and only replies already in work leave; in CLOSED the transport was
told to send what is unsent and close; GONE is the end. `abort` and a lost connection lead to the
end from anywhere.

Most replies are plain strings, given at once. They never become objects of their own: a slice of
waiting lines goes through the user's function in one loop, and its replies leave in one `send`.
Any other reply takes its place in a `ReplyQueue`, so that replies leave in the order of their
lines whatever order they finish in.

Everything is done by `_pump`, one loop that is entered once and never re-entered: callbacks that
fire inside it only leave their result. So no chain of lines, however long, deepens the stack.
"""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import Run
from twisted_sock.incidents import Incidents
from twisted_sock.interfaces import (
    LineFunction,
    LineReceiver,
    LineTransport,
    Peer,
    Reply,
    Wire,
)
from twisted_sock.many import many_lines, one_by_one
from twisted_sock.metrics import Counters
from twisted_sock.replies import ReplyQueue, resolve
from twisted_sock.settings import Limits, LinePolicy

#: Lines given to the user's code at once, before its replies are sent and the room for more is
#: looked at: at first, and at most while replies are short.
FIRST_SLICE = 16
MOST_SLICE = 128

#: Characters that the replies to one slice should not have more of.
ENOUGH = 32768


NOTHING: Iterator[Run] = iter(())
NO_REPLIES: list[str] = []  # shared; never written to


class State(enum.IntEnum):
    """Where a conversation is; the numbers only grow."""

    OPEN = 0
    ENDING = 1
    CLOSING = 2
    CLOSED = 3
    GONE = 4


OPEN, CLOSED = State.OPEN, State.CLOSED  # looked up for every chunk


class Waiting(Iterator[str], Protocol):
    """The iterator of a list of lines."""

    def __length_hint__(self) -> int:
        """How many are left; none as soon as the list is cleared."""


class Follower(Protocol):
    """Somebody who wants to know more of a conversation than its lines."""

    def input_ended(self, reason: Reason) -> Reply:
        """The peer has finished, or is to (`SHUTDOWN`), and all that it said is answered.

        Returns:
            What is still to be said, then the conversation is over.
        """

    def room_again(self) -> None:
        """The peer is no longer behind with reading."""


@dataclass(slots=True)
class Common:
    """What all sessions of one factory share.

    Args:
        reactor: tells the time.
        limits: the limits.
        counters: the counters.
        policy: what a line is.
    """

    reactor: IReactorTime
    limits: Limits
    counters: Counters
    policy: LinePolicy = field(default_factory=LinePolicy)
    incidents: Incidents = field(init=False)

    def __post_init__(self) -> None:
        self.incidents = Incidents(self.reactor, self.counters)


class Session:
    """One conversation in lines.

    Args:
        transport: what lines come from and go to.
        handler: the user's code: a function of one line, or a line protocol.
        common: what all sessions of the factory share.
    """

    __slots__ = (
        "_backlog",
        "_blocked",
        "_common",
        "_followed_up",
        "_follower",
        "_handle",
        "_lines",
        "_many",
        "_out",
        "_paused",
        "_protocol",
        "_pumping",
        "_run",
        "_runs",
        "_short",
        "_slice",
        "_told",
        "_transport",
        "_work",
        "reason",
        "rested",
        "state",
    )

    def __init__(
        self, transport: LineTransport, handler: LineFunction | LineReceiver, common: Common
    ) -> None:
        self._transport = transport
        self._common = common
        self._protocol: LineReceiver | None = None
        if hasattr(handler, "lineReceived"):
            self._protocol = cast(LineReceiver, handler)
            self._handle: LineFunction = self._protocol.lineReceived
        else:
            self._handle = handler
        self._many = many_lines(handler)
        self.state = State.OPEN
        self.reason: Reason | None = None
        self.rested = 0.0  # when a reply that had to be waited for was last done
        # Lines that wait: the run being delivered, the runs behind it, and those that came after.
        self._lines: Waiting | None = None
        self._run: list[str] | None = None
        self._runs: Iterator[Run] | None = None
        self._backlog: list[Run] | None = None
        # Replies that wait: for the user's code, then for the transport.
        self._work: ReplyQueue | None = None
        self._out: list[str] = []
        self._blocked = False
        self._paused = False
        self._pumping = False
        self._slice = FIRST_SLICE
        self._short = 0  # lines that can be answered the short way; 0 while anything is going on
        self._told: set[Reason] | None = None  # problems of this peer that are in the log
        self._follower: Follower | None = None
        self._followed_up = False

    # What the transport calls.

    def start(self) -> None:
        """The connection is made."""
        if self._protocol is None:
            self._short = self._slice
            return
        self._pumping = True
        try:
            self._protocol.makeConnection(self)
            self._accept(self._protocol.connectionMade(), alone=True)
        except BaseException:  # sys.exit() of one conversation must not end the others
            self._accept(self._failed(Failure()))
        finally:
            self._pumping = False
        self._pump()

    def answer(self, lines: list[str]) -> list[str]:
        """Lines came, all good: the short way of `receive`.

        Returns:
            Replies that the caller has to send now. Whatever else there is to send, before them
            or later, goes its own way through the transport.
        """
        if len(lines) > self._short or self._pumping:
            self.receive([lines])
            return NO_REPLIES
        self._common.counters.lines_in += len(lines)
        self._run = lines
        waiting: Waiting = iter(lines)  # type: ignore[assignment]
        self._lines = waiting
        self._runs = NOTHING
        self._pumping = True
        out = self._out
        many = self._many
        try:
            reply = one_by_one(self._handle, waiting, out) if many is None else many(waiting, out)
            if reply is not None:
                self._accept(reply)
            elif self._short and not self._blocked and (many is None or not _left(waiting)):
                # Nothing has happened but plain replies.
                self._run = self._lines = self._runs = None
                self._out = []
                return out
        except BaseException:
            self._accept(self._failed(Failure()))
        finally:
            self._pumping = False
        _see_one_taken(waiting, len(lines))
        self._pump()
        return NO_REPLIES

    def receive(self, runs: list[Run]) -> None:
        """Lines came, in order, and problems where lines were not as they should be."""
        if self.state is not OPEN:
            return
        if self._runs is None:
            self._runs = iter(runs)
        elif self._backlog is None:
            self._backlog = runs
        else:
            self._backlog += runs
        self._pump()

    def hold(self) -> None:
        """The replies that `answer` gave filled the transport: go on when it is writable."""
        self._blocked = True
        self._pump()

    def shorten(self) -> None:
        """The replies that `answer` gave were large: answer fewer lines at once."""
        self._slice = self._slice // 2 or 1
        self._short = min(self._short, self._slice)

    def end_input(self) -> None:
        """The peer has finished: answer what it said, then close."""
        if self.state is State.OPEN:
            self.state = State.ENDING
            self.reason = self.reason or Reason.DONE
            self._pump()

    def writable(self) -> None:
        """The transport has room again."""
        self._blocked = False
        self._pump()
        if self._follower is not None and not self._blocked:
            self._follower.room_again()

    def fail(self, problem: Problem) -> None:
        """Tell the peer of a problem that ends the conversation, and close at once."""
        if self.state >= State.CLOSED:
            return
        self._note(problem)
        self._drop_lines()
        self._drop_work()
        self._say(problem)
        self._flush()
        self._finish(problem.reason)

    def cut(self, problem: Problem) -> None:
        """Drop a connection with a problem that its peer cannot be told."""
        self._note(problem)
        self.abort(problem.reason)

    def lost(self, reason: Reason) -> Reason:
        """The connection is gone.

        Args:
            reason: how it looked to the transport.

        Returns:
            Why the conversation ended, if that was known better.
        """
        self.reason = self.reason or reason
        self.state = State.GONE
        self._drop_lines()
        self._drop_work()
        self._out.clear()
        if self._protocol is not None:
            self._tell_lost(self._protocol, self.reason)
            self._protocol = None
        self._follower = None
        return self.reason

    # What the factory calls.

    def drain(self) -> None:
        """Read no more; answer what was read; tell the peer; close."""
        if self.state is State.OPEN:
            self.state = State.ENDING
            self.reason = Reason.SHUTDOWN
            self._pump()

    @property
    def busy(self) -> bool:
        """Whether a reply is in work or a line waits for one."""
        return bool(self._work) or self._runs is not None

    def check(self, now: float) -> None:
        """Give up replies that took too long.

        Args:
            now: the clock's seconds.
        """
        timeout = self._common.limits.reply_timeout
        if timeout and self._work:
            self._work.give_up(now - timeout, self._too_late)
            self._pump()

    def next_check(self, now: float) -> float:
        """When to check again, in the clock's seconds."""
        oldest = self._work.oldest if self._work else now
        return min(oldest, now) + (self._common.limits.reply_timeout or math.inf)

    def words(self, problem: Problem) -> str | None:
        """How to tell the peer of a problem: as the line protocol has it; None for silence."""
        if self._protocol is None:
            return str(problem)
        try:
            words = self._protocol.problem_line(problem)
            if words is not None and not isinstance(words, str):
                raise TypeError(f"problem_line must return a str or None, not {words!r}")
        except BaseException:
            self._common.incidents.failure(Failure(), self.peer)
            return str(problem)
        return words

    # What the user's code calls.

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._transport.peer

    @property
    def wire(self) -> Wire:
        """What is below the lines, for those who send something else than lines."""
        return self._transport.wire

    @property
    def policy(self) -> LinePolicy:
        """What a line is."""
        return self._common.policy

    @property
    def limits(self) -> Limits:
        """What a peer may cost."""
        return self._common.limits

    @property
    def full(self) -> bool:
        """Whether the peer is behind with reading: what is pushed had better wait."""
        return self._blocked

    def follow(self, follower: Follower) -> None:
        """Tell somebody when the peer has finished, and when it is no longer behind."""
        self._follower = follower

    def tell(self, problem: Problem) -> None:
        """Tell the peer of a problem, and log it; the conversation goes on."""
        self._note(problem)
        words = self.words(problem)
        if words is not None:
            self.sendLine(words)

    def sendLine(self, line: str) -> None:
        """Send a line now, ahead of replies that are not finished.

        After the end of the conversation the line goes nowhere, and is counted as late. A peer
        that is far behind with reading, and still pushed to, is cut off as slow.

        Args:
            line: its text, without a delimiter.

        Raises:
            TypeError: it is not a `str`.
            ValueError: it holds a newline or a lone surrogate.
        """
        if self.state >= State.CLOSING:
            self._common.counters.late_lines += 1
            return
        if self._blocked and self._transport.overrun:
            self.cut(Problem(Reason.SLOW))
            return
        self._flush()
        self._send([line])
        if not self._pumping:
            self._hold_or_read()

    def sendLines(self, lines: list[str]) -> None:
        """Send several lines now, as `sendLine` does one.

        Raises:
            TypeError: one is not a `str`; none was sent.
            ValueError: one holds a newline or a lone surrogate; none was sent.
        """
        if self.state < State.CLOSING and not self._blocked:
            self._flush()
            self._send(lines)
            if not self._pumping:
                self._hold_or_read()
            return
        for line in lines:
            self.sendLine(line)

    def close(self, reason: Reason = Reason.CLOSED) -> None:
        """Take no more lines, finish the replies in work, send everything, then close."""
        if self.state >= State.CLOSING:
            return
        self.state = State.CLOSING
        self.reason = reason
        self._drop_lines()
        self._transport.ending()
        self._pump()

    def abort(self, reason: Reason = Reason.ABORTED) -> None:
        """Drop the connection now, and whatever is unsent with it."""
        if self.state is State.GONE:
            return
        self.state = State.CLOSED
        self.reason = reason
        self._drop_lines()
        self._drop_work()
        self._out.clear()
        self._transport.abort()

    # The one loop.

    def _pump(self) -> None:
        """Do all that can be done now: send replies in order, deliver lines, end."""
        self._short = 0
        if self._pumping or self.state >= State.CLOSED:
            return
        self._pumping = True
        try:
            while self._send_finished() and self._next_run():
                self._deliver()
                self._flush()
        finally:
            self._pumping = False
        self._flush()
        if self.state is not State.OPEN and not (self.busy or self._is_followed_up()):
            self._end()
            return
        self._hold_or_read()
        if self.state is State.OPEN and not (self.busy or self._blocked):
            self._short = self._slice

    def _deliver(self) -> None:
        """Give a slice of the waiting lines to the user's code.

        Stops at the first reply that is more than a plain string; the lines left stay in the
        iterator. `close` empties the run under the loop, which ends it.
        """
        assert self._lines is not None
        waiting, out = self._lines, self._out
        left = _left(waiting)
        try:
            if self._work:
                for line in islice(waiting, 1):
                    self._accept(self._handle(line))
                return
            lines = islice(waiting, self._slice)
            if self._many is None:
                reply = one_by_one(self._handle, lines, out)
            else:
                reply = self._many(lines, out)
            if reply is not None:
                self._accept(reply)
            elif len(out) >= self._slice:
                enough = sum(map(len, out)) > ENOUGH
                self._slice = self._slice // 2 or 1 if enough else min(self._slice * 2, MOST_SLICE)
        except BaseException:
            self._accept(self._failed(Failure()))
        _see_one_taken(waiting, left)

    def _next_run(self) -> bool:
        """See that there are lines to deliver, and room for their replies.

        Problems that stand between the runs are told on the way, in their turn.
        """
        while self._has_room() and self.state < State.CLOSING:
            if self._lines is not None and _left(self._lines):
                return True
            if self._runs is None:
                return False
            run = next(self._runs, None)
            if isinstance(run, Problem):
                self._note(run)
                self._say(run)
                if run.fatal:
                    self.close(run.reason)
                if len(self._out) >= MOST_SLICE:
                    self._flush()
            elif run is not None:
                self._begin(run)
            else:
                self._run = self._lines = self._runs = None
                if self._backlog is not None:
                    self._runs, self._backlog = iter(self._backlog), None
        return False

    def _begin(self, run: list[str]) -> None:
        """Make a run the one that is delivered."""
        self._common.counters.lines_in += len(run)
        self._run = run
        self._lines = cast(Waiting, iter(run))

    def _has_room(self) -> bool:
        """Whether the reply to one more line has a place."""
        if self._blocked:
            return False
        if not self._work:
            return True
        window = self._common.limits.window or sys.maxsize
        return not self._work.alone and len(self._work) < window

    def _send_finished(self) -> bool:
        """Send what is there of the replies in work, in their order.

        Returns:
            Whether the transport welcomes more.
        """
        self._flush()
        while self._work and not self._blocked and (lines := self._work.take()):
            self._out += lines
            self._flush()
            if not self._work:
                self.rested = self._common.reactor.seconds()
        return not self._blocked

    def _end(self) -> None:
        """Everything is answered: say goodbye and close."""
        if self.reason is Reason.SHUTDOWN:
            self._say(Problem(Reason.SHUTDOWN))
            self._flush()
        self._finish(self.reason or Reason.CLOSED)

    def _is_followed_up(self) -> bool:
        """Whether somebody still has something to say after the peer has finished."""
        if self._follower is None or self._followed_up or self.state is not State.ENDING:
            return False
        self._followed_up = self._pumping = True
        try:
            self._accept(self._follower.input_ended(self.reason or Reason.DONE))
        except BaseException:
            self._accept(self._failed(Failure()))
        finally:
            self._pumping = False
        self._flush()
        return self.busy

    def _finish(self, reason: Reason) -> None:
        if self.state < State.CLOSED:
            self.state = State.CLOSED
            self.reason = reason
            self._transport.close()

    def _hold_or_read(self) -> None:
        """Read from the peer only while its lines can be delivered and its replies sent."""
        hold = self._blocked or self._runs is not None or self.state is not State.OPEN
        if hold is not self._paused and self.state < State.CLOSED:
            self._paused = hold
            if hold:
                self._transport.pause()
            else:
                self._transport.resume()

    # Replies.

    def _accept(self, reply: Reply, alone: bool = False) -> None:
        """Take a reply of any kind and put it in its place."""
        if reply is None:
            return
        if isinstance(reply, str) and not self._work:
            self._out.append(reply)
            return
        if self._work is None:
            self._work = ReplyQueue(self._common.reactor, self._failed, self._pump)
        self._work.put(reply, alone)

    # Problems.

    def _failed(self, failure: Failure) -> str | None:
        """Log a failure of the user's code; return what to tell the peer."""
        id = self._common.incidents.failure(failure, self.peer)
        return self.words(Problem(Reason.INTERNAL, id))

    def _note(self, problem: Problem) -> None:
        """Count a problem; log the first of its kind on this connection."""
        if self._told is None:
            self._told = set()
        known = problem.reason in self._told
        self._told.add(problem.reason)
        self._common.incidents.problem(problem, self.peer, known)

    def _say(self, problem: Problem) -> None:
        """Tell the peer, in the order of its lines."""
        self._accept(self.words(problem))

    def _too_late(self) -> str | None:
        """Note that a reply did not come in time; return what to tell the peer."""
        problem = Problem(Reason.TIMEOUT)
        self._note(problem)
        return self.words(problem)

    def _tell_lost(self, protocol: LineReceiver, reason: Reason) -> None:
        """Tell the user's code that it is over; log what it raises."""
        try:
            result = protocol.connectionLost(reason)
        except BaseException:
            self._common.incidents.failure(Failure(), self.peer)
            return
        if isinstance(result, Awaitable):
            Deferred.fromCoroutine(resolve(result)).addErrback(
                self._common.incidents.failure, self.peer
            )

    # Sending.

    def _flush(self) -> None:
        """Hand all replies that are ready to the transport."""
        out = self._out
        if not out:
            return
        if self.state < CLOSED:
            try:
                self._blocked = not self._transport.send(out)
            except (TypeError, ValueError):
                lines = out.copy()
                out.clear()
                self.send_each(lines)
        out.clear()

    def _send(self, lines: list[str]) -> None:
        self._blocked = not self._transport.send(lines)

    def send_each(self, lines: list[str]) -> None:
        """Some line cannot be sent: find it, and tell the peer in its place."""
        for line in lines:
            try:
                self._send([line])
            except (TypeError, ValueError):
                self._send_instead(Failure())

    def _send_instead(self, failure: Failure) -> None:
        """Tell of a line that cannot be sent, in words that can be."""
        id = self._common.incidents.failure(failure, self.peer)
        problem = Problem(Reason.INTERNAL, id)
        try:
            words = self.words(problem)
            if words is not None:
                self._send([words])
        except (TypeError, ValueError):
            self._send([str(problem)])

    # Letting go.

    def _drop_lines(self) -> None:
        """Drop lines that wait; a loop that delivers them ends here."""
        self._short = 0
        if self._run is not None:
            self._run.clear()
        self._run = self._lines = self._runs = self._backlog = None

    def _drop_work(self) -> None:
        work, self._work = self._work, None
        if work:
            work.abandon()


def _see_one_taken(waiting: Waiting, before: int) -> None:
    """Take the next line if none was taken for what was replied, or raised.

    A function of many lines that fails at once would be given the same ones for ever.
    """
    if _left(waiting) == before:
        next(waiting, None)


def _left(waiting: Waiting) -> int:
    return waiting.__length_hint__()
