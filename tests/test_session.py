"""One conversation: order, window, the end, and what user code can do to it."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LineFactory, LineProtocol, Problem, Reason, many
from twisted_sock.interfaces import Peer
from twisted_sock.memory import join
from twisted_sock.testing import MemoryPeer, connect

MANY = 100_000


class ManyLines(SynchronousTestCase):
    """However many lines wait, and whatever answers them, the stack does not grow."""

    def answered(self, handler, count=MANY, **limits):
        peer = connect(handler, limits=Limits(**limits))
        peer.say(*["x"] * count)
        return len(peer.lines())

    def test_plain_replies(self):
        self.assertEqual(self.answered(str.upper), MANY)

    def test_coroutines_that_are_done_at_once(self):
        async def handler(line):
            return line

        self.assertEqual(self.answered(handler, 20_000), 20_000)

    def test_deferreds_that_have_fired(self):
        def handler(line):
            fired = Deferred()
            fired.callback(line)
            return fired

        self.assertEqual(self.answered(handler, 20_000), 20_000)

    def test_lines_that_waited_for_a_reply(self):
        first = Deferred()
        replies = iter([first])
        peer = connect(lambda line: next(replies, line))
        peer.say(*["x"] * MANY)
        self.assertEqual(peer.lines(), [])
        first.callback("first")
        self.assertEqual(len(peer.lines()), MANY)

    def test_replies_that_fire_each_other(self):
        waiting = []

        def handler(line):
            waiting.append(Deferred())
            return waiting[-1]

        peer = connect(handler, limits=Limits(window=0))
        peer.say(*["x"] * 5000)
        for deferred in reversed(waiting):
            deferred.callback("y")
        self.assertEqual(len(peer.lines()), 5000)

    def test_an_async_iterator_that_never_waits(self):
        async def handler(line):
            for number in range(20_000):
                yield str(number)

        peer = connect(handler)
        peer.say("go")
        self.assertEqual(len(peer.lines()), 20_000)


class AtOnce(SynchronousTestCase):
    """A line protocol may take many lines at once."""

    class Counting(LineProtocol, many.ManyLines):
        """Answers in its kind, as many lines as it can."""

        def lineReceived(self, line):
            if line == "fail":
                raise ValueError(line)
            if line == "quit":
                self.close()
            if line == "drop":
                self.abort()
            if line == "drain":
                self.drained()
            if line == "push":
                self.sendLine("pushed")
            kinds = {"later": self.later, "none": None, "two": ["1", "2"]}
            return kinds.get(line, line.upper())

        def answer_lines(self, lines, replies):
            self.asked.append(self)
            for line in lines:
                reply = self.lineReceived(line)
                if isinstance(reply, str):
                    replies.append(reply)
                elif reply is not None:
                    return reply
            return None

    def connect(self, **limits):
        self.later, self.asked = Deferred(), []
        own = {"later": self.later, "asked": self.asked, "drained": lambda _: peer.factory.drain()}
        peer = connect(type("Here", (self.Counting,), own), limits=Limits(**limits))
        return peer

    def answered(self, answer_lines, *chunks, **more):
        """What is said by a line protocol that has an `answer_lines` of some kind."""

        class Here(LineProtocol, many.ManyLines):
            def lineReceived(self, line):
                return f"one {line}"

        peer = connect(type("There", (Here,), {"answer_lines": answer_lines, **more}))
        replies = []
        for lines in chunks:
            peer.say(*lines)
            replies.append([" ".join(each.split()[:2]) for each in peer.lines()])
        return replies

    def test_in_their_order_whatever_is_replied(self):
        peer = self.connect()
        peer.say("a", "none", "b", "two", "c", "later", "d")
        self.assertEqual(peer.lines(), ["A", "B", "1", "2", "C"])
        self.later.callback("now")
        self.assertEqual(peer.lines(), ["now", "D"])
        self.assertLess(len(self.asked), 7)

    def test_as_many_as_there_are(self):
        peer = self.connect()
        peer.say(*["x"] * 10_000)
        self.assertEqual(peer.lines(), ["X"] * 10_000)
        self.assertLess(len(self.asked), 1000)

    def test_one_that_fails_fails_alone(self):
        peer = self.connect()
        peer.say("a", "fail", "b")
        lines = peer.lines()
        self.assertEqual((lines[0], lines[1].split()[0], lines[2]), ("A", "ERR", "B"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_none_after_the_end(self):
        for end, replies in (("quit", ["A", "QUIT"]), ("drop", [])):
            for more in ([], ["x"] * 100):
                peer = self.connect()
                peer.say("a", end, "b", *more)
                self.assertEqual(peer.lines(), replies)
                self.assertTrue(peer.ended)

    def test_those_that_were_read_when_it_drains(self):
        for more in ([], ["x"] * 100):
            peer = self.connect()
            peer.say("a", "drain", "b", *more)
            said = ["A", "DRAIN", "B", *["X"] * len(more)]
            self.assertEqual(peer.lines()[: len(said)], said)
            self.assertTrue(peer.ended)

    def test_what_is_sent_is_sent_in_its_place(self):
        peer = self.connect()
        peer.say("a", "push", "b", *["x"] * 100)
        self.assertEqual(peer.lines(), ["A", "pushed", "PUSH", "B", *["X"] * 100])

    def test_some_at_once_when_replies_are_in_work(self):
        peer = self.connect(window=3)
        peer.say("a", "later", "b", "two", "c", "d")
        self.assertEqual(peer.lines(), ["A"])
        self.later.callback("now")
        self.assertEqual(peer.lines(), ["now", "B", "1", "2", "C", "D"])

    def test_what_is_raised_before_a_line_is_taken_is_for_one(self):
        def fails(self, lines, replies):
            raise ValueError

        told = self.answered(fails, "ab", ["x"] * 20)
        self.assertEqual(told, [["ERR internal"] * 2, ["ERR internal"] * 20])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)  # of so many alike

    def test_what_is_replied_before_a_line_is_taken_is_for_one(self):
        for reply, answers in ((["some", "more"], ["some", "more"] * 20), (None, [])):

            def at_once(self, lines, replies, reply=reply):
                return reply

            told = self.answered(at_once, "a", ["x"] * 19)
            self.assertEqual([line for lines in told for line in lines], answers)

    def test_lines_that_are_left_are_asked_again(self):
        def one(self, lines, replies):
            replies.append(next(lines).upper())

        told = self.answered(one, "abc", "x" * 40, "de")
        self.assertEqual(told, [["A", "B", "C"], ["X"] * 40, ["D", "E"]])

    def test_not_where_lines_were_to_be_received_otherwise(self):
        def fails(self, lines, replies):
            raise ValueError

        def other(self, line):
            return f"other {line}"

        class Over(self.Counting):
            def lineReceived(self, line):
                return other(self, line)

        class Around(LineProtocol):
            lineReceived = other

            def __getattr__(self, name):
                return getattr(inner, name)

        class Patched(self.Counting):
            def __init__(self):
                self.lineReceived = lambda line: other(self, line)

        class ByChance(LineProtocol):
            lineReceived = other
            answer_lines = 20

        inner = self.Counting()
        for kind in (Over, Around, Patched, ByChance):
            peer = connect(kind)
            peer.say("a", "b")
            self.assertEqual(peer.lines(), ["other a", "other b"], kind)
        self.assertEqual(self.answered(fails, "a", lineReceived=other), [["ERR internal"]])
        self.flushLoggedErrors(ValueError)


class Order(SynchronousTestCase):
    def test_what_is_sent_comes_before_what_is_returned(self):
        class Both(LineProtocol):
            def lineReceived(self, line):
                self.sendLine(f"{line} sent")
                return f"{line} returned"

        peer = connect(Both)
        peer.say("a", "b")
        self.assertEqual(peer.lines(), ["a sent", "a returned", "b sent", "b returned"])

    def test_a_push_goes_ahead_of_a_reply_in_work(self):
        waiting = Deferred()

        class Push(LineProtocol):
            def lineReceived(self, line):
                self.sendLine("working")
                return waiting

        peer = connect(Push)
        peer.say("a")
        self.assertEqual(peer.lines(), ["working"])
        waiting.callback("done")
        self.assertEqual(peer.lines(), ["done"])

    def test_a_problem_waits_for_the_replies_before_it(self):
        waiting = Deferred()
        peer = connect(lambda line: waiting, limits=Limits(window=2))
        peer.send(b"a\n\xff\n")
        self.assertEqual(peer.lines(), [])
        waiting.callback("A")
        self.assertEqual(peer.lines(), ["A", "ERR utf8 the line is not valid UTF-8 at byte 0"])

    def test_no_line_is_delivered_before_an_async_greeting_is_out(self):
        ready = Deferred()

        class Greeter(LineProtocol):
            async def connectionMade(self):
                return await ready

            def lineReceived(self, line):
                return line

        peer = connect(Greeter, limits=Limits(window=10))
        peer.say("a")
        self.assertEqual(peer.lines(), [])
        ready.callback("hello")
        self.assertEqual(peer.lines(), ["hello", "a"])

    def test_a_generator_is_asked_only_when_its_turn_has_come(self):
        waiting, asked = Deferred(), []

        def numbers():
            asked.append(True)
            yield "1"

        replies = iter([waiting, numbers()])
        peer = connect(lambda line: next(replies), limits=Limits(window=2))
        peer.say("a", "b")
        self.assertEqual(asked, [])
        waiting.callback("0")
        self.assertEqual(peer.lines(), ["0", "1"])


class UserCodeFails(SynchronousTestCase):
    def failing(self, handler, *lines):
        peer = connect(handler)
        peer.say(*lines)
        answers = peer.lines()
        [failure] = self.flushLoggedErrors()
        return answers, failure

    def test_the_id_is_in_the_log(self):
        answers, failure = self.failing(lambda line: 1 // 0, "x")
        self.assertIs(failure.type, ZeroDivisionError)
        self.assertRegex(answers[0], "^ERR internal [0-9a-f]{8}$")

    def test_in_a_coroutine(self):
        async def handler(line):
            raise KeyError(line)

        answers, failure = self.failing(handler, "x")
        self.assertTrue(answers[0].startswith("ERR internal "))
        self.assertIs(failure.type, KeyError)

    def test_in_the_middle_of_a_generator(self):
        def handler(line):
            yield "one"
            raise KeyError(line)

        answers, _ = self.failing(handler, "x")
        self.assertEqual(answers[0], "one")
        self.assertTrue(answers[1].startswith("ERR internal "))

    def test_in_the_middle_of_an_async_iterator(self):
        async def handler(line):
            yield "one"
            raise KeyError(line)

        answers, _ = self.failing(handler, "x")
        self.assertEqual(answers[0], "one")
        self.assertTrue(answers[1].startswith("ERR internal "))

    def test_a_reply_that_is_no_text(self):
        for wrong in (5, b"bytes", [b"bytes"], object()):
            answers, failure = self.failing(lambda line, wrong=wrong: wrong, "x")
            self.assertTrue(answers[0].startswith("ERR internal "), answers)
            self.assertIs(failure.type, TypeError)

    def test_a_reply_that_cannot_be_sent_spares_its_neighbours(self):
        answers, failure = self.failing(
            lambda line: {"b": "\ud800"}.get(line, line), "a", "b", "c"
        )
        self.assertEqual([answers[0], answers[2]], ["a", "c"])
        self.assertTrue(answers[1].startswith("ERR internal "))
        self.assertTrue(issubclass(failure.type, ValueError))

    def test_in_the_greeting(self):
        class Bad(LineProtocol):
            def connectionMade(self):
                raise KeyError("greeting")

            def lineReceived(self, line):
                return line

        answers, _ = self.failing(Bad, "x")
        self.assertTrue(answers[0].startswith("ERR internal "))
        self.assertEqual(answers[1], "x")

    def test_in_connectionLost(self):
        class Bad(LineProtocol):
            async def connectionLost(self, reason):
                raise KeyError(reason)

        peer = connect(Bad)
        peer.close()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertTrue(peer.gone)

    def test_sending_what_cannot_be_sent_raises_where_it_is_called(self):
        raised = []

        class Bad(LineProtocol):
            def lineReceived(self, line):
                for wrong in ("a\nb", "\udfff"):
                    try:
                        self.sendLine(wrong)
                    except ValueError as error:
                        raised.append(error)
                return "fine"

        peer = connect(Bad)
        peer.say("x")
        self.assertEqual(peer.lines(), ["fine"])
        self.assertEqual(len(raised), 2)


class LettingGo(SynchronousTestCase):
    """What is in work when the connection goes is cancelled, once."""

    def lost(self, handler, *lines, window=10):
        peer = connect(handler, limits=Limits(window=window))
        peer.say(*lines)
        peer.reset()
        self.assertTrue(peer.gone)
        self.assertEqual(peer.clock.getDelayedCalls(), [])
        return peer

    def test_deferreds_are_cancelled(self):
        cancelled = []
        self.lost(lambda line: Deferred(cancelled.append), "a", "b")
        self.assertEqual(len(cancelled), 2)

    def test_coroutines_are_cancelled(self):
        ended = []

        async def handler(line):
            try:
                await Deferred()
            except CancelledError:
                ended.append(line)
                raise

        self.lost(handler, "a", "b")
        self.assertEqual(ended, ["a", "b"])

    def test_generators_are_closed(self):
        ended = []

        def handler(line):
            try:
                while True:
                    yield "x" * 100_000
            finally:
                ended.append(line)

        peer = connect(handler)
        peer.stop_reading()
        peer.say("a")
        peer.reset()
        self.assertEqual(ended, ["a"])

    def test_async_iterators_are_closed_wherever_they_wait(self):
        ended = []

        async def handler(line):
            try:
                yield "first"
                if line == "waits":
                    await Deferred()
                while True:
                    yield "x" * 100_000
            finally:
                ended.append(line)

        for line in ("waits", "is blocked"):
            peer = connect(handler)
            peer.stop_reading()
            peer.say(line)
            peer.reset()
        self.assertEqual(ended, ["waits", "is blocked"])

    def test_code_that_aborts_goes_on_to_its_end(self):
        ended, waiting = [], Deferred()

        class Aborts(LineProtocol):
            async def lineReceived(self, line):
                if line == "later":
                    await waiting
                self.abort()
                ended.append(line)
                return "too late"

        for line in ("at once", "later"):
            peer = connect(Aborts)
            peer.say(line)
            if line == "later":
                waiting.callback(None)
            self.assertTrue(peer.gone)
            self.assertEqual(peer.lines(), [])
        self.assertEqual(ended, ["at once", "later"])

    def test_a_generator_that_aborts(self):
        class Aborts(LineProtocol):
            def lineReceived(self, line):
                yield "one"
                self.abort()
                yield "two"

        peer = connect(Aborts)
        peer.say("x")
        self.assertTrue(peer.gone)
        self.assertEqual(peer.factory.counters.closed, {Reason.ABORTED: 1})

    def test_an_error_after_the_end_is_logged(self):
        async def handler(line):
            try:
                await Deferred()
            finally:
                raise KeyError("while cleaning up")

        self.lost(handler, "a")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_lines_that_wait_are_not_delivered(self):
        delivered = []

        def handler(line):
            delivered.append(line)
            return Deferred()

        self.lost(handler, "a", "b", "c", window=1)
        self.assertEqual(delivered, ["a"])


class Ending(SynchronousTestCase):
    def test_a_reply_returned_by_the_code_that_closes_is_sent(self):
        class Quit(LineProtocol):
            async def lineReceived(self, line):
                self.close()
                return "bye"

        peer = connect(Quit)
        peer.say("quit", "more")
        self.assertEqual(peer.lines(), ["bye"])
        self.assertTrue(peer.ended)

    def test_late_lines_are_counted(self):
        class Late(LineProtocol):
            def lineReceived(self, line):
                self.close()
                self.sendLine("late")

            def connectionLost(self, reason):
                self.sendLine("later")

        peer = connect(Late)
        peer.say("x")
        peer.close()
        self.assertEqual(peer.lines(), [])
        self.assertEqual(peer.factory.counters.late_lines, 2)

    def test_draining_answers_the_lines_that_wait(self):
        waiting = []

        def handler(line):
            waiting.append(Deferred())
            return waiting[-1]

        peer = connect(handler)
        peer.say("a", "b")
        done = peer.factory.drain()
        peer.say("not read any more")
        waiting[0].callback("A")
        waiting[1].callback("B")
        self.assertEqual(peer.lines(), ["A", "B", "ERR shutdown the server is stopping"])
        self.assertNoResult(done)
        peer.close()
        self.successResultOf(done)

    def test_whoever_comes_while_draining_is_refused(self):
        peer = connect(lambda line: Deferred())
        peer.say("a")
        peer.factory.drain()
        other = MemoryPeer(peer.factory, peer.clock, 40001)
        self.assertEqual(other.lines(), ["ERR shutdown the server is stopping"])


class OthersAreSpared(SynchronousTestCase):
    def test_a_canceller_that_fails(self):
        def broken(_):
            raise ZeroDivisionError

        peer = connect(
            lambda line: Deferred(broken), limits=Limits(reply_timeout=5, idle_timeout=20)
        )
        other = MemoryPeer(peer.factory, peer.clock, 40001)
        peer.say("x")
        peer.advance(8)
        self.assertEqual(peer.lines(), ["ERR timeout no reply in time"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        other.advance(13)
        self.assertEqual(other.lines(), ["ERR idle nothing was said for too long"])


class Telling(SynchronousTestCase):
    def test_a_protocol_chooses_its_own_words(self):
        class Polite(LineProtocol):
            def problem_line(self, problem: Problem):
                return f"sorry: {problem.reason}"

        peer = connect(Polite)
        peer.send(b"\xff\n")
        self.assertEqual(peer.lines(), ["sorry: utf8"])

    def test_or_silence(self):
        class Silent(LineProtocol):
            def lineReceived(self, line):
                return line

            def problem_line(self, problem):
                return None

        peer = connect(Silent)
        peer.send(b"\xff\nx\n")
        self.assertEqual(peer.lines(), ["x"])
        self.assertEqual(peer.factory.counters.problems, {Reason.UTF8: 1})

    def test_words_that_are_no_line_are_the_usual_ones(self):
        class Wrong(LineProtocol):
            def lineReceived(self, line):
                return line

            def problem_line(self, problem):
                return ["sorry", 5]

        peer = connect(Wrong)
        peer.send(b"a\n\xff\nb\n")
        usual = "ERR utf8 the line is not valid UTF-8 at byte 0"
        self.assertEqual(peer.lines(), ["a", usual, "b"])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_words_that_fail_are_the_usual_ones(self):
        class Broken(LineProtocol):
            def problem_line(self, problem):
                raise KeyError(problem)

        peer = connect(Broken)
        peer.send(b"\xff\n")
        self.assertEqual(peer.lines(), ["ERR utf8 the line is not valid UTF-8 at byte 0"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_names_of_peers_are_safe_to_show(self):
        for address, name in (
            (IPv4Address("TCP", "192.0.2.1", 7), "192.0.2.1:7"),
            (IPv6Address("TCP", "::1", 7), "[::1]:7"),
            (IPv4Address("TCP", "\x1b[31m\nfake", 7), "\\x1b[31m\\x0afake:7"),
            (UNIXAddress(b"/run/\n"), "unix:/run/\\x0a"),
            (UNIXAddress(None), "unix"),
        ):
            self.assertEqual(str(Peer(address)), name)

    def test_the_peer_has_a_name(self):
        class Who(LineProtocol):
            def lineReceived(self, line):
                return str(self.peer)

        peer = connect(Who)
        peer.say("who")
        self.assertEqual(peer.lines(), ["127.0.0.1:40000"])


class ReplyTimeout(SynchronousTestCase):
    def test_each_reply_has_its_own_time(self):
        waiting = {}

        def handler(line):
            waiting[line] = Deferred()
            return waiting[line]

        peer = connect(handler, limits=Limits(window=2, reply_timeout=10))
        peer.say("a")
        peer.advance(6)
        peer.say("b")
        peer.advance(5)
        self.assertEqual(peer.lines(), ["ERR timeout no reply in time"])
        waiting["b"].callback("B")
        self.assertEqual(peer.lines(), ["B"])

    def test_what_was_given_up_is_cancelled_and_its_result_dropped(self):
        cancelled = []

        def handler(line):
            return Deferred(lambda d: (cancelled.append(line), d.callback("late")))

        peer = connect(handler, limits=Limits(reply_timeout=10))
        peer.say("a")
        peer.advance(11)
        self.assertEqual(cancelled, ["a"])
        self.assertEqual(peer.lines(), ["ERR timeout no reply in time"])

    def test_time_behind_a_slow_reader_does_not_count(self):
        async def handler(line):
            for _ in range(40):
                yield "x" * 100_000

        peer = connect(handler, limits=Limits(reply_timeout=5, stall_timeout=0))
        peer.stop_reading()
        peer.say("go")
        peer.advance(60)
        peer.start_reading()
        self.assertEqual(len(peer.lines()), 40)


class Pressure(SynchronousTestCase):
    """A peer that says much and takes nothing."""

    def handled(self, handler, chunks, **limits):
        """How many lines are handled of so many chunks of ten."""
        seen = []

        def counting(line):
            seen.append(line)

        peer = connect(handler(counting), limits=Limits(high_water=65536, **limits))
        peer.stop_reading()
        for _ in range(chunks):
            peer.say(*["x"] * 10)
        return len(seen)

    def test_large_replies(self):
        def handler(count):
            return lambda line: count(line) or "y" * 100_000

        self.assertEqual(self.handled(handler, 10), 10)

    def test_lines_sent_beside_the_replies(self):
        def handler(count):
            class Sending(LineProtocol):
                def lineReceived(self, line):
                    count(line)
                    self.sendLine("y" * 100_000)
                    return "done"

            return Sending

        self.assertEqual(self.handled(handler, 10), 10)

    def test_all_is_answered_when_the_peer_reads_again(self):
        peer = connect(lambda line: "y" * 100_000, limits=Limits(high_water=65536))
        peer.stop_reading()
        for _ in range(10):
            peer.say(*["x"] * 10)
        peer.start_reading()
        self.assertEqual(len(peer.lines()), 100)


class Inside(SynchronousTestCase):
    def test_lines_that_come_while_one_is_handled_wait_for_their_turn(self):
        """As when a handler lets the reactor turn."""

        def handler(line):
            if line == "outer":
                stream.dataReceived(b"inner\n")
            return line

        factory = LineFactory(handler, reactor=Clock())
        stream, client = factory.buildProtocol(None), Collector()
        wire = join(stream, client)
        wire.flow()
        client.transport.write(b"before\nouter\nafter\n")
        wire.flow()
        self.assertEqual(client.received, b"before\nouter\nafter\ninner\n")
        client.transport.loseConnection()
        wire.flow()


class Collector(Protocol):
    received = b""

    def dataReceived(self, data):
        self.received += data
