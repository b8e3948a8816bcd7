"""A script is played as it is written, line by line, on a clock."""

from __future__ import annotations

from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import LineFactory
from twisted_sock.errors import ScriptError
from twisted_sock.interfaces import Peer
from twisted_sock.script import index as index_module
from twisted_sock.script import pattern
from twisted_sock.script.cues import MOST_CHARACTERS, MOST_KNOWN, Cue, Way
from twisted_sock.script.index import MOST_HEADS, Index
from twisted_sock.script.matching import MOST_RUNAWAYS, Matcher
from twisted_sock.script.model import Expect, Fault, Match, Push, Rule, Script
from twisted_sock.script.player import Player
from twisted_sock.script.playing import Playing
from twisted_sock.script.pushing import MOST_PUSHES
from twisted_sock.settings import LinePolicy
from twisted_sock.testing import MemoryPeer


def rule(name="", *, reply=(), replies=None, line=1, **more):
    """A rule; what is no field of it is one of its match."""
    match = {key: more.pop(key) for key in Match.__slots__ if key in more}
    reply = (reply,) if isinstance(reply, str) else tuple(reply)
    replies = (reply,) if replies is None else tuple(replies)
    return Rule(name or "rule", line, Match(**match), replies, **more)


class Played(SynchronousTestCase):
    """A script, and peers that talk to it."""

    def play(self, *rules, **more):
        self.clock = Clock()
        self.playing = Playing(Script("login.toml", rules=rules, **more))
        self.playing.start(self.clock)
        self.factory = LineFactory(self.playing, reactor=self.clock)
        return self.join()

    def join(self, port=40000):
        return MemoryPeer(self.factory, self.clock, port)

    def replies(self, peer, *lines):
        peer.say(*lines)
        return peer.lines()

    @property
    def report(self):
        return self.playing.report()


