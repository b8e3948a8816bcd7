"""The contracts between the layers, each as small as it can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from twisted.internet.interfaces import IAddress
from zope.interface import Attribute, Interface, implementer

from twisted_sock.deadlines import Deadlines
from twisted_sock.display import escape
from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import Run
from twisted_sock.metrics import Counters
from twisted_sock.openings import Openings
from twisted_sock.settings import Limits, LinePolicy

#: What the user's code may return for a line: nothing, one line, several, or any of these later.
Reply = None | str | Iterable[str] | Awaitable[Any] | AsyncIterator[str]

#: The simplest line protocol: a function of one line.
LineFunction = Callable[[str], Reply]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client's certificate that was verified.

    Args:
        subject: whose it is, as RFC 4514 writes it: `CN=alice,O=Example`.
        issuer: who says so, written alike.
        names: the alternative names: `DNS:alice.example`, `email:alice@example.org`.
        fingerprint: its SHA-256, in hexadecimal digits.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """The process at the other end of a UNIX socket, as it was when it connected.

    Args:
        pid: its number.
        uid: its user.
        gid: its group.
    """

    pid: int
    uid: int
    gid: int


@implementer(IAddress)  # so that `buildProtocol` can be given one
@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end.

    Args:
        address: the address as the transport gives it, or as a proxy that is trusted does.
        via: the address of that proxy.
        certificate: the certificate that it has shown over TLS.
        credentials: the process, on a UNIX socket.
    """

    address: IAddress
    via: IAddress | None = None
    certificate: Certificate | None = None
    credentials: Credentials | None = None

    @property
    def identity(self) -> str:
        """Who it has proved to be: `CN=alice`, `uid 1000`; empty when it has proved nothing."""
        if self.certificate is not None:
            return escape(self.certificate.subject)
        if self.credentials is not None:
            return f"uid {self.credentials.uid}"
        return ""

    @property
    def host(self) -> str:
        """The IP address, or empty where the transport has none.

        An IPv4 address that a socket for IPv6 has mapped (RFC 4291 section 2.5.5.2) is shown as
        what it is.
        """
        host = str(getattr(self.address, "host", ""))
        mapped = host.removeprefix("::ffff:")
        return escape(mapped if "." in mapped else host)

    def __str__(self) -> str:
        """One short name for logs and people: `127.0.0.1:40312`, `[::1]:40312`, `unix`."""
        if not self.host:
            name = getattr(self.address, "name", None)
            return escape(f"unix:{name.decode(errors='replace')}") if name else "unix"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{getattr(self.address, 'port', 0)}"


class Wire(Protocol):
    """A connection below its lines, for those who send something else than whole lines at once.

    Attributes:
        streams: whether what is sent arrives as a stream of bytes; else whole, or not at all.
        halves: whether our side of it can be ended by itself.
    """

    @property
    def streams(self) -> bool:
        """Whether it is a stream of bytes."""

    @property
    def halves(self) -> bool:
        """Whether our side of it can be ended by itself."""

    def encode(self, lines: list[str]) -> bytes:
        """The bytes that some lines are sent as.

        Raises:
            ValueError: a line cannot be sent (see `Framer.encode`).
        """

    def hold(self) -> None:
        """Let whatever else is sent wait until `release`, so that it does not come in between."""

    def send_bytes(self, data: bytes, lines: int = 0) -> None:
        """Send exactly this, now, after all that was sent before.

        Args:
            data: some bytes.
            lines: how many lines end in it; they are counted.
        """

    def release(self) -> None:
        """Send what has waited."""

    def end_output(self) -> None:
        """End our side when everything is sent; what is sent from now on goes nowhere."""

    def stop_reading(self) -> None:
        """Take nothing more from the peer, whoever else wants to read."""

    def read_again(self) -> None:
        """Take it again."""

    def abort(self) -> None:
        """Break the connection off."""


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

    @property
    def wire(self) -> Wire:
        """What is below the lines."""


class LineSession(Protocol):
    """What a transport needs of a session.

    Attributes:
        reason: why the conversation ends or has ended; None while it goes on.
        rested: when a reply that had to be waited for was last done, in the clock's seconds.
    """

    reason: Reason | None
    rested: float

    @property
    def busy(self) -> bool:
        """Whether a reply is in work or a line waits for one."""

    def start(self) -> None:
        """The connection is made."""

    def answer(self, lines: list[str]) -> list[str]:
        """Lines came, and nothing else; return replies to send now."""

    def receive(self, runs: list[Run]) -> None:
        """Lines and problems came, in order."""

    def shorten(self) -> None:
        """The replies were large: answer fewer lines at once."""

    def hold(self) -> None:
        """The transport has enough: wait until it is writable."""

    def send_each(self, lines: list[str]) -> None:
        """Send lines one by one, as together they could not be sent."""

    def end_input(self) -> None:
        """The peer has finished."""

    def writable(self) -> None:
        """The transport has room again."""

    def fail(self, problem: Problem) -> None:
        """Tell the peer of a problem that ends the conversation, and close."""

    def cut(self, problem: Problem) -> None:
        """Drop a connection with a problem that its peer cannot be told."""

    def drain(self) -> None:
        """Take no more lines, answer those that came, close."""

    def abort(self) -> None:
        """Drop the connection now."""

    def words(self, problem: Problem) -> str | None:
        """How to tell the peer of a problem; None for silence."""

    def lost(self, reason: Reason) -> Reason:
        """The connection is gone; return why, if it was known better."""

    def check(self, now: float) -> None:
        """Give up replies that took too long."""

    def next_check(self, now: float) -> float:
        """When to check again."""


class SessionTransport(LineTransport, Protocol):
    """A transport that keeps the session it has opened.

    Attributes:
        session: the session.
        is_connection: whether it is one of those that `max_connections` limits; a peer that
            only sends datagrams has none.
    """

    session: LineSession
    is_connection: ClassVar[bool]


class LineOwner(Protocol):
    """What a transport needs of the factory that its conversations belong to.

    Attributes:
        now: tells the time, in the clock's seconds.
        reactor: the reactor, or a clock in tests.
        policy: what a line is.
        limits: the limits.
        counters: the counters.
        deadlines: checks connections when they ask for it.
        openings: the connections whose conversation has yet to begin.
    """

    now: Callable[[], float]
    reactor: Any
    policy: LinePolicy
    limits: Limits
    counters: Counters
    deadlines: Deadlines
    openings: Openings

    def open_session(self, transport: SessionTransport) -> LineSession:
        """The session of a new connection; its `start` is for the transport to call."""

    def session_ended(self, transport: SessionTransport, reason: Reason) -> None:
        """A connection is gone."""

    def note(self, problem: Problem, peer: Peer) -> None:
        """Count and log what went wrong with a peer that has no session."""


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

    @property
    def wire(self) -> Wire:
        """What is below the lines."""


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
