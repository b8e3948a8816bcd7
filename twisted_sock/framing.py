"""Bytes to lines of text and back: pure, no I/O.

A framer is fed what arrived, in pieces of any size, and returns *runs*: a list of lines, or a
`Problem` that stands where a line was not as it should be, all in the order of arrival. What is
not yet a whole line waits inside, never more than the length limit.

Work is linear in the bytes fed, however they are cut. The common case costs one decode and one
split for a whole chunk; only a chunk that breaks a rule is looked at line by line.

Only LF (or CRLF) ends a line. `str.splitlines` would also cut at VT, FF, FS, GS, RS, U+0085,
U+2028 and U+2029, which belong to the text.
"""

from __future__ import annotations

import codecs
import functools
import sys
from typing import Protocol

from twisted_sock.errors import Problem, Reason
from twisted_sock.settings import LinePolicy

Run = list[str] | Problem

CR = 0x0D
#: Bytes of a chunk from which on it is worth while to see whether its lines are long, and of a
#: line that is.
MUCH = 2048
LONG = 256

EMPTY = bytearray()  # shared by all connections that hold no tail; never written to


class Framer(Protocol):
    """What a transport needs to turn bytes into lines and lines into bytes."""

    @property
    def partial(self) -> bool:
        """Whether something was begun that more bytes must finish."""

    def whole_lines(self, data: bytes) -> list[str] | None:
        """The lines of a chunk, when it holds whole good lines as the last one did, and no more.

        The short way for the common case.

        Returns:
            The lines; or None: nothing was taken, `feed` it instead.
        """

    def feed(self, data: bytes) -> list[Run]:
        """Take what arrived; return the runs that it completes."""

    def end(self) -> list[Run]:
        """No more will come; return what the end of input completes."""

    def encode(self, lines: list[str]) -> bytes:
        """The bytes to send for some lines.

        Raises:
            ValueError: a line holds a newline, or a lone surrogate; nothing was encoded.
        """


def make_framer(policy: LinePolicy) -> Framer:
    """A fresh framer for one connection."""
    return LineFramer(policy) if policy.framing == "lines" else ChunkFramer(policy)


