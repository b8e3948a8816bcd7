"""Connections whose conversation has yet to begin: each in time, and not too many."""

from functools import partial

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.deadlines import Deadlines
from twisted_sock.openings import Opening, Openings
from twisted_sock.settings import Limits


class Waiting(Opening):
    """Writes down why it was dropped."""

    def __init__(self, name, dropped):
        self.name = name
        self.dropped = dropped

    def give_up(self, why):
        self.dropped.append((self.name, why))

    def abort(self):
        self.dropped.append((self.name, "aborted"))


class OpeningsTest(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.dropped = []
        self.ended = []

    def openings(self, **limits):
        deadlines = Deadlines(self.clock)
        ended = partial(self.ended.append, "ended")
        return Openings(self.clock.seconds, deadlines, Limits(**limits), ended)

    def waiting(self, name):
        return Waiting(name, self.dropped)

    def names(self):
        return [name for name, _ in self.dropped]

    def pass_time(self, seconds):
        for _ in range(int(seconds * 100)):
            self.clock.advance(0.01)

    def test_one_that_takes_too_long_is_dropped(self):
        openings = self.openings(handshake_timeout=5)
        openings.begin(self.waiting("slow"))
        self.pass_time(4.9)
        self.assertEqual(self.dropped, [])
        self.pass_time(0.3)
        self.assertEqual(self.dropped, [("slow", "it took too long")])

    def test_one_that_is_done_is_let_be(self):
        openings = self.openings(handshake_timeout=5)
        quick = self.waiting("quick")
        openings.begin(quick)
        openings.done(quick)
        openings.done(quick)
        self.pass_time(10)
        self.assertEqual(self.dropped, [])
        self.assertEqual((len(openings), self.clock.getDelayedCalls()), (0, []))

    def test_one_that_begins_anew_has_its_time_again(self):
        openings = self.openings(handshake_timeout=5)
        again = self.waiting("again")
        for _ in range(3):
            openings.begin(again)
            self.pass_time(4)
        self.assertEqual((self.dropped, len(openings)), ([], 1))

    def test_a_time_of_its_own(self):
        openings = self.openings(handshake_timeout=5)
        openings.begin(self.waiting("short"), 1)
        openings.begin(self.waiting("for ever"), 0)
        self.pass_time(2)
        self.assertEqual(self.names(), ["short"])
        self.pass_time(100)
        self.assertEqual(self.names(), ["short"])

    def test_no_limit(self):
        openings = self.openings(handshake_timeout=0, max_handshakes=0)
        for number in range(2000):
            openings.begin(self.waiting(number))
        self.pass_time(100)
        self.assertEqual((self.dropped, len(openings)), ([], 2000))

    def test_one_too_many_drops_the_oldest(self):
        openings = self.openings(max_handshakes=2)
        for name in "abc":
            openings.begin(self.waiting(name))
        self.assertEqual(self.dropped, [("a", "there are too many like it")])
        self.assertEqual(len(openings), 2)

    def test_one_that_begins_anew_is_the_youngest(self):
        openings = self.openings(max_handshakes=2)
        first = self.waiting("first")
        for opening in (first, self.waiting("second"), first, self.waiting("third")):
            openings.begin(opening)
        self.assertEqual(self.names(), ["second"])

    def test_all_are_dropped_at_the_end(self):
        openings = self.openings()
        for name in "ab":
            openings.begin(self.waiting(name))
        openings.end()
        self.assertEqual(self.names(), ["a", "b"])
        self.assertEqual((len(openings), self.clock.getDelayedCalls()), (0, []))

    def test_the_end_is_when_those_that_were_there_are_gone(self):
        openings = self.openings()
        awaited, late, done = map(self.waiting, ("awaited", "late", "done"))
        openings.begin(awaited)
        openings.begin(done)
        openings.done(done)  # it is no longer watched, but still there
        openings.end()
        openings.begin(late)
        openings.begin(done)  # it would go on
        self.assertEqual(self.names(), ["awaited", "done"])
        self.assertEqual(openings.ending, {awaited, done})
        openings.gone(awaited)
        openings.gone(late)
        self.assertEqual(self.ended, [])
        openings.abort()
        self.assertEqual(self.dropped[2:], [("done", "aborted")])
        openings.gone(done)
        openings.gone(done)
        self.assertEqual((self.ended, openings.ending), (["ended"], set()))
