"""What a client said, and what it heard of the server until it said something again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import inf

#: Seconds of silence after which what the server says is no longer of one piece; and by which it
#: may say something later than another time.
PAUSE = 0.2


@dataclass(slots=True)
class Exchange:
    """A line of the client, and what the server said until the next.

    Args:
        line: the client's; None at the beginning, before it has said anything.
        at: when, in seconds.
        answers: the server's lines.
        times: when each of them came.
        closed: whether the server then ended the conversation.
        open: whether more might have come, had the client not left.
        over: when the server ended the conversation, or the client left.
    """

    line: str | None
    at: float
    answers: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    closed: bool = False
    open: bool = False
    over: float = 0.0

    def close(self, now: float) -> None:
        """The server ends the conversation."""
        self.closed, self.over = True, now

    def leave(self, now: float) -> None:
        """The client leaves, if the server has not ended the conversation."""
        if not self.closed:
            self.open, self.over = True, now

    @property
    def heard(self) -> tuple[tuple[str, ...], bool]:
        """All that the client heard of it, whenever that was."""
        return tuple(self.answers), self.closed

    @property
    def known(self) -> tuple[int, bool, float]:
        """How much is known of what the server has to say to that line; more is larger."""
        return len(self.answers), not self.open, self.over - self.at

    def can_be(self, other: Exchange) -> bool:
        """Whether it is the beginning of another, of which at least as much is known."""
        if not self.open:
            return self.heard == other.heard
        count = len(self.answers)
        if self.answers != other.answers[:count]:
            return False
        # Would the client have seen what came next there?
        return self.over - self.at <= other.when(count) + PAUSE

    def when(self, count: int) -> float:
        """Seconds until more came than so many answers."""
        if count < len(self.times):
            return self.times[count] - self.at
        return self.over - self.at if self.closed else inf


def untangled(talk: Sequence[Exchange]) -> list[Exchange]:
    """Exchanges of a client that did not wait for answers, with the answers where they belong.

    When there are as many answers as lines, each line has one. What the client hears, and in
    which order, is the same; only that each answer may come before the client's next lines.
    """
    talk = list(talk)
    if _is_one_to_one(talk):
        talk = _dealt_out(talk)
    else:
        talk = [each for burst in _bursts(talk) for each in _dealt_out_if_even(burst)]
    return talk


def _is_one_to_one(talk: Sequence[Exchange]) -> bool:
    ahead = accumulate(1 - len(each.answers) for each in talk)
    *_, last = backlog = list(ahead)
    return last == 0 and min(backlog) >= 0


def _bursts(talk: Sequence[Exchange]) -> Iterator[list[Exchange]]:
    """Lines that were said one after another, each time up to the next that was answered."""
    burst: list[Exchange] = []
    for exchange in talk:
        burst.append(exchange)
        if exchange.answers:
            yield burst
            burst = []
    if burst:
        yield burst


def _dealt_out_if_even(burst: list[Exchange]) -> list[Exchange]:
    even = len(burst) == len(burst[-1].answers) > 1
    return _dealt_out(burst) if even else burst


def _dealt_out(talk: Sequence[Exchange]) -> list[Exchange]:
    """The same lines, each with one of the answers."""
    said = [pair for each in talk for pair in zip(each.answers, each.times, strict=True)]
    return [
        replace(each, answers=[answer], times=[at])
        for each, (answer, at) in zip(talk, said, strict=True)
    ]
