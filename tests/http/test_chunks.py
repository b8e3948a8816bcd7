"""Bodies in chunks: the same however they are cut, and read strictly."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.http_peer import END, chunk
from twisted_sock.http.answers import Refusal
from twisted_sock.http.chunks import Chunks

UNHURRIED = settings(deadline=None, max_examples=100)


def taken(data, piece=1 << 20):
    """The body in some bytes, and what is behind it; None without an end."""
    body, rest = [], []
    chunks = Chunks(body.append, rest.append)
    for start in range(0, len(data), piece):
        if rest:
            rest[0] += data[start:]
            break
        chunks.dataReceived(data[start : start + piece])
    return b"".join(body), rest[0] if rest else None


def refused(data, piece=1 << 20):
    """Whether some bytes are refused."""
    try:
        taken(data, piece)
    except Refusal as refusal:
        return refusal.answer.status == 400
    return False


class Taking(SynchronousTestCase):
    @UNHURRIED
    @given(st.lists(st.binary(min_size=1, max_size=40)), st.binary(max_size=9), st.integers(1, 50))
    def test_a_body(self, parts, rest, piece):
        data = b"".join(map(chunk, parts)) + END + rest
        self.assertEqual(taken(data, piece), (b"".join(parts), rest))

    def test_forms_of_sizes(self):
        for size in (b"a", b"A", b"00a", b"a;name=value", b'a;q="x y"\t'):
            data = size + b"\r\n0123456789\r\n0;x\r\n\r\n"
            for piece in (1, len(data)):
                self.assertEqual(taken(data, piece), (b"0123456789", b""))

    def test_it_is_not_collected(self):
        body = []
        chunks = Chunks(body.append, body.append)
        chunks.dataReceived(b"ffff\r\nab")
        self.assertEqual(body, [b"ab"])

    def test_one_that_is_not_whole(self):
        for data in (b"", b"5", b"5\r", b"5\r\nabcde", b"5\r\nabcde\r", b"0\r\n", b"0\r\n\r"):
            self.assertIsNone(taken(data)[1])


class Refusing(SynchronousTestCase):
    def test_what_is_malformed(self):
        for data in (
            b"\r\n", b"x\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b" 1\r\n", b"1 \r\n", b"1\n",
            b"1;\x01\r\n", b"1;a\nb\r\n", b"1;a\rb\r\n", b"1" * 17 + b"\r\n", b"1_0\r\n",
            b"\xb2\r\n", b"1;" + b"a" * 1022 + b"\r\n", b"1;" + b"a" * 1100,
            b"1\r\nab\r\n", b"1\r\na\n\n", b"1\r\na\r\r",
            b"0\r\nX: y\r\n\r\n", b"0\r\n\n", b"0\r\n\r\r", b"0\r\n \r\n",
        ):  # fmt: skip
            for piece in (1, 2, len(data)):
                self.assertTrue(refused(data, piece), (data, piece))

    @UNHURRIED
    @given(st.lists(st.sampled_from(b"0 1 5 a \r \n \r\n ; : \0 abcde x".split(b" "))))
    def test_whether_it_is_does_not_depend_on_how_it_was_cut(self, parts):
        data = b"".join(parts)
        if not refused(data, 1):
            self.assertEqual(taken(data), taken(data, 1))
        self.assertEqual(refused(data), refused(data, 1))
