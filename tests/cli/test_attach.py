"""`attach` and `verify` in memory: what a person sees and does, and how it ends."""

import io
import json
import os
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.test_connect import FakeScreen, MemoryEndpoint
from twisted_sock import LineFactory, LineProtocol
from twisted_sock.cli import attach, verify
from twisted_sock.cli.aims import Aims, cut
from twisted_sock.cli.attached import Attached
from twisted_sock.cli.command import CommandError, Status
from twisted_sock.cli.link import Link
from twisted_sock.cli.told import HELP, conversation, plainly, told
from twisted_sock.cli.verify import described
from twisted_sock.display import escape
from twisted_sock.errors import SettingError
from twisted_sock.interfaces import Credentials, Peer
from twisted_sock.memory import join
from twisted_sock.operator.commands import COMMANDS
from twisted_sock.operator.serving import Operator
from twisted_sock.script.model import Report, Unmatched
from twisted_sock.testing import MemoryPeer

OWNER = Peer(None, credentials=Credentials(1, os.geteuid(), 0))


class OperatorCase(SynchronousTestCase):
    handler = staticmethod(str.upper)
    path = "unix:/x"
    token = ""

    def setUp(self):
        self.clock = Clock()
        operator = Operator(self.handler, self.path, self.token, self.clock)
        self.served = LineFactory(operator.tap, reactor=self.clock)
        self.operators = operator.factory
        self.endpoint = MemoryEndpoint(operator.factory, OWNER)

    def options(self, module, *arguments):
        class Options(module.Options):
            def link(options, reactor, owner):
                return Link(reactor, self.endpoint, owner)

        options = Options()
        options.parseOptions([*arguments, "unix:/x"])
        return options

    def flow(self):
        for _ in range(4):
            if self.endpoint.wire is not None:
                self.endpoint.wire.flow()
            self.clock.advance(0)

    def pending(self):
        return [each for each in self.clock.getDelayedCalls() if "Deadlines" not in str(each)]

    def failed(self, status):
        error = self.failureResultOf(self.ended, CommandError).value
        self.assertEqual(error.status, status)
        self.flow()
        self.assertEqual(self.pending(), [])
        return str(error)


