"""The contracts between the layers, each as small as it can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from twisted.internet.interfaces import IAddress
from zope.interface import Attribute, Interface

from twisted_sock.display import escape
from twisted_sock.errors import Problem, Reason

#: What the user's code may return for a line: nothing, one line, several, or any of these later.
Reply = None | str | Iterable[str] | Awaitable[Any] | AsyncIterator[str]

#: The simplest line protocol: a function of one line.
LineFunction = Callable[[str], Reply]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end.

    Args:
        address: the address as the transport gives it.
    """

    address: IAddress

    @property
    def host(self) -> str:
        """The IP address, or empty where the transport has none."""
        return escape(str(getattr(self.address, "host", "")))

    def __str__(self) -> str:
        """One short name for logs and people: `127.0.0.1:40312`, `[::1]:40312`, `unix`."""
        if not self.host:
            name = getattr(self.address, "name", None)
            return escape(f"unix:{name.decode(errors='replace')}") if name else "unix"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{getattr(self.address, 'port', 0)}"


class LineTransport(Protocol):
    """What a session needs below it: lines out, reading on and off, an end."""

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""

    def send(self, lines: list[str]) -> bool:
        """Send some lines.

        Returns:
            Whether more is welcome now. After a False the session's `writable` is called when
            it is.

        Raises:
            ValueError: a line cannot be sent (see `Framer.encode`); none was.
            TypeError: a line is not a `str`; none was sent.
        """

    @property
    def overrun(self) -> bool:
        """Whether the peer is so far behind that nothing more should be pushed to it."""

    def pause(self) -> None:
        """Stop reading; what was read already may still arrive."""

    def resume(self) -> None:
        """Read again."""

    def ending(self) -> None:
        """The last replies come now, then `close`: a peer that takes none of them is cut off."""

    def close(self) -> None:
        """Send what is unsent, then close. Nothing may be sent any more."""

    def abort(self) -> None:
        """Drop the connection now, and whatever is unsent with it."""


class Conversation(Protocol):
    """What a line protocol may do with its session."""

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""

    def sendLine(self, line: str) -> None:
        """Send a line now."""

    def close(self) -> None:
        """Take no more lines, finish the replies in work, flush, close."""

    def abort(self) -> None:
        """Drop the connection now."""


class LineReceiver(Protocol):
    """What a session needs above it: the user's code. `LineProtocol` is its base class."""

    def makeConnection(self, session: Conversation) -> None:
        """Learn which session to speak through."""

    def connectionMade(self) -> Reply:
        """The conversation begins; what is returned is the greeting."""

    def lineReceived(self, line: str) -> Reply:
        """A line came; what is returned is the reply."""

    def connectionLost(self, reason: Reason) -> object:
        """The conversation is over."""

    def problem_line(self, problem: Problem) -> str | None:
        """How to tell the peer of a problem; None for silence."""


@runtime_checkable
class LineApplication(Protocol):
    """A line protocol whose conversations share something, and that may need a reactor."""

    def build_protocol(self) -> LineReceiver:
        """The line protocol of a new conversation."""

    def start(self, reactor: Any) -> None:
        """The service starts."""

    def stop(self) -> None:
        """The service has stopped; every conversation is over."""


class ILinePlug(Interface):
    """A line protocol that an installed package offers by name; see `twisted_sock.plugs`."""

    name: str = Attribute("What `--protocol` calls it.")
    summary: str = Attribute("One line for `--help-protocols`.")
    target: str = Attribute("The dotted path of a function, LineProtocol or application.")
