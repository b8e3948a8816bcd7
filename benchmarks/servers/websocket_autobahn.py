"""Autobahn's WebSocket server on Twisted's default reactor: echoes text messages."""

# mypy: disallow-untyped-calls=False
# (Autobahn is typed only in part.)

from __future__ import annotations

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor

from benchmarks.servers.answers import BACKLOG, arguments, echo


class Echo(WebSocketServerProtocol):
    """Sends every message back."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message came."""
        self.sendMessage(payload, isBinary)


port, _ = arguments(websocket=echo)
factory = WebSocketServerFactory()
factory.protocol = Echo
reactor.listenTCP(port, factory, BACKLOG, "127.0.0.1")
reactor.run()