class Rules(Played):
    def test_the_first_that_matches_replies(self):
        peer = self.play(
            rule("a", exact="PING", reply="PONG"),
            rule("b", prefix="PIN", reply="prefix"),
            rule("c", regex=r"(\w+) (?P<rest>.*)", reply="{rest}: {1}"),
            rule("d", json={"cmd": "add", "of": {"a": 1}}, reply="{json.of.b}"),
            rule("e", reply="any {0}"),
        )
        told = self.replies(
            peer,
            "PING",
            "PINGS",
            "set it so",
            '{"cmd": "add", "of": {"a": 1, "b": [2]}, "more": null}',
            '{"cmd":"add","of":{"a":true}}',
            '{"cmd":"add","of":{"a":1,"b":NaN}}',  # no JSON (RFC 8259 section 6)
            "",
            "世界",
        )
        others = ['any {"cmd":"add","of":{"a":true}}', 'any {"cmd":"add","of":{"a":1,"b":NaN}}']
        self.assertEqual(
            told, ["PONG", "prefix", "it so: set", "[2]", *others, "any ", "any 世界"]
        )
        self.assertEqual(self.report.hits, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 4})

    def test_their_order_counts_whatever_they_match_by(self):
        for first in ({"prefix": "GE"}, {"regex": "G.*"}, {}):
            peer = self.play(rule("one", reply="1", **first), rule("two", reply="2", exact="GET"))
            self.assertEqual(self.replies(peer, "GET", "GET"), ["1", "1"])
            peer = self.play(rule("two", reply="2", exact="GET"), rule("one", reply="1", **first))
            self.assertEqual(self.replies(peer, "GET", "GETS", "GET"), ["2", "1", "2"])

    def test_several_lines_and_none(self):
        peer = self.play(rule(exact="a", reply=("1", "2", "3")), rule(exact="b"), rule(reply="x"))
        self.assertEqual(
            self.replies(peer, "a", "b", "c", "a"), ["1", "2", "3", "x", "1", "2", "3"]
        )

    def test_sequences_are_each_conversations_own(self):
        peer = self.play(rule(exact="next", replies=(("1",), ("2", "and"), ("last",))))
        self.assertEqual(self.replies(peer, *["next"] * 4), ["1", "2", "and", "last", "last"])
        self.assertEqual(self.replies(self.join(), "next"), ["1"])

    def test_times_is_for_a_conversation_and_total_for_all(self):
        peer = self.play(
            rule("t", exact="x", reply="total", total=3),
            rule("o", exact="x", reply="once", times=1),
            rule("r", exact="x", reply="rest"),
        )
        self.assertEqual(self.replies(peer, "x", "x"), ["total", "total"])
        told = self.replies(self.join(), "x", "x", "x")
        self.assertEqual(told, ["total", "once", "rest"])
        self.assertEqual(self.replies(peer, "x", "x"), ["once", "rest"])

    def test_a_conversation_has_a_state(self):
        peer = self.play(
            rule(prefix="LOGIN ", reply="OK", when=("new",), then="in"),
            rule(exact="WHO", reply="{state}", when=("in", "root")),
            rule(exact="OUT", reply="bye from {state}", then="new"),
            rule(reply="ERR {state}"),
            start="new",
        )
        told = self.replies(peer, "WHO", "LOGIN a", "WHO", "LOGIN a", "OUT", "WHO")
        self.assertEqual(told, ["ERR new", "OK", "in", "ERR in", "bye from in", "ERR new"])
        self.assertEqual(self.replies(self.join(), "WHO"), ["ERR new"])

    def test_a_rule_can_be_for_some_clients(self):
        peer = self.play(
            rule("far", client=("10.0.0.0/8", "::1"), reply="far"),
            rule("near", client=("127.0.0.1",), reply="{client}"),
        )
        self.assertEqual(self.replies(peer, "x"), ["127.0.0.1"])
        far = Matcher(Match(client=("10.0.0.0/8",)))
        self.assertTrue(far.knows("10.1.2.3"))
        for host in ("11.0.0.1", "", "::1", "name"):
            self.assertFalse(far.knows(host))
        self.assertIsNotNone(far("x", "", Peer(IPv4Address("TCP", "10.0.0.1", 1))))

    def test_what_depends_on_more_than_the_line_is_not_remembered(self):
        peer = self.play(rule(exact="n", reply="{counter}"), rule(exact="s", reply="{unix}"))
        self.assertEqual(self.replies(peer, "n", "n", "s"), ["1", "2", "0"])
        self.clock.advance(5)
        self.assertEqual(self.replies(self.join(), "n", "s"), ["3", "5"])

    def test_what_is_random_comes_from_the_seed(self):
        roll = rule(exact="roll", reply="{random:1-1000000}")
        first = self.replies(self.play(roll, seed=7), *["roll"] * 5)
        peer = self.play(roll, seed=7)
        other = self.join()
        self.assertEqual(self.replies(peer, *["roll"] * 5), first)
        self.assertNotEqual(self.replies(other, *["roll"] * 5), first)
        self.assertNotEqual(self.replies(self.play(roll, seed=8), *["roll"] * 5), first)

    def test_a_script_that_cannot_be_used(self):
        for bad in (
            rule(regex="("),
            rule(reply="{1}"),
            rule(client=("nowhere",)),
            rule(reply="a\nb"),
        ):
            self.assertRaises(ScriptError, Playing, Script(rules=(bad,)))


#: Rules of all sorts, and lines that come to them.
ALL_SORTS = (
    rule("exact", exact="a", reply="A"),
    rule("once", exact="b", reply="first B", times=1),
    rule("b", exact="b", reply="B"),
    rule("prefix", prefix="p ", reply="P {0}"),
    rule("regex", regex=r"r (\w+)", reply="R {1}"),
    rule("two", regex=r"t (\d+) (\d+)", reply="{2} {1}"),
    rule("count", prefix="c", reply="{counter}"),
    rule("lines", regex="l.*", reply=("1", "2")),
    rule("silent", prefix="s", replies=((),)),
    rule("in", exact="in", reply="in", then="in"),
    rule("out", exact="out", reply="out", then="", when=("in",)),
    rule("here", prefix="p ", reply="never", when=("in",)),
    rule("state", prefix="w", reply="{state}", when=("in",)),
)
SAID = ["a", "b", "p 1", "p 2", "r x", "r x y", "r é", "t 1 2", "t 1", "c", "l", "s", "in", "out"]
SAID += ["w", "what", "p", ""]


