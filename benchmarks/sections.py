"""What is measured: one function for each section, from the servers at hand to samples.

CPU per line is what more lines cost: each case is run twice, briefly and at length, and the
difference in CPU time is divided by the difference in lines. So the opening and closing of
connections, and the first lines of all, are not counted. Each sample has a brief run of its own:
what opening costs varies, and one brief run for all would put its error into every sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.closed_loop import ClosedLoop
from benchmarks.cost import cost
from benchmarks.errors import BenchError
from benchmarks.fairness import fairness
from benchmarks.measure import cpu_seconds_at_rest, resident_bytes
from benchmarks.mock import mock
from benchmarks.pace import Pace
from benchmarks.process import Process
from benchmarks.registry import ASYNC, OURS, Server
from benchmarks.results import CPU, P50, P99, RATE, RSS
from benchmarks.websocket import websocket

#: Idle connections that are opened before memory is first read: they pay for what is there once.
FIRST = 100

#: Seconds between two looks at a server's memory, and for how many its shrinking is watched.
PAUSE = 0.25
LONGEST_SHRINKING = 20.0

#: What each connection of redis-benchmark sends at least, besides its first batch.
BATCHES = 10

#: Who is measured in the sections that would take long with everybody.
FEW = {
    "connections": ("ours", "redis", "line-only"),
    "length": ("ours", "redis", "line-only", "uvloop"),
}


@dataclass(frozen=True)
class Inline:
    """A case for redis-benchmark."""

    name: str
    clients: int
    depth: int

    @property
    def batch(self) -> int:
        """Lines that all connections together send before they wait."""
        return self.clients * self.depth


def throughput(bench: Bench) -> None:
    """Lines as fast as they go, at several depths."""
    _inline(bench, bench.servers, _by_depth(bench), bench.plan.rounds)


def asynchronous(bench: Bench) -> None:
    """Ours with handlers that are coroutines, at the same depths."""
    if OURS in bench.servers:
        _inline(bench, ASYNC, _by_depth(bench), bench.plan.rounds)


def connections(bench: Bench) -> None:
    """More and more active connections, one line in flight on each."""
    plan = bench.plan
    counts = sorted({min(count, bench.room) for count in plan.connections})
    cases = [Inline(f"{count:,}", count, 1) for count in counts]
    _inline(bench, bench.among(FEW["connections"]), cases, plan.slow_rounds)


def length(bench: Bench) -> None:
    """Lines of several lengths and alphabets, echoed."""
    plan = bench.plan
    cases = [(size, text) for text in LINES for size in plan.lengths]
    servers = bench.among(FEW["length"])
    bench.prepare(servers, "echo")
    pace = Pace(plan)
    for server, (size, text) in bench.turns(servers, cases, plan.slow_rounds):
        case = f"{size:,} B {text}"
        with bench.guarding(server):
            bench.add(case, server, _echo(bench, server, case, LINES[text](size), pace))


def memory(bench: Bench) -> None:
    """Memory of idle connections, once for each server, started anew."""
    idle = min(bench.plan.idle, bench.room)
    for server, count in bench.turns(bench.servers, [idle], 1):
        with bench.guarding(server):
            process = bench.start(server, "ping")
            process.wait_ready()
            values = {RSS: _bytes_per_connection(process, count, bench.plan.settle)}
            process.stop()
            bench.add(f"{count:,} idle", server, values)


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "throughput": throughput,
    "connections": connections,
    "async": asynchronous,
    "length": length,
    "websocket": websocket,
    "mock": mock,
    "memory": memory,
    "fairness": fairness,
}

#: Those that need redis-benchmark.
INLINE = frozenset({"throughput", "connections", "async"})


def ascii_line(size: int) -> bytes:
    """A `PING text` line of so many bytes, in ASCII; Redis echoes it too."""
    return b"PING ".ljust(size, b"x") + b"\r\n"


def chinese_line(size: int) -> bytes:
    """The same, in Chinese as far as the bytes allow."""
    return (b"PING " + "線".encode() * ((size - 5) // 3)).ljust(size, b"x") + b"\r\n"


LINES = {"ASCII": ascii_line, "Chinese": chinese_line}


def _by_depth(bench: Bench) -> list[Inline]:
    plan = bench.plan
    return [Inline(f"depth {depth}", plan.clients, depth) for depth in plan.depths]


def _inline(bench: Bench, servers: Sequence[Server], cases: Sequence[Inline], rounds: int) -> None:
    bench.prepare(servers, "ping")
    pace = Pace(bench.plan)
    for server, case in bench.turns(servers, cases, rounds):
        with bench.guarding(server):
            process = bench.running(server, "ping")
            bench.add(case.name, server, _ping(process, case, _lines(bench, server, case, pace)))


def _lines(bench: Bench, server: Server, case: Inline, pace: Pace) -> int:
    """How many lines to send besides the first batch.

    They are as many for all numbers of connections: those whose opening costs much are not good
    for trying. But each connection gets several batches.
    """
    plan, process = bench.plan, bench.running(server, "ping")
    usual = Inline("", plan.clients, case.depth)
    found = pace.lines(
        server.name, f"{case.depth}", usual.batch, lambda lines: _run(process, usual, lines)[0]
    )
    return max(found, case.batch, min(BATCHES * case.batch, plan.most_lines))


def _ping(process: Process, case: Inline, lines: int) -> dict[str, float]:
    brief, _ = _run(process, case, case.batch)
    whole, seen = _run(process, case, case.batch + lines)
    return {
        CPU: (whole - brief) * 1e6 / lines,
        RATE: seen.lines_per_second,
        P50: seen.p50_ms,
        P99: seen.p99_ms,
    }


def _run(process: Process, case: Inline, lines: int) -> tuple[float, load.Seen]:
    """Seconds of CPU that the server needed, and what redis-benchmark saw."""
    start = cpu_seconds_at_rest(process.pid)
    seen = load.inline_ping(process.port, clients=case.clients, depth=case.depth, lines=lines)
    return cpu_seconds_at_rest(process.pid) - start, seen


def _echo(bench: Bench, server: Server, case: str, line: bytes, pace: Pace) -> dict[str, float]:
    process, plan = bench.running(server, "echo"), bench.plan
    answer, depth, batch = server.echoes(line), plan.length_depth, plan.clients * plan.length_depth
    with ClosedLoop(process.port, line, answer, clients=plan.clients, depth=depth) as loop:
        return cost(loop, process.pid, pace, (server.name, case), batch)


def _bytes_per_connection(process: Process, count: int, settle: float) -> float:
    with load.IdleConnections(process.port) as idle:
        idle.open_until(FIRST)
        before = _resident_at_rest(process, 0)
        idle.open_until(count)
        after = _resident_at_rest(process, settle)
    if count <= FIRST:
        raise BenchError(f"no room for more than {count} connections")
    return (after - before) / (count - FIRST)


def _resident_at_rest(process: Process, settle: float) -> int:
    """Its memory, once it has given none back for so many seconds, or does so without end."""
    cpu_seconds_at_rest(process.pid)
    least = resident_bytes(process.pid)
    now = shrunk = time.monotonic()
    give_up = now + LONGEST_SHRINKING
    while now < min(shrunk + settle, give_up):
        time.sleep(PAUSE)
        now = time.monotonic()
        resident = resident_bytes(process.pid)
        if resident < least:
            least, shrunk = resident, now
    return least
