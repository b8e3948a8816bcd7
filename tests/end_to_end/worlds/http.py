"""HTTP: each peer is one POST, whose body and whose answer are open as long as it wants."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor

from tests.contracts import STREAM
from tests.end_to_end.worlds.sockets import SocketPeer, SocketWorld
from tests.http_peer import END, HEAD, AnswerReader, chunk
from twisted_sock import fast

#: A chunked body and a chunked answer are two streams of bytes, so nothing is left out. (A client
#: that sends its whole body first, as most do, sees as much of it as a request with one answer.)
CAN = STREAM


class PostPeer(SocketPeer):
    """A bare peer that sends what it says as chunks of a body."""

    def connectionMade(self) -> None:
        self.answer = AnswerReader()
        self.transport.write(HEAD)

    def dataReceived(self, data: bytes) -> None:
        self.answer.feed(data)
        self.received += self.answer.news
        self.answer.news.clear()
        self.over = self.over or self.answer.whole

    def send(self, data: bytes) -> None:
        self.transport.write(chunk(data))

    def end(self) -> None:
        self.transport.write(END)


class HttpWorld(SocketWorld):
    """A server for HTTP, and its peers."""

    peer = PostPeer


def http(_folder: Any) -> HttpWorld:
    return HttpWorld("ws:0", lambda host: f"tcp:127.0.0.1:{host.port}", reactor)


def fast_http(_folder: Any) -> HttpWorld:
    return HttpWorld("ws:0", lambda host: f"tcp:127.0.0.1:{host.port}", fast(reactor))


def http_unix(folder: Any) -> HttpWorld:
    return HttpWorld(f"ws:unix={folder}/socket", lambda _: f"unix:{folder}/socket", reactor)
