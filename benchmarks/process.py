"""Starting a server on a core of its own, waiting until it answers, and reaping it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import IO, NoReturn

from benchmarks.errors import BenchError

HOST = "127.0.0.1"
START_TIMEOUT = 20.0
STOP_TIMEOUT = 3.0


@dataclass(frozen=True)
class Cores:
    """The core of the servers, and that of the load; the same one where there is only one."""

    server: int
    load: int

    @classmethod
    def choose(cls) -> Cores:
        """Two of those that this process may run on."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(server=allowed[-1], load=allowed[0])

    def pin_load(self) -> None:
        """Keep this process, and the clients it will start, on the core of the load."""
        os.sched_setaffinity(0, {self.load})


class Process:
    """A server that was started.

    Args:
        command: how; it listens on `port`.
        port: a free port of HOST.
        core: where all its threads run.
        env: what to add to the environment.
    """

    def __init__(
        self, command: Sequence[str], port: int, core: int, env: Mapping[str, str] | None = None
    ) -> None:
        self.port = port
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by stop)
        with on_core(core):
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )
        self.pid = self._popen.pid

    def wait_ready(self) -> None:
        """Wait until it takes a connection.

        Raises:
            BenchError: it ended, or did not do so in time.
        """
        give_up = time.monotonic() + START_TIMEOUT
        while time.monotonic() < give_up:
            self.check_alive()
            with contextlib.suppress(OSError):
                socket.create_connection((HOST, self.port), timeout=1).close()
                return
            time.sleep(0.02)
        raise BenchError(f"did not listen within {START_TIMEOUT:g} s: {self.last_words()}")

    def check_alive(self) -> None:
        """See that it runs.

        Raises:
            BenchError: it does not.
        """
        status = self._popen.poll()
        if status is not None:
            raise BenchError(f"ended with status {status}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of its output."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "said nothing")

    def ask_to_stop(self) -> None:
        """Send it SIGTERM, and do not wait."""
        self._popen.terminate()

    def stop(self) -> None:
        """End it and reap it: asked nicely, then not. Does nothing the second time."""
        if self._said.closed:
            return
        self.ask_to_stop()
        try:
            self._popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._said.close()


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run on a core for a moment; what is started meanwhile stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port of HOST that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def end_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that what was started is reaped."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until something is done that must not be left halfway."""
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {each: signal.signal(each, hold) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
