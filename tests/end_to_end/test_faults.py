"""Every fault, as a bare client sees it on a real socket: over TCP, TLS, WebSocket and UDP.

In how many reads something comes is not for a test to say that shares its machine: what comes when
is tested on a clock, in `tests/script/test_faults.py` and `tests/transports/test_wire.py`.
"""

from __future__ import annotations

import select
import socket
import ssl
import time

import pytest

from tests.certificates import authority
from tests.certificates import server as certificate
from tests.frames import text as message

from .programs import HOST, PATIENCE, Client, Growth, Server, meanwhile, script

#: Lines name the faults that they meet.
FAULTS = """
[[rule]]
regex = '(\\w+) ?(.*)'
reply = "{2}"

[[rule]]
reply = "{0}"

[[fault]]
name = "later"
do = "delay"
prefix = "delay"
seconds = 0.2

[[fault]]
do = "throttle"
prefix = "throttle"
rate = 100

[[fault]]
do = "drop"
prefix = "drop"
nth = 2

[[fault]]
do = "duplicate"
prefix = "duplicate"
copies = 3

[[fault]]
do = "reorder"
prefix = "reorder"

[[fault]]
do = "corrupt"
prefix = "corrupt"

[[fault]]
do = "cut"
prefix = "cut"
seconds = 0.1

[[fault]]
do = "bytes"
prefix = "bytes"
seconds = 0.1

[[fault]]
do = "stop-reading"
prefix = "hang"

[[fault]]
do = "stop-reading"
name = "pause"
prefix = "pause"
seconds = 0.2

[[fault]]
do = "half-close"
prefix = "half"

[[fault]]
do = "reset"
prefix = "reset"

[[fault]]
name = "before"
do = "reset"
on = "line"
prefix = "before"

[[fault]]
do = "refuse"
exact = "refuse"
connections = 3
"""


class Bench:
    """A mock with faults, over several transports.

    Args:
        folder: where its files are.
    """

    def __init__(self, folder) -> None:
        ca = authority()
        (folder / "ca.pem").write_bytes(ca.pem)
        certificate(ca, "localhost").write(folder / "server.pem")
        (folder / "faults.toml").write_text(FAULTS)
        self._trusted = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        command = [*script("twistd"), "-n", "--pidfile=", "sockservice"]
        command += ["--protocol", "mock:faults.toml", "--udp-answers", "any"]
        for endpoint in ("tcp:0", "tls:0:certificate=server.pem", "ws:0", "udp:0"):
            command += ["--endpoint", f"{endpoint}:interface={HOST}"]
        self.server = Server(command, folder)
        self.out = self.server.out

    def wait_until_it_listens(self) -> None:
        self.tcp, self.tls, self.ws, self.udp = (
            int(self.out.expect(r"listens on IPv4Address\(.*port=(\d+)\)")[1]) for _ in range(4)
        )

    def over_tls(self) -> Client:
        client = Client(self.tls)
        client.socket = self._trusted.wrap_socket(
            client.socket, server_hostname="localhost", suppress_ragged_eofs=False
        )
        return client

    def over_websocket(self) -> Client:
        client = Client(self.ws)
        client.say(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.read(1)
        assert b" 101 " in head
        return client


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("faults"))
    try:
        made.wait_until_it_listens()
        yield made
    finally:
        made.server.reap()


@pytest.fixture
def client(bench):
    with Client(bench.tcp) as made:
        yield made


def test_delay(client):
    began = time.monotonic()
    client.say(b"delay one\nsay two\n")
    assert client.line() == b"one\n"
    assert time.monotonic() - began >= 0.19
    assert client.line() == b"two\n"


def test_throttle(client):
    began = time.monotonic()
    assert client.ask(b"throttle " + b"x" * 30 + b"\n") == b"x" * 30 + b"\n"
    assert time.monotonic() - began >= 0.2


def test_drop(client):
    client.say(b"drop one\ndrop two\ndrop three\n")
    assert [client.line(), client.line()] == [b"one\n", b"three\n"]


def test_duplicate(client):
    client.say(b"duplicate one\nsay two\n")
    assert [client.line() for _ in range(4)] == [b"one\n"] * 3 + [b"two\n"]


def test_reorder(client):
    client.say(b"reorder one\nsay two\nsay three\n")
    assert [client.line() for _ in range(3)] == [b"two\n", b"one\n", b"three\n"]


def test_corrupt(client):
    said = client.ask(b"corrupt hello\n")
    bits = sum((a ^ b).bit_count() for a, b in zip(said, b"hello\n", strict=True))
    assert bits == 1


def test_cut(client):
    client.say("cut 世界\nsay two\n".encode())
    assert [client.line(), client.line()] == ["世界\n".encode(), b"two\n"]


def test_bytes(client):
    client.say(b"bytes hello\nsay two\n")
    assert [client.line(), client.line()] == [b"hello\n", b"two\n"]


