"""The command and the client over WebSockets: against the server of `websockets`, and ours."""

from __future__ import annotations

import re
import threading
from io import BytesIO

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.protocols.basic import FileSender

from tests.end_to_end.programs import HOST, PATIENCE, Client, Server, require_module, script
from twisted_sock import LineClient, LineFactory, Retry
from twisted_sock.endpoints import client_endpoint
from twisted_sock.listeners import server_endpoint

QUICK = Retry(first_delay=0.02, max_delay=0.05)


@pytest.fixture
def cli(run, tmp_path, monkeypatch):
    """Run the command with some input: `cli("send", endpoint, "hello")`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def start(*arguments, input=b""):
        path = tmp_path / "input"
        path.write_bytes(input)
        with path.open("rb") as file:
            return run([*script("twisted-sock"), *map(str, arguments)], stdin=file.fileno())

    return start


def one_line(program, status, words):
    """It ended with this status, and said this in one line and nothing else."""
    assert program.wait() == status, program.err.whole()
    said = program.err.whole()
    assert said.count("\n") == 1, said
    assert words in said


# The server of another maker.


def talk(connection):
    """What that server does with each message."""
    import websockets

    try:
        for message in connection:
            command, _, rest = message.partition(" ")
            if command == "close":
                connection.close(int(rest), "as you asked\x1b[2J")
            elif command == "pieces":
                connection.send(iter(rest))
            elif command == "binary":
                connection.send(b"\x00")
            elif command == "path":
                connection.send(connection.request.path)
            elif command == "ping":
                connection.send("pong" if connection.ping().wait(PATIENCE) else "no pong")
            else:
                connection.send(message)
    except websockets.exceptions.ConnectionClosed:
        pass


def refuse(connection, request):
    if request.path == "/private":
        return connection.respond(403, "\n\x1b[2Jnot you\nnor you\n")
    return None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A folder with a certificate for localhost, and what to trust for it."""
    require_module("cryptography")
    from tests import certificates

    folder = tmp_path_factory.mktemp("certificates")
    ca = certificates.authority()
    certificates.server(ca, "localhost").write(folder / "server")
    (folder / "trusted").mkdir()
    (folder / "trusted" / "ca.pem").write_bytes(ca.pem)
    return folder


@pytest.fixture(scope="module")
def theirs(certificate):
    """The ports of their server: plain, and over TLS."""
    import ssl

    from websockets.sync.server import serve

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "server")
    servers = [
        serve(talk, HOST, 0, process_request=refuse, max_size=None, ssl=each)
        for each in (None, context)
    ]
    threads = [threading.Thread(target=each.serve_forever, daemon=True) for each in servers]
    for each in threads:
        each.start()
    yield [each.socket.getsockname()[1] for each in servers]
    for server in servers:
        server.shutdown()


def test_it_is_asked(theirs, cli):
    lines = ["wörld", "", "ping", "path", "pieces 世界"]
    asked = cli("send", f"ws://{HOST}:{theirs[0]}/a%20b/é?c=d", *lines)
    assert asked.wait() == 0, asked.err.whole()
    assert asked.out.whole() == "wörld\n\npong\n/a%20b/%C3%A9?c=d\n世界\n"


def test_over_tls(theirs, certificate, cli):
    to = f"wss:localhost:{theirs[1]}:path=/x:trustRoots={certificate}/trusted"
    asked = cli("send", to, "wörld", "path")
    assert asked.wait() == 0, asked.err.whole()
    assert asked.out.whole() == "wörld\n/x\n"
    one_line(cli("send", f"wss://localhost:{theirs[1]}", "x"), 3, "certificate verify failed")


def test_from_a_pipe(theirs, certificate, cli):
    """All lines arrive, though a WebSocket cannot be told the end of the input."""
    lines = "".join(f"{number} 世界 {'x' * (number % 300)}\n" for number in range(2000)).encode()
    to = f"wss:localhost:{theirs[1]}:trustRoots={certificate}/trusted"
    asked = cli("connect", "--linger", "1", to, input=lines)
    assert asked.wait() == 0, asked.err.whole()
    assert asked.out.whole().encode() == lines


