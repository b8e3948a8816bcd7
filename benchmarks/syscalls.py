"""System calls per line of a server, counted by strace during a fixed load.

    python -m benchmarks.syscalls
    python -m benchmarks.syscalls redis --depths 1 16

At depth 1 the least possible is one recv, one send, and a share of one epoll_wait. strace slows
the server down, so fewer connections are ready at once than usual: the share is an upper bound.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.closed_loop import ClosedLoop
from benchmarks.errors import BenchError
from benchmarks.plan import FULL, raise_open_files
from benchmarks.process import Process, end_on_sigterm
from benchmarks.registry import OURS, SERVERS

LINES = 20_000
PING, PONG = b"PING\r\n", b"+PONG\r\n"
TIMEOUT = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, and print a table in Markdown.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    end_on_sigterm()
    if not shutil.which("strace"):
        print("missing: strace (not installed)")
        return 1
    server = next(each for each in SERVERS if each.name == options.server)
    if why := server.missing():
        print(f"missing: {server.name} ({why})")
        return 1
    counts = {}
    try:
        with Bench(FULL, [server], raise_open_files()) as bench:
            process = bench.start(server, "ping")
            process.wait_ready()
            for depth in options.depths:
                counts[depth] = _count(process, depth)
    except BenchError as error:
        print(f"failed: {server.name} ({error})")
        return 1
    print(_table(counts))
    return 0


def _parser() -> argparse.ArgumentParser:
    names = [server.name for server in SERVERS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.syscalls",
        description="Count a server's system calls per line with strace.",
    )
    parser.add_argument("server", nargs="?", choices=names, default=OURS.name)
    parser.add_argument("--depths", nargs="+", type=int, default=FULL.depths, metavar="N")
    return parser


def _count(process: Process, depth: int) -> dict[str, float]:
    """Calls per line, by name."""
    lines = LINES // depth * depth
    clients = FULL.clients
    with (
        ClosedLoop(process.port, PING, PONG, clients=clients, depth=depth) as loop,
        tempfile.NamedTemporaryFile("r") as summary,
    ):
        command = ["strace", "-c", "-f", "-p", str(process.pid), "-o", summary.name]
        strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            _wait_attached(strace, process.pid)
            loop.run(lines)
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate()
        return {name: calls / lines for name, calls in _parse(summary.read()).items()}


def _wait_attached(strace: subprocess.Popen[str], pid: int) -> None:
    give_up = time.monotonic() + TIMEOUT
    while f"TracerPid:\t{strace.pid}\n" not in Path(f"/proc/{pid}/status").read_text():
        if strace.poll() is not None or time.monotonic() > give_up:
            raise BenchError("strace cannot attach to it")
        time.sleep(0.02)


def _parse(summary: str) -> dict[str, int]:
    """Calls by name: columns are % time, seconds, usecs/call, calls, errors or none, syscall."""
    rows = (line.split() for line in summary.splitlines())
    return {row[-1]: int(row[3]) for row in rows if len(row) > 4 and row[3].isdigit()}


def _table(counts: dict[int, dict[str, float]]) -> str:
    names = sorted(
        {name for calls in counts.values() for name in calls},
        key=lambda name: -max(calls.get(name, 0.0) for calls in counts.values()),
    )
    lines = ["| calls per line | " + " | ".join(f"depth {depth}" for depth in counts) + " |"]
    lines.append("|---|" + "---:|" * len(counts))
    for name in names:
        cells = " | ".join(f"{calls.get(name, 0.0):.3f}" for calls in counts.values())
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
