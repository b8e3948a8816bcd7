"""`twisted-sock send`: send some lines, print the answers, exit; for scripts."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from twisted_sock.cli.command import (
    NAME,
    OF_ASKING,
    CommandError,
    Status,
    parameters,
    say,
    whole,
)
from twisted_sock.cli.talking import DELIMITER, FRAMING, TalkOptions, endpoint, line_to_send
from twisted_sock.display import one_line, show
from twisted_sock.endpoints import FORMS
from twisted_sock.errors import Problem, SettingError
from twisted_sock.framing import make_framer
from twisted_sock.interfaces import Peer
from twisted_sock.settings import LinePolicy, Setting

#: Stands for: as many answers as lines were sent.
EACH = -1

MAX_LINE = Setting("max_line", 65536, "longest answer; 0 = no limit", "bytes", ())
TIMEOUT = Setting("timeout", 10.0, "give up after so long; 0 = no limit", "seconds", ())


class Options(TalkOptions):
    """The command line of `twisted-sock send`.

    Attributes:
        lines: what to send.
        answers: how many answers to wait for; 0: all, until the peer closes.
        expected: what every answer must match.
    """

    name = "send"
    arguments = "[OPTION]... ENDPOINT LINE..."
    summary = (
        "Sends some lines, prints the answers, and exits. With --framing chunk each line goes\n"
        "when the one before is answered.\n\n" + textwrap.fill(f"ENDPOINT is {FORMS}.", 90)
    )
    texts = (
        ("answers", "N", "wait for so many; 0 = until the peer closes [one for each line]"),
        ("expect", "REGEX", "what must be found in every answer (re.search)"),
    )
    settings = (TIMEOUT, FRAMING, DELIMITER, MAX_LINE)
    optParameters = parameters(*settings)
    examples = (
        "twisted-sock send localhost:1234 'hello there'\n"
        "twisted-sock send --expect '^pong$' --timeout 2 unix:/run/shout.sock ping\n"
        "twisted-sock send --answers 0 1234 -- --a-line-that-looks-like-an-option"
    )
    statuses = OF_ASKING
    closing = "Answers are printed also when they are not as expected, or not all."

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.answers = EACH
        self.expected: re.Pattern[str] | None = None

    def opt_answers(self, number: str) -> None:
        """Wait for so many answers; 0: until the peer closes. One for each line if left out."""
        try:
            self.answers = whole(number)
        except SettingError as error:
            raise UsageError(f"--answers: {error}") from None

    def opt_expect(self, regex: str) -> None:
        """What must be found in every answer."""
        try:
            self.expected = re.compile(regex)
        except re.error as error:
            raise UsageError(f"--expect: {error}: {regex!r}") from None

    def parseArgs(self, *words: str) -> None:
        """Where to connect to, and what to send."""
        if not words:
            raise UsageError("the ENDPOINT is missing")
        self.endpoint = endpoint(words[0])
        self.lines = [line_to_send(each) for each in words[1:]]
        if not self.lines and self.answers == EACH:
            raise UsageError("there is no LINE to send; with --answers there need not be one")
        if self.answers == EACH:
            self.answers = len(self.lines)


def run(reactor: Any, options: Options) -> Deferred[int]:
    """Send, and print what is answered.

    Returns:
        Fires with the exit status.
    """
    return Sending(reactor, options).run()


class Sending:
    """Some lines on their way, and their answers.

    Args:
        reactor: the reactor.
        options: what was asked for.
    """

    def __init__(self, reactor: Any, options: Options) -> None:
        self._reactor = reactor
        self._options = options
        policy = LinePolicy(framing=options["framing"], max_line=options["max-line"])
        self._framer = make_framer(policy)
        self._link = options.link(reactor, self, again=False)
        self._unsent = list(options.lines)
        self._answers = 0
        self._status = Status.DONE
        self._shown = show if os.isatty(1) else str
        self._deadline: IDelayedCall | None = None
        self._done: Deferred[int] = Deferred(lambda _: self._end(Status.INTERRUPTED))

    def run(self) -> Deferred[int]:
        """Begin.

        Returns:
            Fires with the exit status.
        """
        if self._options["timeout"]:
            self._deadline = self._reactor.callLater(self._options["timeout"], self._too_late)
        self._link.open()
        return self._done

    # What the link tells.

    def opened(self, peer: Peer) -> None:
        """The connection is made."""
        self._say(1 if self._options["framing"] == "chunk" else len(self._unsent))

    def received(self, data: bytes) -> None:
        """The peer has said something."""
        self._take(self._framer.feed(data))

    def finished(self) -> None:
        """The peer says no more: so do we."""
        self._link.close()

    def lost(self, clean: bool, why: str) -> None:
        """The connection is gone."""
        self._take(self._framer.end())
        if clean and not self._options.answers and not self._unsent:
            self._end(self._status)
        else:
            self._end(Failure(CommandError(Status.LOST, f"{why} after {self._progress()}")))

    def unreachable(self, why: str) -> None:
        """There is no connection."""
        words = f"cannot connect to {self._options.endpoint}: {why}"
        self._end(Failure(CommandError(Status.UNREACHABLE, words)))

    def waiting(self, seconds: float) -> None:
        """It is not tried again."""

    # Inside.

    def _say(self, count: int) -> None:
        """Send the next lines; when there are no more, and no number of answers, say so."""
        lines, self._unsent = self._unsent[:count], self._unsent[count:]
        self._link.write(b"".join(map(self._options.encode, lines)))
        if not self._unsent and not self._options.answers:
            self._link.finish()

    def _take(self, runs: list[Any]) -> None:
        for run in runs:
            for answer in [run] if isinstance(run, Problem) else run:
                if not self._done.called:
                    self._answer(answer)

    def _answer(self, answer: str | Problem) -> None:
        """Print an answer, and see whether it is as expected, and the last."""
        self._answers += 1
        if isinstance(answer, Problem):
            self._unexpected(f"answer {self._answers}: {answer.words}")
        else:
            self._print(answer)
        if self._answers == self._options.answers:
            self._end(self._status)
        elif self._unsent:
            self._say(1)

    def _print(self, answer: str) -> None:
        try:
            say(self._shown(answer))
        except (BrokenPipeError, CommandError):
            self._end(Failure())
            return
        expected = self._options.expected
        if expected is not None and not expected.search(answer):
            self._unexpected(f"answer {self._answers} does not match {expected.pattern!r}")

    def _unexpected(self, words: str) -> None:
        self._status = Status.UNEXPECTED
        print(f"{NAME} send: {one_line(words)}", file=sys.stderr)

    def _too_late(self) -> None:
        self._deadline = None
        seconds = self._options["timeout"]
        words = f"not done within {seconds:g} s, after {self._progress()}"
        self._end(Failure(CommandError(Status.TIMEOUT, words)))

    def _progress(self) -> str:
        """How many answers there were."""
        wanted = self._options.answers
        of = f" of {wanted}" if wanted else ""
        return f"{self._answers}{of} answer{'' if (wanted or self._answers) == 1 else 's'}"

    def _end(self, result: int | Failure) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._link.close()
        if not self._done.called:
            self._done.callback(result)
