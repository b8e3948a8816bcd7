"""What a watcher is told: bounded, in order, and never inside an answer."""

from __future__ import annotations

from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.operator.test_control import Bench
from twisted_sock.operator.control import CHARACTERS, EVENTS, LOOK, Events


class EventsTest(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.blocked = False
        self.sent = []
        self.events = Events(self.clock, lambda: self.blocked, self.sent.extend)

    def test_they_are_told_in_order(self):
        for number in range(100):
            self.events.add(str(number))
        self.assertEqual(self.sent, [])  # not now: an answer may be on its way
        self.clock.advance(0)
        self.assertEqual(self.sent, [f"EVENT {number}" for number in range(100)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_are_enough(self):
        self.blocked = True
        for _ in range(EVENTS - 1):
            self.events.add("x")
        self.assertFalse(self.events.full)
        self.events.add("x")
        self.assertTrue(self.events.full)

    def test_large_ones_are_enough(self):
        self.blocked = True
        self.events.add("x" * (CHARACTERS - 20))
        self.assertFalse(self.events.full)
        self.events.add("x" * 20)
        self.assertTrue(self.events.full)

    def test_what_is_told_counts_no_more(self):
        for _ in range(3):
            self.events.add("x" * (CHARACTERS - 20))
            self.assertFalse(self.events.full)
            self.clock.advance(0)
        self.assertEqual(len(self.sent), 3)

    def test_once_some_were_missed_all_are_until_that_is_told(self):
        self.blocked = True
        self.events.add("before")
        self.clock.advance(0)
        self.events.miss()
        self.assertTrue(self.events.full)
        self.events.miss()
        self.blocked = False
        self.clock.advance(LOOK)
        self.assertEqual(self.sent, ["EVENT before", 'EVENT {"missed":2}'])
        self.assertFalse(self.events.full)

    def test_a_block_in_between(self):
        """What was sent may have filled the connection."""

        def send(lines):
            self.sent.extend(lines)
            self.blocked = True

        self.events = Events(self.clock, lambda: self.blocked, send)
        for number in range(100):
            self.events.add(str(number))
        self.events.miss()
        self.clock.advance(0)
        told = len(self.sent)
        self.assertTrue(0 < told < 100, told)
        while told < 101:
            self.blocked = False
            self.clock.advance(LOOK)
            self.assertGreater(len(self.sent), told)
            told = len(self.sent)
        self.assertEqual(self.sent[:100], [f"EVENT {number}" for number in range(100)])

    def test_nothing_is_told_to_who_has_gone(self):
        self.events.add("x")
        self.events.miss()
        self.events.clear()
        self.assertFalse(self.events.full)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.events.add("y")
        self.clock.advance(0)
        self.assertEqual(self.sent, ["EVENT y"])


class AnsweringTest(SynchronousTestCase):
    """An answer may wait for who reads it while the connection takes more."""

    def test_no_event_inside_an_answer(self):
        bench = Bench()
        op, peer = bench.attach(), bench.peer()
        op.ask("watch")
        [control] = bench.hub.attached
        with patch.object(type(control.session), "full", False):
            answer = control.lineReceived("list")
            self.assertTrue(next(answer).startswith("{"))
            peer.say("meanwhile")
            self.assertEqual(op.told(), [])
            self.assertEqual(list(answer), ["OK"])
            bench.clock.advance(LOOK)
        self.assertEqual([event[3] for event in op.told()], ["meanwhile", "MEANWHILE"])
