"""Test a line protocol: in memory on a `Clock`, or over a real socket on a free port.

In memory, there is no reactor, no thread and no waiting: time passes when the test says so, and
bytes arrive in pieces of the size the test wants. The whole real stack runs, from bytes up::

    def test_shout():
        peer = connect(str.upper)
        peer.say("hello", "世界")
        assert peer.lines() == ["HELLO", "世界"]

Over a real socket, `LocalServer` listens on a free port of 127.0.0.1. For trial, `serve` starts
one and stops it after the test; for pytest, the fixture `line_server` does.

Test a client against a server that is not there, with `mock_server`: a script on a free port::

    with mock_server("login.toml") as server:
        ...  # let the client talk to server.host and server.port

Where tests block, and run no reactor, `mock_process` is the same in a process of its own. For
pytest there are the fixtures `mock_server` and `mock_process`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.memory import BUFFER, join
from twisted_sock.mock_process import MockProcess, mock_process
from twisted_sock.mock_server import MockServer, mock_server
from twisted_sock.script.saving import save
from twisted_sock.server import Handler, LineFactory
from twisted_sock.settings import Limits, LinePolicy

__all__ = [
    "BUFFER",
    "LocalServer",
    "MemoryPeer",
    "MockProcess",
    "MockServer",
    "connect",
    "cuts",
    "join",
    "mock_process",
    "mock_server",
    "serve",
    "write_certificate",
]

#: Seconds that a test waits for an answer over a real socket before it fails.
PATIENCE = 20.0


@implementer(IHalfCloseableProtocol)
class _Recorder(Protocol):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.ended = True


class MemoryPeer:
    """A bare peer of a line server, in the hands of a test.

    Args:
        factory: whom to connect to.
        clock: the clock that the factory was made with.
        port: the port that the server sees this peer at.

    Attributes:
        clock: moves when `advance` is called.
        factory: the server's.
    """

    def __init__(self, factory: LineFactory, clock: Clock, port: int = 40000) -> None:
        self.factory = factory
        self.clock = clock
        self._recorder = _Recorder()
        protocol = factory.buildProtocol(None)
        self._wire = join(protocol, self._recorder, port)
        self._wire.flow()
        self._server, self._client = self._wire.ends

    def say(self, *lines: str) -> None:
        """Send lines, each ended by LF."""
        self.send("".join(f"{line}\n" for line in lines))

    def send(self, data: bytes | str, piece: int = BUFFER) -> None:
        """Send exactly this.

        Args:
            data: bytes, or text for UTF-8.
            piece: the most bytes that the server is given at once.
        """
        self._server.piece = piece
        self._client.write(data.encode() if isinstance(data, str) else data)
        self._wire.flow()

    def read(self) -> bytes:
        """What has come since it was last asked."""
        self._wire.flow()
        received = bytes(self._recorder.received)
        self._recorder.received.clear()
        return received

    def lines(self) -> list[str]:
        """The whole lines that have come since it was last asked."""
        *whole, tail = self.read().split(b"\n")
        self._recorder.received[:0] = tail
        return [line.removesuffix(b"\r").decode() for line in whole]

    def advance(self, seconds: float) -> None:
        """Let time pass, in small steps."""
        self._wire.flow()
        steps = max(1, min(1000, int(seconds * 100)))
        for _ in range(steps):
            self.clock.advance(seconds / steps)
            self._wire.flow()

    def end(self) -> None:
        """Close the sending side, as `nc -N` does at the end of its input."""
        self._client.loseWriteConnection()
        self._wire.flow()

    def close(self) -> None:
        """Close both sides."""
        self._client.loseConnection()
        self._wire.flow()

    def reset(self) -> None:
        """Break the connection, as a crash does."""
        self._client.abortConnection()
        self._wire.flow()

    def stop_reading(self) -> None:
        """Take nothing more of what the server sends."""
        self._client.pauseProducing()

    def start_reading(self, piece: int = BUFFER) -> None:
        """Take again, at most `piece` bytes at a time."""
        self._client.piece = piece
        self._client.resumeProducing()
        self._wire.flow()

    def take(self, size: int) -> None:
        """Take at most so many bytes of what the server sends, and then nothing again."""
        self._client.piece = size
        self._client.resumeProducing()
        self._client.step()
        self._client.pauseProducing()
        self._wire.flow()

    @property
    def unread(self) -> int:
        """Bytes that the server's transport holds for this peer."""
        return len(self._server.dataBuffer)

    @property
    def ended(self) -> bool:
        """Whether the server has closed its sending side, and everything before was read."""
        self._wire.flow()
        return self._recorder.ended

    @property
    def gone(self) -> bool:
        """Whether the server has let go of the connection altogether."""
        self._wire.flow()
        return not self._server.connected


