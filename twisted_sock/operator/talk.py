"""One conversation of a service, as somebody sees it who watches and may step in.

The lines of a held conversation wait for somebody's answer. The service's own answer, here called
the script's, is given instead when nobody has answered in time, when the conversation is released,
or when nobody is attached any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from twisted_sock.interfaces import Conversation, Reply
from twisted_sock.operator.history import History, Said, said_fields
from twisted_sock.operator.telling import Watcher, encode, tell


@dataclass(slots=True, eq=False)
class Waiting:
    """A line that waits for an answer.

    Args:
        number: the how-manyth line of the peer it is, from 1; its name in the conversation.
        line: the line.
        answer: fires with the lines of the answer; with None for the script to answer.
        timer: when it does.
    """

    number: int
    line: str
    answer: Deferred[Any]
    timer: IDelayedCall


@dataclass(slots=True)
class Taught:
    """What somebody has answered.

    Args:
        line: to which line.
        answer: the lines of the answer.
    """

    line: str
    answer: list[str]


class Owner(Protocol):
    """What a conversation needs of the hub that it belongs to.

    Attributes:
        reactor: the reactor, or a clock in tests.
    """

    reactor: Any

    def now(self) -> float:
        """The time, in seconds since 1970."""

    def teach(self, line: str, answer: str) -> Taught:
        """Keep what somebody has answered."""


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
        closing: whether somebody has ended it; the peer may still be reading.
        waiting: the lines that wait, the oldest first, by their numbers.
        quiet: whether nobody is told, and nothing waits: a line needs only to be noted.
    """

    def __init__(
        self, hub: Owner, number: int, session: Conversation, watchers: list[Watcher]
    ) -> None:
        self._hub = hub
        self._session = session
        self.number = number
        self.peer = session.peer
        self.since = hub.now()
        self.history = History()
        self.held = 0.0
        self.closing = False
        self.waiting: dict[int, Waiting] = {}
        self.quiet = not watchers
        self._watchers = watchers
        self._taught: Taught | None = None

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
        timer = self._hub.reactor.callLater(self.held, self._too_late, number)
        self.waiting[number] = Waiting(number, line, answer, timer)
        self.tell("waiting", line=number, text=line, seconds=self.held)
        return answer

    # What somebody does who is attached.

    def answer(self, text: str, number: int | None = None) -> int:
        """Answer a line that waits.

        Args:
            text: the answer.
            number: which line; None for the one that has waited longest.

        Returns:
            Which line it was.

        Raises:
            LookupError: it does not wait, or none does.
        """
        waiting = self._take(next(iter(self.waiting), 0) if number is None else number, "operator")
        if waiting is None:
            raise LookupError("the line does not wait")
        self._taught = self._hub.teach(waiting.line, text)
        self.note("out", text, "operator")
        waiting.answer.callback([text])
        return waiting.number

    def say(self, text: str) -> None:
        """Say something unasked; while it is held, more of the answer before."""
        if self.held and self._taught is not None:
            self._taught.answer.append(text)
        self._session.sendLine(text)
        self.note("out", text, "operator")

    @property
    def state(self) -> str:
        """How it is, in a word: open, held or closing."""
        return "closing" if self.closing else "held" if self.held else "open"

    def hold(self, seconds: float) -> None:
        """From now on let each line wait so long."""
        self.held = seconds
        self.quiet = False
        self.tell("held", seconds=seconds)

    def release(self, by: str = "operator") -> None:
        """Let the script answer again, first the lines that wait."""
        if self.held:
            self.held = 0.0
            self._taught = None
            self.tell("released", by=by)
        for number in list(self.waiting):
            self._too_late(number)
        self._see_whether_quiet()

    def close(self) -> None:
        """End the conversation; what waits for an answer gets none."""
        self.held = 0.0
        self.closing = True
        self._session.close()
        for number in list(self.waiting):
            waiting = self._take(number, "nobody")
            if waiting is not None:
                waiting.answer.callback([])

    def abort(self) -> None:
        """Drop the connection."""
        self._session.abort()

    # Inside.

    def _too_late(self, number: int) -> None:
        """Nobody has answered a line, and nobody shall: the script does."""
        waiting = self._take(number, "script")
        if waiting is not None:
            waiting.answer.callback(None)

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
