"""The promises of every transport, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from zope.interface import implementer

from tests.contracts import PROMISES
from twisted_sock import Limits, LineFactory, LinePolicy, fast

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
    """A server on a real socket, and its peers."""

    def __init__(self, server: str, client: Callable[[Any], str], reactor: Any) -> None:
        self.reactor = reactor
        self.server = server
        self.tells_resets = not server.startswith("unix")
        self.client = client
        self.peers: list[SocketPeer] = []
        self.listening: Any = None

    def serve(self, handler: Any, policy: LinePolicy, limits: Limits) -> None:
        self.factory = LineFactory(handler, policy=policy, limits=limits)
        self.listening = serverFromString(self.reactor, self.server).listen(self.factory)

    async def connect(self) -> SocketPeer:
        port = await self.listening
        self.listening = Deferred()
        self.listening.callback(port)
        peer = SocketPeer(self)
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


@pytest.fixture(params=["tcp", "tcp6", "unix", "fast tcp", "fast unix"])
def world(request, tmp_path):
    socket = tmp_path / "socket"
    worlds = {
        "tcp": ("tcp:0:interface=127.0.0.1", lambda host: f"tcp:127.0.0.1:{host.port}"),
        "tcp6": ("tcp6:0:interface=\\:\\:1", lambda host: f"tcp:\\:\\:1:{host.port}"),
        "unix": (f"unix:{socket}", lambda _: f"unix:{socket}"),
    }
    kind = request.param.removeprefix("fast ")
    return SocketWorld(*worlds[kind], fast(reactor) if kind != request.param else reactor)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest_twisted.ensureDeferred
async def test_promise(world, promise, no_leaks):
    try:
        await promise(world)
    finally:
        await world.close()
    no_leaks.flush(ValueError)
