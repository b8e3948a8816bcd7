"""Twisted's `LineReceiver` on the default reactor."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver

from benchmarks.servers.answers import BACKLOG, MAX_LINE, arguments, echo, ping

port, answer = arguments(ping=ping, echo=echo)


class Answer(LineReceiver):
    """Answers each line."""

    MAX_LENGTH = MAX_LINE

    def lineReceived(self, line: bytes) -> None:
        """A line has come."""
        self.sendLine(answer(line))  # type: ignore[no-untyped-call]


factory = ServerFactory()
factory.protocol = Answer
reactor.listenTCP(port, factory, BACKLOG, "127.0.0.1")
reactor.run()
