"""Making sessions within the limits, listening, and stopping."""

from __future__ import annotations

from functools import partial

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_sock import Limits, LineFactory, LineProtocol, LineService, Reason
from twisted_sock.errors import ListenError
from twisted_sock.protocols.console import Console
from twisted_sock.testing import MemoryPeer, connect, join


class Port:
    """A listening port that takes its time to stop."""

    def __init__(self):
        self.stopped = None

    def getHost(self):
        return "somewhere"

    def stopListening(self):
        self.stopped = Deferred()
        return self.stopped


@implementer(IStreamServerEndpoint)
class Endpoint:
    """An endpoint whose listening ends as the test says."""

    def __init__(self, result):
        self.result = result

    def listen(self, factory):
        return self.result


class Handlers(SynchronousTestCase):
    def answer(self, handler):
        peer = connect(handler)
        peer.say("x")
        return peer.lines()

    def test_function(self):
        self.assertEqual(self.answer(str.upper), ["X"])

    def test_class_with_arguments(self):
        class Repeat(LineProtocol):
            def __init__(self, times):
                self.times = times

            def lineReceived(self, line):
                return line * self.times

        self.assertEqual(self.answer(partial(Repeat, times=3)), ["xxx"])

    def test_application(self):
        class Count(LineProtocol):
            def __init__(self, hall):
                self.hall = hall

            def lineReceived(self, line):
                self.hall.total += 1
                return str(self.hall.total)

        class Hall:
            total = 0

            def build_protocol(self):
                return Count(self)

            def start(self, reactor):
                self.reactor = reactor

            def stop(self):
                self.reactor = None

        first = connect(Hall())
        second = MemoryPeer(first.factory, first.clock)
        first.say("x")
        second.say("x")
        self.assertEqual((first.lines(), second.lines()), (["1"], ["2"]))

    def test_what_is_not_a_handler(self):
        class Forgotten:
            pass

        for wrong in (Forgotten, LineProtocol(), Console, 5, "str.upper"):
            self.assertRaises(TypeError, LineFactory, wrong, reactor=Clock())


class Limited(SynchronousTestCase):
    def test_one_address_may_have_so_many(self):
        first = connect(str.upper, limits=Limits(max_per_peer=2))
        second = MemoryPeer(first.factory, first.clock, 40001)
        third = MemoryPeer(first.factory, first.clock, 40002)
        self.assertEqual(third.lines(), ["ERR busy too many connections, try again later"])
        second.close()
        fourth = MemoryPeer(first.factory, first.clock, 40003)
        fourth.say("x")
        self.assertEqual(fourth.lines(), ["X"])

    def test_an_address_that_changes_is_counted_once(self):
        first = connect(str.upper, limits=Limits(max_per_peer=1))
        for port in range(3):
            other = MemoryPeer(first.factory, first.clock, port)
            other.close()
        first._server._peer = IPv4Address("TCP", "192.0.2.1", 7)
        first.close()
        again = MemoryPeer(first.factory, first.clock)
        again.say("x")
        self.assertEqual(again.lines(), ["X"])

    def test_peers_without_an_address_are_not_one(self):
        first = connect(str.upper, limits=Limits(max_per_peer=1))
        first.close()
        peers = []
        for _ in range(2):
            end, protocol = Protocol(), first.factory.buildProtocol(None)
            end.dataReceived = peers.append
            wire = join(protocol, end, host=UNIXAddress(None))
            wire.flow()
            end.transport.write(b"x\n")
            wire.flow()
        self.assertEqual(peers, [b"X\n", b"X\n"])

    def test_a_crowd_is_dropped_without_a_word(self):
        first = connect(str.upper, limits=Limits(max_connections=1, close_grace=3))
        crowd = [MemoryPeer(first.factory, first.clock, port) for port in range(100)]
        told = [peer for peer in crowd if peer.lines()]
        self.assertEqual(len(told), 32)
        self.assertEqual(first.factory.counters.problems, {Reason.BUSY: 100})
        first.say("x")
        self.assertEqual(first.lines(), ["X"])
        first.advance(4)
        self.assertTrue(all(peer.gone for peer in crowd))
        self.assertEqual(first.factory.counters.current, 1)

    def test_refused_conversations_never_begin_and_never_end(self):
        seen = []

        class Watched(LineProtocol):
            def connectionMade(self):
                seen.append("made")

            def connectionLost(self, reason):
                seen.append("lost")

        first = connect(Watched, limits=Limits(max_connections=1))
        second = MemoryPeer(first.factory, first.clock)
        second.close()
        self.assertEqual(seen, ["made"])


