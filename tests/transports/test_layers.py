"""Layers find something out, and step aside."""

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LineFactory, LineProtocol, Reason
from twisted_sock.interfaces import Peer
from twisted_sock.memory import join
from twisted_sock.transports.layers import Layer, LayerFactory

REAL = IPv4Address("TCP", "10.1.2.3", 77)


class Word(Layer):
    """Waits for a word that ends in a space, and goes on with what is behind it."""

    def dataReceived(self, data):
        word, space, rest = data.partition(b" ")
        if word == b"wrong":
            self.fail("that is the wrong word")
        elif space:
            self.step_aside(Peer(REAL, via=self.peer.address), rest)


class Words(LayerFactory):
    def layer(self, peer):
        return Word(self.owner, self.inner, peer)


class Client(Protocol):
    def __init__(self):
        self.received = b""
        self.lost = None

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.lost = reason


class LayersTest(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.seen = []

    def connect(self, handler=str.upper, inner=None, **limits):
        """A client of a server behind one layer, or two."""
        self.owner = LineFactory(handler, limits=Limits(**limits), reactor=self.clock)
        factory = Words(self.owner, self.owner)
        if inner:
            factory = Words(self.owner, factory)
        self.client = Client()
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5))
        self.wire = join(protocol, self.client)
        self.wire.flow()
        return self.client

    def say(self, data):
        self.client.transport.write(data)
        self.wire.flow()

    def test_what_is_behind_it_goes_on(self):
        client = self.connect()
        self.say(b"word a\nb")
        self.say(b"c\n")
        self.assertEqual(client.received, b"A\nBC\n")
        self.assertEqual(len(self.owner.openings), 0)

    def test_nothing_of_it_is_left_on_the_transport(self):
        self.connect()
        server = self.wire.ends[0]
        self.assertIsInstance(server.protocol, Word)
        self.say(b"word ")
        self.assertNotIsInstance(server.protocol, Layer)
        self.client.transport.loseWriteConnection()
        self.wire.flow()
        self.assertEqual(self.owner.counters.closed, {Reason.DONE: 1})

    def test_what_it_found_out_is_known_at_once(self):
        class Who(LineProtocol):
            def connectionMade(self):
                return f"{self.peer} via {self.peer.via.host}"

        client = self.connect(Who)
        self.say(b"word ")
        self.assertEqual(client.received, b"10.1.2.3:77 via 127.0.0.1\n")

    def test_limits_count_it(self):
        self.connect(max_per_peer=1)
        self.say(b"word a\n")
        second = Client()
        wire = join(Words(self.owner, self.owner).buildProtocol(REAL), second)
        second.transport.write(b"word b\n")
        wire.flow()
        self.assertEqual(second.received, b"ERR busy too many connections, try again later\n")

    def test_one_upon_another(self):
        client = self.connect(inner=True)
        self.say(b"word ")
        self.assertEqual(len(self.owner.openings), 1)
        self.say(b"word a\n")
        self.assertEqual(client.received, b"A\n")
        self.assertEqual(len(self.owner.openings), 0)

    def test_one_that_steps_aside_at_once_loses_nothing(self):
        class AtOnce(Word):
            def begin(self):
                self.step_aside(self.peer)

        self.connect()
        inner = Words(self.owner, self.owner)
        inner.layer = lambda peer: AtOnce(self.owner, self.owner, peer)
        client = Client()
        wire = join(Words(self.owner, inner).buildProtocol(REAL), client)
        client.transport.write(b"word a\n")
        wire.flow()
        self.assertEqual(client.received, b"A\n")

    def test_one_that_fails(self):
        client = self.connect()
        self.say(b"wrong ")
        self.assertIsNotNone(client.lost)
        self.assertEqual(self.owner.counters.problems, {Reason.HANDSHAKE: 1})
        self.assertEqual((self.owner.counters.opened, len(self.owner.openings)), (0, 0))

    def test_one_that_takes_too_long(self):
        client = self.connect(handshake_timeout=5)
        self.clock.pump([0.1] * 52)
        self.wire.flow()
        self.assertIsNotNone(client.lost)
        self.assertEqual(self.owner.counters.problems, {Reason.HANDSHAKE: 1})

    def test_a_peer_that_goes_away_meanwhile(self):
        self.connect()
        self.client.transport.abortConnection()
        self.wire.flow()
        self.assertEqual((len(self.owner.openings), self.owner.counters.problems), (0, {}))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_drain_drops_it(self):
        client = self.connect()
        drained = []
        self.owner.drain().addCallback(drained.append)
        self.wire.flow()
        self.assertIsNotNone(client.lost)
        self.assertEqual(drained, [None])

    def test_a_factory_that_will_not(self):
        client = self.connect()
        self.owner.buildProtocol = lambda _: None
        self.say(b"word a\n")
        self.assertIsNotNone(client.lost)

    def test_ports_start_and_stop_what_is_behind(self):
        self.connect()
        factory = Words(self.owner, self.owner)
        factory.doStart()
        self.assertEqual(self.owner.numPorts, 1)
        factory.doStop()
        self.assertEqual(self.owner.numPorts, 0)
