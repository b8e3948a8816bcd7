"""What was said, kept as it is said, and made into a script that says it again.

A recording keeps exchanges: a line of the client, and what the server said from then on until
the client's next line. Nothing is paired, so any protocol can be recorded: a server may greet,
push, answer with several lines or with none.

The script has one rule for each different line, with its answers in their order: the first time
that the line is said it gets the first, then the second, and so on. What comes late, after a
pause, is pushed after that pause. Where conversations disagree, because the same line got another
answer, each goes on in a state of its own, `conversation 1`, `conversation 2`, in the order in
which they began. So a client that says the same again hears the same again, in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from twisted_sock.script.composing import MARK, compose
from twisted_sock.script.exchanges import Exchange
from twisted_sock.script.model import Script

#: Lines that are kept at most; then the recording is full.
MOST = 500_000

Mask = Callable[[str], str]


@dataclass(slots=True)
class Conversation:
    """What is said in one conversation.

    Args:
        recording: whose.
        now: the clock's seconds.
    """

    recording: Recording
    now: float
    exchanges: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchanges.append(Exchange(None, self.now))

    def client(self, line: str) -> None:
        """The client said something."""
        recording = self.recording
        if recording.take():
            self.exchanges.append(Exchange(recording.mask(line), recording.now()))

    def server(self, line: str) -> None:
        """The server said something."""
        recording = self.recording
        if recording.take():
            exchange = self.exchanges[-1]
            exchange.answers.append(recording.mask(line))
            exchange.times.append(recording.now())

    def snapshot(self) -> list[Exchange]:
        """What was said until now; nothing more is put to it."""
        *whole, last = self.exchanges
        return [*whole, replace(last, answers=last.answers[:], times=last.times[:])]

    def closed(self) -> None:
        """The server ended the conversation."""
        self.exchanges[-1].closed = True
        self.recording.changes += 1


class Recording:
    """What was said in all conversations.

    Args:
        now: tells the time, in seconds.
        title: what the script is about.
        mask: a regular expression; what it matches, or its first group if it has one, is not
            kept.
        timing: whether the script is to wait as the server did.

    Attributes:
        changes: grows with everything that is said.
        full: whether something was said that is not kept any more.

    Raises:
        ValueError: the regular expression is wrong.
    """

    def __init__(
        self, now: Callable[[], float], title: str = "", mask: str = "", timing: bool = True
    ) -> None:
        self.now = now
        self.mask: Mask = masking(mask) if mask else _as_it_is
        self.changes = 0
        self.full = False
        self._title = title
        self._timing = timing
        self._conversations: list[Conversation] = []

    def begin(self) -> Conversation:
        """A conversation begins."""
        conversation = Conversation(self, self.now())
        self._conversations.append(conversation)
        return conversation

    def take(self) -> bool:
        """Whether there is room for one more line."""
        if self.changes >= MOST:
            self.full = True
            return False
        self.changes += 1
        return True

    def snapshot(self) -> Callable[[], tuple[Script, list[str]]]:
        """What was said until now.

        Returns:
            What makes the script of it, and remarks on it; can be called in another thread.
        """
        conversations = [each.snapshot() for each in self._conversations]
        title, timing, full = self._title, self._timing, self.full

        def script() -> tuple[Script, list[str]]:
            made, remarks = compose(conversations, title, timing)
            if full:
                remarks.append(f"only the first {MOST} lines were recorded")
            return made, remarks

        return script


def masking(pattern: str) -> Mask:
    """What takes the secrets out of a line.

    Args:
        pattern: a regular expression; what it matches, or its first group if it has one, goes.

    Raises:
        ValueError: it is wrong.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"mask: {error}: {pattern!r}") from None
    group = 1 if compiled.groups else 0

    def masked(line: str) -> str:
        parts: list[str] = []
        end = 0
        for match in compiled.finditer(line):
            start, stop = match.span(group)
            if start < stop and start >= end:
                parts += [line[end:start], MARK]
                end = stop
        return "".join([*parts, line[end:]]) if parts else line

    return masked


def _as_it_is(line: str) -> str:
    return line
