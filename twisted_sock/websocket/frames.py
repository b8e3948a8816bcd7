"""The frames of WebSocket as bytes (RFC 6455 section 5), without any state."""

from __future__ import annotations

from twisted_sock.errors import SettingError

try:
    from websockets.speedups import apply_mask
except ImportError:  # it was built without a compiler
    try:
        from websockets.utils import apply_mask
    except ImportError:
        raise SettingError("WebSocket needs `pip install 'twisted_sock[web]'`") from None

# In the first byte of a frame.
CONT = 0x00
TEXT = 0x01
BINARY = 0x02
FIN_TEXT = 0x81
FIN_CLOSE = 0x88
FIN_PING = 0x89
FIN_PONG = 0x8A
FIN = 0x80
RESERVED = 0x70
OPCODE = 0x0F
CONTROL = 0x08  # the bit that the opcodes of control frames have

# In the second.
MASKED = 0x80

MOST_OF_CONTROL = 125  # bytes of payload (section 5.5)
MOST_OF_REASON = 123

#: What the frames of binary messages begin with, and those that keep a connection alive.
BINARIES = (BINARY, FIN | BINARY)
PINGS_AND_PONGS = (FIN_PING, FIN_PONG)

PING = b"\x89\x00"


def text_frames(data: bytes, at: int, most: int) -> tuple[list[bytes], int]:
    """The payloads of the messages that begin at an offset, as long as each is one plain frame.

    Args:
        data: what came.
        at: where a frame begins.
        most: bytes that a payload may have.

    Returns:
        The payloads, and where the first frame begins that is not whole or not like that.
    """
    payloads: list[bytes] = []
    take = payloads.append
    end = len(data)
    last = end - 6  # where a frame can begin at the latest that is whole
    while at <= last and data[at] == FIN_TEXT:
        size = data[at + 1] - MASKED
        start = at + 6
        if size >= 126:
            size = int.from_bytes(data[at + 2 : at + 4]) if size == 126 else 0
            start = at + 8
            if size < 126:
                break
        stop = start + size
        if not 0 <= size <= most or stop > end:
            break
        take(apply_mask(data[start:stop], data[start - 4 : start]))
        at = stop
    return payloads, at


def plain_frames(
    data: bytes, at: int, most: int, message: bytearray | None, binary: bool
) -> tuple[list[bytes], list[int], bytearray | None, int]:
    """What stands in the whole plain frames from an offset on: masked, no reserved bit set.

    Args:
        data: what came.
        at: where a frame begins.
        most: bytes that a message may have.
        message: what is there of one in fragments; it grows.
        binary: whether binary messages are taken, too.

    Returns:
        The messages that were finished; where the pings begin; what is there of a message that
        was begun; and where the first frame begins that is not like that, or breaks a rule.
    """
    messages: list[bytes] = []
    pings: list[int] = []
    end = len(data)
    last = end - 6
    while at <= last:
        first, size, start = data[at], data[at + 1] - MASKED, at + 6
        if size >= 126:
            size = int.from_bytes(data[at + 2 : at + 4]) if size == 126 else 0
            start = at + 8
            if size < 126:
                break
        stop = start + size
        if size < 0 or stop > end:
            break
        if first in PINGS_AND_PONGS and size <= MOST_OF_CONTROL:
            if first == FIN_PING:
                pings.append(at)
            at = stop
            continue
        if binary and first in BINARIES:
            first -= BINARY - TEXT
        opcode, room = (TEXT, most) if message is None else (CONT, most - len(message))
        if first & ~FIN != opcode or size > room:
            break
        payload = apply_mask(data[start:stop], data[start - 4 : start])
        if message is not None:
            message += payload
        if first < FIN:
            message = bytearray(payload) if message is None else message
        elif message is None:
            messages.append(payload)
        else:
            messages.append(bytes(message))
            message = None
        at = stop
    return messages, pings, message, at


def unmask(piece: bytes, mask: bytes) -> tuple[bytes, bytes]:
    """A piece of a payload without its mask, and the mask of what comes next."""
    turn = len(piece) % 4
    return apply_mask(piece, mask), mask[turn:] + mask[:turn]


def pong(data: bytes, at: int) -> bytes:
    """The answer to the ping that begins at an offset."""
    size = data[at + 1] - MASKED
    start = at + 6
    payload = apply_mask(data[start : start + size], data[start - 4 : start])
    return bytes((FIN_PONG, size)) + payload


def measure(head: bytes) -> tuple[int, int]:
    """The bytes of a frame and of its payload, from its first 14 bytes.

    Returns:
        Both; or zeros when its head is not all there.
    """
    if len(head) < 2:
        return 0, 0
    length = head[1] & 0x7F
    more = 0 if length < 126 else 2 if length == 126 else 8
    start = 2 + more + (4 if head[1] & MASKED else 0)
    if len(head) < start:
        return 0, 0
    if more:
        length = int.from_bytes(head[2 : 2 + more])
    return start + length, length


def minimal(head: bytes, length: int) -> bool:
    """Whether the length is written as short as it must be (section 5.2)."""
    short = head[1] & 0x7F
    return length >= (0 if short < 126 else 126 if short == 126 else 65536) and not length >> 63


def text_frame(payload: bytes) -> bytes:
    """The frame of a text message to send."""
    return HEADS[len(payload)].encode("latin-1") + payload


def close_frame(code: int, words: str = "") -> bytes:
    """The frame that says goodbye, with as many of the words as it can hold."""
    said = words.encode()[:MOST_OF_REASON].decode(errors="ignore").encode()
    return bytes([FIN_CLOSE, 2 + len(said)]) + code.to_bytes(2) + said


class Heads(dict[int, str]):
    """The heads of text messages to send by their length, each byte as a character."""

    def __missing__(self, size: int) -> str:
        form, width = (126, 2) if size < 65536 else (127, 8)
        return (bytes([FIN_TEXT, form]) + size.to_bytes(width)).decode("latin-1")


HEADS = Heads((size, bytes([FIN_TEXT, size]).decode("latin-1")) for size in range(126))
