"""The tap: a line protocol wrapped so that a hub learns what is said, and can answer in its place.

A conversation that is not held goes on exactly as without it: whatever a line protocol returns is
returned in its own kind, and lines are noted as they are taken from it. So they stand in a
history in the order in which they were said; with `--window` above 1 they may be sent in another.

Lines that are answered at once with one line, while nobody watches, are noted some together: that
is what nearly all lines of a busy service are, and what `--operator` costs them.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import (
    Conversation,
    LineApplication,
    LineFunction,
    LineReceiver,
    Reply,
)
from twisted_sock.many import ManyLines, many_lines, one_by_one
from twisted_sock.operator.hub import Hub
from twisted_sock.operator.talk import Talk
from twisted_sock.operator.tapped import LinesLater, TappedSession
from twisted_sock.server import Handler, maker
from twisted_sock.session import Session


class Tap:
    """What serves instead of another line protocol (see `LineApplication`).

    Args:
        handler: the other; what `LineFactory` takes.
        hub: learns what is said.

    Raises:
        TypeError: the handler is nothing that a factory takes.
    """

    def __init__(self, handler: Handler, hub: Hub) -> None:
        self._make = maker(handler)
        self._handler = handler
        self._hub = hub

    def build_protocol(self) -> LineReceiver:
        """The line protocol of a new conversation."""
        return Tapped(self._make(), self._hub)

    def start(self, reactor: Any) -> None:
        """The service starts."""
        if isinstance(self._handler, LineApplication):
            self._handler.start(reactor)

    def stop(self) -> None:
        """The service has stopped."""
        if isinstance(self._handler, LineApplication):
            self._handler.stop()

    def reload(self) -> None:
        """Read again what was read from files, if the other can."""
        if hasattr(self._handler, "reload"):
            self._handler.reload()


class Tapped(ManyLines):
    """The line protocol of one conversation, in place of another (see `LineReceiver`).

    Args:
        inner: the other: a function of one line, or a line protocol.
        hub: learns what is said.
    """

    def __init__(self, inner: LineFunction | LineReceiver, hub: Hub) -> None:
        self._protocol: LineReceiver | None = None
        if hasattr(inner, "lineReceived"):
            self._protocol = cast(LineReceiver, inner)
            self._handle: LineFunction = self._protocol.lineReceived
        else:
            self._handle = inner
        self._many = many_lines(inner)
        self._hub = hub
        self._now: Callable[[], float] = hub.reactor.seconds
        self._session: Session
        self._talk: Talk | None = None
        self._asked: list[str] = []  # lines that are answered now, and not noted yet
        self._replies: list[str] = []  # what they are answered, behind what was noted
        self._noted_replies = 0
        self._owed = 0  # lines that were noted when something was said before their replies

    def makeConnection(self, session: Conversation) -> None:
        """Learn which session to speak through."""
        self._session = cast(Session, session)
        if self._protocol is not None:
            self._protocol.makeConnection(TappedSession(session, self))

    def connectionMade(self) -> Reply:
        """The conversation begins."""
        self._talk = self._hub.opened(self._session)
        return None if self._protocol is None else self._noted(self._protocol.connectionMade())

    def lineReceived(self, line: str) -> Reply:
        """A line came: the other answers it, or somebody who holds the conversation."""
        talk = self._talk
        if talk is None:  # the other failed when it learnt of its session
            talk = self._talk = self._hub.opened(self._session)
        talk.note("in", line)
        if talk.held:
            return talk.wait(line, self._answer)
        return self._answer(line)

    def answer_lines(self, lines: Iterator[str], replies: list[str]) -> Reply:
        """Several lines came (see `ManyLines`)."""
        if self._talk is None or not self._talk.quiet:
            return one_by_one(self.lineReceived, lines, replies)
        self._replies, self._noted_replies = replies, len(replies)
        try:
            if self._many is None:
                reply = self._each_in_turn(lines, replies)
            else:
                reply = self._many(self._taken(lines), replies)
        finally:
            self._settle()
            self._replies = []
        return None if reply is None else self._noted(reply)

    def connectionLost(self, reason: Reason) -> object:
        """The conversation is over."""
        if self._talk is not None:
            self._hub.closed(self._talk, str(reason))
        return None if self._protocol is None else self._protocol.connectionLost(reason)

    def problem_line(self, problem: Problem) -> str | None:
        """How to tell the peer of a problem."""
        words = str(problem) if self._protocol is None else self._protocol.problem_line(problem)
        if problem.reason is Reason.DATAGRAM and self._talk is not None:
            self._talk.unsent()
        self.before()
        self.say(words)
        return words

    # What is said.

    def say(self, line: object) -> None:
        """Note a line that is said, if it is one."""
        if self._talk is not None and isinstance(line, str):
            self._talk.note("out", line)
        self._noted_replies = len(self._replies)  # when it was sent, they were, too

    def before(self) -> None:
        """Note what was said in lines and plain replies until now: something else comes."""
        self._owed = self._note()

    def ends(self, mute: bool = False) -> None:
        """The other ends the conversation, or our side of it."""
        if self._talk is not None:
            self._talk.ends(mute)

    def _settle(self) -> None:
        """Note it: no line is being answered, and the last one may have had no plain reply."""
        self._note()
        self._owed = 0

    def _note(self) -> int:
        """Note it; returns how many of the lines, none or the last one, have no reply yet."""
        talk, asked, replies = self._talk, self._asked, self._replies
        if self._noted_replies:
            replies = replies[self._noted_replies :]
        if talk is None or not (asked or replies):
            return self._owed
        self._noted_replies += len(replies)
        owed = len(asked) - len(replies) + self._owed
        if owed or self._owed:
            note_each(talk, asked, replies, self._owed)
        else:
            talk.history.add_all(self._now(), asked, replies)
        asked.clear()
        return owed

    def _taken(self, lines: Iterator[str]) -> Iterator[str]:
        """Some lines, which are remembered as they are taken."""
        replies, take = self._replies, self._asked.append
        answered = len(replies)
        for line in lines:
            if len(replies) != answered:  # the line before had no reply, or more was said
                self._settle()
                answered = len(replies)
            answered += 1
            take(line)
            yield line

    def _each_in_turn(self, lines: Iterator[str], replies: list[str]) -> Reply:
        """Answer several lines with a function of one."""
        handle, add = self._handle, replies.append
        take = self._asked.append
        for line in lines:
            take(line)
            reply = handle(line)
            if type(reply) is str:
                add(reply)
                continue
            if reply is not None:
                return reply
            self._settle()
        return None

    def _answer(self, line: str) -> Reply:
        """What the other says to a line."""
        return self._noted(self._handle(line))

    # Replies of all kinds; see `replies` for what becomes of them.

    def _noted(self, reply: Reply) -> Reply:
        """A reply that does as another, and notes what is taken from it."""
        if reply is None or isinstance(reply, str):
            self.say(reply)
            return reply
        if isinstance(reply, Deferred):
            return self._after(reply)
        if isinstance(reply, Awaitable):
            return self._awaited(reply)
        if isinstance(reply, AsyncIterator):
            return LinesLater(reply, self)
        if isinstance(reply, Iterable) and not isinstance(reply, bytes | bytearray):
            return self._each(iter(reply))
        return reply  # which is none, as the session will say

    def _after(self, reply: Deferred[Any]) -> Deferred[Any]:
        """What fires with the reply that a Deferred fires with, and leaves that as it is."""
        noted: Deferred[Any] = Deferred(lambda _: reply.cancel())

        def fired(result: Any) -> Any:
            failed = isinstance(result, Failure)
            if noted.called:  # it was given up
                return result
            if failed:
                noted.errback(result)
                return None
            try:
                words = self._noted(result)
            except BaseException:
                noted.errback(Failure())
            else:
                noted.callback(words)
            return result

        reply.addBoth(fired)
        return noted

    async def _awaited(self, reply: Awaitable[Any]) -> Any:
        return self._noted(await reply)

    def _each(self, lines: Iterator[str]) -> Iterator[str]:
        try:
            for line in lines:
                self.say(line)
                yield line
        finally:
            if inspect.isgenerator(lines):
                lines.close()


def note_each(talk: Talk, asked: list[str], replies: list[str], owed: int) -> None:
    """Note lines and plain replies that are not one for one.

    Args:
        talk: where.
        asked: the lines; the last ones may have no reply.
        replies: the replies.
        owed: how many of these, the first, are to lines that were noted before.
    """
    for reply in replies[:owed]:
        talk.note("out", reply)
    for line, answer in zip_longest(asked, replies[owed:]):
        if line is not None:
            talk.note("in", line)
        if answer is not None:
            talk.note("out", answer)
