"""What one run has in hand: its plan, servers, cores, and the section that is being measured."""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from benchmarks.errors import BenchError
from benchmarks.plan import Plan
from benchmarks.process import Cores, Process, free_port, signals_held
from benchmarks.registry import Server
from benchmarks.results import Sample, Section

Case = TypeVar("Case")


class Bench:
    """One run. Leaving it reaps every server that it started.

    Args:
        plan: how much of everything.
        servers: those that are here.
        room: connections that one process can hold.
        few: whether some sections, to save time, leave out servers that nobody named.
    """

    def __init__(
        self, plan: Plan, servers: Sequence[Server], room: int, *, few: bool = False
    ) -> None:
        self.plan = plan
        self.servers = servers
        self.room = room
        self.cores = Cores.choose()
        self._date = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        self.begin("")
        self._few = few
        self._random = random.Random()
        self._started: list[Process] = []
        self._running: dict[tuple[str, str], Process] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="benchmarks-")

    def __enter__(self) -> Bench:
        self.cores.pin_load()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with signals_held():
            for process in self._started:
                process.ask_to_stop()
            for process in self._started:
                process.stop()
            self._folder.cleanup()

    def begin(self, section: str) -> None:
        """From now on this is the section that samples and failures are of."""
        self.section = Section(section, self._date, asdict(self.plan))

    def among(self, names: Sequence[str]) -> list[Server]:
        """The servers for a section that would take long with all of them."""
        return [each for each in self.servers if each.name in names or not self._few]

    def add(self, case: str, server: Server, values: Mapping[str, float]) -> None:
        """One more sample."""
        self.section.samples.append(Sample(case, server.name, values))

    def start(self, server: Server, answer: str) -> Process:
        """A new server, not yet ready; may be stopped sooner than the others.

        Raises:
            BenchError: it does not compile.
        """
        port = free_port()
        command = server.command(port, answer, Path(self._folder.name))
        return self._start(command, port, self.cores.server, server.env)

    def start_load(self, command: Sequence[str], port: int) -> Process:
        """A load that runs beside this process, on its core."""
        return self._start(command, port, self.cores.load, {})

    def _start(
        self, command: Sequence[str], port: int, core: int, env: Mapping[str, str]
    ) -> Process:
        with signals_held():
            process = Process(command, port, core, env)
            self._started.append(process)
        return process

    def prepare(self, servers: Sequence[Server], answer: str) -> None:
        """Start those that do not run yet, all at once."""
        fresh = [each for each in servers if (each.name, answer) not in self._running]
        for server in fresh:
            with self.guarding(server):
                self._running[server.name, answer] = self.start(server, answer)
        for server in fresh:
            with self.guarding(server):
                self.running(server, answer).wait_ready()

    def running(self, server: Server, answer: str) -> Process:
        """The one that was prepared.

        Raises:
            BenchError: it was not, or has ended since.
        """
        try:
            process = self._running[server.name, answer]
        except KeyError:
            raise BenchError("was not started") from None
        process.check_alive()
        return process

    def turns(
        self, servers: Sequence[Server], cases: Sequence[Case], rounds: int
    ) -> Iterator[tuple[Server, Case]]:
        """Whose turn it is with which case: interleaved, in a new order each round.

        A server that has failed in a section gets no more turns in it.
        """
        for number in range(1, rounds + 1):
            for case in self._random.sample(cases, len(cases)):
                for server in self._random.sample(servers, len(servers)):
                    if server.name not in self.section.failed:
                        tell(f"{self.section.name}, {number} of {rounds}: {server.title}")
                        yield server, case

    @contextlib.contextmanager
    def guarding(self, server: Server) -> Iterator[None]:
        """Note that the server failed, should it do so, and go on with the others."""
        try:
            yield
        except BenchError as error:
            self.section.failed.setdefault(server.name, str(self._cause(server, error)))

    def _cause(self, server: Server, error: BenchError) -> BenchError:
        """Its end, if that is what lies behind the error."""
        for (name, _), process in self._running.items():
            if name == server.name:
                try:
                    process.check_alive()
                except BenchError as end:
                    return end
        return error


def tell(words: str) -> None:
    """Show how far we are, on a terminal only; no words clear the line."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)
