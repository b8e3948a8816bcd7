"""What a load has met with so far; pure, and of a fixed size however long it takes."""

from __future__ import annotations

from collections import Counter

from twisted_sock.bench.histogram import Histogram

#: Different reasons that are kept; the rest are counted together.
REASONS = 20
OTHERS = "other reasons"


class Tally:
    """The counts of one load.

    Errors are never forgotten, those of a warm-up neither; the rest is what was measured.

    Attributes:
        latency: of every answer, right or wrong.
        right: right answers.
        bytes_in: bytes that came.
        bytes_out: bytes that were sent.
        seconds: how long it took, once it is over.
        waiting: the most lines that were due and could not be sent yet.
        wrong: wrong answers.
        lost: lines that were sent and never answered.
        unsent: lines that were due and never sent.
        refused: connections that could not be made.
        broken: connections that ended before the load did.
        reasons: what was said of all these, and how often.
        interrupted: whether the load was stopped before its end.
    """

    def __init__(self) -> None:
        self.wrong = self.lost = self.unsent = self.refused = self.broken = 0
        self.reasons: Counter[str] = Counter()
        self.interrupted = False
        self.restart()

    def restart(self) -> None:
        """Begin to measure."""
        self.latency = Histogram()
        self.right = self.bytes_in = self.bytes_out = self.waiting = 0
        self.seconds = 0.0

    @property
    def errors(self) -> int:
        """Everything that went wrong, lines and connections."""
        return self.wrong + self.lost + self.unsent + self.refused + self.broken

    @property
    def rate(self) -> float:
        """Right answers per second."""
        return self.right / self.seconds if self.seconds else 0.0

    def complain(self, why: str) -> None:
        """An answer is wrong."""
        self.wrong += 1
        self.explain(why)

    def explain(self, why: str) -> None:
        """Keep what was said of an error."""
        known = why in self.reasons or len(self.reasons) < REASONS
        self.reasons[why if known else OTHERS] += 1
