"""The conversations of a service, and who is attached to it.

Watchers are told of everything as it happens, as JSON: what peers say comes in no other form. When
the last who was attached is gone, whatever is held is released: who walks away blocks nobody.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted_sock.interfaces import Conversation
from twisted_sock.operator.talk import Talk, Taught

#: Conversations that are over whose history is kept.
PAST = 20

#: Answers that are kept to be saved.
TAUGHT = 10_000


class Watcher(Protocol):
    """Somebody who is attached."""

    def watches(self, number: int) -> bool:
        """Whether to be told of a conversation."""

    def tell(self, event: str) -> None:
        """Something has happened. Must not wait, and must not raise."""


class Hub:
    """The conversations of a service, and who is attached to it.

    Args:
        reactor: the reactor, or a clock in tests.

    Attributes:
        talks: the conversations that go on, by their numbers.
        past: some that are over.
        attached: who is there.
        taught: what was answered while conversations were held.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.talks: dict[int, Talk] = {}
        self.past: deque[Talk] = deque(maxlen=PAST)
        self.attached: list[Watcher] = []
        self.taught: deque[Taught] = deque(maxlen=TAUGHT)
        self._number = 0
        self.over = False

    @property
    def manned(self) -> bool:
        """Whether somebody is attached."""
        return bool(self.attached)

    def now(self) -> float:
        """The time, in seconds since 1970."""
        return float(self.reactor.seconds())

    def find(self, number: int) -> Talk | None:
        """A conversation that goes on, or one of the last that did."""
        past = (talk for talk in self.past if talk.number == number)
        return self.talks.get(number) or next(past, None)

    # What the tap tells.

    def opened(self, session: Conversation) -> Talk:
        """A conversation has begun."""
        self._number += 1
        talk = Talk(self, self._number, session)
        self.talks[talk.number] = talk
        self.tell(talk, "opened", lambda: {"peer": str(talk.peer), "who": talk.peer.identity})
        return talk

    def closed(self, talk: Talk, reason: str) -> None:
        """A conversation is over."""
        if self.talks.pop(talk.number, None) is not None:
            self.past.append(talk)
            self.tell(talk, "closed", lambda: {"reason": reason})

    # What those do who are attached.

    def attach(self, watcher: Watcher) -> None:
        """Somebody is there."""
        self.attached.append(watcher)

    def detach(self, watcher: Watcher) -> None:
        """Somebody is there no more; nothing waits for the last who was."""
        if watcher in self.attached:
            self.attached.remove(watcher)
        if not self.attached:
            self.release_all("nobody")

    def teach(self, line: str, answer: str) -> Taught:
        """Keep what somebody has answered."""
        self.taught.append(Taught(line, [answer]))
        return self.taught[-1]

    def release_all(self, by: str) -> None:
        """Let the script answer everywhere."""
        for talk in list(self.talks.values()):
            talk.release(by)

    def end(self) -> None:
        """The service stops: what is held is released, and nothing is held any more."""
        self.over = True
        self.release_all("nobody")

    def tell(self, talk: Talk, event: str, more: Callable[[], dict[str, Any]]) -> None:
        """Tell watchers of an event.

        Args:
            talk: in which conversation.
            event: what has happened.
            more: gives what else there is to tell, if there is somebody to be told.
        """
        watchers = [each for each in self.attached if each.watches(talk.number)]
        if watchers:
            text = encode({"event": event, "id": talk.number, **more()})
            for watcher in watchers:
                watcher.tell(text)


def encode(data: Any) -> str:
    """Data as JSON in one line of ASCII: nothing in it can end the line, or move a cursor."""
    return json.dumps(data, separators=(",", ":"))
