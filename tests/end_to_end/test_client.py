"""The client over real sockets: servers that crash, servers of other makes."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
from collections import Counter

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ServerEndpoint, clientFromString
from twisted.internet.task import deferLater

from tests.end_to_end.programs import HOST, PATIENCE, require
from tests.test_docs import ROOT
from twisted_sock import (
    LineClient,
    LineFactory,
    ReconnectingLineClientFactory,
    RequestError,
    Requests,
    Retry,
    fast,
)
from twisted_sock.client.events import Disconnected
from twisted_sock.errors import ConnectionGone

QUICK = Retry(first_delay=0.02, max_delay=0.05)

#: Whenever it is told to on its input, starts a server, and tells its process. That server writes
#: down every line before it answers. It is forked, so that 50 of them start in a moment.
WRITES_DOWN = """
import os, signal, sys
import twisted.internet.epollreactor, twisted_sock

def serve():
    from twisted.internet import reactor
    log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def answer(line):
        os.write(log, f"{line}\\n".encode())
        return f"did {line}"

    factory = twisted_sock.LineFactory(answer)
    reactor.listenTCP(int(sys.argv[1]), factory, interface="127.0.0.1")
    print("process", os.getpid(), flush=True)
    reactor.run()

for _ in sys.stdin:
    child = os.fork()
    if not child:
        serve()
    os.waitpid(child, 0)
    print("gone", child, flush=True)
