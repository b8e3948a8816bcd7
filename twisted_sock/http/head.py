"""The heads of requests (RFC 9112 sections 2 to 6): found in a stream, bounded, and read strictly.

Two programs that read the same bytes differently can be played off against each other: what is
the body for the proxy in front is a request for the server behind it. So whatever could be read
in two ways is refused: bare CR and LF, folded lines, space before a colon, a length that is given
twice, or in two ways.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from dataclasses import dataclass

from twisted_sock.http.answers import Refusal

END = b"\r\n\r\n"

#: Fields that one head may have.
MOST_FIELDS = 100

#: RFC 9110 section 5.6.2 and 5.5; octets above 127 are obs-text.
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) (HTTP/\d\.\d)")
ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)
#: RFC 9112 section 2.2; NUL is worth words of its own.
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\x00")
LENGTH = re.compile(r"\d{1,18}", re.ASCII)

TLS = b"\x16\x03"


@dataclass(frozen=True, slots=True)
class Head:
    """The head of one request.

    Args:
        lines: its lines, without their ends.
        method: as it was written: `GET`.
        path: what is asked for, without a query.
        version: `HTTP/1.1` or `HTTP/1.0`.
        fields: its fields, with lower-case names, in their order.
    """

    lines: tuple[bytes, ...]
    method: str
    path: str
    version: str
    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """The values of every field of a name, in lower case."""
        return [value for key, value in self.fields if key == name]

    def first(self, name: str) -> str:
        """The value of the first field of a name, in lower case; empty without one."""
        return next(iter(self.all(name)), "")

    def joined(self, name: str) -> str:
        """The values of all fields of a name, as one (RFC 9110 section 5.3)."""
        return ", ".join(self.all(name))

    def has_token(self, name: str, token: str) -> bool:
        """Whether one of the words between the commas of a field is this one, in lower case."""
        words = ",".join(self.all(name)).lower().split(",")
        return token in (word.strip(" \t") for word in words)


class HeadReader:
    """Finds the heads of requests in a stream, however it is cut.

    Args:
        limit: the most bytes that a head may have; 0 for no limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit or sys.maxsize
        self._data = bytearray()
        self._seen = 0  # bytes of it that were looked at
        self._named = False  # whether the request line is there, and good

    @property
    def begun(self) -> bool:
        """Whether some of a head is there."""
        return bool(self._data)

    def feed(self, data: bytes) -> tuple[Head, bytes] | None:
        """Take what came.

        Returns:
            A head and what came behind it, or None while it is not whole.

        Raises:
            Refusal: it is none, or breaks a limit.
        """
        held = self._data
        held += data
        while held.startswith(b"\r\n"):  # RFC 9112 section 2.2: an empty line or two are skipped
            del held[:2]
            self._seen = 0
        end = held.find(END, max(0, self._seen - len(END)), self._limit)
        self._look(held, min(len(held), self._limit) if end < 0 else end, end >= 0)
        if end < 0:
            if len(held) >= self._limit:
                raise _too_large(self._named, self._limit)
            return None
        head, rest = bytes(held[:end]), bytes(held[end + len(END) :])
        self._data, self._seen, self._named = bytearray(), 0, False
        return parse(head), rest

    def _look(self, held: bytearray, stop: int, whole: bool) -> None:
        """See early that a head is none, rather than wait for an end that never comes.

        What is wrong is told in the order of the bytes, so that it does not matter how they came.
        """
        if held.startswith(TLS):
            raise malformed("TLS was sent to a port for HTTP; begin the address with http or ws")
        seen, self._seen = max(0, self._seen - 1), stop
        line = held.find(b"\r\n", seen, stop)
        if not self._named and (whole or line >= 0):
            first = bytes(held[: stop if line < 0 else line])
            _check_ends(first, 0, len(first))
            _request(first)
            self._named = True
        if not whole and held[stop - 1 : stop] == b"\r":  # may be half of an end
            stop -= 1
        _check_ends(held, seen, stop)


def _check_ends(data: bytes | bytearray, start: int, stop: int) -> None:
    bare = BARE.search(data, start, stop)
    if bare is None:
        return
    if bare[0] == b"\0":
        raise malformed("this port speaks HTTP, where a head is text without NUL bytes")
    raise malformed("this port speaks HTTP, where each line of a head ends in CR LF")


def _too_large(named: bool, limit: int) -> Refusal:
    words = f"the head of a request may have at most {limit} bytes"
    return malformed(words, 431 if named else 414)


def malformed(words: str, status: int = 400) -> Refusal:
    """The refusal of what is no good request, with the same words for the peer and the log."""
    return Refusal(status, words, log=words)


def parse(data: bytes) -> Head:
    """Read a head, strictly.

    Args:
        data: its bytes, without the empty line at its end; every CR and LF ends a line.

    Raises:
        Refusal: it breaks a rule.
    """
    lines = tuple(data.split(b"\r\n"))
    method, target, version = _request(lines[0])
    if len(lines) - 1 > MOST_FIELDS:
        raise malformed(f"the head of a request may have at most {MOST_FIELDS} fields", 431)
    fields = [_field(line) for line in lines[1:]]
    head = Head(lines, method, target, version, tuple(fields))
    _check_host(head)
    _check_length(head)
    return _found(head)


def _found(head: Head) -> Head:
    """A head with the path of what is asked for, and the host (RFC 9112 section 3.2.2)."""
    target, fields = head.path, head.fields
    if absolute := ABSOLUTE.fullmatch(target):
        host, target = absolute[1], absolute[2] or "/"
        if not host:
            raise malformed("the target of the request names no host")
        fields = (*(field for field in fields if field[0] != "host"), ("host", host))
    return dataclasses.replace(head, path=target.partition("?")[0], fields=fields)


def _request(line: bytes) -> tuple[str, str, str]:
    match = REQUEST.fullmatch(line)
    if match is None:
        raise malformed("this is not a request of HTTP; for lines without it use a port of tcp:")
    method, target, version = (part.decode() for part in match.groups())
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise malformed("the versions of HTTP spoken here are 1.1 and 1.0", 505)
    return method, target, version


def _field(line: bytes) -> tuple[str, str]:
    if line[:1] in (b" ", b"\t"):
        raise malformed("a field of the head may not be folded into several lines")
    name, colon, value = line.partition(b":")
    if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
        raise malformed("a field of the head is malformed")
    return name.decode().lower(), value.strip(b" \t").decode("latin-1")


def _check_host(head: Head) -> None:
    """RFC 9112 section 3.2."""
    hosts = len(head.all("host"))
    if hosts > 1 or (not hosts and head.version == "HTTP/1.1"):
        raise malformed("a request must have one field Host")


def _check_length(head: Head) -> None:
    """RFC 9112 section 6."""
    lengths = head.all("content-length")
    codings = head.all("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise malformed("a request has one field Content-Length or Transfer-Encoding, if any")
    if lengths and not LENGTH.fullmatch(lengths[0]):
        raise malformed("the value of Content-Length is not a number of bytes")
    if codings and head.version == "HTTP/1.0":
        raise malformed("HTTP/1.0 has no Transfer-Encoding")
    if codings and codings[0].lower() != "chunked":
        raise malformed("the only Transfer-Encoding known here is chunked", 501)