class Many(Played):
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from(SAID), max_size=40))
    def test_many_at_once_are_answered_as_one_by_one(self, said):
        """What a session asks at once, it may as well ask singly."""
        peer = self.play(*ALL_SORTS, fallback=Rule("fallback", 1, replies=(("?",),)))
        at_once = self.replies(peer, *said)
        report = self.report
        with mock.patch.object(Player, "answer_lines", None):
            peer = self.play(*ALL_SORTS, fallback=Rule("fallback", 1, replies=(("?",),)))
        one_by_one = [reply for line in said for reply in self.replies(peer, line)]
        self.assertEqual(at_once, one_by_one)
        self.assertEqual(report, self.report)

    def test_lines_too_long_to_be_remembered_leave_the_others_known(self):
        way = Way([Cue(rule(reply="{0}"))])
        for number in range(MOST_KNOWN):
            way.remember(str(number), mock.sentinel.cue, "y")
        way.remember("x" * MOST_CHARACTERS, mock.sentinel.cue, "y")
        self.assertEqual(len(way.known), MOST_KNOWN)
        way.remember("x", mock.sentinel.cue, "y")
        self.assertEqual([*way.known], ["x"])

    def test_lines_that_are_always_new(self):
        """Few of them are remembered, and never more than so many."""
        peer = self.play(rule("p", prefix="p ", reply="{0}"), rule("x", exact="x", reply="y"))
        lines = [f"p {number}" for number in range(5000)]
        for start in range(0, len(lines), 100):
            some = lines[start : start + 100]
            self.assertEqual(self.replies(peer, *some), some)
        way = self.playing.plot.way("", "127.0.0.1")
        self.assertLess(len(way.known), 1000)
        for line in lines:
            peer.say(line)
        self.assertEqual(peer.lines(), lines)
        self.assertLessEqual(len(way.known), MOST_KNOWN)
        self.assertEqual(self.replies(peer, *["p 7"] * 3), ["p 7"] * 3)
        self.assertIn("p 7", way.known)
        self.assertEqual(self.report.hits, {"p": 10_003, "x": 0})

    def test_a_newline_inside_of_a_line(self):
        self.play(rule(prefix="p ", reply="{0}"), rule(regex="r ([^;]*)", reply="{1}"))
        self.factory = LineFactory(
            self.playing, reactor=self.clock, policy=LinePolicy(delimiter="crlf")
        )
        peer = self.join()
        peer.send(b"p a\nb\r\nr c\nd\r\n")
        self.assertEqual(peer.lines(), ["p a b", "c d"])


