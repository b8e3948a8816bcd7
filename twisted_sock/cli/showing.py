"""What a person is shown of what a peer says: lines made safe, or bytes.

    shower = make_shower(policy, in_hex=False)
    shower.feed(data)   # a list of lines to show
    shower.end()        # those that the end completes

Control characters are shown as escapes, so that a server cannot paint on the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from twisted_sock.display import escape
from twisted_sock.errors import Problem
from twisted_sock.framing import Run, make_framer
from twisted_sock.settings import LinePolicy

#: Bytes in a row of hexadecimal.
ROW = 16


class Shower(Protocol):
    """Makes lines to show of the bytes that come."""

    def feed(self, data: bytes) -> list[str]:
        """The lines to show for these bytes, and for those that waited for them."""

    def end(self) -> list[str]:
        """The lines to show for what was left over."""


def make_shower(policy: LinePolicy, in_hex: bool) -> Shower:
    """What shows one connection.

    Args:
        policy: what a line is; its `invalid` should be "replace", its `overlong` "truncate".
        in_hex: whether to show bytes.
    """
    return HexShower() if in_hex else LineShower(policy)


class LineShower:
    """Shows lines, or chunks, as safe text.

    Args:
        policy: what a line is.
    """

    def __init__(self, policy: LinePolicy) -> None:
        self._framer = make_framer(policy)

    def feed(self, data: bytes) -> list[str]:
        """The lines that these bytes complete."""
        return list(_shown(self._framer.feed(data)))

    def end(self) -> list[str]:
        """The line that was not ended."""
        return list(_shown(self._framer.end()))


def _shown(runs: list[Run]) -> Iterator[str]:
    for run in runs:
        if isinstance(run, Problem):
            yield f"({run.words})"
        else:
            yield from map(escape, run)


class HexShower:
    """Shows bytes, sixteen in a row, with their offset and what of them is ASCII."""

    def __init__(self) -> None:
        self._offset = 0

    def feed(self, data: bytes) -> list[str]:
        """The rows of these bytes."""
        return list(self._rows(data))

    def end(self) -> list[str]:
        """Nothing is left over."""
        return []

    def _rows(self, data: bytes) -> Iterator[str]:
        for start in range(0, len(data), ROW):
            piece = data[start : start + ROW]
            text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
            yield f"{self._offset:08x}  {piece.hex(' '):{3 * ROW - 1}}  |{text}|"
            self._offset += len(piece)
