"""`twisted-sock attach` from a pipe: commands in, answers and events out, as they are."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.cli.command import CommandError, Status
from twisted_sock.cli.operating import Answer, Dialogue, OperatorOptions
from twisted_sock.errors import Problem
from twisted_sock.framing import make_framer
from twisted_sock.settings import LinePolicy

#: Commands that may wait; then the input has to.
MOST = 100


@implementer(IHalfCloseableProtocol)
class Piped(TwistedProtocol):
    """Joins standard input and output with an operator endpoint.

    One command is asked after another, and the next when the one before is answered.

    Args:
        reactor: the reactor.
        options: what was asked for.
    """

    def __init__(self, reactor: Any, options: OperatorOptions) -> None:
        self._reactor = reactor
        self._dialogue = Dialogue(reactor, options, self)
        self._framer = make_framer(LinePolicy(delimiter="lf"))
        self._commands: deque[str] = deque()
        self._input_over = False
        self._asking = False
        self._status = Status.DONE
        self._stdio: Any = None
        self._ended: Deferred[int] = Deferred()
        self._written: Deferred[None] = Deferred()

    async def run(self) -> int:
        """Ask all, print all.

        Returns:
            The exit status.
        """
        try:
            await self._dialogue.open()
            self._stdio = StandardIO(self, reactor=self._reactor)
            self._stdio.registerProducer(self._dialogue.link, True)
            return await self._ended
        finally:
            await self._close()

    # What the dialogue tells (see `operating.Listener`).

    def happened(self, event: dict[str, Any], line: str) -> None:
        """Something has happened in the service."""
        self._print([line])

    def over(self, error: CommandError) -> None:
        """The connection is gone."""
        self._end(Failure(error))

    # What standard input and output tell.

    def dataReceived(self, data: bytes) -> None:
        """Some of the input was read."""
        self._take(self._framer.feed(data))

    def readConnectionLost(self) -> None:
        """The input has ended."""
        self._take(self._framer.end())
        self._input_over = True
        self._next()

    def writeConnectionLost(self) -> None:
        """Nobody reads the output any more."""
        self._end(Status.BROKEN_PIPE)
        self._stdio.connectionLost(Failure(ConnectionDone()))

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Both are closed, and the output is written."""
        os.set_blocking(0, True)
        if not self._written.called:
            self._written.callback(None)

    # Inside.

    def _take(self, runs: list[Any]) -> None:
        for run in runs:
            if isinstance(run, Problem):
                self._end(Failure(CommandError(Status.USAGE, f"the input: {run.words}")))
                return
            self._commands += [line for line in run if line.strip()]
        if len(self._commands) > MOST:
            self._stdio.pauseProducing()
        self._next()

    def _next(self) -> None:
        """Ask the next one, when the one before is answered."""
        if self._asking or self._ended.called:
            return
        if self._commands:
            self._asking = True
            command = self._commands.popleft()
            # What fails with the connection is told by `over`.
            self._dialogue.ask(command).addCallbacks(self._answered, lambda _: None)
        elif self._input_over:
            self._end(self._status)
        if not (self._commands or self._input_over):
            self._stdio.resumeProducing()

    def _answered(self, answer: Answer) -> None:
        self._print(answer.lines)
        if answer.code:
            self._status = Status.UNEXPECTED
        self._asking = False
        self._reactor.callLater(0, self._next)

    def _print(self, lines: list[str]) -> None:
        if self._stdio is not None and not self._ended.called:
            self._stdio.write("".join(f"{line}\n" for line in lines).encode())

    def _end(self, result: int | Failure) -> None:
        if not self._ended.called:
            self._ended.callback(result)

    async def _close(self) -> None:
        """Write what is left of the output."""
        self._dialogue.close()
        if self._stdio is None:
            self._ended.addErrback(lambda _: None)  # it was told by `open` already
        elif not self._written.called:
            self._stdio.unregisterProducer()
            self._stdio.loseConnection()
            await self._written
