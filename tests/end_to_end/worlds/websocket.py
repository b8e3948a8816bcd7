"""WebSocket: each line a message, the beginning of one a fragment."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor

from tests.contracts import STREAM
from tests.end_to_end.worlds.sockets import SocketPeer, SocketWorld
from tests.frames import CLOSE, TEXT, UPGRADE, Messages, close, unframe
from twisted_sock import fast

HEAD = "".join(f"{line}\r\n" for line in ["GET / HTTP/1.1", *map(": ".join, UPGRADE), ""])

#: A goodbye ends both ways at once, and bad UTF-8 the conversation (RFC 6455 sections 5.5.1, 8.1).
CAN = STREAM - {"finish", "invalid"}


class WebSocketPeer(SocketPeer):
    """A bare client.

    Attributes:
        open: whether the server has agreed.
        closing: whether it has said that it closes.
        texts: the messages that have come.
    """

    def __init__(self, world: SocketWorld) -> None:
        super().__init__(world)
        self.open = self.closing = False
        self.texts: list[str] = []
        self._messages = Messages()

    def connectionMade(self) -> None:
        self.transport.write(HEAD.encode())

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if not self.open:
            head, end, rest = self.received.partition(b"\r\n\r\n")
            self.open = bool(end)
            if not self.open:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.received[:] = rest
        frames, self.received[:] = unframe(bytes(self.received))
        self.texts += [payload.decode() for opcode, payload in frames if opcode == TEXT]
        self.closing = self.closing or any(opcode == CLOSE for opcode, _ in frames)

    def send(self, data: bytes) -> None:
        self.transport.write(self._messages(data))

    async def lines(self, count: int) -> list[str]:
        await self.world.until(lambda: self.over or len(self.texts) >= count)
        lines, self.texts = self.texts[:count], self.texts[count:]
        assert len(lines) == count, f"ended after {lines}"
        return lines

    async def rest(self) -> list[str]:
        self.transport.resumeProducing()
        await self.world.until(lambda: self.over or self.closing)
        self.transport.write(close(1000))
        await self.world.until(lambda: self.over)
        self.transport.loseConnection()
        return self.texts


class WebSocketWorld(SocketWorld):
    """A site, and clients that speak WebSocket with it."""

    can = CAN
    peer = WebSocketPeer

    async def connect(self) -> Any:
        peer: Any = await super().connect()
        await self.until(lambda: peer.open)
        return peer


def websocket(_folder: Any) -> WebSocketWorld:
    return WebSocketWorld("ws:0", lambda host: f"tcp:127.0.0.1:{host.port}", reactor)


def fast_websocket(_folder: Any) -> WebSocketWorld:
    return WebSocketWorld("ws:0", lambda host: f"tcp:127.0.0.1:{host.port}", fast(reactor))
