"""A mock in the hands of a test, which fails when the script was not played as expected.

`MockServer` in `mock_server` runs in the test's own process, `MockProcess` in `mock_process` in a
process of its own; import them from `twisted_sock.testing`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import FailTest  # an AssertionError that is a failure to trial, too

from twisted_sock.errors import ScriptError, SockError
from twisted_sock.script.model import Fault, Report, Script
from twisted_sock.script.reading import parse, parse_fault, read

#: What a script can be given as.
Given = Script | str | os.PathLike[str]


class NotAsExpected(FailTest):
    """A script was not played as expected."""


class Mock(ABC):
    """A script that is played on a free port, in the hands of a test.

    Attributes:
        host: the address that it listens on; the path of a UNIX socket.
        port: the port that it listens on; 0 for a UNIX socket.
    """

    host: str
    port: int
    _folder: str | os.PathLike[str]

    @property
    def address(self) -> tuple[str, int] | str:
        """What `socket.connect` takes: host and port, or the path of a UNIX socket."""
        return (self.host, self.port) if self.port else self.host

    @abstractmethod
    def report(self) -> Report:
        """What it was used for since it began, or since `reset`; also when it has stopped."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what it was used for, and begin sequences and draws anew."""

    def load(self, script: Given) -> None:
        """Go on with another script; conversations live on.

        Raises:
            ScriptError: it cannot be used; the old one is played on.
        """
        __tracebackhide__ = True  # pytest shows the test's own lines
        self._play(script_of(script, self._folder))

    def inject(self, fault: Fault | None = None, /, **keys: Any) -> None:
        """Let something go wrong from now on, besides the faults of the script.

        Args:
            fault: a fault; or else:
            keys: the keys of a `[[fault]]`: `inject(do="delay", exact="TIME", seconds=0.5)`.
                It is called after what it does unless it has a `name`, and replaces one that was
                injected under the same.

        Raises:
            ScriptError: there is no such fault.
        """
        __tracebackhide__ = True
        self._inject(fault_of(keys) if fault is None else fault)

    @abstractmethod
    def remove(self, name: str) -> bool:
        """Let a fault happen no more, injected or not; returns whether there was one."""

    def check(self) -> None:
        """See that the script was played as expected.

        Raises:
            AssertionError: it was not; says in which way.
        """
        __tracebackhide__ = True
        missed = self.missed()
        if missed:
            raise NotAsExpected(missed)

    def missed(self) -> str:
        """What is not as the script expects, a line for each; empty when all is well."""
        missed = self.report().missed
        return "\n".join(["not as the script expects:", *missed]) if missed else ""

    def explain(self, error: BaseException) -> None:
        """Add to what has failed otherwise what is not as the script expects.

        That may be why it has failed; but the test may as well have got no further.
        """
        try:
            missed = self.missed()
        except SockError as own:
            missed = str(own)
        if missed and missed not in str(error):
            error.add_note(f"{self}: {missed}")

    def __str__(self) -> str:
        where = f"{self.host}:{self.port}" if self.port else self.host
        return f"the mock at {where}"

    @abstractmethod
    def _play(self, script: Script) -> None:
        """Go on with another script."""

    @abstractmethod
    def _inject(self, fault: Fault) -> None:
        """Let a fault happen."""

    def _leave_block(self, error: BaseException | None) -> None:
        """The test's block is over."""
        __tracebackhide__ = True
        if error is None:
            self.check()
        elif isinstance(error, Exception):
            self.explain(error)


def all_missed(mocks: Sequence[Mock]) -> str:
    """What is not as the scripts of several mocks expect; tells which is which."""
    if len(mocks) == 1:
        return mocks[0].missed()
    return "\n".join(f"{mock}: {missed}" for mock in mocks if (missed := mock.missed()))


def script_of(script: Given, folder: str | os.PathLike[str] = "") -> Script:
    """The script that is meant: itself, TOML, or a path (see `MockServer`).

    Raises:
        ScriptError: it cannot be used.
    """
    __tracebackhide__ = True
    try:
        return script if isinstance(script, Script) else _read(script, folder)
    except ScriptError as error:
        raise error.with_traceback(None) from None  # how it was read is of no use to a test


def fault_of(keys: Mapping[str, Any]) -> Fault:
    """The fault that some keys of a `[[fault]]` stand for.

    Raises:
        ScriptError: there is no such fault.
    """
    __tracebackhide__ = True
    try:
        return parse_fault(keys, "inject")
    except ScriptError as error:
        raise error.with_traceback(None) from None


def _read(script: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Script:
    if isinstance(script, str) and ("\n" in script or "=" in script):
        return parse(script, "script")
    beside = Path(folder, script)
    return read(os.path.relpath(beside) if folder and beside.exists() else os.fspath(script))
