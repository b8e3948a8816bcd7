"""WebSocket frames (RFC 6455 section 5) as lines, without any I/O.

The `websockets` package reads the frames: it knows fragments, control frames, closing and
compression. But it is there only while something is unfinished. Most of what comes is whole
text messages, each in one frame; those are taken apart here, many at once and without an object
for each, and nothing of them is kept. So an idle connection holds no parser.

What goes to the parser goes frame by frame: only the head is looked at here, for its length.
So it is known when nothing is unfinished, and what breaks a limit is refused before it is read.
"""

from __future__ import annotations

import codecs
import dataclasses
import functools
import logging
import sys
from collections.abc import Sequence
from typing import Any

from twisted_sock.errors import Problem, Reason, SettingError
from twisted_sock.framing import Run, make_framer
from twisted_sock.settings import LinePolicy, Web
from twisted_sock.websocket_frames import (
    CONTROL,
    FIN_TEXT,
    HEADS,
    MASKED,
    MOST_OF_CONTROL,
    OPCODE,
    RESERVED,
    measure,
    minimal,
    text_frame,
    text_frames,
)

try:
    from websockets.extensions import Extension
    from websockets.frames import CloseCode, Frame, Opcode
    from websockets.protocol import State
    from websockets.server import ServerProtocol
except ImportError:
    raise SettingError("WebSocket needs `pip install 'twisted_sock[web]'`") from None

#: Bytes of a message of which the beginning waits here rather than in a parser.
HELD = 1024

#: Bytes of a reply from which on it is worth while to compress it.
WORTH = 256

