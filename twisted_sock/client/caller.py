"""The talking side of a client: one conversation over one connection after another.

`Caller` keeps what outlives a connection: what is asked, the pushes, the state, and what is told
of it. How connections are made is left to its subclasses in `twisted_sock.client.reconnecting`.

The states, and what moves a client from one to the next::

    NEW ──▶ CONNECTING ──connected──▶ PREPARING ──on_connect done──▶ READY
             ▲    └─failed──▶ WAITING ◀──lost───────┴───────lost───────┘
             └────delay over─────┘ └──no further attempt──▶ GAVE_UP
    any ──stop──▶ STOPPING ──everything closed──▶ STOPPED
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_sock.client.asking import Asking
from twisted_sock.client.connection import Connection
from twisted_sock.client.events import (
    ClientCounters,
    ClientState,
    Connected,
    ConnectFailed,
    Connecting,
    Disconnected,
    Event,
    GaveUp,
    Listeners,
    PushesDropped,
    Retrying,
    Stopped,
)
from twisted_sock.client.pushes import Pushes
from twisted_sock.client.requests import NEVER, Matcher
from twisted_sock.client.retry import Backoff
from twisted_sock.deadlines import Deadlines
from twisted_sock.display import one_line
from twisted_sock.errors import WORDS, NotConnected, Reason, RequestError
from twisted_sock.framing import make_framer
from twisted_sock.interfaces import LineOwner
from twisted_sock.replies import resolve
from twisted_sock.session import Common, Session
from twisted_sock.settings import (
    CLIENT_LIMITS,
    CLIENT_POLICY,
    Limits,
    LinePolicy,
    Requests,
    Retry,
)
from twisted_sock.transports.stream import LineStream

#: What `on_push` may return.
PushReply = str | None | Awaitable[str | None]

#: States in which what is asked is refused.
OVER = (ClientState.STOPPING, ClientState.STOPPED, ClientState.GAVE_UP)


class Caller:
    """Asks, and hears what it was not asked for, over one connection after another.

    Args:
        reactor: a reactor, or a `twisted.internet.task.Clock` in tests; the global reactor when
            left out.
        policy: what a line is; `CLIENT_POLICY` when left out.
        limits: what the server may cost; `CLIENT_LIMITS` when left out.
        retry: when to connect again.
        requests: how to ask.
        matcher: which line answers which question; in order when left out.
        on_connect: called with the `Connection` before anything else is sent on it: to read a
            greeting, log in, resume. May be a coroutine. If it raises, the attempt has failed.
        on_push: called with each line that answers nothing. A `str` that it returns is sent at
            once, past the outbox; a coroutine runs beside. When left out, `lines` gives them.
        heartbeat: a line to ask a silent server, which must answer it.
        random: gives numbers from 0 up to 1, evenly; `random.random` when left out.

    Attributes:
        state: where the client is.
        counters: what has happened.

    Raises:
        ValueError: the heartbeat holds a newline.
    """

    log = Logger()

    def __init__(
        self,
        *,
        reactor: Any = None,
        policy: LinePolicy | None = None,
        limits: Limits | None = None,
        retry: Retry | None = None,
        requests: Requests | None = None,
        matcher: Matcher | None = None,
        on_connect: Callable[[Connection], object] | None = None,
        on_push: Callable[[str], PushReply] | None = None,
        heartbeat: str | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.reactor: Any = reactor
        clock = IReactorTime(reactor)
        self.now = clock.seconds
        self.policy = policy or CLIENT_POLICY
        self.limits = limits or CLIENT_LIMITS
        self.requests = requests or Requests()
        self.counters: ClientCounters = ClientCounters()
        self.deadlines = Deadlines(clock)
        self.backoff = Backoff(retry or Retry(), self.now, random)
        self.state = ClientState.NEW
        self.bucket = 0.0
        self._common = Common(clock, self.limits, self.counters)
        self._matcher = matcher or Matcher()
        self._on_connect = on_connect
        self._on_push = on_push
        self._heartbeat = heartbeat
        self._listeners = Listeners()
        self.asking = Asking(
            self.requests,
            self.policy,
            self._matcher,
            counters=self.counters,
            now=self.now,
            check_by=self._check_by,
            tell=self._listeners.tell,
        )
        if heartbeat is not None:
            self.asking.see_that_it_can_be_sent(heartbeat)
        self._pushes = Pushes(self.requests.pushes, self._push_dropped)
        self._stream: LineStream | None = None  # that of the connection
        self._connect_waiters: list[_Waiter] = []
        self._stop_waiters: list[Deferred[None]] = []
        self._next_check = NEVER  # the check that is arranged
        self._prepared_by = NEVER
        self._closed_by = NEVER

    # What an application calls.

    def request(self, line: str, timeout: float | None = None) -> Deferred[str]:
        """Ask.

        Args:
            line: the question.
            timeout: seconds until the answer must be there, from now on; that of the settings
                when left out, 0 for any time.

        Returns:
            Fires with the answer; where it has several lines, they are joined by newlines.
            Fails with a `RequestError`, which says whether the request may have been executed.
            Can be cancelled.

        Raises:
            TypeError: the line is not a `str`.
            ValueError: it holds a newline or a lone surrogate, or the timeout is below 0.
        """
        return self.asking.request(line, timeout)

    def send(self, line: str) -> Deferred[None]:
        """Say something that is not answered.

        Args:
            line: its text.

        Returns:
            Fires when the line has a place in the outbox, or has been sent. Fails with `NotSent`
            when it gets none. A line that is dropped later is told as `Dropped`.

        Raises:
            TypeError: the line is not a `str`.
            ValueError: it holds a newline or a lone surrogate.
        """
        return self.asking.send(line)

    def lines(self) -> AsyncIterator[str]:
        """The lines that answer nothing, until the client stops.

        Each goes to one reader. While nobody reads, the last so many are kept as the settings
        say; the older are dropped, counted, and told as `PushesDropped`.

        Raises:
            RuntimeError: there is an `on_push`, which gets them all.
        """
        if self._on_push is not None:
            raise RuntimeError("on_push gets all of these lines")
        return self._pushes

    def whenConnected(self, failAfterFailures: int | None = None) -> Deferred[Any]:
        """Wait until the client is ready.

        Args:
            failAfterFailures: fail after so many failed attempts; when left out, wait as long as
                the client tries.

        Returns:
            Fires with the `Connection`, at once if there is one. Fails with `NotConnected` after
            so many failures and when the client gives up or has given up; with `CancelledError`
            when it stops or has stopped.
        """
        if self.state is ClientState.READY:
            return succeed(self.asking.connection)
        waiter = _Waiter(failAfterFailures or 0)
        if self.state in OVER:
            waiter.deferred.errback(self._over())
        else:
            self._connect_waiters.append(waiter)
        return waiter.deferred

    def on_event(self, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Tell of everything that happens to this client, from now on.

        Args:
            callback: called with each of the events of `twisted_sock.client.events`.

        Returns:
            A function that ends that.
        """
        return self._listeners.add(callback)

    # What a subclass calls.

    def begin(self) -> None:
        """The client starts, or starts again."""
        if self.state in OVER:
            self._pushes = Pushes(self.requests.pushes, self._push_dropped)
        self.asking.refusal = ""
        self.backoff.start_over()
        self.state = ClientState.WAITING

    def attempt(self) -> None:
        """An attempt begins."""
        self.counters.attempts += 1
        self.state = ClientState.CONNECTING
        self._listeners.tell(Connecting(self.backoff.failures + 1))

    def attempt_failed(self, failure: Failure) -> None:
        """There is no connection."""
        if self.state is ClientState.CONNECTING:
            self._failed(_words_of(failure))

    def build_stream(self) -> LineStream | None:
        """The protocol of a new connection; None when none is wanted."""
        if self.state is not ClientState.CONNECTING or self._stream is not None:
            return None
        return LineStream(cast(LineOwner, self), make_framer(self.policy))

    def stop(self) -> Deferred[None]:
        """Take nothing any more, let go of what is asked, close the connection.

        What was handed to the connection is sent first, as long as the server takes it.

        Returns:
            Fires when nothing is left, at the latest after the limit `drain_timeout`.
        """
        if self.state is ClientState.STOPPED:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._stop_waiters.append(done)
        if self.state is not ClientState.STOPPING:
            self._end(ClientState.STOPPING, "the client has stopped")
        return done

    def disconnected(self) -> None:
        """There is no connection, and there will be none."""
        self.deadlines.forget(self)
        self._next_check = NEVER
        if self.state is ClientState.STOPPING:
            self.state = ClientState.STOPPED
            self._listeners.tell(Stopped())
        waiters, self._stop_waiters = self._stop_waiters, []
        for waiter in waiters:
            waiter.callback(None)

    # What a subclass defines.

    def schedule(self, delay: float) -> None:
        """See that an attempt begins after so many seconds."""
        raise NotImplementedError

    def disconnect(self) -> None:
        """Begin no attempt any more, end the one at work, then call `disconnected`."""
        raise NotImplementedError

    def may_retry(self) -> bool:
        """Whether there may be a next attempt."""
        return True

    # What a stream calls.

    def open_session(self, stream: LineStream) -> Session:
        """The session of a new connection."""
        self.counters.opened += 1
        self.counters.current += 1
        connection = Connection(self, stream, self._matcher, self._heartbeat)
        if self._stream is None:
            self._stream = stream
            self.asking.connection = connection
        return connection.open_session(self._common)

    def session_ended(self, stream: LineStream, reason: Reason) -> None:
        """A connection is gone."""
        self.counters.current -= 1
        self.counters.closed[reason] += 1
        if stream is not self._stream:
            return
        self._stream = None
        connection = self.asking.connection
        assert connection is not None
        self._prepared_by = self._closed_by = NEVER
        was = self.state
        if was not in OVER:
            self.state = ClientState.WAITING
        why = connection.why or ENDS.get(reason) or WORDS[reason]
        self.asking.connection_gone(why)
        if was in OVER:
            self.disconnect()
        elif was is ClientState.READY:
            self._listeners.tell(Disconnected(reason, why))
            self._retry(why)
        else:
            self._failed(why)

    # What a connection calls.

    def connected(self, connection: Connection) -> None:
        """The connection is made: prepare it."""
        if connection is not self.asking.connection or self.state is not ClientState.CONNECTING:
            connection.abort()
            return
        self.state = ClientState.PREPARING
        if self._on_connect is None:
            self._ready(connection)
            return
        self._prepared_by = self.now() + (self.requests.prepare_timeout or NEVER)
        self._check_by(self._prepared_by)
        connection.prepare(self._on_connect).addCallbacks(
            lambda _: self._ready(connection),
            lambda failure: self._not_prepared(failure, connection),
        )

    def pushed(self, line: str, connection: Connection) -> str | None:
        """A line came that answers nothing; returns what to send at once."""
        if self._on_push is None:
            self._pushes.put(line)
            return None
        reply = self._on_push(line)
        if isinstance(reply, Awaitable):
            # In the session it would hold up the very answers that it may be waiting for.
            running = Deferred.fromCoroutine(resolve(reply))
            running.addCallback(connection.reply)
            running.addErrback(self._common.incidents.failure, connection.peer)
            return None
        return reply

    # Deadlines.

    def check(self, now: float) -> float:
        """Act on what is due (see `Watched`)."""
        self._next_check = NEVER
        self.asking.expire(now)
        connection = self.asking.connection
        if connection is not None:
            connection.check(now)
            if self._prepared_by <= now:
                connection.drop(Reason.TIMEOUT, "on_connect has not finished in time")
            if self._closed_by <= now:
                connection.abort()
        self._next_check = self._next_due(now)
        return self._next_check

    def _next_due(self, now: float) -> float:
        """The first time at which anything can be due, in the clock's seconds."""
        times = [self.asking.next_due()]
        if self.asking.connection is not None:
            times += [self.asking.connection.next_check(), self._prepared_by, self._closed_by]
        return min(time for time in [*times, NEVER] if time > now)

    def _check_by(self, when: float) -> None:
        """Check at this time, unless there is a check before."""
        if when < self._next_check:
            self._next_check = when
            self.deadlines.watch(self, when)

    # Up and down.

    def _ready(self, connection: Connection) -> None:
        """The connection can be used: let the outbox flow."""
        if self.state is not ClientState.PREPARING or not self._is_open(connection):
            return
        self.state = ClientState.READY
        self._prepared_by = NEVER
        self.counters.ready += 1
        self.backoff.of_use()
        early = connection.ready()
        self._check_by(connection.next_check())
        self._listeners.tell(Connected(connection.peer))
        waiters, self._connect_waiters = self._connect_waiters, []
        for waiter in waiters:
            waiter.deferred.callback(connection)
        if self.state is ClientState.READY:
            self.asking.ready = True
            self.asking.flow()
        for line in early:
            self._pushed_early(line, connection)

    def _pushed_early(self, line: str, connection: Connection) -> None:
        """A line came while `on_connect` was at work, which did not read it."""
        try:
            connection.reply(self.pushed(line, connection))
        except BaseException:
            self._common.incidents.failure(Failure(), connection.peer)

    def _is_open(self, connection: Connection) -> bool:
        return connection is self.asking.connection and connection.open

    def _not_prepared(self, failure: Failure, connection: Connection) -> None:
        """`on_connect` has failed, and so has the attempt."""
        if self.state is ClientState.PREPARING and self._is_open(connection):
            if not failure.check(RequestError):
                self._common.incidents.failure(failure, connection.peer)
            connection.drop(Reason.INTERNAL, f"on_connect failed: {_words_of(failure)}")

    def _failed(self, why: str) -> None:
        """An attempt has failed."""
        self.state = ClientState.WAITING
        self._listeners.tell(ConnectFailed(why))
        for waiter in list(self._connect_waiters):
            waiter.failures_left -= 1
            if waiter.failures_left == 0:
                self._connect_waiters.remove(waiter)
                waiter.deferred.errback(NotConnected(why))
        self._retry(why)

    def _retry(self, why: str) -> None:
        """Arrange for the next attempt, or give up; unless the last was told not to."""
        if self.state is not ClientState.WAITING:
            return
        delay = self.backoff.failed() if self.may_retry() else None
        if delay is not None:
            self.schedule(delay)
            self._listeners.tell(Retrying(delay))
            return
        why = f"gave up after {self.backoff.failures} failures in a row: {why}"
        self.log.warn("{why}", why=why)
        self._end(ClientState.GAVE_UP, why)
        self._listeners.tell(GaveUp(why))

    def _end(self, state: ClientState, why: str) -> None:
        """Let go of everything."""
        self.state = state
        connection = self.asking.connection
        if connection is not None:
            self._closed_by = self.now() + (self.limits.drain_timeout or NEVER)
            self._check_by(self._closed_by)
            connection.close()
        self.asking.refuse(why)
        waiters, self._connect_waiters = self._connect_waiters, []
        for waiter in waiters:
            waiter.deferred.errback(self._over())
        self._pushes.end()
        if connection is None:
            self.disconnect()

    def _over(self) -> Exception:
        """Why there is no connection."""
        if self.state is ClientState.GAVE_UP:
            return NotConnected(self.asking.refusal)
        return CancelledError(self.asking.refusal)

    def _push_dropped(self, first: bool) -> None:
        self.counters.pushes_dropped += 1
        if first:
            self._listeners.tell(PushesDropped())


class _Waiter:
    """Somebody who waits for a connection.

    Args:
        failures: how many attempts may fail before that; 0 for any number.
    """

    def __init__(self, failures: int) -> None:
        self.failures_left = failures
        self.deferred: Deferred[Any] = Deferred()


#: How a connection ended, where the table of reasons speaks to a peer.
ENDS = {Reason.DONE: "the server has closed the connection", Reason.IDLE: "nothing came or went"}


def _words_of(failure: Failure) -> str:
    """What was raised, in one line."""
    return one_line(str(failure.value)) or failure.type.__name__ if failure.type else ""
