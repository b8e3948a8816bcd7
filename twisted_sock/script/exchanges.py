"""What a client said, and what it heard of the server until it said something again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate


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
    """

    line: str | None
    at: float
    answers: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    closed: bool = False
    open: bool = False

    @property
    def heard(self) -> tuple[tuple[str, ...], bool]:
        """All that the client heard of it, whenever that was."""
        return tuple(self.answers), self.closed


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
    last = talk[-1]
    talk[-1] = replace(last, open=not last.closed)
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
        Exchange(each.line, each.at, [answer], [at], each.closed, each.open)
        for each, (answer, at) in zip(talk, said, strict=True)
    ]
