"""A mock in a process of its own, for tests that block: those that run no reactor of Twisted's.

Import `mock_process` from `twisted_sock.testing`. The process has a `MockServer`. What it is to
do comes over its standard input: the name of a method and its arguments, as a pickle with its
length before it; each is answered so on its standard output.

The process ends when it is told to, when its input ends, and when whoever started it is gone,
even if another process has inherited the other end of its input.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import IO, Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from twisted_sock.errors import SockError
from twisted_sock.mock_server import MockServer
from twisted_sock.mocking import Given, Mock, script_of
from twisted_sock.script.model import Fault, Report, Script
from twisted_sock.settings import Limits, LinePolicy

#: Seconds that a test waits for the process before it fails.
PATIENCE = 20.0

#: Seconds after which the process looks again whether whoever started it is there.
LOOK = 0.25

#: What the process runs. Modules are found where the test's own are.
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; from twisted_sock.mock_process import main; main()"
)

#: The length before each message.
LENGTH = Struct("!I")


class MockProcess(Mock):
    """A mock that listens from the moment it is made, in a process of its own.

    As a context manager it fails the test at the end of the block, as `MockServer` does, and has
    ended then.

    Args:
        script: a `Script`, a path, or TOML (see `MockServer`).
        endpoint: what to listen on.
        policy: what a line is.
        limits: what peers may cost.
        folder: where scripts are that are named without one; else where the test runs.

    Attributes:
        pid: the number of the process.

    Raises:
        ScriptError: the script cannot be used.
        SettingError: the endpoint cannot be used.
        ListenError: it cannot be listened on.
        SockError: the process said nothing in time, or has ended; also of all methods.
    """

    def __init__(
        self,
        script: Given,
        endpoint: str = "tcp:0",
        *,
        policy: LinePolicy | None = None,
        limits: Limits | None = None,
        folder: str | os.PathLike[str] = "",
    ) -> None:
        __tracebackhide__ = True  # pytest shows the test's own lines
        self._folder = folder
        self._last: Report | None = None
        self._over = ""  # or why it is
        self._one_by_one = threading.Lock()
        read = script_of(script, folder)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, *_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the test, which ends this one then
        )
        self.pid = self._process.pid
        try:
            self.host, self.port = self._ask("begin", read, endpoint, policy, limits)
        except BaseException:
            self._kill()
            raise

    def report(self) -> Report:
        """What it was used for (see `Mock`)."""
        report: Report = self._last or self._ask("report")
        return report

    def reset(self) -> None:
        """Forget what it was used for, and begin sequences and draws anew."""
        self._ask("reset")

    def remove(self, name: str) -> bool:
        """Let a fault happen no more (see `Mock`)."""
        there: bool = self._ask("remove", name)
        return there

    def _play(self, script: Script) -> None:
        self._ask("load", script)

    def _inject(self, fault: Fault) -> None:
        self._ask("inject", fault)

    def stop(self) -> None:
        """End the process, and the conversations that go on."""
        try:
            self._last = self._last or self._ask("stop")
        except SockError as error:  # it has ended already
            self._over = str(error)
        finally:
            self._kill()

    def __enter__(self) -> MockProcess:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        __tracebackhide__ = True
        self.stop()
        self._leave_block(error)

    def _kill(self) -> None:
        """See that it is gone. It has nothing more to do: what it listened on is closed."""
        self._over = self._over or "the mock was stopped"
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent
                pipe.close()  # type: ignore[union-attr]

    def _ask(self, name: str, *arguments: Any) -> Any:
        __tracebackhide__ = True
        if self._over:
            raise SockError(self._over)
        with self._one_by_one:
            try:
                answer = self._exchange(pickle.dumps((name, arguments)))
            except (OSError, EOFError):
                self._over = self._ending()
                raise SockError(self._over) from None
            except BaseException as error:  # an answer that still comes is for no other question
                self._over = str(error) or "the mock's process was not waited for"
                raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _ending(self) -> str:
        """What became of the process, whose pipes are closed or break off."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "the mock's process does not answer any more"
        return f"the mock's process has ended by itself, with {status}"

    def _exchange(self, message: bytes) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(LENGTH.pack(len(message)) + message)
        stdin.flush()
        ready = select.poll()  # which any descriptor will do for
        ready.register(stdout, select.POLLIN)
        if not ready.poll(PATIENCE * 1000):
            raise SockError(f"the mock's process has not answered for {PATIENCE:g} s")
        [size] = LENGTH.unpack(_whole(stdout, LENGTH.size))
        return pickle.loads(_whole(stdout, size))


#: As it reads in a test: `with mock_process("login.toml") as server:`.
mock_process = MockProcess


def _path() -> list[str]:
    """Where the process looks for modules: where the test does, except in the folder it runs in.

    What is there could be mistaken for one. If this package is there, it is still the one found.
    """
    here = str(Path(__file__).parent.parent)
    path = [each for each in sys.path if each]
    return path if here in path else [here, *path]


def _whole(stdout: IO[bytes], size: int) -> bytes:
    """So many bytes.

    Raises:
        EOFError: there are not so many.
    """
    data = stdout.read(size)
    if len(data) < size:
        raise EOFError
    return data


class _Commands(Int32StringReceiver):
    """The process's end: does what it is told until there is nobody to tell it."""

    MAX_LENGTH = 1 << 31

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._server: MockServer
        self._starter = os.getppid()
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def connectionMade(self) -> None:
        self._looking.start(LOOK)

    def stringReceived(self, message: bytes) -> None:
        name, arguments = pickle.loads(message)
        done = maybeDeferred(getattr(self, f"do_{name}"), *arguments)
        done.addErrback(_mistake).addCallback(self._answer)

    def _answer(self, answer: Any) -> None:
        self.sendString(pickle.dumps(answer))  # type: ignore[no-untyped-call]

    def do_begin(
        self, script: Script, endpoint: str, policy: LinePolicy | None, limits: Limits | None
    ) -> tuple[str, int]:
        self._server = MockServer(
            script, endpoint, policy=policy, limits=limits, reactor=self._reactor
        )
        return self._server.host, self._server.port

    def do_report(self) -> Any:
        return self._server.settle().addCallback(lambda _: self._server.report())

    def do_reset(self) -> Any:
        return self._server.settle().addCallback(lambda _: self._server.reset())

    def do_load(self, script: Script) -> None:
        self._server.load(script)

    def do_inject(self, fault: Fault) -> None:
        self._server.inject(fault)

    def do_remove(self, name: str) -> bool:
        return self._server.remove(name)

    def do_stop(self) -> Any:
        return self._server.stop().addCallback(lambda _: self._server.report())

    def _look(self) -> None:
        if os.getppid() != self._starter:
            self.connectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nobody is there any more."""
        stopped = self._server.stop() if hasattr(self, "_server") else maybeDeferred(lambda: None)
        stopped.addBoth(lambda _: self._end())

    def _end(self) -> None:
        with suppress(ReactorNotRunning):
            self._reactor.stop()


def _mistake(failure: Failure) -> Exception:
    """What went wrong, for the test."""
    error = failure.value
    return error if isinstance(error, SockError) else SockError(repr(error))


def main() -> None:
    """Be the process."""
    from twisted.internet import reactor

    StandardIO(_Commands(reactor), reactor=reactor)
    reactor.run()
