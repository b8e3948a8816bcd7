"""Twisted's `LineOnlyReceiver` on the default reactor."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineOnlyReceiver

from benchmarks.servers.answers import BACKLOG, MAX_LINE, arguments, echo, ping
from benchmarks.servers.lateness import Lateness

lateness = Lateness(reactor)


def late(line: bytes) -> bytes:
    """The same to every line, but how late timers were to `LATE`."""
    if line == b"LATE":
        return lateness.report().encode()
    lateness.lines += 1
    return b"+PONG"


port, answer = arguments(ping=ping, echo=echo, late=late)


class Answer(LineOnlyReceiver):
    """Answers each line."""

    MAX_LENGTH = MAX_LINE

    def lineReceived(self, line: bytes) -> None:
        """A line has come."""
        self.sendLine(answer(line))  # type: ignore[no-untyped-call]


factory = ServerFactory()
factory.protocol = Answer
reactor.listenTCP(port, factory, BACKLOG, "127.0.0.1")
reactor.run()