class Times(Played):
    def test_a_delay(self):
        peer = self.play(rule(exact="slow", reply="late", delay=2.0), rule(reply="{0}"))
        self.assertEqual(self.replies(peer, "a", "slow", "b"), ["a"])
        peer.advance(1.9)
        self.assertEqual(peer.lines(), [])
        peer.advance(0.2)
        self.assertEqual(peer.lines(), ["late", "b"])

    def test_what_is_drawn_after_a_change_depends_on_that_alone(self):
        roll = rule("roll", exact="roll", reply="{random:1-1000000}")
        drawn = []
        for before in ((), ("roll",), ("roll", "roll")):
            peer = self.play(roll, seed=1)
            peer.say(*before)
            self.playing.play(Script("login.toml", rules=(roll,), seed=2))
            peer.lines()
            drawn += self.replies(peer, "roll")
        self.assertEqual(drawn, self.replies(self.play(roll, seed=2), "roll") * 3)
        self.playing.inject(Fault("never", 1, "drop", match=Match(exact="never")))
        self.assertNotIn(self.replies(peer, "roll"), [drawn[:1]])

    def test_jitter_comes_from_the_seed(self):
        def took(seed):
            peer = self.play(rule(reply="late", delay=1.0, jitter=1.0), seed=seed)
            peer.say("x")
            while not peer.lines():
                peer.advance(0.01)
            return self.clock.seconds()

        self.assertEqual(took(1), took(1))
        self.assertNotEqual(took(1), took(2))
        self.assertTrue(1.0 <= took(3) <= 2.1)

    def test_a_state_is_entered_at_once(self):
        peer = self.play(
            rule(exact="in", reply="OK", delay=1.0, then="in"), rule(reply="{state}", when=("in",))
        )
        self.assertEqual(self.replies(peer, "in", "who"), [])
        peer.advance(1.1)
        self.assertEqual(peer.lines(), ["OK", "in"])

    def test_close_afterwards(self):
        for more in ({}, {"delay": 1.0}, {"jitter": 1.0}):
            peer = self.play(rule(exact="QUIT", reply="bye", close=True, **more), rule(reply="x"))
            peer.say("a", "QUIT", "b", "QUIT")
            peer.advance(2.0)
            self.assertEqual(peer.lines(), ["x", "bye"])
            self.assertTrue(peer.ended)
            self.assertEqual(sum(self.report.hits.values()), 1)

    def test_nobody_waits_for_a_peer_that_has_gone(self):
        peer = self.play(rule(reply="late", delay=60.0, push=(Push("p"),)))
        peer.say("x")
        peer.reset()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Pushes(Played):
    def test_from_the_beginning(self):
        tick = Push("tick {counter} of {client}", after=0.5, every=1.0, times=3)
        peer = self.play(greeting=("hello", "{state}!"), start="new", push=(tick, Push("once")))
        self.assertEqual(peer.lines(), ["hello", "new!"])
        peer.advance(0.1)
        self.assertEqual(peer.lines(), ["once"])
        peer.advance(10.0)
        self.assertEqual(peer.lines(), [f"tick {n} of 127.0.0.1" for n in (1, 2, 3)])

    def test_after_a_reply(self):
        job = rule(
            regex="job (.*)", reply="began", delay=1.0, push=(Push("did {1}", 2.0), Push("soon"))
        )
        peer = self.play(job)
        peer.say("job a", "job b")
        peer.advance(1.5)
        self.assertEqual(peer.lines(), ["began", "soon"])
        peer.advance(1.0)  # of each conversation, one line at a time is worked on
        self.assertEqual(peer.lines(), ["began", "soon"])
        peer.advance(2.0)
        self.assertEqual(peer.lines(), ["did a", "did b"])

    def test_after_silence(self):
        peer = self.play(rule(exact="x", replies=(), push=(Push("y"),)))
        peer.say("x")
        peer.advance(0.1)
        self.assertEqual(peer.lines(), ["y"])

    def test_they_end_with_the_conversation(self):
        peer = self.play(push=(Push("tick", every=1.0),))
        peer.advance(3.5)
        self.assertEqual(peer.lines(), ["tick"] * 4)
        peer.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_they_are_bounded(self):
        peer = self.play(rule(exact="x", push=(Push("y", after=5.0),)))
        peer.say(*["x"] * (MOST_PUSHES + 2))
        peer.advance(6.0)
        self.assertEqual(len(peer.lines()), MOST_PUSHES)
        self.assertEqual(self.report.missed, ["2 pushes were not begun: 1000 were going on"])


