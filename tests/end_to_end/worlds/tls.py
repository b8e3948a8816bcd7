"""TLS over TCP. It has no half-close: who says goodbye does not read any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IHandshakeListener
from zope.interface import implementer

from tests.certificates import authority, server
from tests.contracts import STREAM
from twisted_sock import fast

from .sockets import SocketPeer, SocketWorld

CAN = STREAM - {"finish"}


@implementer(IHandshakeListener)
class TLSPeer(SocketPeer):
    """A bare peer over TLS, of whom nothing is wanted before hands are shaken."""

    shaken = False

    def handshakeCompleted(self) -> None:
        self.shaken = True


class TLSWorld(SocketWorld):
    """A server that speaks TLS, and its peers.

    Args:
        folder: where its certificate goes.
        reactor: the global reactor, or a fast one.
    """

    can = CAN
    peer = TLSPeer

    def __init__(self, folder: Any, reactor: Any) -> None:
        issuer = authority()
        trusted = Path(folder, "trusted")
        trusted.mkdir()
        (trusted / "ca.pem").write_bytes(issuer.pem)
        served = server(issuer, "localhost").write(Path(folder, "server.pem"))
        roots = str(trusted).replace(":", "\\:")
        super().__init__(
            f"tls:0:certificate={served}",
            lambda host: f"tls:localhost:{host.port}:trustRoots={roots}:bindAddress=127.0.0.1",
            reactor,
        )

    async def connect(self) -> SocketPeer:
        peer: Any = await super().connect()
        await self.until(lambda: peer.shaken or peer.over)
        return peer


def tls(folder: Any) -> SocketWorld:
    return TLSWorld(folder, reactor)


def fast_tls(folder: Any) -> SocketWorld:
    return TLSWorld(folder, fast(reactor))
