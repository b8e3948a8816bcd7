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

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from twisted.logger import Logger

from twisted_sock.script.composing import compose
from twisted_sock.script.exchanges import Exchange
from twisted_sock.script.masking import Mask
from twisted_sock.script.model import Script

#: Lines that are kept at most; then the recording is full.
MOST = 500_000

#: Bytes of memory that they may take, as they are kept; to make the script of them takes about
#: as much again.
MOST_BYTES = 256_000_000

#: Conversations that are kept at most; each may get rules of its own.
MOST_CONVERSATIONS = 10_000

#: Bytes that a line takes besides its text, and a conversation besides its lines, about.
LINE = 160
CONVERSATION = 600


@dataclass(slots=True, eq=False)
class Conversation:
    """What is said in one conversation.

    Args:
        recording: whose.
        now: the clock's seconds.
    """

    recording: Recording
    now: float
    exchanges: list[Exchange] = field(default_factory=list)
    over: bool = False

    def __post_init__(self) -> None:
        self.exchanges.append(Exchange(None, self.now))

    def client(self, line: str) -> None:
        """The client said something."""
        recording = self.recording
        kept = None if self.over else recording.take(line)
        if kept is not None:
            self.exchanges.append(Exchange(kept, recording.now()))

    def server(self, line: str) -> None:
        """The server said something."""
        recording = self.recording
        kept = None if self.over else recording.take(line)
        if kept is not None:
            exchange = self.exchanges[-1]
            exchange.answers.append(kept)
            exchange.times.append(recording.now())

    def garbled(self) -> None:
        """One of them said something that is no line."""
        if not self.recording.full:
            self.recording.garbled += 1
            self.recording.changes += 1

    def closed(self) -> None:
        """The server ended the conversation."""
        if not (self.over or self.recording.full):
            self.exchanges[-1].close(self.recording.now())
            self.recording.changes += 1

    def ended(self) -> None:
        """The client is gone."""
        self.over = True
        self.exchanges[-1].leave(self.recording.now_kept())
        if not self.recording.full:
            self.recording.over(self)

    def snapshot(self) -> list[Exchange]:
        """What was said until now; nothing more is put to it."""
        if self.over:
            return self.exchanges
        *whole, last = self.exchanges
        last = replace(last, answers=last.answers[:], times=last.times[:])
        last.leave(self.recording.now_kept())
        return [*whole, last]


class Recording:
    """What was said in all conversations.

    Args:
        now: tells the time, in seconds.
        title: what the script is about.
        mask: a regular expression (see `Mask`); what it matches is not kept.
        timing: whether the script is to wait as the server did.

    Attributes:
        changes: grows with everything that is said.
        full: whether something was said that is not kept, and so nothing is any more.
        lines: how many are kept.
        garbled: how often something was said that is no line.

    Raises:
        ScriptError: the regular expression is wrong.
    """

    log = Logger()

    def __init__(
        self, now: Callable[[], float], title: str = "", mask: str = "", timing: bool = True
    ) -> None:
        self.now = now
        self.changes = 0
        self.full = False
        self.lines = 0
        self.garbled = 0
        self._mask = Mask(mask) if mask else None
        self._title = title.encode(errors="backslashreplace").decode()  # of a path, maybe
        self._timing = timing
        self._why = ""  # it is full
        self._until = inf  # when it became so
        self._bytes = 0
        self._conversations: dict[Conversation, None] = {}  # in their order

    def begin(self) -> Conversation:
        """A conversation begins."""
        conversation = Conversation(self, self.now())
        if len(self._conversations) >= MOST_CONVERSATIONS:
            self.stop(f"there were more than {MOST_CONVERSATIONS:,} conversations")
        elif self._has_room(CONVERSATION):
            self._conversations[conversation] = None
        return conversation

    def over(self, conversation: Conversation) -> None:
        """A conversation has ended; it is forgotten if nothing was said, but for a greeting."""
        beginning, *said = conversation.exchanges
        if said or conversation not in self._conversations:
            self.changes += 1  # now it is known that no more was to come
            return
        greeting = next(iter(self._conversations)).exchanges[0]
        count = len(beginning.answers)
        if count and (beginning is greeting or beginning.answers != greeting.answers[:count]):
            return
        del self._conversations[conversation]
        self.lines -= count
        self._bytes -= CONVERSATION + sum(map(_size, beginning.answers))

    def take(self, line: str) -> str | None:
        """What is kept of a line; None if there is no room for it."""
        if self.full:
            return None
        if self._mask is not None:
            line = self._mask(line)
        if self.lines >= MOST:
            self.stop()
        if not self._has_room(_size(line)):
            return None
        self.lines += 1
        self.changes += 1
        return line

    def now_kept(self) -> float:
        """The time up to which everything is kept."""
        return min(self.now(), self._until)

    def remarks(self) -> list[str]:
        """Why it does not hold all that was said, one sentence each."""
        remarks = []
        if self.full:
            why = self._why and f": {self._why}"
            remarks.append(f"only the first {self.lines} lines were recorded{why}")
        if self.garbled:
            remarks.append(
                f"{self.garbled} lines were not recorded: they were too long, or no UTF-8"
            )
        if self._mask is not None and self._mask.blotted:
            remarks.append(
                f"{self._mask.blotted} lines are masked as a whole: the mask took too long"
            )
        return remarks

    def snapshot(self) -> Callable[[], tuple[Script, list[str]]]:
        """What was said until now.

        Returns:
            What makes the script of it, and remarks on it; can be called in another thread.
        """
        conversations = [each.snapshot() for each in self._conversations]
        title, timing, more = self._title, self._timing, self.remarks()

        def script() -> tuple[Script, list[str]]:
            made, remarks = compose(conversations, title, timing)
            return made, [*remarks, *more]

        return script

    def stop(self, why: str = "", lines: int | None = None) -> None:
        """Keep nothing any more.

        Args:
            why: why not, where it is not that there is no room.
            lines: how many lines are kept, even if it was full before; all that are there when
                left out.
        """
        if self.full and lines in (None, self.lines):
            return
        self._until = min(self._until, self.now())
        self.full = True
        self.changes += 1  # which the file is to tell
        self._why = why
        self.lines = self.lines if lines is None else lines
        self.log.warn("{remark}: no more are kept", remark=self.remarks()[0])

    def _has_room(self, size: int) -> bool:
        if self.full or self._bytes + size > MOST_BYTES:
            self.stop()
            return False
        self._bytes += size
        return True


def _size(line: str) -> int:
    """The bytes of memory that a line takes, about."""
    return sys.getsizeof(line) + LINE
