"""Times as counts in buckets, beside the sorted list that they stand for."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.bench.histogram import BUCKETS, LONGEST, NANOSECONDS, PIECES, Histogram

MANY = settings(max_examples=300, deadline=None)
PERCENTILES = (0, 1, 50, 90, 99, 99.9, 99.99, 100)

#: Times in whole nanoseconds, of every order of magnitude, with how often they are measured.
TIMES = st.integers(0, 47).flatmap(lambda bits: st.integers(0, (2 << bits) - 1))
RECORDS = st.lists(st.tuples(TIMES, st.integers(1, 2000)), min_size=1, max_size=40)


def near(found, right, delta):
    """Trial's `assertAlmostEqual` takes no notice of a delta."""
    assert abs(found - right) <= delta, f"{found} is not {right} ± {delta}"


def of(records):
    """A histogram of some nanoseconds and their counts."""
    histogram = Histogram()
    for value, count in records:
        histogram.record((value + 0.25) / NANOSECONDS, count)
    return histogram


def at(records, percent):
    """The percentile by the definition: of the sorted list, the value at the nearest rank."""
    values = sorted(value for value, count in records for _ in range(count))
    rank = math.ceil(round(len(values) * percent / 100, 6))
    return values[max(1, rank) - 1]


class HistogramTest(SynchronousTestCase):
    def test_empty(self):
        histogram = Histogram()
        self.assertEqual(histogram.count, 0)
        for figure in (histogram.least, histogram.greatest, histogram.mean):
            self.assertEqual(figure, 0)
        self.assertEqual([histogram.percentile(each) for each in PERCENTILES], [0] * 8)
        self.assertEqual(list(histogram.cumulated()), [])

    def test_one(self):
        histogram = of([(1_234_567, 1)])
        for percent in PERCENTILES:
            self.assertEqual(histogram.percentile(percent), 1_234_567 / NANOSECONDS)

    def test_rank_is_not_off_by_rounding(self):
        histogram = of([(1, 999), (100, 1)])
        self.assertEqual(histogram.percentile(99.9), 1 / NANOSECONDS)
        self.assertEqual(histogram.percentile(99.91), 100 / NANOSECONDS)

    def test_what_cannot_be_is_taken_as_the_nearest(self):
        histogram = Histogram()
        histogram.record(-1)
        histogram.record(1e9)
        self.assertEqual(histogram.least, 0)
        self.assertEqual(histogram.greatest, LONGEST / NANOSECONDS)

    def test_its_size_is_fixed(self):
        histogram = of([(1 << bits, 1) for bits in range(60)])
        self.assertEqual(len(histogram._counts), BUCKETS)
        self.assertLess(BUCKETS, 10_000)

    @MANY
    @given(RECORDS)
    def test_exact_figures(self, records):
        histogram = of(records)
        values = [value for value, _ in records]
        count = sum(count for _, count in records)
        total = sum(value * count for value, count in records)
        self.assertEqual(histogram.count, count)
        near(histogram.least * NANOSECONDS, min(values), 0.1)
        near(histogram.greatest * NANOSECONDS, max(values), 0.1)
        near(histogram.mean * NANOSECONDS * count / max(1, total), total > 0, 1e-6)

    @MANY
    @given(RECORDS, st.one_of(st.sampled_from(PERCENTILES), st.floats(0, 100)))
    def test_percentiles_are_less_than_one_percent_off(self, records, percent):
        found = of(records).percentile(percent) * NANOSECONDS
        right = at(records, percent)
        self.assertLessEqual(abs(found - right), 0.01 * right + 0.1)

    @MANY
    @given(RECORDS)
    def test_cumulated(self, records):
        histogram = of(records)
        times, counts = zip(*histogram.cumulated(), strict=True)
        self.assertEqual(list(times), sorted(times))
        self.assertEqual(list(counts), sorted(set(counts)))
        self.assertEqual(counts[-1], histogram.count)

    @MANY
    @given(st.floats(0.001, 10), st.integers(1, 5000))
    def test_runs(self, longest, count):
        """As if each were recorded, but never shorter; and with few steps."""
        step = longest / count
        run = Histogram()
        run.record_run(longest, step, count)
        self.assertEqual(run.count, count)
        near(run.greatest, longest, 1e-8)
        self.assertLessEqual(len(list(run.cumulated())), PIECES)
        for percent in (10, 50, 99):
            right = step * math.ceil(count * percent / 100)
            self.assertGreaterEqual(run.percentile(percent), right * 0.99 - 1e-8)
            self.assertLessEqual(run.percentile(percent), right * 1.01 + longest / 8)
