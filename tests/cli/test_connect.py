"""`connect` and `send` in memory: what is sent, what is shown, how it ends."""

import io
import re
import sys

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import LineFactory, LinePolicy
from twisted_sock.cli import connect as connecting
from twisted_sock.cli import send as sending
from twisted_sock.cli.command import CommandError, Status
from twisted_sock.cli.link import Link, State
from twisted_sock.cli.pipe import Input
from twisted_sock.cli.showing import HexShower, make_shower
from twisted_sock.cli.talking import RETRY
from twisted_sock.cli.terminal import Conversation
from twisted_sock.client.retry import Backoff
from twisted_sock.memory import join


class InputTest(SynchronousTestCase):
    """Standard input on its way."""

    def sent(self, data, ending=b"\n", piece=1 << 16, max_line=10):
        given = Input(ending, max_line)
        out = b""
        for start in range(0, len(data), piece):
            out += given.feed(data[start : start + piece])
        return out + given.end(), given.problem

    def test_as_it_is(self):
        for text in ("", "a\n", "a\n\nb\n", "世界\n\x0b\x85\u2028\n", "a\r\n", "\r\r\n", "a\rb\n"):
            for piece in (1, 2, 100):
                self.assertEqual(self.sent(text.encode(), piece=piece), (text.encode(), ""))

    def test_a_last_line_gets_its_end(self):
        self.assertEqual(self.sent(b"a\nb"), (b"a\nb\n", ""))

    def test_crlf(self):
        data = b"a\nb\r\n\nc\rd\ne"
        expected = b"a\r\nb\r\n\r\nc\rd\r\ne\r\n"
        for piece in (1, 100):
            self.assertEqual(self.sent(data, b"\r\n", piece), (expected, ""))

    def test_chunks_go_as_they_are(self):
        for data in (b"a", b"a\n", b"a\nb", b"\n", "世".encode(), b"\xff" * 100):
            for piece in (1, 100):
                self.assertEqual(self.sent(data, b"", piece), (data, ""))

    def test_chunks_go_as_they_come(self):
        self.assertEqual(Input(b"", 10).feed(b"hello"), b"hello")

    def test_a_bad_line_ends_it(self):
        for bad, words in (
            (b"\xff", "the line is not valid UTF-8 at byte 0"),
            (b"x" * 11, "a line may have at most 10 bytes"),
        ):
            for end in (b"\nmore\n", b""):
                for piece in (1, 100):
                    out, problem = self.sent(b"a\nb\n\nd\n" + bad + end, piece=piece)
                    self.assertEqual(out, b"a\nb\n\nd\n")
                    self.assertEqual(problem, f"line 5 of the input: {words}")

    def test_no_limit(self):
        self.assertEqual(self.sent(b"x" * 100_000, max_line=0)[1], "")


class ShowerTest(SynchronousTestCase):
    def test_lines_are_safe(self):
        shower = make_shower(LinePolicy(overlong="truncate", invalid="replace", max_line=9), False)
        self.assertEqual(
            shower.feed(b"a\r\n\x1b[2J\n\xff\n0123456789\nta"),
            ["a", r"\x1b[2J", "\ufffd", "012345678"],
        )
        self.assertEqual(shower.end(), ["ta"])

    def test_chunks(self):
        shower = make_shower(LinePolicy(framing="chunk"), False)
        self.assertEqual(shower.feed(b"a\nb"), [r"a\x0ab"])

    def test_hex(self):
        shower = HexShower()
        self.assertEqual(
            [*shower.feed("hello, 世界\x00!|\n".encode() + b"ABC"), *shower.feed(b"D")],
            [
                "00000000  68 65 6c 6c 6f 2c 20 e4 b8 96 e7 95 8c 00 21 7c  |hello, .......!||",
                "00000010  0a 41 42 43                                      |.ABC|",
                "00000014  44                                               |D|",
            ],
        )
        self.assertEqual(shower.end(), [])


class MemoryEndpoint:
    """Connects to a line server in memory; None: nobody listens.

    Args:
        factory: the server's.
        peer: whom the server sees.
    """

    def __init__(self, factory, peer=None):
        self.factory = factory
        self.peer = peer
        self.wire = None

    def connect(self, factory):
        if self.factory is None:
            return fail(ConnectionRefusedError())
        client = factory.buildProtocol(None)
        self.wire = join(self.factory.buildProtocol(self.peer), client)
        self.wire.flow()
        return succeed(client)


class MemoryCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.endpoint = MemoryEndpoint(self.server(str.upper))

    def server(self, handler, **policy):
        return LineFactory(handler, policy=LinePolicy(**policy), reactor=self.clock)

    def options(self, module, *arguments):
        """The options of a command whose links are in memory."""

        class Options(module.Options):
            def link(options, reactor, owner, again):
                backoff = Backoff(RETRY, reactor.seconds, lambda: 0.5) if again else None
                return Link(reactor, self.endpoint, owner, backoff=backoff)

        options = Options()
        options.parseOptions(list(arguments))
        return options

    def pending(self):
        """The delayed calls of our side."""
        return [each for each in self.clock.getDelayedCalls() if "Deadlines" not in str(each)]

    def flow(self):
        if self.endpoint.wire is not None:
            self.endpoint.wire.flow()

    def advance(self, seconds):
        self.flow()
        self.clock.pump([seconds / 10] * 10)
        self.flow()

    def push(self, line):
        """The server says something unasked."""
        for stream in list(self.endpoint.factory._open):
            stream.session.sendLine(line)
        self.flow()


class FakeScreen:
    """A screen in the hands of a test."""

    def __init__(self):
        self.lines = []
        self.typist = None
        self.closed = False
        self.prompt = "> "
        self.typed = ""  # and not given yet
        self.begin = ""  # what the next line begins with
        self.prompts = True  # whether the prompt is there: not while a line is being done

    def start(self, typist):
        self.typist = typist

    def ask(self, prompt, answers):
        self.prompt = prompt

    def give_back(self, text):
        if self.begin if not self.prompts else self.typed:
            return False
        if self.prompts:
            self.type(text)
        else:
            self.begin = text
        return True

    def type(self, text):
        """Begin to type something."""
        self.typed = text
        self.typist.typing(bool(text))

    def enter(self):
        """Give what was typed."""
        typed, self.typed = self.typed, ""
        self.prompts = False
        self.typist.typed(typed)
        self.prompts = True
        begin, self.begin = self.begin, ""
        if begin:
            self.type(begin)

    def show(self, lines):
        self.lines += lines

    def close(self):
        self.closed = True
        return succeed(None)

    def seen(self):
        """What was shown since last asked, without the times."""
        lines, self.lines = self.lines, []
        assert all(re.match(r"\d\d:\d\d:\d\d [*<>] ", line) for line in lines), lines
        return [line[9:] for line in lines]