class Services(SynchronousTestCase):
    def service(self, *results, **limits):
        clock = Clock()
        factory = LineFactory(str.upper, reactor=clock, limits=Limits(**limits))
        endpoints = {f"number {n}": Endpoint(result) for n, result in enumerate(results)}
        for endpoint in endpoints.values():
            verifyObject(IStreamServerEndpoint, endpoint)
        return LineService(factory, endpoints)

    def test_stopping_waits_for_ports_and_conversations(self):
        port = Port()
        service = self.service(succeed(port))
        service.privilegedStartService()
        service.startService()
        peer = MemoryPeer(service.factory, service.factory.reactor)
        stopped = service.stopService()
        self.assertNoResult(stopped)
        self.assertEqual(peer.lines(), ["ERR shutdown the server is stopping"])
        peer.close()
        self.assertNoResult(stopped)
        port.stopped.callback(None)
        self.successResultOf(stopped)

    def test_a_port_that_cannot_stop_does_not_hold_up_the_rest(self):
        port = Port()
        service = self.service(succeed(port))
        service.startService()
        stopped = service.stopService()
        port.stopped.errback(OSError("stuck"))
        self.successResultOf(stopped)
        self.flushLoggedErrors(OSError)

    def test_it_cannot_start_where_it_cannot_listen(self):
        port = Port()
        taken = fail(CannotListenError("", 1234, OSError(98, "Address already in use")))
        service = self.service(succeed(port), taken)
        error = self.assertRaises(ListenError, service.privilegedStartService)
        self.assertEqual(str(error), "Address already in use: cannot listen on number 1")
        self.assertIsNotNone(port.stopped)

    def test_it_can_be_started_again(self):
        service = self.service(succeed(Port()))
        service.startService()
        stopped = service.stopService()
        service.ports = []
        service.endpoints = {"again": Endpoint(succeed(Port()))}
        service.startService()
        self.assertEqual(len(service.ports), 1)
        peer = MemoryPeer(service.factory, service.factory.reactor)
        peer.say("x")
        self.assertEqual(peer.lines(), ["X"])
        self.assertNoResult(stopped)

    def test_listening_that_is_not_done_is_cancelled(self):
        cancelled = []
        service = self.service(Deferred(cancelled.append))
        service.startService()
        self.successResultOf(service.stopService())
        self.assertEqual(len(cancelled), 1)

    def test_a_reload_reaches_endpoints_and_the_application(self):
        seen = []

        class Files:
            def __init__(self, name):
                self.reload = lambda: seen.append(name)

            def build_protocol(self):
                return LineProtocol()

            start = stop = listen = build_protocol

        factory = LineFactory(Files("application"), reactor=Clock())
        LineService(factory, {"one": Files("endpoint"), "other": object()}).reload()
        self.assertEqual(seen, ["application", "endpoint"])
        LineFactory(str.upper, reactor=Clock()).reload()

    def test_an_application_starts_and_stops_with_the_factory(self):
        seen = []

        class Hall:
            def build_protocol(self):
                return LineProtocol()

            def start(self, reactor):
                seen.append("start")

            def stop(self):
                seen.append("stop")

        factory = LineFactory(Hall(), reactor=Clock())
        factory.doStart()
        factory.doStart()
        peer = MemoryPeer(factory, factory.reactor)
        factory.doStop()
        factory.doStop()
        self.assertEqual(seen, ["start"])
        peer.close()
        self.assertEqual(seen, ["start", "stop"])
