"""What a process has cost so far, from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

#: A process that sleeps, and used less CPU than REST during one PAUSE, is at rest. A kernel may
#: bring the CPU time of what runs up to date only each tick, of 10 ms at most.
REST = 0.0005
PAUSE = 0.012
LONGEST_WAIT = 5.0


def cpu_seconds(pid: int) -> float:
    """CPU time of all its threads, in the kernel too.

    To the nanosecond where the kernel keeps `schedstat`, else in clock ticks.
    """
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9
    except FileNotFoundError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds_at_rest(pid: int) -> float:
    """The same, once it has finished what it still had to do, such as closing connections."""
    give_up = time.monotonic() + LONGEST_WAIT
    before = cpu_seconds(pid)
    while True:
        time.sleep(PAUSE)
        now = cpu_seconds(pid)
        if (now - before < REST and not runnable(pid)) or time.monotonic() > give_up:
            return now
        before = now


def runnable(pid: int) -> bool:
    """Whether it runs, or waits only for its core."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"


def resident_bytes(pid: int) -> int:
    """Its resident memory (RSS): exact where the kernel sums it up, else its running count."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except FileNotFoundError:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    rss = next(line for line in rollup.splitlines() if line.startswith("Rss:"))
    return int(rss.split()[1]) * 1024
