"""The commands of `twisted-sock`, and what they have in common: statuses, options, help.

A command is a module with two names, imported only when it is chosen::

    class Options(CommandOptions): ...
    def run(reactor: Any, options: Options) -> Deferred[int]: ...

`run` returns the exit status later, or raises a `SockError`, which is told in one line; a
`CommandError` also says which status goes with it. A command that wants another reactor than the
usual one has `install_reactor(options)` as well. Nothing in here needs a reactor.
"""

from __future__ import annotations

import enum
import getopt
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from twisted_sock.errors import SettingError, SockError
from twisted_sock.settings import Setting

NAME = "twisted-sock"

#: The commands: where each one is, and what it does.
COMMANDS = {
    "connect": (
        "twisted_sock.cli.connect",
        "talk to a line server, at the terminal or from a pipe",
    ),
    "send": ("twisted_sock.cli.send", "send some lines, print the answers, exit"),
    "bench": ("twisted_sock.bench.command", "put a line server under load, and measure it"),
    "check": ("twisted_sock.cli.check", "see whether conversation scripts are right"),
    "verify": ("twisted_sock.cli.verify", "ask a running mock whether all was as expected"),
    "attach": ("twisted_sock.cli.attach", "watch the conversations of a service, and step in"),
    "completion": ("twisted_sock.cli.completion", "print the completion script of a shell"),
}


class Status(enum.IntEnum):
    """How a command ended, as its exit status."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    UNREACHABLE = 3
    LOST = 4
    TIMEOUT = 5
    FAILED = 70
    UNWRITTEN = 74
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


#: What each status means, for the help and the docs.
MEANINGS: dict[Status, str] = {
    Status.DONE: "done",
    Status.UNEXPECTED: "not as expected: an answer, or a script",
    Status.USAGE: "what was given cannot be used: options, arguments or input",
    Status.UNREACHABLE: "cannot connect",
    Status.LOST: "the connection ended before the work did",
    Status.TIMEOUT: "not done in time",
    Status.FAILED: "a mistake of the program itself",
    Status.UNWRITTEN: "the output cannot be written",
    Status.INTERRUPTED: "interrupted (Ctrl-C)",
    Status.BROKEN_PIPE: "nobody reads the output any more",
    Status.TERMINATED: "told to end (SIGTERM)",
}


#: How every command that runs for a while may end, besides its own ways.
OF_ALL = (Status.UNWRITTEN, Status.INTERRUPTED, Status.BROKEN_PIPE, Status.TERMINATED)

#: How a command may end that asks something, and expects an answer.
OF_ASKING = (
    Status.DONE,
    Status.UNEXPECTED,
    Status.USAGE,
    Status.UNREACHABLE,
    Status.LOST,
    Status.TIMEOUT,
    *OF_ALL,
)


class CommandError(SockError):
    """A command cannot go on.

    Args:
        status: the exit status.
        words: why, in one line.
    """

    def __init__(self, status: Status, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class Flag:
    """One option, as the help and the completion of a shell see it.

    Args:
        name: its name, without the dashes.
        meta: what stands for its value; empty: it has none.
        help: what it does.
        choices: the values there are; empty for any.
    """

    name: str
    meta: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """How to write it."""
        return f"--{self.name} {self.meta}".rstrip()


def parameters(*settings: Setting) -> list[list[str | None]]:
    """Some settings as `usage.Options` wants them."""
    return [[each.flag, None, None, each.help] for each in settings]


class CommandOptions(UsageOptions):
    """The command line of one command: options and arguments in any order.

    Settings, and `optFlags` for what is on or off, are tables of the class. An option that takes
    a text is a method `opt_name(self, text)`, and has its place in the help through `texts`.

    Attributes:
        name: what the command is called.
        summary: what it does, in a sentence.
        arguments: its arguments, as the help shows them.
        settings: the options that have a value with a range; `optParameters` is made of them.
        texts: the other options with a value: name, what stands for the value, help.
        examples: command lines that work.
        statuses: the exit statuses that the help tells of.
        closing: what else there is to know.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    arguments: ClassVar[str] = ""
    settings: ClassVar[tuple[Setting, ...]] = ()
    texts: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    examples: ClassVar[str] = ""
    statuses: ClassVar[tuple[Status, ...]] = (Status.DONE, Status.USAGE)
    closing: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def opt_help(self) -> None:
        """Show the help, and exit."""
        say(str(self))
        raise SystemExit(0)

    def opt_version(self) -> None:
        """Show the version, and exit."""
        show_version()
        raise SystemExit(0)

    def parseOptions(self, options: Any = None) -> None:
        """Take the arguments, wherever among them the options are.

        Raises:
            UsageError: there is a mistake among them.
        """
        try:
            given, rest = getopt.gnu_getopt(list(options), self.shortOpt, self.longOpt)
        except getopt.error as error:
            raise UsageError(_plainly(error)) from None
        if any(name == "--help" for name, _ in given):
            given, rest = [("--help", "")], []
        first = [word for name, text in given for word in _as_given(name, text, self.longOpt)]
        super().parseOptions([*first, "--", *rest])  # type: ignore[no-untyped-call]

    def postOptions(self) -> None:
        """Make values of the settings."""
        for setting in self.settings:
            text = self[setting.flag]
            try:
                value = setting.default if text is None else setting.parse(text)
                setting.check(value)
            except SettingError as error:
                _, _, what = str(error).partition(":")
                raise UsageError(f"--{setting.flag}:{what}") from None
            self[setting.flag] = value

    def __str__(self) -> str:
        return self.getUsage()

    def getUsage(self, width: int | None = None) -> str:
        """The help."""
        return "\n".join(self._help(width or shutil.get_terminal_size().columns))

    def _help(self, width: int) -> Iterator[str]:
        yield f"Usage: {NAME} {self.name} {self.arguments}".rstrip()
        yield f"\n{self.summary}"
        yield "\nOptions"
        yield from table(((each.shown, each.help) for each in self.flags()), width)
        if self.examples:
            yield "\nExamples\n" + textwrap.indent(self.examples, "  ")
        yield "\nExit status"
        yield from table(((str(int(each)), MEANINGS[each]) for each in self.statuses), width, 5)
        if self.closing:
            yield "\n" + textwrap.fill(self.closing, min(width, 100))
        yield ""

    def flags(self) -> Iterator[Flag]:
        """Every option, in the order of the help."""
        for name, meta, text in self.texts:
            yield Flag(name, meta, text)
        for setting in self.settings:
            help = f"{setting.help} [{setting.shown}]"
            yield Flag(setting.flag, setting.meta, help, setting.choices)
        for row in getattr(self, "optFlags", ()):
            yield Flag(row[0], "", row[2])
        yield Flag("help", "", "show this")
        yield Flag("version", "", "show the versions")


