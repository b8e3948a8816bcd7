"""The load generator without sockets: options, lines, answers, loops on a clock, the report."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from tempfile import NamedTemporaryFile

from hypothesis import given as generate
from hypothesis import settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.test_docs import ROOT
from twisted_sock import LineFactory
from twisted_sock.bench.answers import OutOfStep, parse_expectation
from twisted_sock.bench.command import Options
from twisted_sock.bench.histogram import Histogram
from twisted_sock.bench.latency_chart import nice, picture
from twisted_sock.bench.load import PENDING, Load
from twisted_sock.bench.plan import Plan
from twisted_sock.bench.report import ERRORS, PERCENTILES, WIDTH, as_json, progress, table
from twisted_sock.bench.tally import OTHERS, Tally
from twisted_sock.bench.workload import Cycle, generated, lines_of, one_line
from twisted_sock.errors import SettingError
from twisted_sock.memory import join

MANY = settings(max_examples=200, deadline=None)
STEP = 0.001


def near(found, right, delta):
    """Trial's `assertAlmostEqual` takes no notice of a delta."""
    assert abs(found - right) <= delta, f"{found} is not {right} ± {delta}"


class World:
    """A server in memory, a load on it, and the clock of both.

    Args:
        server: makes the server's protocol of a connection; or raises to refuse it.
        lines: what is said.
        expect: as on the command line.
        plan: for the `Plan`.
    """

    def __init__(self, server, *, lines=(b"hello",), expect="echo", **plan):
        self.clock = Clock()
        self.wires = []
        self.server = server
        self.plan = Plan(**plan)
        most = self.plan.most
        self.load = Load(
            self.clock,
            self.plan,
            Cycle(lines, b"\n", most),
            parse_expectation(expect, lines, most, self.plan.max_line),
            now=self.clock.seconds,
            soonest=STEP,
        )
        self.result = []
        measured = Deferred.fromCoroutine(self.load.measure(Endpoint(self)))
        measured.addCallback(self.result.append)
        self.measured = measured

    def pending(self):
        """The timers that the load has left."""
        calls = [call.func for call in self.clock.getDelayedCalls()]
        return [call for call in calls if call.__self__ in (self.load, self.load._loop)]

    def pass_time(self, seconds=100.0):
        """Let the load run for so long, or to its end; returns its tally."""
        end = self.clock.seconds() + seconds
        while not self.result and self.clock.seconds() < end:
            for wire in self.wires:
                for transport in wire.ends:
                    transport.step()
            self.clock.advance(STEP)
        return self.load.tally


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects to the server of a world."""

    def __init__(self, world):
        self.world = world

    def connect(self, factory):
        try:
            server = self.world.server(self.world.clock)
        except ConnectionRefusedError as error:
            return fail(error)
        client = factory.buildProtocol(None)
        wire = join(server, client)
        self.world.wires.append(wire)
        wire.flow()
        return succeed(client)


def echoing(clock):
    return LineFactory(lambda line: line, reactor=clock).buildProtocol(None)


class Answering(Protocol):
    """Answers what comes by a function of the bytes; waits while the clock is in a stall."""

    def __init__(self, clock, answer=bytes, stall=(0, 0)):
        self.clock = clock
        self.answer = answer
        self.stall = stall

    def dataReceived(self, data):
        start, end = self.stall
        now = self.clock.seconds()
        delay = end - now if start <= now < end else 0
        self.clock.callLater(delay, self.transport.write, self.answer(data))


def answering(answer):
    return lambda clock: Answering(clock, answer)


def stalling(start, end):
    return lambda clock: Answering(clock, stall=(start, end))


class ClosedLoopTest(SynchronousTestCase):
    def test_count(self):
        for depth, count in ((1, 1), (1, 100), (7, 100), (128, 5), (16, 1600)):
            world = World(echoing, connections=5, depth=depth, count=count, duration=0)
            tally = world.pass_time()
            self.assertEqual((tally.right, tally.errors), (count, 0))
            self.assertEqual((tally.bytes_in, tally.bytes_out), (6 * count, 6 * count))
            self.assertEqual(tally.latency.count, count)
            self.assertEqual(world.load.in_flight, 0)
            self.assertEqual([wire for wire in world.wires if wire.ends[1].connected], [])

    def test_duration(self):
        tally = World(echoing, connections=3, depth=4, duration=1.0).pass_time()
        near(tally.seconds, 1.0, 0.01)
        self.assertEqual(tally.right % 4, 0)
        self.assertGreater(tally.right, 1000)

    def test_warmup_is_not_measured(self):
        world = World(echoing, connections=2, depth=2, count=10, duration=0, warmup=1.0)
        tally = world.pass_time()
        self.assertEqual((tally.right, tally.latency.count), (10, 10))
        self.assertLess(tally.seconds, 0.5)

    def test_latency_counts_from_sending_a_batch(self):
        world = World(stalling(0, 0.5), connections=1, depth=3, count=3, duration=0)
        tally = world.pass_time()
        near(tally.latency.least, 0.5, 0.01)
        near(tally.latency.mean, 0.5, 0.01)

    def test_pieces_of_any_size(self):
        lines = [b"one", "zwölf".encode(), b"", b"three and more"]
        for piece in (1, 2, 3, 5, 7, 100):
            world = World(echoing, lines=lines, connections=2, depth=5, count=500, duration=0)
            for wire in world.wires:
                for end in wire.ends:
                    end.piece = piece
            tally = world.pass_time()
            self.assertEqual((tally.right, tally.errors), (500, 0))

    def test_wrong_answers(self):
        world = World(
            answering(lambda data: data.replace(b"b", b"\x1b")),
            lines=[b"a", b"b", b"c"],
            connections=1,
            depth=6,
            count=60,
            duration=0,
        )
        tally = world.pass_time()
        self.assertEqual((tally.right, tally.wrong, tally.errors), (40, 20, 20))
        self.assertEqual(tally.reasons, {r"answered '\x1b', not 'b'": 20})

    def test_a_lost_connection_loses_its_lines(self):
        class Leaving(Protocol):
            def dataReceived(self, data):
                self.transport.write(b"hello\nhel")
                self.transport.loseConnection()

        tally = World(lambda clock: Leaving(), connections=2, depth=4, duration=5).pass_time()
        self.assertEqual((tally.right, tally.lost, tally.broken), (2, 6, 2))
        self.assertEqual(tally.reasons, {"closed by the server": 2})

    def test_no_answer(self):
        tally = World(
            answering(lambda data: b"hel"), connections=2, depth=4, duration=1, timeout=3
        ).pass_time()
        self.assertEqual((tally.right, tally.lost, tally.broken), (0, 8, 2))
        self.assertEqual(tally.reasons, {"no answer for 3 s": 2})

    def test_more_answers_than_lines(self):
        tally = World(answering(lambda data: 2 * data), connections=1, count=5, duration=0)
        tally = tally.pass_time()
        self.assertEqual((tally.right, tally.lost, tally.broken), (0, 1, 1))

    def test_what_is_said_without_being_asked(self):
        class Greeting(Protocol):
            def connectionMade(self):
                self.transport.write(b"ERR busy\n")
                self.transport.loseConnection()

        tally = World(lambda clock: Greeting(), connections=1, count=5, duration=0).pass_time()
        self.assertEqual((tally.right, tally.broken), (0, 1))
        self.assertEqual(tally.reasons, {"said 'ERR busy' unasked": 1})

    def test_an_answer_without_an_end(self):
        world = World(answering(lambda data: b"x" * 200), count=5, duration=0, max_line=100)
        tally = world.pass_time()
        self.assertEqual(tally.reasons, {"an answer is longer than 100 bytes": 5})

    def test_refused_connections(self):
        attempts = []

        def some(clock):
            attempts.append(clock)
            if len(attempts) % 2:
                raise ConnectionRefusedError(None, "not today")
            return echoing(clock)

        world = World(some, connections=10, count=100, duration=0)
        tally = world.pass_time()
        self.assertEqual((tally.right, tally.refused, tally.errors), (100, 5, 5))
        [why] = tally.reasons
        self.assertIn("not today", why)

    def test_no_connection_at_all(self):
        attempts = []

        def none(clock):
            attempts.append(clock)
            raise ConnectionRefusedError

        world = World(none, connections=1000, count=100, duration=0)
        tally = world.pass_time()
        self.assertFalse(world.load.reached)
        self.assertEqual(tally.right, 0)
        self.assertEqual(len(attempts), PENDING)

    def test_stopped(self):
        world = World(echoing, connections=3, depth=4, duration=10)
        world.pass_time(1)
        world.load.stop()
        tally = world.pass_time()
        self.assertTrue(tally.interrupted)
        self.assertEqual(tally.errors, 0)
        near(tally.seconds, 1.0, 0.01)
        self.assertEqual(world.pending(), [])

    def test_stopped_while_warming_up(self):
        world = World(echoing, connections=3, warmup=5, duration=10)
        world.pass_time(1)
        world.load.stop()
        tally = world.pass_time()
        self.assertEqual((tally.right, tally.latency.count, tally.seconds), (0, 0, 0))

    def test_stopped_while_connecting(self):
        class Never:
            def connect(self, factory):
                return Deferred()

        clock = Clock()
        plan = Plan(connections=3)
        questions = Cycle([b"x"], b"\n", 1)
        expected = parse_expectation("any", [b"x"], 1, 100)
        load = Load(clock, plan, questions, expected, now=clock.seconds)
        measured = Deferred.fromCoroutine(load.measure(Never()))
        load.stop()
        self.assertEqual(self.successResultOf(measured).errors, 0)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_connecting_takes_too_long(self):
        class Never:
            def connect(self, factory):
                return Deferred()

        world = World(echoing, connections=3, timeout=2, duration=1)
        clock, first = world.clock, world.load
        load = Load(clock, world.plan, first.questions, first.expected, now=clock.seconds)
        measured = Deferred.fromCoroutine(load.measure(Never()))
        clock.advance(2.1)
        tally = self.successResultOf(measured)
        self.assertEqual(tally.reasons, {"not connected within 2 s": 3})


class OpenLoopTest(SynchronousTestCase):
    def test_the_rate_is_kept(self):
        for connections, depth in ((1, 0), (10, 1), (7, 5)):
            world = World(echoing, connections=connections, depth=depth, rate=500.0, duration=2.0)
            tally = world.pass_time()
            self.assertEqual((tally.right, tally.errors), (1000, 0))
            near(tally.seconds, 2.0, 0.02)
            self.assertLess(tally.latency.greatest, 0.02)

    def test_count(self):
        tally = World(echoing, connections=3, rate=500.0, count=77, duration=0).pass_time()
        self.assertEqual(tally.right, 77)

    def test_a_stall_is_not_hidden(self):
        """A tenth of ten seconds is stalled: the slowest 1 % of the lines took 0.9 s and more."""
        for depth in (1000, 1):
            world = World(stalling(2, 3), connections=2, depth=depth, rate=1000.0, duration=10)
            tally = world.pass_time()
            self.assertEqual((tally.right, tally.errors), (10_000, 0))
            near(tally.latency.greatest, 1.0, 0.02)
            near(tally.latency.percentile(99), 0.9, 0.02 + (depth == 1))
            self.assertGreater(tally.latency.percentile(99), 0.88)

    def test_a_closed_loop_hides_it(self):
        """Which is why there are open ones."""
        tally = World(stalling(2, 3), connections=2, depth=1, duration=10).pass_time()
        self.assertLess(tally.latency.percentile(99.9), 0.02)
        near(tally.latency.greatest, 1.0, 0.02)

    def test_lines_that_nobody_has_room_for_are_told(self):
        world = World(stalling(2, 3), connections=2, depth=1, rate=1000.0, duration=4)
        tally = world.pass_time()
        near(tally.waiting, 1000, 20)
        self.assertEqual(tally.right, 4000)

    def test_a_server_that_is_too_slow(self):
        """What is still not sent a timeout after the end is an error."""
        world = World(echoing, connections=1, depth=1, rate=10_000.0, duration=2, timeout=1)
        tally = world.pass_time()
        self.assertGreater(tally.unsent, 10_000)
        self.assertEqual(tally.right + tally.unsent, 20_000)
        near(tally.seconds, 3.0, 0.05)

    def test_the_others_take_the_lines_of_a_lost_connection(self):
        class Leaving(Protocol):
            def dataReceived(self, data):
                self.transport.loseConnection()

        servers = []

        def one_leaves(clock):
            servers.append(clock)
            return Leaving() if len(servers) == 1 else echoing(clock)

        tally = World(one_leaves, connections=4, rate=100.0, duration=5).pass_time()
        self.assertEqual((tally.broken, tally.lost), (1, 1))
        self.assertEqual(tally.right, 499)

    def test_all_are_lost(self):
        class Leaving(Protocol):
            def dataReceived(self, data):
                self.transport.loseConnection()

        tally = World(lambda _: Leaving(), connections=2, rate=100.0, duration=5).pass_time()
        self.assertEqual((tally.broken, tally.lost), (2, 2))
        self.assertLess(tally.seconds, 1)

    def test_stopped(self):
        world = World(echoing, connections=3, rate=100.0, duration=10)
        world.pass_time(1)
        world.load.stop()
        tally = world.pass_time()
        self.assertEqual((tally.interrupted, tally.errors), (True, 0))
        self.assertEqual(world.pending(), [])


LINES = st.lists(st.sampled_from([b"", b"a", b"ab", b"aaa", "é".encode()]), min_size=1, max_size=5)


def check_of(expect, lines, run=8, longest=50):
    """A check, and the list of its complaints."""
    wrong = []
    return parse_expectation(expect, lines, run, longest).check(0, wrong.append), wrong


class AnswersTest(SynchronousTestCase):
    @MANY
    @generate(st.data(), LINES, st.sampled_from(["\n", "\r\n"]), st.integers(1, 40))
    def test_against_the_plain_way(self, data, lines, ending, count):
        """Any answers, in any pieces: as many are wrong as differ, line by line."""
        right = [lines[number % len(lines)] for number in range(count)]
        said = [data.draw(st.sampled_from([line, line, line, b"x", b"aa"])) for line in right]
        stream = b"".join(line + ending.encode() for line in said)
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(stream) - 1)), max_size=20)))
        check, wrong = check_of("echo", lines, run=count)
        heard = 0
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            if start < end:
                heard += check.heard(stream[start:end], count - heard)
        self.assertEqual(heard, count)
        self.assertEqual(
            len(wrong), sum(one != other for one, other in zip(said, right, strict=True))
        )

    def test_one_text(self):
        check, wrong = check_of("+PONG", [b"PING", b"PING 2"])
        self.assertEqual(check.heard(b"+PONG\r\n+PO", 3), 1)
        self.assertEqual(check.heard(b"NG\r\n+PONG\n", 2), 2)
        self.assertEqual(wrong, [r"answered '+PONG', not '+PONG\x0d'"])

    def test_a_text_that_means_something_else(self):
        for text in ("echo", "any", "regex:x"):
            check, wrong = check_of(f"text:{text}", [b"x"])
            check.heard(text.encode() + b"\nx\n", 2)
            self.assertEqual(len(wrong), 1)

    def test_any(self):
        check, wrong = check_of("any", [b"x"])
        self.assertEqual(check.heard(b"\xff\n\nabc", 4), 2)
        self.assertEqual(check.heard(b"\r\n", 2), 1)
        self.assertEqual(wrong, [])

    def test_pattern(self):
        check, wrong = check_of(r"regex:\d+ ö?", [b"x"])
        self.assertEqual(check.heard("1 ö\r\n22 \nx3 \n".encode(), 3), 3)
        self.assertEqual(wrong, ["answered 'x3 ', which does not match"])
        self.assertRaises(SettingError, check_of, "regex:(", [b"x"])

    def test_out_of_step(self):
        for expect in ("echo", "any", "regex:.*"):
            for data in (b"x\nx\n", b"x\nx", b"x\n\n", b"y\nz", b"z" * 51):
                check, _ = check_of(expect, [b"x"])
                self.assertRaises(OutOfStep, check.heard, data, 1)

    def test_what_is_told_is_safe_and_short(self):
        check, wrong = check_of("echo", [b"x"], longest=1000)
        check.heard(b"\x1b[2J" + b"\xff" * 500 + b"\n", 1)
        self.assertIn(r"\x1b[2J", wrong[0])
        self.assertLess(len(wrong[0]), 70)


class WorkloadTest(SynchronousTestCase):
    def test_cycle(self):
        cycle = Cycle([b"a", b"", b"ccc"], b"\r\n", 4)
        self.assertEqual(cycle.take(0, 3), b"a\r\n\r\nccc\r\n")
        self.assertEqual(cycle.take(2, 4), b"ccc\r\na\r\n\r\nccc\r\n")

    def test_files(self):
        self.assertEqual(lines_of(b"a\r\n\nb", 10), [b"a", b"", b"b"])
        self.assertEqual(lines_of(b"\xff\n", 10), [b"\xff"])
        for content in (b"", b"a\n" + b"x" * 11, b"a\r\r\n"):
            self.assertRaises(SettingError, lines_of, content, 10)

    def test_one_line(self):
        self.assertEqual(one_line("é", 2), ["é".encode()])
        for text in ("a\nb", "a\r", "xxx"):
            self.assertRaises(SettingError, one_line, text, 2)

    def test_generated(self):
        for size in (0, 1, 2, 3, 100, 5000):
            lines = generated(size, 1, 65536)
            self.assertEqual({len(line) for line in lines}, {size})
            self.assertTrue(all(line.decode().isprintable() for line in lines))
        self.assertEqual(generated(50, 7, 100), generated(50, 7, 100))
        self.assertNotEqual(generated(50, 7, 100), generated(50, 8, 100))
        widths = {len(char.encode()) for line in generated(50, 1, 100) for char in line.decode()}
        self.assertEqual(widths, {1, 2, 3, 4})
        self.assertRaises(SettingError, generated, 101, 0, 100)
        self.assertLess(sum(map(len, generated(100_000, 0, 100_000))), 2 << 20)


def options(*arguments):
    """The options for some arguments."""
    made = Options()
    made.parseOptions(list(arguments))
    return made


class OptionsTest(SynchronousTestCase):
    def test_nothing(self):
        given = options("localhost:1234")
        self.assertEqual(given.endpoint, "localhost:1234")
        self.assertEqual(given.plan, Plan())
        self.assertEqual(given.lines, [b"hello"])
        self.assertEqual(given.plan.most, 1)

    def test_count_instead_of_duration(self):
        self.assertEqual(options("x:1", "--count", "5").plan.duration, 0)
        both = options("x:1", "--count", "5", "--duration", "2").plan
        self.assertEqual((both.count, both.duration), (5, 2))

    def test_an_open_loop_is_deep(self):
        self.assertEqual(options("x:1", "--rate", "10").plan.most, 1000)
        self.assertEqual(options("x:1", "--rate", "10", "--depth", "3").plan.most, 3)

    def test_no_deeper_than_there_are_lines(self):
        self.assertEqual(options("x:1", "--depth", "500000", "--count", "10").plan.most, 10)

    def test_lines(self):
        with NamedTemporaryFile() as file:
            Path(file.name).write_bytes("eins\r\nzwölf\n".encode())
            given = options("x:1", "--lines", file.name)
        self.assertEqual(given.lines, [b"eins", "zwölf".encode()])
        self.assertEqual(options("x:1", "--line", "é").lines, ["é".encode()])
        one, other = (options("x:1", "--generate", "9", "--seed", each).lines for each in "12")
        self.assertNotEqual(one, other)

    def test_mistakes(self):
        for arguments, word in (
            ([], "ENDPOINT"),
            (["x:1", "y:1"], "ENDPOINT"),
            (["x:1", "--connections", "0"], "--connections"),
            (["x:1", "--rate", "-1"], "--rate"),
            (["x:1", "--rate", "nan"], "--rate"),
            (["x:1", "--rate", "1e308"], "--rate: 0, or from 1e-06 to 1e+09, not 1e+308"),
            (["x:1", "--rate", "1e-320"], "--rate: 0, or from 1e-06 to 1e+09"),
            (["x:1", "--depth", "1000001"], "--depth: 1,000,000 at most"),
            (["x:1", "--duration", "1e300", "--rate", "1e9"], "--duration: 1,000,000,000 at most"),
            (["x:1", "--duration", "0"], "--duration"),
            (["x:1", "--timeout", "0"], "--timeout"),
            (["x:1", "--delimiter", "cr"], "--delimiter"),
            (["x:1", "--line", "a", "--generate", "5"], "exclude"),
            (["x:1", "--line", "a\nb"], "--line"),
            (["x:1", "--line", "abc", "--max-line", "2"], "--line"),
            (["x:1", "--lines", "/nonexistent"], "--lines: /nonexistent"),
            (["x:1", "--generate", "many"], "--generate"),
            (["x:1", "--generate", "5", "--seed", "x"], "--generate"),
            (["x:1", "--expect", "regex:("], "--expect"),
            (["x:1", "--json", "/nonexistent/x"], "--json"),
            (["x:1", "--chart", "/"], "--chart"),
        ):
            error = self.assertRaises(UsageError, options, *arguments)
            self.assertIn(word, str(error))

    def test_help_names_every_option(self):
        text = Options().getUsage(80)
        for setting in Options.settings:
            self.assertIn(f"--{setting.flag} {setting.meta}", text)
        for name, meta, _ in Options.texts:
            self.assertIn(f"--{name} {meta}", text)

    def test_examples(self):
        for example in Options.examples.split("\n"):
            options(*example.removeprefix("twisted-sock bench ").split())


def some_tally():
    tally = Tally()
    for number in range(1, 1001):
        tally.latency.record(number / 1000)
    tally.right, tally.seconds = 1_000_000, 2.0
    tally.wrong, tally.broken = 3, 1
    tally.complain("answered '\x1b[2Jx', not 'y' " * 9)
    return tally


class ReportTest(SynchronousTestCase):
    def test_table(self):
        text = table("localhost:1234\n", Plan(depth=128), some_tally())
        self.assertRegex(text, r"right answers +1,000,000  in 2.00 s\n")
        self.assertRegex(text, r"per second +500,000\n")
        self.assertRegex(text, r"errors +5\n  wrong answers +4\n  connections lost +1\n\n")
        self.assertRegex(
            text, r"  p50 +50[0-4]\n  p90 +90\d\n  p99 +99\d\n  p99.9 +(99\d|1,000)\n"
        )
        self.assertRegex(text, r"  max +1,000\n")
        self.assertNotIn("\x1b", text)

    def test_fits(self):
        for plan in (Plan(depth=128), Plan(rate=1_000_000.0, connections=10_000)):
            text = table("x" * 300, plan, some_tally())
            self.assertLessEqual(max(map(len, text.split("\n"))), WIDTH)
            line = progress("measuring", plan, some_tally(), 12345.6, 1e7)
            self.assertLess(len(line), WIDTH)

    def test_interrupted(self):
        tally = some_tally()
        tally.interrupted = True
        self.assertIn("interrupted", table("x", Plan(), tally))

    def test_json(self):
        found = json.loads(json.dumps(as_json("localhost:1234", Plan(rate=5.0), some_tally())))
        self.assertEqual(found["right_answers_per_second"], 500_000)
        self.assertEqual(found["errors"], {"all": 5} | dict.fromkeys(ERRORS, 0) | KINDS)
        self.assertEqual(found["plan"]["rate"], 5)
        self.assertEqual(found["plan"]["depth"], 1000)
        names = [f"p{each:g}" for each in PERCENTILES]
        self.assertEqual(list(found["latency_ms"]), ["min", *names, "max", "mean"])
        near(found["latency_ms"]["p90"], 900, 9)

    def test_nothing_was_measured(self):
        self.assertIn("0", table("x", Plan(), Tally()))
        self.assertEqual(as_json("x", Plan(), Tally())["latency_ms"]["p99"], 0)

    def test_reasons_are_bounded(self):
        tally = Tally()
        for number in range(1000):
            tally.explain(str(number))
        self.assertLess(len(tally.reasons), 30)
        self.assertEqual(sum(tally.reasons.values()), 1000)
        self.assertIn(OTHERS, tally.reasons)


KINDS = {"wrong": 4, "broken": 1}


class ChartTest(SynchronousTestCase):
    def drawn(self, histogram):
        """The numbers of the curve; and it is well-formed."""
        text = picture("<Latency> & \x1b", ["localhost:1234"], histogram)
        root = ElementTree.fromstring(text)
        width, height = float(root.get("width")), float(root.get("height"))
        curve = next(each for each in root.iter() if each.tag.endswith("polyline"))
        points = [tuple(map(float, each.split(","))) for each in curve.get("points").split()]
        for x, y in points:
            self.assertTrue(0 <= x <= width and 0 <= y <= height, (x, y))
        self.assertEqual(points, sorted(points, key=lambda point: (point[0], -point[1])))
        return points, text

    def test_ascends(self):
        histogram = Histogram()
        for number in range(1, 20_000):
            histogram.record(number**3 / 1e12, 5)
        points, text = self.drawn(histogram)
        self.assertLess(len(points), 4000)
        for label in (">p50<", ">p90<", ">p99<", ">p99.9<", ">max<", ">99.99<"):
            self.assertIn(label, text)

    def test_few(self):
        for times in ([0.0], [1e-9], [0.5], [1.0, 1.0], [1e-6, 1000.0]):
            histogram = Histogram()
            for each in times:
                histogram.record(each)
            self.drawn(histogram)

    def test_nice_numbers(self):
        for most in (0, 1e-5, 0.3, 1, 7, 9.99, 10, 21.5, 1000, 123456):
            marks = nice(most)
            self.assertGreaterEqual(marks[-1] * (1 + 1e-9), most)
            self.assertLessEqual(len(marks), 9)
            self.assertLessEqual(marks[-1] - most, marks[1])


class DocsTest(SynchronousTestCase):
    def test_commands(self):
        text = (ROOT / "docs" / "bench.md").read_text("utf-8")
        commands = re.findall(r"^\$? ?twisted-sock bench (.*)$", text, re.MULTILINE)
        self.assertGreater(len(commands), 3)
        for command in commands:
            if "--lines" not in command:
                options(*command.split())
        [shown] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
        shown, right = json.loads(shown), as_json("x", Plan(), Tally())
        for part in ("errors", "latency_ms"):
            self.assertEqual(list(shown[part]), list(right[part]))
        self.assertEqual(list(shown), list(right))
        [shown] = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
        names = [line.split("  ")[0] for line in table("x", Plan(), Tally()).split("\n")[2:]]
        self.assertEqual([line.split("  ")[0] for line in shown.splitlines()[2:]], names)
