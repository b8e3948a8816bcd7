"""The mock section: a script of twenty rules beside a plain echo, given the same lines.

What a mock has said before it can look up, so lines that are always new are cases of their own.
The numbers in
them have eight digits, so that each batch and its answers have the same length.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.closed_loop import ClosedLoop
from benchmarks.cost import cost
from benchmarks.pace import Pace
from benchmarks.registry import ECHO, MOCK, OURS, Server

#: Lines that a connection sends before it waits.
DEPTH = 16

#: A line, with gaps for numbers, and what the mock answers, with the same gaps.
Exchange = tuple[bytes, bytes]

EXACT: Exchange = (b"PING\r\n", b"PONG\r\n")
REGEX: Exchange = (b"SET 8 x\r\n", b"OK 8 x\r\n")
PREFIXES = [
    (b"GET %d %%08d\r\n" % rule, b"VALUE %d GET %d %%08d\r\n" % (rule, rule))
    for rule in range(1, 9)
]
REGEXES = [(b"SET %d %%08d\r\n" % rule, b"OK %d %%08d\r\n" % rule) for rule in range(1, 9)]
OTHERS = [
    (b"ADD %08d %08d\r\n", b"SUM %08d %08d\r\n"),
    (b"LOG info said %08d\r\n", b"LOGGED said %08d\r\n"),
]

#: By name, the exchanges of a batch.
CASES: dict[str, Sequence[Exchange]] = {
    "same, exact": [EXACT] * DEPTH,
    "same, regex": [REGEX] * DEPTH,
    "new, prefixes": PREFIXES * 2,
    "new, regexes": REGEXES * 2,
    "new, mixed": [*PREFIXES[:4], *REGEXES[4:], *OTHERS, *PREFIXES[4:], *OTHERS],
}


def mock(bench: Bench) -> None:
    """A mock and an echo, given the same lines."""
    if OURS not in bench.servers:
        return
    servers = [server for server in (ECHO, MOCK) if not server.missing()]
    bench.prepare(servers, "echo")
    batches = {
        (server.name, case): Batches(exchanges, echoed=server is ECHO)
        for case, exchanges in CASES.items()
        for server in servers
    }
    pace = Pace(bench.plan)
    for server, case in bench.turns(servers, list(CASES), bench.plan.rounds):
        with bench.guarding(server):
            about = server.name, case
            bench.add(case, server, _said(bench, server, batches[about], pace, about))


class Batches:
    """The lines of a batch, and what is answered; each time with other numbers.

    Args:
        exchanges: of a batch.
        echoed: whether a line is answered by itself.
    """

    def __init__(self, exchanges: Sequence[Exchange], *, echoed: bool) -> None:
        self._lines = b"".join(line for line, _ in exchanges)
        self._answers = b"".join(line if echoed else reply for line, reply in exchanges)
        self._gaps = self._lines.count(b"%")
        self._number = 0

    def first(self) -> tuple[bytes, bytes]:
        """A batch, and what is answered to it."""
        numbers = tuple(range(self._gaps))
        return self._lines % numbers, self._answers % numbers

    def next(self) -> bytes:
        """One more batch."""
        self._number += self._gaps
        return self._lines % tuple(range(self._number, self._number + self._gaps))


def _said(
    bench: Bench, server: Server, batches: Batches, pace: Pace, about: tuple[str, str]
) -> dict[str, float]:
    process, clients = bench.running(server, "echo"), bench.plan.clients
    lines, answers = batches.first()
    with ClosedLoop(
        process.port, lines, answers, clients=clients, depth=DEPTH, fresh=batches.next
    ) as loop:
        return cost(loop, process.pid, pace, about, clients * DEPTH)
