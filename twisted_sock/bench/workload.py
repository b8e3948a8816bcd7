"""The lines that a load generator says, and those it should hear, encoded once; pure.

A `Cycle` holds lines one after another in one piece of bytes. What to send next is a slice of
it, and what should come next is found in it at a place, so neither costs work for each line.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, cycle, islice

from twisted_sock.errors import SettingError

LF, CRLF = b"\n", b"\r\n"
ENDINGS = {"lf": LF, "crlf": CRLF}

#: Lines that are generated, and the bytes that all of them together may have.
VARIETY = 1000
AT_MOST = 1 << 20

#: What generated text is made of, by the bytes of a character in UTF-8: letters of all kinds,
#: nothing that ends a line or moves a cursor.
RANGES = ((0x20, 0x7E), (0xC0, 0x24F), (0x4E00, 0x9FA5), (0x1F300, 0x1F5FF))


class Cycle:
    """Lines to be said or heard over and over.

    Args:
        lines: at least one, without delimiters.
        ending: the delimiter.
        run: any so many lines that follow one another lie in one piece.

    Attributes:
        data: the lines, and the first `run` of them again.
        starts: where in it each line begins, and at last where the data end.
        size: how many lines there are.
    """

    __slots__ = ("data", "size", "starts")

    def __init__(self, lines: Sequence[bytes], ending: bytes, run: int) -> None:
        again = islice(cycle(lines), run)
        ended = [line + ending for line in chain(lines, again)]
        self.size = len(lines)
        self.data = b"".join(ended)
        self.starts = array("Q", accumulate(map(len, ended), initial=0))

    def take(self, first: int, count: int) -> bytes:
        """So many lines, at most `run`, from the `first` on."""
        starts = self.starts
        return self.data[starts[first] : starts[first + count]]


def one_line(text: str, longest: int) -> list[bytes]:
    """The one line that is given.

    Raises:
        SettingError: it is not one line, or too long.
    """
    return checked([text.encode("utf-8", "surrogateescape")], longest)


def lines_of(content: bytes, longest: int) -> list[bytes]:
    """The lines of a file, whatever of LF and CRLF ends them.

    Raises:
        SettingError: there are none, or one is too long.
    """
    lines = content.split(LF)
    if not lines[-1]:
        del lines[-1]
    if not lines:
        raise SettingError("there are no lines in it")
    return checked([line.removesuffix(b"\r") for line in lines], longest)


def generated(size: int, seed: int, longest: int) -> list[bytes]:
    """Lines of random text, each of so many bytes of UTF-8.

    Raises:
        SettingError: that is too long for a line.
    """
    checked([b"x" * min(size, longest + 1)], longest)
    source = random.Random(seed)
    count = max(1, min(VARIETY, AT_MOST // max(1, size)))
    return ["".join(_characters(source, size)).encode() for _ in range(count)]


def _characters(source: random.Random, size: int) -> Iterator[str]:
    """Random characters of one to four bytes, of so many together."""
    while size:
        width = source.randint(1, min(size, len(RANGES)))
        size -= width
        yield chr(source.randint(*RANGES[width - 1]))


def checked(lines: list[bytes], longest: int) -> list[bytes]:
    """The same lines, if they can be said.

    Raises:
        SettingError: one holds the end of a line, or is longer than `longest` bytes.
    """
    for number, line in enumerate(lines, 1):
        if LF in line or line.endswith(b"\r"):
            raise SettingError("a line cannot hold a newline, or end in CR")
        if len(line) > longest:
            raise SettingError(f"line {number} has {len(line)} bytes, more than --max-line")
    return lines
