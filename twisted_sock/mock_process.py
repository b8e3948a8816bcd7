"""A mock in a process of its own, for tests that block: those that run no reactor of Twisted's.

Import `mock_process` from `twisted_sock.testing`. The process is told what to do by lines on its
standard input, each one word or a JSON object, and answers each by a line of JSON.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from twisted_sock.errors import ScriptError, SockError
from twisted_sock.mocking import MockServer, check
from twisted_sock.script.model import Firing, Report, Script, Unmatched
from twisted_sock.script.writing import text as text_of

#: Seconds that a test waits for the process before it fails.
PATIENCE = 20.0


class MockProcess:
    """A mock that listens from the moment it is made, in a process of its own.

    As a context manager it fails the test at the end of the block, as `MockServer` does, and has
    ended then.

    Args:
        script: a `Script`, a path, or TOML (see `MockServer`).
        endpoint: what to listen on.

    Attributes:
        host: the address that it listens on; the path of a UNIX socket.
        port: the port that it listens on; 0 for a UNIX socket.

    Raises:
        ScriptError: the script cannot be used.
        SockError: the endpoint cannot be used, or the process said nothing in time.
    """

    def __init__(self, script: Script | str | os.PathLike[str], endpoint: str = "tcp:0") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        try:
            meant = text_of(script) if isinstance(script, Script) else os.fspath(script)
            listens = self._ask(json.dumps({"script": meant, "endpoint": endpoint}))
        except BaseException:
            self.stop()
            raise
        self.host: str = listens["host"]
        self.port: int = listens["port"]

    def report(self) -> Report:
        """What it was used for since it began, or since `reset`."""
        report = Report(**self._ask("report"))
        report.unmatched = [Unmatched(**each) for each in report.unmatched]  # type: ignore[arg-type]
        report.firings = [Firing(**each) for each in report.firings]  # type: ignore[arg-type]
        return report

    def reset(self) -> None:
        """Forget what it was used for, and begin sequences and draws anew."""
        self._ask("reset")

    def check(self) -> None:
        """See that the script was played as expected.

        Raises:
            AssertionError: it was not; says in which way.
        """
        check(self.report())

    def stop(self) -> None:
        """End the process, and the conversations that go on."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> MockProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.check()
        finally:
            self.stop()

    def _ask(self, line: str) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line.encode() + b"\n")
        ready, _, _ = select.select([stdout], [], [], PATIENCE)
        answer = stdout.readline() if ready else b""
        if not answer:
            raise SockError("the mock's process does not answer")
        answered = json.loads(answer)
        if "wrong" in answered:
            kind = ScriptError if answered["script"] else SockError
            raise kind(answered["wrong"])
        return answered


#: As it reads in a test: `with mock_process("login.toml") as server:`.
mock_process = MockProcess


class _Commands(LineOnlyReceiver):
    """The process's end: does what it is told until there is nobody to tell it."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 26

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._server: MockServer | None = None

    def lineReceived(self, line: bytes) -> None:
        if self._server is None:
            answer = self._begin(**json.loads(line))
        elif line == b"report":
            answer = asdict(self._server.report())
        else:
            self._server.reset()
            answer = {}
        self._answer(answer)

    def _answer(self, answer: dict[str, Any]) -> None:
        assert self.transport is not None
        self.transport.write(json.dumps(answer).encode() + b"\n")

    def _begin(self, script: str, endpoint: str) -> dict[str, Any]:
        try:
            self._server = server = MockServer(script, endpoint, reactor=self._reactor)
        except SockError as error:
            return {"wrong": str(error), "script": isinstance(error, ScriptError)}
        return {"host": server.host, "port": server.port}

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._server is None:
            self._reactor.stop()
        else:
            self._server.stop().addBoth(lambda _: self._reactor.stop())


def main() -> None:
    """Be the process."""
    from twisted.internet import reactor

    StandardIO(_Commands(reactor), reactor=reactor)
    reactor.run()


if __name__ == "__main__":
    main()
