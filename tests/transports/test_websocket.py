"""WebSocket in memory: the promises of every transport, and what only a WebSocket has."""

from __future__ import annotations

import random

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.contracts import STREAM
from tests.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    Messages,
    close,
    frame,
    text,
    unframe,
)
from tests.memory_worlds import MemoryWorld, keeps
from twisted_sock import Limits, LineFactory, LinePolicy, LineProtocol, Reason
from twisted_sock.interfaces import Peer
from twisted_sock.settings import Web
from twisted_sock.testing import MemoryPeer
from twisted_sock.transports.websocket import WebSocketStream, handshake

WEB = Web()


class WebSocketFactory(LineFactory):
    """Speaks WebSocket at once, as after a handshake."""

    web = WEB
    offer = ()

    def buildProtocol(self, addr):
        agreed = handshake("/", [*UPGRADE, *self.offer], self.web)
        peer = Peer(IPv4Address("TCP", "127.0.0.1", 40000))
        return WebSocketStream(self, agreed, self.policy, self.web, peer)


class WebSocketPeer(MemoryPeer):
    """A bare client after the handshake.

    Attributes:
        frames: what has come that is no text.
    """

    def __init__(self, factory, clock):
        super().__init__(factory, clock)
        self._rest = b""
        self.texts = []
        self.others = []

    def come(self):
        """Look at what has come."""
        frames, self._rest = unframe(self._rest + self.read())
        self.texts += [payload.decode() for opcode, payload in frames if opcode == TEXT]
        self.others += [each for each in frames if each[0] != TEXT]

    def say(self, *lines):
        self.send(text(*lines))

    def lines(self):
        """The messages that have come since it was last asked."""
        self.come()
        texts, self.texts = self.texts, []
        return texts

    def controls(self):
        """The control frames that have come since it was last asked, as (opcode, payload)."""
        self.come()
        others, self.others = self.others, []
        return others

    def closed(self):
        """The code and the words that the server has closed with; None when it has not."""
        for opcode, payload in self.controls():
            if opcode == CLOSE:
                return (int.from_bytes(payload[:2]) if payload else None), payload[2:].decode()
        return None


def connect(handler=str.upper, *, web=None, offer=(), limits=None, **policy):
    clock = Clock()
    factory = WebSocketFactory(
        handler, policy=LinePolicy(**policy), limits=limits or Limits(), reactor=clock
    )
    factory.web = web or WEB
    factory.offer = offer
    return WebSocketPeer(factory, clock)


# The promises of every transport.


class PromisedPeer(WebSocketPeer):
    """A peer in memory, as the promises want it."""

    def __init__(self, world):
        super().__init__(world.factory, world.clock)
        self._world = world
        self._messages = Messages()

    def send(self, data, piece=65536):
        super().send(self._messages(data), piece)

    async def lines(self, count):
        def came():
            self.come()
            return len(self.texts) >= count

        await self._world.until(came)
        lines, self.texts = self.texts[:count], self.texts[count:]
        return lines

    async def rest(self):
        await self._world.until(lambda: self.ended)
        self.come()
        MemoryPeer.close(self)
        return self.texts


class WebSocketWorld(MemoryWorld):
    """WebSockets in memory."""

    peer = PromisedPeer

    def serve(self, handler, policy, limits):
        self.factory = WebSocketFactory(handler, policy=policy, limits=limits, reactor=self.clock)


@keeps(WebSocketWorld, STREAM - {"finish", "invalid"})
class PromisesOverWebSocket(SynchronousTestCase):
    """One test for each promise of `tests.contracts` that a WebSocket keeps."""


# Opening.