class AttachedTest(OperatorCase):
    """At a terminal."""

    def setUp(self):
        super().setUp()
        self.peer = MemoryPeer(self.served, self.clock)

    def attach(self, *arguments):
        self.screen = FakeScreen()
        self.screen.seen = self.seen
        options = self.options(attach, *arguments)
        self.ended = Deferred.fromCoroutine(Attached(self.clock, options, self.screen).run())
        self.flow()

    def seen(self):
        """What was shown since last asked, without the times."""
        lines, self.screen.lines = self.screen.lines, []
        return [line[9:] if line[2:3] == ":" else line for line in lines]

    def type(self, *lines):
        for line in lines:
            self.screen.type("")  # whatever was given back
            self.screen.type(line)
            self.enter()

    def hear(self, *lines):
        self.peer.say(*lines)
        self.flow()

    def test_what_is_there_and_what_comes(self):
        self.attach()
        self.hear("hello")
        MemoryPeer(self.served, self.clock, 40001).close()
        self.flow()
        self.assertEqual(
            self.seen(),
            [
                "* attached to unix:/x; /help tells the commands",
                "[1] 127.0.0.1:40000 open, 0 in, 0 out",
                "[1] < hello",
                "[1] > HELLO",
                "[2] * connected from 127.0.0.1:40001",
                "[2] * ended: done",
            ],
        )

    def test_stepping_in(self):
        self.attach()
        self.type("/hold 1 60")
        self.hear("a\x1b[2J", "b")
        self.seen()
        self.type("//first", "second")
        self.assertEqual(self.peer.lines(), ["/first", "second"])
        self.assertEqual(
            self.seen(),
            [
                "[1] >> /first",
                "[1] < b",
                "[1] * line 2 waits 60 s for an answer",
                "[1] >> second",
            ],
        )
        self.type("nobody asked", "")
        self.assertEqual(len(self.seen()), 1)
        self.type("/1 unasked", "/all all")
        self.assertEqual(self.peer.lines(), ["unasked", "all"])
        self.type("/release 1")
        self.hear("c")
        self.assertEqual(self.peer.lines(), ["C"])

    def test_what_waits_already(self):
        first = self.operators.buildProtocol(OWNER)
        wire = join(first, LineProtocolStub())
        first.dataReceived(b"hold 1 60\n")
        wire.flow()
        self.hear("waiting")
        self.attach()
        self.assertIn("held, 1 in, 0 out; line 1 waits: waiting", self.seen()[1])
        self.type("answer")
        self.assertEqual(self.peer.lines(), ["answer"])

    def test_the_script_answers_first(self):
        self.attach()
        self.type("/hold 1 5")
        self.hear("a")
        self.clock.advance(6)
        self.flow()
        self.assertIn("[1] * line 1: nobody has answered, the script does", self.seen())
        self.type("late")
        self.assertIn("* no line waited when you began to type: not sent", self.seen()[0])
        self.hear("b")
        self.type("in time")
        self.assertEqual(self.peer.lines(), ["A", "in time"])

    def test_an_answer_that_crosses_the_deadline(self):
        self.attach()
        self.type("/hold 1 5")
        self.hear("a")
        self.clock.advance(6)  # and its words are on their way
        self.screen.typist.typed("late")
        self.flow()
        self.assertIn("* that line of [1] waits no more: not sent", self.seen())
        self.assertEqual(self.screen.typed, "late")
        self.screen.type("")
        self.hear("b")
        self.type("second")
        self.assertEqual(self.peer.lines(), ["A", "second"])

    def hold(self, *lines):
        """Hold 1, and let lines come."""
        self.attach()
        self.type("/hold 1 60")
        self.hear(*lines)
        self.seen()

    def enter(self):
        self.screen.enter()
        self.flow()

    def other(self, command):
        """Let another operator do something."""
        protocol = self.operators.buildProtocol(OWNER)
        wire = join(protocol, LineProtocolStub())
        protocol.dataReceived(f"{command}\n".encode())
        wire.flow()
        self.flow()
        self.addCleanup(protocol.connectionLost, Failure(ConnectionDone()))

    def test_the_prompt_tells_what_enter_answers(self):
        self.attach()
        self.assertEqual(self.screen.prompt, "> ")
        self.type("/hold 1 60")
        self.hear("are you there?\x1b[2J")
        self.assertEqual(self.screen.prompt, "[1] are you there?\\x1b[2J > ")
        self.type("yes")
        self.assertEqual(self.screen.prompt, "> ")
        self.hear("")
        self.assertEqual(self.screen.prompt, "[1] (an empty line) > ")
        self.type("", "/1 -", "/to 1")
        self.assertEqual(self.screen.prompt, "[1] > ")
        self.assertEqual(self.peer.lines(), ["yes", "-"])
        self.hear("again?")
        self.assertEqual(self.screen.prompt, "[1] again? > ")
        self.peer.reset()
        self.flow()
        self.assertEqual(self.screen.prompt, "[1] > ")

    def late(self):
        """Begin to answer the first line, and do so when the second waits."""
        self.assertEqual(self.screen.prompt, "[1] waits no more: first > ")
        self.hear("second")
        self.peer.lines()
        self.seen()
        self.enter()
        self.assertEqual(self.peer.lines(), [])
        self.assertIn("* that line of [1] waits no more: not sent", self.seen())
        self.assertEqual(self.screen.typed, "for the first")
        self.assertEqual(self.screen.prompt, "[1] second > ")
        self.screen.type("for the second")
        self.enter()
        self.assertEqual(self.peer.lines(), ["for the second"])

    def test_the_script_answers_while_somebody_types(self):
        self.hold("first")
        self.screen.type("for the first")
        self.clock.advance(61)
        self.flow()
        self.late()

    def test_another_operator_answers_while_somebody_types(self):
        self.hold("first")
        self.screen.type("for the first")
        self.other("answer 1 theirs")
        self.late()

    def test_the_conversation_ends_while_somebody_types(self):
        second = MemoryPeer(self.served, self.clock, 40001)
        self.hold("first")
        self.type("/hold 2 60")
        second.say("of another")
        self.screen.type("for the first")
        self.peer.reset()
        self.flow()
        self.enter()
        self.assertEqual(second.lines(), [])
        self.assertEqual(self.screen.typed, "for the first")
        self.assertIn("* there is no conversation 1; list tells them: not sent", self.seen())
        self.enter()
        self.assertEqual(second.lines(), [])
        self.assertEqual(self.seen(), ["* not sent: Enter sends it to [2], line 1, now"])
        self.enter()
        self.assertEqual(second.lines(), ["for the first"])

    def test_a_line_that_comes_while_somebody_types(self):
        self.hold()
        self.screen.type("for nobody")
        self.hear("first")
        self.assertEqual(self.screen.prompt, "> ")
        self.enter()
        self.assertEqual(self.peer.lines(), [])
        self.assertIn("no line waited when you began to type: not sent", self.seen()[-1])
        self.assertEqual(self.screen.prompt, "[1] first > ")
        self.enter()
        self.assertEqual(self.peer.lines(), ["for nobody"])

    def test_to_name_a_conversation_is_for_the_line_that_waited_there(self):
        self.hold("first")
        self.screen.type("/1 late")
        self.other("answer 1 theirs")
        self.hear("second")
        self.enter()
        self.assertEqual(self.peer.lines(), ["theirs"])
        self.assertEqual(self.screen.typed, "/1 late")
        self.screen.type("/1.2 named")
        self.enter()
        self.assertEqual(self.peer.lines(), ["named"])
        self.screen.type("/1 unasked")
        self.hear("third")
        self.enter()
        self.assertEqual(self.peer.lines(), [])
        self.assertIn("* a line of [1] has begun to wait meanwhile: not sent", self.seen())

    def test_what_cannot_be_given_back_is_shown(self):
        self.hold("first")
        self.screen.type("for the\x1b first")
        self.other("answer 1 theirs")
        self.screen.enter()
        self.screen.type("something else")
        self.flow()
        words = "* that line of [1] waits no more: not sent: for the\\x1b first"
        self.assertIn(words, self.seen())
        self.assertEqual(self.screen.typed, "something else")

    def test_of_several_lines_one_is_an_answer(self):
        self.hold("first", "second")
        self.screen.type("one\ntwo\nthree")
        self.enter()
        self.assertEqual(self.peer.lines(), ["one"])
        self.assertEqual(self.screen.typed, "two\nthree")
        self.assertIn("the line before it is an answer; this was not sent", self.seen()[0])
        self.screen.type("/to 1\n/release 1\na\nb")
        self.enter()
        self.assertEqual(self.peer.lines(), ["SECOND", "a", "b"])

    def test_the_rest_of_a_paste_is_given_back_whole(self):
        """Three questions, three answers pasted: none is lost, none goes to another question."""
        self.hold("p1", "p2", "p3")
        self.screen.type("r1\nr2\nr3")
        self.enter()
        self.assertEqual(self.screen.typed, "r2\nr3")
        self.enter()  # nothing waited when the rest was there again
        self.assertEqual(self.screen.typed, "r2\nr3")
        self.assertEqual(self.screen.prompt, "[1] p2 > ")
        self.assertEqual(self.peer.lines(), ["r1"])
        self.enter()
        self.assertEqual(self.screen.typed, "r3")
        self.enter()
        self.enter()
        self.assertEqual(self.peer.lines(), ["r2", "r3"])

    def test_a_refused_answer_leaves_the_line_waiting(self):
        self.hold("first")
        self.screen.type("x" * 70_000)
        self.enter()
        self.assertIn("a line may have at most 65536 bytes: not sent", self.seen()[0])
        self.assertEqual(self.screen.prompt, "[1] first > ")
        self.type("short")
        self.assertEqual(self.peer.lines(), ["short"])

    def test_a_refused_answer_to_a_line_that_is_answered_meanwhile(self):
        self.hold("first")
        self.screen.type("x" * 70_000)
        self.screen.enter()
        self.screen.typist._dialogue.received(
            b'EVENT {"event":"answered","id":1,"line":1,"by":"script"}\n'
        )
        self.flow()
        self.assertEqual(self.screen.prompt, "> ")

    def test_a_command_without_a_name_asks_nothing(self):
        self.attach("--timeout", "5")
        self.seen()
        self.type("/", "/ list", "/list")
        words = "* behind / goes a command; /help tells them"
        self.assertEqual(self.seen()[:2], [words, words])
        self.clock.advance(6)
        self.type("/1 there")
        self.assertEqual(self.peer.lines(), ["there"])

    def test_a_number_alone_chooses(self):
        self.hold("first")
        self.type("/1")
        self.assertEqual(self.seen(), ["* what you type goes to [1]"])
        self.assertEqual(self.peer.lines(), [])
        self.type("/1.1", f"/{'9' * 5000}", f"/{'9' * 5000} x", "/9", "/to 9")
        seen = self.seen()
        self.assertIn("* /to 3 chooses conversation 3", seen[0])
        self.assertEqual(len(seen), 5)
        self.type("")
        self.type("/1 ")
        self.assertEqual(self.peer.lines(), [""])
        self.type("/release 1", "there")
        self.assertEqual(self.peer.lines(), ["there"])

    def test_who_is_not_there_is_not_chosen(self):
        second = MemoryPeer(self.served, self.clock, 40001)
        self.attach()
        MemoryPeer(self.served, self.clock, 40002)
        second.reset()
        self.flow()
        self.seen()
        self.type("/to 3", "/to 2", "/4")
        self.assertEqual(
            self.seen(),
            [
                "* what you type goes to [3]",
                "* there is no conversation 2; /list tells them",
                "* there is no conversation 4; /list tells them",
            ],
        )
        self.assertEqual(self.screen.prompt, "[3] > ")

    def test_nobody_hears_what_is_said_to_all(self):
        self.peer.reset()
        self.attach()
        self.seen()
        self.type("/all hello")
        self.assertEqual(self.seen(), ["* nobody is there"])

    def test_an_edited_text_goes_where_the_prompt_says(self):
        self.hold("first")
        self.screen.type("for the first")
        self.other("answer 1 theirs")
        self.late()

    def test_a_text_for_one_line_goes_to_another_only_when_that_was_told(self):
        self.hold("first")
        self.screen.type("for the first")
        self.other("answer 1 theirs")
        self.hear("second")
        self.enter()
        self.seen()
        self.enter()
        self.assertEqual(self.seen(), ["* not sent: Enter sends it to [1], line 2, now"])
        self.other("answer 1 theirs, too")
        self.hear("third")
        self.enter()
        self.assertIn("* that line of [1] waits no more: not sent", self.seen())
        self.enter()
        self.assertEqual(self.seen(), ["* not sent: Enter sends it to [1], line 3, now"])
        self.assertEqual(self.peer.lines(), ["theirs", "theirs, too"])
        self.enter()
        self.assertEqual(self.peer.lines(), ["for the first"])

    def test_that_nothing_waits_meanwhile_makes_no_difference(self):
        self.hold("first")
        self.screen.type("for the first")
        self.other("answer 1 theirs")
        self.enter()
        self.enter()
        self.assertIn("no line waited when you began to type", self.seen()[-1])
        self.hear("second")
        self.enter()
        self.enter()
        self.assertEqual(self.peer.lines(), ["theirs"])
        self.assertEqual(self.seen()[-1], "* not sent: Enter sends it to [1], line 2, now")

    def test_the_words_of_the_service_are_no_template(self):
        self.hold("first")
        self.screen.type("x")
        self.screen.enter()
        self.screen.typist._dialogue.received(b"ERR strange {} {0.x} {nothing}\n")
        self.assertEqual(self.seen()[-1], "* {} {0.x} {nothing}: not sent")

    def test_events_that_were_missed(self):
        self.hold("first")
        self.screen.typist._dialogue.received(
            b'EVENT {"event":"answered","id":1,"line":1,"by":"script"}\nEVENT {"missed":3}\n'
        )
        self.assertEqual(self.screen.prompt, "> ")
        self.flow()
        self.assertEqual(self.screen.prompt, "[1] first > ")  # it has asked again

    def test_a_chosen_conversation(self):
        self.attach()
        self.type("/to 1", "text", "/history", "/hold")
        self.assertEqual(self.peer.lines(), ["text"])
        self.assertEqual(
            self.seen()[2:],
            [
                "* what you type goes to [1]",
                "[1] >> text",
                "  >> text",
                "[1] * held: each line waits 30 s for an answer",
            ],
        )
        self.type("/to", "/to x", "nobody")
        self.assertEqual(len(self.seen()), 3)

    def test_commands(self):
        self.attach()
        self.seen()
        self.type("/help", "/list", "/hits", "/nonsense", "/history 1", "/close 1")
        seen = self.seen()
        self.assertEqual(seen[: len(HELP.split("\n"))], HELP.split("\n"))
        self.assertEqual(
            seen[len(HELP.split("\n")) :],
            [
                "[1] 127.0.0.1:40000 open, 0 in, 0 out",
                "* no-script: this protocol plays no script",
                "* no-command: there is no such command; help tells them",
                "* nothing",
                "[1] * is closing: nothing is said there any more",
            ],
        )
        self.assertTrue(self.peer.ended)
        self.peer.close()
        self.flow()
        self.assertEqual(self.seen(), ["[1] * ended: closed"])

    def test_the_help_names_what_there_is(self):
        words = {word.strip(",;/") for word in HELP.split() if word.startswith("/")}
        words -= {"3", "3.7", "all", "to", "text", "quit", ""}
        self.assertEqual(words - set(COMMANDS), set())

    def test_the_person_leaves(self):
        self.attach()
        self.type("/hold 1 60")
        self.hear("a")
        self.screen.typist.ended()
        self.flow()
        self.assertEqual(self.successResultOf(self.ended), Status.DONE)
        self.assertTrue(self.screen.closed)
        self.assertEqual(self.peer.lines(), ["A"])

    def test_other_ends(self):
        self.attach()
        self.type("/quit")
        self.assertEqual(self.successResultOf(self.ended), Status.DONE)
        self.attach()
        self.screen.typist.interrupted()
        self.assertEqual(self.successResultOf(self.ended), Status.INTERRUPTED)
        self.attach()
        self.screen.typist.failed(Failure(OSError("gone")))
        self.failureResultOf(self.ended, OSError)
        self.attach()
        self.ended.cancel()
        self.failureResultOf(self.ended, CancelledError)
        self.assertTrue(self.screen.closed)

    def test_the_service_goes_away(self):
        self.attach()
        self.operators.drain()
        self.flow()
        self.assertEqual(self.failed(Status.LOST), "the server is stopping")
        self.assertTrue(self.screen.closed)

    def test_nobody_there(self):
        self.endpoint.factory = None
        self.attach()
        self.assertIn("cannot connect to unix:/x: ", self.failed(Status.UNREACHABLE))

    def test_something_else_is_there(self):
        self.endpoint.factory = LineFactory(lambda line: f"{line}\x1b[2J", reactor=self.clock)
        self.attach()
        self.assertEqual(
            self.failed(Status.UNEXPECTED), r"this is no operator endpoint: watch\x1b[2J"
        )

    def test_no_answer(self):
        self.endpoint.factory = LineFactory(lambda line: None, reactor=self.clock)
        self.attach("--timeout", "5")
        self.clock.advance(6)
        self.assertEqual(self.failed(Status.TIMEOUT), "there was no answer for 5 s")

    def test_a_slow_screen(self):
        self.attach()
        self.seen()
        self.screen.typist.pauseProducing()
        self.hear("a")
        self.assertEqual(self.seen(), [])
        self.screen.typist.resumeProducing()
        self.flow()
        self.assertEqual(len(self.seen()), 2)


