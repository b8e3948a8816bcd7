"""The fairness section: what a flood does to others, in the same process.

While some connections send lines as fast as they are answered, a timer of 10 ms in the server
notes how late it fires, and an ordinary connection how long its line waits for the answer.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.errors import BenchError
from benchmarks.flood import FLOODING
from benchmarks.measure import cpu_seconds_at_rest
from benchmarks.ordinary import Ordinary
from benchmarks.process import Process
from benchmarks.registry import OURS, OURS_STOCK
from benchmarks.results import MOST, P50, P99, spread

#: Those whose servers have a timer, by their names.
TIMED = ("ours", "line-only")

#: Seconds that a flood has to begin.
START_TIMEOUT = 20.0

#: How long it then rises unwatched, as a part of the time that it is watched.
RISE = 0.1


def fairness(bench: Bench) -> None:
    """How late timers and other connections' answers are during floods."""
    servers = [each for each in bench.servers if each.name in TIMED]
    if OURS in servers:
        servers.append(OURS_STOCK)
    bench.prepare(servers, "late")
    for server, (flooding, depth) in bench.turns(
        servers, bench.plan.floods, bench.plan.slow_rounds
    ):
        with bench.guarding(server):
            count = min(flooding, bench.room - 1)
            values = _watch(bench, bench.running(server, "late"), count, depth)
            bench.add(f"{count:,}", server, values)


def _watch(bench: Bench, process: Process, connections: int, depth: int) -> dict[str, float]:
    cpu_seconds_at_rest(process.pid)
    with _flood(bench, process.port, connections, depth), Ordinary(process.port) as ordinary:
        ordinary.ask("LATE")
        waited = ordinary.waits(bench.plan.watch)
        values: dict[str, float] = json.loads(ordinary.ask("LATE"))
    p50, p99, most = spread(waited)
    return {**values, P50: p50, P99: p99, MOST: most}


@contextlib.contextmanager
def _flood(bench: Bench, port: int, connections: int, depth: int) -> Iterator[None]:
    """Flood meanwhile.

    Raises:
        BenchError: the flood does not begin, or ends too soon.
    """
    if not connections:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.flood", str(port), str(connections), str(depth)]
    flood = bench.start_load(command, port)
    try:
        _wait_until_it_floods(flood)
        time.sleep(RISE * bench.plan.watch)
        yield
        flood.check_alive()
    finally:
        flood.stop()


def _wait_until_it_floods(flood: Process) -> None:
    give_up = time.monotonic() + START_TIMEOUT
    while flood.last_words() != FLOODING:
        flood.check_alive()
        if time.monotonic() > give_up:
            raise BenchError(f"the flood did not begin within {START_TIMEOUT:g} s")
        time.sleep(0.02)
