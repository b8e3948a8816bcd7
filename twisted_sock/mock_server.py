"""A mock on a free port for one test, in the reactor of that test.

Import `mock_server` from `twisted_sock.testing`.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from twisted_sock.errors import ListenError
from twisted_sock.listeners import server_endpoint
from twisted_sock.mocking import Given, Mock, script_of
from twisted_sock.script.model import Fault, Report, Script
from twisted_sock.script.playing import Playing
from twisted_sock.server import LineFactory
from twisted_sock.settings import Datagrams, Limits, LinePolicy

#: Turns of the reactor, at least, in which what is on its way comes in: a connection, then what
#: it says.
TURNS = 4

#: Seconds between them: a busy system may be late with what has been sent.
TURN = 0.005

#: Seconds after which no more is let in: some clients talk on and on.
SETTLING = 5.0

#: A mock serves its own test, and may say more over UDP than it was asked with.
DATAGRAMS = Datagrams(udp_answers="any")


class MockServer(Mock):
    """A mock that listens from the moment it is made, in the process of the test.

    As a context manager it fails the test at the end of the block: when the script's rules were
    hit too often or too seldom, or lines were said that no rule is for. A test that has failed
    otherwise fails as it would, and is told of that besides. `with` begins to stop the server
    there, and is over before it has stopped; `async with` waits for it, and for what was said to
    it before.

    Args:
        script: a `Script`, a path, or TOML: a text with a newline or an equals sign in it.
        endpoint: what to listen on; `ws:0`, `unix:PATH`, `udp:0`: all that `--endpoint` takes.
        policy: what a line is.
        limits: what peers may cost.
        folder: where scripts are that are named without one; else where the test runs.
        reactor: the global reactor when left out.

    Attributes:
        playing: the script at work.

    Raises:
        ScriptError: the script cannot be used.
        SettingError: the endpoint cannot be used.
        ListenError: it cannot be listened on.
    """

    def __init__(
        self,
        script: Given,
        endpoint: str = "tcp:0",
        *,
        policy: LinePolicy | None = None,
        limits: Limits | None = None,
        folder: str | os.PathLike[str] = "",
        reactor: Any = None,
    ) -> None:
        __tracebackhide__ = True
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._folder = folder
        self.playing = Playing(script_of(script, folder), reactor=reactor)
        self._factory = LineFactory(
            self.playing, policy=policy, limits=limits, reactor=IReactorTime(reactor)
        )
        self._listening = _listen(endpoint, self._factory, reactor)
        self.host, self.port = _place(self._listening.getHost())
        self._stopped: Deferred[None] | None = None

    def report(self) -> Report:
        """What it was used for (see `Mock`)."""
        return self.playing.report()

    def reset(self) -> None:
        """Forget what it was used for, and begin sequences and draws anew."""
        self.playing.reset()

    def remove(self, name: str) -> bool:
        """Let a fault happen no more (see `Mock`)."""
        return self.playing.remove(name)

    def _play(self, script: Script) -> None:
        self.playing.play(script)

    def _inject(self, fault: Fault) -> None:
        self.playing.inject(fault)

    def settle(self) -> Deferred[None]:
        """Let what was said to it before come in, also by clients that have gone since.

        Returns:
            Fires with None a few turns of the reactor later, when nothing came in the last one;
            or after 5 seconds.
        """
        return Deferred.fromCoroutine(self._settle())

    async def _settle(self) -> None:
        until = self._reactor.seconds() + SETTLING
        turns, more = 0, True
        while turns < TURNS or (more and self._reactor.seconds() < until):
            before = self._let_in()
            await deferLater(self._reactor, TURN)
            more = self._let_in() != before
            turns += 1

    def _let_in(self) -> tuple[int, ...]:
        """How much has come in; which changes with whatever does."""
        counters = self._factory.counters
        return counters.opened, len(self._factory.openings), counters.bytes_in, counters.lines_in

    def stop(self) -> Deferred[None]:
        """Stop listening, and drop the conversations that go on.

        Returns:
            Fires with None when that is done.
        """
        if self._stopped is None:
            self._stopped = self.settle().addCallback(self._leave)
        done: Deferred[None] = Deferred()
        self._stopped.addBoth(_pass_on, done)
        return done

    def _leave(self, _: object) -> Deferred[None]:
        stopped = maybeDeferred(self._listening.stopListening)
        drained = self._factory.drain()
        self.playing.hang_up()
        self._factory.openings.abort()
        return gatherResults([stopped, drained]).addCallback(lambda _: None)

    def __enter__(self) -> MockServer:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        __tracebackhide__ = True
        self.stop()
        self._leave_block(error)

    async def __aenter__(self) -> MockServer:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, _: object) -> None:
        __tracebackhide__ = True
        await self.stop()
        self._leave_block(error)


#: As it reads in a test: `with mock_server("login.toml") as server:`.
mock_server = MockServer


def _listen(endpoint: str, factory: LineFactory, reactor: Any) -> Any:
    """The port that is listened on from now on.

    Raises:
        SettingError, ListenError: it is not.
    """
    listening: list[Any] = []
    made = server_endpoint(endpoint, reactor, datagrams=DATAGRAMS)
    maybeDeferred(made.listen, factory).addBoth(listening.append)
    if isinstance(listening[0], Failure):
        raise ListenError(f"cannot listen on {endpoint}: {listening[0].value}")
    return listening[0]


def _place(address: Any) -> tuple[str, int]:
    """Host and port of an address, or the path of a UNIX socket and 0."""
    host = getattr(address, "host", "") or os.fsdecode(getattr(address, "name", b""))
    return host, getattr(address, "port", 0)


def _pass_on(result: Any, done: Deferred[None]) -> Any:
    done.callback(result)
    return result
