"""WebSocket frames (RFC 6455 section 5) as lines, without any I/O.

Plain frames are taken apart here, many at once and without an object for each: text, its
fragments, pings and pongs, masked and without reserved bits. The `websockets` package reads the
others: compressed messages, closing, and what breaks the rules. So no kind of frame costs much
more than another, and an idle connection holds no parser.

Of a frame that is not all there only the head is looked at, for its length. So what breaks a
limit is refused before it is read.
"""

from __future__ import annotations

import codecs
import logging
import sys
from collections.abc import Sequence
from typing import Any

from twisted_sock.errors import Problem, Reason, SettingError
from twisted_sock.framing import Run
from twisted_sock.settings import LinePolicy, Web
from twisted_sock.websocket.frames import (
    BINARY,
    CONTROL,
    FIN,
    HEADS,
    MASKED,
    MOST_OF_CONTROL,
    OPCODE,
    RESERVED,
    TEXT,
    measure,
    minimal,
    plain_frames,
    pong,
    text_frame,
    text_frames,
    unmask,
)
from twisted_sock.websocket.messages import make_rules, message_runs, short_lines

try:
    from websockets.extensions import Extension
    from websockets.frames import CloseCode, Frame, Opcode
    from websockets.protocol import State
    from websockets.server import ServerProtocol
except ImportError:
    raise SettingError("WebSocket needs `pip install 'twisted_sock[web]'`") from None

#: Bytes of payload up to which a frame that is not all there waits as it is.
HELD = 1024

#: Pings that come at once and are all answered; of more the last is answered, which is answer
#: enough (RFC 6455 section 5.5.3).
MOST_PONGS = 16

#: Bytes of a reply from which on it is worth while to compress it.
WORTH = 256