#: What the parser writes its log to.
SILENT = logging.Logger("websockets", logging.CRITICAL + 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """What is the same for all connections with the same settings.

    Args:
        policy: what a line is; the end of a message ends its last line.
        most: bytes that a message may have.
        quick: bytes of a message that surely breaks no rule.
        refuse_binary: whether a binary message is refused.
    """

    policy: LinePolicy
    most: int
    quick: int
    refuse_binary: bool


@functools.lru_cache(maxsize=64)
def rules(policy: LinePolicy, web: Web) -> Rules:
    """The rules that follow from settings."""
    most = web.max_message or sys.maxsize
    quick = min(most, policy.max_line or sys.maxsize) if policy.framing == "lines" else 0
    whole = dataclasses.replace(policy, eof_tail="deliver")
    return Rules(whole, most, quick, web.binary == "refuse")


class MessageFramer:
    """The lines in the messages of one connection (see `framing.Framer`).

    Args:
        policy: what a line is.
        web: what a message may be.
        extensions: what was agreed upon besides; nothing of theirs may outlast a message.

    Attributes:
        partial: whether a frame or a message was begun and not ended.
        spoke: whether what was fed last held more than control frames.
        closed: whether the peer has said that it closes.
        failure: what the peer did so wrong that nothing more is read; else None.
        code: what to close with for it (section 7.4).
        control: frames to send: answers to pings and to the peer's closing.
    """

    __slots__ = (
        "_decoder",
        "_due",
        "_extensions",
        "_message",
        "_parser",
        "_rules",
        "_tail",
        "closed",
        "code",
        "control",
        "failure",
        "partial",
        "spoke",
    )

    def __init__(self, policy: LinePolicy, web: Web, extensions: Sequence[Extension] = ()) -> None:
        self._rules = rules(policy, web)
        self._extensions = extensions
        self._tail = b""  # the beginning of a frame that the parser does not know of
        self._due = 0  # bytes that the parser's frame still lacks
        self._parser: ServerProtocol | None = None
        self._message: bytearray | None = None  # what is there of a message in fragments
        self._decoder: Any = None  # sees whether that is UTF-8
        self.partial = False
        self.spoke = False
        self.closed = False
        self.failure: Problem | None = None
        self.code = 0
        self.control: list[bytes] = []

    @property
    def over(self) -> bool:
        """Whether nothing more is read."""
        return self.closed or self.failure is not None

    def whole_lines(self, data: bytes) -> list[str] | None:
        """The lines of a chunk of whole short messages (see `Framer`)."""
        if self.partial or self.closed or self.failure is not None:
            return None
        payloads, end = text_frames(data, 0, self._rules.quick)
        if end != len(data) or not end:
            return None
        return self._lines(payloads)

    def feed(self, data: bytes) -> list[Run]:
        """Take what arrived; return the runs that it completes."""
        runs: list[Run] = []
        if self._tail:
            data, self._tail = self._tail + data, b""
        at, end = 0, len(data)
        while at < end and not self.over:
            if self._due:
                piece = data[at : at + self._due] if at or end > self._due else data
                at += len(piece)
                self._parse(piece, runs)
                continue
            if self._message is None:
                payloads, at = text_frames(data, at, self._rules.quick)
                self._take_texts(payloads, runs)
            if at < end and not self.over and not self._begin(data, at, runs):
                self._tail = data[at:]
                break
        self.partial = bool(self._tail or self._due) or self._message is not None
        self.spoke = bool(runs) or self.partial
        if not self.partial:
            self._parser = None
        return runs

    def end(self) -> list[Run]:
        """No more will come; a message without its end is none (see `Framer`)."""
        return []

    def encode(self, lines: list[str]) -> bytes:
        """The messages to send for some lines, one for each.

        Raises:
            ValueError: a line holds a newline, or a lone surrogate; nothing was encoded.
        """
        text = "\n".join(lines)
        if text.count("\n") >= len(lines) and self._rules.policy.framing == "lines":
            raise ValueError("a line to send cannot hold a newline: send several lines instead")
        if self._extensions:
            return b"".join([self._compressed(line.encode()) for line in lines])
        if text.isascii():  # characters are bytes
            return "".join([HEADS[len(line)] + line for line in lines]).encode("latin-1")
        return b"".join([text_frame(line.encode()) for line in lines])

    # Frames.

    def _begin(self, data: bytes, at: int, runs: list[Run]) -> bool:
        """Give the frame that begins here to the parser; False when it must wait."""
        head = data[at : at + 14]
        size, length = measure(head)
        if not size:
            return False
        if head[0] & CONTROL:
            broken = head[1] & 0x7F > MOST_OF_CONTROL
        else:
            marked = head[0] & RESERVED and not head[0] & OPCODE  # only the first may be
            broken = bool(marked) or not minimal(head, length)
        if broken:
            self._fail(CloseCode.PROTOCOL_ERROR, runs)
            return True
        if not head[0] & CONTROL and length + len(self._message or b"") > self._rules.most:
            self._fail(CloseCode.MESSAGE_TOO_BIG, runs)
            return True
        simple = head[0] == FIN_TEXT and head[1] & MASKED and self._message is None
        if simple and at + size > len(data) and length <= min(HELD, self._rules.quick):
            return False
        if head[0] & OPCODE == Opcode.CLOSE:  # a message that is not finished is forgotten
            self._parser = self._message = self._decoder = None
        self._due = size
        return True

    def _parse(self, piece: bytes, runs: list[Run]) -> None:
        """Let the parser have its frame, or more of it."""
        parser = self._parser
        if parser is None:
            parser = self._parser = self._new_parser()
        self._due -= len(piece)
        parser.receive_data(piece)
        frames = parser.events_received()
        output = parser.data_to_send()
        for frame in frames:
            assert isinstance(frame, Frame)
            self._take(frame, runs)
        if parser.state is State.OPEN or self.closed:
            self.control += filter(None, output)  # nothing stands for the end of the stream
        else:
            assert parser.close_sent is not None
            self._fail(parser.close_sent.code, runs)

    def _new_parser(self) -> ServerProtocol:
        # A ping between fragments must find room.
        most = self._rules.most
        size = None if most == sys.maxsize else most + MOST_OF_CONTROL
        parser = ServerProtocol(state=State.OPEN, max_size=size, logger=SILENT)
        parser.extensions = list(self._extensions)
        return parser

    def _take(self, frame: Frame, runs: list[Run]) -> None:
        """Take a frame that the parser has read."""
        if frame.opcode is Opcode.CLOSE:
            self.closed = True
        elif frame.opcode is Opcode.BINARY and self._rules.refuse_binary:
            self._fail(CloseCode.UNSUPPORTED_DATA, runs)
        elif not frame.opcode & CONTROL:
            if frame.fin and self._message is None:
                self._take_message(bytes(frame.data), runs)
            else:
                self._take_fragment(frame, runs)

    def _take_fragment(self, frame: Frame, runs: list[Run]) -> None:
        if self._message is None:
            self._message = bytearray()
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._message += frame.data
        try:
            self._decoder.decode(frame.data, frame.fin)
        except UnicodeDecodeError:  # it can be told before the message is whole (section 8.1)
            self._fail(CloseCode.INVALID_DATA, runs)
            return
        if frame.fin:
            message, self._message, self._decoder = bytes(self._message), None, None
            self._take_message(message, runs)
        elif len(self._message) > self._rules.most:
            self._fail(CloseCode.MESSAGE_TOO_BIG, runs)

    # Messages.

    def _take_texts(self, payloads: list[bytes], runs: list[Run]) -> None:
        """Take whole messages, all at once if each is a good line."""
        lines = self._lines(payloads) if payloads else []
        if lines:
            runs.append(lines)
        elif lines is None:
            for payload in payloads:
                if self.failure is None:
                    self._take_message(payload, runs)

    def _lines(self, payloads: list[bytes]) -> list[str] | None:
        """The lines of short messages, unless one breaks a rule or must be looked at closely."""
        try:
            text = b"\n".join(payloads).decode()
        except UnicodeDecodeError:
            return None
        lines = text.split("\n")
        if len(lines) == len(payloads):
            return lines
        if "\r" in text or self._rules.policy.delimiter == "crlf":
            return None
        # Some hold delimiters; one at the end begins no other line.
        return b"\n".join([each.removesuffix(b"\n") for each in payloads]).decode().split("\n")

    def _take_message(self, message: bytes, runs: list[Run]) -> None:
        """Take one message apart, as if it were a stream of its own."""
        try:
            message.decode()
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, runs)
            return
        if len(message) > self._rules.most:  # inflated
            self._fail(CloseCode.MESSAGE_TOO_BIG, runs)
        elif not message:
            runs.append([""])
        else:
            framer = make_framer(self._rules.policy)
            runs += framer.feed(message)
            runs += framer.end()

    def _compressed(self, payload: bytes) -> bytes:
        if len(payload) < WORTH:
            return text_frame(payload)
        return Frame(Opcode.TEXT, payload).serialize(mask=False, extensions=self._extensions)

    def _fail(self, code: int, runs: list[Run]) -> None:
        """Read nothing more (section 7.1.7)."""
        if self.over:
            return
        reason, words = FAILURES.get(code, FAILURES[CloseCode.PROTOCOL_ERROR])
        self.failure = Problem(reason, words.format(self._rules.most), True)
        self.code = code
        self._due, self._message, self._decoder = 0, None, None
        runs.append(self.failure)


#: What the peer is told when it is closed with a code.
FAILURES: dict[int, tuple[Reason, str]] = {
    CloseCode.PROTOCOL_ERROR: (Reason.FOREIGN, "these are not frames as RFC 6455 has them"),
    CloseCode.UNSUPPORTED_DATA: (Reason.FOREIGN, "a message here is text, not binary"),
    CloseCode.INVALID_DATA: (Reason.UTF8, "the message is not valid UTF-8"),
    CloseCode.MESSAGE_TOO_BIG: (Reason.TOO_LONG, "a message may have at most {} bytes"),
}
