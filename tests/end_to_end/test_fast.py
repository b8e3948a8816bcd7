"""The fast reactor: Twisted's own tests pass on it, and it is fair."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from io import BytesIO

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DN, CertificateOptions, KeyPair
from twisted.internet.task import deferLater
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.end_to_end.programs import python, script
from twisted_sock import Limits, LineFactory, LineProtocol, fast
from twisted_sock.transports.tcp import FastServer

REACTORS = ("epoll", "poll", "select", "asyncio")


class Bare:
    """A bare socket whose reads wait in a turn of the reactor."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)

    async def read(self, size):
        received = b""
        while len(received) < size:
            try:
                data = self.socket.recv(size - len(received))
            except BlockingIOError:
                await deferLater(reactor, 0)
                continue
            if not data:
                break
            received += data
        return received


@implementer(IReadDescriptor)
class Readable:
    """A descriptor of ours that is told that there is something to read, and reads nothing."""

    polled = True

    def __init__(self, socket):
        self.socket = socket
        self.fileno = socket.fileno
        self.reads = 0

    def doRead(self):
        self.reads += 1

    def logPrefix(self):
        return "readable"


class Event:
    """A file of its own, as small as can be."""

    def __init__(self):
        self._number = os.eventfd(1)

    def fileno(self):
        return self._number

    def close(self):
        os.close(self._number)


@pytest.fixture
def listen():
    """Serve a factory on the fast reactor; gives the port, and a bare socket to it."""
    ports, sockets, factories = [], [], []

    async def start(factory):
        quick = fast(reactor)
        port = await TCP4ServerEndpoint(quick, 0, interface="127.0.0.1").listen(factory)
        ports.append(port)
        factories.append(factory)
        bare = Bare(port.getHost().port)
        sockets.append(bare.socket)
        return bare

    yield start
    for each in sockets:
        each.close()
    for port, factory in zip(ports, factories, strict=True):
        pytest_twisted.blockon(port.stopListening())
        if isinstance(factory, LineFactory):
            pytest_twisted.blockon(factory.drain())


def test_twisteds_own_tests_pass(tmp_path):
    done = python("-m", "twisted.trial", "tests.end_to_end.twisted_own", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-5000:]
    passed = int(done.stdout.rpartition("successes=")[2].rstrip(")\n"))
    assert passed >= 400