class Reports(Played):
    def test_what_no_rule_is_for(self):
        fallback = Rule("fallback", 9, replies=(("ERR {0}",),))
        peer = self.play(rule(exact="a", reply="b"), fallback=fallback)
        self.assertEqual(
            self.replies(peer, "x", "x", "\x1b[2J"), ["ERR x", "ERR x", "ERR \x1b[2J"]
        )
        heard = [(each.line, each.peer, each.count) for each in self.report.unmatched]
        peer_name = "127.0.0.1:40000"
        self.assertEqual(heard, [("x", peer_name, 2), ("\x1b[2J", peer_name, 1)])
        self.assertEqual(
            self.report.missed,
            [
                "no rule is for 'x', said 2 times by 127.0.0.1:40000",
                "no rule is for '\\x1b[2J', said once by 127.0.0.1:40000",
            ],
        )

    def test_without_a_fallback_there_is_silence(self):
        peer = self.play(rule(exact="a", reply="b"), strict=False)
        self.assertEqual(self.replies(peer, "x", "a"), ["b"])
        self.assertEqual(len(self.report.unmatched), 1)
        self.assertEqual(self.report.missed, [])

    def test_a_fallback_may_close(self):
        peer = self.play(fallback=Rule("fallback", 9, replies=(("ERR",),), close=True))
        self.assertEqual(self.replies(peer, "x", "y"), ["ERR"])
        self.assertTrue(peer.ended)

    def test_it_is_bounded(self):
        peer = self.play()
        peer.say(*(f"{n} " + "x" * 300 for n in range(1100)))
        report = self.report
        self.assertEqual(len(report.unmatched), 1000)
        self.assertEqual({len(each.line) for each in report.unmatched}, {200})
        self.assertEqual(report.missed[-1], "no rule is for 1090 other lines")
        self.assertEqual(len(report.missed), 11)

    def test_rules_that_are_hit_too_seldom_or_too_often(self):
        peer = self.play(
            rule("login", exact="a", reply="b", line=12, expect=Expect(1, 1)),
            rule("some", exact="b", reply="b", line=15, expect=Expect(2)),
            rule("few", exact="c", reply="b", line=18, expect=Expect(0, 1)),
            rule("never", exact="d", line=20, expect=Expect(0, 0)),
            rule("more", exact="e", reply="b", line=21, expect=Expect(1, 3)),
        )
        peer.say("c", "c", "d", "b")
        self.assertEqual(
            self.report.missed,
            [
                "rule 'login' (login.toml:12) was hit 0 times, expected 1",
                "rule 'some' (login.toml:15) was hit 1 time, expected at least 2",
                "rule 'few' (login.toml:18) was hit 2 times, expected at most 1",
                "rule 'never' (login.toml:20) was hit 1 time, expected 0",
                "rule 'more' (login.toml:21) was hit 0 times, expected 1 to 3",
            ],
        )
        peer.say("a", "b", "e")
        self.playing.reset()
        self.assertEqual(
            self.report.hits, dict.fromkeys(("login", "some", "few", "never", "more"), 0)
        )

    def test_a_pattern_that_runs_away_stops_nobody(self):
        self.patch(pattern, "LIMIT", 0.001)
        peer = self.play(rule("bad", regex="(a|aa)+$", reply="no"), rule("rest", reply="yes"))
        line = "a" * 60 + "b"
        told = self.replies(peer, *[line + str(n) for n in range(MOST_RUNAWAYS + 5)])
        self.assertEqual(told, ["yes"] * (MOST_RUNAWAYS + 5))
        self.assertEqual(
            self.report.missed,
            [
                "rule 'bad' (login.toml:1): its regular expression took too long "
                f"{MOST_RUNAWAYS} times"
            ],
        )

    def test_what_was_said_while_one_is_given_up_is_not_remembered(self):
        for more in ({}, {"then": ""}):  # answered the short way, and the long one
            peer = self.play(
                rule("bad", regex="(a|aa)+$", reply="no", **more), rule("rest", reply="yes")
            )
            with mock.patch.object(pattern, "LIMIT", 0.001):
                peer.say(*["a" * 60 + f"b{n}" for n in range(MOST_RUNAWAYS)], "aa", "aa")
                self.assertEqual(peer.lines(), ["yes"] * (MOST_RUNAWAYS + 2))
            self.playing.reset()
            with mock.patch.object(pattern, "LIMIT", 60.0):  # however slow the machine
                self.assertEqual(self.replies(peer, "aa"), ["no"])

    def test_nothing_is_remembered_of_the_time_before(self):
        peer = self.play(rule("a", exact="a", reply="b"))
        self.assertEqual(self.replies(peer, "a", "a"), ["b", "b"])
        known = self.playing.plot.way("", "127.0.0.1").known
        self.assertEqual([*known], ["a"])
        self.playing.reset()
        self.assertEqual(known, {})
        self.assertEqual(self.replies(peer, "a"), ["b"])


