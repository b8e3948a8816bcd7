"""What was said, played back by the mock: the same again, in the same order."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import replace
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import LineFactory
from twisted_sock.errors import ScriptError
from twisted_sock.script import keeping, masking, recording
from twisted_sock.script.keeping import Keeper
from twisted_sock.script.masking import MARK, MOST_RUNAWAYS, Mask
from twisted_sock.script.pattern import Runaway
from twisted_sock.script.playing import Playing
from twisted_sock.script.reading import parse, read
from twisted_sock.script.recording import Recording
from twisted_sock.script.saving import save
from twisted_sock.script.writing import text
from twisted_sock.testing import MemoryPeer


class Talks:
    """Conversations as they are recorded. `>line` is the client's, `<line` the server's, `+1` is
    a second, `.` is the end by the server, and `?` what is no line."""

    def __init__(self, *talks, **options):
        self.clock = Clock()
        self.recording = Recording(self.clock.seconds, **options)
        self.talks = talks
        for talk in talks:
            self.record(talk)

    def record(self, talk):
        kept = self.recording.begin()
        for what in talk:
            if what.startswith("+"):
                self.clock.advance(float(what))
            elif what == ".":
                kept.closed()
            elif what == "?":
                kept.garbled()
            else:
                (kept.client if what[0] == ">" else kept.server)(what[1:])
        kept.ended()

    @property
    def toml(self):
        script, remarks = self.recording.snapshot()()
        return text(script, remarks)


class Player:
    """A mock that plays a script in memory."""

    def __init__(self, toml):
        self.clock = Clock()
        self.playing = Playing(parse(toml, "said.toml"))
        self.playing.start(self.clock)
        self.factory = LineFactory(self.playing, reactor=self.clock)

    def hear(self, talk, pause=0.0):
        """Say what the client said; returns all that it hears."""
        peer = MemoryPeer(self.factory, self.clock)
        heard = []
        for what in talk:
            if what.startswith(">"):
                peer.say(what[1:])
                heard += peer.lines()
            elif what.startswith("+"):
                peer.advance(float(what))
                heard += peer.lines()
        peer.advance(pause)
        heard += peer.lines()
        self.ended = peer.ended
        peer.close()
        return heard


def answers(talk):
    return [what[1:] for what in talk if what.startswith("<")]


LINES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n"))
FEW = st.sampled_from(["a", "b", "c{}"])
TALKS = st.lists(
    st.lists(st.builds(str.__add__, st.sampled_from("<>"), FEW | LINES), max_size=12), max_size=4
)


class ReplayTest(SynchronousTestCase):
    def again(self, *talks, pause=0.0, **options):
        toml = Talks(*talks, **options).toml
        player = Player(toml)
        for talk in talks:
            self.assertEqual(player.hear(talk, pause), answers(talk), toml)
        self.assertEqual(player.playing.report().missed, [], toml)
        return toml

    def test_it_reads_as_if_written_by_hand(self):
        self.assertEqual(
            self.again(["<220 ready", ">PING", "<+PONG", ">GET a", "<$1", "<1", ">QUIT"]),
            'greeting = "220 ready"\n\n'
            '[[rule]]\nexact = "PING"\nreply = "+PONG"\n\n'
            '[[rule]]\nexact = "GET a"\nreply = ["$1", "1"]\n\n'
            '[[rule]]\nexact = "QUIT"\n',
        )

    def test_ten_thousand_exchanges_with_different_lines(self):
        talk = [what for i in range(10_000) for what in (f">SET {i}", f"<+OK {i}")]
        self.again(talk)

    def test_ten_thousand_exchanges_with_the_same_line(self):
        talk = [what for i in range(10_000) for what in (">INCR n", f"<:{i}")]
        toml = self.again(talk)
        self.assertEqual(toml.count("[[rule]]"), 1)

    def test_lines_without_answers_and_with_several(self):
        self.again(
            [">*2", ">$3", ">GET", ">$1", ">a", "<$1", "<1", ">*1", ">$4", ">PING", "<+PONG"]
        )

    def test_answers_that_change(self):
        toml = self.again([">t", "<1", ">t", ">t", "<2", "<3", "<4", ">t", "<5", ">t", "<5"])
        self.assertIn('replies = ["1", [], ["2", "3", "4"], "5"]\n', toml)

    def test_templates_are_no_templates(self):
        self.again([">a{0}", "<{0} {{ }} {nothing} {"])

    @settings(deadline=None, max_examples=100)
    @given(TALKS)
    def test_any_conversation_by_itself(self, talks):
        for talk in talks:
            recorded = Talks(talk)
            heard = Player(recorded.toml).hear(talk)
            self.assertEqual(heard, answers(talk), recorded.toml)

    def test_pipelining(self):
        toml = self.again([*(f">{i}" for i in "abc"), *(f"<{i}" for i in "ABC")])
        self.assertIn('exact = "a"\nreply = "A"\n', toml)

    def test_pipelining_with_a_window(self):
        self.again([">a", ">b", "<A", ">a", ">b", "<B", "<A2", "<B2"])

    def test_pipelining_after_other_things(self):
        toml = self.again([">x", "<1", "<2", ">a", ">b", "<A", "<B"])
        self.assertIn('exact = "b"\nreply = "B"\n', toml)

    def test_the_server_ends(self):
        talk = [">QUIT", "<+OK", "."]
        player = Player(Talks(talk).toml)
        self.assertEqual(player.hear(talk), ["+OK"])
        self.assertTrue(player.ended)

    def test_nothing_was_said(self):
        self.assertEqual(Talks().toml, "")
        self.assertEqual(Talks([]).toml, "")

    def test_other_lines_are_told_of(self):
        player = Player(Talks([">a", "<A"]).toml)
        self.assertEqual(player.hear([">b"]), [])
        self.assertEqual(len(player.playing.report().missed), 1)

    def test_a_carriage_return_inside_of_a_line(self):
        toml = self.again([">a\rb", "<A\rB"])
        self.assertIn('exact = "a\\rb"\nreply = "A\\rB"\n', toml)

    def test_a_newline_inside_of_an_answer(self):
        """As chunks can have it, and lines that end in CRLF."""
        toml = Talks([">a\nb", "<A\nB"]).toml
        self.assertTrue(toml.startswith("# a newline inside of an answer"))
        self.assertIn('exact = "a\\nb"\nreply = "A\ufffdB"\n', toml)


class SeveralTest(SynchronousTestCase):
    again = ReplayTest.again

    def test_that_agree_share_rules(self):
        toml = self.again(*[["<hello", ">login", "<ok", f">{i}", f"<{i}"] for i in range(50)])
        self.assertEqual(toml.count("[[rule]]"), 51)
        self.assertNotIn("when", toml)

    def test_of_which_one_says_more(self):
        self.again([">a", "<1"], [">a", "<1", ">a", "<2"], [">a", "<1", ">b", "<3"])

    def test_that_differ(self):
        talks = [[">n", f"<{i}", ">n", f"<{i + 1}", ">bye", "<bye"] for i in range(0, 20, 2)]
        toml = self.again(*talks)
        self.assertIn('then = "conversation 10"', toml)

    def test_more_than_were_recorded_are_like_the_last(self):
        talks = [[">n", f"<{i}"] for i in range(3)]
        player = Player(Talks(*talks).toml)
        heard = [player.hear([">n"]) for _ in range(5)]
        self.assertEqual(heard, [["0"], ["1"], ["2"], ["2"], ["2"]])

    def test_some_of_which_differ(self):
        common = [">hi", "<ho"]
        self.again(
            [*common, ">x", "<1"],
            [*common, ">y", "<1"],
            [*common, ">x", "<2"],
            [*common, ">x", "<1"],
            [">else", "<1", ">x", "<2"],
        )

    @settings(deadline=None, max_examples=100)
    @given(TALKS)
    def test_any(self, talks):
        """One after the other; all begin alike, and are heard to their end."""
        self.again(*[[">hi", *talk, ">bye", "<bye"] for talk in talks])

    def test_that_the_client_left(self):
        """An answer that did not come any more is no other answer."""
        toml = self.again([">a", "<1", "<2"])
        toml = Talks([">a"], [">a", "<1", "<2"], [">a", "<1"]).toml
        self.assertEqual(toml, '[[rule]]\nexact = "a"\nreply = ["1", "2"]\n')

    def test_that_the_client_left_after_a_while(self):
        """An answer that did not come for so long was none."""
        self.again([">a", "+1"], [">a", "<1"], [">a", "<1", "+1"], [">a", "<1"])
        self.again([">a", "<1", "+2"], [">a", "<1", "+1", "<2"], pause=1.1)
        toml = Talks([">a", "<1", "+1"], [">a", "<1", "+1", "<2"], [">a", "<1"]).toml
        self.assertNotIn("when", toml)  # the second might have been said to all of them

    def test_that_a_client_left_which_may_be_like_either(self):
        """It goes with the one that was heard of no more, either."""
        closed, stayed, left = [">a", "<1", "."], [">a", "<1", "+1"], [">a", "<1"]
        for talks in ([closed, stayed, left], [left, stayed, closed], [stayed, left, closed]):
            player = Player(Talks(*talks).toml)
            for talk in talks:
                self.assertEqual(player.hear(talk), ["1"])
                self.assertEqual(player.ended, talk is closed)

    def test_of_which_one_left_and_one_was_closed(self):
        """Whichever came first: nothing tells that they are not the same."""
        for talks in ([[">a", "<1", "."], [">a", "<1"]], [[">a", "<1"], [">a", "<1", "."]]):
            toml = Talks(*talks).toml
            self.assertEqual(toml, '[[rule]]\nexact = "a"\nreply = "1"\nclose = true\n')

    def heard_again(self, *talks):
        """What each client hears when all say the same again, and then the first two."""
        player = Player(Talks(*talks).toml)
        return [player.hear(talk) for talk in (*talks, talks[0], talks[1])]

    def test_that_a_client_left_at_once(self):
        """It went on as another did, and those that come after all are like the last of these."""
        one, other = [">a", "<1", ">b", "<2"], [">a", "<1", ">b", "<3"]
        for left in ([">a"], [">a", "<1"]):
            after = [["1", "3"], ["1", "3"]]
            self.assertEqual(
                self.heard_again(one, other, left), [["1", "2"], ["1", "3"], ["1"], *after]
            )
            self.assertEqual(
                self.heard_again(one, left, other),
                [["1", "2"], ["1"], ["1", "3"], after[0], ["1"]],
            )
            self.assertEqual(
                self.heard_again(left, one, other),
                [["1"], ["1", "2"], ["1", "3"], ["1"], ["1", "3"]],
            )
            self.assertEqual(Talks(one, left, left, other, left).toml.count('exact = "a"'), 2)

    def test_that_a_client_left_unanswered(self):
        """It was too long for another silence; but those that come after all are answered."""
        one, other = [">a", "<1", ">b", "<2"], [">a", "<1", ">b", "<3"]
        self.assertEqual(
            self.heard_again(one, other, [">a", "+1"]),
            [["1", "2"], ["1", "3"], [], ["1", "3"], ["1", "3"]],
        )

    def test_an_answer_that_is_certain_counts_for_more(self):
        """That nothing came is no less known because another client left too soon to see it."""
        silent = [">LOGIN", "<ok", ">NOTE", ">LOGIN", "<ok2"]
        left, noted = [">LOGIN", "<ok", ">NOTE"], [">LOGIN", "<ok", ">NOTE", "<noted"]
        for talks in ([silent, left, noted], [left, silent, noted]):
            self.again(*talks, timing=False)

    def test_a_client_that_did_not_wait_for_the_greeting(self):
        talks = ["<hello", ">a", "<A"], [">a", "<hello", "<A"]
        toml = Talks(*talks).toml
        self.assertEqual(toml, 'greeting = "hello"\n\n[[rule]]\nexact = "a"\nreply = "A"\n')

    def test_other_greetings(self):
        toml = Talks(["<hello 1", ">a"], ["<hello 2", ">a"]).toml
        self.assertTrue(toml.startswith("# 1 conversations began otherwise than the first\n"))


class TimingTest(SynchronousTestCase):
    def test_a_delay(self):
        toml = Talks([">a", "+0.25", "<A", ">b", "+0.001", "<B"]).toml
        self.assertIn('reply = "A"\ndelay = 0.25\n', toml)
        self.assertTrue(toml.endswith('reply = "B"\n'), toml)
        self.assertEqual(Player(toml).hear([">a"], 0.2), [])
        self.assertEqual(Player(toml).hear([">a"], 0.3), ["A"])

    def test_what_comes_later_is_pushed(self):
        talk = ["<hi", "+3", "<tick", ">a", "<A", "+2", "<late", "+1", "<later"]
        toml = Talks(talk).toml
        self.assertEqual(Player(toml).hear([">a"], 1.5), ["hi", "A"])
        self.assertEqual(Player(toml).hear([">a"], 4), ["hi", "A", "late", "tick", "later"])
        talk[1] = "+3.01"
        self.assertEqual(Player(toml).hear(talk, 4), answers(talk))

    def test_delays_that_vary(self):
        turns = [
            [">a", f"+{delay}", f"<{number}"] for number, delay in enumerate((0.1, 0.12, 2, 0))
        ]
        talk = [what for turn in turns for what in turn]
        toml = Talks(talk).toml
        self.assertEqual(toml.count("[[rule]]"), 3)
        self.assertIn("delay = 0.11\ntimes = 2\n", toml)
        self.assertEqual(
            Player(toml).hear([*[">a", "+0.2"] * 2, ">a", "+2.1", ">a"]), list("0123")
        )

    def test_without(self):
        toml = Talks(["<hi", "+3", "<tick", ">a", "+2", "<A", "+2", "<late"], timing=False).toml
        self.assertEqual(Player(toml).hear([">a"]), ["hi", "tick", "A", "late"])


class MaskTest(SynchronousTestCase):
    def test_a_secret_at_the_end_of_a_line(self):
        toml = Talks([">AUTH hunter2", "<OK hunter2", ">AUTH", "<ERR"], mask=r"hunter\d").toml
        self.assertNotIn("hunter2", toml)
        self.assertIn('prefix = "AUTH "\nreply = "OK ***"\n', toml)
        self.assertEqual(Player(toml).hear([">AUTH", ">AUTH other"]), ["ERR", "OK ***"])

    def test_a_secret_inside_of_a_line(self):
        toml = Talks([">LOGIN a (x.y) now", "<OK"], mask=r"LOGIN \w+ (\S+)").toml
        self.assertNotIn("x.y", toml)
        player = Player(toml)
        self.assertEqual(player.hear([">LOGIN a secret now", ">LOGIN b secret now"]), ["OK"])

    def test_a_line_that_is_all_secret(self):
        talk = [">AUTH", ">s3cret", "<OK", ">PING", "<PONG"]
        toml = Talks(talk, mask="s3.*").toml
        self.assertNotIn("s3", toml)
        self.assertEqual(Player(toml).hear([">AUTH", ">any", ">PING"]), ["OK", "PONG"])

    def test_secrets_that_differ_are_the_same_line(self):
        toml = Talks([">A 1", "<x"], [">A 2", "<y"], [">A 3", "<x"], mask=r"\d").toml
        player = Player(toml)
        self.assertEqual([player.hear([">A 7"]) for _ in range(3)], [["x"], ["y"], ["x"]])

    def test_a_pattern_that_matches_nothing(self):
        for mask, line in (("x*", "ab"), ("AUTH ?(.*)", "AUTH"), ("(?=b)", "ab")):
            self.assertEqual(Mask(mask)(line), line)

    def test_what_is_masked(self):
        for mask, line, kept in (
            ("b", "abab", "a#a#"),
            ("世", "你世界", "你#界"),
            (r"(?i)PASS (\S+)", "pass é PASS b", "pass # PASS #"),
            ("A (.*)|P (.*)", "P secret", "P #"),  # whichever of its groups took part
            (r"L (\w+) (\w+)", "L me secret", "L # #"),
            ("(a)?secret", "my secret", "my #"),  # none took part
            (r"(?:(\d),?)+", "n 1,2,3", "n #,#,#"),  # each time that a group took part
            (r"(?=(\w{3}))", "abcde", "#"),  # they overlap
            ("((b)c)", "abcd", "a#d"),
            (r"\d", "a12", "a#"),
            (r"$|\d", "5", "#"),
        ):
            self.assertEqual(Mask(mask)(line).replace(MARK, "#"), kept, mask)

    def test_a_wrong_pattern(self):
        for mask in ("(", "a{1000}{1000}{1000}", "[", "(?P<a>x)(?P<a"):
            words = str(self.assertRaises(ScriptError, Recording, None, mask=mask))
            self.assertTrue(words.startswith("mask: "), words)
            self.assertNotIn("\n", words)

    def test_without_the_package(self):
        with patch.dict(sys.modules, {"regex": None}):
            words = str(self.assertRaises(ScriptError, Mask, "a"))
        self.assertIn("pip install 'twisted_sock[mock]'", words)

    def test_one_that_runs_away_masks_the_whole_line(self):
        mask = Mask("(a|aa)+$")
        self.assertEqual(mask(f"secret {'a' * 40}!"), MARK)
        self.assertEqual((mask.runaways, mask.blotted), (1, 1))
        self.assertEqual(mask("aa"), MARK)
        self.assertEqual(mask.blotted, 1)

    def test_one_that_often_runs_away_masks_everything(self):
        """Nobody can tell any more what is secret."""
        messages = []
        self.patch(Mask, "log", _Log(messages))
        self.patch(masking, "finder", lambda _: _runs_away_with_secrets)
        talks = Talks([">secret 1", "<ok", ">b"], mask="x")
        toml = talks.toml
        self.assertTrue(toml.startswith("# 1 lines are masked as a whole: the mask took too"))
        self.assertNotIn("secret", toml)
        self.assertEqual(Player(toml).hear([">anything", ">b"]), ["ok"])
        talks.record([">secret 2"] * MOST_RUNAWAYS)
        talks.record([">harmless"])
        self.assertNotIn("secret", talks.toml)
        self.assertNotIn("harmless", talks.toml)
        self.assertEqual(len(messages), 1)


def _runs_away_with_secrets(line):
    if "secret" in line:
        raise Runaway
    return []


class KeepingTest(SynchronousTestCase):
    def setUp(self):
        self.path = self.mktemp()
        self.talks = Talks()
        self.clock = self.talks.clock
        self.keeper = Keeper(self.talks.recording, self.path)
        self.keeper.start(self.clock)

    def test_every_few_seconds(self):
        self.talks.record([">a", "<A"])
        self.clock.advance(keeping.EVERY)
        self.assertEqual(len(read(self.path).rules), 1)
        self.talks.record([">b", "<B"])
        self.clock.advance(keeping.EVERY)
        self.assertEqual(len(read(self.path).rules), 2)

    def test_at_the_end(self):
        self.talks.record([">a", "<A"])
        self.keeper.stop()
        self.assertEqual(len(read(self.path).rules), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_when_nothing_was_said(self):
        self.clock.advance(keeping.EVERY)
        self.keeper.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_for_its_owner_alone(self):
        self.talks.record([">a", "<A"])
        self.keeper.stop()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_a_disk_that_is_full(self):
        """Is told once, tried again, and told in the report."""
        full = OSError(28, "No space left on device")
        broken = self.patch(keeping, "save", lambda *_: (_ for _ in ()).throw(full))
        self.talks.record([">a", "<A"])
        messages = []
        self.patch(Keeper, "log", _Log(messages))
        for _ in range(3):
            self.clock.advance(keeping.EVERY)
        self.assertEqual(len(messages), 1)
        self.assertIn("No space left on device", messages[0])
        [problem] = self.keeper.problems
        self.assertIn("is not complete: No space left", problem)
        broken.restore()
        self.clock.advance(keeping.EVERY)
        self.assertEqual(self.keeper.problems, [])
        self.assertEqual(len(read(self.path).rules), 1)

    def test_a_disk_that_is_full_to_the_end(self):
        """Nobody is there any more who could ask for a report."""
        messages = []
        self.patch(Keeper, "log", _Log(messages))
        self.keeper.path = os.path.join(self.path, "no", "such")
        self.talks.record([">a", "<A"])
        self.clock.advance(keeping.EVERY)
        self.keeper.stop()
        self.assertEqual(len(messages), 2)
        self.assertIn("does not hold all that was said: No such file", messages[1])

    def test_a_file_that_others_write_too(self):
        messages = []
        self.patch(Keeper, "log", _Log(messages))
        for line in "abcd":
            self.talks.record([f">{line}", "<A"])
            self.keeper.save()
            self.assertEqual((messages, self.keeper.problems), ([], []))
        other = Keeper(Talks([">x", "<X"]).recording, self.path)
        other.save()
        self.assertEqual(messages, [])  # a file that was there before is replaced
        for line in "ef":
            self.talks.record([f">{line}", "<A"])
            self.keeper.save()
        self.assertEqual(len(messages), 1)
        [problem] = self.keeper.problems
        self.assertIn("somebody else writes it", problem)
        other.stop()  # with nothing more to write
        self.assertEqual(len(messages), 2)

    def test_what_is_said_meanwhile_is_not_in_it(self):
        kept = self.talks.recording.begin()
        kept.client("a")
        snapshot = self.talks.recording.snapshot()
        kept.server("A")
        kept.client("b")
        script, _ = snapshot()
        self.assertEqual([(rule.match.exact, rule.replies) for rule in script.rules], [("a", ())])

    def full_after(self, talk, lines, more=()):
        """Record what there is no room for; it is told in the file, the report and the log."""
        messages = []
        self.patch(Recording, "log", _Log(messages))
        for each in (talk, *more):
            self.talks.record(each)
        [problem] = self.keeper.problems
        self.assertIn(f"is not complete: only the first {lines} lines", problem)
        toml = self.talks.toml
        self.assertTrue(toml.startswith(f"# only the first {lines} lines were recorded"), toml)
        self.assertEqual(replace(parse(toml, ""), rules=()), parse(toml.split("\n")[0], ""))
        self.assertEqual(len(messages), 1)
        return [rule.match.exact for rule in parse(toml, "").rules]

    def test_it_can_be_full(self):
        self.patch(recording, "MOST", 3)
        self.assertEqual(self.full_after([">a", "<A", ">b", "<B", ">c", "."], 3), ["a", "b"])

    def test_its_bytes_are_bounded(self):
        self.patch(recording, "MOST_BYTES", recording.CONVERSATION + 10_000)
        long = "世" * 2500  # two bytes each, as Python has them
        kept = self.full_after([">a", f"<{long}", f">{long}", "<short", ">b"], 2)
        self.assertEqual(kept, ["a"])  # and nothing behind what is left out

    def test_conversations_in_which_nothing_is_said_are_bounded(self):
        self.patch(recording, "MOST_BYTES", 5 * recording.CONVERSATION)
        self.talks.record([">a", "<A"])
        for _ in range(100):
            self.talks.recording.begin()
        self.assertEqual(len(self.talks.recording._conversations), 4)
        self.assertTrue(self.talks.toml.startswith("# only the first 2 lines were recorded\n"))

    def test_conversations_are_bounded(self):
        self.patch(recording, "MOST_CONVERSATIONS", 2)
        self.full_after([">a", "<A"], 4, [[">b", "<B"], [">c", "<C"]])
        self.assertIn("recorded: there were more than 2 conversations\n", self.talks.toml)

    def test_conversations_in_which_nothing_is_said_are_forgotten(self):
        self.talks.record(["<hello", ">a", "<A"])
        used = self.talks.recording._bytes
        for talk in ([], ["<hello"], ["."], ["<hello", "."]) * 10:
            self.talks.record(talk)
        kept = self.talks.recording
        self.assertEqual((len(kept._conversations), kept._bytes, kept.lines), (1, used, 3))
        self.talks.record(["<hello too"])  # which is something new
        self.assertEqual(len(kept._conversations), 2)

    def test_the_first_greeting_is_kept(self):
        self.talks.record(["<hello"])
        self.assertEqual(self.talks.toml, 'greeting = "hello"\n')

    def test_those_that_have_ended_are_not_copied(self):
        """It is done while everybody waits."""
        self.talks.record([">a", "<A"])
        going_on = self.talks.recording.begin()
        going_on.client("b")
        ended, other = (each.snapshot() for each in self.talks.recording._conversations)
        [first, _] = self.talks.recording._conversations
        self.assertIs(ended, first.exchanges)
        self.assertIsNot(other, going_on.exchanges)
        self.assertIsNot(other[-1], going_on.exchanges[-1])

    def test_one_that_is_cut_short_is_open(self):
        """What came next is not known, however long the client stayed."""
        self.patch(recording, "MOST", 5)
        self.talks.record([">a", "<1", "<2", "<3"])
        self.talks.record([">a", "<1", "+1", "<2"])
        self.assertNotIn("when", self.talks.toml)

    def test_what_is_no_line_is_told(self):
        self.talks.record([">a", "?", "<A", "?"])
        [problem] = self.keeper.problems
        self.assertIn("2 lines were not recorded: they were too long, or no UTF-8", problem)
        self.assertTrue(self.talks.toml.startswith("# 2 lines were not recorded"))

    def test_one_that_would_be_too_long_to_be_played_is_cut_short(self):
        messages = []
        self.patch(Recording, "log", _Log(messages))
        self.patch(keeping, "LARGEST", keeping.HEAD + 100)
        self.talks.record([">a", "<A"])
        self.keeper.save()
        self.assertEqual(self.keeper.problems, [])
        for _ in range(3):
            self.talks.record([">b", f"<{'x' * 100}"])
            self.clock.advance(keeping.EVERY)
        self.keeper.stop()
        told = "only the first 2 lines were recorded: a longer recording could not be played"
        with open(self.path) as file:
            self.assertEqual(file.read(), f'# {told}\n\n[[rule]]\nexact = "a"\nreply = "A"\n')
        self.assertEqual(
            self.keeper.problems, [f"the recording {self.path} is not complete: {told}"]
        )
        self.assertEqual(messages, [f"{told}: no more are kept"])

    def one_too_long(self):
        """What is in the file, and what is then kept but too long for it."""
        self.patch(keeping, "LARGEST", keeping.HEAD + 100)
        self.talks.record([">a", "<A"])
        self.keeper.save()
        self.talks.record([">b", f"<{'x' * 300}"])

    def test_one_that_is_full_and_too_long(self):
        """Its head tells what is in the file, and not what was kept."""
        self.patch(recording, "MOST", 4)
        self.one_too_long()
        self.talks.record([">c"])
        self.assertIn("only the first 4 lines", self.keeper.problems[0])
        for _ in range(2):
            self.keeper.save()
            [problem] = self.keeper.problems
            self.assertIn("only the first 2 lines were recorded: a longer", problem)
        with open(self.path) as file:
            self.assertTrue(file.read().startswith("# only the first 2 lines were recorded: a"))

    def test_one_that_is_too_long_says_so_once(self):
        """Also when the end comes while a thread writes."""
        self.one_too_long()
        moment = self.keeper._now()
        self.talks.record([">c"])
        last = self.keeper._now()
        self.keeper._write(moment)
        self.keeper._write(last)
        with open(self.path) as file:
            self.assertEqual(file.read().count("#"), 1)

    def test_one_that_is_too_long_and_was_moved_away(self):
        """There is nothing that could be left there: it is written as at the first time."""
        self.one_too_long()
        os.rename(self.path, self.path + ".old")
        self.keeper.save()
        with open(self.path) as file:
            self.assertEqual(file.read(), self.talks.toml)
        [problem] = self.keeper.problems
        self.assertIn("is too long to be played", problem)
        self.talks.record([">c"])
        self.keeper.save()
        self.assertIn("only the first 4 lines", self.keeper.problems[0])

    def test_one_that_is_too_long_at_once_is_told_of(self):
        self.patch(keeping, "LARGEST", 50)
        self.talks.record([">b", f"<{'x' * 50}"])
        self.keeper.save()
        [problem] = self.keeper.problems
        self.assertIn("is too long to be played", problem)

    def test_a_title_that_is_no_unicode(self):
        """As of a server whose path is not UTF-8."""
        talks = Talks([">a"], title="unix:/tmp/\udcff")
        Keeper(talks.recording, self.path).save()
        self.assertEqual(read(self.path).title, r"unix:/tmp/\udcff")

    def test_a_script_that_cannot_be_written(self):
        """Whatever the reason, it is told, and tried again."""
        messages = []
        self.patch(Keeper, "log", _Log(messages))
        broken = self.patch(keeping, "pieces", lambda *_: (_ for _ in ()).throw(ValueError("x")))
        self.talks.record([">a", "<A"])
        self.clock.advance(keeping.EVERY)
        self.assertEqual(len(messages), 1)
        self.assertIn("is not complete: ValueError", self.keeper.problems[0])
        broken.restore()
        self.clock.advance(keeping.EVERY)
        self.assertEqual(self.keeper.problems, [])


class SavingTest(SynchronousTestCase):
    def test_a_file_that_cannot_be_written_is_as_it_was(self):
        folder = self.mktemp()
        os.mkdir(folder)
        path = os.path.join(folder, "file")
        save(path, "old")
        self.patch(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
        self.assertRaises(OSError, save, path, "new")
        self.assertEqual(os.listdir(folder), ["file"])
        with open(path) as file:
            self.assertEqual(file.read(), "old")

    def test_a_link_is_followed(self):
        folder = self.mktemp()
        os.mkdir(folder)
        link = os.path.join(folder, "link")
        os.symlink("file", link)
        save(link, "new")
        self.assertTrue(os.path.islink(link))
        with open(os.path.join(folder, "file")) as file:
            self.assertEqual(file.read(), "new")


class _Log:
    def __init__(self, messages):
        self.messages = messages

    def error(self, format, **fields):
        self.messages.append(format.format(**fields))

    warn = error
