"""What a command is: its arguments, in a line or by name, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from twisted_sock.display import one_line

Data = dict[str, Any]


class Refused(Exception):
    """A command is not done.

    Args:
        code: why, as a word for programs.
        words: why, in one line.
    """

    def __init__(self, code: str, words: str) -> None:
        super().__init__(f"{code} {one_line(words)}")
        self.code = code
        self.words = one_line(words)


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Args:
        usage: its arguments as the help shows them: `ID [SECONDS]`; one that ends in `...` takes
            all that is left of the line, spaces included.
        help: what it does.
        act: does it.
        asks: whether it changes nothing.
    """

    usage: str
    help: str
    act: Callable[[Any, Mapping[str, Any]], Iterator[Data]]
    asks: bool = False

    @property
    def names(self) -> list[str]:
        """The names of its arguments."""
        return [word.strip("[].").lower() for word in self.usage.split()]

    def split(self, text: str) -> dict[str, str]:
        """Its arguments from what stands behind its name in a line."""
        values: dict[str, str] = {}
        there = bool(text)
        for name, word in zip(self.names, self.usage.split(), strict=True):
            if not there:
                break
            rest = word.strip("[]").endswith("...")
            value, space, text = (text, "", "") if rest else text.partition(" ")
            values[name] = value
            there = bool(space)
        if text.strip():
            raise Refused("usage", f"too many words; it takes {self.usage or 'none'}")
        return values

    def check(self, values: Mapping[str, Any]) -> None:
        """See that the arguments are there, and no others.

        Raises:
            Refused: they are not.
        """
        for name in values:
            if name not in self.names:
                raise Refused("usage", f"it takes {self.usage or 'no arguments'}, not {name}")
        for name, word in zip(self.names, self.usage.split(), strict=True):
            if not word.startswith("[") and name not in values:
                raise Refused("usage", f"{word.strip('.')} is missing; it takes {self.usage}")
