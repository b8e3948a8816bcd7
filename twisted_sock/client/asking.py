"""What a client asks and says: waiting in the outbox, handed to the connection, or over.

It moves only forwards. What was handed to a connection ends with that connection, as nobody can
say whether it was executed; what is in the outbox waits for the next one.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from twisted_sock.client.connection import Connection
from twisted_sock.client.events import ClientCounters, Dropped, Event
from twisted_sock.client.outbox import Outbox
from twisted_sock.client.requests import NEVER, Cancelled, Matcher, Request
from twisted_sock.errors import ConnectionGone, NotSent, RequestError, TooLate
from twisted_sock.framing import make_framer
from twisted_sock.settings import LinePolicy, Requests


class Note:
    """A line that expects no answer.

    Args:
        line: its text.

    Attributes:
        place: fires when it has a place in the outbox, or has been sent.
    """

    __slots__ = ("line", "place")

    def __init__(self, line: str) -> None:
        self.line = line
        self.place: Deferred[None] = Deferred()

    def placed(self) -> None:
        """It has a place."""
        if not self.place.called:
            self.place.callback(None)

    def refuse(self, error: NotSent) -> None:
        """It has none."""
        if not self.place.called:
            self.place.errback(error)


class Asking:
    """The requests and notes of one client.

    Args:
        settings: how to ask.
        policy: what a line is.
        matcher: which line answers which question.
        counters: where to count.
        now: tells the time, in the clock's seconds.
        check_by: called with the time by which `expire` must be called.
        tell: called with events.

    Attributes:
        connection: the connection that there is.
        ready: whether the outbox may flow to it.
        refusal: why nothing is taken any more; empty while it is.
    """

    def __init__(
        self,
        settings: Requests,
        policy: LinePolicy,
        matcher: Matcher,
        *,
        counters: ClientCounters,
        now: Callable[[], float],
        check_by: Callable[[float], None],
        tell: Callable[[Event], None],
    ) -> None:
        self.connection: Connection | None = None
        self.ready = False
        self.refusal = ""
        self._settings = settings
        self._checker = make_framer(policy)
        self._matcher = matcher
        self._counters = counters
        self._now = now
        self._check_by = check_by
        self._tell = tell
        self._outbox: Outbox[Request | Note] = Outbox(
            settings.outbox, settings.overflow, self._displaced
        )
        self._flowing = False

    def request(self, line: str, timeout: float | None) -> Deferred[str]:
        """Ask, as soon as there is room (see `Caller.request`)."""
        request = self.new_request(line, timeout)
        answer = request.answer
        assert answer is not None
        self._put(request)
        return answer

    def send(self, line: str) -> Deferred[None]:
        """Say something, as soon as there is room (see `Caller.send`)."""
        self.see_that_it_can_be_sent(line)
        note = Note(line)
        self._put(note)
        return note.place

    def new_request(self, line: str, timeout: float | None) -> Request:
        """A request with its deadline, that is nowhere yet."""
        self.see_that_it_can_be_sent(line)
        key = self._matcher.question(line)
        seconds = self._settings.timeout if timeout is None else timeout
        if not seconds >= 0:  # nan, too
            raise ValueError(f"a timeout is 0 or more seconds, not {seconds}")
        deadline = self._now() + seconds if seconds else NEVER
        self._counters.asked += 1
        return Request(line, key, deadline, self._cancelled)

    def watch(self, entry: Request | Note) -> None:
        """See that the deadline of a request is kept."""
        if isinstance(entry, Request) and entry.answer is not None:
            self._check_by(entry.deadline)

    def see_that_it_can_be_sent(self, line: str) -> None:
        """See that a line is one.

        Raises:
            TypeError: it is not a `str`.
            ValueError: it holds a newline or a lone surrogate.
        """
        if not isinstance(line, str):
            raise TypeError(f"a line is a str, not a {type(line).__name__}")
        if "\n" in line or not line.isascii():
            self._checker.encode([line])

    def flow(self) -> None:
        """Send as much of the outbox as there is room for."""
        if self._flowing:
            return
        self._flowing = True
        try:
            while self._outbox and self._has_room(self._outbox.first()):
                self._hand_over(self._outbox.pop())
                self._outbox.move_up()
        finally:
            self._flowing = False

    def fail(self, request: Request, error: RequestError) -> None:
        """A request ends without an answer."""
        if request.answer is not None:
            self._counters.failed[type(error).__name__] += 1
            request.fail(error)

    def connection_gone(self, why: str) -> None:
        """What was handed to the connection ends with it."""
        connection, self.connection = self.connection, None
        self.ready = False
        for request in connection.end() if connection is not None else ():
            self.fail(request, ConnectionGone(request.line, why))

    def refuse(self, why: str) -> None:
        """Let go of everything, and take nothing any more."""
        self.refusal = why
        self.ready = False
        for entry in self._outbox.clear():
            self._drop(entry, why)
        for request in self._questions():
            self.fail(request, ConnectionGone(request.line, why))

    def expire(self, now: float) -> None:
        """Give up requests whose deadline has passed. Their places stay: answers may still come.

        Args:
            now: the clock's seconds.
        """
        for request in self._awaited():
            if request.deadline <= now and request.answer is not None:
                sent = request.handed_over
                self._abandon(request)
                why = "no answer in time" if sent else "it could not be sent in time"
                self.fail(request, TooLate(request.line, why, sent))

    def next_due(self) -> float:
        """When the next deadline passes, in the clock's seconds."""
        return min((request.deadline for request in self._awaited()), default=NEVER)

    # Inside.

    def _questions(self) -> list[Request]:
        """What was handed to the connection and is not answered."""
        return [] if self.connection is None else self.connection.questions()

    def _awaited(self) -> list[Request]:
        """All requests that somebody waits for."""
        waiting = [entry for entry in self._outbox if isinstance(entry, Request)]
        return [each for each in waiting + self._questions() if each.answer is not None]

    def _put(self, entry: Request | Note) -> None:
        """Send an entry, or give it a place, or refuse it."""
        if self.refusal:
            self._drop(entry, self.refusal)
        elif not self._outbox and self._has_room(entry):
            self._hand_over(entry)
            entry.placed()
        else:
            try:
                self._outbox.put(entry)
            except NotSent as error:
                self._drop(entry, str(error))
        self.watch(entry)

    def _has_room(self, entry: Request | Note) -> bool:
        """Whether the connection can take this."""
        connection = self.connection
        if connection is None or not self.ready or connection.full:
            return False
        window = self._settings.window
        return not 0 < window <= connection.owed or isinstance(entry, Note)

    def _hand_over(self, entry: Request | Note) -> None:
        assert self.connection is not None
        if isinstance(entry, Request):
            self.connection.hand_over(entry)
        else:
            self.connection.sendLine(entry.line)

    def _displaced(self, entry: Request | Note) -> None:
        self._drop(entry, "newer lines needed its place in the outbox")

    def _drop(self, entry: Request | Note, why: str) -> None:
        """An entry will not be sent: count that and tell of it."""
        self._counters.dropped += 1
        error = NotSent(entry.line, why)
        if isinstance(entry, Request):
            self.fail(entry, error)
        else:
            entry.refuse(error)
        self._tell(Dropped(entry.line, why))

    def _cancelled(self, request: Request) -> None:
        self._counters.failed[Cancelled.__name__] += 1
        self._abandon(request)

    def _abandon(self, request: Request) -> None:
        """Nobody waits for this one any more."""
        if not request.handed_over:
            self._outbox.remove(request)
            return
        request.owed_until = self._now() + (self._settings.overdue or NEVER)
        self._check_by(request.owed_until)
