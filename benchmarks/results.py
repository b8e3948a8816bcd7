"""What was measured: samples and their medians, by section, and as they are kept in a file."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

#: The names that a sample's values have.
CPU = "cpu_us_per_line"
RATE = "lines_per_second"
P50 = "p50_ms"
P99 = "p99_ms"
MOST = "max_ms"
LATE_P50 = "late_p50_ms"
LATE_P99 = "late_p99_ms"
LATE_MOST = "late_max_ms"
RSS = "rss_bytes_per_connection"


@dataclass(frozen=True)
class Sample:
    """What one run of one server gave.

    Args:
        case: at what size, such as "depth 16".
        server: its name.
        values: by the names above.
    """

    case: str
    server: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Section:
    """All that one section gave when it was last measured.

    Args:
        name: such as "throughput".
        date: when that run began.
        plan: how much of everything there was.
        failed: servers that failed in it, and why.
        samples: in the order in which they were taken.
    """

    name: str
    date: str
    plan: Mapping[str, Any]
    failed: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def values(self, case: str, server: str, name: str) -> list[float]:
        """Every value of one name, smallest first."""
        return sorted(
            sample.values[name]
            for sample in self.samples
            if (sample.case, sample.server) == (case, server) and name in sample.values
        )

    def median(self, case: str, server: str, name: str) -> float | None:
        """Their median, if there are any."""
        values = self.values(case, server, name)
        return statistics.median(values) if values else None

    def medians(self) -> dict[str, dict[str, dict[str, float]]]:
        """All medians: by case, server and name."""
        tree: dict[str, dict[str, dict[str, float]]] = {}
        for sample in self.samples:
            leaf = tree.setdefault(sample.case, {}).setdefault(sample.server, {})
            for name in sample.values:
                values = self.values(sample.case, sample.server, name)
                leaf[name] = statistics.median(values)
        return tree

    def as_tree(self) -> dict[str, Any]:
        """All of it in what JSON knows; the medians are for whoever reads the file."""
        return {
            "date": self.date,
            "plan": self.plan,
            "failed": self.failed,
            "medians": self.medians(),
            "samples": [asdict(sample) for sample in self.samples],
        }

    @classmethod
    def from_tree(cls, name: str, tree: Mapping[str, Any]) -> Section:
        """One that was kept with `as_tree`."""
        samples = [Sample(**sample) for sample in tree["samples"]]
        return cls(name, tree["date"], tree["plan"], dict(tree["failed"]), samples)


def spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The middle of some times, what 99 of 100 of them do not exceed, and the longest.

    Returns:
        Milliseconds; zeros for no times.
    """
    ordered = sorted(seconds) or [0.0]
    count = len(ordered)
    picked = ordered[count // 2], ordered[min(count - 1, count * 99 // 100)], ordered[-1]
    return picked[0] * 1e3, picked[1] * 1e3, picked[2] * 1e3


def short(value: float) -> str:
    """Three digits or so."""
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