class Opening(SynchronousTestCase):
    def answer(self, headers, web=WEB):
        made = handshake("/", headers, web)
        return made.accepted, made.response

    def without(self, name):
        return [each for each in UPGRADE if each[0] != name]

    def test_a_good_request_is_accepted(self):
        accepted, response = self.answer(UPGRADE)
        self.assertTrue(accepted)
        head, body = response.split(b"\r\n\r\n")
        self.assertEqual(head.split(b"\r\n")[0], b"HTTP/1.1 101 Switching Protocols")
        self.assertIn(b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=", head)
        self.assertEqual(body, b"")

    def test_the_example_of_the_standard(self):
        headers = [*self.without("Sec-WebSocket-Key")]
        headers.append(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
        self.assertIn(
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", self.answer(headers)[1]
        )

    def test_what_is_wrong_is_refused_and_told(self):
        for status, name, value in (
            (426, "Upgrade", None),
            (426, "Upgrade", "h2c"),
            (426, "Connection", None),
            (426, "Connection", ",;,"),
            (426, "Sec-WebSocket-Version", None),
            (426, "Sec-WebSocket-Version", "8"),
            (400, "Sec-WebSocket-Key", None),
            (400, "Sec-WebSocket-Key", "short"),
            (400, "Sec-WebSocket-Key", "é" * 24),
            (400, "Sec-WebSocket-Key", "A" * 24),
        ):
            headers = self.without(name) + ([(name, value)] if value else [])
            made = handshake("/", headers, WEB)
            self.assertEqual((made.accepted, made.status, made.response), (False, status, b""))
            self.assertIn("version" if name.endswith("Version") else name, made.words)

    def test_extensions_that_cannot_be_read(self):
        for offer in ('x; y="', ",;", "é"):
            headers = [*UPGRADE, ("Sec-WebSocket-Extensions", offer)]
            made = handshake("/", headers, Web(deflate="on"))
            self.assertEqual(made.status, 400)
            self.assertIn("Extensions", made.words)

    def test_what_offers_other_protocols_too_is_accepted(self):
        """RFC 9110 section 7.8: the server chooses."""
        for value in ("h2c, WebSocket", "websocket,", "WEBSOCKET"):
            self.assertTrue(self.answer([*self.without("Upgrade"), ("Upgrade", value)])[0], value)

    def test_what_comes_twice_is_refused(self):
        for name, value in UPGRADE[3:]:
            accepted, _ = self.answer([*UPGRADE, (name, value)])
            self.assertFalse(accepted)


# Closing.


class Closing(SynchronousTestCase):
    def test_a_problem_is_told_and_closed_with_its_code(self):
        for sent, code, error in (
            (frame(TEXT, b"\xff"), 1007, "ERR utf8 the message is not valid UTF-8"),
            (frame(BINARY, b"x"), 1003, "ERR foreign a message here is text, not binary"),
            (frame(3), 1002, "ERR foreign these are not frames as RFC 6455 has them"),
            (text("x" * 131073), 1009, "ERR too-long a message may have at most 131072 bytes"),
        ):
            peer = connect()
            peer.send(text("before") + sent + text("after"))
            self.assertEqual(peer.lines(), ["BEFORE", error])
            self.assertEqual(peer.closed(), (code, error))
            self.assertTrue(peer.ended)  # there is no goodbye to be awaited
            peer.advance(4)
            self.assertTrue(peer.gone)
            self.assertEqual(peer.factory.counters.closed.total(), 1)

    def test_a_line_that_is_too_long_ends_it_only_if_the_policy_says_so(self):
        peer = connect(max_line=5)
        peer.say("toolong", "a")
        error = "ERR too-long a line may have at most 5 bytes"
        self.assertEqual(peer.lines(), [error, "A"])
        peer = connect(max_line=5, overlong="close")
        peer.say("toolong", "a")
        self.assertEqual(peer.lines(), [error])
        self.assertEqual(peer.closed(), (1009, "ERR too-long the line is too long"))
        peer = connect(lambda line: line[:3])
        peer.say("x" * 65536 + "\n", "y" * 65537, "z")
        error = "ERR too-long a line may have at most 65536 bytes"
        self.assertEqual(peer.lines(), ["xxx", error, "z"])

    def test_our_goodbye_waits_for_the_peers(self):
        class Bye(LineProtocol):
            def lineReceived(self, line):
                self.close()
                return line

        peer = connect(Bye)
        peer.say("a", "b")
        self.assertEqual(peer.lines(), ["a"])
        self.assertEqual(peer.closed(), (1000, ""))
        peer.advance(2)
        self.assertFalse(peer.ended)
        peer.send(text("late") + frame(PING) + close(1000))
        self.assertTrue(peer.ended)
        self.assertEqual(peer.controls(), [])  # nothing after a goodbye
        peer.close()
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.CLOSED: 1})

    def test_a_goodbye_that_never_comes_is_awaited_so_long(self):
        peer = connect(limits=Limits(idle_timeout=10, close_grace=3))
        peer.advance(10.5)
        self.assertEqual(peer.lines(), ["ERR idle nothing was said for too long"])
        self.assertEqual(peer.closed(), (1001, "ERR idle nothing was said for too long"))
        peer.advance(2)
        self.assertFalse(peer.gone)
        peer.advance(1.5)
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.IDLE: 1})

    def test_a_peer_that_takes_nothing_cannot_hold_up_the_closing(self):
        peer = connect(lambda line: line * 100_000, limits=Limits(close_grace=3))
        peer.stop_reading()
        peer.say("x")
        peer.factory.drain()
        peer.advance(4)
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.STUCK: 1})

    def test_nor_one_that_takes_nothing_of_little(self):
        peer = connect(limits=Limits(close_grace=3))
        peer.stop_reading()
        peer.say("x")
        peer.factory.drain()
        peer.advance(9)
        self.assertTrue(peer.gone)

    def test_draining_goes_away(self):
        peer = connect()
        peer.say("x")
        drained = []
        peer.factory.drain().addCallback(drained.append)
        words = "ERR shutdown the server is stopping"
        self.assertEqual(peer.lines(), ["X", words])
        self.assertEqual(peer.closed(), (1001, words))
        peer.send(close(1001))
        peer.close()
        self.assertEqual(drained, [None])

    def test_one_too_many_is_told_to_try_again_later(self):
        peer = connect(limits=Limits(max_connections=1))
        refused = WebSocketPeer(peer.factory, peer.clock)
        words = "ERR busy too many connections, try again later"
        self.assertEqual(refused.lines(), [words])
        self.assertEqual(refused.closed(), (1013, words))

    def test_the_peers_goodbye_is_answered_at_once(self):
        for payload in (b"", b"\x03\xe8", b"\x0f\xa0bye"):
            peer = connect()
            peer.send(text("a", "b") + frame(CLOSE, payload) + text("c"))
            self.assertEqual(peer.lines(), ["A", "B"])
            self.assertEqual(peer.controls(), [(CLOSE, payload)])
            self.assertTrue(peer.ended)
            peer.close()
            self.assertTrue(peer.gone)
            self.assertEqual(peer.factory.counters.closed, {Reason.DONE: 1})

    def test_a_peer_that_closes_and_stays_is_let_go(self):
        peer = connect()
        peer.send(close(1000))
        peer.advance(4)
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.DONE: 1})

    def test_what_was_said_before_the_goodbye_is_still_done(self):
        asked = []

        def work(line):
            asked.append((line, Deferred()))
            return asked[-1][1]

        peer = connect(work)
        peer.send(text("a", "b") + close(1000))
        self.assertEqual(peer.controls(), [])
        asked[0][1].callback("A")
        peer.send(text("c") + frame(PING) + close(1001))  # nothing counts after a goodbye
        self.assertEqual(peer.controls(), [])
        asked[1][1].callback("B")
        self.assertEqual([line for line, _ in asked], ["a", "b"])
        self.assertEqual(peer.lines(), ["A", "B"])
        self.assertEqual(peer.controls(), [(CLOSE, b"\x03\xe8")])
        peer.close()
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.DONE: 1})

    def test_who_does_not_wait_for_that_is_gone_and_its_work_with_it(self):
        for leave in ("close", "end", "reset"):
            given_up, limits = [], Limits(window=2, max_per_peer=1)
            peer = connect(lambda line, to=given_up: Deferred(to.append), limits=limits)
            peer.send(text("a", "b", "c") + close(1000))
            peer.advance(30)
            self.assertFalse(peer.gone)  # it is not pinged, either
            self.assertEqual(peer.controls(), [])
            getattr(peer, leave)()
            peer.advance(0)
            self.assertTrue(peer.gone)
            self.assertEqual(len(given_up), 2)
            self.assertEqual(peer.factory.counters.closed, {Reason.DONE: 1})
            self.assertEqual(peer.factory.counters.current, 0)
            self.assertEqual(peer.clock.getDelayedCalls(), [])
            WebSocketPeer(peer.factory, peer.clock)  # finds room
            self.assertEqual(peer.factory.counters.problems, {})

    def test_work_after_a_goodbye_can_be_given_up(self):
        for limits, end in (
            (Limits(reply_timeout=5), Reason.DONE),
            (Limits(drain_timeout=2), Reason.ABORTED),
        ):
            peer = connect(lambda line: Deferred(), limits=limits)
            peer.send(text("a") + close(1000))
            if end is Reason.ABORTED:
                peer.factory.drain()
            peer.advance(10)
            self.assertEqual(peer.factory.counters.closed, {end: 1})
            self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_who_closes_and_takes_none_of_the_replies_is_cut_off(self):
        peer = connect(lambda line: line * 60_000, limits=Limits(high_water=1000))
        peer.stop_reading()
        peer.send(text(*"abcd") + close(1000))
        for _ in range(5):
            peer.advance(1)
            peer.send(text("more"))
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.problems, {Reason.STUCK: 1})

    def test_the_peers_goodbye_while_the_last_replies_come(self):
        waiting = Deferred()
        peer = connect(lambda line: waiting)
        peer.say("a")
        peer.factory.drain()
        peer.send(close(1000))
        waiting.callback("A")
        peer.advance(1)
        self.assertEqual(peer.lines(), ["A", "ERR shutdown the server is stopping"])
        peer.close()
        self.assertTrue(peer.gone)

    def test_an_end_without_a_goodbye(self):
        waiting = Deferred()
        peer = connect(lambda line: waiting)
        peer.send(text("a") + frame(TEXT, "b", fin=False))
        peer.end()
        waiting.callback("A")
        self.assertEqual(peer.lines(), ["A"])
        self.assertEqual(peer.closed(), (1000, ""))
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.DONE: 1})

    def test_a_connection_that_breaks(self):
        for sent in (b"", text("a")[:3], frame(TEXT, "a", fin=False), close(1000)[:4]):
            peer = connect()
            peer.send(sent)
            peer.reset()
            self.assertTrue(peer.gone)
            self.assertEqual(peer.factory.counters.closed, {Reason.LOST: 1})


