"""`twisted-sock connect`: talk to a line server, at the terminal or from a pipe."""

from __future__ import annotations

import os
import sys
import textwrap
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.usage import UsageError

from twisted_sock.cli.command import OF_ALL, Status, parameters
from twisted_sock.cli.talking import (
    DELIMITER,
    FRAMING,
    LINGER,
    TalkOptions,
    endpoint,
    line_to_send,
)
from twisted_sock.endpoints import CONNECTING, FORMS
from twisted_sock.settings import Setting

if TYPE_CHECKING:
    from twisted_sock.cli.terminal import Screen

MAX_LINE = Setting("max_line", 65536, "longest line of a pipe; 0 = no limit", "bytes", ())
RECONNECT = Setting(
    "reconnect",
    "auto",
    "connect again when the connection ends; auto: at a terminal, once there was a connection",
    "",
    ("auto", "yes", "no"),
)
TIMEOUT = Setting(
    "timeout",
    0.0,
    "give up when connecting takes so long, or nothing comes for so long after the end of the "
    f"input; 0 = {CONNECTING:g} and no limit",
    "seconds",
    (),
)


class Options(TalkOptions):
    """The command line of `twisted-sock connect`."""

    name = "connect"
    arguments = "[OPTION]... ENDPOINT"
    summary = (
        "Talks to a line server. At a terminal: a line editor with history, and what comes is\n"
        "shown with the time and made safe to show. From a pipe or file: sends all, prints all\n"
        "that comes, exactly, and ends when the peer has finished.\n\n"
        + textwrap.fill(f"ENDPOINT is {FORMS}.", 90)
    )
    texts = (("first", "LINE", "send this first, whenever connected; may be repeated"),)
    settings = (FRAMING, DELIMITER, MAX_LINE, RECONNECT, TIMEOUT, LINGER)
    optParameters = parameters(*settings)
    optFlags = (
        ("hex", None, "show the bytes that come, in hexadecimal"),
        ("no-history", None, "neither read nor write the history of the line editor"),
    )
    examples = (
        "twisted-sock connect localhost:1234\n"
        "twisted-sock connect unix:/run/shout.sock < questions.txt > answers.txt\n"
        "twisted-sock connect --framing chunk --first hello 1234"
    )
    statuses = (
        Status.DONE,
        Status.USAGE,
        Status.UNREACHABLE,
        Status.LOST,
        Status.TIMEOUT,
        *OF_ALL,
    )
    closing = (
        "At the terminal Ctrl-D ends the conversation, Ctrl-C drops it; Ctrl-R searches the "
        "history, which is kept in $XDG_STATE_HOME/twisted_sock/history."
    )

    def opt_first(self, line: str) -> None:
        """Send this first, whenever connected; may be repeated."""
        self.first.append(line_to_send(line))

    def parseArgs(self, *endpoints: str) -> None:
        """Where to connect to."""
        if len(endpoints) != 1:
            raise UsageError("there is one argument, the ENDPOINT")
        self.endpoint = endpoint(endpoints[0])


def at_a_terminal() -> bool:
    """Whether a person types, and reads what comes."""
    return os.isatty(0) and os.isatty(1)


def has_editor() -> bool:
    """Whether there is a line editor, and a terminal that it can work on."""
    able = os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return able and find_spec("prompt_toolkit") is not None


def install_reactor(options: Options) -> None:
    """At a terminal the line editor needs a reactor that runs on asyncio."""
    if at_a_terminal() and has_editor():
        import asyncio

        from twisted.internet import asyncioreactor

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        asyncioreactor.install(loop)


def run(reactor: Any, options: Options) -> Deferred[int]:
    """Talk.

    Returns:
        Fires with the exit status.
    """
    if not at_a_terminal():
        from twisted_sock.cli.pipe import Pipe

        return Deferred.fromCoroutine(Pipe(reactor, options).run())
    from twisted_sock.cli.terminal import Conversation

    screen = make_screen(reactor, options.name, history=not options["no-history"])
    return Deferred.fromCoroutine(Conversation(reactor, options, screen).run())


def make_screen(reactor: Any, name: str, history: bool) -> Screen:
    """Where a person types and sees what comes: the best there is.

    Args:
        reactor: the reactor.
        name: the command, for a hint.
        history: whether what is typed is kept for the next time.
    """
    if has_editor():
        from twisted_sock.cli.editor import Editor

        return Editor(history=history)
    from twisted_sock.cli.plain import PlainScreen

    if find_spec("prompt_toolkit") is None:
        hint = "no line editor: pip install 'twisted_sock[cli]' brings one"
        print(f"twisted-sock {name}: {hint}", file=sys.stderr)
    return PlainScreen(reactor)
