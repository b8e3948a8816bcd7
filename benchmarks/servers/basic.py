"""What Twisted's two receivers of lines have in common as peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineOnlyReceiver, LineReceiver

from benchmarks.servers.answers import BACKLOG, MAX_LINE, arguments


def serve(
    receiver: type[LineOnlyReceiver | LineReceiver], **answers: Callable[[bytes], bytes]
) -> None:
    """Answer each line, on the default reactor, for ever.

    Args:
        receiver: one of Twisted's classes.
        answers: those that a command line may ask for, by name.
    """
    port, answer = arguments(**answers)

    def line_received(self: Any, line: bytes) -> None:
        self.sendLine(answer(line))

    members = {"MAX_LENGTH": MAX_LINE, "lineReceived": line_received}
    factory = ServerFactory()
    factory.protocol = type("Answer", (receiver,), members)
    reactor.listenTCP(port, factory, BACKLOG, "127.0.0.1")
    reactor.run()
