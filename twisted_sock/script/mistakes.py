"""Checks tables by what `keys` says of them, and collects what is wrong, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from difflib import get_close_matches
from typing import Any

from twisted_sock.display import one_line
from twisted_sock.script.keys import TABLES, Table, fits
from twisted_sock.script.places import Path, Places


@dataclass(frozen=True, slots=True)
class At:
    """A table in the file.

    Args:
        path: how it is reached.
        title: what messages call it: "rule 3 (login): "; empty for the script itself.
    """

    path: Path = ()
    title: str = ""

    def inside(self, key: str, number: int = 0, name: object = None) -> At:
        """The table that is a value in this one.

        Args:
            key: whose value it is.
            number: which one of a list, from 1; 0 when it is none.
            name: what it is called, if that is a text.
        """
        path = (*self.path, key, number - 1) if number else (*self.path, key)
        called = f"{key} {number}" if number else key
        called += f" ({name[:100]})" if isinstance(name, str) and name else ""
        return At(path, f"{self.title}{called}: ")


class Mistakes:
    """What is wrong with a script.

    Args:
        path: what messages call the file.
        places: where everything is in it.
    """

    def __init__(self, path: str, places: Places) -> None:
        self.path = path
        self._places = places
        self._found: list[tuple[int, str]] = []

    def in_order(self) -> tuple[str, ...]:
        """One line each, in the order of the file."""
        return tuple(words for _, words in sorted(self._found, key=lambda each: each[0]))

    def line(self, at: At) -> int:
        """Where a table begins; 0 if that is not known."""
        return self._places.line(at.path)

    def add(self, at: At, key: str, words: str, *inside: int) -> None:
        """Note a mistake.

        Args:
            at: in which table.
            key: which of its keys; empty: the table itself.
            words: what is wrong.
            inside: which member of the list that the key has.
        """
        self._note(at, f"{key}: {words}" if key else words, key, *inside)

    def table(self, name: str, data: Mapping[str, Any], at: At) -> dict[str, Any]:
        """Check a table.

        Args:
            name: which one it is of `TABLES`.
            data: what is in it.
            at: where it is.

        Returns:
            What is right in it.
        """
        table = TABLES[name]
        good = {}
        for key, value in data.items():
            if key not in table.by_name:
                self._note(at, _unknown(key, list(table.by_name)), key)
            elif not fits(table.by_name[key].kind.schema, value):
                self.add(at, key, f"{table.by_name[key].kind.words}, not {shown(value)}")
            else:
                good[key] = value
        self._missing(table, data, at)
        for apart in table.apart:
            first, *more = [key for key in data if key in apart] or [""]
            for key in more:
                self.add(at, key, f"it cannot be together with {first}")
        return good

    def _missing(self, table: Table, data: Mapping[str, Any], at: At) -> None:
        for key in table.required:
            if key not in data:
                self.add(at, "", f"{key} is missing")
        if table.some and not any(key in data for key in table.some):
            self.add(at, "", f"{' or '.join(table.some)} is missing")

    def _note(self, at: At, words: str, *inside: str | int) -> None:
        line = self._places.line((*at.path, *inside))
        place = f"{self.path}:{line}" if line else self.path
        self._found.append((line, one_line(f"{place}: {at.title}{words}")))


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key[:100], known, 1)
    hint = f"did you mean '{near[0]}'?" if near else "there are " + ", ".join(known)
    return f"there is no '{key[:40]}'; {hint}"


def shown(value: object) -> str:
    """A value as a message shows it."""
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 40 else f'"{value[:40]}..."'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**20:
        return "one so large"
    for kind, words in _WORDS:
        if isinstance(value, kind):
            return words
    return str(value)


#: What stands for values that are not shown.
_WORDS: tuple[tuple[type, str], ...] = (
    (dict, "such a table"),
    (list, "such a list"),
    (date, "a date"),
    (time, "a time"),
    (type(None), "nothing"),
)
