"""One conversation of a service, as somebody sees it who watches and may step in.

The lines of a held conversation wait for somebody's answer. The service's own answer, here called
the script's, is given instead when nobody has answered in time, when the conversation is released,
or when nobody is attached any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from twisted_sock.interfaces import Conversation, Reply

#: What is kept of a conversation: the last so many lines, of so many characters together.
LINES = 200
CHARACTERS = 65536


class Said(NamedTuple):
    """A line that was said.

    Args:
        way: "in" from the peer, "out" to it.
        text: the line.
        at: when, in seconds since 1970.
        by: "operator" if somebody who is attached has said it; else empty.
    """

    way: str
    text: str
    at: float
    by: str = ""


@dataclass(slots=True, eq=False)
class Waiting:
    """A line that waits for an answer.

    Args:
        line: the line.
        answer: fires with the lines of the answer; with None for the script to answer.
        timer: when it does.
    """

    line: str
    answer: Deferred[Any]
    timer: IDelayedCall | None = None


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

    @property
    def manned(self) -> bool:
        """Whether somebody is attached."""

    def now(self) -> float:
        """The time, in seconds since 1970."""

    def teach(self, line: str, answer: str) -> Taught:
        """Keep what somebody has answered."""

    def tell(self, talk: Talk, event: str, more: Callable[[], dict[str, Any]]) -> None:
        """Tell watchers of an event (see `Hub.tell`)."""


class Talk:
    """One conversation.

    Args:
        hub: the hub that it belongs to.
        number: what it is called.
        session: where it takes place.

    Attributes:
        since: when it began, in seconds since 1970.
        counts: how many lines went "in" and "out".
        history: the last of them.
        held: how many seconds a line waits; 0 when it is not held.
        closing: whether somebody has ended it; the peer may still be reading.
        waiting: the lines that wait, the oldest first.
    """

    def __init__(self, hub: Owner, number: int, session: Conversation) -> None:
        self._hub = hub
        self._session = session
        self.number = number
        self.peer = session.peer
        self.since = hub.now()
        self.counts = {"in": 0, "out": 0}
        self.history: deque[Said] = deque()
        self._size = 0
        self.held = 0.0
        self.closing = False
        self.waiting: deque[Waiting] = deque()
        self._taught: Taught | None = None

    # What the tap tells.

    def note(self, way: str, text: str, by: str = "") -> None:
        """A line was said."""
        said = Said(way, text, self._hub.now(), by)
        self.counts[way] += 1
        self.history.append(said)
        self._size += len(text)
        while len(self.history) > LINES or self._size > CHARACTERS:
            self._size -= len(self.history.popleft().text)
        self._hub.tell(self, "line", lambda: said_fields(said))

    def wait(self, line: str, script: Callable[[str], Reply]) -> Deferred[Any]:
        """Let a line wait for somebody.

        Args:
            line: the line.
            script: gives the answer when nobody does.

        Returns:
            Fires with the answer.
        """
        answer: Deferred[Any] = Deferred(lambda _: self._forget(waiting, "nobody"))
        waiting = Waiting(line, answer)
        answer.addCallback(lambda lines: script(line) if lines is None else lines)
        waiting.timer = self._hub.reactor.callLater(self.held, self._too_late, waiting)
        self.waiting.append(waiting)
        self._hub.tell(self, "waiting", lambda: {"text": line, "seconds": self.held})
        return answer

    # What somebody does who is attached.

    def say(self, text: str) -> bool:
        """Answer the line that has waited longest; with none, say something unasked.

        Returns:
            Whether a line was answered.
        """
        if self.waiting:
            first = self.waiting[0]
            self._taught = self._hub.teach(first.line, text)
            self._forget(first, "operator")
            self.note("out", text, "operator")
            first.answer.callback([text])
            return True
        if self.held and self._taught is not None:
            self._taught.answer.append(text)
        self._session.sendLine(text)
        self.note("out", text, "operator")
        return False

    @property
    def state(self) -> str:
        """How it is, in a word: open, held or closing."""
        return "closing" if self.closing else "held" if self.held else "open"

    def hold(self, seconds: float) -> None:
        """From now on let each line wait so long."""
        self.held = seconds
        self._hub.tell(self, "held", lambda: {"seconds": seconds})

    def release(self, by: str = "operator") -> None:
        """Let the script answer again, first the lines that wait."""
        if self.held:
            self.held = 0.0
            self._taught = None
            self._hub.tell(self, "released", lambda: {"by": by})
        while self.waiting:
            self._give_up(self.waiting[0])

    def close(self) -> None:
        """End the conversation; what waits for an answer gets none."""
        self.held = 0.0
        self.closing = True
        self._session.close()
        while self.waiting:
            first = self.waiting[0]
            self._forget(first, "nobody")
            first.answer.callback([])

    def abort(self) -> None:
        """Drop the connection."""
        self._session.abort()

    # Inside.

    def _too_late(self, waiting: Waiting) -> None:
        """Nobody has answered in time; when nobody is there, nobody will."""
        waiting.timer = None
        self._give_up(waiting)
        if not self._hub.manned:
            self.release("nobody")

    def _give_up(self, waiting: Waiting) -> None:
        self._forget(waiting, "script")
        waiting.answer.callback(None)

    def _forget(self, waiting: Waiting, by: str) -> None:
        """A line waits no more."""
        if waiting not in self.waiting:
            return
        self.waiting.remove(waiting)
        if waiting.timer is not None:
            waiting.timer.cancel()
            waiting.timer = None
        self._hub.tell(self, "answered", lambda: {"by": by})


def said_fields(said: Said) -> dict[str, Any]:
    """A line that was said, as watchers and histories have it."""
    by = {"by": said.by} if said.by else {}
    return {"way": said.way, "text": said.text, "at": round(said.at, 6), **by}
