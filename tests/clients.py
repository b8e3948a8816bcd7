"""What a client connects to in memory: a server in the hands of the test, and one that answers."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IHalfCloseableProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_sock import LineClient, LineFactory
from twisted_sock.memory import MemoryTransport, Wire


@implementer(IHalfCloseableProtocol)
class Served(Protocol):
    """The server's end of one connection.

    Attributes:
        data: what came and was not read yet.
        ended: whether the client has closed its sending side.
        gone: whether the connection is over.
    """

    def __init__(self, net):
        self.net = net
        self.data = b""
        self.ended = self.gone = False

    def dataReceived(self, data):
        self.data += data

    def readConnectionLost(self):
        self.ended = True
        if self.net.closes:
            self.transport.loseConnection()

    def writeConnectionLost(self):
        pass

    def connectionLost(self, reason):
        self.ended = self.gone = True

    def lines(self):
        """The whole lines that came since it was last asked."""
        self.net.flow()
        whole, _, self.data = self.data.rpartition(b"\n")
        return whole.decode().split("\n") if whole else []

    def say(self, *lines):
        """Send lines."""
        self.send("".join(f"{line}\n" for line in lines).encode())

    def send(self, data):
        """Send bytes."""
        self.transport.write(data)
        self.net.flow()

    def close(self):
        """Close both sides."""
        self.transport.loseConnection()
        self.net.flow()

    def reset(self):
        """Break the connection, as a crash does."""
        self.transport.abortConnection()
        self.net.flow()

    def stop_reading(self):
        """Take nothing more."""
        self.transport.pauseProducing()

    def start_reading(self):
        """Take again."""
        self.transport.resumeProducing()
        self.net.flow()


@implementer(IStreamClientEndpoint)
class Net:
    """A server that a client can connect to, and the clock of both.

    Args:
        handler: what `LineFactory` takes; when left out, the test itself answers.

    Attributes:
        down: whether nobody listens.
        hangs: whether attempts neither succeed nor fail.
        closes: whether the server closes when the client does.
        accepted: the server's ends of all connections, the newest last.
        attempts: when each attempt began.
    """

    def __init__(self, handler=None, clock=None):
        self.clock = clock or Clock()
        self.factory = LineFactory(handler, reactor=self.clock) if handler else None
        self.down = self.hangs = False
        self.closes = True
        self.accepted = []
        self.attempts = []
        self.wires = []
        self._made = []

    def connect(self, factory):
        self.attempts.append(self.clock.seconds())
        if self.down:
            return fail(ConnectionRefusedError())
        if self.hangs:
            return Deferred()
        connected = Deferred()
        self.clock.callLater(0, self._connect, factory, connected)
        return connected

    def _connect(self, factory, connected):
        if connected.called:  # cancelled
            return
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1234))
        if protocol is None:
            connected.errback(Failure(ConnectionRefusedError()))
            return
        self.join(protocol)
        connected.callback(protocol)

    def join(self, protocol):
        """Connect a protocol; nothing flows yet."""
        server = self.factory.buildProtocol(None) if self.factory else Served(self)
        near = IPv4Address("TCP", "127.0.0.1", 1234)
        far = IPv4Address("TCP", "127.0.0.1", 40000)
        ends = MemoryTransport(near, far), MemoryTransport(far, near)
        for end, other, its in zip(ends, reversed(ends), (server, protocol), strict=True):
            end.other, end.protocol = other, its
        self.wires.append(Wire(*ends))
        self.accepted.append(server)
        server.makeConnection(ends[0])
        protocol.makeConnection(ends[1])

    @property
    def server(self):
        """The server's end of the newest connection."""
        self.flow()
        return self.accepted[-1]

    def flow(self):
        """Let everything flow that does."""
        self.clock.advance(0)
        for wire in self.wires:
            wire.flow()
        self.wires = [wire for wire in self.wires if any(end.connected for end in wire.ends)]

    def advance(self, seconds, steps=None):
        """Let time pass: in so many steps, or in steps that are exact in binary."""
        step = seconds / steps if steps else 1 / 32
        while seconds / step > 2000:
            step *= 2
        self.flow()
        for _ in range(steps or int(seconds / step)):
            self.clock.advance(step)
            self.flow()
        if not steps:
            self.clock.advance(seconds % step)
            self.flow()

    def break_all(self):
        """Break every connection, as a crash of the server does."""
        for wire in self.wires:
            wire.ends[0].abortConnection()
        self.flow()


def half():
    """The middle of all random numbers."""
    return 0.5


def client_of(net, **settings):
    """A client that has started; its events are in `events`."""
    settings.setdefault("random", half)
    client = LineClient(net, reactor=net.clock, **settings)
    client.events = []
    client.on_event(client.events.append)
    client.startService()
    net.flow()
    return client


def result(deferred):
    """What a Deferred has fired with: a value, or an exception; None if it has not."""
    if not hasattr(deferred, "seen"):
        deferred.seen = []
        deferred.addCallbacks(
            deferred.seen.append, lambda failure: deferred.seen.append(failure.value)
        )
    return deferred.seen[0] if deferred.seen else None


class Case(SynchronousTestCase):
    """Whatever happens in a test, its client stops, leaves nothing behind, and has counted all."""

    def client(self, net=None, **settings):
        self.net = net or Net()
        self.made = client_of(self.net, **settings)
        self.addCleanup(self.stop)
        return self.made

    def stop(self):
        stopped = self.made.stopService()
        self.net.advance(30)
        self.assertTrue(stopped.called)
        self.assertEqual(self.net.clock.getDelayedCalls(), [])
        counters = self.made.counters
        self.assertEqual(counters.current, 0)
        self.assertEqual(counters.asked, counters.answered + counters.failed.total())
