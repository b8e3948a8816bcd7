"""A session, the wire below it, and replies that come line by line, for who is tapped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, cast

from twisted_sock.errors import Problem
from twisted_sock.interfaces import Conversation, Peer, Wire


class Notes(Protocol):
    """What learns what is said past the replies."""

    def before(self) -> None:
        """Something is about to be said."""

    def say(self, line: object) -> None:
        """It was said."""

    def ends(self, mute: bool = False) -> None:
        """The conversation ends, or only our side of it: what is said goes nowhere."""


class TappedSession:
    """A session as the wrapped line protocol has it: what it says unasked is noted, too.

    Args:
        session: the session.
        notes: learns what is said.
    """

    def __init__(self, session: Conversation, notes: Notes) -> None:
        self._session = session
        self._notes = notes
        self._wire: TappedWire | None = None

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._session.peer

    def sendLine(self, line: str) -> None:
        """Send a line now."""
        self._notes.before()
        self._session.sendLine(line)
        self._notes.say(line)

    def sendLines(self, lines: list[str]) -> None:
        """Send several lines now."""
        send: Any = getattr(self._session, "sendLines", None)
        if send is None:
            for line in lines:
                self.sendLine(line)
            return
        self._notes.before()
        send(lines)
        for line in lines:
            self._notes.say(line)

    def tell(self, problem: Problem) -> None:
        """Tell the peer of a problem, which is noted when it is put into words."""
        self._notes.before()
        session: Any = self._session
        session.tell(problem)
        self._notes.before()

    @property
    def wire(self) -> Wire:
        """What is below the lines."""
        if self._wire is None:
            self._wire = TappedWire(self._session.wire, self._notes)
        return cast(Wire, self._wire)

    def close(self) -> None:
        """Take no more lines, finish the replies in work, flush, close."""
        self._session.close()
        self._notes.ends()

    def abort(self) -> None:
        """Drop the connection now."""
        self._session.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class TappedWire:
    """A wire that notes what is sent past the session, as the lines that the peer may see.

    Args:
        wire: the wire; in all else this does as that.
        notes: learns what is said.
    """

    def __init__(self, wire: Wire, notes: Notes) -> None:
        self._wire = wire
        self._notes = notes
        self._begun = b""

    def send_bytes(self, data: bytes, lines: int = 0) -> None:
        """Send exactly this, now."""
        self._notes.before()
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

    def end_output(self) -> None:
        """End our side when everything is sent."""
        self._wire.end_output()
        self._notes.ends(mute=True)

    def _note(self, line: bytes) -> None:
        self._notes.say(line.removesuffix(b"\r").decode(errors="backslashreplace"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)


class LinesLater:
    """An async iterator whose lines are noted; in all else it is the other.

    Args:
        lines: the other.
        notes: learns of them.
    """

    def __init__(self, lines: AsyncIterator[str], notes: Notes) -> None:
        self._lines = lines
        self._notes = notes

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.__anext__()
        self._notes.say(line)
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)
