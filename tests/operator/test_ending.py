"""What is said by hand to who cannot hear it any more is refused, and not kept as said."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import Net
from tests.operator.test_control import Attached, Bench
from tests.protocols.test_proxy import ProxyTo
from tests.transports.test_udp import Bench as Port
from twisted_sock import LineFactory, LineProtocol
from twisted_sock.errors import Reason
from twisted_sock.operator.serving import Operator
from twisted_sock.testing import MemoryPeer


class EndingCase(SynchronousTestCase):
    def refused(self, *commands, code="closing"):
        for command in commands:
            data, end = self.op.ask(command)
            self.assertEqual(data, [], command)
            self.assertTrue(end.startswith(f"ERR {code} "), (command, end))

    def texts(self):
        return [each["text"] for each in self.op.ask("history 1")[0]]


class ClosingTest(EndingCase):
    def serve(self, handler, **limits):
        self.bench = Bench(handler, **limits)
        self.peer, self.op = self.bench.peer(), self.bench.attach()
        self.op.ask("watch")

    def test_closed_by_hand(self):
        self.serve(str.upper)
        self.op.ask("close 1")
        self.refused("say 1 a", "say 1.0 a", "hold 1")
        for command in ("say all a", "hold all"):
            self.assertEqual(self.op.ask(command), ([], "OK"))
        self.assertEqual(self.texts(), [])
        self.assertEqual(self.op.told(), [("closing", 1)])

    def test_nothing_closes_what_is_over(self):
        class Late(LineProtocol):
            def connectionLost(self, reason):
                self.close()

        self.serve(Late)
        self.peer.reset()
        self.assertEqual(self.op.told(), [("closed", 1, "lost")])

    def test_others_go_on(self):
        self.serve(str.upper)
        self.bench.peer(40001)
        self.op.ask("close 1")
        self.assertEqual(self.op.ask("say all a")[0], [{"id": 2, "answered": False}])
        self.assertEqual(self.op.ask("hold all")[0], [{"id": 2, "seconds": 30.0}])

    def test_closed_by_the_service(self):
        class Closes(LineProtocol):
            def lineReceived(self, line):
                self.close()
                return "bye"

        self.serve(Closes)
        self.peer.say("x")
        self.refused("say 1 a", "hold 1")
        self.assertEqual(self.texts(), ["x", "bye"])
        events = self.op.told()
        self.assertIn(("closing", 1), events)
        self.op.ask("close 1")
        self.assertEqual(self.op.told(), [])  # that is known

    def test_only_our_side_has_ended(self):
        class Ends(LineProtocol):
            def lineReceived(self, line):
                if line == "end":
                    self.session.wire.end_output()
                return

        self.serve(Ends)
        self.peer.say("end")
        self.refused("say 1 a", "hold 1")
        self.assertEqual(self.texts(), ["end"])
        self.assertEqual(self.op.told()[1:], [("closing", 1)])
        self.assertEqual(self.op.ask("list")[0][0]["state"], "closing")

    def waiting(self):
        """A line waits; returns the session of the service."""
        sessions = []

        class Ends(LineProtocol):
            def connectionMade(self):
                sessions.append(self.session)

        self.serve(Ends)
        self.op.ask("hold 1 60")
        self.peer.say("x")
        return sessions[0]

    def test_it_ends_while_a_line_waits(self):
        self.waiting().wire.end_output()
        self.refused("answer 1 a", "answer 1.1 a", "say 1.1 a")
        self.assertEqual(self.op.ask("answer all a"), ([], "OK"))
        self.assertEqual(self.texts(), ["x"])

    def test_a_line_that_waits_can_be_answered_while_the_service_closes(self):
        self.waiting().close()
        self.assertEqual(self.op.ask("answer 1 last words")[1], "OK")
        self.assertEqual(self.peer.lines(), ["last words"])
        self.assertEqual(self.texts(), ["x", "last words"])

    def test_a_peer_that_has_said_all_still_hears(self):
        self.serve(str.upper)
        self.op.ask("hold 1 60")
        self.peer.say("x")
        self.peer.end()
        self.assertEqual(self.op.ask("say 1 answer")[1], "OK")
        self.assertEqual(self.peer.lines(), ["answer"])

    def test_who_does_not_read_is_cut_off(self):
        self.serve(str.upper, high_water=1000)
        self.peer.stop_reading()
        codes = [self.op.ask("say 1 " + "x" * 5000)[1] for _ in range(60)]
        end = next(code for code in codes if code != "OK")
        self.assertTrue(end.startswith("ERR unsent "), end)
        said = self.bench.hub.find(1).history.counts["out"]
        self.assertEqual(said, codes.count("OK"))
        self.peer.start_reading()
        self.assertEqual(self.bench.served.counters.closed[Reason.SLOW], 1)


class ProxiedTest(EndingCase):
    def test_the_server_has_finished(self):
        self.clock = Clock()
        net = Net(None, self.clock)
        net.closes = False
        proxy = ProxyTo(net)
        operator = Operator(proxy, "unix:/x", "", self.clock)
        operator.tap.start(self.clock)
        self.factory = operator.factory
        served = LineFactory(operator.tap, reactor=self.clock)
        client = MemoryPeer(served, self.clock)
        self.op = Attached(self)
        net.server.say("hello")
        net.server.transport.loseWriteConnection()
        net.flow()
        self.assertEqual(client.lines(), ["hello"])
        self.refused("say 1 a", "hold 1")
        self.assertEqual(self.texts(), ["hello"])


class DatagramTest(EndingCase):
    """What is longer than what was asked is not sent (see `transports.udp`)."""

    def setUp(self):
        self.bench = Bench(str.upper)
        self.op = self.bench.attach()
        self.port = Port(self.bench.operator.tap)
        self.port.hear(b"hello\n")
        self.port.wait(1)

    def by_hand(self):
        return [each["text"] for each in self.op.ask("history 1")[0] if each.get("by")]

    def test_what_is_said(self):
        self.refused("say 1 unasked", code="unsent")
        self.assertEqual((self.port.said(), self.by_hand()), ([], []))

    def test_what_is_answered(self):
        self.op.ask("hold 1 60")
        self.port.hear(b"a\n")
        self.refused("answer 1 much longer than that", code="unsent")
        self.port.hear(b"question\n")
        self.assertEqual(self.op.ask("answer all short")[0][0]["line"], 3)
        self.port.wait(1)
        self.assertEqual((self.port.said(), self.by_hand()), ([b"short\n"], ["short"]))
        self.assertEqual([each.line for each in self.bench.hub.taught], ["question"])