class LineProtocolStub(LineProtocol):
    """Takes whatever comes."""

    def makeConnection(self, transport):
        pass

    def dataReceived(self, data):
        pass

    def connectionLost(self, reason):
        pass


class TokenTest(OperatorCase):
    path = "tcp:0"

    def setUp(self):
        self.token = self.file("0123456789abcdef")
        super().setUp()

    def file(self, text):
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def attach(self, *arguments):
        screen = FakeScreen()
        options = self.options(attach, *arguments)
        self.ended = Deferred.fromCoroutine(Attached(self.clock, options, screen).run())
        self.flow()
        return screen

    def test_it_opens(self):
        screen = self.attach("--token-file", self.token)
        self.assertIn("attached to ", screen.lines[0])

    def test_without_and_with_a_wrong_one(self):
        self.attach()
        self.assertEqual(self.failed(Status.USAGE), "say first: token TOKEN")
        self.attach("--token-file", self.file("x" * 16))
        self.assertEqual(self.failed(Status.USAGE), "the token is wrong")

    def test_a_file_that_cannot_be_used(self):
        self.assertRaises(SettingError, self.attach, "--token-file", "/nonexistent")

    def test_arguments(self):
        for arguments in ([], ["1", "2"], ["tcp:"], ["--timeout", "x", "1"]):
            options = attach.Options()
            self.assertRaises(UsageError, options.parseOptions, arguments)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
