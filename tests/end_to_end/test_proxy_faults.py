"""Faults of a proxy, as bare sockets on both of its sides see them.

In how many reads something comes is not for a test to say that shares its machine: what comes when
is tested on a clock, in `tests/protocols/test_proxy.py`.
"""

from __future__ import annotations

import select
import socket
import time

import pytest

from .programs import HOST, PATIENCE, Client, Server, script

#: Lines name the faults that they meet; `up-...` those on the way to the server.
FAULTS = """
[[fault]]
do = "throttle"
prefix = "throttle"
rate = 200

[[fault]]
do = "throttle"
on = "line"
prefix = "up-throttle"
rate = 200

[[fault]]
do = "bytes"
on = "line"
prefix = "up-bytes"
seconds = 0.3

[[fault]]
do = "cut"
on = "line"
prefix = "up-cut"
seconds = 0.3

[[fault]]
do = "stop-reading"
prefix = "hang"

[[fault]]
do = "half-close"
prefix = "half"

[[fault]]
do = "half-close"
on = "line"
prefix = "up-half"

[[fault]]
do = "reset"
prefix = "reset"

[[fault]]
do = "reset"
on = "line"
prefix = "up-reset"

[[fault]]
do = "refuse"
exact = "refuse"
connections = 2
"""


class Bench:
    """A proxy whose server is a bare socket in the hands of the test.

    Args:
        folder: where its files are.
    """

    def __init__(self, folder) -> None:
        (folder / "faults.toml").write_text(FAULTS)
        self.listening = socket.create_server((HOST, 0))
        self.listening.settimeout(PATIENCE)
        port = self.listening.getsockname()[1]
        plug = f"proxy:{HOST}:{port}:script=faults.toml"
        command = [*script("twistd"), "-n", "--pidfile=", "sockservice", "--port", "0"]
        self.proxy = Server([*command, "--protocol", plug], folder)

    def accept(self) -> Client:
        """The server's end of the newest connection."""
        made = Client.__new__(Client)
        made.socket, _ = self.listening.accept()
        made.socket.settimeout(PATIENCE)
        return made


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("proxy"))
    try:
        made.proxy.wait_until_it_listens()
        yield made
    finally:
        made.proxy.reap()
        made.listening.close()


@pytest.fixture
def ends(bench):
    """A client, and the server's end of its conversation."""
    with Client(bench.proxy.port) as client, bench.accept() as server:
        yield client, server


def ask(client, server, line, answer=b"answer\n"):
    """The client says something, and the server answers when it has come."""
    client.say(line)
    assert server.line() == line
    server.say(answer)


def test_throttle(ends):
    client, server = ends
    ask(client, server, b"throttle\n", b"x" * 50 + b"\n")
    assert client.line() == b"x" * 50 + b"\n"


@pytest.mark.parametrize("word", ["up-throttle", "up-bytes", "up-cut"])
def test_to_the_server_in_pieces(ends, word):
    client, server = ends
    line = f"{word} 世 {'x' * 50}\n".encode()
    client.say(line + b"next\n")
    assert [server.line(), server.line()] == [line, b"next\n"]


def test_stop_reading(ends):
    client, server = ends
    ask(client, server, b"hang\n")
    assert client.line() == b"answer\n"
    client.socket.setblocking(False)
    sent, block = 0, b"more\n" * 20_000
    while select.select([], [client.socket], [], 0.3)[1]:
        sent += client.socket.send(block)
        assert sent < 100 << 20, "it still reads"
    assert sent
    server.say(b"unasked\n")  # which the client still hears
    client.socket.settimeout(PATIENCE)
    assert client.line() == b"unasked\n"
    assert not select.select([server.socket], [], [], 0)[0]


def test_half_close(ends):
    client, server = ends
    ask(client, server, b"half\n")
    assert client.rest() == b"answer\n"
    client.say(b"still there\n")
    assert server.line() == b"still there\n"
    client.end()
    assert server.rest() == b""


def test_half_close_to_the_server(ends):
    client, server = ends
    client.say(b"up-half\n")
    assert server.rest() == b"up-half\n"
    server.say(b"still there\n")
    assert client.line() == b"still there\n"


def test_reset(ends):
    client, server = ends
    ask(client, server, b"reset\n")
    with pytest.raises(ConnectionResetError):
        client.rest()
    assert server.rest() == b""  # it is told of an end: nothing is wrong with its side


def test_reset_to_the_server(ends):
    client, server = ends
    ask(client, server, b"hello\n")
    assert client.line() == b"answer\n"
    client.say(b"up-reset\n")
    with pytest.raises(ConnectionResetError):
        server.rest()
    assert client.rest() == b"ERR upstream the connection broke\n"


def test_refuse(bench, ends):
    client, server = ends
    ask(client, server, b"refuse\n")
    assert client.line() == b"answer\n"
    for _ in range(2):
        try:
            with Client(bench.proxy.port) as refused:
                assert refused.reset()
        except ConnectionResetError:
            pass
    with Client(bench.proxy.port) as third, bench.accept() as its:
        ask(third, its, b"hello\n")  # so it is the first that came to the server
        assert third.line() == b"answer\n"


def test_a_client_that_goes_ends_its_connection(bench):
    with Client(bench.proxy.port) as client, bench.accept() as server:
        client.say(b"bye\n")
        client.socket.close()
        assert server.rest() == b"bye\n"


def test_a_client_that_breaks_off_ends_its_connection(bench):
    with Client(bench.proxy.port) as client, bench.accept() as server:
        ask(client, server, b"hello\n")
        assert client.line() == b"answer\n"
        client.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )  # its close is a reset
        client.socket.close()
        assert server.rest() == b""


def flood(server):
    """Say something until nobody is there."""
    block = b"x" * 99_999 + b"\n"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        server.say(block)


def test_a_server_that_floods_a_client_that_is_gone_is_left(bench):
    """However much it has to say."""
    with Client(bench.proxy.port) as client, bench.accept() as server:
        client.socket.close()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            flood(server)
