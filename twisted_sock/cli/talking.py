"""What the commands that talk to a server have in common: where it is, and what a line is."""

from __future__ import annotations

from typing import Any

from twisted.python.usage import UsageError

from twisted_sock.cli.command import CommandOptions
from twisted_sock.cli.link import Link, Owner
from twisted_sock.client.retry import Backoff
from twisted_sock.endpoints import CONNECTING, client_endpoint, split
from twisted_sock.errors import SettingError
from twisted_sock.settings import LinePolicy, Retry, Setting, settings_of

#: When to connect again: a person is waiting.
RETRY = Retry(max_delay=30.0, healthy_after=5.0)

_OF_A_LINE = {each.name: each for each in settings_of(LinePolicy)}

FRAMING = _OF_A_LINE["framing"]
DELIMITER = Setting("delimiter", "lf", "what ends the lines that are sent", "", ("lf", "crlf"))
LINGER = Setting(
    "linger",
    2.0,
    "through TLS and WebSockets the end of the input cannot be told: close when nothing came for "
    "so long",
    "seconds",
    (),
)


class TalkOptions(CommandOptions):
    """The command line of a command that talks to a server.

    Attributes:
        endpoint: where to connect to.
        first: lines to send whenever connected.
    """

    def __init__(self) -> None:
        super().__init__()
        self.endpoint = ""
        self.first: list[str] = []

    def postOptions(self) -> None:
        """See that the options go together."""
        super().postOptions()
        if self["framing"] == "chunk" and split(self.endpoint)[0] in ("ws", "wss"):
            raise UsageError("--framing: a WebSocket has messages already: each is a line or some")

    def encode(self, line: str) -> bytes:
        """The bytes to send for a line."""
        return line.encode(errors="surrogateescape") + self.ending

    @property
    def ending(self) -> bytes:
        """What goes behind a line that is sent."""
        if self["framing"] == "chunk":
            return b""
        return b"\r\n" if self["delimiter"] == "crlf" else b"\n"

    def shown(self) -> LinePolicy:
        """What a line is that is shown."""
        return LinePolicy(framing=self["framing"], overlong="truncate", invalid="replace")

    def link(self, reactor: Any, owner: Owner, again: bool) -> Link:
        """The link to the peer.

        Args:
            reactor: the reactor.
            owner: who is told of what happens.
            again: whether to connect again when the connection ends.
        """
        backoff = Backoff(RETRY, reactor.seconds) if again else None
        return link_to(self.endpoint, self["timeout"], reactor, owner, backoff)


def endpoint(text: str) -> str:
    """An endpoint that was given as an argument.

    Raises:
        UsageError: it is none.
    """
    try:
        split(text)
    except SettingError as error:
        raise UsageError(str(error)) from None
    return text


def line_to_send(text: str) -> str:
    """A line that was given as an argument.

    Raises:
        UsageError: it is not one line of UTF-8.
    """
    if "\n" in text:
        raise UsageError("a line to send has no newline in it; give several lines instead")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("a line to send is not valid UTF-8") from None
    return text


def link_to(
    text: str, seconds: float, reactor: Any, owner: Owner, backoff: Backoff | None = None
) -> Link:
    """A link to an endpoint.

    Args:
        text: the endpoint, as a person has written it.
        seconds: how long connecting, and then shaking hands, may take; 0: as long as usual.
        reactor: the reactor.
        owner: who is told of what happens.
        backoff: when to connect again; not at all when left out.
    """
    timeout = seconds or CONNECTING
    handshake = timeout if split(text)[0] == "tls" else 0.0
    return Link(reactor, client_endpoint(text, reactor, timeout), owner, handshake, backoff)