def test_why_it_ended(theirs, cli):
    for line, status, words in (
        ("close 1013", 4, "the server has closed the WebSocket: 1013 as you asked\\x1b[2J"),
        ("close 1000", 4, "the peer has closed the connection"),
        ("binary", 4, "a binary message came"),
    ):
        one_line(cli("send", f"ws://{HOST}:{theirs[0]}", line), status, words)


def test_why_it_was_refused(theirs, serve, cli):
    lines = serve()
    for to, words in (
        (f"ws://{HOST}:{theirs[0]}/private", "HTTP 403 Forbidden: \\x1b[2Jnot you"),
        (f"wss://{HOST}:{lines.port}", "TLS: wrong version number"),
        (f"ws://{HOST}:{lines.port}", "no WebSocket handshake: it says ERR foreign"),
    ):
        one_line(cli("send", to, "x"), 3, words)


# Our own.


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """The port of our server."""
    options = ["-n", "--pidfile=", "sockservice", "--port", "ws:0"]
    server = Server([*script("twistd"), *options], tmp_path_factory.mktemp("ours"))
    try:
        server.wait_until_it_listens()
        yield server.port
    finally:
        server.reap()


def test_our_server_is_asked(ours, cli):
    asked = cli("send", f"ws://{HOST}:{ours}/", "wörld", "", "x" * 65536)
    assert asked.wait() == 0, asked.err.whole()
    assert asked.out.whole() == "wörld\n\n" + "x" * 65536 + "\n"
    one_line(cli("send", f"ws://{HOST}:{ours}/nowhere", "x"), 3, "HTTP 404 Not Found: ")


def test_two_thousand_lines_through_our_server(ours, cli):
    lines = "".join(f"{number} 世界 {'x' * (number % 300)}\n" for number in range(2000)).encode()
    asked = cli("connect", "--linger", "1", f"ws://{HOST}:{ours}", input=lines)
    assert asked.wait() == 0, asked.err.whole()
    assert asked.out.whole().encode() == lines


def test_our_server_under_load(ours, cli):
    load = ["--warmup", "0", "--count", "5000", "--connections", "3", "--depth", "16"]
    asked = cli("bench", f"ws://{HOST}:{ours}", *load, "--generate", "100")
    assert asked.wait() == 0, asked.err.whole()
    assert re.search(r"right answers +5,000 ", asked.out.whole())
    assert re.search(r"errors +0\n", asked.out.whole())


def test_the_conversations_have_ended(ours):
    """Whatever the tests before did to the server, it answers."""
    with Client(ours) as client:
        assert client.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200")


def soon(deferred):
    return deferred.addTimeout(PATIENCE, reactor)


class Sends(Protocol):
    """Sends a file, and hears it to its end."""

    def __init__(self, data):
        self.data = data
        self.heard = b""
        self.all, self.lost = Deferred(), Deferred()

    def connectionMade(self):
        FileSender().beginFileTransfer(BytesIO(self.data), self.transport)

    def dataReceived(self, data):
        self.heard += data
        if len(self.heard) >= len(self.data) and not self.all.called:
            self.all.callback(self.heard)

    def connectionLost(self, reason):
        self.lost.callback(reason.type)


@pytest_twisted.ensureDeferred
async def test_a_producer_that_must_be_asked(ours):
    data = b"".join(b"%d %s\n" % (number, b"x" * 100) for number in range(5000))
    sends = Sends(data)
    await soon(connectProtocol(client_endpoint(f"ws://{HOST}:{ours}", reactor), sends))
    assert await soon(sends.all) == data
    sends.transport.loseConnection()
    assert await soon(sends.lost) is ConnectionDone


@pytest_twisted.ensureDeferred
async def test_the_client_comes_back():
    factory = LineFactory(str.upper)
    listening = await server_endpoint("ws:0", reactor).listen(factory)
    port = listening.getHost().port
    client = LineClient(client_endpoint(f"ws://{HOST}:{port}", reactor), retry=QUICK)
    client.startService()
    assert await soon(client.request("héllo")) == "HÉLLO"
    await listening.stopListening()
    await soon(factory.drain())
    answer = client.request("世界 a")
    factory = LineFactory(str.upper)
    listening = await server_endpoint(f"ws:{port}", reactor).listen(factory)
    assert await soon(answer) == "世界 A"
    assert client.counters.ready == 2
    await soon(client.stopService())
    await listening.stopListening()
    await soon(factory.drain())
