"""Takes the secrets out of what is recorded.

A mask is a regular expression. In doubt too much is masked, never too little: a pattern that
takes too long for a line masks all of it, and one that did so often masks all from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from twisted.logger import Logger

from twisted_sock.errors import ScriptError
from twisted_sock.script.pattern import Runaway, finder

#: Stands for what is masked while a script is made: no line can hold it.
MARK = "\ud800"

#: How often a mask may take too long; then it is not tried any more, so that nobody has to wait.
MOST_RUNAWAYS = 20


class Mask:
    """Masks what a pattern matches; called with a line, it gives what may be kept of it.

    Args:
        pattern: a regular expression. What its groups match goes, or all that it matches when
            it has none, or when none of them took part.

    Attributes:
        runaways: how often it took too long.
        blotted: how many lines were masked as a whole because of that.

    Raises:
        ScriptError: it is wrong, or the package `regex` is not installed.
    """

    log = Logger()

    def __init__(self, pattern: str) -> None:
        try:
            self._find = finder(pattern)
        except ScriptError as error:
            raise ScriptError(f"mask: {error}") from None
        self.runaways = 0
        self.blotted = 0

    def __call__(self, line: str) -> str:
        """What may be kept of a line, with marks in it."""
        if self.runaways < MOST_RUNAWAYS:
            try:
                return _without(line, sorted(_secrets(self._find(line))))
            except Runaway:
                self._ran_away()
        self.blotted += 1
        return MARK

    def _ran_away(self) -> None:
        if not self.runaways:
            self.log.warn("the mask took too long for a line, and masks all of it; told once")
        self.runaways += 1


def _secrets(matches: Iterable[Any]) -> Iterator[tuple[int, int]]:
    """From where to where there is something to mask; may overlap."""
    for match in matches:
        groups = range(1, len(match.groups()) + 1)
        spans = [span for group in groups for span in match.spans(group)]
        yield from spans or [match.span()]


def _without(line: str, secrets: list[tuple[int, int]]) -> str:
    """A line with marks instead of its secrets, which are in their order."""
    kept: list[str] = []
    at = 0
    for start, end in secrets:
        if start < end and end > at:
            if start > at or not kept:
                kept += [line[at:start], MARK]
            at = end
    return "".join([*kept, line[at:]])
