"""Regular expressions that cannot run away: the package `regex`, with a time limit.

Python's own `re` cannot be stopped: `(a+)+b` on thirty letters takes minutes, and the server
stands still for as long. `regex` can, and is imported nowhere else. What it cannot do is compile
`((a{1000}){1000}){1000}` without filling the memory, so that is refused before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from twisted_sock.errors import ScriptError

#: Seconds that a pattern may take for one line.
LIMIT = 0.05

#: Steps that it may take for one without being watched; to watch costs more than most lines do.
UNWATCHED = 100_000

NO_NAMES: Mapping[str, str | None] = {}

#: Steps that a pattern may have: `(ab){3}` has six.
LARGEST = 100_000

_STEP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{([0-9]{1,9})(?:,[0-9]*)?\}|.", re.DOTALL)

INSTALL = "a regular expression needs `pip install 'twisted_sock[mock]'`"


class Runaway(Exception):
    """A pattern took too long for a line, and was stopped."""


class Captured(NamedTuple):
    """What the groups of a pattern have matched; None for those that took no part.

    Args:
        groups: in their order.
        names: those that have one.
    """

    groups: tuple[str | None, ...]
    names: Mapping[str, str | None]


class Pattern:
    """A regular expression for whole lines, made by `compile`.

    Attributes:
        text: as it was written.
        groups: how many groups it has.
        names: their names, of those that have one.
    """

    __slots__ = ("_match", "_unwatched", "groups", "names", "text")

    def __init__(self, text: str, compiled: Any) -> None:
        self.text = text
        self.groups: int = compiled.groups
        self.names = frozenset(compiled.groupindex)
        self._match = compiled.fullmatch
        self._unwatched = _unwatched(text)

    def match(self, line: str) -> Captured | None:
        """What it captures of a line; None if it does not match all of it.

        Raises:
            Runaway: that took longer than `LIMIT`.
        """
        try:
            if len(line) <= self._unwatched:
                found = self._match(line)
            else:
                found = self._match(line, timeout=LIMIT)
        except TimeoutError:
            raise Runaway from None
        if found is None:
            return None
        return Captured(found.groups(), found.groupdict() if self.names else NO_NAMES)


def compile(text: str) -> Pattern:
    """Make a pattern of its text.

    Raises:
        ScriptError: it is wrong, or the package `regex` is not installed.
    """
    try:
        import regex
    except ImportError:
        raise ScriptError(INSTALL) from None
    if _steps(text) > LARGEST:
        raise ScriptError(f"it is too large, or repeats too often: {text[:60]!r}")
    try:
        return Pattern(text, regex.compile(text))
    except regex.error as error:
        raise ScriptError(f"{error}: {text[:60]!r}") from None
    except (RecursionError, OverflowError, ValueError) as error:
        raise ScriptError(f"it cannot be used ({type(error).__name__}): {text[:60]!r}") from None


def _steps(text: str) -> int:
    """About how many steps a pattern has once it is compiled, which unrolls what is repeated."""
    groups = [0]  # the steps of what is open: the pattern, a group, a group in it ...
    last = 0  # those of what would be repeated
    for found in _STEP.finditer(text):
        if found[1]:
            groups[-1] += last * (int(found[1]) - 1)
            last *= int(found[1])
        elif found[0] == "(":
            groups.append(0)
        elif found[0] == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif found[0] not in ("?", "*", "+", "|"):
            last = 1
            groups[-1] += 1
    return sum(groups)


def _unwatched(text: str) -> int:
    """The longest line for which a pattern can only take a few steps; -1: none.

    Where no group is repeated, each repetition ends in as many places as the line has, and each
    choice doubles that.
    """
    groups = text.replace("(?:", "(").replace("(?P<", "(")
    if any(doubt in groups for doubt in ("{", "(?", ")*", ")+")):
        return -1
    choices = text.count("?") + text.count("|")
    repeated = text.count("*") + text.count("+")
    return int((UNWATCHED / 2.0 ** min(choices, 60)) ** (1 / (1 + repeated)))
