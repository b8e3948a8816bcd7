"""Many lazy timers on one pending call."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.deadlines import SOONEST, Deadlines

MANY = settings(max_examples=200, deadline=None)

DELAYS = st.one_of(st.floats(0.001, 1), st.floats(0.001, 100_000), st.integers(1, 700))
STARTS = st.sampled_from([0.0, 0.3, 1e5, 1.7e9])


class Item:
    """Something with deadlines: notes when it is checked, and asks for the next check."""

    def __init__(self, act=lambda now: math.inf):
        self.bucket = 0.0
        self.checked = []
        self.act = act

    def check(self, now):
        self.checked.append(now)
        return self.act(now)


def latest(when, now):
    """When something is checked at the latest that at `now` asked to be checked at `when`."""
    delay = max(when - now, SOONEST)
    return now + delay * (1 + 1 / 64) + 1e-6  # and what floats lose when the clock is far on


def step(clock):
    """Let time pass until just the next pending call."""
    (call,) = clock.getDelayedCalls()
    clock.advance(max(call.getTime() - clock.seconds(), 1e-7))


def run_out(clock):
    """Let time pass from one pending call to the next until there is none."""
    while clock.getDelayedCalls():
        step(clock)


class DeadlinesTest(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)

    def pending(self):
        return self.clock.getDelayedCalls()

    @MANY
    @given(STARTS, st.lists(DELAYS, min_size=1, max_size=20))
    def test_never_early_and_hardly_late(self, start, delays):
        clock = Clock()
        clock.advance(start)
        deadlines = Deadlines(clock)
        now = clock.seconds()
        items = [Item() for _ in delays]
        for item, delay in zip(items, delays, strict=True):
            deadlines.watch(item, now + delay)
            self.assertEqual(len(clock.getDelayedCalls()), 1)
        run_out(clock)
        for item, delay in zip(items, delays, strict=True):
            (checked,) = item.checked
            self.assertGreaterEqual(checked, now + delay)
            self.assertLessEqual(checked, latest(now + delay, now))

    @MANY
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("watch"), st.integers(0, 3), DELAYS),
                st.tuples(st.just("forget"), st.integers(0, 3), st.none()),
                st.tuples(st.just("pass"), st.none(), DELAYS),
            ),
            max_size=40,
        )
    )
    def test_any_order_of_things(self, steps):
        """Every item is checked in time, once for each time that it was not forgotten."""
        clock = Clock()
        deadlines = Deadlines(clock)
        items = [Item() for _ in range(4)]
        asked = {}
        for what, which, delay in steps:
            now = clock.seconds()
            if what == "pass":
                clock.advance(delay)
            else:
                asked.pop(which, None)
                deadlines.forget(items[which])
            if what == "watch":
                asked[which] = (now + delay, now)
                deadlines.watch(items[which], now + delay)
            for each, item in enumerate(items):
                when, since = asked.get(each, (math.inf, 0.0))
                if item.checked:
                    self.assertLessEqual(when, clock.seconds())
                    item.checked.clear()
                    del asked[each]
                else:
                    self.assertGreaterEqual(latest(when, since), clock.seconds())
            self.assertEqual(len(clock.getDelayedCalls()), 1 if asked else 0)

    def test_one_call_for_all(self):
        items = [Item() for _ in range(1000)]
        for number, item in enumerate(items):
            self.deadlines.watch(item, 10 + number / 100)
            self.assertEqual(len(self.pending()), 1)
        wakes = 0
        while self.pending():
            step(self.clock)
            wakes += 1
        self.assertEqual([len(item.checked) for item in items], [1] * 1000)
        self.assertLess(wakes, 200)

    def test_an_earlier_one_is_not_held_up(self):
        late, soon = Item(), Item()
        self.deadlines.watch(late, 100.0)
        self.deadlines.watch(soon, 1.0)
        self.clock.advance(1.1)
        self.assertEqual((len(soon.checked), len(late.checked)), (1, 0))

    def test_watching_again_counts_alone(self):
        item = Item()
        for when in (5.0, 50.0, 20.0):
            self.deadlines.watch(item, when)
        self.clock.advance(19)
        self.assertEqual(item.checked, [])
        self.clock.advance(2)
        self.assertEqual(item.checked, [21.0])
        self.clock.advance(100)
        self.assertEqual(item.checked, [21.0])

    def test_never(self):
        item = Item()
        self.deadlines.watch(item, math.inf)
        self.assertEqual(self.pending(), [])
        self.deadlines.watch(item, 10.0)
        self.deadlines.watch(item, math.inf)
        self.assertEqual(self.pending(), [])
        self.clock.advance(1000)
        self.assertEqual(item.checked, [])

    def test_a_check_asks_for_the_next(self):
        item = Item(lambda now: now + 10 if now < 50 else math.inf)
        self.deadlines.watch(item, 10.0)
        run_out(self.clock)
        self.assertEqual(len(item.checked), 5)
        for before, after in zip([0.0, *item.checked], item.checked, strict=False):
            self.assertTrue(before + 10 <= after <= latest(before + 10, before))

    def test_forget(self):
        item, other = Item(), Item()
        self.deadlines.watch(item, 10.0)
        self.deadlines.watch(other, 10.0)
        self.deadlines.forget(item)
        run_out(self.clock)
        self.assertEqual((item.checked, len(other.checked)), ([], 1))

    def test_forget_what_is_not_watched(self):
        item, other = Item(), Item()
        self.deadlines.watch(other, 10.0)
        self.deadlines.forget(item)
        self.deadlines.forget(item)
        run_out(self.clock)
        self.deadlines.forget(other)
        self.assertEqual((len(other.checked), self.pending()), (1, []))

    def test_nothing_is_left_when_all_are_forgotten(self):
        items = [Item() for _ in range(50)]
        for number, item in enumerate(items):
            self.deadlines.watch(item, 1.0 + number * 7 % 50)
        for item in items:
            self.assertEqual(len(self.pending()), 1)
            self.deadlines.forget(item)
        self.assertEqual(self.pending(), [])

    def test_a_check_forgets_another_due_at_the_same_time(self):
        """Whichever comes first: the other is not checked."""
        pair = []

        def forget_both(now):
            for item in pair:
                self.deadlines.forget(item)
            return math.inf

        pair += [Item(forget_both), Item(forget_both)]
        for item in pair:
            self.deadlines.watch(item, 10.0)
        run_out(self.clock)
        self.assertEqual(sum(len(item.checked) for item in pair), 1)
        self.assertEqual(self.pending(), [])

    def test_a_check_watches_another_due_at_the_same_time(self):
        """The other is checked when it now asks to be, and only then."""
        other = Item()

        def put_off(now):
            self.deadlines.watch(other, now + 100)
            return math.inf

        self.deadlines.watch(Item(put_off), 10.0)
        self.deadlines.watch(other, 10.0)
        self.clock.advance(11)
        self.assertEqual(other.checked, [])
        run_out(self.clock)
        self.assertEqual(len(other.checked), 1)

    def test_a_check_forgets_a_later_one(self):
        later = Item()

        def forget(now):
            self.deadlines.forget(later)
            return math.inf

        self.deadlines.watch(Item(forget), 10.0)
        self.deadlines.watch(later, 20.0)
        self.clock.advance(30)  # both are due by then
        self.assertEqual((later.checked, self.pending()), ([], []))

    def test_the_past_does_not_spin(self):
        item = Item(lambda now: now - 5)
        self.deadlines.watch(item, -5.0)
        self.clock.advance(1)
        self.assertEqual(len(item.checked), 1)
        for _ in range(100):
            step(self.clock)
        self.assertGreaterEqual(self.clock.seconds(), 1 + 99 * SOONEST)
        self.assertLessEqual(len(item.checked), 101)
        self.deadlines.forget(item)
        self.assertEqual(self.pending(), [])

    def test_a_check_that_fails_costs_nobody_else_theirs(self):
        class Broken(Item):
            def check(self, now):
                super().check(now)
                raise ZeroDivisionError

        broken, other = Broken(), Item()
        self.deadlines.watch(broken, 5.0)
        self.deadlines.watch(other, 5.0)
        self.clock.advance(5.1)
        self.assertEqual((len(broken.checked), len(other.checked)), (1, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.deadlines.forget(broken)
        self.assertEqual(self.pending(), [])