def whole(text: str) -> int:
    """The number that the text of an option stands for.

    Raises:
        SettingError: it stands for none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise SettingError(f"a whole number, 0 or more, not {text!r}")
    return int(text)


def table(rows: Iterator[tuple[str, str]], width: int, indent: int = 25) -> Iterator[str]:
    """Lines of a help: names at the left, what they mean wrapped at the right."""
    for name, text in rows:
        first, *more = textwrap.wrap(text, max(40, min(width, 100) - indent - 3))
        yield f"  {name:{indent}} {first}"
        yield from (" " * (indent + 3) + line for line in more)


def say(text: str, end: str = "\n") -> None:
    """Write a text to standard output at once, in UTF-8 whatever the locale is.

    Raises:
        BrokenPipeError: nobody reads it.
        CommandError: it cannot be written.
    """
    out = sys.stdout
    if out is None:  # it was closed from the beginning
        return
    try:
        out.flush()
        binary = getattr(out, "buffer", None)
        if binary is None:
            out.write(text + end)
        elif text or end:
            binary.write((text + end).encode(errors="backslashreplace"))
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        words = f"the output cannot be written: {error.strerror}"
        raise CommandError(Status.UNWRITTEN, words) from None


def drop_output() -> None:
    """Let nothing be written any more: Python flushes once more at its end, and would complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def show_version() -> None:
    """Print the versions."""
    say(f"twisted_sock {version('twisted_sock')}, Twisted {version('twisted')}")


def _as_given(name: str, text: str, long_options: list[str]) -> list[str]:
    """An option as `getopt` found it, written as `getopt` will find it again."""
    if name.startswith("--"):
        return [f"{name}={text}"] if f"{name[2:]}=" in long_options else [name]
    return [name, text] if text else [name]


def _plainly(error: getopt.GetoptError) -> str:
    """What `getopt` does not like; a line to send may look like an option."""
    words = str(error)
    if words.endswith("not recognized"):
        return f"{words}; before what begins with a dash and is no option goes a --"
    return words