#: What the parser writes its log to.
SILENT = logging.Logger("websockets", logging.CRITICAL + 1)


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
        goodbye: the frame that answers it then.
        failure: what the peer did so wrong that nothing more is read; else None.
        code: what to close with for it (section 7.4).
        control: frames to send in answer to pings.
    """

    __slots__ = (
        "_decoder",
        "_due",
        "_extensions",
        "_final",
        "_mask",
        "_message",
        "_parser",
        "_rules",
        "_seen",
        "_squeezed",
        "_tail",
        "closed",
        "code",
        "control",
        "failure",
        "goodbye",
        "partial",
        "spoke",
    )

    def __init__(self, policy: LinePolicy, web: Web, extensions: Sequence[Extension] = ()) -> None:
        self._rules = make_rules(policy, web)
        self._extensions = extensions
        self._seen: tuple[bytes, list[bytes], int] | None = None  # what `whole_lines` found
        self._tail = b""  # the beginning of a frame, as it came
        # A frame that is taken as it comes.
        self._due = 0  # bytes that it still lacks
        self._mask = b""  # that of what comes next of it; empty when it is the parser's
        self._final = False  # whether it ends its message
        # A message that is not finished.
        self._message: bytearray | None = None
        self._decoder: Any = None  # sees whether that is UTF-8
        self._squeezed = False  # whether it is compressed, and so the parser's
        self._parser: ServerProtocol | None = None
        self.partial = False
        self.spoke = False
        self.closed = False
        self.goodbye = b""
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
        messages, end = text_frames(data, 0, self._rules.quick)
        lines = short_lines(messages, self._rules) if end == len(data) and end else None
        if lines is None:
            self._seen = data, messages, end  # `feed` need not look again
        return lines

    def feed(self, data: bytes) -> list[Run]:
        """Take what arrived; return the runs that it completes."""
        runs: list[Run] = []
        before = len(self._message or b"")
        at = self._take_seen(data, runs)
        if self._tail:
            data, self._tail = self._tail + data, b""
        end = len(data)
        while at < end and not self.over:
            if self._due:
                at = self._go_on(data, at, runs)
                continue
            at = self._take_plain(data, at, runs)
            if at == end or self.over:
                break
            start = self._begin(data, at, runs)
            if start < 0:
                self._tail = data[at:]
                break
            at = start
        begun = bool(self._tail) and not self._tail[0] & CONTROL
        self.spoke = bool(runs or self._due or begun) or len(self._message or b"") != before
        self.partial = bool(self._tail or self._due) or self._message is not None
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

    def _take_seen(self, data: bytes, runs: list[Run]) -> int:
        """Take what `whole_lines` has found in a chunk; return where the rest begins."""
        seen, self._seen = self._seen, None
        if seen is None or seen[0] is not data:
            return 0
        self._take_messages(seen[1], runs)
        return seen[2]

    def _take_plain(self, data: bytes, at: int, runs: list[Run]) -> int:
        """Take all plain frames that are whole; return where another begins."""
        rules = self._rules
        if self._squeezed:
            _, pings, _, at = plain_frames(data, at, -1, None, False)
        else:
            known = len(self._message or b"")
            messages, pings, message, at = plain_frames(
                data, at, rules.most, self._message, rules.binary
            )
            self._take_messages(messages, runs)
            if not self.over:
                self._take_begun(message, 0 if messages else known, runs)
        if pings and not self.over:
            self.control += [pong(data, ping) for ping in pings[-MOST_PONGS:]]
            if len(pings) > MOST_PONGS or len(self.control) > MOST_PONGS:
                del self.control[:-1]
        return at

    def _begin(self, data: bytes, at: int, runs: list[Run]) -> int:
        """See what is to be done with another frame.

        Returns:
            From where on it is taken as it comes; -1 when it must wait.
        """
        head = data[at : at + 14]
        size, length = measure(head)
        if not size:
            return -1
        code = self._refusal(head, length)
        if code is not None:
            self._fail(code, runs)
            return at
        control, plain = head[0] & CONTROL, self._is_plain(head)
        if at + size > len(data) and (control or (plain and length <= HELD)):
            return -1
        if not plain:
            if control:  # of those only closing comes here: what is not finished is forgotten
                self._forget()
                self._parser = None
            self._due = size
            return at
        start = size - length
        self._due, self._mask, self._final = length, head[start - 4 : start], head[0] >= FIN
        if self._message is None:
            self._begin_message()
        return at + start

    def _refusal(self, head: bytes, length: int) -> CloseCode | None:
        """Why a frame is refused by its head, if it is."""
        opcode = head[0] & OPCODE
        if opcode & CONTROL:
            return CloseCode.PROTOCOL_ERROR if head[1] & 0x7F > MOST_OF_CONTROL else None
        marked = head[0] & RESERVED and not opcode  # only the first may be
        within = opcode and self._message is not None
        if marked or within or not minimal(head, length):
            return CloseCode.PROTOCOL_ERROR
        if length + len(self._message or b"") > self._rules.most:
            return CloseCode.MESSAGE_TOO_BIG
        return None

    def _is_plain(self, head: bytes) -> bool:
        """Whether a frame is not for the parser."""
        opcode = head[0] & OPCODE
        if head[0] & RESERVED or not head[1] & MASKED or self._squeezed:
            return False
        if not opcode:
            return self._message is not None
        return opcode == TEXT or (opcode == BINARY and self._rules.binary)

    def _go_on(self, data: bytes, at: int, runs: list[Run]) -> int:
        """Take more of a frame as it comes; return where the rest begins."""
        piece = data[at : at + self._due] if at or len(data) > self._due else data
        self._due -= len(piece)
        if not self._mask:
            self._parse(piece, runs)
            return at + len(piece)
        plain, self._mask = unmask(piece, self._mask)
        if self._due:
            self._grow(plain, False, runs)
        else:
            self._mask = b""
            self._grow(plain, self._final, runs)
        return at + len(piece)

    def _parse(self, piece: bytes, runs: list[Run]) -> None:
        """Let the parser have its frame, or more of it."""
        parser = self._parser
        if parser is None:
            parser = self._parser = self._new_parser()
        parser.receive_data(piece)
        frames = parser.events_received()
        output = b"".join(parser.data_to_send())
        for frame in frames:
            assert isinstance(frame, Frame)
            self._take(frame, runs)
        if self.closed:
            self.goodbye = output
        elif parser.state is not State.OPEN:
            assert parser.close_sent is not None
            self._fail(parser.close_sent.code, runs)

    def _new_parser(self) -> ServerProtocol:
        # A close frame must find room.
        most = self._rules.most
        size = None if most == sys.maxsize else most + MOST_OF_CONTROL
        parser = ServerProtocol(state=State.OPEN, max_size=size, logger=SILENT)
        parser.extensions = list(self._extensions)
        return parser

    def _take(self, frame: Frame, runs: list[Run]) -> None:
        """Take a frame that the parser has read."""
        if frame.opcode is Opcode.CLOSE:
            self.closed = True
        elif frame.opcode is Opcode.BINARY and not self._rules.binary:
            self._fail(CloseCode.UNSUPPORTED_DATA, runs)
        elif not frame.opcode & CONTROL:
            if frame.fin and self._message is None:
                self._take_message(bytes(frame.data), runs)
                return
            self._squeezed = not frame.fin
            if self._message is None:
                self._begin_message()
            self._grow(bytes(frame.data), frame.fin, runs)

    # Messages that come in pieces.

    def _begin_message(self) -> None:
        self._message = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def _take_begun(self, message: bytearray | None, known: int, runs: list[Run]) -> None:
        """Take what is there of a message that was begun; up to some bytes it was taken before."""
        if message is None or message is not self._message:
            self._forget()
        if message is None:
            return
        if self._message is None:
            self._begin_message()
            self._message = message
        self._look_at(message[known:], runs)

    def _grow(self, piece: bytes, final: bool, runs: list[Run]) -> None:
        """Take a piece of a message."""
        message = self._message
        assert message is not None
        message += piece
        if len(message) > self._rules.most:  # inflated
            self._fail(CloseCode.MESSAGE_TOO_BIG, runs)
        elif final:
            self._forget()
            self._take_message(bytes(message), runs)
        else:
            self._look_at(piece, runs)

    def _look_at(self, piece: bytes | bytearray, runs: list[Run]) -> None:
        """See before the message is whole whether it can be UTF-8 (section 8.1)."""
        try:
            self._decoder.decode(piece)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, runs)

    def _forget(self) -> None:
        """Forget what is there of a message."""
        self._message = self._decoder = None
        self._squeezed = False

    # Messages.

    def _take_messages(self, messages: list[bytes], runs: list[Run]) -> None:
        """Take whole messages, all at once if they are good and short."""
        if not messages:
            return
        rules = self._rules
        short = rules.quick == rules.most or max(map(len, messages)) <= rules.quick
        lines = short_lines(messages, rules) if short else None
        if lines is not None:
            runs.append(lines)
            return
        for message in messages:
            if self.failure is None:
                self._take_message(message, runs)

    def _take_message(self, message: bytes, runs: list[Run]) -> None:
        """Take one message apart, as if it were a stream of its own."""
        try:
            message.decode()
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, runs)
            return
        if len(message) > self._rules.most:  # inflated
            self._fail(CloseCode.MESSAGE_TOO_BIG, runs)
        else:
            runs += message_runs(message, self._rules)

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
        self.control.clear()
        self._due = 0
        self._forget()
        runs.append(self.failure)


#: What the peer is told when it is closed with a code.
FAILURES: dict[int, tuple[Reason, str]] = {
    CloseCode.PROTOCOL_ERROR: (Reason.FOREIGN, "these are not frames as RFC 6455 has them"),
    CloseCode.UNSUPPORTED_DATA: (Reason.FOREIGN, "a message here is text, not binary"),
    CloseCode.INVALID_DATA: (Reason.UTF8, "the message is not valid UTF-8"),
    CloseCode.MESSAGE_TOO_BIG: (Reason.TOO_LONG, "a message may have at most {} bytes"),
}