class LineFramer:
    """Lines ended by LF or CRLF, as the policy says.

    Attributes:
        partial: whether a line was begun and not ended.
    """

    __slots__ = (
        "_delimiter",
        "_ending",
        "_eol",
        "_lenient",
        "_limit",
        "_over",
        "_policy",
        "_skipping",
        "_tail",
        "partial",
    )

    def __init__(self, policy: LinePolicy) -> None:
        self._policy = policy
        self._limit = policy.max_line or sys.maxsize
        self._delimiter = b"\r\n" if policy.delimiter == "crlf" else b"\n"
        self._ending = self._delimiter  # what our lines end in, and the peer's last did
        self._eol = self._ending.decode()
        self._lenient = policy.delimiter == "lenient"
        self._tail = EMPTY
        self._skipping = False  # inside a line that is too long: throw away up to its end
        self._over = False  # a problem has ended the conversation: nothing more is read
        self.partial = False

    def whole_lines(self, data: bytes | bytearray) -> list[str] | None:
        """The lines of a chunk that is like the last one, or None (see `Framer`)."""
        if self.partial or self._over or not data.endswith(self._ending):
            return None
        size = len(data)
        if size > MUCH and sparse(data):
            return None
        if size > self._limit and self._longest(data) > self._limit:
            return None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        eol = self._eol
        lines = text.split(eol)
        if self._lenient and (text.count("\n") >= len(lines) if eol != "\n" else "\r" in text):
            return None
        del lines[-1]  # what follows the last delimiter: nothing
        return lines

    def feed(self, data: bytes) -> list[Run]:
        """Take what arrived; return the runs that it completes."""
        if not self.partial and data.endswith(self._delimiter):
            return self._split(data)
        runs = self._piece_together(data)
        self.partial = self._skipping or bool(self._tail)
        return runs

    def _piece_together(self, data: bytes) -> list[Run]:
        """Complete the line that was begun, or begin one, or both."""
        if self._tail and self._tail[-1] == CR and self._delimiter == b"\r\n":
            # The first half of a delimiter may have come alone.
            del self._tail[-1]
            data = b"\r" + data
        end = data.rfind(self._delimiter)
        if end < 0:
            return self._hold(data)
        end += len(self._delimiter)
        body: bytes | bytearray = data[:end]
        if self._skipping:
            start = body.find(self._delimiter) + len(self._delimiter)
            self._mirror(self._tail + body[max(0, start - 2) : start])
            body, self._tail = body[start:], EMPTY
            self._skipping = False
        elif self._tail:
            self._tail += body
            body, self._tail = self._tail, EMPTY
        runs = self._split(body) if body else []
        return runs if end == len(data) else runs + self._hold(data[end:])

    def end(self) -> list[Run]:
        """No more will come; return the last line if it has no delimiter and is to be kept."""
        tail, self._tail = self._tail, EMPTY
        if not tail or self._skipping or self._over or self._policy.eof_tail == "drop":
            return []
        run = self._line(tail)
        return [[run]] if isinstance(run, str) else [run]

    def encode(self, lines: list[str]) -> bytes:
        """The bytes to send for some lines, each ended as the peer ends its own.

        Raises:
            ValueError: a line holds a newline, or a lone surrogate; nothing was encoded.
        """
        text = self._eol.join(lines) + self._eol
        if len(text) > MUCH and len(text) > LONG * len(lines):
            split = any("\n" in line for line in lines)
        else:
            split = text.count("\n") != len(lines)
        if split:
            raise ValueError("a line to send cannot hold a newline: send several lines instead")
        return text.encode()

    def _hold(self, data: bytes) -> list[Run]:
        """Keep the beginning of a line, as long as it can still become one."""
        if self._over or not data:
            return []
        if self._skipping:
            self._keep_cr(data)
            return []
        if self._tail:
            self._tail += data
        else:
            self._tail = bytearray(data)
        tail = self._tail
        may_end = self._policy.delimiter != "lf" and tail[-1] == CR  # half of a delimiter
        if len(tail) <= self._limit + may_end:
            return []
        self._keep_cr(tail)
        self._skipping = True
        run = self._too_long(tail)
        return [[run]] if isinstance(run, str) else [run]

    def _keep_cr(self, data: bytes | bytearray) -> None:
        """Of what is thrown away keep only what may be the first half of the delimiter."""
        half = self._policy.delimiter != "lf" and data[-1:] == b"\r"
        self._tail = bytearray(b"\r") if half else EMPTY

    def _mirror(self, body: bytes | bytearray) -> None:
        """End our lines as the peer has ended its last."""
        if self._lenient:
            self._ending = b"\r\n" if body.endswith(b"\r\n") else b"\n"
            self._eol = self._ending.decode()

    def _longest(self, body: bytes | bytearray) -> int:
        """Bytes of the longest line."""
        return max(map(len, body.split(self._delimiter)))

    def _split(self, body: bytes | bytearray) -> list[Run]:
        """Cut whole lines apart: all at once if none breaks a rule."""
        if self._over:
            return []
        self.partial = False
        self._mirror(body)
        lines = self.whole_lines(body)
        return self._sort(body) if lines is None else [lines]

    def _sort(self, body: bytes | bytearray) -> list[Run]:
        """Cut whole lines apart, the good from the bad, one by one."""
        runs: list[Run] = []
        lines: list[str] = []
        start = 0
        while (end := body.find(self._delimiter, start)) >= 0:
            raw = body[start:end]
            start = end + len(self._delimiter)
            cut = self._lenient and raw[-1:] == b"\r"
            run = self._line(raw[:-1] if cut else raw)
            if isinstance(run, str):
                lines.append(run)
                continue
            if lines:
                runs.append(lines)
                lines = []
            runs.append(run)
            if run.fatal:
                return runs
        if lines:
            runs.append(lines)
        return runs

    def _line(self, raw: bytes | bytearray) -> str | Problem:
        if len(raw) > self._limit:
            return self._too_long(raw)
        return self._decode(raw)

    def _decode(self, raw: bytes | bytearray) -> str | Problem:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            if self._policy.invalid == "replace":
                return raw.decode(errors="replace")
            self._over = self._policy.invalid == "close"
            return not_utf8(error.start, self._over)

    def _too_long(self, raw: bytes | bytearray) -> str | Problem:
        if self._policy.overlong == "truncate":
            return self._decode(beginning(raw, self._limit))
        self._over = self._policy.overlong == "close"
        return too_long(self._limit, self._over)


