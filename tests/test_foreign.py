"""What is sent to a port for lines by mistake, or by a browser."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LinePolicy, Reason
from twisted_sock.foreign import LONGEST, FirstLine
from twisted_sock.framing import make_framer
from twisted_sock.testing import connect

REQUEST = b"POST /evil HTTP/1.1\r\nHost: 127.0.0.1:1234\r\n\r\nshutdown now\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00"
LINES = st.lists(st.sampled_from(["GET", "GET key", "POST x HTTP", "GE", "\x16", "a b", ""]))


class ForeignTest(SynchronousTestCase):
    def told(self, data, piece=65536, **policy):
        """What a server that answers in capitals tells, and what it counted."""
        peer = connect(str.upper, policy=LinePolicy(**policy))
        peer.send(data, piece=piece)
        return peer.lines(), dict(peer.factory.counters.problems), peer

    def test_http_is_closed_before_any_line_is_delivered(self):
        for piece in (1, 7, 65536):
            for request in (
                REQUEST,
                b"GET / HTTP/1.0\n\n",
                b"OPTIONS * HTTP/1.1\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"CONNECT a.example:80 HTTP/1.1\r\n\r\n",
            ):
                lines, problems, peer = self.told(request, piece)
                self.assertEqual(lines, ["ERR foreign HTTP was sent to a port for lines"])
                self.assertEqual(problems, {Reason.FOREIGN: 1})
                self.assertEqual(peer.factory.counters.lines_in, 0)
                peer.end()
                self.assertEqual(peer.factory.counters.closed, {Reason.FOREIGN: 1})

    def test_so_is_tls(self):
        for piece in (1, 65536):
            lines, problems, _ = self.told(HELLO, piece)
            self.assertEqual(lines, ["ERR foreign TLS was sent to a port for lines"])
            self.assertEqual(problems, {Reason.FOREIGN: 1})

    def test_a_request_line_that_does_not_end(self):
        """Its end may be far behind the limit of lines, and headers behind it."""
        endless = b"GET /" + b"x" * LONGEST
        for policy in ({}, {"max_line": 100}):
            lines, problems, _ = self.told(endless + b" HTTP/1.1\r\nstop\r\n", **policy)
            self.assertIn("ERR foreign HTTP was sent to a port for lines", lines)
            self.assertNotIn("STOP", lines)
            self.assertEqual(problems[Reason.FOREIGN], 1)

    def test_lines_that_only_look_so(self):
        for line in ("GET", "GET key", "GET key HTTP", "POST office", "get / HTTP/1.1", "\x16x"):
            for piece in (1, 65536):
                lines, problems, _ = self.told(f"{line}\n", piece)
                self.assertEqual((lines, problems), ([line.upper()], {}))

    def test_only_the_beginning_counts(self):
        lines, problems, _ = self.told(b"hello\n" + REQUEST)
        self.assertEqual(lines[:2], ["HELLO", "POST /EVIL HTTP/1.1"])
        self.assertEqual(problems, {})

    def test_unless_they_are_wanted(self):
        lines, problems, _ = self.told(REQUEST, foreign="deliver")
        self.assertEqual((lines[0], problems), ("POST /EVIL HTTP/1.1", {}))

    def test_chunks(self):
        _lines, problems, peer = self.told(REQUEST, framing="chunk")
        self.assertEqual(problems, {Reason.FOREIGN: 1})
        self.assertEqual(peer.factory.counters.lines_in, 0)

    def test_nothing_of_it_is_delivered_whatever_the_policy(self):
        for policy in ({"overlong": "truncate"}, {"overlong": "report"}):
            for piece in (1, 7):
                peer = connect(str.upper, policy=LinePolicy(max_line=20, **policy))
                peer.send(b"POST /" + b"a" * 40 + b" HTTP/1.1\r\nstop\r\n", piece=piece)
                self.assertEqual(peer.lines(), ["ERR foreign HTTP was sent to a port for lines"])
                self.assertEqual(peer.factory.counters.lines_in, 0)

    def test_a_first_line_that_does_not_end_is_not_waited_for(self):
        peer = connect(str.upper, limits=Limits(line_timeout=5))
        peer.send(b"GET ")
        peer.advance(6)
        self.assertEqual(peer.lines(), ["ERR partial a line was begun but not finished in time"])

    def test_a_chunk_is_not_held(self):
        peer = connect(str.upper, policy=LinePolicy(framing="chunk"))
        peer.send(b"GET ")
        self.assertEqual(peer.read(), b"GET ")

    def test_a_tail_at_the_end(self):
        peer = connect(str.upper)
        peer.send(b"GET")
        peer.end()
        self.assertEqual(peer.lines(), ["GET"])

    @given(LINES, st.integers(1, 9))
    def test_other_lines_come_through_as_they_are(self, lines, piece):
        data = "".join(f"{line}\n" for line in lines).encode()
        alone = make_framer(LinePolicy())
        released = []
        framer = FirstLine(alone, released.append)
        found = []
        for start in range(0, len(data), piece):
            reader = released[0] if released else framer
            for run in reader.feed(data[start : start + piece]):
                found += run
        self.assertEqual(found, lines)
        self.assertEqual(bool(released), bool(lines))