EVENT = st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            [
                "opened",
                "line",
                "answered",
                "closed",
                "released",
                "waiting",
                "held",
                "else",
            ]
        )
    },
    optional={
        "seconds": JSON,
        "line": JSON,
        "waiting": JSON,
        "id": JSON,
        "text": JSON,
        "by": JSON,
        "peer": JSON,
        "way": JSON,
        "who": JSON,
    },
)


class ShownTest(SynchronousTestCase):
    """Nothing that comes can disturb the terminal."""

    def test_lines_are_safe(self):
        event = {"event": "line", "id": 1, "way": "in", "text": "\x1b[2J\u202e\n\\"}
        self.assertEqual(told(event), "[1] < \\x1b[2J\\u202e\\x0a\\")
        self.assertEqual(told({"missed": 3})[:19], "* 3 events were mis")

    def test_a_line_that_waits_is_safe_in_a_list(self):
        talk = {"id": 1, "peer": "x", "waiting": [{"line": 2, "text": "\x1b[2J\u202e"}]}
        shown = conversation(talk)
        self.assertIn("; line 2 waits: \\x1b[2J\\u202e", shown)
        self.assertTrue(shown.isprintable())

    def test_lines_in_the_prompt(self):
        for line, shown in (
            ("", "(an empty line)"),
            ("x" * 40, "x" * 40),
            ("x" * 41, "x" * 39 + "…"),
            ("世" * 21, "世" * 19 + "…"),
            ("\x1b[2J\u202e", r"\x1b[2J\u202e"),
        ):
            self.assertEqual(cut(line), shown)

    @given(EVENT)
    def test_any_event(self, event):
        aims = Aims()
        aims.begin([event])
        aims.happened(event)
        self.assertEqual(escape(aims.prompt).replace("\\\\", "\\"), aims.prompt)
        for shown in (told(event), conversation(event), plainly(event)):
            self.assertTrue(shown.isprintable() or "\x1b" not in shown)
            self.assertNotIn("\n", shown)


