"""`twisted-sock check`: see whether conversation scripts are right, without playing them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.usage import UsageError

from twisted_sock.cli.command import CommandOptions, Status, say
from twisted_sock.display import one_line
from twisted_sock.errors import ScriptError
from twisted_sock.script.doubts import doubts, states
from twisted_sock.script.model import Script
from twisted_sock.script.reading import LARGEST, decode, examine, load
from twisted_sock.script.schema import schema

#: What messages call the script that comes from standard input.
INPUT = "<stdin>"


class Options(CommandOptions):
    """The command line of `twisted-sock check`.

    Attributes:
        files: what to check.
    """

    name = "check"
    arguments = "[OPTION]... FILE..."
    summary = (
        "Sees whether conversation scripts are right, without playing them. Every mistake is one\n"
        "line on stderr, with its file, its line and its key. FILE - is standard input."
    )
    optFlags = (
        ("quiet", None, "say nothing of what is good, and nothing of what is only doubtful"),
        ("schema", None, "print the JSON schema of scripts, for editors, and check nothing"),
    )
    examples = (
        "twisted-sock check login.toml\n"
        "twisted-sock check --quiet tests/*.toml\n"
        "twisted-sock check --schema > script.schema.json"
    )
    statuses = (Status.DONE, Status.UNEXPECTED, Status.USAGE, Status.UNWRITTEN)
    closing = "What is doubtful, as a rule that can never count, is told, but is no mistake."

    def __init__(self) -> None:
        super().__init__()
        self.files: tuple[str, ...] = ()

    def parseArgs(self, *files: str) -> None:
        """What to check."""
        if not files and not self["schema"]:
            raise UsageError("there is no FILE to check")
        self.files = files


def run(reactor: Any, options: Options) -> Deferred[int]:
    """Check everything, and tell.

    Returns:
        Fires with the exit status.
    """
    if options["schema"]:
        say(json.dumps(schema(), indent=2, ensure_ascii=False))
        return succeed(int(Status.DONE))
    right = [_check(path, bool(options["quiet"])) for path in options.files]
    return succeed(int(Status.DONE if all(right) else Status.UNEXPECTED))


def _check(path: str, quiet: bool) -> bool:
    """Check one file; returns whether it is right."""
    name = INPUT if path == "-" else path
    try:
        examined = examine(_text(path), name)
    except ScriptError as error:
        _complain(str(error))
        return False
    for mistake in examined.mistakes:
        _complain(mistake)
    if examined.mistakes or quiet:
        return not examined.mistakes
    for line, words in doubts(examined.script):
        _complain(f"{name}:{line}: warning: {words}")
    say(one_line(f"{name}: good: {_counted(examined.script)}"))
    return True


def _text(path: str) -> str:
    if path != "-":
        return load(path)
    if sys.stdin is None:  # it was closed from the beginning
        return ""
    return decode(sys.stdin.buffer.read(LARGEST + 1), INPUT)


def _complain(words: str) -> None:
    print(one_line(words), file=sys.stderr)


def _counted(script: Script) -> str:
    """How much there is in a script."""
    return ", ".join(_plural(script))


def _plural(script: Script) -> Iterator[str]:
    for count, one in (
        (len(script.rules), "rule"),
        (len(script.faults), "fault"),
        (len(states(script)), "state"),
    ):
        yield f"{count} {one}" if count == 1 else f"{count} {one}s"