class Pings(SynchronousTestCase):
    web = Web(ping_after=20, ping_timeout=10)

    def test_a_silent_peer_is_pinged(self):
        peer = connect(web=self.web)
        peer.advance(19.5)
        self.assertEqual(peer.controls(), [])
        peer.advance(1)
        self.assertEqual(peer.controls(), [(PING, b"")])
        peer.send(frame(PONG))
        peer.advance(19)
        self.assertEqual(peer.controls(), [])
        peer.advance(2)
        self.assertEqual(peer.controls(), [(PING, b"")])

    def test_whatever_comes_is_an_answer(self):
        for sent in (b"\x81", text("a"), frame(PING)):
            peer = connect(web=self.web)
            peer.advance(21)
            peer.send(sent)
            peer.advance(15)
            self.assertFalse(peer.gone)

    def test_a_peer_that_does_not_answer_is_cut_off(self):
        peer = connect(web=self.web)
        peer.advance(29)
        self.assertFalse(peer.gone)
        peer.advance(2.5)
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.LOST: 1})
        self.assertEqual(peer.factory.counters.problems, {Reason.LOST: 1})

    def test_what_we_say_does_not_hide_that_nobody_listens(self):
        opened = []

        class Pushed(LineProtocol):
            def connectionMade(self):
                opened.append(self)

        peer = connect(Pushed, web=self.web)
        for _ in range(32):
            peer.advance(1)
            opened[0].sendLine("news")
        self.assertTrue(peer.gone)

    def test_pings_do_not_keep_a_conversation_from_being_idle(self):
        peer = connect(web=self.web, limits=Limits(idle_timeout=50))
        for _ in range(49):
            peer.advance(1)
            peer.send(frame(PONG))
        self.assertFalse(peer.gone)
        peer.advance(2)
        self.assertEqual(peer.lines(), ["ERR idle nothing was said for too long"])

    def test_nor_do_pings_that_come_in_pieces(self):
        peer = connect(web=self.web, limits=Limits(idle_timeout=50))
        for _ in range(49):
            peer.advance(0.5)
            peer.send(frame(PING)[:3])
            peer.advance(0.5)
            peer.send(frame(PING)[3:])
        self.assertFalse(peer.gone)
        peer.advance(2)
        self.assertEqual(peer.lines(), ["ERR idle nothing was said for too long"])

    def test_a_peer_that_we_do_not_read_is_not_cut_off(self):
        asked = []

        def work(line):
            asked.append(Deferred())
            return asked[-1]

        peer = connect(work, web=self.web)
        peer.say("a", "b")  # the second waits, and so nothing is read
        peer.advance(100)
        peer.send(frame(PONG))
        asked[0].callback("done")
        asked[1].callback("done")
        self.assertEqual(peer.lines(), ["done", "done"])
        self.assertFalse(peer.gone)

    def test_zero_switches_them_off(self):
        peer = connect(web=Web(ping_after=0))
        peer.advance(500)
        self.assertEqual(peer.controls(), [])
        peer = connect(web=Web(ping_timeout=0, ping_after=20))
        peer.advance(500)
        self.assertEqual(peer.controls(), [(PING, b"")])
        self.assertFalse(peer.gone)

    def test_pings_are_answered_in_their_order(self):
        peer = connect()
        peer.send(frame(PING, "1") + text("a") + frame(PING, "2"))
        peer.send(frame(PING, "3"))
        self.assertEqual(peer.controls(), [(PONG, b"1"), (PONG, b"2"), (PONG, b"3")])
        self.assertEqual(peer.lines(), ["A"])

    def test_pings_are_answered_before_the_replies_of_their_chunk(self):
        for count, answered in ((2, 2), (20, 1)):
            peer = connect()
            peer.send(text("a") + frame(PING, "p") * count + text("b"))
            frames, _ = unframe(peer.read())
            pongs = [(PONG, b"p")] * answered
            self.assertEqual(frames, [*pongs, (TEXT, b"A"), (TEXT, b"B")])

    def test_a_flood_of_pings_of_one_who_does_not_read_costs_nothing(self):
        peer = connect()
        peer.stop_reading()
        for number in range(1000):
            peer.send(frame(PING, f"{number:0125}") * 10)
        self.assertLess(peer.unread, 2 * 65536)
        peer.start_reading()
        controls = peer.controls()
        self.assertEqual(controls[0], (PONG, b"%0125d" % 0))
        self.assertEqual(controls[-1], (PONG, b"%0125d" % 999))
        self.assertEqual(controls, sorted(controls))
        peer.say("a")
        self.assertEqual(peer.lines(), ["A"])

    def test_one_who_never_reads_the_answers_is_cut_off(self):
        peer = connect()
        peer.stop_reading()
        for _ in range(30):
            for _ in range(60):
                peer.send(frame(PING, "x" * 125) * 16)
            peer.advance(1)
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.SLOW: 1})


