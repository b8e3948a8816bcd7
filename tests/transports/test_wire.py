"""What is below the lines: pieces of lines, one-sided ends, deafness."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.frames import CLOSE, PING, PONG, frame
from tests.http_peer import END, HEAD, AnswerReader, Visitor, chunk
from tests.transports.test_udp import ALICE, Bench
from tests.transports.test_websocket import connect as connect_websocket
from twisted_sock import Limits, LineFactory, LineProtocol
from twisted_sock.settings import Web
from twisted_sock.testing import connect
from twisted_sock.web import Site


class Teller(LineProtocol):
    """Answers in upper case; the test has its session."""

    heard: list[str]
    made: list[Teller]

    def connectionMade(self) -> None:
        self.heard = []
        self.made.append(self)

    def lineReceived(self, line: str) -> Any:
        self.heard.append(line)
        return line.upper()


class WireTest(SynchronousTestCase):
    def setUp(self) -> None:
        Teller.made = []
        self.peer = connect(Teller, limits=Limits(line_timeout=5, close_grace=5))
        self.server = Teller.made[0]
        self.wire = self.server.session.wire

    def test_it_stays_the_same(self) -> None:
        self.assertIs(self.server.session.wire, self.wire)
        self.assertTrue(self.wire.streams)
        self.assertTrue(self.wire.halves)

    def test_lines_go_on_as_ever(self) -> None:
        self.peer.say("a", "b")
        self.assertEqual(self.peer.lines(), ["A", "B"])

    def test_bytes_come_after_what_was_sent_before(self) -> None:
        self.server.sendLine("one")
        self.wire.send_bytes(self.wire.encode(["two"]), 1)
        self.server.sendLine("three")
        self.assertEqual(self.peer.lines(), ["one", "two", "three"])

    def test_they_come_after_what_a_slow_peer_has_yet_to_take(self) -> None:
        self.peer.stop_reading()
        big = "x" * 70_000  # more than a transport wants to have
        self.server.sendLine(big)
        self.server.sendLine("one")
        self.wire.hold()
        self.wire.send_bytes(b"tw")
        self.server.sendLine("three")
        self.wire.send_bytes(b"o\n")
        self.wire.release()
        self.server.sendLine("four")
        self.peer.start_reading()
        self.assertEqual(self.peer.lines(), [big, "one", "two", "three", "four"])

    def test_nothing_comes_between_pieces(self) -> None:
        self.wire.hold()
        self.wire.send_bytes(b"he")
        self.server.sendLine("pushed")
        self.peer.say("asked")
        self.assertEqual(self.peer.read(), b"he")
        self.wire.send_bytes(b"llo\n", 1)
        self.assertEqual(self.peer.read(), b"llo\n")
        self.wire.release()
        self.assertEqual(self.peer.lines(), ["pushed", "ASKED"])

    def test_the_end_waits_for_the_rest(self) -> None:
        self.wire.hold()
        self.wire.send_bytes(b"he")
        self.server.sendLine("pushed")
        self.server.close()
        self.assertFalse(self.peer.ended)
        self.wire.send_bytes(b"llo\n")
        self.wire.release()
        self.assertEqual(self.peer.lines(), ["hello", "pushed"])
        self.assertTrue(self.peer.ended)
        self.peer.close()
        self.assertTrue(self.peer.gone)

    def test_it_is_counted(self) -> None:
        counters = self.peer.factory.counters
        self.wire.hold()
        self.wire.send_bytes(b"he", 1)
        self.server.sendLine("a")
        self.wire.send_bytes(b"llo\n")
        self.wire.release()
        self.assertEqual((counters.lines_out, counters.bytes_out), (2, 8))

    def test_our_side_ends_and_the_peer_is_still_heard(self) -> None:
        self.server.sendLine("bye")
        self.wire.end_output()
        self.assertEqual((self.peer.lines(), self.peer.ended), (["bye"], True))
        self.peer.say("still", "there")
        self.assertEqual((self.server.heard, self.peer.lines()), (["still", "there"], []))
        self.assertFalse(self.peer.gone)
        self.peer.end()
        self.assertTrue(self.peer.gone)

    def test_a_conversation_that_is_closed_afterwards_ends(self) -> None:
        self.wire.end_output()
        self.server.close()
        self.peer.advance(6)
        self.assertTrue(self.peer.gone)

    def test_nothing_is_sent_after_our_end(self) -> None:
        self.wire.end_output()
        self.wire.hold()
        self.wire.send_bytes(b"nowhere")
        self.wire.release()
        self.assertEqual(self.peer.read(), b"")

    def test_it_reads_nothing_whoever_wants_to(self) -> None:
        self.wire.stop_reading()
        self.peer.say("a")
        self.server.session._transport.pause()
        self.server.session._transport.resume()
        self.peer.advance(1)
        self.assertEqual(self.server.heard, [])
        self.wire.read_again()
        self.assertEqual(self.peer.lines(), ["A"])

    def test_it_does_not_read_while_the_session_does_not_want_to(self) -> None:
        self.wire.stop_reading()
        self.server.session._transport.pause()
        self.wire.read_again()
        self.peer.say("a")
        self.assertEqual(self.server.heard, [])
        self.server.session._transport.resume()
        self.assertEqual(self.peer.lines(), ["A"])

    def test_a_peer_that_is_not_heard_is_not_late(self) -> None:
        self.peer.send(b"begun")
        self.wire.stop_reading()
        self.peer.send(b" and ended\n")
        self.peer.advance(20)
        self.wire.read_again()
        self.assertEqual(self.peer.lines(), ["BEGUN AND ENDED"])

    def test_a_deaf_conversation_can_be_closed(self) -> None:
        self.wire.stop_reading()
        self.peer.say("a")
        self.server.close()
        self.peer.close()
        self.assertTrue(self.peer.gone)

    def test_it_breaks_off(self) -> None:
        self.wire.abort()
        self.assertTrue(self.peer.gone)

    def test_nothing_can_be_done_to_what_is_gone(self) -> None:
        self.peer.reset()
        for act in (
            self.wire.hold,
            lambda: self.wire.send_bytes(b"x"),
            self.wire.release,
            self.wire.stop_reading,
            self.wire.read_again,
            self.wire.end_output,
            self.wire.abort,
        ):
            act()
        self.peer.advance(10)
        self.assertEqual(self.peer.clock.getDelayedCalls(), [])


class HeldTest(SynchronousTestCase):
    """What waits for the end of a hold is bounded, as what waits for a peer is."""

    LINE = "x" * 1000

    def setUp(self) -> None:
        Teller.made = []
        limits = Limits(high_water=200_000, stall_timeout=10, window=0)
        self.peer = connect(Teller, limits=limits)
        self.server = Teller.made[0]
        self.wire = self.server.session.wire
        self.wire.hold()

    def pipeline(self, count: int) -> None:
        """The peer says a thousand characters so often, and waits for nothing."""
        self.peer.send(f"{self.LINE}\n" * count)

    def test_a_peer_that_pipelines_is_not_read(self) -> None:
        self.pipeline(5000)
        self.assertLess(len(self.server.heard), 500)
        self.wire.release()
        heard = 0
        while lines := self.peer.lines():
            heard += len(lines)
            self.peer.send(b"")
        self.assertEqual(heard, 5000)

    def test_a_little_goes_on(self) -> None:
        self.pipeline(50)
        self.assertEqual(len(self.server.heard), 50)

    def test_it_can_be_held_again(self) -> None:
        for _ in range(3):
            self.pipeline(100)
            self.wire.release()
            self.wire.hold()
        self.assertEqual(len(self.peer.lines()), 300)
        self.wire.release()
        self.pipeline(2)
        self.assertEqual(len(self.peer.lines()), 2)

    def test_who_reads_is_not_slow_however_long_it_takes(self) -> None:
        self.pipeline(5000)
        for _ in range(40):
            self.wire.send_bytes(b"y")
            self.peer.advance(1)
            self.assertEqual(self.peer.read(), b"y")
            self.server.sendLine("pushed")
        self.assertFalse(self.peer.gone)
        self.wire.release()
        self.assertEqual(self.peer.lines().count("pushed"), 40)

    def test_who_stops_reading_during_it_is_slow_only_after_a_while(self) -> None:
        self.pipeline(5000)
        self.peer.advance(60)
        self.peer.stop_reading()
        self.wire.send_bytes(b"y" * 100_000)
        self.server.sendLine("pushed")
        self.assertFalse(self.peer.gone)

    def test_who_does_not_read_is_slow(self) -> None:
        self.peer.stop_reading()
        self.pipeline(5000)
        self.wire.send_bytes(b"y" * 100_000)
        self.peer.advance(9)
        self.assertFalse(self.peer.gone)
        self.peer.advance(5)
        self.assertTrue(self.peer.gone)

    def test_who_is_behind_is_still_behind_afterwards(self) -> None:
        self.peer.stop_reading()
        self.wire.send_bytes(b"y" * 100_000 + b"\n")
        self.pipeline(5000)
        self.wire.release()
        self.assertLess(len(self.server.heard), 500)
        self.peer.start_reading()
        self.assertGreater(len(self.peer.lines()), 100)

    def test_what_is_pushed_without_end_costs_the_connection(self) -> None:
        for _ in range(10_000):
            self.server.sendLine(self.LINE)
        self.assertTrue(self.peer.gone)
        self.assertLess(self.peer.factory.counters.lines_out, 4000)

    def test_a_peer_that_has_gone_meanwhile(self) -> None:
        self.pipeline(5000)
        heard = len(self.server.heard)
        self.peer.reset()
        self.wire.release()
        self.assertEqual((len(self.server.heard), self.peer.gone), (heard, True))
        self.assertEqual(self.peer.clock.getDelayedCalls(), [])

    def test_it_ends_when_closed_meanwhile(self) -> None:
        self.pipeline(100)
        self.server.close()
        self.assertFalse(self.peer.ended)
        self.wire.release()
        self.assertEqual(len(self.peer.lines()), 100)
        self.assertTrue(self.peer.ended)


class OverWebSocketTest(SynchronousTestCase):
    def setUp(self) -> None:
        Teller.made = []
        web = Web(ping_after=5, ping_timeout=5)
        self.peer = connect_websocket(Teller, web=web)
        self.server = Teller.made[0]
        self.wire = self.server.session.wire

    def test_lines_are_frames(self) -> None:
        self.assertEqual(self.wire.encode(["hi"]), b"\x81\x02hi")
        self.wire.send_bytes(self.wire.encode(["hi"]), 1)
        self.assertEqual(self.peer.lines(), ["hi"])

    def test_no_frame_comes_inside_another(self) -> None:
        first, second = self.wire.encode(["hello"])[:3], self.wire.encode(["hello"])[3:]
        self.wire.hold()
        self.wire.send_bytes(first)
        self.peer.send(frame(PING, b"there?"))
        self.server.sendLine("pushed")
        self.peer.advance(6)  # the server would ping
        self.assertEqual(self.peer.read(), first)
        self.wire.send_bytes(second)
        self.wire.release()
        self.peer.read()
        self.assertEqual((first + second)[2:], b"hello")

    def test_what_has_waited_is_whole(self) -> None:
        self.wire.hold()
        self.wire.send_bytes(self.wire.encode(["hello"]))
        self.peer.send(frame(PING, b"there?"))
        self.server.sendLine("pushed")
        self.wire.release()
        self.assertEqual(self.peer.lines(), ["hello", "pushed"])
        self.assertEqual(self.peer.controls(), [(PONG, b"there?")])

    def test_pings_that_come_while_there_is_enough_are_answered_after_it(self) -> None:
        self.wire.hold()
        self.server.sendLine("x" * 70_000)
        self.peer.send(frame(PING, b"there?"))
        self.wire.release()
        self.assertEqual(len(self.peer.lines()), 1)
        self.assertEqual(self.peer.controls(), [(PONG, b"there?")])

    def test_the_goodbye_waits_too(self) -> None:
        self.wire.hold()
        self.server.close()
        self.wire.send_bytes(self.wire.encode(["hello"]))
        self.wire.release()
        self.assertEqual(self.peer.lines(), ["hello"])
        self.assertEqual(self.peer.controls()[0][0], CLOSE)

    def test_who_is_not_heard_need_not_answer_pings(self) -> None:
        self.wire.stop_reading()
        self.peer.say("a")
        self.peer.advance(30)
        self.assertFalse(self.peer.gone)
        self.wire.read_again()
        self.assertEqual(self.peer.lines(), ["A"])


class OverHTTPTest(SynchronousTestCase):
    def setUp(self) -> None:
        Teller.made = []
        factory = LineFactory(Teller, reactor=Clock())
        self.peer = Visitor(factory=Site(Web())(factory, factory))
        self.answer = AnswerReader()
        self.peer.send(HEAD)
        self.server = Teller.made[0]
        self.wire = self.server.session.wire

    def read(self) -> bytes:
        """What has come of the answer's body."""
        self.peer.advance(0)
        self.answer.feed(self.peer.read())
        news = bytes(self.answer.news)
        self.answer.news.clear()
        return news

    def test_pieces_are_parts_of_the_answer(self) -> None:
        self.wire.hold()
        self.wire.send_bytes(b"he")
        self.server.sendLine("pushed")
        self.assertEqual(self.read(), b"he")
        self.wire.send_bytes(b"llo\n")
        self.wire.release()
        self.assertEqual(self.read(), b"llo\npushed\n")

    def test_the_answer_ends_after_what_is_held(self) -> None:
        self.wire.hold()
        self.wire.send_bytes(b"he")
        self.peer.send(chunk(b"a\n") + END)
        self.assertEqual((self.read(), self.answer.whole), (b"he", False))
        self.wire.send_bytes(b"llo\n")
        self.wire.release()
        self.assertEqual((self.read(), self.answer.whole), (b"llo\nA\n", True))

    def test_it_has_no_halves(self) -> None:
        self.assertFalse(self.wire.halves)

    def test_nothing_of_the_body_is_read(self) -> None:
        self.wire.stop_reading()
        self.peer.send(chunk(b"a\n"))
        self.assertEqual(self.server.heard, [])
        self.wire.read_again()
        self.peer.send(chunk(b"b\n"))
        self.assertEqual(self.read(), b"A\nB\n")

    def test_it_breaks_off(self) -> None:
        self.wire.abort()
        self.peer.advance(0)
        self.assertTrue(self.peer.gone)


class OverDatagramsTest(SynchronousTestCase):
    def setUp(self) -> None:
        Teller.made = []
        self.bench = Bench(Teller, udp_answers="any")
        self.bench.hear(b"a\n")
        self.wire: Any = Teller.made[0].session.wire

    def test_a_line_is_whole(self) -> None:
        self.assertFalse(self.wire.streams or self.wire.halves)
        self.wire.hold()
        self.wire.send_bytes(self.wire.encode(["b"]).replace(b"b", b"\xff"))
        self.wire.release()
        self.assertEqual(self.bench.said(ALICE), [b"\xff\n"])

    def test_what_there_is_not_does_nothing(self) -> None:
        for act in (self.wire.end_output, self.wire.stop_reading, self.wire.read_again):
            act()
        self.assertEqual(self.bench.hear(b"b\n"), [b"B\n"])

    def test_it_forgets(self) -> None:
        self.wire.abort()
        self.bench.wait(0.1)
        self.wire.send_bytes(b"x\n")
        self.assertEqual(self.bench.said(ALICE), [])