"""


@pytest.fixture
def clients():
    """Make clients that are stopped after the test."""
    made = []

    def make(port, *, quick=False, **settings):
        on = fast(reactor) if quick else reactor
        endpoint = clientFromString(on, f"tcp:{HOST}:{port}")
        client = LineClient(endpoint, **{"retry": QUICK} | settings)
        client.startService()
        made.append(client)
        return client

    yield make
    for client in made:
        pytest_twisted.blockon(client.stopService().addTimeout(PATIENCE, reactor))


@pytest.fixture
def free_port():
    with socket.create_server((HOST, 0)) as bound:
        return bound.getsockname()[1]


async def until(condition):
    """Wait until a condition holds."""
    deadline = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < deadline
        await deferLater(reactor, 0.001)


def soon(deferred):
    return deferred.addTimeout(PATIENCE, reactor)


@pytest.mark.parametrize("quick", [False, True])
@pytest_twisted.ensureDeferred
async def test_comes_back_to_a_server_that_was_restarted(clients, serve, free_port, quick):
    server = serve(port=free_port)
    client = clients(free_port, quick=quick)
    assert await soon(client.request("héllo")) == "héllo"
    server.tell(signal.SIGTERM)
    await until(lambda: client.counters.closed)
    server.wait()
    answer = client.request("世界")
    serve(port=free_port)
    assert await soon(answer) == "世界"
    assert client.counters.ready == 2


@pytest_twisted.ensureDeferred
async def test_the_factory_for_connect_tcp_does_too(serve, free_port):
    server = serve(port=free_port)
    factory = ReconnectingLineClientFactory(retry=QUICK)
    reactor.connectTCP(HOST, free_port, factory)
    assert await soon(factory.request("a")) == "a"
    server.tell(signal.SIGKILL)
    server.wait()
    await until(lambda: factory.counters.closed)
    answer = factory.request("b")
    serve(port=free_port)
    assert await soon(answer) == "b"
    await soon(factory.stop())


@pytest_twisted.ensureDeferred
async def test_the_factory_stops_in_the_middle_of_connecting():
    with socket.socket() as full:
        full.bind((HOST, 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection((HOST, port)):  # so the next has no place
            factory = ReconnectingLineClientFactory(retry=QUICK)
            reactor.connectTCP(HOST, port, factory)
            client = LineClient(clientFromString(reactor, f"tcp:{HOST}:{port}"), retry=QUICK)
            client.startService()
            await deferLater(reactor, 0)
            await soon(factory.stop())
            await soon(client.stopService())


@pytest_twisted.ensureDeferred
async def test_a_server_killed_50_times_under_load_costs_no_request_its_honest_end(
    clients, run, free_port, tmp_path
):
    log = tmp_path / "log"
    ours, its = socket.socketpair()
    command = [sys.executable, "-c", WRITES_DOWN, str(free_port), str(log)]
    forks = run(command, stdin=its.fileno(), env={"PYTHONPATH": str(ROOT)})

    def start():
        ours.sendall(b"start\n")
        return int(forks.out.expect(r"process (\d+)")[1])

    client = clients(
        free_port, requests=Requests(window=16, outbox=0, timeout=PATIENCE), quick=True
    )
    ends = {}
    running = True

    async def ask(name):
        number = 0
        while running:
            line = f"{name} {number}"
            number += 1
            ends[line] = []
            try:
                ends[line].append(await client.request(line))
            except RequestError as error:
                ends[line].append(error)

    asking = [Deferred.fromCoroutine(ask(name)) for name in range(32)]
    for _ in range(50):
        server = start()
        ready = client.counters.ready
        await until(lambda ready=ready: client.counters.ready > ready)
        answered = client.counters.answered
        some = random.randrange(1, 200)
        await until(lambda enough=answered + some: client.counters.answered >= enough)
        os.kill(server, signal.SIGKILL)
        forks.out.expect(f"gone {server}")
    running = False
    server = start()
    await soon(DeferredList(asking))
    os.kill(server, signal.SIGKILL)
    ours.close()
    its.close()
    executed = Counter(log.read_text().splitlines())
    assert {len(end) for end in ends.values()} == {1}
    for line, [end] in ends.items():
        if isinstance(end, str):
            assert end == f"did {line}"
            assert executed[line] == 1
        else:
            assert isinstance(end, ConnectionGone)
            assert end.maybe_executed
            assert executed[line] <= 1
    counters = client.counters
    assert counters.asked == len(ends) == counters.answered + counters.failed.total()
    assert counters.ready >= 50


@pytest_twisted.ensureDeferred
async def test_many_clients_come_back_to_a_server_that_was_away(clients):
    """The wait is shorter than the 60 s of the simulation, but the sockets are real."""
    factory = LineFactory(str.upper)
    endpoint = TCP4ServerEndpoint(reactor, 0, backlog=1000, interface=HOST)
    listening = await endpoint.listen(factory)
    port = listening.getHost().port
    many = [clients(port, retry=Retry(first_delay=0.05, max_delay=1.0)) for _ in range(500)]
    await soon(DeferredList([client.whenConnected() for client in many]))
    await listening.stopListening()
    await soon(factory.drain())
    await until(lambda: all(client.backoff.failures >= 3 for client in many))
    endpoint = TCP4ServerEndpoint(reactor, port, backlog=1000, interface=HOST)
    listening = await endpoint.listen(factory)
    answers = await soon(DeferredList([client.request("x") for client in many]))
    assert answers == [(True, "X")] * 500
    assert all(client.counters.ready == 2 for client in many)
    await listening.stopListening()
    await soon(DeferredList([client.stopService() for client in many]))


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("nc", ["nc", "-l", HOST, "{port}"]),
        ("socat", ["socat", "-", "tcp-listen:{port},bind=127.0.0.1"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_person_answers_with(program, command, clients, run, free_port):
    require(program)
    typed, keyboard = socket.socketpair()
    peer = run([each.format(port=free_port) for each in command], stdin=keyboard.fileno())
    keyboard.close()
    client = clients(free_port)
    answer = client.request("how are you?")
    await until(lambda: "how are you?" in peer.out.text)
    typed.sendall("gut, dänke\n".encode())
    assert await soon(answer) == "gut, dänke"
    typed.sendall(b"and you?\n")
    assert await soon(client.lines().__anext__()) == "and you?"
    typed.close()
    await until(lambda: client.counters.ready == 1)


@pytest_twisted.ensureDeferred
async def test_a_bare_socket_that_stops_reading_does_not_hold_up_the_end(clients):
    with socket.create_server((HOST, 0)) as listening:
        client = clients(listening.getsockname()[1])
        await soon(client.whenConnected())
        accepted, _ = listening.accept()
        for _ in range(200):
            client.request("x" * 60_000).addErrback(lambda failure: failure.trap(RequestError))
        await soon(client.stopService())
        accepted.close()


@pytest_twisted.ensureDeferred
async def test_a_frozen_server_is_noticed_by_the_heartbeat(clients, serve):
    server = serve()
    client = clients(
        server.port, heartbeat="ping", requests=Requests(ping_after=0.1, ping_timeout=0.5)
    )
    assert await soon(client.request("a")) == "a"
    lost = []
    client.on_event(lambda event: lost.append(event) if isinstance(event, Disconnected) else 0)
    server.tell(signal.SIGSTOP)
    try:
        await until(lambda: lost)
    finally:
        server.tell(signal.SIGCONT)
    assert lost[0].why == "the heartbeat was not answered in time"
    assert await soon(client.request("b")) == "b"


def test_the_example_outlives_its_server(serve, run, free_port):
    server = serve(port=free_port)
    ours, its = socket.socketpair()
    example = [sys.executable, "-u", str(ROOT / "docs" / "examples" / "client.py")]
    program = run([*example, str(free_port)], stdin=its.fileno())
    its.close()
    ours.sendall("héllo\n".encode())
    program.out.expect("héllo\n")
    server.tell(signal.SIGKILL)
    server.wait()
    serve(port=free_port)
    ours.sendall(b"again\n")
    program.out.expect("(again|safe to ask again|do not ask again)\n")
    ours.close()
    assert program.wait() == 0
