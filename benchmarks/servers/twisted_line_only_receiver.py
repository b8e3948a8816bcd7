"""Twisted's `LineOnlyReceiver` on the default reactor."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineOnlyReceiver

from benchmarks.servers.answers import MAX_LINE, arguments

port, answer = arguments()


class Answer(LineOnlyReceiver):
    """Answers each line."""

    MAX_LENGTH = MAX_LINE

    def lineReceived(self, line: bytes) -> None:
        """A line has come."""
        self.sendLine(answer(line))  # type: ignore[no-untyped-call]


factory = ServerFactory()
factory.protocol = Answer
reactor.listenTCP(port, factory, interface="127.0.0.1")
reactor.run()
