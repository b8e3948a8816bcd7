"""The tap: a line protocol does the same with it as without it, and what is said is noted."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.memory_worlds import MemoryWorld, keeps
from twisted_sock import Limits, LineFactory, LinePolicy, LineProtocol, Reason
from twisted_sock.errors import Problem
from twisted_sock.interfaces import LineApplication
from twisted_sock.many import ManyLines
from twisted_sock.operator import history
from twisted_sock.operator.history import CHARACTERS, History, Said
from twisted_sock.operator.hub import Hub
from twisted_sock.operator.tap import Tap
from twisted_sock.testing import MemoryPeer


class TappedWorld(MemoryWorld):
    """Peers in memory of a line protocol that is tapped."""

    def serve(self, handler: Any, policy: LinePolicy, limits: Limits) -> None:
        super().serve(Tap(handler, Hub(self.clock)), policy, limits)


@keeps(TappedWorld)
class PromisesWhenTapped(SynchronousTestCase):
    """One test for each promise of `tests.contracts`."""


class Custom:
    """An async iterator that is no generator, and knows whether it was closed."""

    closed = 0

    def __init__(self, lines):
        self.lines = list(lines)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.lines:
            raise StopAsyncIteration
        return self.lines.pop(0)

    async def aclose(self):
        Custom.closed += 1


async def agen(lines):
    for line in lines:
        yield line


async def coroutine(reply):
    return reply


def failing(lines):
    yield from lines
    raise ValueError("broken on purpose")


async def failing_later():
    raise ValueError("broken on purpose")


LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=5))
PLAIN = st.one_of(
    st.none().map(lambda _: lambda: None),
    st.text("abc\n", max_size=3).map(lambda text: lambda: text),
    LINES.map(lambda lines: lambda: list(lines)),
    LINES.map(lambda lines: lambda: tuple(lines)),
    LINES.map(lambda lines: lambda: (line for line in lines)),
    LINES.map(lambda lines: lambda: failing(lines)),
    LINES.map(lambda lines: lambda: agen(lines)),
    LINES.map(lambda lines: lambda: Custom(lines)),
    st.sampled_from([lambda: 1, lambda: b"bytes", lambda: [1], lambda: ["a\nb"]]),
    st.just(lambda: 1 / 0),
    st.just(failing_later),
)
REPLIES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        inner.map(lambda make: lambda: succeed(make())),
        inner.map(lambda make: lambda: coroutine(make())),
    ),
    max_leaves=3,
)


def heard(handler, count):
    """What a peer hears of so many lines, with the ids of failures left out."""
    clock = Clock()
    peer = MemoryPeer(LineFactory(handler, reactor=clock), clock)
    peer.say(*map(str, range(count)))
    peer.end()
    lines = [
        " ".join(line.split(" ")[:2]) if line.startswith("ERR ") else line for line in peer.lines()
    ]
    return lines, peer.ended, dict(peer.factory.counters.closed)


class TheSameTest(SynchronousTestCase):
    @settings(max_examples=120, deadline=None)
    @given(st.lists(REPLIES, min_size=1, max_size=5))
    def test_every_kind_of_reply(self, makers):
        def answer(line):
            return makers[int(line)]()

        plain = heard(answer, len(makers))
        hub = Hub(Clock())
        self.assertEqual(heard(Tap(answer, hub), len(makers)), plain)
        self.flushLoggedErrors()

    def test_what_was_said_is_noted(self):
        class Greeter(LineProtocol):
            def connectionMade(self):
                return agen(["welcome", "in"])

            def lineReceived(self, line):
                self.sendLine("unasked")
                return coroutine([line, line])

        peer, hub = self.tapped(Greeter)
        peer.say("a")
        peer.send(b"\xff\n")
        said = [(each.way, each.text) for each in hub.talks[1].history.last()]
        self.assertEqual(said[:6], [
            ("out", "welcome"), ("out", "in"), ("in", "a"), ("out", "unasked"), ("out", "a"),
            ("out", "a"),
        ])  # fmt: skip
        self.assertEqual(said[6:], [("out", "ERR utf8 the line is not valid UTF-8 at byte 0")])
        self.assertEqual(hub.talks[1].history.counts, {"in": 1, "out": 6})

    def tapped(self, handler, **limits):
        clock = Clock()
        hub = Hub(clock)
        factory = LineFactory(Tap(handler, hub), limits=Limits(**limits), reactor=clock)
        return MemoryPeer(factory, clock), hub

    def test_what_is_sent_past_the_session_is_noted(self):
        class Faulty(LineProtocol):
            def lineReceived(self, line):
                wire = self.session.wire
                wire.hold()
                data = wire.encode([line])
                for byte in data:
                    wire.send_bytes(bytes([byte]))
                wire.send_bytes(b"bad \xff")
                wire.release()
                self.session.sendLines(["x", "y"])

        peer, hub = self.tapped(Faulty)
        peer.say("世界")
        self.assertEqual(peer.read(), "世界\n".encode() + b"bad \xffx\ny\n")
        said = [each.text for each in hub.talks[1].history.last()]
        self.assertEqual(said, ["世界", "世界", r"bad \xff", "x", "y"])

    def test_a_deferred_that_several_wait_for(self):
        shared = Deferred()
        first, _ = self.tapped(lambda line: shared)
        second = MemoryPeer(first.factory, first.clock, 40001)
        first.say("x")
        second.say("y")
        shared.callback(["a", "b"])
        self.assertEqual((first.lines(), second.lines()), (["a", "b"], ["a", "b"]))
        self.assertEqual(self.successResultOf(shared), ["a", "b"])

    def test_what_is_given_up_is_cancelled_and_closed(self):
        cancelled = []
        waiting = Deferred(cancelled.append)
        peer, _ = self.tapped(lambda line: waiting)
        peer.say("x")
        peer.reset()
        self.assertEqual(cancelled, [waiting])
        Custom.closed = 0
        peer, _ = self.tapped(lambda line: Custom(["x" * 100_000] * 100))
        peer.stop_reading()
        peer.say("x")
        peer.reset()
        self.assertEqual(Custom.closed, 1)

    def test_a_generator_is_closed(self):
        ends = []

        def endless(line):
            try:
                while True:
                    yield "x" * 1000
            finally:
                ends.append(line)

        peer, hub = self.tapped(endless)
        peer.stop_reading()
        peer.say("x")
        self.assertLess(hub.talks[1].history.counts["out"], 3000)
        peer.reset()
        self.assertEqual(ends, ["x"])

    def test_it_is_lazy(self):
        asked = []

        def endless(line):
            while True:
                asked.append(line)
                yield "x" * 1000

        peer, _ = self.tapped(endless)
        peer.stop_reading()
        peer.say("x")
        self.assertLess(len(asked), 3000)
        peer.reset()


class Pushing(LineProtocol):
    """Says something before some of its replies.

    Args:
        makers: what makes the reply to a line, which is their index.
        pushes: before which of them, and how.
    """

    def __init__(self, makers, pushes):
        self.makers = makers
        self.pushes = pushes

    def lineReceived(self, line):
        push = self.pushes[int(line) % len(self.pushes)]
        if push == "line":
            self.sendLine(f"before {line}")
        elif push == "lines":
            self.session.sendLines([f"before {line}", "and more"])
        elif push == "bytes":
            self.session.wire.send_bytes(b"bytes\n")
        elif push == "problem":
            self.session.tell(Problem(Reason.UPSTREAM, "told"))
        return self.makers[int(line)]()


class PushingMany(Pushing, ManyLines):
    """The same, and takes many lines at once."""

    def answer_lines(self, lines, replies):
        for line in lines:
            reply = self.lineReceived(line)
            if isinstance(reply, str):
                replies.append(reply)
            elif reply is not None:
                return reply
        return None


class Watching:
    """Somebody who watches and does not care."""

    full = False

    def tell(self, event):
        pass


PUSHES = st.lists(
    st.sampled_from(["", "", "line", "lines", "bytes", "problem"]), min_size=1, max_size=4
)


class TheSameHistoryTest(SynchronousTestCase):
    """What is kept, and counted, is the same whether or not somebody watches."""

    def history(self, handler, count, watched, window=1):
        clock = Clock()
        hub = Hub(clock)
        if watched:
            hub.watch(Watching())
        limits = Limits(window=window)
        peer = MemoryPeer(LineFactory(Tap(handler, hub), limits=limits, reactor=clock), clock)
        peer.say(*map(str, range(count)))
        self.assertEqual(hub.talks[1].quiet, not watched)
        peer.end()
        [talk] = hub.past
        lines = [(said.way, " ".join(said.text.split(" ")[:2])) for said in talk.history.last()]
        heard = [" ".join(line.split(" ")[:2]) for line in peer.lines()]
        return lines, talk.history.counts, heard

    @settings(max_examples=150, deadline=None)
    @given(st.lists(REPLIES, min_size=1, max_size=8), PUSHES, st.sampled_from([1, 3]))
    def test_of_protocols(self, makers, pushes, window):
        for kind in (Pushing, PushingMany):

            class Made(kind):
                def __init__(self):
                    super().__init__(makers, pushes)

            told = self.history(Made, len(makers), True, window)
            self.assertEqual(self.history(Made, len(makers), False, window), told)
        self.flushLoggedErrors()

    @settings(max_examples=100, deadline=None)
    @given(st.lists(REPLIES, min_size=1, max_size=8))
    def test_of_functions(self, makers):
        def answer(line):
            return makers[int(line)]()

        told = self.history(answer, len(makers), True)
        self.assertEqual(self.history(answer, len(makers), False), told)
        self.flushLoggedErrors()

    def test_many_lines(self):
        for count in (1, 99, 100, 101, 1000):
            lines, counts, heard = self.history(str.lower, count, False)
            self.assertEqual(counts, {"in": count, "out": count})
            said = [(way, str(n)) for n in range(count) for way in ("in", "out")]
            self.assertEqual(lines, said[-history.LINES :])
            self.assertEqual(len(heard), count)

    def test_what_is_kept_is_bounded(self):
        kept = History()
        for length in (0, 1, 10, 1000, 60_000, 1):
            for _ in range(300):
                line = "x" * length
                kept.add_all(1.0, [line] * 3, [line] * 3)
                kept.add(Said("out", line, 2.0))
                size = sum(size for size, _, _ in kept._kept)
                self.assertLess(size, 2 * CHARACTERS + 7 * 60_000)
                self.assertLess(sum(number for _, number, _ in kept._kept), 3 * history.LINES)
            last = kept.last()
            self.assertEqual(len(last), min(history.LINES, CHARACTERS // max(length, 1)))
        self.assertEqual(kept.counts, {"in": 5400, "out": 7200})

    def test_of_a_line_that_is_too_long_the_beginning_is_kept(self):
        kept = History()
        for said in (Said("in", "before", 1.0), Said("in", "x" * 70_000, 1.0)):
            kept.add(said)
        self.assertEqual([len(said.text) for said in kept.last()], [CHARACTERS])
        kept.add(Said("out", "after", 1.0))
        self.assertEqual([len(said.text) for said in kept.last()], [CHARACTERS - 5, 5])
        kept.add(Said("out", "y" * 150_000, 1.0))
        self.assertEqual([said.text[:1] for said in kept.last()], ["y"])

    def test_it_is_looked_now_and_then_only(self):
        class Counting(History):
            looks = 0

            def _trim(self):
                self.looks += 1
                super()._trim()

        kept = Counting()
        for _ in range(20_000):
            kept.add(Said("in", "x", 1.0))
        self.assertGreater(kept.looks, 10)
        self.assertLess(kept.looks, 200)

    def test_lines_with_newlines_in_them(self):
        kept = History()
        kept.add_all(1.0, ["a", "b\nc"], ["d\ne", "f"])
        said = [("in", "a"), ("out", "d\ne"), ("in", "b\nc"), ("out", "f")]
        self.assertEqual([each[:2] for each in kept.last()], said)


class WrappedTest(SynchronousTestCase):
    """What it wraps."""

    def test_an_application(self):
        seen = []

        class Application:
            def build_protocol(self):
                return LineProtocol()

            def start(self, reactor):
                seen.append(reactor)

            def stop(self):
                seen.append("stop")

            def reload(self):
                seen.append("reload")

        tap = Tap(Application(), Hub(Clock()))
        self.assertIsInstance(tap, LineApplication)
        tap.start("reactor")
        tap.reload()
        tap.stop()
        self.assertEqual(seen, ["reactor", "reload", "stop"])

    def test_a_function_has_nothing_to_start(self):
        tap = Tap(str.upper, Hub(Clock()))
        tap.start("reactor")
        tap.reload()
        tap.stop()

    def test_what_cannot_be_served_is_refused_as_without_it(self):
        for wrong in (LineProtocol(), 3, object):
            self.assertRaises(TypeError, Tap, wrong, Hub(Clock()))

    def test_the_session_is_the_same_in_all_else(self):
        class Asks(LineProtocol):
            def lineReceived(self, line):
                return str(self.session.state.name)

        clock = Clock()
        peer = MemoryPeer(LineFactory(Tap(Asks, Hub(clock)), reactor=clock), clock)
        peer.say("x")
        self.assertEqual(peer.lines(), ["OPEN"])

    def test_a_protocol_whose_beginning_fails(self):
        class Broken(LineProtocol):
            def makeConnection(self, session):
                raise ValueError("broken on purpose")

            def lineReceived(self, line):
                return line

        clock = Clock()
        hub = Hub(clock)
        peer = MemoryPeer(LineFactory(Tap(Broken, hub), reactor=clock), clock)
        peer.say("still there")
        self.assertEqual(peer.lines()[1:], ["still there"])
        peer.close()
        self.assertEqual(hub.talks, {})
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_refused_conversations_are_none(self):
        clock = Clock()
        hub = Hub(clock)
        factory = LineFactory(Tap(str.upper, hub), limits=Limits(max_connections=1), reactor=clock)
        peer = MemoryPeer(factory, clock)
        refused = MemoryPeer(factory, clock)
        self.assertEqual(len(refused.lines()), 1)
        self.assertEqual(list(hub.talks), [1])
        peer.close()
        self.assertEqual(hub.talks, {})
        self.assertEqual(factory.counters.closed[Reason.DONE], 1)
