"""The samples that were taken, and their medians."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

#: The names that a sample's values have.
CPU = "cpu_us_per_line"
RATE = "lines_per_second"
P50 = "p50_ms"
P99 = "p99_ms"
RSS = "rss_bytes_per_connection"


@dataclass(frozen=True)
class Sample:
    """What one run of one server gave.

    Args:
        section: what was measured, such as "throughput".
        case: at what size, such as "depth 16".
        server: its name.
        values: by the names above.
    """

    section: str
    case: str
    server: str
    values: Mapping[str, float]


class Results:
    """All samples of a run."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def add(self, section: str, case: str, server: str, values: Mapping[str, float]) -> None:
        """One more sample."""
        self.samples.append(Sample(section, case, server, values))

    def sections(self) -> list[str]:
        """Those that have samples."""
        return list(dict.fromkeys(sample.section for sample in self.samples))

    def values(self, section: str, case: str, server: str, name: str) -> list[float]:
        """Every value of one name, smallest first."""
        wanted = (section, case, server)
        return sorted(
            sample.values[name]
            for sample in self.samples
            if (sample.section, sample.case, sample.server) == wanted and name in sample.values
        )

    def median(self, section: str, case: str, server: str, name: str) -> float | None:
        """Their median, if there are any."""
        values = self.values(section, case, server, name)
        return statistics.median(values) if values else None

    def medians(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """All medians: by section, case, server and name."""
        tree: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
        for sample in self.samples:
            section, case, server = sample.section, sample.case, sample.server
            leaf = tree.setdefault(section, {}).setdefault(case, {}).setdefault(server, {})
            for name in sample.values:
                leaf[name] = statistics.median(self.values(section, case, server, name))
        return tree
