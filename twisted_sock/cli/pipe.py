"""`twisted-sock connect` from a pipe or file: sends all, prints all, ends when the peer has.

Nothing piles up here: standard input is read only as fast as the peer takes it, and the peer
only as fast as standard output is taken.

What comes is printed exactly as it came, unless standard output is a terminal: then it is made
safe to show. What is sent is looked at first, if it is lines: one that is too long or not UTF-8
ends the input; what was sent before it is still answered.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_sock.cli.command import NAME, CommandError, Status
from twisted_sock.cli.showing import Shower, make_shower
from twisted_sock.cli.wire import GRACE
from twisted_sock.display import one_line
from twisted_sock.errors import Problem
from twisted_sock.framing import Run, make_framer
from twisted_sock.interfaces import Peer
from twisted_sock.settings import LinePolicy

if TYPE_CHECKING:
    from twisted_sock.cli.talking import TalkOptions


class Input:
    """Standard input on its way to the peer, line by line.

    Args:
        ending: what goes behind a line that is sent; empty: bytes are sent as they come.
        max_line: bytes of the longest line.

    Attributes:
        problem: what is wrong with it, and with which line; empty as long as nothing is.
    """

    def __init__(self, ending: bytes, max_line: int) -> None:
        self._framer = make_framer(LinePolicy(delimiter="lf", max_line=max_line))
        self._ending = ending
        self._lines = 0
        self.problem = ""

    def feed(self, data: bytes) -> bytes:
        """Take what was read; returns what to send."""
        if not self._ending:
            return data
        return self._take(self._framer.feed(data))

    def end(self) -> bytes:
        """Nothing more comes; returns what to send for a line that was not ended."""
        return self._take(self._framer.end())

    def _take(self, runs: list[Run]) -> bytes:
        pieces = []
        for run in runs:
            if self.problem:
                break
            if isinstance(run, Problem):
                self.problem = f"line {self._lines + 1} of the input: {run.words}"
            else:
                self._lines += len(run)
                pieces += [_ended(line.encode(), self._ending) for line in run]
        return b"".join(pieces)


def _ended(line: bytes, ending: bytes) -> bytes:
    """A line and what ends it, once."""
    return line.removesuffix(b"\r") + ending if ending == b"\r\n" else line + ending


def _why_unwritten() -> Status:
    """Why standard output could not be written: the status, if nobody reads it.

    Raises:
        CommandError: there is another reason, of which Twisted tells nothing.
    """
    asked = select.poll()
    asked.register(1, 0)
    if asked.poll(0):  # an error, or the other end is closed
        return Status.BROKEN_PIPE
    raise CommandError(Status.UNWRITTEN, "the output cannot be written; is the disk full?")


@implementer(IHalfCloseableProtocol, IPushProducer)
class Pipe(TwistedProtocol):
    """Joins standard input and output with a peer.

    To `StandardIO` it is a protocol, to the link its owner, and to the connection a producer.

    Args:
        reactor: the reactor.
        options: what was asked for.
    """

    def __init__(self, reactor: Any, options: TalkOptions) -> None:
        self._reactor = reactor
        self._options = options
        self._input = Input(options.ending, options["max-line"])
        self._input_over = False
        self._peer_over = False
        self._may_linger = False
        self._unwritten = False
        self._link = options.link(reactor, self, again=options["reconnect"] == "yes")
        self._show: Shower | None = None
        if options["hex"] or os.isatty(1):
            self._show = make_shower(options.shown(), bool(options["hex"]))
        self._silence: IDelayedCall | None = None
        self._stdio: Any = None
        self._ended: Deferred[int] = Deferred()
        self._written: Deferred[None] = Deferred()

    async def run(self) -> int:
        """Send all, print all.

        Returns:
            The exit status.
        """
        self._stdio = StandardIO(self, reactor=self._reactor)
        self._stdio.pauseProducing()
        self._stdio.registerProducer(self._link, True)
        self._link.open()
        try:
            status = await self._ended
        finally:
            await self._close()
        if status == Status.DONE and self._unwritten:
            status = _why_unwritten()
        return Status.USAGE if status == Status.DONE and self._input.problem else status

    # What the link tells.

    def opened(self, peer: Peer) -> None:
        """The connection is made: send."""
        self._peer_over = False
        self._link.write(b"".join(map(self._options.encode, self._options.first)))
        self._link.produce(self)
        if self._input_over:
            self._finish()
        else:
            self._stdio.resumeProducing()

    def received(self, data: bytes) -> None:
        """The peer has said something: print it."""
        if self._show is None:
            self._stdio.write(data)
        else:
            self._print(self._show.feed(data))
        self._wait()

    def finished(self) -> None:
        """The peer says no more: it still gets the rest of the input, if that comes soon."""
        self._peer_over = True
        if self._input_over or self._link.again:
            self._link.hang_up()
        else:
            self._wait()

    def lost(self, clean: bool, why: str) -> None:
        """The connection is gone: that was all, or too early."""
        if self._show is not None:
            self._print(self._show.end())
        if self._peer_over:
            why = "the peer has closed the connection"
        if self._input_over and clean:
            self._end(Status.DONE)
        elif self._link.again:
            self._stdio.pauseProducing()
            self._tell(why)
        elif self._input_over:
            self._fail(Status.LOST, f"{why} before it had finished")
        else:
            self._fail(Status.LOST, f"{why} before the end of the input")

    def unreachable(self, why: str) -> None:
        """There is no connection."""
        words = f"cannot connect to {self._options.endpoint}: {why}"
        if self._link.again:
            self._tell(words)
        else:
            self._fail(Status.UNREACHABLE, words)

    def waiting(self, seconds: float) -> None:
        """It will be tried again."""
        self._tell(f"reconnecting in {seconds:.1f} s ...")

    # What standard input and output tell.

    def dataReceived(self, data: bytes) -> None:
        """Some of the input was read: send it."""
        if not self._input_over:
            self._link.write(self._input.feed(data))
            if self._input.problem:
                self._over()
            elif self._peer_over:
                self._wait()

    def readConnectionLost(self) -> None:
        """The input has ended: tell the peer."""
        if not self._input_over:
            self._link.write(self._input.end())
            self._over()

    def writeConnectionLost(self) -> None:
        """The output cannot be written, or nobody reads it any more."""
        self._unwritten = True
        self._end(Status.DONE)
        self._stdio.connectionLost(Failure(ConnectionDone()))

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Both are closed, and the output is written if it could be."""
        if reason is not None and not reason.check(ConnectionDone):
            self._unwritten = True
        os.set_blocking(0, True)
        self._written.callback(None)

    # What the connection asks for.

    def pauseProducing(self) -> None:
        """The peer does not take more for now (see `IPushProducer`)."""
        if not self._input_over:
            self._stdio.pauseProducing()

    def resumeProducing(self) -> None:
        """The peer takes more (see `IPushProducer`)."""
        if not self._input_over:
            self._stdio.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone, as the link will tell (see `IProducer`)."""

    # Inside.

    def _over(self) -> None:
        """There is no more input, or none that can be sent."""
        self._input_over = True
        self._stdio.pauseProducing()
        if self._input.problem:
            self._tell(self._input.problem)
        self._finish()

    def _finish(self) -> None:
        self._may_linger = not self._link.finish()
        self._wait()

    def _wait(self) -> None:
        """Wait for what the other side still says, from now on."""
        self._wait_no_more()
        for waits, seconds, give_up in (
            (self._peer_over and not self._input_over, GRACE, self._link.abort),
            (self._may_linger, self._options["linger"], self._link.close),
            (self._input_over, self._options["timeout"], self._too_late),
        ):
            if waits and seconds:
                self._silence = self._reactor.callLater(seconds, self._silent, give_up)
                return

    def _wait_no_more(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent(self, give_up: Callable[[], None]) -> None:
        self._silence = None
        give_up()

    def _too_late(self) -> None:
        seconds = self._options["timeout"]
        self._fail(Status.TIMEOUT, f"the peer has said nothing for {seconds:g} s")

    def _print(self, lines: list[str]) -> None:
        self._stdio.write("".join(f"{line}\n" for line in lines).encode())

    def _tell(self, words: str) -> None:
        print(f"{NAME} connect: {one_line(words)}", file=sys.stderr)

    def _fail(self, status: Status, words: str) -> None:
        self._end(Failure(CommandError(status, words)))

    def _end(self, result: int | Failure) -> None:
        if not self._ended.called:
            self._ended.callback(result)

    async def _close(self) -> None:
        """Write what is left of the output."""
        self._input_over = True
        self._wait_no_more()
        self._link.abort()
        if not self._written.called:
            self._stdio.unregisterProducer()
            self._stdio.loseConnection()
            await self._written