@pytest.mark.parametrize("name", REACTORS)
def test_every_reactor_can_be_made_fast(name, tmp_path):
    program = f"""
import socket, threading
from twisted.internet import {name}reactor
{name}reactor.install()
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted_sock import LineFactory, fast

def talk(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall("héllo".encode() + b"\\n")
    client.shutdown(socket.SHUT_WR)
    print(client.makefile(encoding="utf-8").read(), end="")
    reactor.callFromThread(reactor.stop)

def listens(port):
    threading.Thread(target=talk, args=[port.getHost().port]).start()

endpoint = serverFromString(fast(reactor), "tcp:0:interface=127.0.0.1")
endpoint.listen(LineFactory(str.upper)).addCallback(listens)
reactor.callLater(20, reactor.stop)
reactor.run()
"""
    done = python("-c", program, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("HÉLLO\n", "")


@pytest_twisted.ensureDeferred
async def test_nothing_stays_in_the_reactor():
    quick = fast(reactor)
    before = set(reactor.getReaders())
    port = await TCP4ServerEndpoint(quick, 0, interface="127.0.0.1").listen(LineFactory(str.upper))
    assert len(set(reactor.getReaders()) - before) == 1
    await port.stopListening()
    assert set(reactor.getReaders()) == before


@pytest_twisted.ensureDeferred
async def test_a_peer_that_reads_a_byte_at_a_time_gets_everything(listen):
    bare = await listen(LineFactory(lambda line: line * 30_000, limits=Limits(stall_timeout=0)))
    bare.socket.send(b"0123456789\n")
    received = b"".join([await bare.read(1) for _ in range(300_001)])
    assert received == b"0123456789" * 30_000 + b"\n"


@pytest_twisted.ensureDeferred
async def test_an_endless_reply_does_not_starve_the_reactor(listen):
    class Endless(LineProtocol):
        def lineReceived(self, line):
            while True:
                yield "x" * 1000

    bare = await listen(LineFactory(Endless))
    bare.socket.send(b"go\n")
    for _ in range(20):
        assert len(await bare.read(100_000)) == 100_000
        await deferLater(reactor, 0)
    bare.socket.close()


@pytest_twisted.ensureDeferred
async def test_a_flood_leaves_timers_and_others_their_turn(listen):
    factory = LineFactory(str.upper)
    flooding = await listen(factory)
    other = Bare(flooding.socket.getpeername()[1])
    ticks = []
    for tick in range(50):
        try:
            flooding.socket.send(b"x\n" * 50_000)
            flooding.socket.recv(1 << 20)
        except BlockingIOError:
            pass
        other.socket.send(b"hello\n")
        assert await other.read(6) == b"HELLO\n"
        await deferLater(reactor, 0)
        ticks.append(tick)
    other.socket.close()
    assert len(ticks) == 50


@pytest_twisted.ensureDeferred
async def test_writes_of_one_turn_leave_together_and_in_order(listen):
    class Many(LineProtocol):
        def lineReceived(self, line):
            self.sendLine("one")
            self.sendLine("two")
            return ["three", "four"]

    bare = await listen(LineFactory(Many))
    bare.socket.send(b"a\nb\n")
    expected = b"one\ntwo\nthree\nfour\n" * 2
    assert await bare.read(len(expected)) == expected


class Script(Protocol):
    """Does what the test says when a line comes, with the bare transport."""

    def dataReceived(self, data):
        getattr(self, data.decode().strip())()

    def close_after_writing(self):
        self.transport.write(b"last words")
        self.transport.loseConnection()

    def abort_after_writing(self):
        self.transport.write(b"never sent")
        self.transport.abortConnection()

    def write_much(self):
        self.transport.write(b"a" * 3_000_000)
        self.transport.write(b"b")
        self.transport.loseConnection()

    def half_close(self):
        self.transport.write(b"half")
        self.transport.loseWriteConnection()

    def raise_after_writing(self):
        self.transport.write(b"before")
        raise ZeroDivisionError

    def connectionLost(self, reason):
        self.factory.lost.callback(reason.type.__name__)


@pytest_twisted.ensureDeferred
async def test_what_is_always_ready_leaves_the_reactor_its_turn():
    near, far = socket.socketpair()
    far.send(b"never read")
    quick, endless = fast(reactor), Readable(near)
    quick.addReader(endless)
    await deferLater(reactor, 0.01)
    quick.removeReader(endless)
    assert endless.reads > 1
    near.close()
    far.close()


@pytest.mark.parametrize(
    ("what", "received", "lost"),
    [
        ("close_after_writing", b"last words", "ConnectionDone"),
        ("abort_after_writing", b"", "ConnectionAborted"),
        ("write_much", b"a" * 3_000_000 + b"b", "ConnectionDone"),
        ("half_close", b"half", "ConnectionDone"),
        ("raise_after_writing", None, "ZeroDivisionError"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_ends(listen, no_leaks, what, received, lost):
    factory = Factory.forProtocol(Script)
    factory.lost = Deferred()
    bare = await listen(factory)
    bare.socket.send(what.encode())
    if received is not None:
        try:
            assert await bare.read(len(received) + 1) == received
        except ConnectionResetError:
            assert what == "abort_after_writing"
    bare.socket.close()
    assert await factory.lost.addTimeout(20, reactor) == lost
    no_leaks.flush(ZeroDivisionError)


@pytest_twisted.ensureDeferred
async def test_code_that_fails_at_the_end_costs_nobody_else(listen, no_leaks):
    class Unforgiving(Protocol):
        def dataReceived(self, data):
            self.transport.write(data)

        def connectionLost(self, reason):
            raise ZeroDivisionError

    bare = await listen(Factory.forProtocol(Unforgiving))
    other = Bare(bare.socket.getpeername()[1])
    other.socket.send(b"hello")
    assert await other.read(5) == b"hello"
    bare.socket.close()
    for _ in range(5):
        await deferLater(reactor, 0)
    other.socket.send(b"still here")
    assert await other.read(10) == b"still here"
    third = Bare(other.socket.getpeername()[1])
    third.socket.send(b"hello")
    assert await third.read(5) == b"hello"
    for each in (other, third):
        each.socket.close()
    while len(no_leaks.events) < 3:
        await deferLater(reactor, 0)
    no_leaks.flush(ZeroDivisionError)


@pytest_twisted.ensureDeferred
async def test_a_producer_that_is_pulled_is_asked_until_it_is_done(listen):
    class File(Protocol):
        def connectionMade(self):
            sent = FileSender().beginFileTransfer(BytesIO(b"x" * 1_000_000), self.transport)
            sent.addCallback(lambda _: self.transport.loseConnection())

    bare = await listen(Factory.forProtocol(File))
    assert len(await bare.read(2_000_000)) == 1_000_000


@pytest_twisted.ensureDeferred
async def test_what_is_pushed_from_a_timer_leaves_in_one_piece(listen, monkeypatch):
    opened, sent = [], []
    flush = FastServer.flush
    monkeypatch.setattr(FastServer, "flush", lambda self: sent.append(self) or flush(self))

    class Pushed(LineProtocol):
        def connectionMade(self):
            opened.append(self)

    bare = await listen(LineFactory(Pushed))
    while not opened:
        await deferLater(reactor, 0)
    for _ in range(1000):
        opened[0].sendLine("tick")
    assert await bare.read(5000) == b"tick\n" * 1000
    assert len(sent) == 1


def test_a_file_is_left_to_the_reactor(tmp_path):
    """An epoll takes no files; `stdio:` with one needs the reactor's own way."""
    (tmp_path / "lines").write_text("one\ntwo\n")
    command = [*script("twistd"), "-n", "--pidfile=", f"--logfile={tmp_path / 'log'}"]
    with (
        (tmp_path / "lines").open() as lines,
        subprocess.Popen(
            [*command, "sockservice", "--endpoint", "stdio:"],
            cwd=tmp_path,
            stdin=lines,
            stdout=subprocess.PIPE,
            text=True,
        ) as service,
    ):
        assert [service.stdout.readline(), service.stdout.readline()] == ["one\n", "two\n"]
        service.terminate()


@pytest_twisted.ensureDeferred
async def test_a_socket_that_is_bound_already_is_fast_too():
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        port = fast(reactor).adoptStreamPort(
            bound.fileno(), socket.AF_INET, LineFactory(str.upper)
        )
        bare = Bare(bound.getsockname()[1])
        bare.socket.send(b"hello\n")
        assert await bare.read(6) == b"HELLO\n"
        assert port.transport is FastServer
        bare.socket.close()
        await port.stopListening()
        await port.factory.drain()


@pytest_twisted.ensureDeferred
async def test_a_peer_that_reads_a_byte_at_a_time(listen):
    reply = "".join(map(str, range(1_500_000)))
    bare = await listen(LineFactory(lambda line: reply))
    bare.socket.send(b"go\n")
    slowly = b"".join([await bare.read(1) for _ in range(5000)])
    assert slowly + await bare.read(len(reply) + 1 - 5000) == f"{reply}\n".encode()


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted does
@pytest_twisted.ensureDeferred
async def test_tls_begun_in_the_middle(listen):
    certificate = self_signed()
    lost = []

    class Upgrade(Protocol):
        def dataReceived(self, data):
            if data == b"STARTTLS\n":
                self.transport.write(b"go ahead\n")
                self.transport.startTLS(certificate.options())
            else:
                self.transport.write(data.upper())

        def connectionLost(self, reason):
            lost.append(reason)

    class Client(Protocol):
        def connectionMade(self):
            self.received, self.closed = b"", Deferred()
            self.transport.write(b"STARTTLS\n")

        def dataReceived(self, data):
            self.received += data
            if self.received == b"go ahead\n":
                self.transport.startTLS(CertificateOptions())
                self.transport.write(b"x" * 300_000)
            elif self.received.endswith(b"X" * 300_000):
                self.transport.loseConnection()

        def connectionLost(self, reason):
            self.closed.callback(self.received)

    bare = await listen(Factory.forProtocol(Upgrade))
    here = TCP4ClientEndpoint(fast(reactor), "127.0.0.1", bare.socket.getpeername()[1])
    client = await here.connect(Factory.forProtocol(Client))
    assert await client.closed == b"go ahead\n" + b"X" * 300_000
    bare.socket.close()
    while len(lost) < 2:
        await deferLater(reactor, 0)


def self_signed():
    """A certificate for nobody in particular."""
    key = KeyPair.generate(size=2048)
    request = key.requestObject(DN(CN="localhost"))
    return key.newCertificate(key.signRequestObject(DN(CN="localhost"), request, 1).dump())


def test_without_epoll_the_reactor_polls(tmp_path):
    """As on a platform that has none."""
    program = """
import select, sys
del select.epoll
from twisted.internet import pollreactor
pollreactor.install()
from twisted.internet import reactor
from twisted.logger import globalLogPublisher
globalLogPublisher.addObserver(lambda event: print(event["log_format"]))
from twisted_sock import fast
print(fast(reactor) is reactor)
"""
    done = python("-c", program, cwd=tmp_path)
    assert done.stdout == "no epoll here: connections are polled by the reactor\nTrue\n"


@pytest_twisted.ensureDeferred
async def test_a_socket_closed_behind_our_back_costs_nobody_else(listen, no_leaks):
    class Careless(Protocol):
        def dataReceived(self, data):
            if data == b"hello\n":
                self.transport.write(data)
                return
            self.transport.write(b"x" * 20_000_000)
            reactor.callLater(0, self.close)

        def close(self):
            self.transport.getHandle().close()
            self.transport.stopReading()
            self.transport.connectionLost(Failure(ConnectionLost()))

    bare = await listen(Factory.forProtocol(Careless))
    other = Bare(bare.socket.getpeername()[1])
    bare.socket.send(b"close\n")
    await bare.read(100_000)
    for _ in range(2):
        other.socket.send(b"hello\n")
        assert await other.read(6) == b"hello\n"
    third = Bare(other.socket.getpeername()[1])
    third.socket.send(b"hello\n")
    assert await third.read(6) == b"hello\n"
    for each in (bare, other, third):
        each.socket.close()
    for _ in range(10):
        await deferLater(reactor, 0)
    no_leaks.flush(OSError)


@pytest_twisted.ensureDeferred
async def test_what_is_held_back_keeps_its_place(listen):
    class Halting(Protocol):
        def connectionMade(self):
            self.transport.write(b"1")
            self.transport.write(b"2")
            self.transport.stopWriting()
            reactor.callLater(0, self.go_on)

        def go_on(self):
            self.transport.write(b"3")
            self.transport.writeSequence([b"4"])
            self.transport.loseConnection()

    bare = await listen(Factory.forProtocol(Halting))
    assert await bare.read(5) == b"1234"


def test_leaving_costs_no_more_where_many_stay():
    """Whatever looked through all that stay would take minutes here."""
    quick = fast(reactor)
    many, stranger = [Readable(Event()) for _ in range(400)], Readable(Event())
    for each in many:
        quick.addReader(each)
    begun = time.process_time()
    for _ in range(300_000):
        quick.removeReader(stranger)
    cost = time.process_time() - begun
    for each in many:
        quick.removeReader(each)
    for each in (*many, stranger):
        each.socket.close()
    assert cost < 3
