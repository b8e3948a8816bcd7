"""One connection of a client: what goes out, and whose the lines are that come in.

It is a line protocol on the same session and stream as the server's, but tells its peer of no
problems: a server would take that for a question.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from twisted_sock.client.events import ClientCounters
from twisted_sock.client.heartbeat import Dead, Heartbeat, Ping
from twisted_sock.client.outlet import ClientSession
from twisted_sock.client.pushes import Pushes
from twisted_sock.client.requests import NEVER, Matcher, Pairing, Request, Whose
from twisted_sock.errors import WORDS, BadAnswer, NotSent, Problem, Reason, RequestError
from twisted_sock.interfaces import LineTransport, Reply
from twisted_sock.protocol import LineProtocol
from twisted_sock.session import Common, State
from twisted_sock.settings import Requests

#: Problems that stand in the place of a line.
UNREADABLE = (Reason.TOO_LONG, Reason.UTF8)


class Owner(Protocol):
    """What a connection needs of the client that made it."""

    counters: ClientCounters
    requests: Requests
    now: Callable[[], float]

    @property
    def asking(self) -> Asking:
        """What it asks."""

    def connected(self, connection: Connection) -> None:
        """The connection is made."""

    def pushed(self, line: str, connection: Connection) -> str | None:
        """A line came that answers nothing; returns what to send at once."""


class Asking(Protocol):
    """What a client asks."""

    def new_request(self, line: str, timeout: float | None) -> Request:
        """A request that will be handed over."""

    def watch(self, entry: Request) -> None:
        """See that its deadline is kept."""

    def fail(self, request: Request, error: RequestError) -> None:
        """A request ends without an answer."""

    def flow(self) -> None:
        """There is room for more."""


class Connection(LineProtocol):
    """One connection of a client; what `on_connect` speaks through.

    What is asked and said here is sent at once, past the outbox and the window, on this
    connection or never.
    """

    session: ClientSession

    def __init__(
        self, owner: Owner, stream: LineTransport, matcher: Matcher, heartbeat: str | None
    ) -> None:
        self.why = ""  # it ended, if we know better than the session
        self._owner = owner
        self._stream = stream
        self._pairing = Pairing(matcher)
        self._heartbeat: Heartbeat | None = None
        if heartbeat is not None:
            key = matcher.question(heartbeat)
            self._heartbeat = Heartbeat(heartbeat, key, owner.requests, owner.counters)
        self._task: Task | None = None
        self._early: Pushes | None = None  # lines that came while on_connect is at work

    def open_session(self, common: Common) -> ClientSession:
        """The session of this connection."""
        return ClientSession(self._stream, self, common, self._owner.asking.flow)

    # What `on_connect` calls, besides what every LineProtocol has.

    def request(self, line: str, timeout: float | None = None) -> Deferred[str]:
        """Ask at once, on this very connection.

        Args:
            line: the question.
            timeout: seconds for the answer; the client's when left out, 0 for any time.

        Returns:
            Fires with the answer, or fails with a `RequestError`.
        """
        request = self._owner.asking.new_request(line, timeout)
        answer = request.answer
        assert answer is not None
        if self.open:
            self.hand_over(request)
            self._owner.asking.watch(request)
        else:
            self._owner.asking.fail(request, NotSent(line, "the connection is gone"))
        return answer

    def next_line(self) -> Deferred[str]:
        """The next line that answers nothing, such as a greeting; only for `on_connect`."""
        if self._early is None:
            raise RuntimeError("unasked lines go to the client once on_connect has finished")
        return self._early.get()

    # What the session calls.

    def connectionMade(self) -> None:
        """The connection is made."""
        self._owner.connected(self)

    def lineReceived(self, line: str) -> Reply:
        """A line came: give it to whom it belongs."""
        try:
            request = self._pairing.take(line)
        except BaseException:
            self.drop(Reason.INTERNAL, "the matcher failed: whose the lines are is lost")
            raise
        if request is None:
            return None
        if isinstance(request, Whose):
            return self._pushed(line)
        lines = request.lines
        self._answered(request, lines[0] if len(lines) == 1 else "\n".join(lines))
        return None

    def problem_line(self, problem: Problem) -> None:
        """Tell the peer nothing; a line that could not be read may have been an answer."""
        if problem.reason not in UNREADABLE:
            return
        request = self._pairing.take_unreadable()
        if isinstance(request, Request):
            words = problem.words or WORDS[problem.reason]
            self._owner.asking.fail(
                request, BadAnswer(request.line, f"the answer is bad: {words}")
            )
            self._owner.asking.flow()
        elif request is Whose.LOST:
            self.drop(problem.reason, "a bad line came, and whose it was cannot be told")

    # What the client calls.

    @property
    def open(self) -> bool:
        """Whether anything that is said can still arrive."""
        return self.session.state is State.OPEN

    @property
    def full(self) -> bool:
        """Whether nothing more should be said for now."""
        return self.session.full

    @property
    def owed(self) -> int:
        """Questions that are not answered yet."""
        return self._pairing.owed

    def questions(self) -> list[Request]:
        """The questions that are not answered yet."""
        return list(self._pairing)

    def hand_over(self, request: Request) -> None:
        """Ask."""
        request.handed_over = True
        self._pairing.ask(request)
        self.session.sendLine(request.line)

    def prepare(self, hook: Callable[[Connection], object]) -> Deferred[None]:
        """Run `on_connect`; returns what fires when it has finished."""
        self._early = Pushes(self._owner.requests.pushes, self._early_dropped)
        self._task = Task(hook, self)
        return self._task.done

    def ready(self) -> list[str]:
        """`on_connect` has finished; returns the lines that it did not read."""
        early, self._early, self._task = self._early, None, None
        if self._heartbeat is not None:
            self._heartbeat.start(self._owner.now())
        return list(early.take()) if early else []

    def reply(self, line: str | None) -> None:
        """Send what `on_push` returned, if it did."""
        if line is not None:
            self.sendLine(line)

    def drop(self, reason: Reason, why: str) -> None:
        """Drop a connection that is of no use."""
        if self.session.state < State.CLOSED:
            self.why = why
            self.session.cut(Problem(reason, why))

    def close(self) -> None:
        """Say no more, send what is unsent, close."""
        self._cancel()
        super().close()

    def end(self) -> list[Request]:
        """It is gone; returns the questions that have no answer."""
        self._cancel()
        return self._pairing.clear()

    def check(self, now: float) -> None:
        """Act on answers that are overdue, and on silence."""
        for request in self._pairing:
            if request.owed_until > now:
                continue
            if not self._pairing.forget(request):
                self.drop(Reason.TIMEOUT, "an answer is overdue: whose the next are is lost")
                return
            self._owner.asking.flow()
        if self._heartbeat is not None and self.open:
            self._beat(self._heartbeat, now)

    def next_check(self) -> float:
        """When to check again, in the clock's seconds."""
        owed = min((request.owed_until for request in self._pairing), default=NEVER)
        return min(owed, self._heartbeat.next_look if self._heartbeat is not None else NEVER)

    # Inside.

    def _beat(self, heartbeat: Heartbeat, now: float) -> None:
        try:
            ping = heartbeat.check(now)
        except Dead:
            self.drop(Reason.TIMEOUT, "the heartbeat was not answered in time")
            return
        if ping is not None:
            self.hand_over(ping)

    def _answered(self, request: Request, answer: str) -> None:
        counters = self._owner.counters
        if request.answer is None:
            counters.late_answers += not isinstance(request, Ping)
        else:
            counters.answered += 1
            request.succeed(answer)
        self._owner.asking.flow()

    def _pushed(self, line: str) -> Reply:
        self._owner.counters.pushes += 1
        if self._early is None:
            return self._owner.pushed(line, self)
        self._early.put(line)
        return None

    def _early_dropped(self, first: bool) -> None:
        self._owner.counters.pushes_dropped += 1

    def _cancel(self) -> None:
        """Let go of `on_connect`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        if self._early is not None:
            self._early.end()


class Task:
    """The user's code, which may take its time.

    Args:
        hook: a function of a connection; it may return an awaitable.
        connection: what it is given.

    Attributes:
        done: fires when it has finished, or with what it raised.
    """

    def __init__(self, hook: Callable[[Connection], object], connection: Connection) -> None:
        self._coroutine = _run(hook, connection)
        self.done: Deferred[None] = Deferred.fromCoroutine(self._coroutine)

    def cancel(self) -> None:
        """Let go of it. Code that is running right now has itself led here, and goes on."""
        if inspect.getcoroutinestate(self._coroutine) != inspect.CORO_RUNNING:
            self.done.cancel()


async def _run(hook: Callable[[Connection], object], connection: Connection) -> None:
    result = hook(connection)
    if isinstance(result, Awaitable):
        await result
