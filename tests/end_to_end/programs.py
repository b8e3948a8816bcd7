"""Real programs for the tests: started in a folder of their own, bounded in time, always reaped.

What a program prints is read by a thread as it comes, so that it never has to wait, and a test
can wait for the words it expects instead of sleeping.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

from tests.test_docs import ROOT

#: Seconds that a test waits for anything before it fails.
PATIENCE = 20.0

#: Seconds that a busy machine may add to a time that was promised.
SLACK = 5.0

HOST = "127.0.0.1"

#: What must never be in a server's log, unless a test says that its plug raises.
UNEXPECTED = re.compile(r"Traceback|Unhandled|Unable to format|Temporarily disabling")


def require(program: str) -> str:
    """The path of a program; skips the test where it is missing, but fails under CI."""
    path = shutil.which(program)
    if path is None:
        do_without(program)
    return path


def require_module(module: str) -> None:
    """Skips the test where a module is missing, but fails under CI."""
    if find_spec(module) is None:
        do_without(module)


def do_without(missing: str) -> NoReturn:
    """Skip the test, or under CI fail it, because something is not installed."""
    end = pytest.fail if os.environ.get("CI") else pytest.skip
    end(f"{missing} is not installed")


def python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python to its end, where it finds this tree."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


def script(name: str) -> list[str]:
    """The command of a script that is installed beside this Python."""
    return [sys.executable, str(Path(sys.executable).with_name(name))]


class Output:
    """What comes out of a descriptor, kept as it comes.

    Args:
        fd: the descriptor; closed at its end.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._bytes = bytearray()
        self._seen = 0
        self._over = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        data = b"..."
        while data:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # so ends a terminal
                data = b""
            with self._news:
                self._bytes += data
                self._over = not data
                self._news.notify_all()
        os.close(self._fd)

    @property
    def text(self) -> str:
        """All that has come."""
        return self._bytes.decode(errors="backslashreplace")

    def expect(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """Wait for a pattern in what comes after the last one that was waited for."""
        compiled = re.compile(pattern)
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                found = compiled.search(self.text, self._seen)
                if found:
                    self._seen = found.end()
                    return found
                left = deadline - time.monotonic()
                if self._over or left <= 0:
                    why = "ended" if self._over else f"said nothing for {seconds:g} s"
                    raise AssertionError(f"no {pattern!r}: {why}\n{self.text[-3000:]!a}")
                self._news.wait(left)

    def whole(self) -> str:
        """All of it, once it has ended."""
        self._thread.join(PATIENCE)
        assert self._over, "the output has not ended"
        return self.text


def _heed_signals() -> None:
    """What the tests ignore in the background, or under nohup, would be inherited."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


class Program:
    """A running program.

    Args:
        command: what to run.
        folder: where.
        stdin: where its input comes from: nowhere, unless a descriptor is given.
        terminal: a terminal for its input, output and errors.
        env: what is different in its environment.
    """

    def __init__(
        self,
        command: list[str],
        folder: Path,
        *,
        stdin: int = subprocess.DEVNULL,
        terminal: Terminal | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        streams: dict[str, int] = {}
        if terminal is None:
            streams = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        else:
            given = terminal.fd if stdin == subprocess.DEVNULL else stdin
            streams = {"stdin": given, "stdout": terminal.fd, "stderr": terminal.fd}
        self._process = subprocess.Popen(  # bytes, unbuffered
            command,
            cwd=folder,
            env=os.environ | (env or {}),
            bufsize=0,
            preexec_fn=_heed_signals,  # noqa: PLW1509
            **streams,
        )
        self.pid = self._process.pid
        if terminal is None:
            self.out, self.err = self._output("stdout"), self._output("stderr")
        else:
            self.out = self.err = terminal.screen

    def _output(self, name: str) -> Output:
        stream = getattr(self._process, name)
        fd = os.dup(stream.fileno())
        stream.close()
        return Output(fd)

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; returns its exit status."""
        return self._process.wait(seconds)

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def stop(self, seconds: float = PATIENCE) -> int:
        """Ask it to end, and wait for that; returns its exit status."""
        self.tell(signal.SIGTERM)
        return self.wait(seconds)

    def reap(self) -> None:
        """See that it is gone, whatever it does."""
        if self.running():
            self.tell(signal.SIGKILL)
        self.wait()


class Server(Program):
    """A `twistd -n sockservice`, or the like, that listens.

    Attributes:
        port: the TCP port that it listens on; the first, if there are several.
        raises: whether it may log tracebacks, because its plug raises.
    """

    port: int
    raises = False

    def wait_until_it_listens(self) -> None:
        """Learn the port from the log."""
        self.port = int(self.out.expect(r"listens on IPv[46]Address\(.*port=(\d+)\)")[1])

    def reap(self) -> None:
        """See that it is gone, and that nothing went wrong in it."""
        super().reap()
        if not self.raises:
            found = UNEXPECTED.search(self.out.text + self.err.text)
            assert not found, f"{found}\n{self.out.text[-3000:]}\n{self.err.text[-3000:]}"


class Terminal:
    """A pseudo-terminal: what a person sees, and where a person types.

    Attributes:
        fd: the side that a program takes for its terminal.
        screen: what it shows.
    """

    def __init__(self) -> None:
        self._person, self.fd = os.openpty()
        self.screen = Output(os.dup(self._person))

    def type(self, text: str) -> None:
        """Type some keys."""
        os.write(self._person, text.encode())

    def close(self) -> None:
        """Take it away."""
        os.close(self.fd)
        os.close(self._person)
        self.screen.whole()


class Client:
    """A bare-sockets client."""

    def __init__(self, port: int | str) -> None:
        """Connect to a TCP port of this machine, or to a UNIX socket."""
        if isinstance(port, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(port if isinstance(port, str) else (HOST, port))
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, data: bytes) -> None:
        """Send it all."""
        self.socket.sendall(data)

    def read(self, most: int = 1024) -> bytes:
        """What one read gives."""
        return self.socket.recv(most)

    def line(self) -> bytes:
        """Read one line."""
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = self.socket.recv(1)
            assert byte, f"the connection ended after {bytes(line)!r}"
            line += byte
        return bytes(line)

    def ask(self, data: bytes) -> bytes:
        """Send a line, read a line."""
        self.say(data)
        return self.line()

    def end(self) -> None:
        """Say that nothing more comes."""
        self.socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """Read to the end."""
        data = bytearray()
        while piece := self.socket.recv(1 << 20):
            data += piece
        return bytes(data)

    def reset(self) -> bool:
        """Read to the end; returns whether that was a reset."""
        try:
            self.rest()
        except ConnectionResetError:
            return True
        return False


def ask(port: int | str, data: bytes) -> bytes:
    """Send some bytes and an end, whatever comes meanwhile; returns all that is answered."""
    with Client(port) as client, meanwhile(lambda: (client.say(data), client.end())):
        return client.rest()


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something in a thread; a failure there shows in what is done here."""

    def run() -> None:
        with suppress(OSError):
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
    assert not thread.is_alive()


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([fd], [], [], PATIENCE)
    finally:
        os.close(fd)
    assert ended, f"process {pid} goes on"


def memory(pid: int, what: str = "VmRSS") -> int:
    """Resident memory of a process in bytes; with VmHWM its peak."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("there is no /proc to read memory from")
    found = re.search(rf"{what}:\s+(\d+) kB", status.read_text())
    assert found
    return int(found[1]) * 1024


class Growth:
    """How much a process's memory grows, at its peak, from now on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = memory(pid)
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is now what is in use

    @property
    def bytes(self) -> int:
        """The growth so far."""
        return memory(self._pid, "VmHWM") - self._before
