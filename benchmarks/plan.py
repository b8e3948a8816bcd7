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
        cpu: seconds of CPU that the lines of one run should cost the server; so a fast server
            gets more lines, and none takes long. Clocks of nanoseconds make 0.3 s plenty.
        most_lines: but never more lines than this.
        connections: how many are active in each case of the connections section.
        lengths: bytes of a line in the length section, without its delimiter.
        length_depth: the depth of that section.
        idle: connections held open in the memory section.
        settle: seconds for which their server must give no memory back, before it is read.
        floods: for each case of the fairness section how many connections flood, and how deep.
        watch: seconds for which a flood is watched.
    """

    rounds: int = 5
    depths: tuple[int, ...] = (1, 16, 128)
    clients: int = 50
    cpu: float = 0.5
    most_lines: int = 4_000_000
    connections: tuple[int, ...] = (10, 100, 1_000, 10_000)
    lengths: tuple[int, ...] = (10, 100, 1024, 4096, 16384)
    length_depth: int = 16
    idle: int = 19_000
    settle: float = 4.0
    floods: tuple[tuple[int, int], ...] = ((0, 0), (1, 1_000_000), (1_000, 128), (10_000, 128))
    watch: float = 3.0

    @property
    def slow_rounds(self) -> int:
        """How often a case of the slower sections is measured."""
        return (self.rounds + 1) // 2


FULL = Plan()
QUICK = Plan(
    rounds=1,
    clients=10,
    cpu=0.01,
    most_lines=1_000,  # so few that nothing is tried first
    connections=(10, 100),
    lengths=(10, 1024),
    idle=200,
    settle=0.0,
    floods=((0, 0), (1, 100_000), (20, 16)),
    watch=0.1,
)


def raise_open_files() -> int:
    """Let this process, and those it starts, open as many files as the system allows.

    Returns:
        How many connections there is room for in one process.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard - SPARE_FILES
