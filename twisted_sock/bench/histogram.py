"""How long things took: counts in buckets, of a fixed size however many there are; pure.

Buckets are exact up to 255 nanoseconds. Above, each power of two is cut into 128 of them, so a
bucket is at most 1/128 of what it holds wide, and its middle at most 0.4 % off. That is the
layout of HdrHistogram, with two significant digits. Count, least, greatest and sum are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

NANOSECONDS = 1_000_000_000

#: Bits of a value that tell its bucket: 128 buckets for each power of two.
BITS = 7
#: What takes longer than 2**48 ns, three days, is counted with that.
LONGEST = (1 << 48) - 1
BUCKETS = (48 - BITS + 1) << BITS

#: Pieces that a run of evenly spaced times is recorded in, at most.
PIECES = 16


class Histogram:
    """Times, in seconds, as counts.

    Attributes:
        count: how many were recorded.
    """

    __slots__ = ("_counts", "_greatest", "_least", "_sum", "count")

    def __init__(self) -> None:
        self.count = 0
        self._counts = [0] * BUCKETS
        self._least = LONGEST
        self._greatest = 0
        self._sum = 0

    def record(self, seconds: float, count: int = 1) -> None:
        """Take a time that was measured so many times; a negative one is 0."""
        value = int(seconds * NANOSECONDS)
        if not 0 <= value <= LONGEST:
            value = 0 if value < 0 else LONGEST
        shift = value.bit_length() - BITS - 1
        self._counts[value if shift < 0 else (shift << BITS) + (value >> shift)] += count
        self.count += count
        self._sum += value * count
        if value > self._greatest:  # noqa: PLR1730 (max and min would cost as much as the rest)
            self._greatest = value
        if value < self._least:  # noqa: PLR1730
            self._least = value

    def record_run(self, longest: float, step: float, count: int) -> None:
        """Take times that are evenly spaced: `longest`, `longest - step`, and so on.

        Of very many, neighbours are recorded as the longest of them.
        """
        each = -(-count // PIECES)
        for done in range(0, count, each):
            self.record(longest - done * step, min(each, count - done))

    @property
    def least(self) -> float:
        """The shortest time; 0 when there is none."""
        return self._least / NANOSECONDS if self.count else 0.0

    @property
    def greatest(self) -> float:
        """The longest time; 0 when there is none."""
        return self._greatest / NANOSECONDS

    @property
    def mean(self) -> float:
        """The mean; 0 when there is none."""
        return self._sum / self.count / NANOSECONDS if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """The time that so many percent were not longer than; 0 when there is none."""
        wanted = max(1, math.ceil(round(self.count * percent / 100, 6)))
        if wanted >= self.count:
            return self.greatest
        return next((time for time, so_far in self.cumulated() if so_far >= wanted), 0.0)

    def cumulated(self) -> Iterator[tuple[float, int]]:
        """Each time that was recorded, ascending, and how many were not longer."""
        so_far = 0
        for index, count in enumerate(self._counts):
            if count:
                so_far += count
                yield self._inside(index), so_far

    def _inside(self, index: int) -> float:
        """A time that stands for a bucket: its middle, unless nothing was so short or long."""
        shift = max(0, (index >> BITS) - 1)
        middle = ((index - (shift << BITS)) << shift) + ((1 << shift) >> 1)
        return max(self._least, min(self._greatest, middle)) / NANOSECONDS
