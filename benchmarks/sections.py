"""What is measured: one function for each section, from the servers at hand to samples.

CPU per line is what more lines cost: each case is run twice, briefly and at length, and the
difference in CPU time is divided by the difference in lines. So the opening and closing of
connections, and the first lines of all, are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import load
from benchmarks.bench import Bench
from benchmarks.closed_loop import ClosedLoop
from benchmarks.errors import BenchError
from benchmarks.measure import cpu_seconds_at_rest, resident_bytes
from benchmarks.process import Process
from benchmarks.registry import ASYNC, OURS, Server
from benchmarks.results import CPU, P50, P99, RATE, RSS

#: Idle connections that are opened before memory is first read: they pay for what is there once.
FIRST = 100


@dataclass(frozen=True)
class Inline:
    """A case for redis-benchmark."""

    name: str
    clients: int
    depth: int
    lines: int


def throughput(bench: Bench) -> None:
    """Lines as fast as they go, at several depths."""
    _inline(bench, "throughput", bench.servers, _by_depth(bench), bench.plan.rounds)


def asynchronous(bench: Bench) -> None:
    """Ours with handlers that are coroutines, at the same depths."""
    if OURS in bench.servers:
        _inline(bench, "async", ASYNC, _by_depth(bench), bench.plan.rounds)


def connections(bench: Bench) -> None:
    """More and more active connections, one line in flight on each."""
    plan = bench.plan
    counts = sorted({min(count, bench.room) for count in plan.connections})
    cases = [Inline(f"{count:,}", count, 1, plan.lines_at(1)) for count in counts]
    _inline(bench, "connections", bench.servers, cases, plan.slow_rounds)


def length(bench: Bench) -> None:
    """Lines of several lengths and alphabets, echoed."""
    plan = bench.plan
    cases = [(size, text) for text in LINES for size in plan.lengths]
    bench.prepare(bench.servers, "echo")
    for server, (size, text) in bench.turns("length", bench.servers, cases, plan.slow_rounds):
        with bench.guarding(server, "length"):
            values = _echo(bench, server, LINES[text](size), plan.lines_of(size))
            bench.results.add("length", f"{size:,} B {text}", server.name, values)


def memory(bench: Bench) -> None:
    """Memory of idle connections, once for each server, started anew."""
    idle = min(bench.plan.idle, bench.room)
    for server, count in bench.turns("memory", bench.servers, [idle], 1):
        with bench.guarding(server, "memory"):
            process = bench.start(server, "ping")
            process.wait_ready()
            values = {RSS: _bytes_per_connection(process, count, bench.plan.settle)}
            process.stop()
            bench.results.add("memory", f"{count:,} idle", server.name, values)


SECTIONS: dict[str, Callable[[Bench], None]] = {
    "throughput": throughput,
    "connections": connections,
    "async": asynchronous,
    "length": length,
    "memory": memory,
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
    return [
        Inline(f"depth {depth}", plan.clients, depth, plan.lines_at(depth))
        for depth in plan.depths
    ]


def _inline(
    bench: Bench, section: str, servers: Sequence[Server], cases: list[Inline], rounds: int
) -> None:
    bench.prepare(servers, "ping")
    for server, case in bench.turns(section, servers, cases, rounds):
        with bench.guarding(server, section):
            values = _ping(bench.running(server, "ping"), case)
            bench.results.add(section, case.name, server.name, values)


def _ping(process: Process, case: Inline) -> dict[str, float]:
    def run(lines: int) -> load.Seen:
        return load.inline_ping(process.port, clients=case.clients, depth=case.depth, lines=lines)

    brief = case.clients * case.depth
    start = cpu_seconds_at_rest(process.pid)
    run(brief)
    middle = cpu_seconds_at_rest(process.pid)
    seen = run(brief + case.lines)
    end = cpu_seconds_at_rest(process.pid)
    cpu = (end - middle) - (middle - start)
    return {
        CPU: cpu * 1e6 / case.lines,
        RATE: seen.lines_per_second,
        P50: seen.p50_ms,
        P99: seen.p99_ms,
    }


def _echo(bench: Bench, server: Server, line: bytes, lines: int) -> dict[str, float]:
    process, plan = bench.running(server, "echo"), bench.plan
    with ClosedLoop(
        process.port, line, server.echoes(line), clients=plan.clients, depth=plan.length_depth
    ) as loop:
        loop.run(plan.clients * plan.length_depth)
        start = cpu_seconds_at_rest(process.pid)
        rate = loop.run(lines)
        cpu = cpu_seconds_at_rest(process.pid) - start
    return {CPU: cpu * 1e6 / lines, RATE: rate}


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
    cpu_seconds_at_rest(process.pid)
    time.sleep(settle)
    return resident_bytes(process.pid)
