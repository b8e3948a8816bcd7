"""The command `twisted-sock`: a table of commands, and what runs one of them.

Only the module of the chosen command is imported, and the reactor only once its options are
right. What goes wrong is one line on stderr and an exit status of its own, see `command.Status`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from importlib import import_module
from types import FrameType
from typing import Any

from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from twisted_sock.cli.command import (
    COMMANDS,
    MEANINGS,
    NAME,
    CommandError,
    Status,
    drop_output,
    say,
    show_version,
    table,
)
from twisted_sock.display import one_line
from twisted_sock.errors import SockError

#: Seconds that a command may take to tidy up once it was interrupted.
TIDYING = 2.0

SIGNALS = {signal.SIGINT: Status.INTERRUPTED, signal.SIGTERM: Status.TERMINATED}


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; those of the process when left out.

    Returns:
        The exit status.
    """
    _open_missing()
    try:
        status = _main(sys.argv[1:] if argv is None else argv)
        say("", end="")
    except BrokenPipeError:
        drop_output()
        return Status.BROKEN_PIPE
    except CommandError as error:
        return complain(NAME, str(error), error.status)
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    return status


def _open_missing() -> None:
    """See that standard input, output and error are what they are taken for."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this


def _main(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h", "help"):
        say("\n".join(_help()))
    elif name == "--version":
        show_version()
    elif name in COMMANDS:
        return _command(name, rest)
    else:
        kind = "option" if name.startswith("-") else "command"
        return complain(NAME, f"there is no {kind} {name}; see --help", Status.USAGE)
    return Status.DONE


def _command(name: str, arguments: list[str]) -> int:
    """Run one command."""
    module: Any = import_module(COMMANDS[name][0])
    full = f"{NAME} {name}"
    try:
        options = module.Options()
        options.parseOptions(arguments)
        install = getattr(module, "install_reactor", None)
        if install is not None:
            install(options)
        return Running(module, options, full).until_done()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    except UsageError as error:
        return complain(full, f"{error}; see --help", Status.USAGE)
    except SockError as error:
        return complain(full, str(error), getattr(error, "status", Status.USAGE))


def complain(who: str, words: str, status: int) -> int:
    """Say on stderr what is wrong, in one line; returns the exit status that goes with it."""
    print(f"{who}: {one_line(words)}", file=sys.stderr)
    return status


def _help() -> Iterator[str]:
    yield f"Usage: {NAME} COMMAND [OPTION]... [ARGUMENT]..."
    yield "\nTalks to line servers: those of twisted_sock, and all others.\n\nCommands"
    rows = [(name, summary) for name, (_, summary) in COMMANDS.items()]
    yield from table(iter(rows), 100, 12)
    yield f"\n  {NAME} COMMAND --help tells all about one; {NAME} --version the versions."
    yield "\nExit status"
    yield from table(((str(int(each)), words) for each, words in MEANINGS.items()), 100, 5)
    yield ""


class Running:
    """A command at work, with the reactor for as long.

    Args:
        module: the command's.
        options: its options.
        name: what it is called in messages.
    """

    def __init__(self, module: Any, options: Any, name: str) -> None:
        from twisted.internet import reactor

        self._reactor: Any = reactor
        self._module = module
        self._options = options
        self._name = name
        self._work: Any = None
        self._signal: int | None = None
        self._result: Any = None

    def until_done(self) -> int:
        """Run the reactor until the command is done.

        Returns:
            The exit status.

        Raises:
            SockError: the command did.
        """
        self._reactor.callLater(0, self._start)  # when a loop of asyncio's runs, too
        self._reactor.run(installSignalHandlers=True)
        return self._status()

    def _start(self) -> None:
        from twisted.internet.defer import maybeDeferred

        for number in SIGNALS:  # the reactor has set its own by now
            signal.signal(number, self._signalled)
        self._work = maybeDeferred(self._module.run, self._reactor, self._options)
        self._work.addBoth(self._done)

    def _done(self, result: Any) -> None:
        self._result = result
        if self._reactor.running:
            self._reactor.stop()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._interrupt, number)

    def _interrupt(self, number: int) -> None:
        """End in good order; at once when asked again, or when that takes too long."""
        again = self._signal is not None
        self._signal = number
        if again or self._work is None:
            self._reactor.stop()
        else:
            self._reactor.callLater(TIDYING, self._reactor.stop)
            self._work.cancel()

    def _status(self) -> int:
        if self._signal is not None:
            if isinstance(self._result, Failure) and self._result.check(CommandError):
                complain(self._name, str(self._result.value), 0)
            return SIGNALS[signal.Signals(self._signal)]
        if not isinstance(self._result, Failure):
            return int(self._result)
        error = self._result.value
        if isinstance(error, SockError | BrokenPipeError | KeyboardInterrupt):
            raise error
        self._result.printTraceback(file=sys.stderr)
        return complain(self._name, f"failed: {error!r}", Status.FAILED)