class Changes(Played):
    def test_conversations_live_on(self):
        peer = self.play(
            rule("in", exact="in", reply="OK", then="in"),
            rule("old", reply="old {state}"),
            start="new",
        )
        other = self.join()
        self.assertEqual(self.replies(peer, "in", "x"), ["OK", "old in"])
        new = rule("old", reply="new {state}")
        self.playing.play(Script(rules=(rule("in", exact="y", when=("in",)), new), start="begin"))
        self.assertEqual(self.replies(peer, "x"), ["new in"])
        self.assertEqual(self.replies(other, "x"), ["new begin"])
        self.assertEqual(self.report.hits, {"in": 1, "old": 3})

    def test_a_bad_one_is_not_played(self):
        peer = self.play(rule(reply="old"))
        bad = Script(rules=(rule(reply="{7}"),))
        self.assertRaises(ScriptError, self.playing.play, bad)
        self.assertEqual(self.replies(peer, "x"), ["old"])

    def test_reset_begins_sequences_anew(self):
        peer = self.play(rule("s", replies=(("1",), ("2",)), total=3))
        self.assertEqual(self.replies(peer, "x", "x", "x", "x"), ["1", "2", "2"])
        self.playing.reset()
        self.assertEqual(self.report.unmatched, [])
        self.assertEqual(self.replies(peer, "x", "x"), ["1", "2"])

    def test_a_fault_is_injected_into_a_conversation_that_goes_on(self):
        peer = self.play(rule(exact="a", reply="b"), rule(exact="c", reply="d"))
        self.assertEqual(self.replies(peer, "a", "c"), ["b", "d"])
        self.playing.inject(Fault("lost", 0, "drop", match=Match(exact="a")))
        self.assertEqual(self.replies(peer, "a", "c"), ["d"])
        self.assertEqual(self.report.fired, {"lost": 1})
        self.assertEqual(self.report.hits, {"rule": 2})
        self.assertTrue(self.playing.remove("lost"))
        self.assertEqual(self.replies(peer, "a", "c"), ["b", "d"])

    def reordered(self, *lines, on="reply", **more):
        """A peer that has said some lines; the last of them is to be answered after the next."""
        quit = rule("quit", exact="QUIT", reply="bye", close=True, **more)
        late = Fault("late", 1, "reorder", on=on, nth=(len(lines),))
        peer = self.play(quit, rule("any", reply="{0}"), faults=(late,))
        peer.say(*lines)
        return peer

    def test_a_last_line_that_is_to_be_heard_after_the_next(self):
        for on in ("line", "reply"):
            for end in (MemoryPeer.end, lambda _: self.factory.drain()):
                peer = self.reordered("a", "LAST", on=on)
                self.assertEqual((peer.lines(), self.report.fired), (["a"], {"late": 1}))
                end(peer)
                self.assertEqual(peer.lines()[0], "LAST")
                self.assertTrue(peer.ended)
                self.assertEqual(self.report.hits, {"quit": 0, "any": 2})

    def test_a_last_word_that_is_to_be_said_after_the_next(self):
        """Nothing comes next, and that is known."""
        peer = self.reordered("QUIT")
        self.assertEqual((peer.lines(), peer.ended), (["bye"], True))
        self.assertEqual(self.report.fired, {"late": 0})

    def test_a_last_word_that_is_late_besides(self):
        for delay in (0.5, 3.0):  # shorter than something is kept, and longer
            peer = self.reordered("QUIT", delay=delay)
            peer.advance(delay - 0.1)
            self.assertEqual((peer.lines(), peer.ended), ([], False))
            peer.advance(0.2)
            self.assertEqual((peer.lines(), peer.ended), (["bye"], True))
            self.assertEqual(self.report.fired, {"late": 1})

    def test_a_last_line_that_closes_and_is_heard_later(self):
        for delay in (0.0, 2.0):
            peer = self.reordered("QUIT", on="line", delay=delay)
            self.assertEqual((peer.lines(), peer.ended), ([], False))
            peer.advance(1.1)
            peer.advance(delay)
            self.assertEqual((peer.lines(), peer.ended), (["bye"], True))
            peer = self.reordered("QUIT", on="line", delay=delay)
            peer.end()
            peer.advance(delay)
            self.assertEqual((peer.lines(), peer.ended), (["bye"], True))

    def test_a_line_is_said_after_one_that_closes(self):
        peer = self.reordered("a")
        peer.say("QUIT")
        self.assertEqual((peer.lines(), peer.ended), (["bye", "a"], True))

    def test_one_that_is_said_late_is_waited_for_by_one_that_closes(self):
        peer = self.reordered("a")
        self.playing.inject(Fault("slow", 1, "delay", nth=(1,), seconds=5.0))
        self.playing.reset()
        peer.say("b")  # late, and after the next
        peer.advance(2)
        peer.say("QUIT")
        self.assertFalse(peer.ended)
        peer.advance(4)
        self.assertEqual((sorted(peer.lines()), peer.ended), (["a", "b", "bye"], True))

    def test_connections_are_refused(self):
        self.play(
            rule(reply="x"), greeting=("hi",), faults=(Fault("no", 1, "refuse", connections=1),)
        )
        peer = self.join()
        self.assertEqual((peer.lines(), self.replies(peer, "a")), (["hi"], ["x"]))
        self.assertEqual(self.report.fired, {"no": 1})

    def test_all_are_dropped_at_the_end(self):
        peer = self.play(push=(Push("x", every=1.0),))
        self.playing.hang_up()
        self.assertTrue(peer.gone)
        self.assertEqual(self.clock.getDelayedCalls(), [])


