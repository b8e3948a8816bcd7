"""The tap: a line protocol wrapped so that a hub learns what is said, and can answer in its place.

A conversation that is not held goes on exactly as without it: whatever a line protocol returns is
returned in its own kind, and lines are noted as they are taken from it. So they stand in a
history in the order in which they were said; with `--window` above 1 they may be sent in another.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import (
    Conversation,
    LineApplication,
    LineFunction,
    LineReceiver,
    Peer,
    Reply,
    Wire,
)
from twisted_sock.operator.hub import Hub
from twisted_sock.operator.talk import Talk
from twisted_sock.server import Handler, maker


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


class Tapped:
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
        self._hub = hub
        self._session: Conversation
        self._talk: Talk | None = None

    def makeConnection(self, session: Conversation) -> None:
        """Learn which session to speak through."""
        self._session = session
        if self._protocol is not None:
            self._protocol.makeConnection(TappedSession(session, self._say))

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
        return self._noted(self._handle(line))

    def connectionLost(self, reason: Reason) -> object:
        """The conversation is over."""
        if self._talk is not None:
            self._hub.closed(self._talk, str(reason))
        return None if self._protocol is None else self._protocol.connectionLost(reason)

    def problem_line(self, problem: Problem) -> str | None:
        """How to tell the peer of a problem."""
        words = str(problem) if self._protocol is None else self._protocol.problem_line(problem)
        self._say(words)
        return words

    def _answer(self, line: str) -> Reply:
        """What the other says to a line."""
        return self._noted(self._handle(line))

    def _say(self, line: object) -> None:
        """Note a line that is said, if it is one."""
        if self._talk is not None and isinstance(line, str):
            self._talk.note("out", line)

    # Replies of all kinds; see `replies` for what becomes of them.

    def _noted(self, reply: Reply) -> Reply:
        """A reply that does as another, and notes what is taken from it."""
        if reply is None or isinstance(reply, str):
            self._say(reply)
            return reply
        if isinstance(reply, Deferred):
            return self._after(reply)
        if isinstance(reply, Awaitable):
            return self._awaited(reply)
        if isinstance(reply, AsyncIterator):
            return _LinesLater(reply, self)
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
                self._say(line)
                yield line
        finally:
            if inspect.isgenerator(lines):
                lines.close()


class _LinesLater:
    """An async iterator whose lines are noted; in all else it is the other.

    Args:
        lines: the other.
        tapped: notes them.
    """

    def __init__(self, lines: AsyncIterator[str], tapped: Tapped) -> None:
        self._lines = lines
        self._tapped = tapped

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.__anext__()
        self._tapped._say(line)
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)


class TappedSession:
    """A session as the wrapped line protocol has it: what it says unasked is noted, too.

    Args:
        session: the session.
        say: notes a line.
    """

    def __init__(self, session: Conversation, say: Callable[[object], None]) -> None:
        self._session = session
        self._say = say
        self._wire: TappedWire | None = None

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._session.peer

    def sendLine(self, line: str) -> None:
        """Send a line now."""
        self._session.sendLine(line)
        self._say(line)

    def sendLines(self, lines: list[str]) -> None:
        """Send several lines now."""
        send: Any = getattr(self._session, "sendLines", None)
        if send is None:
            for line in lines:
                self.sendLine(line)
            return
        send(lines)
        for line in lines:
            self._say(line)

    @property
    def wire(self) -> Wire:
        """What is below the lines."""
        if self._wire is None:
            self._wire = TappedWire(self._session.wire, self._say)
        return cast(Wire, self._wire)

    def close(self) -> None:
        """Take no more lines, finish the replies in work, flush, close."""
        self._session.close()

    def abort(self) -> None:
        """Drop the connection now."""
        self._session.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class TappedWire:
    """A wire that notes what is sent past the session, as the lines that the peer may see.

    Args:
        wire: the wire; in all else this does as that.
        say: notes a line.
    """

    def __init__(self, wire: Wire, say: Callable[[object], None]) -> None:
        self._wire = wire
        self._say = say
        self._begun = b""

    def send_bytes(self, data: bytes, lines: int = 0) -> None:
        """Send exactly this, now."""
        self._wire.send_bytes(data, lines)
        *whole, self._begun = (self._begun + data).split(b"\n")
        for line in whole:
            self._note(line)

    def release(self) -> None:
        """Send what has waited."""
        if self._begun:
            self._note(self._begun)
            self._begun = b""
        self._wire.release()

    def _note(self, line: bytes) -> None:
        self._say(line.removesuffix(b"\r").decode(errors="backslashreplace"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)
