"""How much of everything: the sizes of a full run, and of a quick one that only shows it works."""

from __future__ import annotations

import resource
from dataclasses import dataclass

#: Open files that a process holding connections needs besides them.
SPARE_FILES = 500


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The sizes of one run.

    Args:
        rounds: how often a case of the throughput and async sections is measured; the
            slower sections take half as many. Medians are reported.
        depths: lines that a connection sends before it waits for their answers.
        clients: connections in the throughput, async and length sections.
        lines: lines of one run at depth 1; deeper ones send more, in proportion.
        most_lines: but never more than this.
        connections: how many are active in each case of the connections section.
        lengths: bytes of a line in the length section, without its delimiter.
        length_depth: the depth of that section.
        length_lines: lines of one run of that section.
        length_bytes: but never more than this, in bytes.
        idle: connections held open in the memory section.
        settle: seconds that their server is given to tidy up, before its memory is read.
    """

    rounds: int = 5
    depths: tuple[int, ...] = (1, 16, 128)
    clients: int = 50
    lines: int = 100_000
    most_lines: int = 1_000_000
    connections: tuple[int, ...] = (10, 100, 1_000, 10_000)
    lengths: tuple[int, ...] = (10, 100, 1024, 4096, 16384)
    length_depth: int = 16
    length_lines: int = 300_000
    length_bytes: int = 128 << 20
    idle: int = 19_000
    settle: float = 5.0

    @property
    def slow_rounds(self) -> int:
        """How often a case of the connections and length sections is measured."""
        return (self.rounds + 1) // 2

    def lines_at(self, depth: int) -> int:
        """Lines of one run at a depth: a whole number of batches."""
        lines = min(self.lines * depth, self.most_lines)
        return max(1, lines // depth) * depth

    def lines_of(self, length: int) -> int:
        """Lines of one run of the length section: a whole number of batches."""
        lines = min(self.length_lines, self.length_bytes // length)
        return max(1, lines // self.length_depth) * self.length_depth


FULL = Plan()
QUICK = Plan(
    rounds=1,
    clients=10,
    lines=1_000,
    most_lines=4_000,
    connections=(10, 100),
    lengths=(10, 1024),
    length_lines=5_000,
    length_bytes=4 << 20,
    idle=300,
    settle=0.0,
)


def raise_open_files() -> int:
    """Let this process, and those it starts, open as many files as the system allows.

    Returns:
        How many connections there is room for in one process.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard - SPARE_FILES
