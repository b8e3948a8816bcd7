"""`twisted-sock attach`: watch the conversations of a running service, and step in."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from twisted_sock.cli.command import OF_ASKING
from twisted_sock.cli.connect import at_a_terminal, install_reactor, make_screen
from twisted_sock.cli.operating import OperatorOptions

__all__ = ["Options", "install_reactor", "run"]


class Options(OperatorOptions):
    """The command line of `twisted-sock attach`."""

    name = "attach"
    summary = (
        "Attaches to a running service, at the endpoint of its --operator. At a terminal: all\n"
        "its conversations in one list, each line as it comes; what is typed answers the line\n"
        "that waits, and /help tells the commands. From a pipe: each line is a command of the\n"
        "operator protocol, and what is answered is printed as it is: JSON, one object a line."
    )
    optFlags = (("no-history", None, "neither read nor write the history of the line editor"),)
    examples = (
        "twisted-sock attach unix:/run/mock.operator\n"
        "echo list | twisted-sock attach --token-file secret ws://127.0.0.1:9000"
    )
    statuses = OF_ASKING
    closing = (
        "From a pipe the status is 1 when a command was answered with ERR. Who leaves, also "
        "without a word, blocks nobody: what is held is released when the last one goes."
    )


def run(reactor: Any, options: Options) -> Deferred[int]:
    """Attach.

    Returns:
        Fires with the exit status.
    """
    if not at_a_terminal():
        from twisted_sock.cli.piped import Piped

        return Deferred.fromCoroutine(Piped(reactor, options).run())
    from twisted_sock.cli.attached import Attached

    screen = make_screen(reactor, options.name, history=not options["no-history"])
    return Deferred.fromCoroutine(Attached(reactor, options, screen).run())
