"""WebSocket frames as a client makes and reads them, written without any library."""

from __future__ import annotations

import base64

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"

KEY = base64.b64encode(bytes(16)).decode()
UPGRADE = [
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
]


def frame(opcode, payload=b"", fin=True, rsv=0, mask=MASK, form=None):
    """One frame from a client.

    Args:
        rsv: the three reserved bits, as a number up to 7.
        mask: four bytes; None for a frame that is not masked.
        form: how to write the length: 7, 16 or 64 bits; the shortest when left out.
    """
    payload = payload.encode() if isinstance(payload, str) else payload
    size = len(payload)
    form = form or (7 if size < 126 else 16 if size < 65536 else 64)
    short = {7: size, 16: 126, 64: 127}[form]
    long = b"" if form == 7 else size.to_bytes(form // 8)
    head = bytes([fin << 7 | rsv << 4 | opcode, (mask is not None) << 7 | short]) + long
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def text(*messages):
    """One frame for each message."""
    return b"".join(frame(TEXT, message) for message in messages)


def close(code=None, words=b""):
    """A close frame."""
    words = words.encode() if isinstance(words, str) else words
    return frame(CLOSE, b"" if code is None else code.to_bytes(2) + words)


def unframe(data):
    """The frames of a server, as (opcode, payload) for whole ones, and what is left over.

    Every one must be final, unmasked, without reserved bits, its length as short as can be.
    """
    frames = []
    at = 0
    while len(data) >= at + 2:
        first, size = data[at], data[at + 1]
        assert first & 0xF0 == 0x80, f"fin and no reserved bits, not {first:#x}"
        assert size < 128, "a server masks nothing"
        start = at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(data) < start + width:
                break
            size = int.from_bytes(data[start : start + width])
            assert size >= (126 if width == 2 else 65536), "the shortest form"
            start += width
        if len(data) < start + size:
            break
        frames.append((first & 15, bytes(data[start : start + size])))
        at = start + size
    return frames, data[at:]


class Messages:
    """Makes frames of a stream of lines: each line a message, the beginning of one a fragment."""

    def __init__(self):
        self._begun = False

    def __call__(self, data):
        """The frames to send for some bytes of lines."""
        *whole, tail = data.split(b"\n")
        frames = [self._frame(line + b"\n", fin=True) for line in whole]
        return b"".join(frames) + (self._frame(tail, fin=False) if tail else b"")

    def _frame(self, payload, fin):
        opcode, self._begun = CONT if self._begun else TEXT, not fin
        return frame(opcode, payload, fin)
