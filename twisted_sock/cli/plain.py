"""The bare terminal, where there is no line editor: lines as the terminal gives them."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.cli.terminal import Typist
from twisted_sock.framing import make_framer
from twisted_sock.settings import LinePolicy


@implementer(IHalfCloseableProtocol)
class PlainScreen(TwistedProtocol):
    """The bare terminal, for want of a line editor.

    Args:
        reactor: the reactor.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._framer = make_framer(LinePolicy(delimiter="lf", max_line=0, invalid="replace"))
        self._typist: Typist
        self._stdio: Any = None
        self._prompt = "", False
        self._aimed = False  # whether the typist knows that something may be typed for the prompt
        self._closed: Deferred[None] = Deferred()

    def start(self, typist: Typist) -> None:
        """Let the person type."""
        self._typist = typist
        self._stdio = StandardIO(self, reactor=self._reactor)
        self._stdio.registerProducer(_Flow(typist), True)
        self.ask(*self._prompt)

    def ask(self, prompt: str, answers: bool) -> None:
        """Show this in a line of its own.

        When somebody begins to type is not known here, so it is when there is something to answer.
        """
        new = (prompt, answers) != self._prompt
        self._prompt = prompt, answers
        if self._stdio is None or not answers:
            return
        if new or not self._aimed:
            self.show([prompt])
        if not self._aimed:
            self._aimed = True
            self._typist.typing(True)

    def give_back(self, text: str) -> bool:
        """What was typed has gone out of reach."""
        return False

    def show(self, lines: list[str]) -> None:
        """Show some lines."""
        data = "".join(f"{line}\n" for line in lines).encode()
        if self._stdio is None:
            os.write(1, data)
        else:
            self._stdio.write(data)

    def close(self) -> Deferred[None]:
        """Leave the terminal as it was found."""
        if self._stdio is None:
            self._closed.callback(None)
        else:
            self._stdio.unregisterProducer()
            self._stdio.loseConnection()
        return self._closed

    def dataReceived(self, data: bytes) -> None:
        """Something was typed."""
        self._give(self._framer.feed(data))

    def readConnectionLost(self) -> None:
        """The person says no more."""
        self._give(self._framer.end())
        self._typist.ended()

    def writeConnectionLost(self) -> None:
        """The terminal is gone."""
        self._typist.interrupted()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Everything is shown."""
        os.set_blocking(0, True)
        if not self._closed.called:
            self._closed.callback(None)

    def _give(self, runs: list[Any]) -> None:
        for run in runs:
            for line in run if isinstance(run, list) else ():
                self._aimed = False
                self._typist.typed(line)


class _Flow:
    """A typist as a producer: what it produces is what comes from the peer."""

    def __init__(self, typist: Typist) -> None:
        self.pauseProducing = typist.pauseProducing
        self.resumeProducing = typist.resumeProducing

    def stopProducing(self) -> None:
        """The terminal is gone, as the screen will tell."""