#: Pieces that patterns are made of, and lines are made of their letters.
PIECES = [
    "a",
    "b",
    "ab",
    "a*",
    "b+",
    "a?",
    "(a|b)",
    "(?:ab)?",
    "[ab]",
    "|",
    "(?i)",
    r"\w",
    ".",
    " ",
    "a{2}",
]


class Has:
    """Something with a matcher."""

    def __init__(self, match):
        self.matcher = Matcher(match)


matches = st.one_of(
    st.builds(lambda text: Match(exact=text), st.text("ab ", max_size=3)),
    st.builds(lambda text: Match(prefix=text), st.text("ab ", max_size=3)),
    st.builds(
        lambda pieces: Match(regex="".join(pieces)), st.lists(st.sampled_from(PIECES), max_size=4)
    ),
    st.just(Match(json={"a": 1})),
    st.just(Match()),
)
lines = st.one_of(st.text("abAB ", max_size=4), st.sampled_from(['{"a":1}', ' {"a": 1}', "{", ""]))


class Indexed(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.lists(matches, max_size=8), st.lists(lines, min_size=1, max_size=6))
    def test_none_is_passed_over(self, all_of_them, said):
        try:
            each = [Has(match) for match in all_of_them]
        except ScriptError:
            return
        index = Index(each, lambda one: True)
        for line in said:
            plain = [one for one in each if _plainly(one.matcher, line)]
            found = [one for one in index.candidates(line) if one.matcher.find(line) is not None]
            self.assertEqual(found, plain, line)
            looked = [one for one in index.candidates(line) if one.matcher.captured(line)]
            self.assertEqual(looked, plain, line)
            alone = index.alone.get(line[: index.usual])
            if alone is not None:
                self.assertEqual(plain, [alone] if alone.matcher.captured(line) else [], line)

    def test_beginnings_that_are_known_are_bounded(self):
        each = [Has(Match(prefix="GET ")), Has(Match(exact="PING 1")), Has(Match())]
        index = Index(each[1:], lambda one: True)
        self.assertEqual((index.usual, index.alone), (0, {}))
        index = Index([*each, Has(Match(prefix="PUT "))], lambda one: one is not each[0])
        for number in range(MOST_HEADS + 10):
            self.assertEqual(index.candidates(f"{number:05d}"), [each[2]])
        self.assertLessEqual(len(index.alone), MOST_HEADS)
        for line in ("GET 1", "PING 1", "PING 2", "PUT"):
            index.candidates(line)
        self.assertEqual({*index.alone} & {"GET ", "PING", "PUT ", "PUT"}, {"PUT"})

    def test_branches_that_are_known_are_bounded(self):
        """Each of them has a place for all that are for any line."""
        self.patch(index_module, "MOST_PLACES", 300)
        each = [Has(Match(prefix=f"GET {number:02d} ")) for number in range(50)]
        each[25:25] = anything = [Has(Match(regex=rf"\w+ {number}")) for number in range(20)]
        index = Index(each, lambda one: True)
        for number in range(50):
            one = each[number + 20 * (number >= 25)]
            wanted = [other for other in each if other in anything or other is one]
            self.assertEqual(index.candidates(f"GET {number:02d} x"), wanted)
            self.assertLess(len(index._tree.branches), 300 / 20)
        self.assertEqual(index.candidates("PUT"), anything)


def _plainly(matcher, line):
    """Whether a line matches, by the pattern alone."""
    if matcher.pattern is not None:
        return matcher.pattern.match(line) is not None
    return matcher.find(line) is not None