def test_stop_reading(client):
    assert client.ask(b"hang one\n") == b"one\n"
    client.socket.setblocking(False)
    sent, block = 0, b"more\n" * 20_000
    while select.select([], [client.socket], [], 0.3)[1]:
        sent += client.socket.send(block)
        assert sent < 100 << 20, "it still reads"
    assert sent
    assert not select.select([client.socket], [], [], 0)[0]


def test_stop_reading_for_a_while(client):
    began = time.monotonic()
    assert client.ask(b"pause one\n") == b"one\n"
    assert client.ask(b"say two\n") == b"two\n"
    assert time.monotonic() - began >= 0.19


def test_half_close(bench, client):
    client.say(b"half one\n")
    assert client.rest() == b"one\n"
    client.say(b"drop one\ndrop two\n")  # nobody answers, but it is heard
    fired(bench, "drop")
    client.end()
    assert client.rest() == b""


@pytest.mark.parametrize("word", [b"reset", b"before"])
def test_reset(client, word):
    assert client.ask(b"say one\n") == b"one\n"
    client.say(word + b" two\nsay three\n")
    with pytest.raises(ConnectionResetError):
        client.rest()


def test_refuse(bench, client):
    client.say(b"refuse\nsay one\n")
    assert [client.line(), client.line()] == [b"\n", b"one\n"]
    for _ in range(3):
        assert refused(bench.tcp)
    with Client(bench.tcp) as fourth:
        assert fourth.ask(b"say two\n") == b"two\n"
    assert client.ask(b"say three\n") == b"three\n"


def refused(port) -> bool:
    """Whether a connection is reset as it comes."""
    try:
        with Client(port) as client:
            return client.reset()
    except ConnectionResetError:
        return True


def fired(bench, do) -> str:
    """Wait until the log tells of a fault of that kind; returns its name."""
    return bench.out.expect(rf" (\S+) \({do}\) fired: 127\.0\.0\.1:\d+, line \d+\n")[1]


def test_the_log_tells_without_what_was_said(bench, client):
    client.say(b"delay secret\n")
    assert client.line() == b"secret\n"
    assert fired(bench, "delay") == "later"
    assert "secret" not in bench.out.text


# The other transports.


def test_over_tls(bench):
    with bench.over_tls() as client:
        assert client.ask("cut 世界\n".encode()) == "世界\n".encode()
        assert client.ask(b"bytes hello\n") == b"hello\n"
        client.say(b"half one\n")  # which TLS cannot
        assert client.line() == b"one\n"
        bench.out.expect(r"\(half-close\) cannot be done on this transport")
        client.say(b"reset\n")
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):  # which it is to OpenSSL
            client.rest()


def test_over_websocket(bench):
    with bench.over_websocket() as client:
        for word in ("bytes hello", "cut 世", "half one"):
            client.say(message(word))
        assert client.rest() == b"\x81\x05hello\x81\x03" + "世".encode() + b"\x81\x03one"
    with bench.over_websocket() as client:
        client.say(message("reset"))
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_over_http(bench):
    body = "cut 世\nduplicate two\n".encode()
    with Client(bench.ws) as client:
        client.say(
            b"POST /line HTTP/1.0\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        _, _, said = client.rest().partition(b"\r\n\r\n")
        assert said == "世\ntwo\ntwo\ntwo\n".encode()


def test_over_udp(bench):
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((HOST, bench.udp))
        client.send(b"duplicate one\n")
        assert client.recv(100) == b"one\none\none\n"
        client.send(b"corrupt hello\n")
        said = client.recv(100)
        assert (len(said), said == b"hello\n") == (6, False)
        client.send(b"bytes hello\n")  # which is no stream
        assert client.recv(100) == b"hello\n"
        bench.out.expect(r"\(bytes\) cannot be done on this transport")


def test_many_at_once(bench):
    """A slow conversation holds up no other."""
    with Client(bench.tcp) as slow, Client(bench.tcp) as quick:
        with meanwhile(lambda: slow.say(b"throttle " + b"x" * 200 + b"\n")):
            assert slow.read(1)
        for _ in range(50):
            assert quick.ask(b"say one\n") == b"one\n"


def test_a_peer_that_pipelines_behind_a_slow_line(serve, tmp_path):
    """It has to wait; what it says, and what is pushed meanwhile, is not piled up."""
    (tmp_path / "slow.toml").write_text(
        f'[[push]]\nline = "{"p" * 2000}"\nevery = 0.002\ntimes = 300\n'
        '[[rule]]\nreply = "{0}"\n'
        '[[fault]]\ndo = "bytes"\nnth = 1\nseconds = 1.0\n'
    )
    server = serve("--protocol", "mock:slow.toml", "--window", "64")
    growth = Growth(server.pid)
    line = b"x" * 999 + b"\n"
    with Client(server.port) as client:
        say = lambda: (client.say(b"slow\n" + line * 20_000), client.end())  # noqa: E731
        with meanwhile(say):
            answers = [each for each in client.rest().split(b"\n") if each[:1] != b"p"]
    assert answers == [b"slow", *[line[:-1]] * 20_000, b""]
    assert growth.bytes < 8 << 20
