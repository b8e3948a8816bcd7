"""On which line of a TOML text each key stands, which `tomllib` does not tell.

The text is right, as `tomllib` has read it already; so it is only cut into words and followed.
That takes longer than to read it, and only mistakes need most of it: where lists of tables begin,
which rules are to tell, is found at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

#: How a value is reached: `("rule", 2, "push", 0, "line")`.
Path = tuple[str | int, ...]

_WORD = re.compile(
    r"""
    \#[^\n]*
    | "{3} (?: \\. | [^\\] )*? "{3,5} | '{3} .*? '{3,5}
    | " (?: \\. | [^"\\\n] )* " | ' [^'\n]* '
    | [A-Za-z0-9_-]+ | \n | \S
    """,
    re.VERBOSE | re.DOTALL,
)

#: What ends a value that is neither a list nor a table.
_ENDS = ("\n", ",", "]", "}", "")


#: `[[rule]]`, as it is mostly written.
_TABLE = re.compile(r"^[ \t]*\[\[[ \t]*([A-Za-z0-9_-]+)[ \t]*\]\]", re.MULTILINE)


class Places:
    """The lines of everything in a text; what takes long is only done when it is asked for.

    Args:
        text: some TOML that `tomllib` can read; empty if there is no file.
        data: what it has read.
    """

    def __init__(self, text: str = "", data: Mapping[str, Any] | None = None) -> None:
        self._text = text
        self._tables = _tables(text, data or {})
        self._all: dict[Path, int] | None = None

    def line(self, path: Path) -> int:
        """The line of a path, or of the next thing around it that has one; 0 if nothing has."""
        found = self._tables.get(path)
        if found is not None:
            return found
        if self._all is None:
            self._all = places(self._text)
        return line_of(self._all, path)


def _tables(text: str, data: Mapping[str, Any]) -> dict[Path, int]:
    """The lines of the tables in lists, of those lists that are sure."""
    if '"""' in text or "'''" in text:  # what looks like a table may be part of a text
        return {}
    found: dict[str, list[int]] = {}
    line = 1
    start = 0
    for table in _TABLE.finditer(text):
        line += text.count("\n", start, table.start())
        start = table.start()
        found.setdefault(table[1], []).append(line)
    return {
        (name, number): line
        for name, lines in found.items()
        if len(lines) == len(data.get(name, ()))  # else some are written otherwise
        for number, line in enumerate(lines)
    }


def places(text: str) -> dict[Path, int]:
    """The lines of all keys, tables and members of lists.

    Args:
        text: some TOML that `tomllib` can read.

    Returns:
        By their paths, lines counted from 1.
    """
    following = _Following(text)
    with suppress(RecursionError):  # lists in lists in lists ...: some lines are not known
        following.all()
    return following.lines


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of a path, or of the next thing around it that has one; 0 if nothing has."""
    for size in range(len(path), 0, -1):
        if path[:size] in lines:
            return lines[path[:size]]
    return 0


class _Following:
    """Goes along a text word by word, and notes where it is.

    Attributes:
        lines: what was noted.
    """

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._words = _words(text)
        self._word, self._line = next(self._words)
        self._counts: dict[Path, int] = {}

    def all(self) -> None:
        """Go to the end."""
        table: Path = ()
        while self._word:
            if self._word == "\n":
                self._take()
            elif self._word == "[":
                table = self._header()
            else:
                self._pair(table)

    def _take(self) -> str:
        """The word that we are at; goes on to the next, which is empty behind the last."""
        word = self._word
        self._word, self._line = next(self._words, ("", self._line))
        return word

    def _header(self) -> Path:
        """`[a.b]`, or `[[a.b]]`, which begins one more table of a list."""
        line = self._line
        self._take()
        another = self._word == "["
        if another:
            self._take()
        path: Path = ()
        names = self._names()
        for number, name in enumerate(names, 1):
            path = (*path, name)
            if another and number == len(names):
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        self._note(path, line)
        while self._word not in ("\n", ""):
            self._take()
        return path

    def _names(self) -> list[str]:
        """The parts of a key: `a."b c".d`."""
        names = [_plain(self._take())]
        while self._word == ".":
            self._take()
            names.append(_plain(self._take()))
        return names

    def _note(self, path: Path, line: int) -> None:
        """Note where a thing is, and with it what is around it, unless that was seen before."""
        for size in range(len(path), 0, -1):
            self.lines.setdefault(path[:size], line)

    def _pair(self, table: Path) -> None:
        """`key = value`."""
        line = self._line
        path = (*table, *self._names())
        self._note(path, line)
        self._take()  # the equals sign
        self._value(path)

    def _value(self, path: Path) -> None:
        word = self._take()
        if word == "[":
            self._list(path)
        elif word == "{":
            self._inline(path)
        else:
            while self._word not in _ENDS:  # a date may be two words, a number has signs
                self._take()

    def _list(self, path: Path) -> None:
        number = 0
        while self._word not in ("]", ""):
            if self._word in ("\n", ","):
                self._take()
                continue
            self._note((*path, number), self._line)
            self._value((*path, number))
            number += 1
        self._take()

    def _inline(self, path: Path) -> None:
        while self._word not in ("}", ""):
            if self._word in ("\n", ","):
                self._take()
            else:
                self._pair(path)
        self._take()


def _words(text: str) -> Iterator[tuple[str, int]]:
    """The words of a text and their lines, without the comments; behind the last, an empty one."""
    line = 1
    for found in _WORD.finditer(text):
        word = found[0]
        if word[0] != "#":
            yield word, line
            line += word.count("\n")
    yield "", line


def _plain(word: str) -> str:
    """A part of a key without its quotes."""
    return str(tomllib.loads(f"k = {word}")["k"]) if word[:1] in ("'", '"') else word
