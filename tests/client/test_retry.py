"""When to connect again."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import Net, client_of
from twisted_sock import LineClient, Retry
from twisted_sock.client.retry import Backoff
from twisted_sock.errors import SettingError


def almost_one():
    return 1 - 2**-53


class Delays(SynchronousTestCase):
    def backoff(self, number=almost_one, **settings):
        self.clock = Clock()
        return Backoff(Retry(**settings), self.clock.seconds, number)

    def delays(self, count, **settings):
        backoff = self.backoff(**settings)
        return [round(backoff.failed(), 6) for _ in range(count)]

    def test_the_ceiling_doubles_up_to_the_maximum(self):
        self.assertEqual(self.delays(8), [1, 2, 4, 8, 16, 32, 60, 60])

    def test_a_wait_is_drawn_between_nothing_and_the_ceiling(self):
        for number in (0.0, 0.25, 0.5):
            backoff = self.backoff(lambda number=number: number, first_delay=8)
            self.assertEqual(backoff.failed(), 8 * number)

    def test_the_first_wait_is_not_over_the_maximum_either(self):
        self.assertEqual(self.delays(2, first_delay=10, max_delay=5), [5, 5])

    def test_without_a_maximum_it_goes_on_growing_but_stays_a_number(self):
        *_, last = self.delays(2000, max_delay=0)
        self.assertEqual(last, 1e9)

    @given(
        st.floats(0.001, 1e6),
        st.floats(0.001, 1e6),
        st.floats(1, 100),
        st.lists(st.floats(0, 1, exclude_max=True), max_size=50),
    )
    def test_no_wait_is_ever_over_the_maximum(self, first, most, factor, numbers):
        waiting = iter(numbers)
        backoff = self.backoff(
            lambda: next(waiting), first_delay=first, max_delay=most, factor=factor
        )
        for _ in numbers:
            self.assertLessEqual(backoff.failed(), most)

    def test_it_is_back_at_the_start_after_a_healthy_connection(self):
        backoff = self.backoff()
        for _ in range(5):
            backoff.failed()
        backoff.of_use()
        self.clock.advance(30)
        self.assertAlmostEqual(backoff.failed(), 1)
        self.assertEqual(backoff.failures, 1)

    def test_it_goes_on_growing_after_a_short_connection(self):
        backoff = self.backoff()
        for _ in range(3):
            backoff.failed()
        backoff.of_use()
        self.clock.advance(29.9)
        self.assertAlmostEqual(backoff.failed(), 8)

    def test_time_without_a_connection_is_not_health(self):
        backoff = self.backoff()
        backoff.failed()
        self.clock.advance(1000)
        self.assertAlmostEqual(backoff.failed(), 2)

    def test_gives_up_after_so_many_failures_in_a_row(self):
        backoff = self.backoff(give_up_attempts=3)
        self.assertEqual([backoff.failed() is None for _ in range(3)], [False, False, True])

    def test_begins_no_attempt_after_the_time_to_give_up(self):
        backoff = self.backoff(give_up_after=10)
        waits = []
        while (delay := backoff.failed()) is not None:
            self.clock.advance(delay)
            waits.append(round(delay))
        self.assertEqual(waits, [1, 2, 4])
        self.assertLessEqual(self.clock.seconds(), 10)

    def test_a_healthy_connection_puts_off_giving_up(self):
        backoff = self.backoff(give_up_attempts=2)
        for _ in range(10):
            self.assertIsNotNone(backoff.failed())
            backoff.of_use()
            self.clock.advance(30)

    def test_settings_that_would_never_rest_are_refused(self):
        for wrong in ({"first_delay": 0.0}, {"factor": 0.5}, {"max_delay": -1.0}):
            with self.assertRaises(SettingError):
                Retry(**wrong)


class Storm(SynchronousTestCase):
    """Many clients, and a server that goes away."""

    def test_500_clients_come_back_without_a_storm_after_60_seconds(self):
        seeded = random.Random(1)
        net = Net(str.upper)
        clients = [LineClient(net, reactor=net.clock, random=seeded.random) for _ in range(500)]
        for client in clients:
            client.startService()
        net.advance(40, steps=40)
        self.assertEqual({client.state for client in clients}, {"ready"})
        net.down = True
        net.break_all()
        net.advance(60, steps=600)
        net.down = False
        back_at = net.clock.seconds()
        ready = []
        for client in clients:
            client.whenConnected().addCallback(lambda _: ready.append(net.clock.seconds()))
        net.advance(61, steps=610)
        self.assertEqual(len(ready), 500)
        seconds = Counter(int(when - back_at) for when in ready)
        self.assertLessEqual(max(seconds.values()), 0.15 * 500)
        for client in clients:
            client.stopService()
        net.advance(20, steps=20)
        self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_a_server_that_accepts_and_closes_is_not_asked_again_and_again(self):
        net = Net()
        client = client_of(net)
        for _ in range(3000):
            net.advance(0.2, steps=1)
            if client.state == "ready":
                net.server.close()
        # 0.5 + 1 + 2 + 4 + 8 + 16 seconds, then one attempt each 30 seconds.
        self.assertLessEqual(len(net.attempts), 6 + 600 / 30 + 1)
        client.stopService()
