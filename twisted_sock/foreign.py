"""Other protocols that are sent to a port for lines by mistake, or by a page in a browser.

A browser can be made to send an HTTP request, with a body that looks like lines, to any port of
the machine that it runs on. So a stream whose first line is the request line of HTTP (RFC 9112
section 3), or that begins with a TLS record of a handshake (RFC 8446 section 5.1), is closed
before any of it is delivered. (Where a chunk is a message, what comes before the rest of the
request line is delivered; nothing behind it ever is.)
"""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import ChunkFramer, Framer, Run

NAMES = "GET POST HEAD PUT DELETE OPTIONS PATCH CONNECT TRACE PRI"
METHODS = tuple(f"{name} ".encode() for name in NAMES.split(" "))
TLS = b"\x16\x03"

#: Bytes of a first line that can be no longer request line than browsers and servers know.
LONGEST = 8192

REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/\d(\.\d)?\r?")


class FirstLine:
    """A framer that looks at the first line before another takes over.

    The other gets nothing before it is clear that the peer speaks in lines; but where framing is
    by chunks it gets each at once, as the first may be all that ever comes.

    Args:
        framer: the other.
        release: called with it once the first line has turned out to be none of these.
    """

    __slots__ = ("_framer", "_head", "_hold", "_over", "_release")

    def __init__(self, framer: Framer, release: Callable[[Framer], None]) -> None:
        self._framer = framer
        self._release = release
        self._hold = not isinstance(framer, ChunkFramer)
        self._head = bytearray()
        self._over = False

    @property
    def partial(self) -> bool:
        """Whether something was begun that more bytes must finish."""
        return bool(self._head) if self._hold else self._framer.partial

    def whole_lines(self, data: bytes) -> None:
        """No short way before the first line is known (see `Framer`)."""

    def feed(self, data: bytes) -> list[Run]:
        """Take what arrived; the other protocol's name as a problem, when it is one."""
        if self._over:
            return []
        self._head += data
        head = bytes(self._head)
        if name := foreign(head):
            self._over = True
            self._head.clear()
            return [Problem(Reason.FOREIGN, f"{name} was sent to a port for lines", True)]
        if not undecided(head):
            self._head.clear()
            self._release(self._framer)
            return self._framer.feed(head if self._hold else data)
        return [] if self._hold else self._framer.feed(data)

    def end(self) -> list[Run]:
        """No more will come (see `Framer`)."""
        if self._over:
            return []
        held = bytes(self._head) if self._hold else b""
        self._head.clear()
        runs = self._framer.feed(held) if held else []
        return runs + self._framer.end()

    def encode(self, lines: list[str]) -> bytes:
        """The bytes to send for some lines (see `Framer`)."""
        return self._framer.encode(lines)


def foreign(head: bytes) -> str:
    """The name of the other protocol that a stream with such a beginning speaks, or nothing."""
    if head.startswith(TLS):
        return "TLS"
    if not head.startswith(METHODS):
        return ""
    line, ended, _ = head.partition(b"\n")
    if ended:
        return "HTTP" if REQUEST_LINE.fullmatch(line) else ""
    return "HTTP" if len(line) > LONGEST and b" /" in line[:9] else ""


def undecided(head: bytes) -> bool:
    """Whether more bytes can make another protocol of what is none yet."""
    if b"\n" in head or len(head) > LONGEST:
        return False
    return head.startswith(METHODS) or any(start.startswith(head) for start in (*METHODS, TLS))
