"""UDP over real sockets: other makers' clients, a server in a process, its end."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import closing, suppress

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater

from tests.end_to_end.programs import HOST, PATIENCE, SLACK, Client, Server, memory, require
from twisted_sock import Limits, LineFactory, Reason
from twisted_sock.listeners import server_endpoint
from twisted_sock.transports.udp import AT_ONCE, FairPort
from twisted_sock.udp.table import OURS

PLUG = """
from twisted.internet import reactor
from twisted.internet.task import deferLater

def answer(line):
    if line.startswith("later"):
        return deferLater(reactor, 0.5, line.upper)
    if line.startswith("more"):
        return line * 10
    return line.upper()
"""


class UDPClient:
    """A bare socket that is connected to a UDP port."""

    def __init__(self, port, host=HOST, source=None):
        self.socket = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
        )
        self.socket.settimeout(PATIENCE)
        if source is not None:
            self.socket.bind(source)
        self.socket.connect((host, port))

    def close(self):
        self.socket.close()

    def say(self, data):
        self.socket.send(data)

    def read(self):
        return self.socket.recv(65536)

    def ask(self, data):
        self.say(data)
        return self.read()

    def insist(self, data):
        """Ask until there is an answer: a full socket drops questions."""
        self.socket.settimeout(0.2)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                return self.ask(data)
        raise AssertionError("there is no answer")


class ServerOnUDP(Server):
    """A server on three ports."""

    def wait_until_it_listens(self):
        pattern = r"listens on IPv[46]Address\(.*port=(\d+)"
        self.ports = [int(self.out.expect(pattern)[1]) for _ in range(3)]


@pytest.fixture
def client(at_the_end):
    """A client of a port, closed at the end."""

    def make(*arguments):
        made = UDPClient(*arguments)
        at_the_end.callback(made.close)
        return made

    return make


@pytest.fixture
def udp(twistd, plug):
    """A server on IPv4, IPv6 and TCP; returns it and its ports in this order."""

    def start(*options):
        plug("udp_plug", PLUG)
        endpoints = ["udp:0", "udp:0:interface=\\:\\:1", "tcp:0"]
        given = [word for each in endpoints for word in ("--endpoint", each)]
        server = twistd(*given, "--protocol", "udp_plug.answer", *options, kind=ServerOnUDP)
        server.wait_until_it_listens()
        return server

    return start


def test_any_client(udp, client, run):
    server = udp()
    four, six, tcp = server.ports
    # Bare sockets.
    for asking in (client(four), client(six, "::1")):
        assert asking.ask(b"hello") == b"HELLO"
        assert asking.ask("ä\r\n世界\r\nß".encode()) == "Ä\r\n世界\r\nSS".encode()
        assert asking.ask(b"later a\nb\n") == b"LATER A\nB\n"
    # Programs.
    for command in (
        [require("nc"), "-u", HOST, str(four)],
        [require("nc"), "-u", "-6", "::1", str(six)],
        [require("socat"), "-", f"UDP4:{HOST}:{four}"],
        [require("socat"), "-", f"UDP6:[::1]:{six}"],
    ):
        stdin, keyboard = os.pipe()
        program = run(command, stdin=stdin)
        os.close(stdin)
        os.write(keyboard, b"hello\n")
        program.out.expect("HELLO\n")
        os.write(keyboard, "世界\n".encode())
        program.out.expect("世界\n")
        os.close(keyboard)
        program.reap()
    with Client(tcp) as stream:
        assert stream.ask(b"hello\n") == b"HELLO\n"


def test_threat_24_what_is_dropped(udp, client):
    server = udp("--max-datagram", "2000", "--max-connections", "2")
    port = server.ports[0]
    asking = client(port)
    asking.say(b"")
    asking.say(b"more x")  # more than was asked
    asking.say(b"x" * 2001)
    asking.say(b"y" * 9000)  # Twisted alone would cut it without a word
    assert asking.ask(b"x" * 2000) == b"X" * 2000
    looping = client(port, HOST, ("127.0.0.2", port))  # our number, so maybe our kind
    looping.say(b"for ever")
    assert asking.ask(b"here\n") == b"HERE\n"
    looping.socket.settimeout(0.05)
    with pytest.raises(TimeoutError):
        looping.read()
    server.out.expect("ERR datagram it is empty")
    server.out.expect("ERR datagram the reply is longer than what was asked")
    for _ in range(2):
        server.out.expect("ERR datagram it has more than 2000 bytes")
    server.out.expect(r"127.0.0.2:\d+: ERR datagram it comes from our own port number")
    # Who asks and is gone costs nobody else their answers.
    gone = client(port)
    gone.say(b"later gone")
    gone.close()
    assert asking.ask(b"later here") == b"LATER HERE"
    assert asking.ask(b"later here") == b"LATER HERE"
    # Peers, whose addresses may be invented, take no place from connections.
    assert client(port).ask(b"third") == b"THIRD"
    with Client(server.ports[2]) as stream:
        assert stream.ask(b"a\n") == b"A\n"


def test_threat_24_a_flood(udp, client):
    """Of more peers than there may be, and of datagrams that say nothing."""
    server = udp("--max-udp-peers", "50")
    port = server.ports[0]
    asking = client(port)
    assert asking.ask(b"a") == b"A"
    before = memory(server.pid)
    for number in range(600):
        flooder = UDPClient(port, HOST, (f"127.0.1.{number % 250 + 1}", 0))
        with closing(flooder):
            flooder.say(b"flood " * 200)
    with closing(UDPClient(port)) as flooder, Client(server.ports[2]) as neighbour:
        for _ in range(20_000):
            flooder.say(b"")
        begun = time.monotonic()
        assert neighbour.ask(b"b\n") == b"B\n"
        assert asking.insist(b"c") == b"C"
        assert time.monotonic() - begun < SLACK
    assert memory(server.pid) - before < 8 << 20
    server.out.expect("ERR busy it had been silent longest")


def test_stopping_sends_what_is_in_work(udp, client):
    server = udp()
    asking, other = client(server.ports[0]), client(server.ports[0])
    asking.say(b"later " + b"x" * 100)
    assert other.ask(b"a") == b"A"  # so the question before it was read
    server.tell(signal.SIGTERM)
    assert asking.read() == b"LATER " + b"X" * 100
    assert server.wait() == -signal.SIGTERM


def test_a_port_that_is_taken(udp, twistd):
    server = udp()
    second = twistd("--endpoint", f"udp:{server.ports[0]}")
    assert second.wait() == 1
    assert f"udp:{server.ports[0]}" in second.err.whole()
    assert "Traceback" not in second.err.text


class Counting(DatagramProtocol):
    """Counts datagrams, and fails at each."""

    noisy = False
    count = 0

    def datagramReceived(self, datagram, addr):
        self.count += 1
        raise ValueError("broken on purpose")


@pytest_twisted.ensureDeferred
async def test_a_flood_lets_others_have_their_turn(no_leaks):
    """However small its datagrams; and one that fails does not cost the others the port."""
    counting = Counting()
    port = FairPort(0, counting, HOST, 1000, reactor)
    port.startListening()
    with closing(UDPClient(port.getHost().port)) as flooder:
        for _ in range(AT_ONCE + 10):
            flooder.say(b"")
    port.doRead()
    assert counting.count == AT_ONCE
    port.doRead()
    assert counting.count == AT_ONCE + 10
    no_leaks.flush(ValueError)
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_our_own_ports_do_not_talk_to_each_other():
    """Whoever has invented the datagram with which one seems to have begun."""
    factory = LineFactory(str.upper)
    ports = [await server_endpoint("udp:0", reactor).listen(factory) for _ in range(2)]
    numbers = [port.getHost().port for port in ports]
    sockets = [find_socket(number) for number in numbers]
    sockets[0].sendto(b"ping", (HOST, numbers[1]))
    sockets[1].sendto(b"ping", (HOST, numbers[0]))
    counters = factory.counters
    while counters.problems[Reason.DATAGRAM] < 2:
        assert not counters.lines_in
        await deferLater(reactor, 0.01)
    assert not counters.opened
    with closing(UDPClient(numbers[0])) as asking:
        asking.say(b"still here")
        while not counters.lines_out:
            await deferLater(reactor, 0.01)
        assert asking.read() == b"STILL HERE"
    for port in ports:
        await port.stopListening()
    assert not set(numbers) & set(OURS)
    await factory.drain()


def find_socket(number):
    """That of our port with this number."""
    for reader in reactor.getReaders():
        if isinstance(reader, FairPort) and reader.getHost().port == number:
            return reader.socket
    raise AssertionError("nobody listens there")


@pytest_twisted.ensureDeferred
async def test_a_port_that_stops_alone():
    """Its Deferreds fire, and it can be had again, whatever is in work."""
    waiting = []

    def handler(line):
        waiting.append(Deferred())
        return waiting[-1]

    factory = LineFactory(handler, limits=Limits(drain_timeout=0.2))
    endpoint = server_endpoint("udp:0", reactor)
    port = await endpoint.listen(factory)
    host = port.getHost()
    again = server_endpoint(f"udp:{host.port}", reactor)
    with pytest.raises(CannotListenError):
        await again.listen(factory)
    assert factory.numPorts == 1
    with closing(UDPClient(host.port)) as asking:
        asking.say(b"never answered")
        while not waiting:
            await deferLater(reactor, 0.01)
        stopped = [port.stopListening(), port.stopListening()]
        for each in stopped:
            await each
        await port.stopListening()
        await factory.drain()
        assert factory.counters.current == factory.numPorts == 0
        port = await again.listen(factory)
        asking.say(b"answered")
        while len(waiting) < 2:
            await deferLater(reactor, 0.01)
        stopped = port.stopListening()
        waiting[1].callback("yes")
        await stopped
        assert asking.read() == b"yes"
