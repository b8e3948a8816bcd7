"""The heads of requests: found however they are cut, bounded, read strictly."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.http.answers import Refusal
from twisted_sock.http.head import MOST_FIELDS, HeadReader

UNHURRIED = settings(deadline=None, max_examples=100)

GOOD = b"POST /line?q=1 HTTP/1.1\r\nHost: localhost\r\nX-Two:  words \t\r\n\r\n"

#: What must be refused, by the status that says so.
BAD = {
    400: [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\n",
        b"hello\r\n",
        b"GET /\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET / http/1.1\r\n",
        b"G\xc3T / HTTP/1.1\r\n",
        b"GET /\xc3 HTTP/1.1\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x07c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\n\r\n",
        b"GET http:/// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: \xb2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    501: [
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n".replace(
            b"\x0b", b"x"
        ),
    ],
    505: [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n"],
    414: [b"GET /" + b"a" * 1000],
    431: [
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * MOST_FIELDS + b"\r\n",
    ],
}


def fed(data, piece, limit=0):
    """What a reader finds in a stream that is cut into pieces: heads, and what is left over."""
    reader = HeadReader(limit)
    heads = []
    for start in range(0, len(data), piece):
        rest = data[start : start + piece]
        while rest and (found := reader.feed(rest)):
            heads.append(found[0])
            rest = found[1]
    return heads


PARTS = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b":",
        b"A",
        b"\t",
        b"\x00",
        b"A: b\r\n",
        b"GET / HTTP/1.1",
        b"a" * 20,
    ]
)


def told(data, piece, limit):
    """The answer that a stream is refused with; nothing when it is not."""
    try:
        fed(data, piece, limit)
    except Refusal as refusal:
        return refusal.answer
    return None


def refused(data, piece=1 << 20, limit=0):
    """The status that a stream is refused with; 0 when it is not."""
    try:
        fed(data, piece, limit)
    except Refusal as refusal:
        return refusal.answer.status
    return 0


class Reading(SynchronousTestCase):
    def test_a_good_head(self):
        (head,) = fed(GOOD, len(GOOD))
        self.assertEqual((head.method, head.path, head.version), ("POST", "/line", "HTTP/1.1"))
        self.assertEqual(head.fields, (("host", "localhost"), ("x-two", "words")))
        self.assertEqual((head.first("x-two"), head.first("x-three")), ("words", ""))

    @UNHURRIED
    @given(st.integers(1, 200), st.integers(1, 3), st.integers(0, 3))
    def test_however_it_is_cut(self, piece, count, empty):
        heads = fed((b"\r\n" * empty + GOOD) * count, piece)
        self.assertEqual(heads, fed(GOOD, len(GOOD)) * count)

    def test_what_comes_behind(self):
        self.assertEqual(HeadReader(0).feed(GOOD + b"body\nX\r\n\r\n")[1], b"body\nX\r\n\r\n")

    def test_an_absolute_target_names_the_host(self):
        """RFC 9112 section 3.2.2."""
        for target, path in (("http://b.example:80/line?q", "/line"), ("HTTPS://b.example", "/")):
            (head,) = fed(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 1000)
            self.assertEqual((head.path, head.all("host")[0][:9]), (path, "b.example"))

    def test_http_1_0_needs_no_host(self):
        self.assertEqual(len(fed(b"GET / HTTP/1.0\r\n\r\n", 100)), 1)

    def test_fields_that_come_twice(self):
        (head,) = fed(b"GET / HTTP/1.0\r\nA: b\r\nC: d\r\na: e\r\n\r\n", 100)
        self.assertEqual((head.joined("a"), head.joined("c"), head.joined("f")), ("b, e", "d", ""))

    def test_words_of_a_list(self):
        (head,) = fed(b"GET / HTTP/1.0\r\nUpgrade: a, WebSocket\r\nUpgrade: b\r\n\r\n", 100)
        self.assertTrue(head.has_token("upgrade", "websocket"))
        self.assertTrue(head.has_token("upgrade", "b"))
        self.assertFalse(head.has_token("upgrade", "c"))


class Refusing(SynchronousTestCase):
    def test_what_breaks_a_rule(self):
        for status, streams in BAD.items():
            for data in streams:
                for piece in (1, 7, 1 << 20):
                    limit = 500 if status in (414, 431) and len(data) > 900 else 0
                    self.assertEqual(refused(data, piece, limit), status, (data, piece))

    def test_bytes_that_are_no_text_are_told(self):
        for data in (b"\0", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"):
            words = told(data + b"\r\n", 1, 0).body
            self.assertIn(b"NUL", words)
            self.assertNotIn(b"CR", words)

    def test_the_limit_is_exact(self):
        for piece in (1, len(GOOD)):
            self.assertEqual(refused(GOOD, piece, len(GOOD)), 0)
            self.assertEqual(refused(GOOD, piece, len(GOOD) - 1), 431)

    def test_an_endless_head_is_not_kept(self):
        reader = HeadReader(1000)
        with self.assertRaises(Refusal):
            reader.feed(b"GET / HTTP/1.1\r\nA: " + b"a" * 981)

    def test_work_is_linear_in_the_bytes(self):
        """Byte by byte a big head takes no longer than some multiple of its size."""
        data = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 50_000 + b"\r\n\r\n"
        self.assertEqual(len(fed(data, 1)), 1)

    @UNHURRIED
    @given(st.binary(max_size=200), st.integers(1, 50))
    def test_anything_else_is_refused_or_awaited(self, data, piece):
        self.assertIn(refused(data, piece, 100), (0, 400, 414, 431, 501, 505))

    @UNHURRIED
    @given(st.lists(PARTS).map(b"".join), st.integers(1, 50))
    def test_a_refusal_does_not_depend_on_how_it_was_cut(self, data, piece):
        for stream in (data, b"GET / HTTP/1.1\r\nHost: x\r\n" + data + b"\r\n\r\n"):
            words = [told(stream, size, 60) for size in (1 << 20, piece, 1)]
            self.assertEqual(len(set(words)), 1, words)

    @UNHURRIED
    @given(st.lists(PARTS))
    def test_nothing_that_is_taken_has_bare_ends_of_lines(self, parts):
        try:
            heads = fed(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(parts) + b"\r\n\r\n", 1000)
        except Refusal:
            return
        for head in heads:
            for line in head.lines:
                self.assertNotRegex(line, rb"[\r\n\x00]")
