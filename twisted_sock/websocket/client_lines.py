"""Lines to the text messages of a WebSocket and back; no I/O happens here (RFC 6455).

- A message that comes is given with an LF behind it, unless it ends in one.
- A line that is said goes as a message, without its LF or CRLF. What has no end yet waits for it,
  and goes when the WebSocket is closed.

Most messages are short and whole; these take a short way. All other frames, one at a time, go
through `websockets`, which knows the rules.
"""

from __future__ import annotations

import os
from typing import Any

from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig
from websockets.frames import OK_CLOSE_CODES, CloseCode, Frame, Opcode
from websockets.protocol import State

from twisted_sock.display import one_line
from twisted_sock.errors import SockError

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

#: Bytes of the longest message that is taken, and of a line that waits for its end.
LONGEST = 16 << 20

#: Bytes of a frame that is waited for, so that it can take the short way.
SHORT = 512

#: How a text message in one frame begins (RFC 6455 section 5.2).
WHOLE_TEXT = 0x81
MASKED = 0x80


class WebSocketClosed(SockError):
    """A WebSocket was closed for another reason than that all is said.

    Args:
        code: its code (RFC 6455 section 7.4): the server's, or the one that it was sent; 1006
            when there was none.
        words: what happened.
    """

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = int(code)


