"""A mock in the test's own process: what it lets in, and how it ends, on a clock."""

from __future__ import annotations

from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.http_peer import post
from twisted_sock import Limits
from twisted_sock.mock_server import SETTLING, TURN, TURNS, MockServer
from twisted_sock.testing import MemoryPeer, join

#: Nobody is dropped but by the mock.
PATIENT = Limits(
    handshake_timeout=0, idle_timeout=0, stall_timeout=0, close_grace=0, drain_timeout=0
)

ALL = """
[[rule]]
name = "all"
reply = "heard"
"""


class Client(Protocol):
    """Says something, and stays."""

    said = b""

    def __init__(self):
        self.received = b""

    def dataReceived(self, data):
        self.received += data


class MockServerTest(SynchronousTestCase):
    def setUp(self):
        self.reactor = MemoryReactorClock()

    def serve(self, endpoint="tcp:0"):
        server = MockServer(ALL, endpoint, limits=PATIENT, reactor=self.reactor)
        self.factory = self.reactor.tcpServers[-1][1]
        return server

    def connect(self, said=b""):
        """A client, and what moves all that is said to it and by it."""
        client = Client()
        protocol = self.factory.buildProtocol(None)
        wire = join(protocol, client)
        client.transport.write(said)
        wire.flow()
        return client, wire

    def pass_turns(self, count=1):
        for _ in range(count):
            self.reactor.advance(TURN)

    def hits(self, server):
        return server.report().hits["all"]


class EndTest(MockServerTest):
    def assert_stops(self, server, *wires):
        """It does so without waiting for anybody."""
        stopped = server.stop()
        self.pass_turns(TURNS)
        for wire in wires:
            wire.flow()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.successResultOf(stopped)
        for wire in wires:
            self.assertEqual([end.connected for end in wire.ends], [False, False])

    def test_a_client_that_says_nothing(self):
        for endpoint in ("tcp:0", "ws:0"):
            server = self.serve(endpoint)
            _, wire = self.connect()
            self.assert_stops(server, wire)

    def test_a_connection_that_is_kept(self):
        server = self.serve("ws:0")
        client, wire = self.connect(post(b"PING\n"))
        wire.flow()
        self.assertIn(b"heard\n", client.received)
        self.assert_stops(server, wire)
        self.assertEqual(self.hits(server), 1)

    def test_it_has_stopped_when_the_connections_are_gone(self):
        for endpoint in ("tcp:0", "ws:0"):
            server = self.serve(endpoint)
            _, wire = self.connect()
            stopped = server.stop()
            self.pass_turns(TURNS)
            self.assertNoResult(stopped)
            wire.flow()
            self.successResultOf(stopped)


class SettlingTest(MockServerTest):
    def peer(self, server):
        return MemoryPeer(server._factory, self.reactor)

    def test_what_comes_late_on_a_busy_system(self):
        server = self.serve()
        stopped = server.stop()
        self.pass_turns()
        self.assertNoResult(stopped)
        peer = self.peer(server)
        self.pass_turns()
        self.assertNoResult(stopped)
        peer.say("PING")
        peer.end()
        self.pass_turns(2)
        self.successResultOf(stopped)
        self.assertEqual(self.hits(server), 1)

    def test_it_goes_on_while_something_comes(self):
        for come in (MemoryPeer.say, MemoryPeer.send):  # lines, and the beginning of one
            server = self.serve()
            peer = self.peer(server)
            settled = server.settle()
            for _ in range(10 * TURNS):
                come(peer, "PING")
                self.pass_turns()
                self.assertNoResult(settled)
            self.pass_turns()
            self.successResultOf(settled)

    def test_it_goes_on_while_somebody_comes(self):
        for endpoint in ("tcp:0", "ws:0"):
            server = self.serve(endpoint)
            settled = server.settle()
            for _ in range(2 * TURNS):
                self.connect()
                self.pass_turns()
                self.assertNoResult(settled)
            self.pass_turns()
            self.successResultOf(settled)

    def test_it_does_not_wait_for_an_answer(self):
        server = self.serve()
        server.load('[[rule]]\nname = "all"\nreply = "late"\ndelay = 60')
        self.peer(server).say("PING")
        settled = server.settle()
        self.pass_turns(TURNS)
        self.successResultOf(settled)

    def test_it_ends_though_somebody_talks_on(self):
        server = self.serve()
        peer = self.peer(server)
        settled = server.settle()
        most = round(SETTLING / TURN) + 1
        turns = 0
        while not settled.called and turns < 2 * most:
            peer.say("PING")
            self.pass_turns()
            turns += 1
        self.successResultOf(settled)
        self.assertAlmostEqual(turns, most, delta=2)
