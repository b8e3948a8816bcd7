"""UDP: a peer is a socket, and its conversation begins with its first datagram.

The world allows answers of any length, as most promises ask little and are answered much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater

from twisted_sock import Limits, LineFactory, LinePolicy
from twisted_sock.listeners import server_endpoint
from twisted_sock.settings import Datagrams

PATIENCE = 20.0

#: Of what `tests/contracts.py` names. A datagram ends its last line, nobody learns that a peer
#: has closed or is slow, and a peer is nobody until it has said something.
CAN = frozenset(["invalid", "talk"])


class UDPPeer(DatagramProtocol):
    """A bare peer."""

    noisy = False

    def __init__(self, world: UDPWorld) -> None:
        self.world = world
        self.received: list[str] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received += datagram.decode().removesuffix("\n").split("\n")

    def connectionRefused(self) -> None:
        pass

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    async def lines(self, count: int) -> list[str]:
        await self.world.until(lambda: len(self.received) >= count)
        lines, self.received = self.received[:count], self.received[count:]
        return lines


class UDPWorld:
    """A server on a UDP port, and its peers.

    Args:
        host: the address of both.
    """

    can = CAN
    tells_resets = False

    def __init__(self, host: str) -> None:
        self.host = host
        self.ports: list[Any] = []
        self.listening: Any = None

    def serve(self, handler: Any, policy: LinePolicy, limits: Limits) -> None:
        self.factory = LineFactory(handler, policy=policy, limits=limits)
        endpoint = server_endpoint(
            "udp:0", reactor, interface=self.host, datagrams=Datagrams(udp_answers="any")
        )
        self.listening = endpoint.listen(self.factory)

    async def connect(self) -> UDPPeer:
        if not self.ports:
            self.ports.append(await self.listening)
        peer = UDPPeer(self)
        port = reactor.listenUDP(0, peer, self.host)
        port.connect(self.host, self.ports[0].getHost().port)
        self.ports.append(port)
        return peer

    async def until(self, condition: Callable[[], Any]) -> None:
        deadline = reactor.seconds() + PATIENCE
        while not condition():
            assert reactor.seconds() < deadline, "it never came true"
            await deferLater(reactor, 0.002)

    async def close(self) -> None:
        for port in self.ports:
            await port.stopListening()
        await self.factory.drain()


def udp(_folder: Any) -> UDPWorld:
    return UDPWorld("127.0.0.1")


def udp6(_folder: Any) -> UDPWorld:
    return UDPWorld("::1")
