"""Regular expressions that cannot run away: the package `regex`, with a time limit.

Python's own `re` cannot be stopped: `(a+)+b` on thirty letters takes minutes, and the server
stands still for as long. `regex` can, and is imported nowhere else. What it cannot do is compile
`((a{1000}){1000}){1000}` without filling the memory, so that is refused before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from twisted_sock.errors import ScriptError
from twisted_sock.script.captured import Captured
from twisted_sock.script.regex_text import longest_unwatched, same_in_re, steps

#: Seconds that a pattern may take for one line.
LIMIT = 0.05

#: Steps that a pattern may have: `(ab){3}` has six.
LARGEST = 100_000

INSTALL = "a regular expression needs `pip install 'twisted_sock[mock]'`"


class Runaway(Exception):
    """A pattern took too long for a line, and was stopped."""


#: What a pattern captures of a line; None if it does not match all of it.
Find = Callable[[str], Captured | None]


class Pattern:
    """A regular expression for whole lines, made by `compile`.

    Attributes:
        text: as it was written.
        groups: how many groups it has.
        names: their names, of those that have one.
        numbers: the numbers of those, by their names.
        match: finds what it captures of a line; raises `Runaway` when that takes longer than
            `LIMIT`.
        plainly: finds the same sooner, with `re`, and each group takes part; but only in lines
            that are ASCII and not longer than `longest`.
        longest: characters; -1: `plainly` cannot be used.
    """

    __slots__ = ("groups", "longest", "match", "names", "numbers", "plainly", "text")

    def __init__(self, text: str, compiled: Any) -> None:
        self.text = text
        self.groups: int = compiled.groups
        self.numbers: Mapping[str, int] = compiled.groupindex
        self.names = frozenset(self.numbers)
        unwatched = longest_unwatched(text)
        self.match = _watching(compiled.fullmatch, unwatched)
        plainly = _plainly(text)
        self.plainly: Find = plainly or self.match
        self.longest = unwatched if plainly else -1


def _plainly(text: str) -> Find | None:
    if not same_in_re(text):
        return None
    try:
        compiled = re.compile(text, re.ASCII)
    except re.error:
        return None
    return cast(Find, compiled.fullmatch)


def _watching(fullmatch: Callable[..., Any], unwatched: int) -> Find:
    """Watch how long it takes, where it could take long."""

    def match(line: str) -> Captured | None:
        found: Captured | None
        try:
            found = fullmatch(line) if len(line) <= unwatched else fullmatch(line, timeout=LIMIT)
        except TimeoutError:
            raise Runaway from None
        return found

    return match


def compile(text: str) -> Pattern:
    """Make a pattern of its text.

    Raises:
        ScriptError: it is wrong, or the package `regex` is not installed.
    """
    return Pattern(text, _compiled(text))


def finder(text: str) -> Callable[[str], Iterator[Any]]:
    """What finds a pattern wherever it is in a line: its matches, one after the other.

    It raises `Runaway` when that takes longer than `LIMIT`.

    Raises:
        ScriptError: it is wrong, or the package `regex` is not installed.
    """
    finditer = _compiled(text).finditer

    def find(line: str) -> Iterator[Any]:
        try:
            yield from finditer(line, timeout=LIMIT)
        except TimeoutError:
            raise Runaway from None

    return find


def _compiled(text: str) -> Any:
    """A pattern of `regex`.

    Raises:
        ScriptError: it is wrong, or the package is not installed.
    """
    try:
        import regex
    except ImportError:
        raise ScriptError(INSTALL) from None
    if steps(text) > LARGEST:
        raise ScriptError(f"it is too large, or repeats too often: {text[:60]!r}")
    try:
        return regex.compile(text)
    except regex.error as error:
        raise ScriptError(f"{error}: {text[:60]!r}") from None
    except (RecursionError, OverflowError, ValueError) as error:
        raise ScriptError(f"it cannot be used ({type(error).__name__}): {text[:60]!r}") from None
