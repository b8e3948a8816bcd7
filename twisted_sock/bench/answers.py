"""Whether answers are right: what should come is known as bytes, and compared as bytes; pure.

A *check* follows one connection. The common case costs one comparison of a whole chunk with the
bytes that should come, at the speed of `memcmp`. Only what differs is looked at line by line,
until what comes is in step again.

Answers may end in LF or CRLF, whatever the lines that are sent end in: the first answer on a
connection shows which, and the others must end alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

from twisted_sock.bench.workload import CRLF, LF, Cycle, one_line
from twisted_sock.display import show
from twisted_sock.errors import SettingError

#: Characters of a text that is shown in a report.
SHOWN = 24

#: What is told of a wrong answer.
Complain = Callable[[str], None]


class Check(Protocol):
    """Checks what comes on one connection."""

    def heard(self, data: bytes, most: int) -> int:
        """Take what came.

        Args:
            data: at least one byte.
            most: lines that wait for their answers.

        Returns:
            How many answers are complete with this.

        Raises:
            OutOfStep: more came than was asked for, or an answer does not end.
        """


class Expectation(Protocol):
    """What a right answer is."""

    def check(self, first: int, complain: Complain) -> Check:
        """The check of a new connection, whose first line is the `first` of the cycle."""


class OutOfStep(Exception):
    """What comes does not belong to what was asked any more; the words tell why."""


def parse_expectation(text: str, lines: Sequence[bytes], run: int, longest: int) -> Expectation:
    """The expectation that a text stands for.

    Args:
        text: `echo`, `any`, `regex:PATTERN`, `text:TEXT`, or any other text for itself.
        lines: what is said.
        run: the most lines in flight.
        longest: bytes that an answer may have.

    Raises:
        SettingError: it stands for none.
    """
    kind, colon, rest = text.partition(":")
    if text == "echo":
        return Known(lines, run, longest)
    if text == "any":
        return Loose(None, longest)
    if colon and kind == "regex":
        return Loose(rest, longest)
    return Known(one_line(rest if colon and kind == "text" else text, longest), run, longest)


class Known:
    """Every answer is known: the first line that is said gets the first of them, and so on.

    Args:
        answers: in the order of the lines; over and over, as they are.
        run: the most lines in flight.
        longest: bytes that an answer may have.
    """

    def __init__(self, answers: Sequence[bytes], run: int, longest: int) -> None:
        self.longest = longest
        self.count = len(answers)
        self.ending = cache(lambda ending: Cycle(answers, ending, run))

    def check(self, first: int, complain: Complain) -> Check:
        """The check of a new connection (see `Expectation`)."""
        return KnownCheck(self, first % self.count, complain)


class KnownCheck:
    """Compares what comes with what should come.

    While it is in step, everything so far was right, and `_at` is the place in the cycle where
    what comes next is found. Out of step, `_tail` is what came of an answer that is not right.
    """

    __slots__ = ("_at", "_complain", "_cycle", "_expected", "_fresh", "_in_step", "_line", "_tail")

    def __init__(self, expected: Known, first: int, complain: Complain) -> None:
        self._expected = expected
        self._complain = complain
        self._cycle: Cycle = expected.ending(LF)
        self._line = first
        self._at = self._cycle.starts[first]
        self._in_step = True
        self._tail = b""
        self._fresh = True  # no answer has shown yet what ends it

    def heard(self, data: bytes, most: int) -> int:
        """Take what came (see `Check`)."""
        cycle = self._cycle
        at = self._at + len(data)
        if not (self._in_step and cycle.data.startswith(data, self._at)):
            return self._look(data, most)
        end = cycle.starts[self._line + most]
        if at > end:
            raise OutOfStep("more answers than lines")
        lines = most if at == end else data.count(LF)
        self._advance(lines, at)
        return lines

    def _advance(self, lines: int, at: int) -> None:
        """So many answers are complete, and the next byte is found in the cycle at `at`."""
        cycle = self._cycle
        if lines:
            self._fresh = False
        line = self._line + lines
        if line >= cycle.size:
            rounds = line // cycle.size
            line -= rounds * cycle.size
            at -= rounds * cycle.starts[cycle.size]
        self._line, self._at = line, at

    def _look(self, data: bytes, most: int) -> int:
        """Take what is not what should come: compare it line by line."""
        cycle = self._cycle
        if self._in_step:  # what came of this answer so far was right
            self._tail = cycle.data[cycle.starts[self._line] : self._at]
            self._in_step = False
        came = self._tail + data
        if self._fresh and LF in came and self._learn(came):
            return self.heard(came, most)
        *answers, self._tail = came.split(LF)
        for answer in answers[:most]:
            self._compare(answer)
        see_bounds([*answers, self._tail], most, self._expected.longest)
        self._catch_step()
        return len(answers)

    def _learn(self, came: bytes) -> bool:
        """See what ends the first answer; whether that is not what was thought."""
        self._fresh = False
        ending = CRLF if came[: came.index(LF)].endswith(b"\r") else LF
        cycle = self._expected.ending(ending)
        if cycle is self._cycle:
            return False
        self._cycle = cycle
        self._at = cycle.starts[self._line]
        self._in_step = True
        return True

    def _compare(self, answer: bytes) -> None:
        right = self._cycle.take(self._line, 1)
        if answer + LF != right:
            self._complain(f"answered {shown(answer)}, not {shown(right[:-1])}")
        self._advance(1, 0)

    def _catch_step(self) -> None:
        """If what came of the next answer is right so far, go on by comparing bytes."""
        cycle = self._cycle
        start = cycle.starts[self._line]
        if cycle.data.startswith(self._tail, start):
            self._at = start + len(self._tail)
            self._in_step = True


class Loose:
    """Answers are not known, but can be looked at.

    Args:
        pattern: what each must match as a whole; None if there only has to be one.
        longest: bytes that an answer may have.

    Raises:
        SettingError: the pattern is none.
    """

    def __init__(self, pattern: str | None, longest: int) -> None:
        try:
            self.pattern = None if pattern is None else re.compile(pattern)
        except re.error as error:
            raise SettingError(f"not a regular expression: {error}") from None
        self.longest = longest

    def check(self, first: int, complain: Complain) -> Check:
        """The check of a new connection (see `Expectation`)."""
        return LooseCheck(self, complain)


class LooseCheck:
    """Counts what comes, and matches it if there is a pattern."""

    __slots__ = ("_complain", "_expected", "_tail")

    def __init__(self, expected: Loose, complain: Complain) -> None:
        self._expected = expected
        self._complain = complain
        self._tail = b""

    def heard(self, data: bytes, most: int) -> int:
        """Take what came (see `Check`)."""
        *answers, self._tail = (self._tail + data).split(LF)
        if self._expected.pattern is not None:
            self._match(answers[:most])
        see_bounds([*answers, self._tail], most, self._expected.longest)
        return len(answers)

    def _match(self, answers: list[bytes]) -> None:
        pattern = self._expected.pattern
        assert pattern is not None
        for answer in answers:
            text = answer.removesuffix(b"\r").decode(errors="replace")
            if not pattern.fullmatch(text):
                self._complain(f"answered {shown(answer)}, which does not match")


def see_bounds(came: list[bytes], most: int, longest: int) -> None:
    """See that no more came than was asked for.

    Args:
        came: answers, and at last what came of the next one.
        most: lines that wait for their answers.
        longest: bytes that an answer may have.

    Raises:
        OutOfStep: more came, or it does not end.
    """
    unasked = b"".join(came[most : most + 1])
    if unasked or len(came) - 1 > most:
        raise OutOfStep(f"said {shown(unasked)} unasked")
    if len(came[-1]) > longest:
        raise OutOfStep(f"an answer is longer than {longest} bytes")


def shown(data: bytes) -> str:
    """Some bytes as a short text that is safe to show."""
    text = data[: 4 * SHOWN].decode(errors="replace")
    short = text if len(text) <= SHOWN and len(data) <= 4 * SHOWN else text[:SHOWN] + "…"
    return f"'{show(short)}'"
