"""Answers that are known as a whole, and refusals, which are answers that are raised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

Headers = Iterable[tuple[str, str]]

#: Status codes whose answers have no body (RFC 9110 section 6.4.1).
BODILESS = frozenset([204, 304])


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is known as a whole.

    Args:
        status: its code.
        body: its content.
        headers: the fields of its head besides those of every answer.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, extra: Headers = (), bodiless: bool = False, close: bool = False) -> bytes:
        """Its bytes.

        Args:
            extra: further fields of its head.
            bodiless: whether it answers HEAD.
            close: whether the connection is closed behind it.
        """
        headers = [*self.headers, *extra]
        if self.status not in BODILESS:
            headers.append(("Content-Length", str(len(self.body))))
        bodiless = bodiless or self.status in BODILESS
        return head(self.status, headers, close) + (b"" if bodiless else self.body)


def head(status: int, headers: Headers, close: bool) -> bytes:
    """The head of an answer (RFC 9112 section 4), dated (RFC 9110 section 6.6.1)."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def plain(status: int, words: str, *headers: tuple[str, str]) -> Answer:
    """An answer of one line for people.

    Args:
        status: its code.
        words: what is wrong, and what to do.
        headers: further fields of its head.
    """
    return Answer(status, f"{words}\n".encode(), (*TEXT, *headers))


#: The fields of every answer in plain text: no browser shall take it for anything else.
TEXT = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


class Refusal(Exception):
    """A request that is not answered as was asked.

    Args:
        status: the code of the answer.
        words: what is wrong, and what to do; for the peer.
        headers: further fields of the answer's head.
        log: what is wrong in words of our own, when it is worth a line in the log.
    """

    def __init__(self, status: int, words: str, *headers: tuple[str, str], log: str = "") -> None:
        super().__init__(words)
        self.answer = plain(status, words, *headers)
        self.log = log