class ConversationTest(MemoryCase):
    """At a terminal."""

    def talk(self, *arguments):
        self.screen = FakeScreen()
        options = self.options(connecting, *arguments, "1234")
        conversation = Conversation(self.clock, options, self.screen)
        self.ended = Deferred.fromCoroutine(conversation.run())
        self.flow()
        return self.screen

    def type(self, text):
        self.screen.typist.typed(text)
        self.flow()

    def test_asks_and_answers(self):
        screen = self.talk()
        self.type("héllo")
        self.type("世界")
        connected = "* connected to 127.0.0.1:1234"
        self.assertEqual(screen.seen(), [connected, "< HÉLLO", "< 世界"])

    def test_pasted_lines_are_lines(self):
        screen = self.talk()
        self.type("a\nb")
        self.assertEqual(screen.seen()[1:], ["< A", "< B"])

    def test_first(self):
        screen = self.talk("--first", "a", "--first", "b")
        self.assertEqual(screen.seen()[1:], ["> a", "> b", "< A", "< B"])

    def test_hex(self):
        screen = self.talk("--hex", "--first", "a")
        self.assertEqual(screen.seen()[-1], f"< 00000000  41 0a{' ' * 42}  |A.|")

    def test_chunks(self):
        self.endpoint.factory = self.server(str.upper, framing="chunk")
        screen = self.talk("--framing", "chunk")
        self.type("no newline")
        self.assertEqual(screen.seen()[1:], ["< NO NEWLINE"])

    def test_a_server_cannot_paint(self):
        screen = self.talk()
        self.push("\x1b[2J\u202e* connected")
        self.assertEqual(screen.seen()[1:], [r"< \x1b[2J\u202e* connected"])

    def test_the_end_of_the_person(self):
        screen = self.talk()
        screen.typist.typed("last")
        screen.typist.ended()
        self.flow()
        self.assertEqual(screen.seen()[1:], ["< LAST"])
        self.assertEqual(self.successResultOf(self.ended), Status.DONE)
        self.assertTrue(screen.closed)
        self.assertEqual(self.pending(), [])

    def test_the_end_of_the_person_does_not_wait_for_ever(self):
        held = Deferred()
        self.endpoint.factory = self.server(lambda line: held)
        screen = self.talk()
        screen.typist.typed("last")
        screen.typist.ended()
        self.flow()
        self.assertNoResult(self.ended)
        self.advance(4)
        self.assertEqual(self.successResultOf(self.ended), Status.DONE)
        held.callback(None)

    def test_interrupted(self):
        screen = self.talk()
        screen.typist.interrupted()
        self.assertEqual(self.successResultOf(self.ended), Status.INTERRUPTED)
        self.flow()
        self.assertEqual(screen.seen()[1:], [])

    def test_cancelled(self):
        screen = self.talk()
        self.ended.cancel()
        self.assertTrue(screen.closed)
        self.failureResultOf(self.ended, CancelledError)
        self.flow()

    def test_a_screen_that_fails(self):
        screen = self.talk()
        screen.typist.failed(Failure(OSError("gone")))
        self.failureResultOf(self.ended, OSError)
        self.flow()

    def test_nobody_there_at_first(self):
        self.endpoint.factory = None
        screen = self.talk()
        error = self.failureResultOf(self.ended, CommandError).value
        self.assertEqual(error.status, Status.UNREACHABLE)
        self.assertIn("cannot connect to 1234: ", str(error))
        self.assertIsNone(screen.typist)

    def test_patient_at_first_if_asked(self):
        factory, self.endpoint.factory = self.endpoint.factory, None
        screen = self.talk("--reconnect", "yes")
        self.assertRegex(screen.seen()[0], r"cannot connect to 1234: .*; reconnecting in 0.5 s \.")
        self.endpoint.factory = factory
        self.advance(0.6)
        self.assertEqual(screen.seen(), ["* connected to 127.0.0.1:1234"])

    def test_a_server_that_restarts(self):
        screen = self.talk("--first", "hi")
        factory = self.endpoint.factory
        factory.drain()
        self.endpoint.factory = None
        self.flow()
        self.assertEqual(
            screen.seen()[2:],
            [
                "< HI",
                "< ERR shutdown the server is stopping",
                "* the peer has closed the connection; reconnecting in 0.5 s ...",
            ],
        )
        self.type("lost")
        self.assertEqual(screen.seen(), ["* not connected: not sent"])
        self.advance(0.6)
        self.assertIn("; reconnecting in 1.0 s ...", screen.seen()[-1])
        self.endpoint.factory = self.server(str.title)
        self.advance(1.1)
        self.type("hello")
        self.assertEqual(
            screen.seen(),
            ["* connected to 127.0.0.1:1234", "> hi", "< Hi", "< Hello"],
        )

    def test_the_end_while_waiting(self):
        screen = self.talk()
        self.endpoint.factory.drain()
        self.endpoint.factory = None
        self.flow()
        screen.typist.ended()
        self.assertEqual(self.successResultOf(self.ended), Status.DONE)
        self.assertEqual(self.pending(), [])

    def test_not_again(self):
        screen = self.talk("--reconnect", "no")
        self.endpoint.factory.drain()
        self.flow()
        self.assertEqual(screen.seen()[-1], "* the peer has closed the connection")
        self.assertEqual(self.successResultOf(self.ended), Status.DONE)

    def test_a_slow_screen_stops_the_peer(self):
        screen = self.talk()
        screen.seen()
        screen.typist.pauseProducing()
        self.type("a")
        self.assertEqual(screen.seen(), [])
        screen.typist.resumeProducing()
        self.flow()
        self.assertEqual(screen.seen(), ["< A"])


