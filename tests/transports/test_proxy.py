"""The PROXY protocol as a layer, in memory."""

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.test_proxy_header import LINE4, LINE6, MALFORMED, V2_4, V2_6, V2_LOCAL, V2_UNIX
from twisted_sock import Limits, LineFactory, LineProtocol, Reason
from twisted_sock.interfaces import Certificate, Credentials, Peer
from twisted_sock.testing import MemoryPeer, cuts
from twisted_sock.transports.proxy import FromProxy

TRUSTED = tuple(map(ip_network, ("127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48")))
PROXY = IPv4Address("TCP", "127.0.0.1", 40000)

WORDS = "this address is not a trusted proxy; add it to proxy= if it is one"
NO_HEADER = "it sent no PROXY header; have the proxy send one, or leave proxy= out"


class Who(LineProtocol):
    """Answers who asks, and lets one wait."""

    waiting = None

    def lineReceived(self, line):
        if line == "later":
            self.waiting.append(Deferred())
            return self.waiting[-1]
        via = self.peer.via
        return f"{line} {self.peer} via {via.port if via else None} {self.peer.identity}".strip()


class From:
    """A factory that sees its peer at an address, as a port does.

    Args:
        factory: the factory.
        address: the address, or a `Peer`.
    """

    def __init__(self, factory, address):
        self._factory = factory
        self._address = address

    def buildProtocol(self, _):
        return self._factory.buildProtocol(self._address)


