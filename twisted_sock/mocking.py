"""A mock on a free port for one test, which fails when the script was not played as expected.

Import it from `twisted_sock.testing`.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.trial.unittest import FailTest  # an AssertionError that is a failure to trial, too

from twisted_sock.errors import ListenError
from twisted_sock.listeners import server_endpoint
from twisted_sock.script.model import Fault, Report, Script
from twisted_sock.script.playing import Playing
from twisted_sock.script.reading import parse, read
from twisted_sock.server import LineFactory
from twisted_sock.settings import Limits, LinePolicy


class MockServer:
    """A mock that listens from the moment it is made.

    As a context manager it fails the test at the end of the block: when the script's rules were
    hit too often or too seldom, or lines were said that no rule is for. `with` begins to stop the
    server there, and is over before it has stopped; `async with` waits for it.

    Args:
        script: a `Script`, a path, or TOML: a text with a newline or an equals sign in it.
        endpoint: what to listen on; `ws:0`, `unix:PATH`, `udp:0`: all that `--endpoint` takes.
        policy: what a line is.
        limits: what peers may cost.
        reactor: the global reactor when left out.

    Attributes:
        playing: the script at work.
        host: the address that it listens on; the path of a UNIX socket.
        port: the port that it listens on; 0 for a UNIX socket.

    Raises:
        ScriptError: the script cannot be used.
        SettingError: the endpoint cannot be used.
        ListenError: it cannot be listened on.
    """

    def __init__(
        self,
        script: Script | str | os.PathLike[str],
        endpoint: str = "tcp:0",
        *,
        policy: LinePolicy | None = None,
        limits: Limits | None = None,
        reactor: Any = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.playing = Playing(script_of(script), reactor=reactor)
        self._factory = LineFactory(
            self.playing, policy=policy, limits=limits, reactor=IReactorTime(reactor)
        )
        self._listening = _listen(endpoint, self._factory, reactor)
        address = self._listening.getHost()
        self.host: str = getattr(address, "host", "") or _path(address)
        self.port: int = getattr(address, "port", 0)
        self._stopped: Deferred[None] | None = None

    def report(self) -> Report:
        """What it was used for since it began, or since `reset`."""
        return self.playing.report()

    def reset(self) -> None:
        """Forget what it was used for, and begin sequences and draws anew."""
        self.playing.reset()

    def load(self, script: Script | str | os.PathLike[str]) -> None:
        """Go on with another script; conversations live on.

        Raises:
            ScriptError: it cannot be used; the old one is played on.
        """
        self.playing.play(script_of(script))

    def inject(self, fault: Fault) -> None:
        """Let a fault happen from now on."""
        self.playing.inject(fault)

    def check(self) -> None:
        """See that the script was played as expected.

        Raises:
            AssertionError: it was not; says in which way.
        """
        check(self.report())

    def stop(self) -> Deferred[None]:
        """Stop listening, and drop the conversations that go on.

        Returns:
            Fires with None when that is done.
        """
        if self._stopped is None:
            stopped = maybeDeferred(self._listening.stopListening)
            drained = self._factory.drain()
            self.playing.hang_up()
            self._factory.openings.abort()
            self._stopped = gatherResults([stopped, drained]).addCallback(lambda _: None)
        done: Deferred[None] = Deferred()
        self._stopped.addBoth(_pass_on, done)
        return done

    def __enter__(self) -> MockServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is None:
            self.check()

    async def __aenter__(self) -> MockServer:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.stop()
        if kind is None:
            self.check()


#: As it reads in a test: `with mock_server("login.toml") as server:`.
mock_server = MockServer


def check(report: Report) -> None:
    """See that a script was played as expected.

    Raises:
        AssertionError: it was not; says in which way.
    """
    if report.missed:
        raise FailTest("\n".join(["not as the script expects:", *report.missed]))


def script_of(script: Script | str | os.PathLike[str]) -> Script:
    """The script that is meant: itself, TOML, or a path (see `MockServer`).

    Raises:
        ScriptError: it cannot be used.
    """
    if isinstance(script, Script):
        return script
    if isinstance(script, str) and ("\n" in script or "=" in script):
        return parse(script, "script")
    return read(os.fspath(script))


def _listen(endpoint: str, factory: LineFactory, reactor: Any) -> Any:
    """The port that is listened on from now on.

    Raises:
        SettingError, ListenError: it is not.
    """
    listening: list[Any] = []
    made = server_endpoint(endpoint, reactor)
    maybeDeferred(made.listen, factory).addBoth(listening.append)
    if isinstance(listening[0], Failure):
        raise ListenError(f"cannot listen on {endpoint}: {listening[0].value}")
    return listening[0]


def _path(address: Any) -> str:
    return os.fsdecode(getattr(address, "name", b""))


def _pass_on(result: Any, done: Deferred[None]) -> Any:
    done.callback(result)
    return result
