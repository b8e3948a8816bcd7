"""What a command is: its arguments, in a line or by name, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Argument(NamedTuple):
    """One argument of a command.

    Args:
        word: how the help shows it.
        name: its name.
        needed: whether it has to be there.
        rest: whether it takes all that is left of a line, spaces included.
        part: the name of what may follow behind a dot; empty for nothing.
    """

    word: str
    name: str
    needed: bool
    rest: bool
    part: str

    @classmethod
    def read(cls, word: str) -> Argument:
        """An argument as a usage shows it: `ID`, `ID[.LINE]`, `[SECONDS]`, `TEXT...`."""
        bare = word.removesuffix("...")
        needed = not bare.startswith("[")
        name, _, part = bare.strip("[]").lower().partition("[.")
        return cls(word, name, needed, bare != word, part)


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Args:
        usage: its arguments as the help shows them: `ID [SECONDS]`; one that ends in `...` takes
            all that is left of the line, spaces included, and `ID[.LINE]` is two with a dot
            between them.
        help: what it does.
        act: does it.
        asks: whether it changes nothing.
    """

    usage: str
    help: str
    act: Callable[[Any, Mapping[str, Any]], Iterator[Data]]
    asks: bool = False

    @property
    def arguments(self) -> list[Argument]:
        """Its arguments."""
        return [Argument.read(word) for word in self.usage.split()]

    def split(self, text: str) -> dict[str, str]:
        """Its arguments from what stands behind its name in a line."""
        values: dict[str, str] = {}
        there = bool(text)
        for argument in self.arguments:
            if not there:
                break
            value, space, text = (text, "", "") if argument.rest else text.partition(" ")
            there = bool(space)
            if argument.part and "." in value:
                value, _, values[argument.part] = value.partition(".")
            values[argument.name] = value
        if text.strip():
            raise Refused("usage", f"too many words; it takes {self.usage or 'none'}")
        return values

    def check(self, values: Mapping[str, Any]) -> None:
        """See that the arguments are there, and no others, and that all texts are such.

        Raises:
            Refused: they are not.
        """
        known = {name for each in self.arguments for name in (each.name, each.part)}
        for name in values:
            if name not in known or not name:
                raise Refused("usage", f"it takes {self.usage or 'no arguments'}, not {name}")
        for argument in self.arguments:
            if argument.needed and argument.name not in values:
                words = f"{argument.name.upper()} is missing; it takes {self.usage}"
                raise Refused("usage", words)
        for text in texts(values):
            if not encodable(text):
                raise Refused("usage", "half of a surrogate pair is no text")


def texts(data: Any) -> Iterator[str]:
    """All texts in data of JSON, however deep it is."""
    left = [data]
    while left:
        each = left.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            left += [*each, *each.values()]
        elif isinstance(each, list):
            left += each


def encodable(text: str) -> bool:
    """Whether a text can be sent as UTF-8: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
