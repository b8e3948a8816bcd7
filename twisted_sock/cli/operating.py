"""Speaking to a service's operator endpoint: what `attach` and `verify` have in common.

The protocol is described in `twisted_sock.operator.control`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from twisted_sock.cli.command import CommandError, CommandOptions, Status, parameters
from twisted_sock.cli.link import Link, Owner
from twisted_sock.cli.talking import endpoint, link_to
from twisted_sock.display import show
from twisted_sock.errors import Problem
from twisted_sock.framing import make_framer
from twisted_sock.interfaces import Peer
from twisted_sock.operator.door import read_token
from twisted_sock.settings import LinePolicy, Setting

TIMEOUT = Setting("timeout", 10.0, "give up when an answer takes so long", "seconds", ())

#: Bytes of the longest answer.
MOST = 1 << 24

EVENT = "EVENT "


class OperatorOptions(CommandOptions):
    """The command line of a command for operators.

    Attributes:
        endpoint: where they come in.
        token: what they say there; empty: nothing.
    """

    arguments = "[OPTION]... ENDPOINT"
    texts = (("token-file", "FILE", "the secret to say first, for endpoints that want one"),)
    settings = (TIMEOUT,)
    optParameters = parameters(*settings)

    def __init__(self) -> None:
        super().__init__()
        self.endpoint = ""
        self.token = ""

    def opt_token_file(self, path: str) -> None:
        """The file with the secret to say first."""
        self.token = read_token(path)

    def parseArgs(self, *endpoints: str) -> None:
        """Where to attach."""
        if len(endpoints) != 1:
            raise UsageError("there is one argument, the ENDPOINT of --operator")
        self.endpoint = endpoint(endpoints[0])

    def link(self, reactor: Any, owner: Owner) -> Link:
        """The link to the service.

        Args:
            reactor: the reactor.
            owner: who is told of what happens.
        """
        return link_to(self.endpoint, self["timeout"], reactor, owner)


@dataclass(slots=True)
class Answer:
    """The answer to a command.

    Args:
        data: what was told.
        lines: the same, as it came.
        code: why it was not done, as a word; empty when it was.
        words: the same in words.
    """

    data: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    code: str = ""
    words: str = ""


class Listener(Protocol):
    """What a dialogue tells besides answers."""

    def happened(self, event: dict[str, Any], line: str) -> None:
        """Something has happened in the service.

        Args:
            event: what.
            line: the same, as it came.
        """

    def over(self, error: CommandError) -> None:
        """The connection is gone, or of no use."""


class Dialogue:
    """A connection to an operator endpoint.

    Args:
        reactor: the reactor.
        options: where to.
        listener: who is told of events.

    Attributes:
        link: the connection.
    """

    def __init__(self, reactor: Any, options: OperatorOptions, listener: Listener) -> None:
        self._reactor = reactor
        self._options = options
        self._listener = listener
        self._timeout = options["timeout"]
        self.link = options.link(reactor, self)
        self._framer = make_framer(LinePolicy(delimiter="lf", max_line=MOST, invalid="replace"))
        self._answer = Answer()
        self._asked: deque[Deferred[Answer]] = deque()
        self._deadline: IDelayedCall | None = None
        self._opened: Deferred[None] | None = None
        self._error: CommandError | None = None

    async def open(self) -> None:
        """Connect, and get in.

        Raises:
            CommandError: that is not possible.
        """
        self._opened = Deferred()
        self.link.open()
        await self._opened
        if self._options.token:
            await self.must(f"token {self._options.token}")

    def ask(self, command: str) -> Deferred[Answer]:
        """Say a command.

        Returns:
            Fires with the answer; fails with a `CommandError`.
        """
        asked: Deferred[Answer] = Deferred()
        if self._error is not None:
            asked.errback(Failure(self._error))
            return asked
        self._asked.append(asked)
        self._watch()
        self.link.write(f"{command}\n".encode(errors="replace"))
        return asked

    async def must(self, command: str) -> list[dict[str, Any]]:
        """Say a command that has to be done; returns what was told.

        Raises:
            CommandError: it was not done.
        """
        answer = await self.ask(command)
        if answer.code:
            raise CommandError(Status.USAGE, answer.words)
        return answer.data

    def close(self) -> None:
        """Leave."""
        self._error = self._error or CommandError(Status.DONE, "closed")
        self._watch_no_more()
        self.link.close()

    # What the link tells.

    def opened(self, peer: Peer) -> None:
        """The connection is made."""
        if self._opened is not None:
            self._opened.callback(None)

    def received(self, data: bytes) -> None:
        """The service has said something."""
        for line in self._lines(data):
            if self._error is not None:
                return
            try:
                self._take(line)
            except (ValueError, RecursionError):
                self._fail(Status.UNEXPECTED, f"this is no operator endpoint: {show(line[:200])}")

    def finished(self) -> None:
        """The service says no more."""
        self.link.hang_up()

    def lost(self, clean: bool, why: str) -> None:
        """The connection is gone."""
        self._fail(Status.LOST, why)

    def unreachable(self, why: str) -> None:
        """There is no connection."""
        self._fail(Status.UNREACHABLE, f"cannot connect to {self._options.endpoint}: {why}")
        if self._opened is not None and not self._opened.called:
            self._opened.errback(Failure(self._error))

    def waiting(self, seconds: float) -> None:
        """It is not tried again."""

    # Inside.

    def _lines(self, data: bytes) -> Iterator[str]:
        for run in self._framer.feed(data):
            yield from [run.words] if isinstance(run, Problem) else run

    def _take(self, line: str) -> None:
        """Take a line of the protocol.

        Raises:
            ValueError: it is none.
        """
        if line.startswith(EVENT):
            self._listener.happened(_object(line.removeprefix(EVENT)), line)
        elif line.startswith("{"):
            self._answer.data.append(_object(line))
            self._answer.lines.append(line)
        elif line == "OK" or line.startswith("ERR "):
            self._answer.lines.append(line)
            _, self._answer.code, self._answer.words = (*line.split(" ", 2), "", "")[:3]
            self._answered()
        else:
            raise ValueError(line)

    def _answered(self) -> None:
        answer, self._answer = self._answer, Answer()
        if answer.code == "denied" or not self._asked:
            status = Status.LOST if answer.code == "shutdown" else Status.USAGE
            self._fail(status, answer.words or "it answers what was not asked")
            return
        asked = self._asked.popleft()
        self._watch()
        asked.callback(answer)

    def _watch(self) -> None:
        """Give the next answer its time."""
        self._watch_no_more()
        if self._asked and self._timeout:
            self._deadline = self._reactor.callLater(self._timeout, self._too_late)

    def _watch_no_more(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _too_late(self) -> None:
        self._fail(Status.TIMEOUT, f"there was no answer for {self._timeout:g} s")

    def _fail(self, status: Status, words: str) -> None:
        """The connection is of no use any more."""
        if self._error is not None:
            return
        self._error = error = CommandError(status, words)
        self._watch_no_more()
        self.link.close()
        asked = list(self._asked)
        self._asked.clear()
        for each in asked:
            each.errback(Failure(error))
        self._listener.over(error)


def _object(text: str) -> dict[str, Any]:
    """An object of JSON.

    Raises:
        ValueError: it is none.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    return data
