"""A person answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LinePolicy
from twisted_sock.protocols.console import HELD, Console
from twisted_sock.testing import MemoryPeer, connect


class FakeScreen:
    """Keeps what the operator would see."""

    def __init__(self):
        self.shown = []
        self.held = False

    def show(self, text):
        self.shown.append(text)

    def hold(self, hold):
        self.held = hold


class ConsoleCase(SynchronousTestCase):
    interactive = True

    def setUp(self):
        self.serve(Console())

    def serve(self, console, **settings):
        self.console = console
        self.screen = FakeScreen()
        console.attach(self.screen, interactive=self.interactive)
        self.peer = connect(console, **settings)

    def other(self):
        return MemoryPeer(self.peer.factory, self.peer.clock, 40001)

    def shown(self):
        shown, self.screen.shown = self.screen.shown, []
        return shown


class Terminal(ConsoleCase):
    def test_a_conversation(self):
        self.peer.say("is anybody there?")
        self.console.typed("yes, 我在")
        self.assertEqual(self.peer.lines(), ["yes, 我在"])
        self.peer.end()
        self.peer.close()
        self.assertEqual(
            self.shown()[1:],
            ["[1] 127.0.0.1:40000 connected", "[1] is anybody there?", "[1] gone (done)"],
        )

    def test_what_is_said_cannot_disturb_the_terminal(self):
        self.peer.say("\x1b[2J\u202eevil\r\x07")
        self.assertEqual(self.shown()[-1], "[1] \\x1b[2J\\u202eevil\\x0d\\x07")

    def test_the_oldest_question_is_answered_first(self):
        other = self.other()
        self.peer.say("first")
        other.say("second")
        self.shown()
        self.console.typed("A")
        self.assertEqual(self.shown(), ["Next, [2]: second"])
        self.console.typed("B")
        self.assertEqual((self.peer.lines(), other.lines()), (["A"], ["B"]))

    def test_a_client_is_addressed_by_its_number(self):
        other = self.other()
        self.peer.say("first")
        other.say("second")
        self.console.typed("@2 B")
        self.assertEqual((self.peer.lines(), other.lines()), ([], ["B"]))
        self.console.typed("@2 and one more thing")
        self.assertEqual(other.lines(), ["and one more thing"])

    def test_all_are_spoken_to(self):
        other = self.other()
        self.console.typed("@all hello")
        self.assertEqual((self.peer.lines(), other.lines()), (["hello"], ["hello"]))

    def test_answers_that_look_like_commands(self):
        self.peer.say("first", "second")
        self.console.typed("//who")
        self.console.typed("@@all")
        self.assertEqual(self.peer.lines(), ["/who", "@all"])

    def test_nobody_waits(self):
        self.console.typed("hello?")
        self.assertIn("Nobody waits", self.shown()[-1])
        self.assertEqual(self.peer.lines(), [])

    def test_an_answer_to_one_who_has_gone_goes_to_nobody_else(self):
        self.peer.say("first")
        self.peer.reset()
        self.console.typed("A")
        self.assertIn("Nobody waits", self.shown()[-1])

    def test_commands(self):
        self.peer.say("question")
        self.shown()
        self.console.typed("/who")
        self.assertEqual(self.shown(), ["[1] 127.0.0.1:40000 waits: question"])
        self.console.typed("/close 1")
        self.console.typed("A")
        self.assertEqual(self.peer.lines(), ["A"])
        self.assertTrue(self.peer.ended)
        self.peer.close()
        self.shown()
        self.console.typed("/who")
        self.assertEqual(self.shown(), ["Nobody is there."])

    def test_wrong_commands_are_told(self):
        for text in ("/nope", "@9 hello", "@" + "9" * 5000, "/close x", "@\x1b hello", "@ hello"):
            self.console.typed(text)
            self.assertRegex(self.shown()[-1], "^There is no ")
        self.console.typed("/help")
        self.assertIn("/who", self.shown()[-1])

    def test_problems_are_shown(self):
        self.peer.send(b"\xff\n")
        self.assertEqual(self.shown()[-1], "[1] ERR utf8 the line is not valid UTF-8 at byte 0")

    def test_the_end_of_input_closes_those_who_wait(self):
        self.peer.say("question")
        self.console.ended()
        self.assertTrue(self.peer.ended)
        other = self.other()
        self.assertFalse(other.ended)
        other.say("question")
        self.assertTrue(other.ended)
        self.assertEqual(other.lines(), [])

    def test_once(self):
        self.serve(Console(once=True), policy=LinePolicy(framing="chunk"))
        self.peer.send("你好")
        self.console.typed("世界")
        self.assertEqual(self.peer.read().decode(), "世界")
        self.assertTrue(self.peer.ended)

    def test_with_a_window_several_questions_are_seen_at_once(self):
        self.serve(Console(), limits=Limits(window=3))
        self.peer.say("a", "b", "c", "d")
        self.assertEqual(self.shown()[-3:], ["[1] a", "[1] b", "[1] c"])
        for answer in "ABCD":
            self.console.typed(answer)
        self.assertEqual(self.peer.lines(), ["A", "B", "C", "D"])


class Pipe(ConsoleCase):
    interactive = False

    def test_answers_that_look_like_commands(self):
        self.console.typed("/who")
        self.console.typed("@1 hello")
        self.peer.say("first", "second")
        self.assertEqual(self.peer.lines(), ["/who", "@1 hello"])

    def test_answers_wait_for_their_questions(self):
        self.console.typed("yes")
        self.console.typed("no")
        self.peer.say("first", "second")
        self.assertEqual(self.peer.lines(), ["yes", "no"])

    def test_answers_that_came_before_the_end_are_given(self):
        self.console.typed("yes")
        self.console.ended()
        self.peer.say("first")
        self.assertEqual(self.peer.lines(), ["yes"])
        self.peer.say("second")
        self.assertTrue(self.peer.ended)

    def test_the_pipe_has_to_wait(self):
        for _ in range(HELD):
            self.console.typed("yes")
        self.assertTrue(self.screen.held)
        self.peer.say("question")
        self.assertFalse(self.screen.held)
