"""Twisted's own `twisted.web.websocket` on the default reactor: echoes text messages."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from twisted.web.websocket import WebSocketResource, WebSocketTransport

from benchmarks.servers.answers import BACKLOG, arguments, echo


class Echo:
    """Sends every message back."""

    @classmethod
    def buildProtocol(cls, request: Request) -> Echo:
        """The protocol of a connection."""
        return cls()

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """The connection is made."""
        self.transport = transport

    def negotiationFinished(self) -> None:
        """WebSocket is spoken from now on."""

    def textMessageReceived(self, message: str) -> None:
        """A text message came."""
        self.transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        """A binary message came; nobody sends one."""

    def pongReceived(self, payload: bytes) -> None:
        """A pong came; nobody asked for one."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""


port, _ = arguments(websocket=echo)
root = Resource()
root.putChild(b"", WebSocketResource(Echo))
site: Any = Site(root)  # a factory, but not to its types
reactor.listenTCP(port, site, BACKLOG, "127.0.0.1")
reactor.run()
