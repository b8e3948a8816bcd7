"""The promises of every transport, in memory; and what only a stream has."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.memory_worlds import MemoryWorld, keeps
from twisted_sock import Limits, LineProtocol, Reason
from twisted_sock.testing import MemoryPeer, connect


@keeps(MemoryWorld)
class PromisesInMemory(SynchronousTestCase):
    """One test for each promise of `tests.contracts`."""


class SlowReader(SynchronousTestCase):
    def test_unsent_output_is_bounded_by_the_high_water_mark(self):
        peer = connect(lambda line: "x" * 4000, limits=Limits(high_water=200_000))
        peer.stop_reading()
        peer.send(b"\n" * 100_000)
        counters = peer.factory.counters
        self.assertLess(counters.bytes_out, 200_000 + 2 * 65536)

    def test_any_high_water_mark_bounds_what_a_generator_gives(self):
        given = []

        def endless(line):
            number = 0
            while True:
                number += 1
                given.append(number)
                yield "x" * 1000

        peer = connect(endless)
        peer.stop_reading()
        peer.say("go")
        self.assertLess(len(given), 2000)
        peer.reset()
        self.assertTrue(peer.gone)

    def test_a_slow_peer_that_makes_progress_is_not_cut_off(self):
        peer = connect(lambda line: "x" * 1_000_000, limits=Limits(stall_timeout=10))
        peer.stop_reading()
        peer.say("go")
        for _ in range(20):
            peer.advance(8)
            peer.take(1000)
        self.assertFalse(peer.gone)

    def test_a_stalled_peer_is_cut_off_in_time(self):
        peer = connect(lambda line: "x" * 1_000_000, limits=Limits(stall_timeout=10))
        peer.stop_reading()
        peer.say("go")
        peer.advance(9.9)
        self.assertFalse(peer.gone)
        peer.advance(3)
        self.assertTrue(peer.gone)

    def test_zero_switches_the_mark_off(self):
        peer = connect(lambda line: line * 1000, limits=Limits(high_water=0))
        peer.stop_reading()
        peer.say(*["abcd"] * 3000)
        self.assertEqual(peer.factory.counters.lines_out, 3000)


class Timers(SynchronousTestCase):
    def test_a_peer_at_work_is_not_idle(self):
        waiting = Deferred()
        peer = connect(lambda line: waiting, limits=Limits(idle_timeout=10))
        peer.say("x")
        peer.advance(60)
        waiting.callback("done")
        self.assertEqual(peer.lines(), ["done"])

    def test_speaking_and_being_spoken_to_both_count(self):
        opened = []

        class Pushed(LineProtocol):
            def connectionMade(self):
                opened.append(self)

        peer = connect(Pushed, limits=Limits(idle_timeout=10))
        for _ in range(5):
            peer.advance(8)
            opened[0].sendLine("tick")
        self.assertEqual(peer.lines(), ["tick"] * 5)
        peer.advance(11)
        self.assertEqual(peer.lines(), ["ERR idle nothing was said for too long"])

    def test_a_line_that_could_not_be_read_has_time_to_end(self):
        waiting = Deferred()
        peer = connect(lambda line: waiting, limits=Limits(line_timeout=10))
        peer.send(b"one\ntw")
        peer.advance(60)
        waiting.callback("ok")
        peer.advance(5)
        self.assertEqual(peer.lines(), ["ok"])
        self.assertFalse(peer.ended)
        peer.advance(6)
        self.assertTrue(peer.ended)

    def test_a_dripping_peer_does_not_win_time(self):
        peer = connect(str.upper, limits=Limits(line_timeout=10))
        for _ in range(11):
            peer.send(b"x")
            peer.advance(1)
        self.assertEqual(peer.lines(), ["ERR partial a line was begun but not finished in time"])

    def test_one_delayed_call_for_all_connections(self):
        first = connect(str.upper)
        others = [MemoryPeer(first.factory, first.clock) for _ in range(50)]
        self.assertEqual(len(first.clock.getDelayedCalls()), 1)
        for peer in [first, *others]:
            peer.close()
        self.assertEqual(first.clock.getDelayedCalls(), [])


class Closing(SynchronousTestCase):
    def test_a_slow_peer_gets_everything_as_long_as_it_reads(self):
        class Bye(LineProtocol):
            def lineReceived(self, line):
                self.close()
                return "x" * 500_000

        peer = connect(Bye, limits=Limits(close_grace=3))
        peer.stop_reading()
        peer.say("go")
        received = 0
        for _ in range(60):
            peer.advance(2)
            peer.take(10_000)
            received += len(peer.read())
        self.assertEqual(received, 500_001)
        self.assertEqual(peer.factory.counters.closed, {Reason.CLOSED: 1})

    def test_input_after_close_is_thrown_away(self):
        class Bye(LineProtocol):
            def lineReceived(self, line):
                self.close()
                return line

        peer = connect(Bye)
        peer.say("a", "b")
        peer.say("c")
        self.assertEqual(peer.lines(), ["a"])
        self.assertEqual(peer.factory.counters.lines_in, 2)
        peer.close()
        self.assertEqual(peer.factory.counters.closed, {Reason.CLOSED: 1})

    def test_a_reply_that_takes_long_after_close_is_not_the_peers_fault(self):
        waiting = Deferred()

        class Quit(LineProtocol):
            async def lineReceived(self, line):
                self.close()
                return await waiting

        peer = connect(Quit, limits=Limits(close_grace=3))
        peer.say("quit")
        peer.advance(30)
        waiting.callback("bye")
        self.assertEqual(peer.lines(), ["bye"])
        self.assertTrue(peer.ended)


class Pushing(SynchronousTestCase):
    def pushed(self, **limits):
        opened = []

        class Pushed(LineProtocol):
            def connectionMade(self):
                opened.append(self)

        peer = connect(Pushed, limits=Limits(**limits))
        return peer, opened[0]

    def test_a_peer_that_takes_nothing_is_cut_off_before_it_costs_much(self):
        peer, pushing = self.pushed(high_water=100_000, stall_timeout=0)
        peer.stop_reading()
        for _ in range(10_000):
            pushing.sendLine("x" * 1000)
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.SLOW: 1})
        self.assertLess(peer.factory.counters.bytes_out, 17 * 100_000 + 2 * 65536)
        self.assertGreater(peer.factory.counters.late_lines, 8000)

    def test_so_is_one_that_takes_a_little_now_and_then(self):
        peer, pushing = self.pushed(high_water=100_000, stall_timeout=10)
        peer.stop_reading()
        for _ in range(40):
            pushing.sendLine("x" * 10_000)
            peer.advance(1)
            peer.take(10)
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.SLOW: 1})

    def test_a_peer_that_reads_is_not(self):
        peer, pushing = self.pushed(high_water=100_000)
        for _ in range(1000):
            pushing.sendLine("x" * 10_000)
            peer.read()
        self.assertFalse(peer.gone)
