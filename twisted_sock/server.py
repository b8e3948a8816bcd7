"""The serving side: `LineFactory` makes sessions, counts them, and drains them.

`LineFactory` is an ordinary Twisted factory and works with every endpoint::

    endpoint = serverFromString(reactor, "tcp:1234:interface=127.0.0.1")
    endpoint.listen(LineFactory(str.upper))
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import NoReturn, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IReactorTime,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from twisted_sock.deadlines import Deadlines
from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import make_framer
from twisted_sock.interfaces import (
    LineApplication,
    LineFunction,
    LineReceiver,
    Peer,
    SessionTransport,
)
from twisted_sock.metrics import Counters
from twisted_sock.openings import Openings
from twisted_sock.protocol import LineProtocol
from twisted_sock.session import Common, Session
from twisted_sock.settings import Limits, LinePolicy
from twisted_sock.transports.stream import LineStream

#: What a factory can be made of.
Handler = LineFunction | Callable[[], LineReceiver] | LineApplication

#: Refused peers that are being told so at once; more are dropped without a word.
REFUSALS = 32


class LineFactory(Factory):
    """Makes a session for each connection, within the limits.

    Args:
        handler: a function of one line; or a subclass of `LineProtocol`, or a
            `functools.partial` of one, made anew for each connection; or a `LineApplication`.
        policy: what a line is.
        limits: what peers may cost.
        reactor: a reactor, or a `twisted.internet.task.Clock` in tests; the global reactor
            when left out.
        counters: where to count; own ones when left out.

    Raises:
        TypeError: the handler is none of these.
    """

    noisy = False
    log = Logger()

    def __init__(
        self,
        handler: Handler,
        *,
        policy: LinePolicy | None = None,
        limits: Limits | None = None,
        reactor: IReactorTime | None = None,
        counters: Counters | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor as global_reactor

            reactor = IReactorTime(global_reactor)
        self.policy = policy or LinePolicy()
        self.limits = limits or Limits()
        self.reactor = reactor
        self.now = reactor.seconds
        self.counters = counters or Counters()
        self.deadlines = Deadlines(reactor)
        self._new_handler = maker(handler)
        self._application = handler
        self.openings = Openings(
            self.now, self.deadlines, self.limits, ended=self._see_whether_drained
        )
        self._common = Common(reactor, self.limits, self.counters, self.policy)
        self._open: set[SessionTransport] = set()
        self._refused: set[SessionTransport] = set()
        self._connections = 0  # that are open and not refused
        # By host, connections and peers without one apart: those may have invented addresses.
        self._hosts: Counter[tuple[bool, str]] = Counter()
        self._host_of: dict[SessionTransport, tuple[bool, str]] = {}
        self._waiters: list[Deferred[None]] = []  # for the last connection to go
        self._drain_deadline: IDelayedCall | None = None
        self._started = False

    # What Twisted calls.

    def startFactory(self) -> None:
        """The first port listens (see `Factory`)."""
        if not self._started and isinstance(self._application, LineApplication):
            self._application.start(self.reactor)
        self._started = True

    def stopFactory(self) -> None:
        """The last port has stopped (see `Factory`)."""
        self._stop_if_over()

    def buildProtocol(self, addr: IAddress | None) -> LineStream:  # type: ignore[override]
        """The protocol of a new connection (see `Factory`); `addr` may be a `Peer`."""
        peer = addr if isinstance(addr, Peer) else None
        careful = self.policy.foreign == "close"
        return LineStream(self, make_framer(self.policy), peer, careful)

    # What a transport calls (see `LineOwner`).

    def open_session(self, transport: SessionTransport) -> Session:
        """The session of a new connection; if there is no room, one that says so and closes."""
        self.counters.opened += 1
        self.counters.current += 1
        refusal = self._refusal(transport)
        self._open.add(transport)
        handler: LineFunction | LineReceiver
        try:
            handler = self._new_handler()
        except BaseException as error:
            handler = Unmade(error)
        if refusal is not None:
            self._refused.add(transport)
            told = len(self._refused) <= REFUSALS
            return Refused(transport, handler, self._common, refusal, told)
        self._connections += transport.is_connection
        if self.limits.max_per_peer:
            # Behind a proxy the address may be another one when the connection ends.
            host = self._host_of[transport] = transport.is_connection, transport.peer.host
            self._hosts[host] += 1
        return Session(transport, handler, self._common)

    def session_ended(self, transport: SessionTransport, reason: Reason) -> None:
        """A connection is gone."""
        self.counters.current -= 1
        self.counters.closed[reason] += 1
        self._open.discard(transport)
        if transport in self._refused:
            self._refused.discard(transport)
        else:
            self._leave(transport)
        self._see_whether_drained()
        self._stop_if_over()

    def note(self, problem: Problem, peer: Peer) -> None:
        """Count and log what went wrong with a peer that has no session."""
        self._common.incidents.problem(problem, peer, known=False)

    # What an application calls.

    def reload(self) -> None:
        """Let the line application read its files again, if it has any."""
        if hasattr(self._application, "reload"):
            self._application.reload()

    def drain(self) -> Deferred[None]:
        """Read no more, finish what is in work, then close; abort the rest at the deadline.

        Connections that still come meanwhile are refused. Listening is for the caller to stop.

        Returns:
            Fires with None when the last connection is gone.
        """
        done: Deferred[None] = Deferred()
        self._waiters.append(done)
        if len(self._waiters) == 1:
            if self.limits.drain_timeout:
                self._drain_deadline = self.reactor.callLater(
                    self.limits.drain_timeout, self._abort_all
                )
            self.openings.end()
            for transport in list(self._open):
                transport.session.drain()
            self._see_whether_drained()
        return done

    # Inside.

    def _refusal(self, transport: SessionTransport) -> Reason | None:
        """Why there is no room for one more, if there is none."""
        limits = self.limits
        if self._waiters:
            return Reason.SHUTDOWN
        kind = transport.is_connection
        if kind and 0 < limits.max_connections <= self._connections:
            return Reason.BUSY
        host = transport.peer.host if limits.max_per_peer else ""
        if host and limits.max_per_peer <= self._hosts[kind, host]:
            return Reason.BUSY
        return None

    def _leave(self, transport: SessionTransport) -> None:
        """Make room for another in place of one that was not refused."""
        self._connections -= transport.is_connection
        if transport in self._host_of:
            host = self._host_of.pop(transport)
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]

    def _abort_all(self) -> None:
        self._drain_deadline = None
        left = len(self._open) + len(self.openings.ending)
        self.log.warn("{count} connections were not finished in time", count=left)
        for transport in list(self._open):
            transport.session.abort()
        self.openings.abort()

    def _see_whether_drained(self) -> None:
        if not self._waiters or len(self._open) > len(self._refused) or self.openings.ending:
            return
        if self._drain_deadline is not None:
            self._drain_deadline.cancel()
            self._drain_deadline = None
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    def _stop_if_over(self) -> None:
        """Stop the application once nobody listens and nobody talks."""
        if self._started and not self.numPorts and not self._open:
            self._started = False
            if isinstance(self._application, LineApplication):
                self._application.stop()


class Refused(Session):
    """The session of a connection that there is no room for.

    Args:
        reason: why; the peer is told.
        told: whether there is room to tell it; else it is dropped.
    """

    __slots__ = ("_refusal", "_told_so")

    def __init__(
        self,
        transport: SessionTransport,
        handler: LineFunction | LineReceiver,
        common: Common,
        reason: Reason,
        told: bool,
    ) -> None:
        super().__init__(transport, handler, common)
        self._refusal = Problem(reason)
        self._told_so = told

    def start(self) -> None:
        """The connection is made: end it."""
        if self._protocol is not None:
            self._protocol.makeConnection(self)
        if self._told_so:
            self.fail(self._refusal)
        else:
            self.cut(self._refusal)
        self._protocol = None  # its conversation never began, so it never ends


class Unmade(LineProtocol):
    """Stands in for a line protocol that could not be made: tells so, and closes.

    Args:
        error: what was raised instead.
    """

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def connectionMade(self) -> NoReturn:
        """Fail as the user's code did."""
        self.close()
        raise self._error


def maker(handler: Handler) -> Callable[[], LineFunction | LineReceiver]:
    """What gives the user's code for one more conversation."""
    if isinstance(handler, LineApplication):
        if isinstance(handler, type):
            raise TypeError(f"{handler.__name__} is one for all: give an instance, not the class")
        return handler.build_protocol
    made = handler.func if isinstance(handler, functools.partial) else handler
    if isinstance(made, type):
        if not hasattr(made, "lineReceived"):
            raise TypeError(f"the class {made.__name__} has no lineReceived(line)")
        return cast(Callable[[], LineReceiver], handler)
    if hasattr(handler, "lineReceived"):
        kind = type(handler).__name__
        raise TypeError(f"a {kind} serves one conversation: give the class, not an instance")
    if not callable(handler):
        raise TypeError(f"a {type(handler).__name__} is not a function of a line")
    function = cast(LineFunction, handler)
    return lambda: function
