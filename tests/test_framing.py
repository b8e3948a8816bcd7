"""Bytes to lines of text and back, under every policy and in any pieces."""

import codecs
import itertools
import re
import time
import tracemalloc

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import Problem, Reason
from twisted_sock.framing import make_framer
from twisted_sock.settings import LinePolicy, settings_of

FEW = settings(max_examples=70, deadline=None)
MANY = settings(max_examples=200, deadline=None)

CHOICES = {each.name: each.choices for each in settings_of(LinePolicy) if each.choices}
MARKS = {"lenient": b"\n", "lf": b"\n", "crlf": b"\r\n"}

#: What streams are made of: delimiters and halves of them, characters and halves of them.
BITS = [b"\r", b"\n", b"\r\n", b"a", b"bc", "é".encode(), "世".encode(), "😀".encode()]
BAD = [b"\xff", b"\xe4", b"\xb8", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc0\x80"]
STREAMS = st.lists(st.sampled_from(BITS + BAD), max_size=20).map(b"".join)
LONG_BITS = [b"x" * 250, b"y" * 500, "世".encode() * 300, b"\n", b"\r\n", b"z\n", b"\xff\n", b"\r"]
LONG_STREAMS = st.lists(st.sampled_from(LONG_BITS), max_size=40).map(b"".join)
TEXTS = st.text(max_size=30)
PLACES = st.lists(st.integers(0, 60), max_size=12)


def policies(**fixed):
    """Every policy for framing lines, with these limits."""
    limits = fixed.pop("max_line", (0, 1, 2, 3, 6))
    free = {name: words for name, words in CHOICES.items() if name not in {"framing", *fixed}}
    for limit, *words in itertools.product(limits, *free.values()):
        yield LinePolicy(max_line=limit, **dict(zip(free, words, strict=True)), **fixed)


def cut(data, places):
    """`data` in pieces, cut at these places."""
    ends = sorted({place for place in places if 0 < place < len(data)})
    return [data[a:b] for a, b in itertools.pairwise([0, *ends, len(data)])] if data else []


def single(data):
    """`data` byte by byte."""
    return [data[i : i + 1] for i in range(len(data))]


def told(problem):
    """What a problem says: its reason, the number in its words, whether it is the end."""
    return problem.reason, int(re.findall(r"\d+", problem.words)[-1]), problem.fatal


def flat(runs):
    """Lines, and in their places what problems say."""
    parts = [[told(run)] if isinstance(run, Problem) else run for run in runs]
    return list(itertools.chain.from_iterable(parts))


def feed(framer, data):
    """Feed a framer the long way."""
    return framer.feed(data)


def take(framer, data):
    """Feed a framer as streams do: the short way where there is one."""
    lines = framer.whole_lines(data)
    return framer.feed(data) if lines is None else [lines]


def outcome(policy, pieces, ended=True, way=take):
    """What a framer makes of some pieces, and of the end after them."""
    framer = make_framer(policy)
    runs = [run for piece in pieces for run in way(framer, piece)]
    return flat(runs + framer.end() if ended else runs)


def reference(policy, data):
    """What should come of a whole stream, one line at a time."""
    found = []
    for raw in raw_lines(policy, data):
        found.append(one_line(policy, raw))
        if isinstance(found[-1], tuple) and found[-1][2]:
            break
    return found


def raw_lines(policy, data):
    """The lines of a stream, and its tail if anything is to come of it."""
    *raws, tail = data.split(MARKS[policy.delimiter])
    if policy.delimiter == "lenient":
        raws = [raw.removesuffix(b"\r") for raw in raws]
    may_end = tail.endswith(b"\r") and policy.delimiter != "lf"
    hopeless = policy.max_line and len(tail) - may_end > policy.max_line
    return [*raws, tail] if hopeless or (tail and policy.eof_tail == "deliver") else raws


def one_line(policy, raw):
    """The text of a line, or what its problem says."""
    limit = policy.max_line
    if limit and len(raw) > limit:
        if policy.overlong != "truncate":
            return Reason.TOO_LONG, limit, policy.overlong == "close"
        # Up to three bytes less than the limit, so that the next byte begins a character.
        sizes = [s for s in range(limit, limit - 4, -1) if s >= 0 and not 0x80 <= raw[s] < 0xC0]
        raw = raw[: sizes[0] if sizes else limit]
    try:
        return raw.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        if policy.invalid == "replace":
            return raw.decode("utf-8", "replace")
        return Reason.UTF8, error.start, policy.invalid == "close"


class LinesTest(SynchronousTestCase):
    """Whole streams against the reference, for every policy."""

    @FEW
    @given(STREAMS, PLACES)
    @example(b"abc\r\n", [3, 4])
    @example(b"abcdef\r\r\r\nx", list(range(12)))
    @example("世世\r\n世".encode(), list(range(12)))
    @example(b"\xe4\xb8\r\n\xff\xff\xff\xff\n\r", list(range(12)))
    def test_any_pieces(self, data, places):
        for policy in policies():
            expected = reference(policy, data)
            for pieces in ([data], cut(data, places), single(data)):
                self.assertEqual(outcome(policy, pieces), expected, policy)
            self.assertEqual(outcome(policy, cut(data, places), way=feed), expected, policy)

    @FEW
    @given(LONG_STREAMS, st.lists(st.integers(0, 20_000), max_size=4))
    def test_long_lines(self, data, places):
        for policy in policies(max_line=(0, 500)):
            expected = reference(policy, data)
            for pieces in ([data], cut(data, places)):
                self.assertEqual(outcome(policy, pieces), expected, policy)

    def test_short_streams(self):
        """Every stream of up to four bytes that matter."""
        for policy in policies(max_line=(2,)):
            for size in range(1, 5):
                for letters in itertools.product(b"a\r\n\xc3", repeat=size):
                    data = bytes(letters)
                    expected = reference(policy, data)
                    self.assertEqual(outcome(policy, [data]), expected, (data, policy))
                    self.assertEqual(outcome(policy, single(data)), expected, (data, policy))

    @FEW
    @given(STREAMS, PLACES)
    def test_runs_hold_lines(self, data, places):
        """A run is a problem or lines of text, never an empty list."""
        for policy in policies(max_line=(0, 2)):
            framer = make_framer(policy)
            runs = [run for piece in cut(data, places) for run in take(framer, piece)]
            for run in runs + framer.end():
                if not isinstance(run, Problem):
                    self.assertTrue(run)
                    self.assertEqual({type(line) for line in run}, {str})

    @FEW
    @given(STREAMS, PLACES)
    def test_partial(self, data, places):
        """Something is begun just when the stream so far does not end in a delimiter."""
        for policy in policies(max_line=(0, 3), overlong="report", invalid="report"):
            framer = make_framer(policy)
            so_far = b""
            for piece in cut(data, places):
                take(framer, piece)
                so_far += piece
                begun = not so_far.endswith(MARKS[policy.delimiter])
                self.assertEqual(framer.partial, begun, (so_far, policy))

    def test_limit_is_exact(self):
        for delimiter, mark in (("lenient", "\n"), ("lenient", "\r\n"), ("crlf", "\r\n")):
            policy = LinePolicy(max_line=6, delimiter=delimiter)
            for line, fits in (("abcdef", True), ("世世", True), ("abcdefg", False)):
                data = (line + mark).encode()
                expected = [line] if fits else [(Reason.TOO_LONG, 6, False)]
                for pieces in ([data], single(data), [data[:-1], data[-1:]]):
                    self.assertEqual(outcome(policy, pieces), expected, (delimiter, pieces))

    def test_too_long_is_told_before_its_end(self):
        framer = make_framer(LinePolicy(max_line=3))
        self.assertEqual(flat(take(framer, b"abcd")), [(Reason.TOO_LONG, 3, False)])
        self.assertEqual(take(framer, b"efgh"), [])
        self.assertEqual(take(framer, b"ij\nok\n"), [["ok"]])

    def test_order_is_kept(self):
        data = b"one\n\xff\ntwo\nmuch too long\nthree\n"
        self.assertEqual(
            outcome(LinePolicy(max_line=5), [data]),
            ["one", (Reason.UTF8, 0, False), "two", (Reason.TOO_LONG, 5, False), "three"],
        )

    def test_only_newlines_end_lines(self):
        line = "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\rb\ufeff"
        for delimiter, mark in MARKS.items():
            data = line.encode() + mark
            policy = LinePolicy(delimiter=delimiter)
            self.assertEqual(outcome(policy, [data]), [line])
            self.assertEqual(outcome(policy, single(data)), [line])

    def test_empty_lines(self):
        self.assertEqual(outcome(LinePolicy(), [b"\n\r\n\n"]), ["", "", ""])
        self.assertEqual(outcome(LinePolicy(delimiter="lf"), [b"\n\r\n"]), ["", "\r"])
        self.assertEqual(outcome(LinePolicy(delimiter="crlf"), [b"\n\r\n\r\n"]), ["\n", ""])


class DecodingTest(SynchronousTestCase):
    """Text is what CPython's strict UTF-8 says it is, wherever it is cut."""

    @MANY
    @given(st.binary(max_size=12), PLACES)
    def test_any_bytes(self, data, places):
        data = data.replace(b"\n", b"\r")
        for invalid in CHOICES["invalid"]:
            policy = LinePolicy(delimiter="lf", invalid=invalid)
            expected = [one_line(policy, data)]
            for pieces in (cut(data + b"\n", places), single(data + b"\n")):
                self.assertEqual(outcome(policy, pieces), expected)

    def test_one_and_two_bytes(self):
        """All of them, alone and as two pieces."""
        policy = LinePolicy(delimiter="lf")
        framer = make_framer(policy)
        singles = [bytes([a]) for a in range(256) if a != 0x0A]
        pairs = [a + b for a in singles for b in singles]
        expected = [one_line(policy, raw) for raw in singles + pairs]
        self.assertEqual(flat(take(framer, b"\n".join([*singles, *pairs, b""]))), expected)
        halves = [take(framer, raw[:1]) + take(framer, raw[1:] + b"\n") for raw in pairs]
        self.assertEqual([flat(runs)[0] for runs in halves], expected[len(singles) :])

    def test_borders_of_three_and_four_bytes(self):
        """Overlong forms, surrogates, what lies beyond U+10FFFF, and their neighbours."""
        leads = b"\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xf8\xff"
        seconds = b"A\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0"
        rest = b"A\x80\xbf\xc0"
        policy = LinePolicy(delimiter="lf")
        for letters in itertools.product(leads, seconds, rest, rest):
            for data in (bytes(letters), bytes(letters[:3])):
                expected = [one_line(policy, data)]
                whole = data + b"\n"
                for pieces in (cut(whole, [1]), cut(whole, [2]), cut(whole, [3]), single(whole)):
                    self.assertEqual(outcome(policy, pieces), expected, data)


class EncodingTest(SynchronousTestCase):
    """Lines to bytes, ended as the peer ends its own."""

    def test_lf_before_anything_came(self):
        self.assertEqual(make_framer(LinePolicy()).encode(["世", "", "b"]), "世\n\nb\n".encode())

    @MANY
    @given(STREAMS, PLACES, st.sampled_from([0, 1, 3]))
    def test_mirrors_the_last_delimiter(self, data, places, limit):
        framer = make_framer(LinePolicy(max_line=limit))
        for piece in cut(data, places):
            take(framer, piece)
        ended = data[: data.rfind(b"\n") + 1]
        mark = b"\r\n" if ended.endswith(b"\r\n") else b"\n"
        self.assertEqual(framer.encode(["x", "y"]), b"x" + mark + b"y" + mark)

    def test_strict_delimiters_stay(self):
        for delimiter in ("lf", "crlf"):
            framer = make_framer(LinePolicy(delimiter=delimiter))
            for data in (b"", b"a\r\n", b"a\n"):
                take(framer, data)
                self.assertEqual(framer.encode(["x"]), b"x" + MARKS[delimiter])

    def test_no_newline_in_a_line(self):
        framers = [make_framer(LinePolicy(delimiter=word)) for word in CHOICES["delimiter"]]
        mirroring = make_framer(LinePolicy())
        take(mirroring, b"x\r\n")
        for framer in [*framers, mirroring]:
            for line in ("\n", "a\nb", "a\n", "\na", "a\r\nb"):
                self.assertRaises(ValueError, framer.encode, ["fine", line])
            self.assertEqual(framer.encode(["fine"]).strip(), b"fine")

    def test_no_lone_surrogate(self):
        for framing in CHOICES["framing"]:
            framer = make_framer(LinePolicy(framing=framing))
            self.assertRaises(ValueError, framer.encode, ["fine", "\ud800"])
            self.assertEqual(framer.encode(["fine"]).strip(), b"fine")

    @FEW
    @given(st.lists(TEXTS.filter(lambda line: "\n" not in line and line[-1:] != "\r"), max_size=5))
    def test_what_is_encoded_can_be_read(self, lines):
        for delimiter in CHOICES["delimiter"]:
            policy = LinePolicy(delimiter=delimiter, max_line=0)
            whole = [line for line in lines if MARKS[delimiter].decode() not in line]
            data = make_framer(policy).encode(whole) if whole else b""
            self.assertEqual(outcome(policy, [data], ended=False), whole)


def chunks(**kwargs):
    """A policy for framing chunks."""
    return LinePolicy(framing="chunk", **kwargs)


class ChunkTest(SynchronousTestCase):
    """What one read gives is one message."""

    def test_a_message_for_each_read(self):
        policy = chunks()
        self.assertEqual(outcome(policy, [b"a\nb", b"c\r\n", b"\n"]), ["a\nb", "c\r\n", "\n"])

    def test_a_cut_character_joins_two_reads(self):
        framer = make_framer(chunks())
        self.assertEqual(framer.feed(b"ab\xe4\xb8"), [])
        self.assertTrue(framer.partial)
        self.assertEqual(framer.feed(b"\x96c"), [["ab世c"]])
        self.assertFalse(framer.partial)

    @MANY
    @given(TEXTS, PLACES)
    def test_text_is_lossless(self, text, places):
        pieces = cut(text.encode(), places)
        for eof_tail in CHOICES["eof_tail"]:
            messages = outcome(chunks(eof_tail=eof_tail), pieces)
            self.assertEqual("".join(messages), text)
            self.assertNotIn("", messages)

    @MANY
    @given(st.binary(max_size=30), PLACES)
    def test_any_bytes(self, data, places):
        """Up to the first problem, and what it says."""
        expected, held = [], b""
        for piece in cut(data, places):
            held += piece
            try:
                text, used = codecs.utf_8_decode(held, "strict", False)
            except UnicodeDecodeError as error:
                expected.append((Reason.UTF8, error.start, True))
                held = b""
                break
            if used == len(held):
                expected.append(text)
                held = b""
        if held:
            start = codecs.utf_8_decode(held, "strict", False)[1]
            expected.append((Reason.UTF8, start, True))
        self.assertEqual(outcome(chunks(invalid="close"), cut(data, places)), expected)

    @MANY
    @given(st.binary(max_size=30), PLACES)
    def test_replaced(self, data, places):
        messages = outcome(chunks(invalid="replace"), cut(data, places))
        self.assertEqual("".join(messages), data.decode("utf-8", "replace"))

    def test_invalid(self):
        for data, at in ((b"ab\xff", 2), (b"\xc0\x80", 0), (b"\xed\xa0\x80", 0)):
            self.assertEqual(outcome(chunks(), [data, b"ok"]), [(Reason.UTF8, at, False), "ok"])
            found = outcome(chunks(invalid="close"), [data, b"ok"])
            self.assertEqual(found, [(Reason.UTF8, at, True)])

    def test_too_long(self):
        pieces = [b"abcd", b"abcde", b"ok"]
        for overlong, expected in {
            "report": ["abcd", (Reason.TOO_LONG, 4, False), "ok"],
            "close": ["abcd", (Reason.TOO_LONG, 4, True)],
            "truncate": ["abcd", "abcd", "ok"],
        }.items():
            self.assertEqual(outcome(chunks(max_line=4, overlong=overlong), pieces), expected)

    def test_reads_that_are_too_long_only_together_stay_apart(self):
        pieces = ["ab世".encode()[:4], "ab世".encode()[4:] + b"c", b"ok"]
        for overlong in CHOICES["overlong"]:
            found = outcome(chunks(max_line=5, overlong=overlong), pieces)
            self.assertEqual(found, ["ab", "世c", "ok"])
        self.assertEqual(outcome(chunks(max_line=6), pieces), ["ab世c", "ok"])

    def test_nothing_is_lost_of_text_longer_than_the_limit(self):
        text = "a" + "世" * 200
        for limit in (1, 2, 3, 4, 5, 64):
            data = text.encode()
            pieces = [data[i : i + limit] for i in range(0, len(data), limit)]
            self.assertEqual("".join(outcome(chunks(max_line=limit), pieces)), text)

    def test_the_rest_of_a_character_goes_where_its_beginning_went(self):
        for policy, first in (
            ({}, (Reason.TOO_LONG, 4, False)),
            ({"overlong": "truncate"}, "abcd"),
            ({"overlong": "truncate", "invalid": "close"}, "abcd"),
        ):
            for rest in ([b"\x96ok"], [b"\x96", b"ok"]):
                found = outcome(chunks(max_line=4, **policy), [b"abcdefg\xe4\xb8", *rest])
                self.assertEqual(found, [first, "ok"])
        found = outcome(chunks(), [b"\xffa\xe4\xb8", b"\x96ok"])
        self.assertEqual(found, [(Reason.UTF8, 0, False), "ok"])

    def test_truncated_between_characters(self):
        policy = chunks(max_line=5, overlong="truncate")
        self.assertEqual(outcome(policy, ["a世世".encode()]), ["a世"])
        self.assertEqual(outcome(policy, [b"abc\xe4", b"\xb8\x96d"]), ["abc", "世d"])

    def test_truncated_and_invalid(self):
        policy = chunks(max_line=5, overlong="truncate")
        self.assertEqual(outcome(policy, [b"a\xffbcdef"]), [(Reason.UTF8, 1, False)])
        self.assertEqual(outcome(policy, [b"a\xe4", b"bcdef"]), ["a", (Reason.UTF8, 0, False)])

    def test_end_inside_a_character(self):
        for kwargs, expected in (
            ({}, [(Reason.UTF8, 2, False)]),
            ({"invalid": "close"}, [(Reason.UTF8, 2, True)]),
            ({"invalid": "replace"}, ["ab\ufffd"]),
            ({"eof_tail": "drop"}, []),
        ):
            self.assertEqual(outcome(chunks(**kwargs), [b"ab\xe4\xb8"]), expected)

    def test_sent_as_it_is(self):
        framer = make_framer(chunks())
        framer.feed(b"x\r\n")
        self.assertEqual(framer.encode(["a\n", "世"]), "a\n世".encode())


def cpu(policy, pieces, tries=1):
    """The least CPU seconds that some pieces cost."""
    costs = []
    for _ in range(tries):
        framer = make_framer(policy)
        begun = time.process_time()
        for piece in pieces:
            take(framer, piece)
        framer.end()
        costs.append(time.process_time() - begun)
    return min(costs)


class CostTest(SynchronousTestCase):
    """Work is linear in the bytes, however they are cut. Whatever is not takes minutes here."""

    def test_long_lines_byte_by_byte(self):
        self.assertLess(cpu(LinePolicy(), single((b"x" * 61440 + b"\n") * 17)[:1_000_000]), 3)

    def test_endless_line_byte_by_byte(self):
        for delimiter in CHOICES["delimiter"]:
            policy = LinePolicy(max_line=0, delimiter=delimiter)
            self.assertLess(cpu(policy, single(b"x" * 300_000)), 3)

    def test_long_lines_at_once(self):
        self.assertLess(cpu(LinePolicy(), [b"x" * 4095 + b"\n"] * 4096), 1)
        self.assertLess(cpu(LinePolicy(), [(b"x" * 4095 + b"\n") * 16] * 256), 1)

    def test_short_lines_that_look_like_long_ones(self):
        piece = b"x" * 300 + b"\n" * 32_000 + b"x" * 600 + b"\n" * 32_000
        self.assertLess(cpu(LinePolicy(), [piece] * 10), 3)

    def test_short_lines_at_once(self):
        self.assertLess(cpu(LinePolicy(), [b"x\n" * (1 << 19)], tries=5), 0.1)

    def test_halves_of_delimiters(self):
        for limit, delimiter in itertools.product((0, 10), CHOICES["delimiter"]):
            policy = LinePolicy(max_line=limit, delimiter=delimiter)
            self.assertLess(cpu(policy, single(b"\r" * 100_000)), 3)

    def test_good_and_bad_lines_in_turn(self):
        self.assertLess(cpu(LinePolicy(max_line=3), [b"ok\n\xff\nlong\n" * 50_000]), 3)
        self.assertLess(cpu(LinePolicy(max_line=3), single(b"ok\n\xff\nlong\n" * 20_000)), 3)

    def test_reads_that_end_inside_characters(self):
        data = b"x" + ("é" * 32_000).encode() + b"x"
        pieces = [data[i : i + 2] for i in range(0, len(data), 2)]
        self.assertEqual(outcome(chunks(), pieces), [data.decode()])
        self.assertLess(cpu(chunks(), pieces), 1)

    def test_thrown_away_without_memory(self):
        """A line of 1 GB."""
        piece = b"x" * 65536
        for delimiter in ("lenient", "crlf"):
            framer = make_framer(LinePolicy(delimiter=delimiter))
            tracemalloc.start()
            problems = sum(len(framer.feed(piece)) for _ in range(1 << 14))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertEqual(problems, 1)
            self.assertLess(peak, 1 << 20)
            self.assertEqual(framer.feed(b"end\r\nok\r\n"), [["ok"]])
