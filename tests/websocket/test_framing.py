"""WebSocket frames, by the cases that servers are commonly tried with (RFC 6455).

Each case is told what it sends, which lines must come of it, which control frames must be sent,
and what it is closed with. Each is tried whole, and cut in every way that `cuts` knows.
"""

from __future__ import annotations

import codecs
import itertools
import time
import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    close,
    frame,
    text,
    unframe,
)
from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import make_framer
from twisted_sock.settings import LinePolicy, Web
from twisted_sock.testing import cuts
from twisted_sock.websocket.frames import close_frame
from twisted_sock.websocket.framing import MessageFramer
from twisted_sock.websocket.handshake import handshake

K = "κόσμε"
BIG = Web(max_message=1 << 20)
LONG = LinePolicy(max_line=1 << 20)

DELIMITERS = ["lenient", "lf", "crlf"]

PROTOCOL_ERROR, UNSUPPORTED, INVALID, TOO_BIG = 1002, 1003, 1007, 1009


def lines_of(runs):
    return [line for run in runs if isinstance(run, list) for line in run]


def outcome(pieces, policy=LONG, web=BIG, extensions=()):
    """What becomes of some pieces.

    Returns:
        The lines, the control frames, and the code of a failure or whether the peer has closed.
    """
    framer = MessageFramer(policy, web, extensions)
    runs = []
    for piece in pieces:
        lines = framer.whole_lines(piece)
        runs += framer.feed(piece) if lines is None else [lines]
    control, rest = unframe(b"".join(framer.control) + framer.goodbye)
    assert not rest
    return lines_of(runs), control, framer.code or framer.closed


