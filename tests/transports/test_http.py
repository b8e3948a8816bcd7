"""One POST as one conversation: the promises of every transport, in memory, and what it adds."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from tests.contracts import Held
from tests.http_peer import END, HEAD, AnswerReader, Visitor, chunk, post
from tests.memory_worlds import MemoryWorld, keeps
from twisted_sock import Limits, LinePolicy, LineProtocol, Reason
from twisted_sock.settings import Web
from twisted_sock.web import Site


class PostPeer(Visitor):
    """A POST in memory, as the promises want it."""

    def __init__(self, world: PostWorld) -> None:
        super().__init__(factory=world.site)
        self._world = world
        self._answer = AnswerReader()
        super().send(HEAD)

    def send(self, data: bytes) -> None:
        super().send(chunk(data))

    def end(self) -> None:
        super().send(END)

    def stop_reading(self) -> None:
        self.client.pauseProducing()

    def start_reading(self) -> None:
        self.client.resumeProducing()

    async def lines(self, count: int) -> list[str]:
        await self._world.until(lambda: self._came().count(b"\n") >= count)
        lines = self._came().decode().split("\n", count)
        self._answer.news[:] = lines.pop().encode()
        return [line.removesuffix("\r") for line in lines]

    async def rest(self) -> list[str]:
        self.start_reading()
        await self._world.until(lambda: self._came() is not None and self._answer.whole)
        lines = self._came().decode().split("\n")
        self.close()
        return [line.removesuffix("\r") for line in lines if line]

    def _came(self) -> bytearray:
        self._answer.feed(self.read())
        return self._answer.news


class PostWorld(MemoryWorld):
    """POSTs in memory."""

    peer = PostPeer

    def serve(self, handler: Any, policy: LinePolicy, limits: Limits) -> None:
        super().serve(handler, policy, limits)
        self.site = Site(Web())(self.factory, self.factory)


@keeps(PostWorld)
class PromisesOverHTTP(SynchronousTestCase):
    """One test for each promise of `tests.contracts`."""


class Conversation(SynchronousTestCase):
    def test_lines_in_lines_out(self):
        visitor = Visitor()
        answer = visitor.ask(post(b"hello\n\xe4\xb8\x96\xe7\x95\x8c\nlast"))
        self.assertEqual((answer.status, answer.body.decode()), (200, "HELLO\n世界\nLAST\n"))
        self.assertEqual(answer.fields["content-type"], "text/plain; charset=utf-8")
        self.assertEqual(visitor.counters.closed, {Reason.DONE: 1})
        self.assertFalse(visitor.ended)

    def test_the_greeting_comes_first(self):
        class Greets(LineProtocol):
            def connectionMade(self):
                return "welcome"

            def lineReceived(self, line):
                return line

        self.assertEqual(Visitor(Greets).ask(post(b"x")).body, b"welcome\nx\n")

    def test_no_answer_is_an_empty_answer(self):
        for body in (b"x", b""):
            answer = Visitor(lambda line: None).ask(post(body))
            self.assertEqual((answer.status, answer.fields["content-length"]), (200, "0"))

    def test_one_conversation_after_another_on_one_connection(self):
        visitor = Visitor()
        for _ in range(3):
            self.assertEqual(visitor.ask(post()).body, b"HELLO\n")
        self.assertEqual(visitor.counters.closed, {Reason.DONE: 3})

    def test_requests_that_come_at_once_are_answered_in_order(self):
        asked: dict[str, Deferred[str]] = {}
        visitor = Visitor(partial(Held, asked))
        visitor.send(post(b"a") + post(b"b"))
        self.assertEqual(list(asked), ["a"])
        asked["a"].callback("A")
        visitor.advance(1)
        asked["b"].callback("B")
        visitor.advance(1)
        self.assertEqual([bytes(answer.body) for answer in visitor.answers()], [b"A\n", b"B\n"])

    def test_no_more_is_read_ahead_than_a_little(self):
        visitor = Visitor(lambda line: Deferred())
        visitor.send(post(b"a"))
        visitor.send(post(b"x" * 50_000) * 20)
        self.assertGreater(len(visitor.client.dataBuffer), 800_000)

    def test_a_client_of_http_1_0(self):
        visitor = Visitor()
        visitor.send(post(b"a\nb", version="HTTP/1.0", host=None))
        head, _, body = visitor.read().partition(b"\r\n\r\n")
        self.assertEqual(body, b"A\nB\n")
        self.assertIn(b"Connection: close", head)
        self.assertNotIn(b"chunked", head)
        self.assertTrue(visitor.ended)

    def test_a_client_that_has_finished_gets_its_answers(self):
        """Threat 12: `nc -N`."""
        asked: dict[str, Deferred[str]] = {}
        visitor = Visitor(partial(Held, asked))
        visitor.send(post(b"a") + post(b"b"))
        visitor.end()
        for name in "ab":
            asked[name].callback("x" * 100_000)
            visitor.advance(1)
        self.assertEqual([len(answer.body) for answer in visitor.answers()], [100_001] * 2)
        self.assertTrue(visitor.gone)

    def test_a_client_that_leaves_in_the_middle_of_its_body(self):
        for leave in (Visitor.end, Visitor.close, Visitor.reset):
            visitor = Visitor()
            visitor.send(HEAD + chunk(b"a\nb"))
            leave(visitor)
            visitor.advance(10)
            self.assertTrue(visitor.gone)
            self.assertEqual(visitor.counters.closed, {Reason.LOST: 1})
            self.assertEqual(visitor.clock.getDelayedCalls(), [])

    def test_no_room(self):
        first = Visitor(limits=Limits(max_connections=1))
        first.send(HEAD)
        answer = Visitor(factory=first.factory).ask(post())
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.body, b"ERR busy too many connections, try again later\n")
        self.assertIn("retry-after", answer.fields)
        first.send(chunk(b"x") + END)
        self.assertEqual(first.answers()[0].body, b"X\n")
        self.assertEqual(Visitor(factory=first.factory).ask(post()).status, 200)

    def test_no_room_and_no_words_for_it(self):
        class Silent(LineProtocol):
            def problem_line(self, problem):
                return None

        first = Visitor(Silent, limits=Limits(max_connections=1))
        first.send(HEAD)
        answer = Visitor(factory=first.factory).ask(post())
        self.assertEqual((answer.status, answer.body[:8]), (503, b"ERR busy"))

    def test_while_the_server_stops(self):
        asked: dict[str, Deferred[str]] = {}
        visitor = Visitor(partial(Held, asked))
        visitor.send(post(b"a"))
        idle = Visitor(factory=visitor.factory)
        drained = visitor.owner.drain()
        idle.advance(0)
        self.assertTrue(idle.ended)
        late = Visitor(factory=visitor.factory).ask(post(b"late"))
        self.assertEqual((late.status, late.body[:12]), (503, b"ERR shutdown"))
        self.assertNoResult(drained)
        asked["a"].callback("A")
        visitor.advance(1)
        self.assertEqual(visitor.answers()[0].body, b"A\n")
        idle.end()
        self.assertNoResult(drained)
        visitor.end()
        visitor.advance(0)
        self.successResultOf(drained)

    def test_a_server_that_stops_waits_until_an_answer_has_left(self):
        visitor = Visitor(lambda line: "x" * 50_000)
        visitor.client.pauseProducing()
        visitor.send(post())
        drained = visitor.owner.drain()
        visitor.advance(1)
        self.assertNoResult(drained)
        visitor.client.resumeProducing()
        visitor.advance(1)
        self.assertEqual(visitor.counters.closed, {Reason.DONE: 1})
        self.assertNoResult(drained)
        for _ in range(4):  # this peer never closes
            visitor.advance(1)
        self.assertTrue(visitor.gone)
        self.successResultOf(drained)

    def test_a_conversation_over_tls_is_over_when_its_answer_has_left(self):
        """Whether or not the peer then says goodbye."""
        visitor = Visitor(limits=Limits(close_grace=4))
        directlyProvides(visitor.server, ISSLTransport)
        visitor.server.loseConnection = lambda: None
        self.assertEqual(visitor.ask(post(connection="close")).body, b"HELLO\n")
        visitor.advance(1)
        self.assertEqual(visitor.counters.closed, {Reason.DONE: 1})
        self.assertFalse(visitor.gone)
        visitor.advance(4.5)
        self.assertTrue(visitor.gone)
        self.assertEqual(visitor.clock.getDelayedCalls(), [])

    def test_an_answer_that_nobody_takes(self):
        visitor = Visitor(lambda line: "x" * 50_000)
        visitor.client.pauseProducing()
        visitor.send(post())
        visitor.advance(10)
        self.assertEqual(visitor.counters.closed, {Reason.STUCK: 1})
        self.assertTrue(visitor.gone)

    def test_what_is_said_after_the_answer_is_too_late(self):
        opened = []

        class Kept(LineProtocol):
            def lineReceived(self, line):
                opened.append(self)

        visitor = Visitor(Kept)
        visitor.ask(post())
        opened[0].sendLine("late")
        self.assertEqual(visitor.read(), b"")
        self.assertEqual(visitor.counters.late_lines, 1)

    def test_a_server_that_closes_early(self):
        """The rest of the body must not be taken for a request."""

        class Leaves(LineProtocol):
            def lineReceived(self, line):
                self.close()
                return "bye"

        visitor = Visitor(Leaves)
        visitor.send(HEAD + chunk(b"quit\n"))
        visitor.send(post() * 3)
        (answer,) = visitor.answers()
        self.assertEqual((answer.status, answer.body, answer.whole), (200, b"bye\n", True))
        self.assertTrue(visitor.ended)
        self.assertEqual(visitor.counters.closed, {Reason.CLOSED: 1})
        visitor.advance(10)
        self.assertTrue(visitor.gone)

    def test_a_server_that_aborts_at_once(self):
        class Rude(LineProtocol):
            def connectionMade(self):
                self.abort()

        visitor = Visitor(Rude)
        visitor.send(post())
        self.assertEqual((visitor.read(), visitor.gone), (b"", True))
        self.assertEqual(visitor.counters.closed, {Reason.ABORTED: 1})

    def test_a_server_that_closes_at_once(self):
        class Short(LineProtocol):
            def connectionMade(self):
                self.close()
                return "closed today"

        answer = Visitor(Short).ask(post())
        self.assertEqual((answer.status, answer.body), (200, b"closed today\n"))

    def test_a_body_that_drips(self):
        visitor = Visitor(limits=Limits(line_timeout=10))
        visitor.send(HEAD)
        for _ in range(6):
            visitor.send(chunk(b"x"))
            visitor.advance(2)
        (answer,) = visitor.answers()
        self.assertTrue(answer.whole)
        self.assertIn(b"ERR partial", answer.body)
        visitor.advance(10)
        self.assertTrue(visitor.gone)

    def test_a_chunk_that_never_begins(self):
        visitor = Visitor(limits=Limits(idle_timeout=10))
        visitor.send(HEAD)
        for _ in range(6):
            visitor.send(b"0")
            visitor.advance(2)
        self.assertIn(b"ERR idle", visitor.answers()[0].body)

    def test_chunks_of_a_body_are_messages_where_the_policy_says_so(self):
        visitor = Visitor(repr, policy=LinePolicy(framing="chunk"))
        self.assertEqual(visitor.ask(post(b"a\nb\n")).body, b"'a\\nb\\n'")

    def test_a_body_that_is_malformed(self):
        visitor = Visitor()
        answer = visitor.ask(HEAD + b"5\r\nhelloXX")
        self.assertEqual(answer.status, 400)
        self.assertEqual(visitor.counters.closed, {Reason.LOST: 1})

    def test_a_body_that_is_malformed_behind_an_answer_that_has_begun(self):
        """Only a broken connection says that an answer is not whole."""
        visitor = Visitor()
        visitor.send(HEAD + chunk(b"a\n"))
        visitor.send(b"x\r\n")
        (answer,) = visitor.answers()
        self.assertEqual((answer.body, answer.whole), (b"A\n", False))
        self.assertTrue(visitor.gone)

    def test_fields_behind_a_body(self):
        """They are of no use, and could be read otherwise by others."""
        body = HEAD + chunk(b"hello") + b"0\r\n"
        for trailer in (
            b"X: y\n\n" + post(b"evil"), b"X: y\r\n", b"Host: evil\r\n \0fold\r\n",
            b"X: " + b"a" * 60_000, b"\n", b"\0",
        ):  # fmt: skip
            for piece in (1, 65536) if len(trailer) < 1000 else (65536,):
                visitor = Visitor()
                answer = visitor.ask(body + trailer + b"\r\n", piece)
                self.assertEqual((answer.status, visitor.ended), (400, True), trailer[:20])
                self.assertEqual(visitor.counters.closed, {Reason.LOST: 1})

    def test_a_connection_that_fails_while_an_answer_is_written(self):
        """The conversation is told, and is over."""
        asked: dict[str, Deferred[str]] = {}
        visitor = Visitor(partial(Held, asked))
        visitor.send(post(b"a"))
        visitor.server.writeSequence = lambda pieces: 1 / 0
        asked.pop("a").callback("A")
        visitor.advance(1)
        gc.collect()
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertTrue(visitor.gone)
        self.assertEqual(visitor.counters.current, 0)

    def test_memory_of_a_flood_of_answers(self):
        visitor = Visitor(lambda line: "x" * 4000, limits=Limits(high_water=200_000))
        visitor.client.pauseProducing()
        visitor.send(HEAD + chunk(b"\n" * 100_000))
        self.assertLess(visitor.counters.bytes_out, 200_000 + 2 * 65536)
