"""The operator's side of a service: what serves it, and what taps the conversations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted_sock import strings
from twisted_sock.errors import Problem, Reason, SettingError
from twisted_sock.http.exchange import Exchange
from twisted_sock.http.pages import CONSOLE
from twisted_sock.operator.commands import Desk
from twisted_sock.operator.control import Control, Lobby
from twisted_sock.operator.door import Door, read_token
from twisted_sock.operator.hub import Hub
from twisted_sock.operator.pages import PREFIX, Pages
from twisted_sock.operator.tap import Tap
from twisted_sock.server import Handler, LineFactory
from twisted_sock.settings import Limits, LinePolicy

#: Where the operator's page is; what it shares with the console is taken from there.
FOLDERS = (CONSOLE, "operator/page")

#: Those who are attached at once, and those who have yet to say the token.
MOST = 64
LOBBY = 16

#: What they may cost. Somebody who watches may be silent for hours.
LIMITS = Limits(
    max_connections=MOST,
    max_handshakes=LOBBY,
    idle_timeout=0,
    high_water=1 << 18,
    stall_timeout=60.0,
    drain_timeout=3.0,
)

#: The longest line: where only the owner of a UNIX socket comes in, and where there are others,
#: who may have bytes kept here before they say the token.
LINE = 65536
LINE_OF_ANYBODY = 4096


class Operator:
    """All that a service needs to be stepped into.

    Args:
        handler: the line protocol of the service.
        endpoint: where operators come in, as text.
        token_file: the file with the token; empty: there is none.
        reactor: the reactor.

    Attributes:
        endpoint: the endpoint string to listen on.
        tap: the line protocol to serve instead.
        hub: knows the conversations.
        factory: the factory of the operators' conversations.
        routes: what answers requests over HTTP, by the beginning of their paths.
        folders: where the files of the operator's page are.

    Raises:
        SettingError: the endpoint is for everybody, and there is no token; or the token cannot be
            read.
        TypeError: the handler is nothing that a factory takes.
    """

    def __init__(self, handler: Handler, endpoint: str, token_file: str, reactor: Any) -> None:
        kind, _, options = strings.parse(endpoint)
        owned = kind == "unix"
        if kind == "udp":
            raise SettingError("datagrams may come from anybody; take unix:, tls: or wss:")
        if not (owned or token_file):
            words = "others may connect here, too; give --operator-token FILE, or take unix:PATH"
            raise SettingError(words)
        self.endpoint = f"{endpoint}:mode=600" if owned and "mode" not in options else endpoint
        self.hub = Hub(reactor)
        self.tap = Tap(handler, self.hub)
        door = Door(owned, read_token(token_file) if token_file else "")
        desk = Desk(self.hub, handler)
        self.factory = LineFactory(
            Controls(desk, door, Lobby(reactor, LOBBY, self._note)),
            policy=LinePolicy(max_line=LINE_OF_ANYBODY if token_file else LINE),
            limits=LIMITS,
            reactor=reactor,
        )
        self.routes: Mapping[str, Callable[[Exchange], None]] = {PREFIX: Pages(desk, door)}
        self.folders = FOLDERS

    def _note(self, control: Control, words: str) -> None:
        self.factory.note(Problem(Reason.HANDSHAKE, f"operator: {words}"), control.peer)


class Controls:
    """The conversations with operators (see `LineApplication`).

    Args:
        desk: does what they ask.
        door: decides who gets in.
        lobby: where they wait until then.
    """

    def __init__(self, desk: Desk, door: Door, lobby: Lobby) -> None:
        self._desk = desk
        self._door = door
        self._lobby = lobby

    def build_protocol(self) -> Control:
        """One more of them."""
        return Control(self._desk, self._door, self._lobby)

    def start(self, reactor: Any) -> None:
        """The service starts."""

    def stop(self) -> None:
        """The service has stopped."""
