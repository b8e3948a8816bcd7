"""Operators of a proxy: they see both ways, and answer in the place of the server."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import Net
from tests.operator.test_control import Attached
from tests.protocols.test_proxy import ProxyTo
from twisted_sock import LineFactory
from twisted_sock.operator.serving import Operator
from twisted_sock.script.model import Fault
from twisted_sock.script.reading import read
from twisted_sock.testing import MemoryPeer


class ProxiedTest(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.net = Net(None, self.clock)
        self.net.closes = False
        self.said = self.mktemp()
        self.proxy = ProxyTo(self.net, record=self.said)
        operator = Operator(self.proxy, "unix:/x", "", self.clock)
        operator.tap.start(self.clock)
        self.stop = operator.tap.stop
        self.factory = operator.factory
        served = LineFactory(operator.tap, reactor=self.clock)
        self.client = MemoryPeer(served, self.clock)
        self.server = self.net.server
        self.op = Attached(self)

    def heard(self):
        """What the client has heard."""
        self.net.flow()
        return self.client.lines()

    def ask(self, line, answer):
        """The client says something, and the server answers."""
        self.client.say(line)
        self.assertEqual(self.server.lines(), [line])
        self.server.say(answer)
        self.assertEqual(self.heard(), [answer])

    def test_both_ways_are_seen(self):
        self.assertEqual(self.op.ask("watch")[1], "OK")
        self.ask("question", "answer")
        self.server.say("unasked")
        self.net.flow()
        told = [event[2:4] for event in self.op.told() if event[0] == "line"]
        self.assertEqual(told, [("in", "question"), ("out", "answer"), ("out", "unasked")])
        [listed], _ = self.op.ask("list")
        self.assertEqual((listed["in"], listed["out"]), (1, 2))

    def test_a_person_answers_and_the_server_hears_nothing_of_it(self):
        self.ask("before", "1")
        self.assertEqual(self.op.ask("hold 1 60")[1], "OK")
        self.client.say("held")
        self.assertEqual((self.server.lines(), self.heard()), ([], []))
        self.assertEqual(self.op.ask("answer 1 by hand")[1], "OK")
        self.assertEqual((self.server.lines(), self.heard()), ([], ["by hand"]))
        self.assertEqual(self.op.ask("release 1")[1], "OK")
        self.ask("after", "2")

    def test_what_nobody_answers_goes_to_the_server(self):
        self.op.ask("hold 1 5")
        self.client.say("late", "later")
        self.assertEqual(self.server.lines(), [])
        self.clock.advance(6)
        self.assertEqual(self.server.lines(), ["late"])
        self.op.ask("release 1")
        self.assertEqual(self.server.lines(), ["later"])
        self.server.say("answer")
        self.assertEqual(self.heard(), ["answer"])

    def test_the_server_may_speak_meanwhile(self):
        self.op.ask("hold 1 60")
        self.client.say("held")
        self.server.say("unasked")
        self.assertEqual(self.heard(), ["unasked"])
        self.op.ask("answer 1 by hand")
        self.assertEqual(self.heard(), ["by hand"])

    def test_what_a_person_says_is_not_recorded(self):
        """The recording is of the server."""
        self.ask("a", "A")
        self.op.ask("hold 1 60")
        self.client.say("b")
        self.op.ask("answer 1 by hand")
        self.op.ask("release 1")
        self.assertEqual(self.heard(), ["by hand"])
        self.ask("c", "C")
        self.stop()
        rules = read(self.said).rules
        self.assertEqual(
            [(rule.match.exact, rule.replies) for rule in rules],
            [("a", (("A",),)), ("c", (("C",),))],
        )

    def test_faults_go_on(self):
        self.proxy.inject(Fault("twice", 0, "duplicate"))
        self.client.say("a")
        self.server.say("A")
        self.assertEqual(self.heard(), ["A", "A"])
        self.assertEqual(self.op.ask("faults")[0], [{"name": "twice", "fired": 1}])

    def test_the_server_is_gone_while_a_line_waits(self):
        self.op.ask("hold 1 60")
        self.client.say("held")
        self.server.reset()
        self.assertEqual(self.heard(), ["ERR upstream the connection broke"])
        self.assertTrue(self.client.ended)
        self.assertTrue(self.op.ask("answer 1 by hand")[1].startswith("ERR "))

    def test_it_is_closed_by_hand(self):
        self.assertEqual(self.op.ask("close 1")[1], "OK")
        self.client.close()
        self.net.flow()
        self.assertTrue(self.server.ended)
