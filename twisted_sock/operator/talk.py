"""One conversation of a service, as somebody sees it who watches and may step in.

The lines of a held conversation wait for somebody's answer. The service's own answer, here called
the script's, is given instead when nobody has answered in time, when the conversation is released,
or when nobody is attached any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from twisted_sock.interfaces import Reply
from twisted_sock.operator.history import History, Said, said_fields
from twisted_sock.operator.lessons import Lessons, Taught
from twisted_sock.operator.telling import Watcher, encode, tell
from twisted_sock.operator.waiting import Waiting
from twisted_sock.session import Session, State

#: The part of `reply_timeout` that a line may wait: the script needs some of it, too.
PATIENCE = 0.9


class Owner(Protocol):
    """What a conversation needs of the hub that it belongs to.

    Attributes:
        reactor: the reactor, or a clock in tests.
        taught: what was answered while conversations were held.
    """

    reactor: Any
    taught: Lessons

    def now(self) -> float:
        """The time, in seconds since 1970."""


class Talk:
    """One conversation.

    Args:
        hub: the hub that it belongs to.
        number: what it is called.
        session: where it takes place.
        watchers: who is told what happens.

    Attributes:
        since: when it began, in seconds since 1970.
        history: what was said.
        held: how many seconds a line waits; 0 when it is not held.
        mute: whether our side has ended: what is said goes nowhere.
        waiting: the lines that wait, the oldest first, by their numbers.
        quiet: whether nobody is told, and nothing waits: a line needs only to be noted.
    """

    def __init__(self, hub: Owner, number: int, session: Session, watchers: list[Watcher]) -> None:
        self._hub = hub
        self._session = session
        self.number = number
        self.peer = session.peer
        self.since = hub.now()
        self.history = History()
        self.held = 0.0
        self.mute = False
        self.waiting: dict[int, Waiting] = {}
        self.quiet = not watchers
        self._watchers = watchers
        self._taught: Taught | None = None
        self._saying: str | None = None  # what is being said by hand, and not noted yet
        self._unsent = False  # whether that could not be sent
        self._told_end = False

    # Who is told.

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody what happens from now on."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
        self.quiet = False

    def unwatch(self, watcher: Watcher) -> None:
        """Tell them no more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        self._see_whether_quiet()

    def tell(self, event: str, **more: Any) -> None:
        """Tell that something has happened.

        Args:
            event: what.
            more: what else there is to tell.
        """
        if self._watchers:
            data = {"event": event, "id": self.number, **more}
            tell(self._watchers, lambda: encode(data))

    def _see_whether_quiet(self) -> None:
        self.quiet = not (self._watchers or self.held)

    # What the tap tells.

    def note(self, way: str, text: str, by: str = "") -> None:
        """A line was said."""
        if self._saying is not None:
            self._settle()
        said = Said(way, text, self._hub.now(), by)
        self.history.add(said)
        if self._watchers:
            self.tell("line", **said_fields(said))

    def wait(self, line: str, script: Callable[[str], Reply]) -> Deferred[Any]:
        """Let a line, which was noted, wait for somebody.

        Args:
            line: the line.
            script: gives the answer when nobody does.

        Returns:
            Fires with the answer.
        """
        number = self.history.counts["in"]
        answer: Deferred[Any] = Deferred(lambda _: self._given_up(number))
        answer.addCallback(lambda lines: script(line) if lines is None else lines)
        seconds = self._patience()
        timer = self._hub.reactor.callLater(seconds, self._due, number)
        self.waiting[number] = Waiting(number, line, answer, timer)
        self.tell("waiting", line=number, text=line, seconds=round(seconds, 3))
        return answer

    def ends(self, mute: bool = False) -> None:
        """The service ends it; the peer may still be reading.

        Args:
            mute: whether our side has ended already.
        """
        self.mute = self.mute or mute
        if not self._told_end and self._session.state < State.GONE:
            self._told_end = True
            self.tell("closing")

    def unsent(self) -> None:
        """What is being said cannot be sent."""
        if self._saying is not None:
            self._saying = None
            self._unsent = True

    # What somebody does who is attached.

    def answer(self, text: str, number: int | None = None) -> tuple[int, bool]:
        """Answer a line that waits.

        Args:
            text: the answer.
            number: which line; None for the one that has waited longest.

        Returns:
            Which line it was, and whether the answer was sent, or is to be in its turn.

        Raises:
            LookupError: it does not wait, or none does.
        """
        waiting = self._take(next(iter(self.waiting), 0) if number is None else number, "operator")
        if waiting is None:
            raise LookupError("the line does not wait")
        self._taught = None
        sent = self._give(text, lambda: waiting.answer.callback([text]))
        if sent:
            self._taught = self._hub.taught.add(waiting.line, text)
        return waiting.number, sent

    def say(self, text: str) -> bool:
        """Say something unasked; while it is held, more of the answer before.

        Returns:
            Whether it was sent.
        """
        sent = self._give(text, lambda: self._push(text))
        if sent and self.held and self._taught is not None:
            self._hub.taught.more(self._taught, text)
        return sent

    @property
    def closing(self) -> bool:
        """Whether it takes no more lines, or says none."""
        return self.mute or self._session.state >= State.CLOSING

    @property
    def state(self) -> str:
        """How it is, in a word: open, held or closing."""
        return "closing" if self.closing else "held" if self.held else "open"

    def hold(self, seconds: float) -> float:
        """From now on let each line wait so long.

        Returns:
            How long: no reply may take longer than `reply_timeout`.
        """
        limit = self._session.limits.reply_timeout
        self.held = min(seconds, round(limit * PATIENCE, 3)) if limit else seconds
        self.quiet = False
        self.tell("held", seconds=self.held)
        return self.held

    def release(self, by: str = "operator") -> None:
        """Let the script answer again, first the lines that wait."""
        if self.held:
            self.held = 0.0
            self._taught = None
            self.tell("released", by=by)
        for number in list(self.waiting):
            self._let_script(number)
        self._see_whether_quiet()

    def close(self) -> None:
        """End the conversation; what waits for an answer gets none."""
        self.held = 0.0
        self._session.close()
        self.ends()
        for number in list(self.waiting):
            waiting = self._take(number, "nobody")
            if waiting is not None:
                waiting.answer.callback([])

    def abort(self) -> None:
        """Drop the connection."""
        self._session.abort()

    # Inside.

    def _patience(self) -> float:
        """How many seconds one more line waits: never less than those before it still do."""
        last = next(reversed(self.waiting.values()), None)
        left = 0.0 if last is None else last.timer.getTime() - self._hub.now()
        return max(self.held, left)

    def _due(self, number: int) -> None:
        """Nobody has answered a line in time, nor those before it."""
        for each in list(self.waiting):
            if each <= number:
                self._let_script(each)

    def _let_script(self, number: int) -> None:
        """Nobody has answered a line, and nobody shall: the script does."""
        waiting = self._take(number, "script")
        if waiting is not None:
            self._taught = None
            waiting.answer.callback(None)

    def _push(self, text: str) -> None:
        self._session.sendLine(text)
        if self._session.state >= State.CLOSED:  # the peer is too far behind, and was cut off
            self.unsent()

    def _give(self, text: str, give: Callable[[], object]) -> bool:
        """Say something by hand; it is noted when it is sent, before whatever comes then.

        Returns:
            Whether it could be sent.
        """
        self._saying, self._unsent = text, False
        give()
        self._settle()
        return not self._unsent

    def _settle(self) -> None:
        text, self._saying = self._saying, None
        if text is not None:
            self.note("out", text, "operator")

    def _given_up(self, number: int) -> None:
        """The session takes no answer any more."""
        self._take(number, "nobody")

    def _take(self, number: int, by: str) -> Waiting | None:
        """A line waits no more; returns it, if it did."""
        waiting = self.waiting.pop(number, None)
        if waiting is not None:
            if waiting.timer.active():
                waiting.timer.cancel()
            self.tell("answered", line=number, by=by)
        return waiting
