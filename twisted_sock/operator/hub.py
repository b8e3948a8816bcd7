"""The conversations of a service, and who is attached to it.

When the last who was attached is gone, whatever is held is released: who walks away blocks nobody.
Somebody who asks over HTTP has no connection to lose, and counts as gone when nothing was asked
for a while.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from twisted_sock.operator.lessons import Lessons
from twisted_sock.operator.talk import Talk
from twisted_sock.operator.telling import Watcher
from twisted_sock.session import Session

#: Conversations that are over whose history is kept.
PAST = 20

#: Seconds that somebody who has asked over HTTP is taken to be there.
VISIT = 60.0


class Hub:
    """The conversations of a service, and who is attached to it.

    Args:
        reactor: the reactor, or a clock in tests.

    Attributes:
        talks: the conversations that go on, by their numbers.
        past: some that are over.
        attached: who is there.
        taught: what was answered while conversations were held.
        over: whether the service stops.
    """

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.talks: dict[int, Talk] = {}
        self.past: deque[Talk] = deque(maxlen=PAST)
        self.attached: list[Watcher] = []
        self.taught = Lessons()
        self.over = False
        self._number = 0
        self._watchers: list[Watcher] = []  # of all conversations
        self._visit: IDelayedCall | None = None

    def now(self) -> float:
        """The time, in seconds since 1970."""
        return float(self.reactor.seconds())

    def find(self, number: int) -> Talk | None:
        """A conversation that goes on, or one of the last that did."""
        past = (talk for talk in self.past if talk.number == number)
        return self.talks.get(number) or next(past, None)

    # What the tap tells.

    def opened(self, session: Session) -> Talk:
        """A conversation has begun."""
        self._number += 1
        talk = Talk(self, self._number, session, list(self._watchers))
        self.talks[talk.number] = talk
        talk.tell("opened", peer=str(talk.peer), who=talk.peer.identity)
        return talk

    def closed(self, talk: Talk, reason: str) -> None:
        """A conversation is over."""
        if self.talks.pop(talk.number, None) is not None:
            self.past.append(talk)
            talk.tell("closed", reason=reason)

    # What those do who are attached.

    def attach(self, watcher: Watcher) -> None:
        """Somebody is there."""
        self.attached.append(watcher)

    def detach(self, watcher: Watcher) -> None:
        """Somebody is there no more; nothing waits for the last who was."""
        self.unwatch(watcher)
        if watcher in self.attached:
            self.attached.remove(watcher)
            self._release_if_left()

    def visit(self) -> None:
        """Somebody asks who has no connection to lose: taken to be there for a while."""
        if self._visit is not None:
            self._visit.reset(VISIT)
        elif not self.over:
            self._visit = self.reactor.callLater(VISIT, self._visit_over)

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody what happens from now on, in all conversations."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
            for talk in self.talks.values():
                talk.watch(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Tell them no more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        for talk in (*self.talks.values(), *self.past):
            talk.unwatch(watcher)

    def release_all(self, by: str) -> None:
        """Let the script answer everywhere."""
        for talk in list(self.talks.values()):
            talk.release(by)

    def end(self) -> None:
        """The service stops: what is held is released, and nothing is held any more."""
        self.over = True
        if self._visit is not None:
            self._visit.cancel()
            self._visit = None
        self.release_all("nobody")

    # Inside.

    def _visit_over(self) -> None:
        self._visit = None
        self._release_if_left()

    def _release_if_left(self) -> None:
        """Nothing waits for anybody when nobody is there."""
        if not self.attached and self._visit is None:
            self.release_all("nobody")