class VerifyTest(OperatorCase):
    report = Report(hits={"hello": 1, "rest": 0})

    class Playing:
        def __init__(self, case):
            self.case = case
            self.load = self.inject = self.remove = None

        def build_protocol(self):
            return LineProtocol()

        def start(self, reactor):
            pass

        stop = start

        def report(self):
            return self.case.report

        def reset(self):
            self.case.report = Report()

    def setUp(self):
        self.handler = self.Playing(self)
        super().setUp()
        self.out = io.StringIO()
        self.patch(sys, "stdout", self.out)

    def verify(self, *arguments):
        self.ended = verify.run(self.clock, self.options(verify, *arguments))
        self.flow()

    def test_all_is_well(self):
        self.verify()
        self.assertEqual(self.successResultOf(self.ended), Status.DONE)
        self.assertEqual(self.out.getvalue(), "as expected\nhits:\n  1 x hello\n  0 x rest\n")
        self.flow()
        self.assertEqual(self.pending(), [])

    def test_quiet(self):
        self.verify("--quiet")
        self.assertEqual(self.out.getvalue(), "")

    def test_it_is_not(self):
        self.report = Report(
            hits={"hello": 1},
            unmatched=[Unmatched("wh\x1bat", "127.0.0.1:1", 2)],
            fired={"slow": 3, "never": 0},
            missed=["rule 'hello' was hit 1 time"],
        )
        self.verify("--reset")
        self.assertEqual(self.successResultOf(self.ended), Status.UNEXPECTED)
        self.assertEqual(
            self.out.getvalue().splitlines(),
            [
                "NOT as expected:",
                "  - rule 'hello' was hit 1 time",
                "hits:",
                "  1 x hello",
                "faults that fired:",
                "  3 x slow",
                "lines that no rule was for:",
                r'  2 x "wh\u001bat", first by 127.0.0.1:1',
            ],
        )
        self.assertEqual(self.report, Report())

    def test_no_script(self):
        self.handler = str.upper
        OperatorCase.setUp(self)
        self.verify()
        self.assertEqual(self.failed(Status.USAGE), "this protocol plays no script")

    def test_it_goes_away_first(self):
        self.endpoint.factory = LineFactory(Leaver, reactor=self.clock)
        self.verify()
        self.assertEqual(self.failed(Status.LOST), "the peer has closed the connection")

    def test_nonsense(self):
        for data in ("{}", json.dumps({"hits": {}, "missed": []})):
            self.assertTrue(list(described(json.loads(data))))


class Leaver(LineProtocol):
    """Closes instead of answering."""

    def lineReceived(self, line):
        self.close()
