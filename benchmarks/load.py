"""The loads that come from elsewhere: redis-benchmark, and connections that stay idle."""

from __future__ import annotations

import contextlib
import csv
import shutil
import socket
import subprocess
from dataclasses import dataclass

from benchmarks.errors import BenchError
from benchmarks.process import HOST

PROGRAM = "redis-benchmark"
RUN_TIMEOUT = 180.0
TIMEOUT = 10.0

#: Seconds; its clock counts milliseconds.
SHORTEST = 0.001

#: Connections from one source address; each address has about 28,000 ports.
PER_ADDRESS = 8_000

#: From <linux/in.h>: leave the choice of a port to `connect`, which finds one much sooner where
#: thousands are taken.
IP_BIND_ADDRESS_NO_PORT = 24


@dataclass(frozen=True)
class Seen:
    """What redis-benchmark saw of one run."""

    lines_per_second: float
    p50_ms: float
    p99_ms: float


def missing() -> str | None:
    """Why redis-benchmark cannot be used, if it cannot."""
    return None if shutil.which(PROGRAM) else "not installed"


def inline_ping(port: int, *, clients: int, depth: int, lines: int) -> Seen:
    """Send `PING` lines; every answer is `+PONG`.

    Args:
        port: of the server.
        clients: connections, all active.
        depth: lines sent before their answers are waited for.
        lines: of all connections together.

    Raises:
        BenchError: it did not finish, or not in time.
    """
    command = [PROGRAM, "-h", HOST, "-p", str(port), "-t", "ping_inline", "--csv"]
    command += ["-c", str(clients), "-P", str(depth), "-n", str(lines)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_TIMEOUT, check=True
        )
        rows = csv.DictReader(line for line in done.stdout.splitlines() if line[:1] == '"')
        row = next(row for row in rows if row["test"] == "PING_INLINE")
    except subprocess.TimeoutExpired:
        raise BenchError(f"{PROGRAM} did not finish within {RUN_TIMEOUT:g} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().split("\n")[-1]
        raise BenchError(f"{PROGRAM} exits with {error.returncode}: {said}") from None
    except StopIteration:
        raise BenchError(f"{PROGRAM} reports nothing") from None
    rate = min(float(row["rps"]), lines / SHORTEST)  # it divides by zero for less
    return Seen(rate, float(row["p50_latency_ms"]), float(row["p99_latency_ms"]))


class IdleConnections(contextlib.ExitStack):
    """Connections that say one line each, hear its answer, and then nothing more.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._count = 0

    def open_until(self, count: int) -> None:
        """Open more, until there are so many.

        Raises:
            BenchError: one was refused, or not answered.
        """
        while self._count < count:
            try:
                self._open()
            except OSError as error:
                raise BenchError(f"idle connection {self._count + 1}: {error}") from None
            self._count += 1

    def _open(self) -> None:
        connection = self.enter_context(socket.socket())
        connection.settimeout(TIMEOUT)
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((f"127.0.0.{2 + self._count // PER_ADDRESS}", 0))
        connection.connect((HOST, self._port))
        connection.sendall(b"PING\r\n")
        answer = b""
        while not answer.endswith(b"\n"):
            received = connection.recv(64)
            if not received:
                raise ConnectionError("closed by the server")
            answer += received
        if answer != b"+PONG\r\n":
            raise ConnectionError(f"answered {answer[:60]!r}")