class Rude(SynchronousTestCase):
    """Whatever comes, and however it is cut: no failure in the log, and no leftovers."""

    def test_anything(self):
        random.seed(5)
        pieces = [text("a"), frame(PING, "p"), close(1000), frame(TEXT, "b", fin=False), b"\x81"]
        pieces += [
            frame(CONT, "c"),
            random.randbytes(20),
            frame(BINARY),
            b"GET / HTTP/1.1\r\n\r\n",
        ]
        for _ in range(300):
            peer = connect(limits=Limits(close_grace=1))
            for _ in range(random.randrange(5)):
                peer.send(random.choice(pieces), random.choice([1, 7, 65536]))
            leave = random.choice([peer.reset, peer.end, peer.close, peer.factory.drain])
            leave()
            peer.advance(12)
            self.assertTrue(peer.gone)
            self.assertEqual(peer.factory.counters.current, 0)
            self.assertEqual(peer.clock.getDelayedCalls(), [])
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_message_that_is_not_ended(self):
        for begun in (text("abc")[:4], frame(TEXT, "a", fin=False)):
            peer = connect(limits=Limits(line_timeout=30))
            peer.send(begun)
            for _ in range(31):
                peer.advance(1)
                if begun[0] == 1:
                    peer.send(frame(PING))
            self.assertEqual(
                peer.lines(), ["ERR partial a line was begun but not finished in time"]
            )
            self.assertEqual(peer.closed()[0], 1008)
