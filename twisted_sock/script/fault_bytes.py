"""What faults do to the bytes of lines: pure, no I/O.

A part is a line together with the bytes that it is sent as: itself and a delimiter, or a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

#: Seconds between two pieces of a line, and between two bytes, unless the fault says otherwise.
PAUSE = 0.1
BYTE_PAUSE = 0.001

#: Seconds between the pieces of a line that is throttled.
STEP = 0.05

#: What must not come into being where a byte is changed.
LINE_ENDS = b"\r\n"

#: A line, and what it is sent as.
Part = tuple[str, bytes]

#: Bytes, and the seconds to wait when they are sent.
Piece = tuple[bytes, float]


def corrupted(parts: Sequence[Part], draw: float) -> list[Part]:
    """The same with one bit of one line changed, never so that there are more lines.

    Args:
        parts: the lines.
        draw: which bit, from 0 up to 1.
    """
    changed = list(parts)
    texts = [_text(part) for part in parts]
    bit = int(draw * 8 * sum(map(len, texts)))
    for place, (text, (line, data)) in enumerate(zip(texts, parts, strict=True)):
        if bit < 8 * len(text):
            changed[place] = (line, _flipped(data, text[bit // 8], bit % 8))
            break
        bit -= 8 * len(text)
    return changed


def misheard(line: str, draw: float) -> str:
    """A line as it is read when one bit of it is changed."""
    [(_, data)] = corrupted([(line, line.encode())], draw)
    return data.decode(errors="replace")


def in_two(parts: Sequence[Part], seconds: float) -> list[Piece]:
    """Everything in two pieces, cut inside the first character of several bytes; else halfway."""
    whole = b"".join(data for _, data in parts)
    place = _inside(parts) or len(whole) // 2
    pieces = [(whole[:place], seconds or PAUSE), (whole[place:], 0.0)]
    return [piece for piece in pieces if piece[0]]


def in_bytes(parts: Sequence[Part], seconds: float) -> Iterator[Piece]:
    """Everything a byte at a time.

    Args:
        parts: the lines.
        seconds: what it is to take altogether; a millisecond each if 0.
    """
    whole = b"".join(data for _, data in parts)
    pause = seconds / len(whole) if seconds and whole else BYTE_PAUSE
    return ((whole[at : at + 1], pause) for at in range(len(whole)))


def at_rate(parts: Sequence[Part], rate: float) -> Iterator[Piece]:
    """Everything at so many bytes a second."""
    whole = b"".join(data for _, data in parts)
    size = max(1, round(rate * STEP))
    pieces = (whole[at : at + size] for at in range(0, len(whole), size))
    return ((piece, len(piece) / rate) for piece in pieces)


def _text(part: Part) -> range:
    """Where the line is in its bytes; all of them where that cannot be seen."""
    line, data = part
    text = line.encode()
    at = data.find(text)
    return range(len(data)) if at < 0 else range(at, at + len(text))


def _flipped(data: bytes, place: int, bit: int) -> bytes:
    """The same with one bit changed, that one or a neighbour."""
    there = data[place]
    others = [there ^ 1 << (bit + turn) % 8 for turn in range(8)]
    other = next(each for each in others if each not in LINE_ENDS)
    return data[:place] + bytes([other]) + data[place + 1 :]


def _inside(parts: Sequence[Part]) -> int:
    """The first place inside a character; 0 when there is none."""
    before = 0
    for part in parts:
        data = part[1]
        for at in _text(part):
            if data[at] >= 0xC0 and at + 1 < len(data) and data[at + 1] & 0xC0 == 0x80:
                return before + at + 1
        before += len(data)
    return 0