class Case(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.logged = []
        globalLogPublisher.addObserver(self.logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged.append)
        self.serve()

    def serve(self, handler=Who, layers=1, **limits):
        self.owner = LineFactory(handler, limits=Limits(**limits), reactor=self.clock)
        self.factory = self.owner
        for _ in range(layers):
            self.factory = FromProxy(TRUSTED)(self.owner, self.factory)

    def connect(self, address=PROXY):
        return MemoryPeer(From(self.factory, address), self.clock)

    def words(self):
        """What was logged of problems."""
        return [event["problem"] for event in self.logged if "problem" in event]

    def assert_dropped(self, peer, words):
        self.assertTrue(peer.gone)
        self.assertEqual(peer.read(), b"")
        self.assertEqual(self.words(), [f"ERR handshake {words}"])
        self.assertEqual(dict(self.owner.counters.problems), {Reason.HANDSHAKE: 1})
        self.assertEqual((self.owner.counters.opened, len(self.owner.openings)), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HeaderTest(Case):
    def ask(self, header, address=PROXY):
        peer = self.connect(address)
        peer.send(header + b"I am\n")
        (line,) = peer.lines()
        return line

    def test_the_peer_is_whom_the_header_names(self):
        for header, name in (
            (LINE4, "192.0.2.1:56324"),
            (LINE6, "[2001:db8::1]:56324"),
            (V2_4, "192.0.2.1:56324"),
            (V2_6, "[2001:db8::1]:56324"),
            (V2_UNIX, "unix:/run/client"),
        ):
            self.assertEqual(self.ask(header), f"I am {name} via 40000")

    def test_a_proxy_that_names_nobody_speaks_for_itself(self):
        for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN a b 1 2\r\n", V2_LOCAL):
            self.assertEqual(self.ask(header), "I am 127.0.0.1:40000 via None")

    def test_in_pieces_of_any_size(self):
        for header in (LINE4, V2_6):
            for pieces in cuts(header + b"one\ntwo\n", 70):
                peer = self.connect()
                for piece in pieces:
                    peer.send(piece)
                self.assertEqual([line.split()[0] for line in peer.lines()], ["one", "two"])
                peer.reset()
        self.assertEqual(self.words(), [])

    def test_nothing_is_said_before_it_is_whole(self):
        class Greets(LineProtocol):
            def connectionMade(self):
                return f"hello {self.peer.host}"

        self.serve(Greets)
        peer = self.connect()
        peer.send(LINE4[:-1])
        self.assertEqual((peer.lines(), self.owner.counters.opened), ([], 0))
        peer.send(LINE4[-1:])
        self.assertEqual(peer.lines(), ["hello 192.0.2.1"])

    def test_a_peer_that_has_finished_gets_all_replies(self):
        Who.waiting = []
        peer = self.connect()
        peer.send(LINE4 + b"a\nlater\nb\nlast without an end")
        peer.end()
        self.assertEqual(len(peer.lines()), 1)
        Who.waiting[0].callback("at last")
        self.assertEqual([line.split(" ")[0] for line in peer.lines()], ["at", "b", "last"])
        self.assertTrue(peer.ended)
        self.assertEqual(dict(self.owner.counters.closed), {Reason.DONE: 1})

    def test_what_comes_behind_is_counted_and_the_header_is_not(self):
        self.ask(LINE4)
        self.assertEqual(self.owner.counters.bytes_in, len(b"I am\n"))

    def test_another_protocol_behind_it_is_seen(self):
        peer = self.connect()
        peer.send(LINE4 + b"GET / HTTP/1.1\r\n")
        self.assertEqual(dict(self.owner.counters.problems), {Reason.FOREIGN: 1})

    def test_what_the_proxy_has_proved_its_client_has_not(self):
        certificate = Certificate("CN=proxy", "CN=ca", (), "00")
        proved = Peer(PROXY, None, certificate, Credentials(1, 0, 0))
        self.assertEqual(self.ask(V2_LOCAL, proved), "I am 127.0.0.1:40000 via None CN=proxy")
        self.assertEqual(self.ask(LINE4, proved), "I am 192.0.2.1:56324 via 40000")

    def test_one_header_behind_another(self):
        """The proxy that the first names must be trusted, too."""
        self.serve(layers=2)
        outer = LINE4.replace(b"192.0.2.1", b"10.0.0.9")
        self.assertEqual(self.ask(outer + V2_6), "I am [2001:db8::1]:56324 via 56324")
        peer = self.connect()
        peer.send(LINE4 + V2_6 + b"I am\n")
        self.assertTrue(peer.gone)
        self.assertEqual(self.words(), [f"ERR handshake {WORDS}"])


class TrustTest(Case):
    def test_only_trusted_networks(self):
        peer = self.connect(IPv4Address("TCP", "192.0.2.1", 5))
        peer.send(LINE4 + b"x\n")
        self.assert_dropped(peer, WORDS)

    def test_ipv4_within_ipv6(self):
        for host in ("::ffff:10.1.2.3", "10.1.2.3", "2001:db8:1::5"):
            kind = IPv6Address if ":" in host else IPv4Address
            peer = self.connect(kind("TCP", host, 5))
            peer.send(LINE4 + b"x\n")
            self.assertEqual(peer.lines(), ["x 192.0.2.1:56324 via 5"])

    def test_a_unix_socket_is_guarded_by_its_file(self):
        peer = self.connect(UNIXAddress(None))
        peer.send(b"PROXY UNKNOWN\r\nx\n")
        self.assertEqual(peer.lines(), ["x unix via None"])

    def test_those_without_it_take_no_room(self):
        self.serve(max_handshakes=1)
        trusted = self.connect()
        for port in range(10):
            self.assertTrue(self.connect(IPv4Address("TCP", "192.0.2.1", port)).gone)
        self.assertFalse(trusted.gone)
        self.assertEqual(self.owner.counters.problems[Reason.HANDSHAKE], 10)


class LimitsTest(Case):
    def test_it_must_come_in_time(self):
        for sent in (b"", LINE4[:-1], V2_4[:20]):
            self.serve(handshake_timeout=5)
            self.logged.clear()
            peer = self.connect()
            peer.send(sent)
            peer.advance(4.9)
            self.assertFalse(peer.gone)
            peer.advance(0.3)
            self.assert_dropped(peer, "it took too long")

    def test_dripping_wins_no_time(self):
        self.serve(handshake_timeout=5)
        peer = self.connect()
        for position in range(len(V2_6)):
            peer.send(V2_6[position : position + 1])
            peer.advance(0.5)
        self.assert_dropped(peer, "it took too long")

    def test_no_deadline_is_left_behind(self):
        self.serve(idle_timeout=0, line_timeout=0)
        peer = self.connect()
        peer.send(LINE4)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        peer.advance(100)
        peer.say("x")
        self.assertEqual(len(peer.lines()), 1)

    def test_one_too_many_drops_the_oldest(self):
        self.serve(max_handshakes=3)
        peers = [self.connect() for _ in range(5)]
        self.assertEqual([peer.gone for peer in peers], [True, True, False, False, False])
        self.assertEqual(len(self.owner.openings), 3)
        for peer in peers[2:]:
            peer.send(LINE4 + b"x\n")
            self.assertEqual(len(peer.lines()), 1)

    def test_a_malformed_one_is_dropped(self):
        for data in MALFORMED:
            self.serve()
            self.logged.clear()
            peer = self.connect()
            peer.send(data)
            self.assertTrue(peer.gone)
            (words,) = self.words()
            self.assertTrue(words.startswith("ERR handshake "), words)
            self.assert_dropped(peer, words.removeprefix("ERR handshake "))

    def test_lines_without_a_header_are_told_from_it(self):
        peer = self.connect()
        peer.send(b"hello\n")
        self.assert_dropped(peer, NO_HEADER)

    def test_no_more_than_the_cap_is_kept(self):
        for start in (b"PROXY ", V2_4[:14] + b"\x0f\xf0"):
            peer = self.connect()
            server = peer._server.protocol
            peer.send(start)
            for _ in range(5000):
                peer.send(b"x")
                self.assertLessEqual(len(server._head or b""), 4096)
            self.assertTrue(peer.gone or self.owner.counters.opened)

    def test_limits_are_those_of_the_client(self):
        self.serve(max_per_peer=1)
        first, second, other = (self.connect() for _ in range(3))
        first.send(LINE4 + b"x\n")
        second.send(V2_4 + b"x\n")
        other.send(LINE6 + b"x\n")
        self.assertEqual(len(first.lines()), 1)
        self.assertEqual(second.lines(), ["ERR busy too many connections, try again later"])
        self.assertEqual(len(other.lines()), 1)
        first.close()
        again = self.connect()
        again.send(LINE4 + b"x\n")
        self.assertEqual(len(again.lines()), 1)

    def test_the_log_names_the_client(self):
        self.connect().send(LINE4 + b"\xff\n")
        (event,) = [event for event in self.logged if "problem" in event]
        self.assertEqual(event["peer"], "192.0.2.1:56324")


class EndsTest(Case):
    def test_a_look_whether_we_listen_makes_no_noise(self):
        for end in (MemoryPeer.end, MemoryPeer.close, MemoryPeer.reset):
            peer = self.connect()
            end(peer)
            self.assertTrue(peer.gone)
        self.assertEqual((self.logged, self.clock.getDelayedCalls()), ([], []))
        self.assertEqual(self.owner.counters.opened, 0)

    def test_a_health_check_that_speaks_for_itself_makes_none(self):
        for header in (V2_LOCAL, b"PROXY UNKNOWN\r\n", LINE4):
            for end in (MemoryPeer.end, MemoryPeer.close, MemoryPeer.reset):
                peer = self.connect()
                peer.send(header)
                end(peer)
                self.assertTrue(peer.gone)
        self.assertEqual((self.logged, self.clock.getDelayedCalls()), ([], []))
        self.assertEqual(self.owner.counters.current, 0)

    def test_an_end_within_it_is_told_once(self):
        for end in (MemoryPeer.end, MemoryPeer.close, MemoryPeer.reset):
            self.serve()
            self.logged.clear()
            peer = self.connect()
            peer.send(LINE4[:9])
            end(peer)
            self.assert_dropped(peer, "it ended within its PROXY header")

    def test_stopping_drops_those_that_wait(self):
        peer = self.connect()
        peer.send(LINE4[:9])
        drained = self.owner.drain()
        self.assertNoResult(drained)
        self.assert_dropped(peer, "the server is stopping")
        self.successResultOf(drained)

    def test_one_that_comes_while_stopping_is_told(self):
        Who.waiting = []
        busy = self.connect()
        busy.send(LINE4 + b"later\n")
        self.owner.drain()
        late = self.connect()
        late.send(LINE4 + b"x\n")
        self.assertEqual(late.lines(), ["ERR shutdown the server is stopping"])
        Who.waiting[0].callback("done")
        self.assertEqual(busy.lines(), ["done", "ERR shutdown the server is stopping"])

    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from([b"", LINE4, LINE4[:7], V2_6, V2_4[:15], V2_LOCAL]),
        st.binary(max_size=60),
        st.integers(1, 70),
        st.sampled_from([MemoryPeer.end, MemoryPeer.close, MemoryPeer.reset]),
    )
    def test_any_bytes_leave_nothing_behind(self, start, more, piece, end):
        self.serve(str.upper)
        peer = self.connect()
        peer.send(start + more, piece)
        end(peer)
        peer.advance(30)
        peer.reset()
        peer.advance(30)
        self.assertTrue(peer.gone)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.owner.counters.current, len(self.owner.openings)), (0, 0))
        self.assertEqual(self.flushLoggedErrors(), [])