#: What is sent, then what must come of it: lines, control frames, how it ends.
CASES = {
    # Sizes.
    **{
        f"text of {size}": (text("*" * size), ["*" * size], [], False)
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537)
    },
    "several": (text("a", K, "", "b"), ["a", K, "", "b"], [], False),
    "lines in a message": (text("a\nb", "c\r\nd\n", "\n"), ["a", "b", "c", "d", ""], [], False),
    "delimiters at the end": (text("a\n", "b\r\n", "c"), ["a", "b", "c"], [], False),
    "a CR at the end": (text("a\r", "b"), ["a\r", "b"], [], False),
    "other masks": (
        frame(TEXT, "abc", mask=bytes(4)) + frame(TEXT, "d", mask=b"\xff\0\xff\0"),
        ["abc", "d"],
        [],
        False,
    ),
    # Binary.
    "binary": (frame(BINARY, b"x"), [], [], UNSUPPORTED),
    "binary in fragments": (frame(BINARY, b"x", fin=False), [], [], UNSUPPORTED),
    # Pings and pongs.
    "ping": (frame(PING), [], [(PONG, b"")], False),
    "ping with text": (frame(PING, "hi"), [], [(PONG, b"hi")], False),
    "ping of 125": (frame(PING, b"\xfe" * 125), [], [(PONG, b"\xfe" * 125)], False),
    "ping of 126": (frame(PING, b"\xfe" * 126), [], [], PROTOCOL_ERROR),
    "unasked pong": (frame(PONG, "x") + text("a"), ["a"], [], False),
    "pong of 126": (frame(PONG, b"x" * 126), [], [], PROTOCOL_ERROR),
    "ten pings": (
        b"".join(frame(PING, str(n)) for n in range(10)),
        [],
        [(PONG, str(n).encode()) for n in range(10)],
        False,
    ),
    "ping in fragments": (frame(PING, fin=False), [], [], PROTOCOL_ERROR),
    # Reserved bits and opcodes.
    **{
        f"reserved bits {rsv} on {opcode}": (frame(opcode, b"", rsv=rsv), [], [], PROTOCOL_ERROR)
        for rsv in range(1, 8)
        for opcode in (TEXT, PING, CLOSE)
    },
    **{
        f"opcode {opcode}": (text("a") + frame(opcode, "x"), ["a"], [], PROTOCOL_ERROR)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "nothing after a failure": (
        text("a") + frame(3) + text("b") + frame(PING) + close(1000),
        ["a"],
        [],
        PROTOCOL_ERROR,
    ),
    # Fragments.
    "fragments": (frame(TEXT, "a", fin=False) + frame(CONT, "b"), ["ab"], [], False),
    "empty fragments": (
        frame(TEXT, fin=False) + frame(CONT, fin=False) * 3 + frame(CONT),
        [""],
        [],
        False,
    ),
    "a ping between": (
        frame(TEXT, "a", fin=False) + frame(PING, "p") + frame(CONT, "b"),
        ["ab"],
        [(PONG, b"p")],
        False,
    ),
    "a character over fragments": (
        b"".join(
            frame(CONT if n else TEXT, K.encode()[n : n + 1], fin=n == len(K.encode()) - 1)
            for n in range(len(K.encode()))
        ),
        [K],
        [],
        False,
    ),
    "nothing to continue": (frame(CONT, "x"), [], [], PROTOCOL_ERROR),
    "nothing to continue, not final": (frame(CONT, "x", fin=False), [], [], PROTOCOL_ERROR),
    "nothing more to continue": (
        frame(TEXT, "a", fin=False) + frame(CONT, "b") + frame(CONT, "c"),
        ["ab"],
        [],
        PROTOCOL_ERROR,
    ),
    "text within fragments": (
        frame(TEXT, "a", fin=False) + frame(TEXT, "b"),
        [],
        [],
        PROTOCOL_ERROR,
    ),
    # Closing.
    "close": (close(), [], [(CLOSE, b"")], True),
    "close with words": (close(1000, K), [], [(CLOSE, b"\x03\xe8" + K.encode())], True),
    "words of 123": (close(1000, "x" * 123), [], [(CLOSE, b"\x03\xe8" + b"x" * 123)], True),
    "words of 124": (close(1000, "x" * 124), [], [], PROTOCOL_ERROR),
    "one byte": (frame(CLOSE, b"\x03"), [], [], PROTOCOL_ERROR),
    "words that are not UTF-8": (close(1000, b"\xce\xba\xe1\xbd"), [], [], INVALID),
    "nothing after closing": (
        text("a") + close(1000) + text("b") + frame(PING) + frame(3),
        ["a"],
        [(CLOSE, b"\x03\xe8")],
        True,
    ),
    "close within fragments": (
        frame(TEXT, "a", fin=False) + close(1000),
        [],
        [(CLOSE, b"\x03\xe8")],
        True,
    ),
    **{
        f"code {code}": (close(code), [], [(CLOSE, code.to_bytes(2))], True)
        for code in (
            *(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014),
            *(3000, 3999, 4000, 4999),
        )
    },
    **{
        f"code {code}": (close(code), [], [], PROTOCOL_ERROR)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    # What a client may not do.
    "no mask": (frame(TEXT, "a", mask=None), [], [], PROTOCOL_ERROR),
    "a ping without a mask": (frame(PING, "a", mask=None), [], [], PROTOCOL_ERROR),
    "16 bits for a short length": (frame(TEXT, "a" * 125, form=16), [], [], PROTOCOL_ERROR),
    "64 bits for a shorter length": (frame(TEXT, "a" * 65535, form=64), [], [], PROTOCOL_ERROR),
    "a long form for a ping": (frame(PING, "a", form=16), [], [], PROTOCOL_ERROR),
    "a length of 64 bits": (
        b"\x81\xff" + b"\xff" * 8 + b"\x37\xfa\x21\x3d",
        [],
        [],
        PROTOCOL_ERROR,
    ),
}

VALID = [
    "hello µ@ßöäüàá-utf-8!!",
    "\x00",
    "\x7f",
    "\x80",
    "\u07ff",
    "\u0800",
    "\uffff",
    "\ufffe",
    "\U00010000",
    "\U0010ffff",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\U0001fffe",
]

INVALID_BYTES = {
    "surrogate": b"\xed\xa0\x80",
    "pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond the last": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "continuation alone": b"\x80",
    "continuations alone": b"\x80\xbf\x80",
    "lead alone": b"\xc0",
    "lead and a space": b"\xe0 ",
    "too short": K.encode()[:-1],
    "slash of two": b"\xc0\xaf",
    "slash of three": b"\xe0\x80\xaf",
    "slash of four": b"\xf0\x80\x80\xaf",
    "highest of two": b"\xc1\xbf",
    "FE": b"\xfe",
    "FF": b"\xff",
    "in the middle": K.encode() + b"\xf4\x90\x80\x80" + b"edited",
}


class Conformance(SynchronousTestCase):
    """What RFC 6455 asks for, whatever pieces it comes in."""

    def check(self, name, sent, lines, control, end, **settings):
        for pieces in cuts(sent, 200):
            if len(sent) > 3000 and len(pieces) > 3000:
                continue
            expected = (lines, control, end)
            self.assertEqual(outcome(pieces, **settings), expected, (name, len(pieces)))

    def test_cases(self):
        for name, case in CASES.items():
            self.check(name, *case)

    def test_valid_utf8(self):
        for each in VALID:
            self.check(each, text(each), [each], [], False)

    def test_invalid_utf8(self):
        for name, each in INVALID_BYTES.items():
            self.check(name, text("a") + frame(TEXT, each), ["a"], [], INVALID)
            halves = frame(TEXT, each[:1], fin=False) + frame(CONT, each[1:])
            self.check(f"{name} in fragments", halves, [], [], INVALID)

    def test_a_fragment_that_cannot_be_mended_is_refused_at_once(self):
        broken = K.encode() + b"\xf4\x90\x80\x80"
        sent = frame(TEXT, K, fin=False) + frame(CONT, broken, fin=False)
        self.check("fail fast", sent, [], [], INVALID)

    def test_what_is_replaced_elsewhere_is_refused_here(self):
        for invalid in ("replace", "close", "report"):
            policy = LinePolicy(invalid=invalid)
            self.check(invalid, frame(TEXT, b"\xff"), [], [], INVALID, policy=policy)

    def test_binary_may_be_text(self):
        web = Web(binary="text")
        self.check("text", frame(BINARY, K), [K], [], False, web=web)
        self.check("not UTF-8", frame(BINARY, b"\xff"), [], [], INVALID, web=web)
        fragments = frame(BINARY, "a", fin=False) + frame(CONT, "b")
        self.check("fragments", fragments, ["ab"], [], False, web=web)


class Messages(SynchronousTestCase):
    """What is a line, and how long it may be."""

    def test_a_message_is_one_line_in_chunks(self):
        policy = LinePolicy(framing="chunk")
        sent = text("a\nb\n", "", "c") + frame(TEXT, "d\n", fin=False) + frame(CONT, "e")
        for pieces in cuts(sent):
            lines, _, end = outcome(pieces, policy)
            self.assertEqual((lines, end), (["a\nb\n", "", "c", "d\ne"], False))

    def test_chunks_of_whole_messages_take_the_short_way(self):
        framer = MessageFramer(LinePolicy(framing="chunk"), Web())
        self.assertEqual(framer.whole_lines(text("a", K, "")), ["a", K, ""])
        self.assertEqual(framer.whole_lines(text("a\nb\n", "\r\n")), ["a\nb\n", "\r\n"])
        self.assertIsNone(framer.whole_lines(text("a") + frame(TEXT, b"\xff")))
        framer = MessageFramer(LinePolicy(framing="chunk", max_line=5), Web())
        self.assertIsNone(framer.whole_lines(text("a", "sixsix")))
        problem = Problem(Reason.TOO_LONG, "a line may have at most 5 bytes", False)
        self.assertEqual(framer.feed(text("a", "sixsix")), [["a"], problem])

    def test_a_lone_cr_belongs_to_its_line(self):
        for sent, expected in (
            (["a\r", "b\r\n"], ["a\r", "b"]),
            (["a\r\n", "\r\n", "", "\n"], ["a", "", "", ""]),
            (["a\r\r\n", "b\r\nc\r"], ["a\r", "b", "c\r"]),
            (["\ra\r\n\r\nb", "c\n\n"], ["\ra", "", "b", "c", ""]),
        ):
            for pieces in cuts(text(*sent)):
                self.assertEqual(outcome(pieces)[0], expected)

    def test_the_policy_says_what_ends_a_line(self):
        for delimiter, expected in (
            ("lf", ["a\r", "b", "c"]),
            ("crlf", ["a", "b\nc"]),
            ("lenient", ["a", "b", "c"]),
        ):
            lines, _, _ = outcome([text("a\r\nb\nc")], LinePolicy(delimiter=delimiter))
            self.assertEqual(lines, expected)

    def test_a_line_that_is_too_long_is_a_problem_of_its_own(self):
        framer = MessageFramer(LinePolicy(max_line=5), Web())
        runs = framer.feed(text("one", "toolong", "x\ntoo long\ny", "two"))
        told = [str(run) if isinstance(run, Problem) else run for run in runs]
        told = [each if isinstance(each, list) else [each] for each in told]
        error = "ERR too-long a line may have at most 5 bytes"
        flat = [line for run in told for line in run]
        self.assertEqual(flat, ["one", error, "x", error, "y", "two"])
        self.assertFalse(framer.over)

    def test_a_line_that_is_too_long_is_cut_if_so_wished(self):
        policy = LinePolicy(max_line=5, overlong="truncate")
        self.assertEqual(outcome([text("toolong", "x")], policy)[0], ["toolo", "x"])

    def test_a_message_may_be_as_long_as_the_limit_says(self):
        web = Web(max_message=300)
        halves = frame(TEXT, "x" * 200, fin=False) + frame(CONT, "x" * 100)
        for sent in (text("x" * 300), halves):
            for pieces in cuts(sent):
                self.assertEqual(outcome(pieces, web=web), (["x" * 300], [], False))

    def test_unless_it_is_said_there_is_room_for_the_longest_line_and_more(self):
        for policy, size in (
            (LinePolicy(), 131072),
            (LinePolicy(max_line=10), 131072),
            (LinePolicy(max_line=100_000), 200_000),
        ):
            most = "x" * policy.max_line
            self.assertEqual(outcome([text(most + "\r\n")], policy, Web()), ([most], [], False))
            lines, _, end = outcome([text("y" * size, "a")], policy, Web())
            self.assertEqual((lines, end), (["a"], False))
            self.assertEqual(outcome([text("y" * (size + 1))], policy, Web())[2], TOO_BIG)

    def test_a_longer_one_is_refused_before_it_is_there(self):
        web = Web(max_message=300)
        half = frame(TEXT, "x" * 200, fin=False)
        for sent in (
            text("x" * 301)[:8],
            b"\x81\xff\0\0\0\0\x40\0\0\0abcd",
            half + frame(CONT, "x" * 101)[:6],
            half + frame(CONT, "x" * 101, fin=False)[:6],
        ):
            for pieces in cuts(sent):
                self.assertEqual(outcome(pieces, web=web)[2], TOO_BIG)

    def test_a_ping_has_room_within_the_longest_message(self):
        web = Web(max_message=300)
        sent = frame(TEXT, "x" * 300, fin=False) + frame(PING, "y" * 125) + frame(CONT)
        for pieces in cuts(sent):
            expected = (["x" * 300], [(PONG, b"y" * 125)], False)
            self.assertEqual(outcome(pieces, web=web), expected)

    def test_and_so_have_the_words_of_a_goodbye(self):
        for sent in (close(1000, "x" * 123), frame(TEXT, "a", fin=False) + close(1000, "y" * 123)):
            for pieces in cuts(sent):
                self.assertIs(outcome(pieces, web=Web(max_message=1))[2], True)

    def test_without_limits(self):
        policy, web = LinePolicy(max_line=0), Web(max_message=0)
        sent = text("x" * 100_000) + frame(TEXT, "y" * 100_000, fin=False) + frame(CONT, "z")
        lines, _, end = outcome([sent], policy, web)
        self.assertEqual([len(line) for line in lines], [100_000, 100_001])
        self.assertIs(end, False)

    def test_what_is_not_finished_is_known(self):
        framer = MessageFramer(LinePolicy(), Web())
        for piece, partial in (
            (text("a"), False),
            (b"\x81", True),
            (text("x")[1:], False),
            (frame(TEXT, "a", fin=False), True),
            (frame(PING), True),
            (frame(CONT, "b"), False),
            (frame(PING)[:3], True),
            (frame(PING)[3:], False),
        ):
            framer.feed(piece)
            self.assertEqual(framer.partial, partial, piece)
            if not partial:
                self.assertIsNone(framer._parser)

    def test_what_is_said_is_more_than_control_frames(self):
        framer = MessageFramer(LinePolicy(), Web())
        for piece, spoke in (
            (frame(PING, "x")[:3], False),
            (frame(PING, "x")[3:], False),
            (frame(PONG) + frame(PING, "x")[:1], False),
            (frame(PING, "x")[1:] + text("a"), True),
            (b"\x81", True),
            (text("x")[1:], True),
            (frame(TEXT, "a", fin=False), True),
            (frame(PING), False),
            (frame(CONT, "b" * 2000)[:1500], True),
            (frame(CONT, "b" * 2000)[1500:], True),
        ):
            framer.feed(piece)
            self.assertEqual(framer.spoke, spoke, piece[:10])

    def test_what_was_looked_at_is_not_looked_at_again(self):
        for rest in (text("b")[:3], frame(PING), text("b\r\n", "\r")):
            framer = MessageFramer(LinePolicy(), Web())
            data = text("a") + rest
            self.assertIn(framer.whole_lines(data), (None, ["a", "b", "\r"]))
            framer.feed(bytes(bytearray(text("c"))))  # other bytes than it has seen
            self.assertIsNone(framer._seen)


class Floods(SynchronousTestCase):
    """No kind of frame is much dearer than a short line (in seconds of processor time)."""

    def cost(self, data):
        """What a read full of such frames costs; the least of a few."""
        costs = []
        for _ in range(4):
            framer = MessageFramer(LinePolicy(), Web())
            begun = time.process_time()
            if framer.whole_lines(data) is None:
                framer.feed(data)
            costs.append(time.process_time() - begun)
            self.assertFalse(framer.over)
        return min(costs)

    def test_all_cost_about_the_same(self):
        lines = self.cost(text("a") * 9000)
        for name, data in (
            ("pings", frame(PING) * 10_000),
            ("pongs", frame(PONG) * 10_000),
            ("pings among lines", (frame(PING) + text("a")) * 5000),
            ("empty fragments", frame(TEXT, fin=False) + frame(CONT, fin=False) * 10_000),
            ("messages of two", (frame(TEXT, fin=False) + frame(CONT)) * 5000),
            ("lines with CRLF", text("a\r\n") * 7000),
            ("lines with CR", text("a\r\n", "\rb\n") * 3500),
        ):
            self.assertLess(self.cost(data), 5 * lines, name)

    def test_of_many_pings_at_once_only_the_last_is_answered(self):
        framer = MessageFramer(LinePolicy(), Web())
        framer.feed(b"".join(frame(PING, str(number)) for number in range(100)))
        self.assertEqual(unframe(b"".join(framer.control))[0], [(PONG, b"99")])
        framer.feed(frame(PING, "x") + text("a"))
        self.assertEqual(len(framer.control), 2)


class Encoding(SynchronousTestCase):
    def test_each_line_is_a_message(self):
        framer = MessageFramer(LinePolicy(), Web())
        sizes = (0, 1, 125, 126, 127, 65535, 65536)
        for letter in "aé世\U0001f600":
            lines = [letter * size for size in sizes]
            frames, rest = unframe(framer.encode(lines))
            self.assertEqual(frames, [(TEXT, line.encode()) for line in lines])
            self.assertEqual(rest, b"")

    def test_what_is_no_line_is_refused(self):
        framer = MessageFramer(LinePolicy(), Web())
        for lines in (["a\nb"], ["a", "\n"], ["\ud800"], ["a", "é\ud800"]):
            with self.assertRaises(ValueError):
                framer.encode(lines)
        with self.assertRaises(TypeError):
            framer.encode(["a", 1])

    def test_a_chunk_may_hold_newlines(self):
        framer = MessageFramer(LinePolicy(framing="chunk"), Web())
        self.assertEqual(unframe(framer.encode(["a\nb", ""]))[0], [(TEXT, b"a\nb"), (TEXT, b"")])

    def test_words_to_close_with_are_cut_between_characters(self):
        [(opcode, payload)], _ = unframe(close_frame(1008, "é" * 100))
        self.assertEqual((opcode, payload[2:].decode()), (CLOSE, "é" * 61))


def deflated(payload, fin=True, opcode=TEXT, last=True):
    """A compressed message, or its first fragment."""
    squeeze = zlib.compressobj(wbits=-15)
    data = squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    return frame(opcode, data.removesuffix(b"\0\0\xff\xff") if last else data, fin, rsv=4)


class Deflate(SynchronousTestCase):
    """Compressed messages (RFC 7692)."""

    web = Web(deflate="on")
    offer = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")

    def agreed(self):
        made = handshake("/", [*UPGRADE, self.offer], self.web)
        self.assertIn(b"permessage-deflate; server_no_context_takeover", made.response)
        self.assertIn(b"client_no_context_takeover", made.response)
        return made.extensions

    def test_it_is_off_unless_asked_for(self):
        made = handshake("/", [*UPGRADE, self.offer], Web())
        self.assertNotIn(b"deflate", made.response)
        self.assertEqual(made.extensions, ())

    def test_compressed_messages_are_lines(self):
        sent = deflated(b"hello " * 50) + text("plain") + deflated(b"x\ny")
        for pieces in cuts(sent):
            lines, _, end = outcome(pieces, web=self.web, extensions=self.agreed())
            self.assertEqual((lines, end), (["hello " * 50, "plain", "x", "y"], False))

    def test_long_answers_are_compressed(self):
        framer = MessageFramer(LinePolicy(), self.web, self.agreed())
        data = framer.encode(["short", "x" * 10_000])
        self.assertLess(len(data), 100)
        self.assertEqual(data[:7], b"\x81\x05short")
        self.assertEqual(data[7], 0xC1)
        payload = data[9:] + b"\0\0\xff\xff"
        self.assertEqual(zlib.decompressobj(wbits=-15).decompress(payload), b"x" * 10_000)

    def test_a_bomb_is_refused_before_it_goes_off(self):
        bomb = deflated(bytes(60_000_000).replace(b"\0", b"x"))
        self.assertLess(len(bomb), 65536)
        _, _, end = outcome([bomb], web=self.web, extensions=self.agreed())
        self.assertEqual(end, TOO_BIG)

    def test_a_bomb_in_fragments_is_refused_too(self):
        bomb = deflated(b"x" * 65536, fin=False, last=False) + frame(CONT, b"\0\0\0\xff\xff")
        web = Web(deflate="on", max_message=65535)
        _, _, end = outcome([bomb + deflated(b"x")], web=web, extensions=self.agreed())
        self.assertEqual(end, TOO_BIG)

    def test_what_else_may_come_between_compressed_fragments(self):
        squeezed = deflated(b"ab", fin=False, last=False)
        sent = squeezed + frame(PING, "p") * 2 + frame(PONG)
        rest = frame(CONT, b"\0", fin=False) + frame(PING) + frame(CONT, b"\0\0\xff\xff\0")
        pongs = [(PONG, b"p"), (PONG, b"p")]
        for last, expected in (
            (rest + text("c"), (["ab", "c"], [*pongs, (PONG, b"")], False)),
            (close(1000), ([], [*pongs, (CLOSE, b"\x03\xe8")], True)),
            (text("c"), ([], [], PROTOCOL_ERROR)),
        ):
            for pieces in cuts(sent + last):
                agreed = self.agreed()
                self.assertEqual(outcome(pieces, web=self.web, extensions=agreed), expected)

    def test_what_is_not_deflated_is_refused(self):
        for sent in (
            frame(TEXT, b"\xff\xff\xff", rsv=4),
            deflated(b"a", fin=False, last=False) + frame(CONT, "b", rsv=4),
            frame(TEXT, "a", rsv=2),
        ):
            _, _, end = outcome([sent], web=self.web, extensions=self.agreed())
            self.assertEqual(end, PROTOCOL_ERROR)


# Our own parser and that of the websockets package agree.

payloads = st.one_of(
    st.text(max_size=5).map(str.encode),
    st.sampled_from([b"a\n", b"\n", b"a\r\nb", b"\r", b"\xff", b"\xe4\xb8", b"x" * 130]),
)
masks = st.sampled_from([b"\0\0\0\0", b"\x37\xfa\x21\x3d", b"\xff\xff\xff\xff"])
good = st.builds(frame, st.just(TEXT), payloads, mask=masks)
odd = st.one_of(
    st.builds(
        frame,
        st.sampled_from([CONT, TEXT, BINARY, CLOSE, PING, PONG, 3]),
        payloads,
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 1, 4]),
        mask=st.sampled_from([b"abcd", b"abcd", None]),
    ),
    st.sampled_from([close(1000), frame(PING, "p"), frame(PONG)]),
    st.just(frame(TEXT, b"\xe4", fin=False) + frame(CONT, b"\xb8\x96")),
    st.just(frame(TEXT, b"a", fin=False) + frame(CONT, b"b\r\n" * 40, fin=False)),
    st.just(text("x" * 2000)),
)
streams = st.lists(st.one_of(good, good, good, odd), max_size=8).map(b"".join)


