"""What bare clients can do to a real WebSocket server, and what it costs."""

from __future__ import annotations

import signal
import threading
import time
import zlib
from contextlib import ExitStack, suppress

import pytest

from tests.end_to_end.programs import PATIENCE, Client, Growth, meanwhile
from tests.frames import CLOSE, CONT, PING, PONG, TEXT, UPGRADE, close, frame, text, unframe

PLUG = """
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

done = []

async def answer(line):
    if line == "done":
        return " ".join(done)
    if line.startswith("work"):
        await deferLater(reactor, 0.1)
        done.append(line)
    if line == "never":
        await Deferred()
    return line * 1000 if line == "much" else line
"""

DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate")

MEGABYTE = 1_000_000


class WebSocket(Client):
    """A bare client after its handshake."""

    def __init__(self, port, *fields):
        super().__init__(port)
        head = "".join(f"{name}: {value}\r\n" for name, value in (*UPGRADE, *fields))
        self.say(f"GET / HTTP/1.1\r\n{head}\r\n".encode())
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            byte = self.read(1)
            assert byte, self.head
            self.head += byte
        self._rest = b""
        self._frames = []

    def frame(self):
        """The next frame, as (opcode, payload)."""
        while not self._frames:
            data = self.read(1 << 20)
            assert data, "the connection ended"
            self._frames, self._rest = unframe(self._rest + data)
        return self._frames.pop(0)

    def ask_frame(self, message):
        self.say(text(message))
        return self.frame()


@pytest.fixture
def server(serve, plug):
    plug("answers", PLUG)
    options = ["--protocol", "answers.answer", "--deflate", "on", "--ping-after", "0"]
    limits = ["--window", "10", "--max-per-peer", "5", "--close-grace", "0.5"]
    return serve(*options, *limits, port="ws:0")


def test_threat_10_a_bomb_costs_no_memory(server):
    squeeze = zlib.compressobj(9, wbits=-15)
    data = b"".join(squeeze.compress(b"x" * MEGABYTE) for _ in range(60))
    data += squeeze.flush(zlib.Z_SYNC_FLUSH)
    bomb = frame(TEXT, data.removesuffix(b"\0\0\xff\xff"), rsv=4)
    assert len(bomb) < 65536
    with WebSocket(server.port, DEFLATE) as warm:
        assert warm.ask_frame("hello") == (TEXT, b"hello")
    growth = Growth(server.pid)
    for _ in range(3):
        with WebSocket(server.port, DEFLATE) as client:
            assert b"permessage-deflate" in client.head
            client.say(bomb)
            error = b"ERR too-long a message may have at most 131072 bytes"
            assert client.frame() == (TEXT, error)
            assert client.frame() == (CLOSE, b"\x03\xf1" + error)
    assert growth.bytes < 2 * MEGABYTE


def test_who_does_not_read_costs_no_memory(server):
    with WebSocket(server.port) as pinging, WebSocket(server.port) as asking:
        assert asking.ask_frame("hello") == (TEXT, b"hello")
        growth = Growth(server.pid)
        for client, piece in (
            (pinging, frame(PING, b"x" * 125) * 500),
            (asking, text("much") * 5000),
        ):
            client.socket.setblocking(False)
            left = memoryview(b"")
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                try:
                    left = left or memoryview(piece)
                    left = left[client.socket.send(left) :]
                except BlockingIOError:
                    time.sleep(0.01)
        assert growth.bytes < 6 * MEGABYTE
    with WebSocket(server.port) as other:
        assert other.ask_frame("hello") == (TEXT, b"hello")


def test_what_was_said_before_closing_is_done(server):
    with WebSocket(server.port) as client:
        client.say(text("work a", "work b") + close(1000))
        came = [client.frame() for _ in range(3)]
        assert came == [(TEXT, b"work a"), (TEXT, b"work b"), (CLOSE, b"\x03\xe8")]
        assert client.rest() == b""
    with WebSocket(server.port) as other:
        assert other.ask_frame("done") == (TEXT, b"work a work b")


def test_who_closes_and_goes_leaves_nothing_behind(server):
    for _ in range(5):  # as many as may come from one address
        with WebSocket(server.port) as client:
            client.say(text(*["never"] * 3) + close(1000))
            left = client.socket.dup()
        left.close()
    deadline = time.monotonic() + PATIENCE
    while True:
        with WebSocket(server.port) as other:
            if other.ask_frame("hello") == (TEXT, b"hello"):
                break
        assert time.monotonic() < deadline
    with WebSocket(server.port) as client:
        client.say(text("never") + close(1000))
        assert other_still_asks(server)
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < PATIENCE / 2  # far less than --drain-timeout


def other_still_asks(server):
    """Whether another is answered."""
    with WebSocket(server.port) as other:
        return other.ask_frame("hello") == (TEXT, b"hello")


@pytest.mark.parametrize(
    "flood",
    [
        frame(PING) * 10_000,
        frame(PONG) * 10_000,
        frame(TEXT, fin=False) + frame(CONT, fin=False) * 10_000 + frame(CONT),
    ],
    ids=["pings", "pongs", "fragments"],
)
def test_a_flood_of_small_frames_leaves_others_in_peace(server, flood):
    with ExitStack() as stack:
        flooding = [stack.enter_context(WebSocket(server.port)) for _ in range(4)]
        probe = stack.enter_context(WebSocket(server.port))
        stop = threading.Event()
        stack.enter_context(meanwhile(lambda: keep_sending(flooding, flood, stop)))
        stack.callback(stop.set)
        for number in range(10):
            assert probe.ask_frame(f"{number}") == (TEXT, f"{number}".encode())


def keep_sending(clients, data, stop):
    """Send as much as is taken, and throw away what comes."""
    for client in clients:
        client.socket.setblocking(False)
    left = dict.fromkeys(clients, memoryview(data))
    while not stop.is_set():
        for client in clients:
            with suppress(BlockingIOError):
                left[client] = left[client][client.socket.send(left[client]) :] or memoryview(data)
            with suppress(BlockingIOError):
                assert client.read(1 << 20), "the connection ended"


def test_the_server_goes_away(server):
    with WebSocket(server.port) as client, WebSocket(server.port) as rude:
        client.say(frame(PING, "p") + text("a"))
        came = {client.frame(), client.frame()}
        assert came == {(PONG, b"p"), (TEXT, b"a")}
        server.tell(signal.SIGTERM)
        words = b"ERR shutdown the server is stopping"
        for each in (client, rude):
            assert each.frame() == (TEXT, words)
            assert each.frame() == (CLOSE, b"\x03\xe9" + words)
        client.say(close(1001))
        assert client.rest() == b""
        server.wait()  # though one never says goodbye