class SendTest(MemoryCase):
    def setUp(self):
        super().setUp()
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def send(self, *arguments):
        options = self.options(sending, "1234", *arguments)
        self.ended = sending.run(self.clock, options)
        self.flow()

    def done(self, status=Status.DONE):
        self.assertEqual(self.successResultOf(self.ended), status)
        self.flow()
        self.assertEqual(self.pending(), [])
        return self.out.getvalue()

    def failed(self, status):
        error = self.failureResultOf(self.ended, CommandError).value
        self.assertEqual(error.status, status)
        self.flow()
        self.assertEqual(self.pending(), [])
        return str(error)

    def test_one_answer_for_each(self):
        self.send("a", "世", "")
        self.assertEqual(self.done(), "A\n世\n\n")

    def test_so_many_answers(self):
        self.endpoint.factory = self.server(str.split)
        self.send("a b c", "--answers", "3")
        self.assertEqual(self.done(), "a\nb\nc\n")

    def test_until_the_peer_closes(self):
        self.endpoint.factory = self.server(str.split)
        self.send("a b", "c", "--answers", "0")
        self.assertEqual(self.done(), "a\nb\nc\n")

    def test_expected(self):
        self.send("abc", "b", "--expect", "B")
        self.assertEqual(self.done(), "ABC\nB\n")

    def test_unexpected(self):
        self.send("a", "b", "c", "--expect", "^[AC]$")
        self.assertEqual(self.done(Status.UNEXPECTED), "A\nB\nC\n")
        words = "twisted-sock send: answer 2 does not match '^[AC]$'\n"
        self.assertEqual(self.err.getvalue(), words)

    def test_an_answer_that_is_too_long(self):
        self.send("abc", "b", "--max-line", "2")
        self.assertEqual(self.done(Status.UNEXPECTED), "B\n")
        self.assertIn("answer 1: a line may have at most 2 bytes", self.err.getvalue())

    def test_chunks_one_after_the_other(self):
        self.endpoint.factory = self.server(lambda text: f"({text})", framing="chunk")
        self.send("--framing", "chunk", "a", "b", "c")
        self.assertEqual(self.done(), "(a)\n(b)\n(c)\n")

    def test_crlf(self):
        self.endpoint.factory = self.server(str.upper, delimiter="crlf")
        self.send("--delimiter", "crlf", "a")
        self.assertEqual(self.done(), "A\n")

    def test_nobody_there(self):
        self.endpoint.factory = None
        self.send("a")
        self.assertIn("cannot connect to 1234: ", self.failed(Status.UNREACHABLE))

    def test_too_few_answers(self):
        self.send("a", "--answers", "2")
        self.endpoint.factory.drain()
        self.flow()
        self.assertEqual(self.done(), "A\nERR shutdown the server is stopping\n")

    def test_a_connection_that_ends_early(self):
        self.send("a", "--answers", "3")
        self.endpoint.factory.drain()
        self.flow()
        words = "the peer has closed the connection after 2 of 3 answers"
        self.assertEqual(self.failed(Status.LOST), words)

    def test_too_late(self):
        held = Deferred()
        self.endpoint.factory = self.server(lambda line: held if line == "b" else line)
        self.send("a", "b", "--timeout", "3")
        self.advance(2.9)
        self.assertNoResult(self.ended)
        self.advance(0.2)
        self.assertEqual(self.failed(Status.TIMEOUT), "not done within 3 s, after 1 of 2 answers")
        self.assertEqual(self.out.getvalue(), "a\n")
        held.callback(None)

    def test_cancelled(self):
        self.send("a", "--answers", "9")
        self.ended.cancel()
        self.done(Status.INTERRUPTED)


class LinkTest(MemoryCase):
    def test_a_link_that_is_stopped_connects_no_more(self):
        told = []

        class Owner:
            def __getattr__(self, name):
                return lambda *arguments: told.append(name)

        self.endpoint.factory = None
        link = Link(self.clock, self.endpoint, Owner(), backoff=Backoff(RETRY, self.clock.seconds))
        link.open()
        self.assertIs(link.state, State.WAITING)
        link.close()
        self.assertEqual(told, ["unreachable", "waiting"])
        self.assertEqual(self.pending(), [])
