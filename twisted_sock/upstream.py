"""The connection to another server that a conversation is passed on to.

It is the same stream as that of a client of ours, with the same line policy and limits, but no
questions and answers: whatever comes goes to its `Listener`, in the order in which it came.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from twisted_sock.crossed import Crossed
from twisted_sock.deadlines import Deadlines
from twisted_sock.display import one_line
from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import Run
from twisted_sock.interfaces import LineOwner, Peer, Wire
from twisted_sock.metrics import Counters
from twisted_sock.settings import Limits, LinePolicy
from twisted_sock.transports.stream import LineStream

NOTHING: list[str] = []  # shared; never written to
NEVER = float("inf")


class Listener(Protocol):
    """Who is told what happens on the connection."""

    def link_made(self) -> None:
        """There is a connection."""

    def link_failed(self, why: str) -> None:
        """There is none, and will be none."""

    def heard(self, lines: list[str]) -> None:
        """The server said something."""

    def garbled(self, problem: Problem) -> None:
        """The server said something that is no line."""

    def link_writable(self) -> None:
        """The link is no longer `full`."""

    def link_ended(self) -> None:
        """The server has finished; it may still listen."""

    def link_broken(self, problem: Problem) -> None:
        """The connection is given up, because of the server."""

    def link_lost(self, reason: Reason) -> None:
        """The connection is gone: ended (`DONE`) or broken (`LOST`)."""


class Links:
    """What all connections to a server share.

    Args:
        reactor: the reactor.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        clock = IReactorTime(reactor)
        self.now = clock.seconds
        self.counters = Counters()
        self.deadlines = Deadlines(clock)


class Link:
    """One connection to a server: owner and session of its stream.

    Args:
        links: what all of them share.
        listener: is told what happens.
        policy: what a line is.
        limits: what the server may cost.

    Attributes:
        full: whether the server is behind with reading: `link_writable` is called when not.
    """

    def __init__(
        self, links: Links, listener: Listener, policy: LinePolicy, limits: Limits
    ) -> None:
        # What a stream needs of its owner (see `LineOwner`).
        self.now: Callable[[], float] = links.now
        self.reactor = links.reactor
        self.counters = links.counters
        self.deadlines = links.deadlines
        self.policy = policy
        self.limits = limits
        # What it needs of its session (see `LineSession`).
        self.reason: Reason | None = None
        self.rested = 0.0
        self.busy = False
        self.full = False
        self._listener = listener
        self._framer = Crossed(policy)
        self._stream: LineStream | None = None
        self._connecting: Deferred[Any] | None = None
        self._over = False

    # What a listener calls.

    def connect(self, endpoint: IStreamClientEndpoint) -> None:
        """Connect; `link_made` or `link_failed` is called then."""
        self._connecting = maybeDeferred(endpoint.connect, _Streams(self))
        self._connecting.addErrback(self._failed)

    @property
    def wire(self) -> Wire:
        """What is below the lines; only when the connection is made."""
        assert self._stream is not None
        return self._stream.wire

    def send(self, line: str) -> None:
        """Say something, and see whether more is welcome."""
        if self._stream is not None:
            self.full = not self._stream.send([line])

    def end_lines_with(self, delimiter: bytes) -> None:
        """How lines are to end that are sent, if the policy leaves it open."""
        self._framer.end_lines_with(delimiter)

    def end_output(self) -> bool:
        """Tell the server that nothing more comes; returns whether it can be told."""
        stream = self._stream
        if stream is None or self._over or not stream.wire.halves:
            return False
        stream.wire.end_output()
        return True

    def pause(self) -> None:
        """Hear nothing for now."""
        if self._stream is not None and not self.busy:
            self.busy = True
            self._stream.pause()

    def resume(self) -> None:
        """Hear again."""
        if self._stream is not None and self.busy:
            self.busy = False
            self._stream.resume()

    def close(self) -> None:
        """Connect no more; send what is unsent, then close."""
        self._over = True
        if self._stream is not None:
            self._stream.close()
        elif self._connecting is not None:
            self._connecting.cancel()

    # What the stream calls: an owner (see `LineOwner`).

    @property
    def openings(self) -> Any:
        """There are no layers below, so nothing has yet to begin."""
        raise NotImplementedError

    def build_stream(self) -> LineStream | None:
        """The protocol of the connection; None when none is wanted any more."""
        if self._over or self._stream is not None:
            return None
        self._stream = LineStream(cast(LineOwner, self), self._framer)
        return self._stream

    def open_session(self, stream: LineStream) -> Link:
        """The session of the connection."""
        return self

    def session_ended(self, stream: LineStream, reason: Reason) -> None:
        """The connection is gone, as `lost` has told."""

    def note(self, problem: Problem, peer: Peer) -> None:
        """Nothing goes wrong before there is a session."""

    # A session (see `LineSession`).

    def start(self) -> None:
        """The connection is made."""
        self._listener.link_made()

    def answer(self, lines: list[str]) -> list[str]:
        """Lines came, and nothing else."""
        self.counters.lines_in += len(lines)
        self._listener.heard(lines)
        return NOTHING

    def receive(self, runs: list[Run]) -> None:
        """Lines and problems came."""
        for run in runs:
            if isinstance(run, list):
                self.answer(run)
            elif run.fatal:
                self.fail(run)
            else:
                self.counters.problems[run.reason] += 1
                self._listener.garbled(run)

    def shorten(self) -> None:
        """Nothing is answered here (see `LineSession`)."""

    def hold(self) -> None:
        """Nothing is answered here (see `LineSession`)."""

    def send_each(self, lines: list[str]) -> None:
        """Nothing is answered here (see `LineSession`)."""

    def end_input(self) -> None:
        """The server has finished."""
        if not self._over:
            self._listener.link_ended()

    def writable(self) -> None:
        """There is room again."""
        self.full = False
        self._listener.link_writable()

    def fail(self, problem: Problem) -> None:
        """Give the connection up; there is no use in telling the server."""
        self.cut(problem)

    def cut(self, problem: Problem) -> None:
        """Give the connection up."""
        self.counters.problems[problem.reason] += 1
        if self._stream is not None:
            self._stream.abort()
        if not self._over:
            self._over = True
            self._listener.link_broken(problem)

    def drain(self) -> None:
        """Nobody drains these connections (see `LineSession`)."""

    def abort(self) -> None:
        """Drop the connection now."""
        self._over = True
        if self._stream is not None:
            self._stream.abort()

    def words(self, problem: Problem) -> None:
        """The server is told nothing."""

    def lost(self, reason: Reason) -> Reason:
        """The connection is gone."""
        over, self._over = self._over, True
        if not over:
            self._listener.link_lost(reason)
        return reason

    def check(self, now: float) -> None:
        """Nothing is due (see `LineSession`)."""

    def next_check(self, now: float) -> float:
        """Never (see `LineSession`)."""
        return NEVER

    def _failed(self, failure: Failure) -> None:
        """There is no connection."""
        if not self._over:
            self._over = True
            self._listener.link_failed(_why(failure))


class _Streams(Factory):
    """Makes the protocol of one connection."""

    noisy = False

    def __init__(self, link: Link) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> LineStream | None:  # type: ignore[override]
        return self._link.build_stream()


def _why(failure: Failure) -> str:
    """Why there is no connection, in one line."""
    error = failure.value
    number = getattr(error, "osError", None)  # of Twisted: a number, or what has one
    number = getattr(number, "errno", number)
    words = os.strerror(number) if isinstance(number, int) else str(error)
    return one_line(words).rstrip(".") or type(error).__name__
