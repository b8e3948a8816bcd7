"""TCP and UNIX sockets, and what other worlds of byte streams build on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from zope.interface import implementer

from tests.contracts import STREAM
from twisted_sock import Limits, LineFactory, LinePolicy, fast
from twisted_sock.listeners import server_endpoint

PATIENCE = 20.0


@implementer(IHalfCloseableProtocol)
class SocketPeer(Protocol):
    """A bare peer on a real socket."""

    def __init__(self, world: SocketWorld) -> None:
        self.world = world
        self.received = bytearray()
        self.over = False
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.over = True

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Any = None) -> None:
        self.over = self.lost = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def end(self) -> None:
        self.transport.loseWriteConnection()

    def reset(self) -> None:
        self.transport.abortConnection()

    def stop_reading(self) -> None:
        self.transport.pauseProducing()

    def start_reading(self) -> None:
        self.transport.resumeProducing()

    async def lines(self, count: int) -> list[str]:
        await self.world.until(lambda: self.over or self.received.count(b"\n") >= count)
        lines = self.received.decode().split("\n", count)
        assert len(lines) > count, f"ended after {lines}"
        self.received[:] = lines.pop().encode()
        return [line.removesuffix("\r") for line in lines]

    async def rest(self) -> list[str]:
        self.transport.resumeProducing()
        await self.world.until(lambda: self.over)
        self.transport.loseConnection()
        lines = self.received.decode().split("\n")
        return [line.removesuffix("\r") for line in lines if line]


class SocketWorld:
    """A server on a real socket, and its peers.

    Args:
        server: the endpoint string to listen on.
        client: the endpoint string to connect to, from the address that is listened on.
        reactor: the global reactor, or a fast one.
    """

    can = STREAM
    peer = SocketPeer

    def __init__(self, server: str, client: Callable[[Any], str], reactor: Any) -> None:
        self.reactor = reactor
        self.server = server
        self.tells_resets = not server.startswith("unix")
        self.client = client
        self.peers: list[SocketPeer] = []
        self.listening: Any = None

    def serve(self, handler: Any, policy: LinePolicy, limits: Limits) -> None:
        self.factory = LineFactory(handler, policy=policy, limits=limits)
        self.listening = server_endpoint(self.server, self.reactor).listen(self.factory)

    async def connect(self) -> SocketPeer:
        port = await self.listening
        self.listening = Deferred()
        self.listening.callback(port)
        peer = self.peer(self)
        self.peers.append(peer)
        endpoint = clientFromString(self.reactor, self.client(port.getHost()))
        await connectProtocol(endpoint, peer)
        return peer

    async def until(self, condition: Callable[[], Any]) -> None:
        deadline = reactor.seconds() + PATIENCE
        while not condition():
            assert reactor.seconds() < deadline, "it never came true"
            await deferLater(reactor, 0.002)

    async def close(self) -> None:
        for peer in self.peers:
            if not peer.lost:
                peer.reset()
        await self.until(lambda: all(peer.lost for peer in self.peers))
        port = await self.listening
        await port.stopListening()
        await self.factory.drain()


def tcp(_folder: Any) -> SocketWorld:
    return SocketWorld("tcp:0", lambda host: f"tcp:127.0.0.1:{host.port}", reactor)


def tcp6(_folder: Any) -> SocketWorld:
    return SocketWorld("tcp6:0", lambda host: f"tcp:\\:\\:1:{host.port}", reactor)


def unix(folder: Any) -> SocketWorld:
    return SocketWorld(f"unix:{folder}/socket", lambda _: f"unix:{folder}/socket", reactor)


def fast_tcp(_folder: Any) -> SocketWorld:
    return SocketWorld("tcp:0", lambda host: f"tcp:127.0.0.1:{host.port}", fast(reactor))


def fast_unix(folder: Any) -> SocketWorld:
    return SocketWorld(f"unix:{folder}/socket", lambda _: f"unix:{folder}/socket", fast(reactor))
