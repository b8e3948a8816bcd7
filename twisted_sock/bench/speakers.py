"""One connection of a load generator: says many lines at once, and times their answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from typing import Protocol as Contract

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from twisted_sock.bench.answers import Expectation, OutOfStep
from twisted_sock.bench.tally import Tally
from twisted_sock.bench.workload import Cycle


class Director(Contract):
    """What a speaker needs of the load that it is a part of.

    Attributes:
        now: tells the time, in seconds.
        tally: the counts.
        questions: what is said.
        expected: what a right answer is.
    """

    now: Callable[[], float]
    tally: Tally
    questions: Cycle
    expected: Expectation

    def joined(self, speaker: Speaker) -> None:
        """A connection is made."""

    def answered(self, speaker: Speaker, lines: int, now: float) -> None:
        """So many answers have come, right or wrong."""

    def left(self, speaker: Speaker, why: str) -> None:
        """A connection is gone."""


class Speaker(Protocol):
    """One connection.

    Args:
        director: the load.
        first: the line of the cycle that it begins with.

    Attributes:
        in_flight: lines that wait for their answers.
        moved: when an answer came, or the first of the lines that wait was sent.
        astray: whether more came than was asked for, or what does not end.
    """

    transport: Any

    def __init__(self, director: Director, first: int) -> None:
        self._director = director
        self._now = director.now
        self._tally = director.tally
        self._check = director.expected.check(first, director.tally.complain)
        self._next = first
        # Lines in flight that were sent together: when the first was due, the time between
        # them, and how many.
        self._asked: deque[tuple[float, float, int]] = deque()
        self._why = ""
        self.in_flight = 0
        self.moved = 0.0
        self.astray = False

    def connectionMade(self) -> None:
        """The connection is made (see `IProtocol`)."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._director.joined(self)

    def room(self, most: int) -> int:
        """How many lines can be said now, if so many may be in flight."""
        return 0 if self._why else most - self.in_flight

    def ask(self, count: int, due: float, step: float = 0.0) -> None:
        """Say some lines.

        Args:
            count: how many.
            due: when the first of them was to be said.
            step: seconds from one to the next.
        """
        questions = self._director.questions
        data = questions.take(self._next, count)
        self._next = (self._next + count) % questions.size
        if not self.in_flight:
            self.moved = self._now()
        self.in_flight += count
        self._asked.append((due, step, count))
        self._tally.bytes_out += len(data)
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        """Answers came, or parts of them (see `IProtocol`)."""
        now = self._now()
        tally = self._tally
        tally.bytes_in += len(data)
        wrong = tally.wrong
        if self._why:
            return
        try:
            lines = self._check.heard(data, self.in_flight)
        except OutOfStep as error:
            self.astray = True
            self.give_up(str(error))
            return
        if lines:
            self.in_flight -= lines
            self.moved = now
            self._time(lines, now)
            tally.right += lines + wrong - tally.wrong
            self._director.answered(self, lines, now)

    def give_up(self, why: str) -> None:
        """Drop the connection."""
        self._why = self._why or why
        self.transport.abortConnection()

    def hang_up(self) -> None:
        """Close the connection: no more is said, what still comes is heard; TLS hears no more."""
        transport = self.transport
        if ISSLTransport.providedBy(transport) or not hasattr(transport, "loseWriteConnection"):
            transport.loseConnection()
        else:
            transport.loseWriteConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone (see `IProtocol`)."""
        clean = reason.check(ConnectionDone)
        why = "closed by the server" if clean else reason.getErrorMessage()
        self._director.left(self, self._why or why)

    def _time(self, lines: int, now: float) -> None:
        """Record how long the oldest lines in flight took, so many of them."""
        asked = self._asked
        latency = self._tally.latency
        while lines:
            due, step, count = asked.popleft()
            if count > lines:
                asked.appendleft((due + lines * step, step, count - lines))
                count = lines
            lines -= count
            if step:
                latency.record_run(now - due, step, count)
            else:
                latency.record(now - due, count)
