"""What lines cost a server that is driven by a closed loop."""

from __future__ import annotations

from benchmarks.closed_loop import ClosedLoop
from benchmarks.measure import cpu_seconds_at_rest
from benchmarks.pace import Pace
from benchmarks.results import CPU, RATE


def cost(
    loop: ClosedLoop, pid: int, pace: Pace, about: tuple[str, str], batch: int
) -> dict[str, float]:
    """Run a loop for as long as is planned; its connections are open already.

    Args:
        loop: sends the lines.
        pid: of the server.
        pace: says how many lines.
        about: the names of the server and the case.
        batch: lines that all connections together send before they wait.

    Returns:
        The values of a sample.
    """

    def run(lines: int) -> tuple[float, float]:
        start = cpu_seconds_at_rest(pid)
        rate = loop.run(lines)
        return cpu_seconds_at_rest(pid) - start, rate

    lines = pace.lines(*about, batch, lambda count: run(count)[0])
    loop.run(batch)
    cpu, rate = run(lines)
    return {CPU: cpu * 1e6 / lines, RATE: rate}
