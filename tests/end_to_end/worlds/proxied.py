"""TCP behind a proxy that says in a PROXY header whom it speaks for."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor

from tests.end_to_end.worlds.sockets import SocketPeer, SocketWorld
from tests.test_proxy_header import LINE4, V2_6
from twisted_sock import fast

SERVER = "tcp:0:proxy=loopback"


class ProxiedWorld(SocketWorld):
    """A server whose peers begin with a header.

    Args:
        header: the header.
        reactor: the global reactor, or a fast one.
    """

    def __init__(self, header: bytes, reactor: Any) -> None:
        super().__init__(SERVER, lambda host: f"tcp:127.0.0.1:{host.port}", reactor)
        self.header = header

    async def connect(self) -> SocketPeer:
        peer = await super().connect()
        peer.send(self.header)
        return peer


def proxied(_folder: Any) -> ProxiedWorld:
    return ProxiedWorld(V2_6, reactor)


def fast_proxied(_folder: Any) -> ProxiedWorld:
    return ProxiedWorld(LINE4, fast(reactor))