class ChunkFramer:
    """Whatever one read gives is one message, as bare-sockets programs have it.

    A read that ends inside a character is not the end of a message: the next completes both, as
    long as they are not longer than the limit together.
    """

    __slots__ = ("_decoder", "_held", "_limit", "_missing", "_over", "_policy", "_size")

    def __init__(self, policy: LinePolicy) -> None:
        self._policy = policy
        self._limit = policy.max_line or sys.maxsize
        errors = "replace" if policy.invalid == "replace" else "strict"
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors)
        self._held: list[str] = []  # what is there of a message whose last character is cut
        self._size = 0  # bytes that it was read from
        self._missing = 0  # bytes that still belong to a character that was thrown away
        self._over = False

    @property
    def partial(self) -> bool:
        """Whether a character was begun and not ended."""
        return self._size > 0

    def whole_lines(self, data: bytes) -> None:
        """No short way: a chunk may end inside a character (see `Framer`)."""

    def feed(self, data: bytes) -> list[Run]:
        """Take what one read gave; return it as one message."""
        if self._over:
            return []
        data = self._after_missing(data)
        if len(data) > self._limit:
            return self._held_text() + self._too_long(data)
        # What is held is a message of its own rather than one that is too long.
        runs = self._held_text() if self._size + len(data) > self._limit else []
        return runs + self._decode(data, final=False)

    def end(self) -> list[Run]:
        """No more will come; a character left unfinished is not UTF-8."""
        if self._over or not self._size or self._policy.eof_tail == "drop":
            return []
        return self._decode(b"", final=True)

    def encode(self, lines: list[str]) -> bytes:
        """The bytes to send for some messages: just their text.

        Raises:
            ValueError: a message holds a lone surrogate; nothing was encoded.
        """
        return "".join(lines).encode()

    def _decode(self, data: bytes, final: bool) -> list[Run]:
        before = self._size - len(self._decoder.getstate()[0])
        self._size += len(data)
        try:
            self._held.append(self._decoder.decode(data, final))
        except UnicodeDecodeError as error:
            self._over = self._policy.invalid == "close"
            self._throw_away(data)
            return [not_utf8(before + error.start, self._over)]
        if self._decoder.getstate()[0]:
            return []
        return self._held_text()

    def _held_text(self) -> list[Run]:
        """The message so far, if there is any; the next begins."""
        text = "".join(self._held)
        self._held.clear()
        self._size = len(self._decoder.getstate()[0])
        return [[text]] if text else []

    def _too_long(self, data: bytes) -> list[Run]:
        if self._policy.overlong == "truncate":
            runs = self._decode(bytes(beginning(data, self._limit)), final=False)
            runs = runs or self._held_text()
            self._throw_away(data)
            return runs
        self._over = self._policy.overlong == "close"
        self._throw_away(data)
        return [too_long(self._limit, self._over)]

    def _throw_away(self, data: bytes) -> None:
        """Forget a message, and the rest of its last character when that comes."""
        self._held.clear()
        self._size = 0
        self._decoder.reset()
        self._missing = missing(data)

    def _after_missing(self, data: bytes) -> bytes:
        """Without the rest of a character that was thrown away."""
        start = 0
        while start < self._missing and data[start : start + 1] and data[start] & 0xC0 == 0x80:
            start += 1
        self._missing = self._missing - start if start == len(data) else 0
        return data[start:]


def sparse(body: bytes | bytearray) -> bool:
    """Whether lines are so long that finding their ends is faster than splitting at all of them.

    Python looks for a single byte many times faster than it splits or counts.
    """
    middle = len(body) // 2
    return body.find(b"\n") > LONG and body.find(b"\n", middle) > middle + LONG


def missing(data: bytes) -> int:
    """How many bytes the character lacks that `data` ends inside of; 0 if in none."""
    for length, lead in enumerate(reversed(data[-3:]), 1):
        if lead & 0xC0 != 0x80:
            whole = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
            return max(0, whole - length)
    return 0


def beginning(raw: bytes | bytearray, size: int) -> bytes | bytearray:
    """At most `size` bytes of `raw`, without cutting a character."""
    for end in range(size, max(size - 4, -1), -1):
        if raw[end] & 0xC0 != 0x80:  # not a continuation byte: a character begins here
            return raw[:end]
    return raw[:size]  # not UTF-8 anyway


@functools.lru_cache(maxsize=256)  # a flood of bad lines need not be a flood of objects
def too_long(limit: int, fatal: bool) -> Problem:
    """The problem of a line with more than `limit` bytes."""
    return Problem(Reason.TOO_LONG, f"a line may have at most {limit} bytes", fatal)


@functools.lru_cache(maxsize=256)
def not_utf8(offset: int, fatal: bool) -> Problem:
    """The problem of a line that stops being UTF-8 at the byte `offset`."""
    return Problem(Reason.UTF8, f"the line is not valid UTF-8 at byte {offset}", fatal)
