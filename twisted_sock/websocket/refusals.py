"""What a server did that does not speak WebSocket with us, in words for a person; no I/O."""

from __future__ import annotations

import re

from twisted_sock.display import one_line

#: Bytes of a body that are looked at.
LOOKED_AT = 1024

#: Characters that are shown of what a server says.
SHOWN = 200

STATUS_LINE = re.compile(rb"HTTP/\d\.\d (\d{3})(?: ([^\r\n]*))?\r?\n")
TLS = (b"\x15\x03", b"\x16\x03")


def refusal(head: bytes, why: str, location: str = "", body: bytes = b"") -> str:
    """What a server did that has not agreed, in words for a person.

    Args:
        head: how its answer begins.
        why: what is wrong with it, if it is an agreement otherwise.
        location: where it points to.
        body: what it says.
    """
    status = STATUS_LINE.match(head)
    if status is None:
        return _not_http(head)
    code = int(status[1])
    said = f"HTTP {code} {_shown(status[2] or b'')}".rstrip()
    if code == 101:
        return f"the answer is no WebSocket handshake: {_shown(why)}"
    if 300 <= code < 400 and location:
        return f"{said}: redirects are not followed, and it points to {_shown(location)}"
    words = _first_line(body[:LOOKED_AT])
    return f"{said}: {words}" if words else said


def is_refused(head: bytes) -> bool:
    """Whether an answer that begins so is one of HTTP, and no agreement."""
    status = STATUS_LINE.match(head)
    return status is not None and status[1] != b"101"


def _not_http(head: bytes) -> str:
    if head.startswith(TLS):
        return "the answer is no WebSocket handshake: it speaks TLS, so write wss:"
    begin = _first_line(head) or "something else"
    return f"the answer is no WebSocket handshake: it says {begin}"


def _first_line(data: bytes) -> str:
    """The first line of a text that says something; nothing of a page of HTML."""
    line = next(filter(None, map(bytes.strip, data.split(b"\n"))), b"")
    return "" if line.startswith(b"<") else _shown(line)


def _shown(text: str | bytes) -> str:
    """What a server says, safe to show and not too long."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    shown = one_line(text)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