def connect(
    handler: Handler,
    *,
    policy: LinePolicy | None = None,
    limits: Limits | None = None,
) -> MemoryPeer:
    """Connect to a line protocol in memory, on a clock of its own.

    Args:
        handler: what `LineFactory` takes.
        policy: what a line is.
        limits: what peers may cost.

    Returns:
        The peer. For a second one of the same server, `MemoryPeer(peer.factory, peer.clock)`.
    """
    clock = Clock()
    return MemoryPeer(LineFactory(handler, policy=policy, limits=limits, reactor=clock), clock)


def cuts(data: bytes, size: int | None = None) -> Iterator[list[bytes]]:
    """The ways to cut some bytes that have ever broken a parser.

    Args:
        data: what to cut.
        size: the most bytes in which every single place is tried; all places when left out.

    Yields:
        The whole; single bytes; two pieces, cut at every place; pieces of 2, 3, 5 and 7.
    """
    yield [data]
    for step in (1, 2, 3, 5, 7):
        yield [data[i : i + step] for i in range(0, len(data), step)]
    for i in range(1, len(data) if size is None else min(len(data), size)):
        yield [data[:i], data[i:]]


class LocalServer:
    """A line server on a free port of 127.0.0.1.

    Args:
        handler: what `LineFactory` takes.
        policy: what a line is.
        limits: what peers may cost.
        reactor: the global reactor when left out.

    Attributes:
        host: 127.0.0.1.
        port: the port.
        factory: the factory.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        handler: Handler,
        *,
        policy: LinePolicy | None = None,
        limits: Limits | None = None,
        reactor: Any = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self.factory = LineFactory(
            handler, policy=policy, limits=limits, reactor=IReactorTime(reactor)
        )
        self._listening = reactor.listenTCP(0, self.factory, interface=self.host)
        self.port: int = self._listening.getHost().port

    def ask(self, *lines: str) -> Deferred[list[str]]:
        """Connect, send some lines, end; wait for all that is answered.

        Returns:
            Fires with the lines that came; fails when the server does not close in time.
        """
        client = _Asker("".join(f"{line}\n" for line in lines).encode())
        endpoint = TCP4ClientEndpoint(self._reactor, self.host, self.port)
        connected: Deferred[Any] = connectProtocol(endpoint, client)
        answered: Deferred[list[str]] = connected.addCallback(lambda _: client.answered)
        return answered.addTimeout(PATIENCE, self._reactor)

    def stop(self) -> Deferred[None]:
        """Stop listening and drain.

        Returns:
            Fires with None when that is done.
        """
        stopped = maybeDeferred(self._listening.stopListening)
        return gatherResults([stopped, self.factory.drain()]).addCallback(lambda _: None)


class _Asker(_Recorder):
    """Sends, ends, and waits for the other end to close."""

    def __init__(self, question: bytes) -> None:
        super().__init__()
        self._question = question
        self.answered: Deferred[list[str]] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self._question)
        transport.loseWriteConnection()

    def readConnectionLost(self) -> None:
        transport: Any = self.transport
        transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        lines = self.received.decode().split("\n")
        if lines[-1] == "":
            del lines[-1]
        self.answered.callback([line.removesuffix("\r") for line in lines])


def serve(case: Any, handler: Handler, **settings: Any) -> LocalServer:
    """Start a `LocalServer` for one test of trial, and stop it when the test is over.

    Args:
        case: the `twisted.trial.unittest.TestCase`.
        handler: what `LineFactory` takes.
        settings: what else `LocalServer` takes.
    """
    server = LocalServer(handler, **settings)
    case.addCleanup(server.stop)
    return server


def write_certificate(path: str | os.PathLike[str], *hosts: str) -> str:
    """Make a certificate for a server that is only there for a test.

    Args:
        path: the file to write: certificate and key as PEM, for its owner alone. The server is
            given it, as `tls:0:certificate=PATH`, and clients as what they trust: it is
            self-signed. One that is there already is replaced.
        hosts: names and addresses of the server; those of this machine when left out. Names are
            ASCII (`xn--...` for others), the first of at most 64 characters.

    Returns:
        The path, as text.

    Raises:
        SettingError: a host cannot be in a certificate, or what TLS needs is not installed.
        OSError: the file cannot be written; one that was there is as it was.
    """
    from twisted_sock.tls.issuing import self_signed

    file = os.fspath(path)
    save(file, self_signed(hosts or ("localhost", "127.0.0.1", "::1")).decode("ascii"))
    return file