class Lines:
    """The lines of one WebSocket.

    Args:
        socket: has shaken hands.
    """

    def __init__(self, socket: ClientProtocol) -> None:
        self._socket = socket
        self._closed = False  # by us, in good order
        self._why: WebSocketClosed | None = None
        self._frames: list[bytes] = []  # to send
        self._rest = b""  # of what came: a frame that is not all there
        self._passing = 0  # bytes that are left of the frame that takes the long way
        self._tail = bytearray()  # the line that was begun and has no end yet
        self._begun: bytearray | None = None  # the message whose fragments come

    @property
    def open(self) -> bool:
        """Whether neither side has said that it closes."""
        return self._socket.state is State.OPEN

    def to_send(self) -> bytes:
        """The bytes to send now."""
        data = b"".join([*self._frames, *self._socket.data_to_send()])
        self._frames.clear()
        return data

    # What comes.

    def feed(self, data: bytes) -> bytes:
        """Take bytes; returns the messages that they complete, as lines."""
        data, self._rest = self._rest + data, b""
        lines: list[bytes] = []
        at = 0
        while at < len(data):
            if self.open and not self._passing:
                at = self._take_short_way(data, at, lines)
                size = _size_of_frame(data, at)
                if not size or (size <= SHORT and at + size > len(data)):
                    self._rest = data[at:]
                    break
                self._passing = size
            end = at + self._passing if self.open else len(data)
            piece = data[at:end]
            self._passing -= len(piece)
            at += len(piece)
            self._take_long_way(piece, lines)
        return b"".join(lines)

    def _take_short_way(self, data: bytes, at: int, lines: list[bytes]) -> int:
        """Take text messages that are all there; returns where they end."""
        if self._begun is not None:
            return at  # in the midst of fragments there can be none
        messages = []
        total = len(data)
        while at + 1 < total and data[at] == WHOLE_TEXT:
            start = at + 2
            size = data[at + 1]
            if size > 125:
                if size != 126 or start + 2 > total:
                    break
                size = data[start] << 8 | data[start + 1]
                start += 2
            end = start + size
            if end > total:
                break
            message = data[start:end]
            messages.append(message if message[-1:] == b"\n" else message + b"\n")
            at = end
        self._take_text(messages, lines)
        return at

    def _take_text(self, messages: list[bytes], lines: list[bytes]) -> None:
        """See that they are UTF-8: all at once, as that costs least, then each."""
        whole = b"".join(messages)
        if _is_text(whole):
            lines.append(whole)
            return
        for message in messages:
            if not _is_text(message):
                self._refuse(CloseCode.INVALID_DATA, "a message came that is not UTF-8")
                return
            lines.append(message)

    def _take_long_way(self, data: bytes, lines: list[bytes]) -> None:
        """Take a frame, or a part of it."""
        self._socket.receive_data(data)
        for frame in self._socket.events_received():
            message = self._message(frame) if isinstance(frame, Frame) else None
            if message is not None:
                self._take_text([message if message[-1:] == b"\n" else message + b"\n"], lines)
        error = self._socket.parser_exc
        if error is not None and self._socket.close_sent is not None:
            self._explain(self._socket.close_sent.code, _broken(error))

    def _message(self, frame: Frame) -> bytes | None:
        """The text that a frame completes, if it does (RFC 6455 sections 5.4 and 5.6)."""
        if frame.opcode is Opcode.BINARY:
            self._refuse(CloseCode.UNSUPPORTED_DATA, "a binary message came, and a line is text")
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT) or self._why is not None:
            return None
        message: Any = frame.data
        if self._begun is not None:
            self._begun += message
            message = self._begun
        if not frame.fin:
            self._begun = bytearray(message) if self._begun is None else message
            return None
        self._begun = None
        return bytes(message)

    # What is said.

    def say(self, data: bytes) -> None:
        """Say lines; what has no end yet waits for it."""
        head, ended, tail = data.rpartition(b"\n")
        if not ended:
            self._tail += data
        else:
            whole = bytes(self._tail) + head
            self._tail[:] = tail
            self._send(whole.split(b"\n"))
        if len(self._tail) > LONGEST:
            self._leave(f"a line of more than {LONGEST} bytes was to be sent")

    def close(self) -> None:
        """Say what is unsaid, and close."""
        if self._tail:
            self._send([bytes(self._tail)])
        if self.open:
            self._closed = True
            self._socket.send_close(CloseCode.NORMAL_CLOSURE)

    def _send(self, lines: list[bytes]) -> None:
        """Send each line as a message, as far as they are UTF-8."""
        good = next((n for n, line in enumerate(lines) if not _is_text(line)), len(lines))
        if self.open:
            keys = os.urandom(4 * good)
            for number in range(good):
                line = lines[number].removesuffix(b"\r")
                self._frames.append(_framed(line, keys[4 * number : 4 * number + 4]))
        if good < len(lines):
            self._leave("a line was to be sent that is not UTF-8")

    # The end.

    def why(self, clean: bool) -> WebSocketClosed | None:
        """Why it has ended; None when in good order, or when only the transport knows.

        Args:
            clean: whether the transport was closed in good order.
        """
        close = self._socket.close_rcvd
        if self._why is not None:
            return self._why
        if close is not None and close.code not in OK_CLOSE_CODES:
            words = f"{close.code} {one_line(close.reason)}".rstrip()
            return WebSocketClosed(close.code, f"the server has closed the WebSocket: {words}")
        if clean and close is None and not self._closed:
            words = "the server has ended the connection without closing the WebSocket"
            return WebSocketClosed(CloseCode.ABNORMAL_CLOSURE, words)
        return None

    @property
    def done(self) -> bool:
        """Whether the server has closed it in good order."""
        close = self._socket.close_rcvd
        return self._why is None and close is not None and close.code in OK_CLOSE_CODES

    def _refuse(self, code: int, words: str) -> None:
        """Close because of what came."""
        if self._why is None:
            self._explain(code, words)
            self._socket.fail(code, words)

    def _leave(self, words: str) -> None:
        """Close because of what was to be sent."""
        self._tail.clear()
        if self.open:
            self._explain(CloseCode.GOING_AWAY, words)
            self._socket.send_close(CloseCode.GOING_AWAY)

    def _explain(self, code: int, words: str) -> None:
        """Note why it ends, unless it was to end already."""
        if self._why is None and not self._closed:
            self._why = WebSocketClosed(code, words)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _framed(line: bytes, key: bytes) -> bytes:
    """A line as a message in one frame (RFC 6455 sections 5.2 and 5.3)."""
    size = len(line)
    if size < 126:
        head = bytes((WHOLE_TEXT, MASKED | size))
    elif size < 1 << 16:
        head = bytes((WHOLE_TEXT, MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((WHOLE_TEXT, MASKED | 127)) + size.to_bytes(8, "big")
    return head + key + apply_mask(line, key)


def _size_of_frame(data: bytes, at: int) -> int:
    """The bytes of the frame that begins there; 0 when that cannot be said yet."""
    left = len(data) - at
    if left < 2:
        return 0
    size = data[at + 1]
    more = {126: 2, 127: 8}.get(size, 0)
    if size & MASKED:
        return left  # a mistake, as will be found out
    if left < 2 + more:
        return 0
    return 2 + more + (int.from_bytes(data[at + 2 : at + 2 + more], "big") if more else size)


def _broken(error: Exception) -> str:
    """What is wrong with what the server sent."""
    if isinstance(error, PayloadTooBig):
        return f"a message of more than {LONGEST} bytes came"
    return f"the server breaks the rules of WebSocket: {one_line(str(error))}"