class Parser(ServerProtocol):
    """The parser of the websockets package, with whom a message may be left unfinished."""

    def recv_frame(self, frame):
        if frame.opcode == CLOSE:
            self.current_size = None
        super().recv_frame(frame)


def reference(stream, policy):
    """What becomes of a stream when the websockets package parses it."""
    parser = Parser(state=State.OPEN, max_size=None)
    parser.receive_data(stream)
    lines, pongs, message = [], [], b""
    for each in parser.events_received():
        if each.opcode == CLOSE:
            return lines, [*pongs, (CLOSE, each.data)], True
        if each.opcode == BINARY:
            return lines, [], UNSUPPORTED
        if each.opcode == PING:
            pongs.append((PONG, each.data))
        if each.opcode in (TEXT, CONT):
            message += each.data
            try:
                codecs.getincrementaldecoder("utf-8")().decode(message, each.fin)
            except UnicodeDecodeError:
                return lines, [], INVALID
            if each.fin:
                framer = make_framer(policy)
                came = lines_of(framer.feed(message) + framer.end())
                lines, message = lines + (came if message else [""]), b""
    failed = parser.close_sent is not None
    return (lines, [], parser.close_sent.code) if failed else (lines, pongs, False)


class Agreement(SynchronousTestCase):
    @given(streams, st.lists(st.integers(0, 400), max_size=6), st.sampled_from(DELIMITERS))
    def test_it_agrees_with_another(self, stream, places, delimiter):
        policy, web = LinePolicy(delimiter=delimiter, max_line=128), Web(max_message=20_000)
        bounds = [0, *sorted(place for place in places if place < len(stream)), len(stream)]
        pieces = [stream[a:b] for a, b in itertools.pairwise(bounds)]
        expected = reference(stream, policy)
        self.assertEqual(outcome([stream], policy, web), expected)
        self.assertEqual(outcome(pieces, policy, web), expected)
        self.assertEqual(outcome([bytes([byte]) for byte in stream], policy, web), expected)
