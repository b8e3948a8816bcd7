"""Operators in memory: what they see and do, who gets in, and that nobody waits for them."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LineFactory, LineProtocol
from twisted_sock.errors import ScriptError, SettingError
from twisted_sock.interfaces import Credentials, Peer
from twisted_sock.memory import join
from twisted_sock.operator import control, hub
from twisted_sock.operator.commands import COMMANDS, Desk
from twisted_sock.operator.door import Door, read_token
from twisted_sock.operator.history import LINES
from twisted_sock.operator.lessons import CHARACTERS, Lessons, Taught
from twisted_sock.operator.saving import learnt, save
from twisted_sock.operator.serving import Operator
from twisted_sock.operator.syntax import Refused
from twisted_sock.script.model import Fault, Firing, Report, Unmatched
from twisted_sock.script.reading import parse
from twisted_sock.testing import MemoryPeer

TOKEN = "0123456789abcdef"
OURS = Credentials(1, os.geteuid(), 0)
THEIRS = Credentials(1, 4242, 0)


class Attached(MemoryPeer):
    """An operator in memory.

    Args:
        bench: where.
        credentials: those of a UNIX socket; None: it is none.
        via: a proxy in between.
    """

    def __init__(self, bench, credentials=OURS, via=None):
        super().__init__(bench.factory, bench.clock)
        self.close()
        recorder = self._recorder.__class__()
        peer = Peer(UNIXAddress(None), via, credentials=credentials)
        protocol = bench.factory.buildProtocol(peer)
        self._wire = join(protocol, recorder, 40000, None)
        self._recorder = recorder
        self._server, self._client = self._wire.ends
        self.events = []

    def ask(self, command):
        """Say a command; returns the data and the last line of its answer."""
        self.say(command)
        return self.answer()

    def answer(self):
        data = []
        for line in self.lines():
            if line.startswith("EVENT "):
                self.events.append(json.loads(line[6:]))
            elif line.startswith("{"):
                data.append(json.loads(line))
            else:
                return data, line
        return data, None

    def told(self):
        """The events since it was last asked, as short tuples."""
        self.clock.advance(0)
        self.answer()
        events, self.events = self.events, []
        return [
            tuple(v for k, v in event.items() if k not in ("at", "peer", "who"))
            for event in events
        ]


class Bench:
    """A service in memory with operators."""

    def __init__(self, handler=str.upper, token="", path="unix:/x", **limits):
        self.clock = Clock()
        self.operator = Operator(handler, path, token, self.clock)
        self.hub = self.operator.hub
        self.factory = self.operator.factory
        self.served = LineFactory(self.operator.tap, limits=Limits(**limits), reactor=self.clock)

    def peer(self, port=40000):
        return MemoryPeer(self.served, self.clock, port)

    def attach(self, *arguments):
        return Attached(self, *arguments)


class BenchCase(SynchronousTestCase):
    def setUp(self):
        self.bench = Bench()
        self.peer = self.bench.peer()
        self.op = self.bench.attach()

    def token_file(self, text=TOKEN, mode=0o600):
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path


class SeeingTest(BenchCase):
    def test_list(self):
        self.peer.say("hello")
        data, end = self.op.ask("list")
        self.assertEqual(end, "OK")
        self.assertEqual(
            data,
            [
                {
                    "id": 1,
                    "peer": "127.0.0.1:40000",
                    "who": "",
                    "state": "open",
                    "since": 0.0,
                    "in": 1,
                    "out": 1,
                    "waiting": [],
                }
            ],
        )

    def test_each_line_as_it_comes(self):
        self.assertEqual(self.op.ask("watch")[1], "OK")
        self.peer.say("hello")
        second = self.bench.peer(40001)
        second.close()
        self.assertEqual(
            self.op.told(),
            [
                ("line", 1, "in", "hello"),
                ("line", 1, "out", "HELLO"),
                ("opened", 2),
                ("closed", 2, "done"),
            ],
        )

    def test_watching_says_who_is_there(self):
        self.assertEqual([each["id"] for each in self.op.ask("watch all")[0]], [1])

    def test_watching_one(self):
        second = self.bench.peer(40001)
        self.op.ask("watch 2")
        self.peer.say("a")
        second.say("b")
        self.assertEqual([event[1] for event in self.op.told()], [2, 2])
        self.op.ask("unwatch")
        second.say("c")
        self.assertEqual(self.op.told(), [])
        self.assertTrue(self.op.ask("watch 9")[1].startswith("ERR no-conversation "))

    def test_history(self):
        for number in range(150):
            self.peer.say(str(number))
        data, _ = self.op.ask("history 1")
        self.assertEqual(len(data), LINES)
        self.assertEqual(data[-1], {"way": "out", "text": "149", "at": 0.0})
        self.peer.say(*["x" * 30_000] * 3)
        self.assertEqual([len(each["text"]) for each in self.op.ask("history 1")[0]], [30_000] * 2)

    def test_history_of_what_is_over(self):
        self.peer.say("a")
        self.peer.close()
        self.assertEqual([each["text"] for each in self.op.ask("history 1")[0]], ["a", "A"])
        self.assertEqual(self.op.ask("list")[0], [])
        for port in range(hub.PAST):
            self.bench.peer(port).close()
        self.assertTrue(self.op.ask("history 1")[1].startswith("ERR no-conversation "))

    def test_nothing_that_a_peer_says_breaks_a_line(self):
        self.op.ask("watch")
        nasty = '\x1b[2J\r\u2028\x85"\\\x00\u202e{}世'
        self.peer.say(nasty)
        self.op.clock.advance(0)
        raw = self.op.read()
        self.assertTrue(raw.isascii())
        self.assertEqual(raw.count(b"\n"), 2)
        self.assertNotIn(b"\x1b", raw)
        self.assertEqual(json.loads(raw.split(b"\n")[0][6:])["text"], nasty)

    def test_help_tells_all(self):
        data, _ = self.op.ask("help")
        told = {each["command"].split()[0] for each in data}
        self.assertEqual(told, {*COMMANDS, "watch", "unwatch", "token"})

    def test_mistakes(self):
        for command, code in (
            ("nonsense", "no-command"),
            ("history", "usage"),
            ("history x", "usage"),
            ("history 1 2", "usage"),
            ("list all", "usage"),
            ("say 1", "usage"),
            ("say 7 x", "no-conversation"),
            ("hold 1 0", "usage"),
            ("hold 1 nan", "usage"),
            ("hold 1 1e9", "usage"),
            ("answer 1 x", "nothing-waits"),
            ("save x sure", "usage"),
            ("hits", "no-script"),
            ("fault {do='drop'}", "no-script"),
        ):
            self.assertTrue(self.op.ask(command)[1].startswith(f"ERR {code} "), command)

    def test_an_empty_name_is_answered(self):
        for line in ("", " list", " "):
            self.assertTrue(self.op.ask(line)[1].startswith("ERR no-command "), line)

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=30))
    def test_any_line_is_answered_once(self, line):
        bench = Bench()
        op = bench.attach()
        self.assertEqual(op.ask("unwatch"), ([], "OK"))  # how TLS or HTTP begin is not refused now
        for words in (line, f"say {line}", f"hold {line}", f"fault {line}"):
            op.say(words)
            ends = [each for each in op.lines() if each == "OK" or each.startswith("ERR ")]
            self.assertEqual(len(ends), 1)


class SteppingInTest(BenchCase):
    def test_answering_a_held_line(self):
        self.op.ask("watch")
        self.op.ask("hold 1 60")
        self.peer.say("who are you?", "and now?")
        self.assertEqual(self.peer.lines(), [])
        waiting = [{"line": 1, "text": "who are you?", "seconds": 60.0}]
        self.assertEqual(self.op.ask("list")[0][0]["waiting"], waiting)
        told = [{"id": 1, "answered": True, "line": 1}]
        self.assertEqual(self.op.ask("say 1 a person")[0], told)
        self.assertEqual(self.peer.lines(), ["a person"])
        self.assertEqual(self.op.ask("answer 1  still ")[1], "OK")
        self.assertEqual(self.peer.lines(), [" still "])
        self.assertEqual(
            self.op.told(),
            [
                ("held", 1, 60.0),
                ("line", 1, "in", "who are you?"),
                ("waiting", 1, 1, "who are you?", 60.0),
                ("answered", 1, 1, "operator"),
                ("line", 1, "out", "a person", "operator"),
                ("line", 1, "in", "and now?"),
                ("waiting", 1, 2, "and now?", 60.0),
                ("answered", 1, 2, "operator"),
                ("line", 1, "out", " still ", "operator"),
            ],
        )

    def test_after_the_deadline_the_script_answers(self):
        self.op.ask("hold 1 5")
        self.peer.say("a")
        self.peer.advance(4.9)
        self.assertEqual(self.peer.lines(), [])
        self.peer.advance(0.2)
        self.assertEqual(self.peer.lines(), ["A"])
        self.assertEqual(self.op.ask("list")[0][0]["state"], "held")

    def test_with_any_kind_of_reply(self):
        later = Deferred()
        replies = {
            "none": None,
            "list": ["x", "y"],
            "generator": (each for each in "ab"),
            "later": later,
            "coroutine": self.later(),
            "many": self.many(),
        }

        def answer(line):
            return 1 / 0 if line == "fail" else replies[line]

        bench = Bench(answer)
        peer, op = bench.peer(), bench.attach()
        op.ask("hold 1 5")
        peer.say(*replies, "fail")
        for _ in range(30):
            peer.advance(5)
        later.callback("later")
        for _ in range(30):
            peer.advance(5)
        lines = peer.lines()
        self.assertEqual(lines[:-1], ["x", "y", "a", "b", "later", "c", "m1", "m2"])
        self.assertTrue(lines[-1].startswith("ERR internal "))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def later(self):
        return "c"

    async def many(self):
        yield "m1"
        yield "m2"

    def test_release(self):
        self.op.ask("hold all")
        self.peer.say("a", "b")
        self.assertEqual(self.op.ask("release 1")[1], "OK")
        self.assertEqual(self.peer.lines(), ["A", "B"])
        self.assertEqual(self.op.ask("list")[0][0]["state"], "open")

    def test_saying_something_unasked(self):
        second = self.bench.peer(40001)
        self.assertEqual(self.op.ask("say all news")[0][1], {"id": 2, "answered": False})
        self.assertEqual((self.peer.lines(), second.lines()), (["news"], ["news"]))

    def test_an_answer_that_comes_too_late_is_not_said(self):
        self.op.ask("hold 1 5")
        self.peer.say("a")
        self.peer.advance(6)
        self.assertTrue(self.op.ask("answer 1 late")[1].startswith("ERR nothing-waits "))
        self.assertEqual(self.peer.lines(), ["A"])

    def test_close_and_abort(self):
        self.op.ask("hold 1 60")
        self.peer.say("a", "b")
        self.op.ask("watch")
        self.op.ask("close 1")
        self.assertEqual(self.op.ask("list")[0][0]["state"], "closing")
        self.op.ask("release 1")
        self.assertEqual(self.op.told(), [("closing", 1), ("answered", 1, 1, "nobody")])
        self.assertTrue(self.peer.ended)
        self.assertEqual(self.peer.lines(), [])
        self.peer.close()
        second = self.bench.peer()
        self.op.ask("abort 2")
        self.assertTrue(second.gone)

    def test_a_peer_that_leaves_while_it_waits(self):
        self.op.ask("watch")
        self.op.ask("hold 1 60")
        self.peer.say("a")
        self.peer.reset()
        self.assertEqual(
            self.op.told()[-2:], [("answered", 1, 1, "nobody"), ("closed", 1, "lost")]
        )
        self.op.reset()
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])

    def test_no_line_waits_until_its_reply_is_given_up(self):
        bench = Bench(reply_timeout=2)
        peer, op = bench.peer(), bench.attach()
        op.ask("watch")
        self.assertEqual(op.ask("hold 1 60")[0], [{"id": 1, "seconds": 1.8}])
        peer.say("a")
        self.assertEqual(
            op.told(),
            [("held", 1, 1.8), ("line", 1, "in", "a"), ("waiting", 1, 1, "a", 1.8)],
        )
        peer.advance(1.7)
        self.assertEqual(peer.lines(), [])
        peer.advance(0.2)
        self.assertEqual(peer.lines(), ["A"])
        self.assertEqual(op.ask("hold 1 0.5")[0], [{"id": 1, "seconds": 0.5}])

    def test_a_reply_that_takes_too_long_is_given_up_all_the_same(self):
        bench = Bench(lambda line: Deferred(), reply_timeout=2)
        peer, op = bench.peer(), bench.attach()
        op.ask("hold 1 60")
        peer.say("a")
        peer.advance(5)
        self.assertEqual(peer.lines(), ["ERR timeout no reply in time"])
        self.assertEqual(op.ask("list")[0][0]["waiting"], [])

    def test_the_script_takes_lines_in_their_order(self):
        asked = []

        def script(line):
            asked.append(line)
            return line

        bench = Bench(script, window=4)
        peer, op = bench.peer(), bench.attach()
        op.ask("hold 1 60")
        peer.say("A")
        op.ask("hold 1 1")
        peer.advance(0.1)
        peer.say("B")
        waiting = op.ask("list")[0][0]["waiting"]
        self.assertEqual([each["seconds"] for each in waiting], [59.9, 59.9])
        peer.advance(60)
        self.assertEqual((asked, peer.lines()), (["A", "B"], ["A", "B"]))
        peer.say("C", "D")
        bench.hub.talks[1].waiting[4].timer.reset(0.5)  # as if sums of seconds were not exact
        peer.advance(0.6)
        self.assertEqual(asked[2:], ["C", "D"])

    def test_with_a_window(self):
        bench = Bench(window=3)
        peer, op = bench.peer(), bench.attach()
        op.ask("hold 1 60")
        peer.say("a", "b", "c")
        waiting = op.ask("list")[0][0]["waiting"]
        named = [(each["line"], each["text"]) for each in waiting]
        self.assertEqual(named, [(1, "a"), (2, "b"), (3, "c")])
        op.ask("answer 1.3 three")
        self.assertEqual(peer.lines(), [])  # in the order of the lines
        op.ask("answer 1 one")
        self.assertEqual(op.ask("answer 1 two")[0], [{"id": 1, "answered": True, "line": 2}])
        self.assertEqual(peer.lines(), ["one", "two", "three"])


class NamedLineTest(BenchCase):
    """An answer is for the line that it names, or for none."""

    def setUp(self):
        super().setUp()
        self.other = self.bench.attach()
        self.op.ask("hold 1 5")
        self.peer.say("before I hold", "first", "second")
        self.op.ask("answer 1 -")
        self.peer.lines()

    def refused(self, command, code="nothing-waits"):
        data, end = self.op.ask(command)
        self.assertEqual(data, [])
        self.assertTrue(end.startswith(f"ERR {code} "), end)
        self.assertEqual(self.peer.lines(), [])

    def test_the_line_that_is_named(self):
        told = [{"id": 1, "answered": True, "line": 2}]
        self.assertEqual(self.op.ask("answer 1.2 mine")[0], told)
        self.assertEqual(self.op.ask("say 1.3 mine, too")[0], [{**told[0], "line": 3}])
        self.assertEqual(self.peer.lines(), ["mine", "mine, too"])

    def test_the_script_was_faster(self):
        self.peer.advance(5.1)
        self.assertEqual(self.peer.lines(), ["FIRST"])
        self.refused("answer 1.2 late")
        self.refused("say 1.2 late")
        self.assertEqual(self.op.ask("answer 1.3 in time")[1], "OK")
        self.assertEqual(self.peer.lines(), ["in time"])

    def test_another_operator_was_faster(self):
        self.other.ask("answer 1 theirs")
        self.assertEqual(self.peer.lines(), ["theirs"])
        self.refused("answer 1.2 late")
        self.refused("say 1.2 late")

    def test_the_peer_has_gone(self):
        self.peer.reset()
        self.refused("answer 1.2 late", "no-conversation")

    def test_a_line_that_never_was_or_is_yet_to_come(self):
        for number in (1, 3, 4, 99):  # 3 is not read yet: one line waits at a time
            self.refused(f"answer 1.{number} x")

    def test_no_line_by_its_number(self):
        self.refused("say 1.0 unasked", "line-waits")
        self.refused("answer 1.0 x")
        self.op.ask("release 1")
        self.peer.lines()
        self.assertEqual(self.op.ask("say 1.0 unasked")[0], [{"id": 1, "answered": False}])
        self.assertEqual(self.peer.lines(), ["unasked"])

    def test_what_is_no_name(self):
        for name in ("1.", "1.x", "1.2.3", ".2", "1.-2", "all.2"):
            self.refused(f"answer {name} x", "usage")
            self.refused(f"say {name} x", "usage")
        self.refused("history 1.2", "usage")

    def test_as_json(self):
        desk = Desk(self.bench.hub, None)
        for id, line in ((1.2, None), (1, 2.0), ("1.2", None), (1, [2]), ("all", 2), (True, 2)):
            values = {"id": id, "line": line, "text": "x"}
            self.assertRaises(Refused, desk.run, "answer", values)
            self.assertRaises(Refused, desk.run, "say", values)
        values = {"id": 1, "line": 2, "text": "x"}
        self.assertEqual(desk.run("answer", values), [{"id": 1, "answered": True, "line": 2}])
        self.assertEqual(self.peer.lines(), ["x"])

    def test_how_long_it_still_waits(self):
        self.peer.advance(1.5)
        waiting = self.op.ask("list")[0][0]["waiting"]
        self.assertEqual(waiting, [{"line": 2, "text": "first", "seconds": 3.5}])


class WalkingAwayTest(BenchCase):
    def test_who_leaves_blocks_nobody(self):
        for leave in (MemoryPeer.reset, MemoryPeer.close, MemoryPeer.end):
            op = self.bench.attach()
            self.op.close()
            op.ask("hold all 600")
            self.peer.say("a")
            self.assertEqual(self.peer.lines(), [])
            leave(op)
            self.assertEqual(self.peer.lines(), ["A"])
            self.peer.say("b")
            self.assertEqual(self.peer.lines(), ["B"])

    def test_the_last_one_counts(self):
        other = self.bench.attach()
        other.ask("hold 1 600")
        self.peer.say("a")
        other.reset()
        self.assertEqual(self.peer.lines(), [])
        self.assertEqual(self.op.ask("answer 1 taken over")[1], "OK")
        self.assertEqual(self.peer.lines(), ["taken over"])

    def visit(self, command, **values):
        """Do something as `pages` does, without being attached."""
        self.bench.hub.visit()
        return Desk(self.bench.hub, None).run(command, values)

    def test_who_asks_over_http_is_there_for_a_while(self):
        self.op.close()
        self.visit("hold", id=1, seconds=86400)
        self.peer.say("a", "b")
        self.peer.advance(hub.VISIT - 1)
        self.visit("list")
        self.peer.advance(hub.VISIT - 1)
        self.assertEqual(self.peer.lines(), [])
        self.peer.advance(1.1)
        self.assertEqual(self.peer.lines(), ["A", "B"])
        self.assertEqual(self.bench.hub.talks[1].state, "open")

    def test_what_was_held_over_http_waits_for_whoever_is_attached(self):
        self.visit("hold", id=1, seconds=86400)
        self.peer.say("a")
        self.peer.advance(2 * hub.VISIT)
        self.assertEqual(self.peer.lines(), [])
        self.op.reset()
        self.assertEqual(self.peer.lines(), ["A"])

    def test_who_leaves_while_another_asks_over_http(self):
        self.visit("list")
        self.op.ask("hold 1 86400")
        self.peer.say("a")
        self.op.reset()
        self.assertEqual(self.peer.lines(), [])
        self.peer.advance(hub.VISIT + 0.1)
        self.assertEqual(self.peer.lines(), ["A"])

    def test_nothing_is_left_of_a_visit_when_the_service_stops(self):
        self.visit("list")
        self.bench.hub.end()
        self.visit("list")
        self.op.reset()
        self.peer.reset()
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])

    def test_when_the_service_stops(self):
        self.op.ask("hold 1 600")
        self.peer.say("a")
        self.bench.hub.end()
        self.bench.served.drain()
        self.assertEqual(self.peer.lines(), ["A", "ERR shutdown the server is stopping"])
        self.assertTrue(self.op.ask("hold all")[1].startswith("ERR stopping "))

    def test_a_watcher_that_does_not_read(self):
        self.op.ask("watch")
        self.op.stop_reading()
        text = "x" * 500
        for _ in range(200):
            self.peer.say(*[text] * 20)
            self.assertEqual(self.peer.lines(), [text.upper()] * 20)
            self.peer.advance(0.1)
        self.assertLess(self.op.unread, 2 << 20)
        self.op.start_reading()
        for _ in range(20):
            self.op.answer()
            self.peer.advance(0.1)
        missed = [event for event in self.op.events if "missed" in event]
        self.assertEqual(len(missed), 1)
        self.assertEqual(len(self.op.events) - 1 + missed[0]["missed"], 8000)
        self.op.events.clear()
        self.peer.say("again")
        self.assertEqual(len(self.op.told()), 2)

    def test_events_never_stand_inside_an_answer(self):
        self.op.ask("watch")
        for _ in range(100):
            self.peer.say("x" * 600)
        self.op.told()
        self.op.stop_reading()
        for _ in range(20):
            self.op.say("history 1")
            self.peer.say("meanwhile")
            self.peer.advance(0.2)
        self.op.start_reading(piece=1000)
        self.peer.advance(1)
        inside = False
        ends = 0
        for line in self.op.lines():
            self.assertFalse(inside and line.startswith("EVENT "))
            inside = line.startswith("{")
            ends += line == "OK"
        self.assertEqual(ends, 20)

    def test_nothing_is_left_behind(self):
        self.op.ask("watch")
        self.peer.say("a")
        self.op.reset()
        self.peer.reset()
        self.assertEqual(self.bench.clock.getDelayedCalls(), [])
        self.assertEqual(self.bench.hub.attached, [])


class GettingInTest(BenchCase):
    def test_the_owner_and_root(self):
        for uid in (os.geteuid(), 0):
            self.assertEqual(self.bench.attach(replace(OURS, uid=uid)).ask("list")[1], "OK")

    def test_another_user_is_refused(self):
        for credentials, via in (
            (THEIRS, None),
            (None, None),
            (OURS, IPv4Address("TCP", "1.2.3.4", 5)),
        ):
            op = self.bench.attach(credentials, via)
            op.say("list")
            words = "ERR denied only the owner of this socket may come in"
            self.assertEqual((op.lines(), op.ended), ([words], True))
        self.assertEqual(len(self.bench.hub.attached), 1)

    def test_the_token(self):
        bench = Bench(token=self.token_file(f"{TOKEN}\nrest"), path="tcp:0")
        op = bench.attach()  # credentials are of no use here
        self.assertTrue(op.ask("list")[1].startswith("ERR token "))
        self.assertEqual(op.ask(f"token {TOKEN}"), ([], "OK"))
        self.assertEqual(op.ask("list"), ([], "OK"))
        self.assertEqual(bench.hub.attached[0].__class__, control.Control)

    def test_on_a_unix_socket_the_token_is_for_others(self):
        bench = Bench(token=self.token_file())
        self.assertEqual(bench.attach().ask("list")[1], "OK")
        op = bench.attach(THEIRS)
        self.assertTrue(op.ask("list")[1].startswith("ERR token "))
        self.assertEqual(op.ask(f"token {TOKEN}")[1], "OK")

    def test_three_wrong_tries(self):
        bench = Bench(token=self.token_file(), path="tcp:0")
        op = bench.attach(None)
        op.say("token wrong", "token 世界", "hits", f"token {TOKEN}", "list")
        self.assertEqual(
            op.lines(),
            [
                "ERR denied the token is wrong",
                "ERR denied the token is wrong",
                "ERR token say first: token TOKEN",
            ],
        )
        self.assertTrue(op.ended)
        self.assertEqual(bench.hub.attached, [])

    def test_nothing_is_seen_before(self):
        bench = Bench(token=self.token_file(), path="tcp:0")
        op = bench.attach(None)
        peer = bench.peer()
        peer.say("secret")
        self.assertEqual(op.told(), [])
        self.assertEqual(op.read(), b"")

    def test_the_deadline(self):
        bench = Bench(token=self.token_file(), path="tcp:0")
        op = bench.attach(None)
        op.advance(9.9)
        self.assertFalse(op.ended)
        op.advance(0.2)
        self.assertEqual(op.lines(), ["ERR denied no token was said in time"])
        self.assertTrue(op.ended)
        inside = bench.attach(None)
        inside.ask(f"token {TOKEN}")
        inside.advance(100)
        self.assertFalse(inside.ended)

    def test_long_lines_before(self):
        bench = Bench(token=self.token_file(), path="tcp:0")
        op = bench.attach(None)
        op.send(b"x" * 100_000 + b"\n" + b"token " + TOKEN.encode() + b"\n")
        self.assertEqual(op.lines(), ["ERR too-long a line may have at most 4096 bytes"])
        self.assertTrue(op.ended)
        self.assertEqual(bench.hub.attached, [])
        inside = bench.attach(None)
        inside.ask(f"token {TOKEN}")
        self.assertTrue(inside.ask("say 1 " + "x" * 5000)[1].startswith("ERR too-long "))
        self.assertEqual(inside.ask("list"), ([], "OK"))
        unix = Bench(token=self.token_file()).attach(THEIRS)
        unix.say("token " + "x" * 5000)
        self.assertEqual(len(unix.lines()), 1)
        self.assertTrue(unix.ended)

    def test_those_who_wait_are_few(self):
        bench = Bench(token=self.token_file(), path="tcp:0")
        many = [bench.attach(None) for _ in range(20)]
        self.assertEqual([op.gone for op in many], [True] * 4 + [False] * 16)
        self.assertEqual(many[-1].ask(f"token {TOKEN}")[1], "OK")

    def test_bad_token_files(self):
        for text, mode, words in (
            (TOKEN, 0o644, "chmod 600"),
            (TOKEN, 0o640, "chmod 600"),
            ("short", 0o600, "16 characters"),
            ("", 0o600, "16 characters"),
            ("世" * 20, 0o600, "16 characters"),
        ):
            error = self.assertRaises(SettingError, read_token, self.token_file(text, mode))
            self.assertIn(words, str(error))
        self.assertRaises(SettingError, read_token, "/nonexistent")
        self.assertRaises(SettingError, read_token, "/")

    def test_an_empty_token_opens_nothing(self):
        self.assertFalse(Door(True, "").opens(""))

    def test_endpoints(self):
        self.assertEqual(self.bench.operator.endpoint, "unix:/x:mode=600")
        given = Bench(path="unix:/x:mode=660").operator.endpoint
        self.assertEqual(given, "unix:/x:mode=660")
        for path in ("tcp:1", "ws:1", "tls:1", "systemd:x", "ws:unix=/x", "1"):
            error = self.assertRaises(SettingError, Bench, path=path)
            self.assertIn("--operator-token", str(error))
        self.assertRaises(SettingError, Bench, path="udp:1", token=self.token_file())
        self.assertRaises(TypeError, Bench, handler=LineProtocol())

    def test_not_more_than_a_few(self):
        for _ in range(80):
            self.bench.attach()
        self.assertEqual(len(self.bench.hub.attached), 64)


class Playing:
    """A protocol that plays a script, as far as operators care."""

    def __init__(self):
        self.seen = []

    def build_protocol(self):
        return LineProtocol()

    def start(self, reactor):
        pass

    def stop(self):
        pass

    def report(self):
        return Report(
            hits={"login": 2},
            unmatched=[Unmatched("what?", "127.0.0.1:1", 3)],
            fired={"slow": 1},
            firings=[Firing("slow", "delay", "127.0.0.1:1", 4, 5.0)],
            missed=["rule 'x' was hit 0 times"],
        )

    def reset(self):
        self.seen.append("reset")

    def load(self, path):
        if path == "bad script":
            raise ScriptError("bad:1: no")
        self.seen.append(path)

    def inject(self, fault):
        self.seen.append(fault)

    def remove(self, name):
        return name == "slow"


class ScriptedTest(BenchCase):
    def setUp(self):
        self.playing = Playing()
        self.op = Bench(self.playing).attach()

    def test_questions(self):
        self.assertEqual(self.op.ask("hits"), ([{"rule": "login", "hits": 2}], "OK"))
        [unmatched] = self.op.ask("unmatched")[0]
        self.assertEqual(unmatched, {"line": "what?", "peer": "127.0.0.1:1", "count": 3})
        self.assertEqual(self.op.ask("faults")[0], [{"name": "slow", "fired": 1}])
        [firing] = self.op.ask("firings")[0]
        self.assertEqual((firing["do"], firing["number"]), ("delay", 4))
        [report] = self.op.ask("report")[0]
        self.assertEqual(report["missed"], ["rule 'x' was hit 0 times"])
        self.assertEqual(report["hits"], {"login": 2})

    def test_control(self):
        self.assertEqual(self.op.ask("reset")[1], "OK")
        self.assertEqual(self.op.ask("load other script.toml")[1], "OK")
        self.assertEqual(self.op.ask("load bad script"), ([], "ERR script bad:1: no"))
        self.assertEqual(self.playing.seen, ["reset", "other script.toml"])
        self.assertEqual(self.op.ask("unfault slow")[1], "OK")
        self.assertTrue(self.op.ask("unfault x y")[1].startswith("ERR no-fault "))

    def test_faults(self):
        data, end = self.op.ask('fault {do = "drop", nth = 3}')
        self.assertEqual((data[0]["do"], end), ("drop", "OK"))
        [fault] = self.playing.seen
        self.assertIsInstance(fault, Fault)
        self.assertEqual((fault.do, fault.nth), ("drop", (3,)))
        for wrong in ("x", "{do = 3}", "{", "3", '{do = "nonsense"}', "{}"):
            self.assertRegex(self.op.ask(f"fault {wrong}")[1], "^ERR (fault|script) ")

    def test_as_json(self):
        desk = Desk(self.bench_hub(), self.playing)
        [told] = desk.run("fault", {"table": {"do": "drop", "name": "mine"}})
        self.assertEqual(told, {"name": "mine", "do": "drop"})
        self.assertRaises(Refused, desk.run, "fault", {"table": 3})
        self.assertRaises(Refused, desk.run, "say", {"id": "1", "text": "a\nb"})
        self.assertRaises(Refused, desk.run, "say", {"id": "1", "text": 5})
        self.assertRaises(Refused, desk.run, "hits", {"extra": 5})
        for seconds in (10**400, -(10**400), True, [1], None, "1e400"):
            values = {"id": 1, "seconds": seconds}
            error = self.assertRaises(Refused, desk.run, "hold", values)
            self.assertIn("SECONDS", error.words)
        table = '{do = "drop"}\nother = 1'
        self.assertRaises(Refused, desk.run, "fault", {"table": table})
        for file in ("", 5, None):
            self.assertRaises(Refused, desk.run, "save", {"file": file})
        for half in ("\ud800", "a\udfffb"):
            for table in ({"do": "drop", "name": half}, {"do": "drop", "json": {"a": [half]}},
                          {"do": "drop", half: 1}):  # fmt: skip
                error = self.assertRaises(Refused, desk.run, "fault", {"table": table})
                self.assertEqual(error.words, "half of a surrogate pair is no text")
            self.assertRaises(Refused, desk.run, "say", {"id": "1", "text": half})
        self.assertEqual(len(self.playing.seen), 1)

    def bench_hub(self):
        return hub.Hub(Clock())


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20)


class SavingTest(BenchCase):
    def test_what_was_answered_by_hand(self):
        path = self.mktemp()
        self.op.ask("hold 1 60")
        for line, *answers in (
            ("hello", "hi {you}", "and more"),
            ("2+2", "4"),
            ("hello", "again"),
            ("2+2", "4"),
        ):
            self.peer.say(line)
            for answer in answers:
                self.op.ask(f"say 1 {answer}")
        self.op.ask("release 1")
        self.op.ask("say 1 this is not an answer")
        self.assertEqual(self.op.ask(f"save {path}")[0], [{"file": path, "rules": 2}])
        with open(path, "rb") as file:
            self.assertEqual(
                tomllib.load(file),
                {
                    "rule": [
                        {"exact": "hello", "replies": [["hi {{you}}", "and more"], "again"]},
                        {"exact": "2+2", "reply": "4"},
                    ]
                },
            )
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertTrue(self.op.ask(f"save {path}")[1].startswith("ERR exists "))
        self.assertEqual(self.op.ask(f"save {path} force")[1], "OK")
        self.assertTrue(self.op.ask("save /nonexistent/x")[1].startswith("ERR file "))
        self.assertTrue(self.op.ask("save ")[1].startswith("ERR usage "))

    def test_only_scripts_are_replaced(self):
        for held in ("root:x:0:0:root:/root:/bin/sh\n", "[project]\nname = 'x'\n", "\0"):
            path = Path(self.mktemp())
            path.write_text(held)
            answer = self.op.ask(f"save {path} force")[1]
            self.assertEqual(
                answer, "ERR exists the file that is there is no script, and stays as it is"
            )
            self.assertEqual(path.read_text(), held)

    def test_what_the_script_has_answered_is_not_saved(self):
        path = self.mktemp()
        self.op.ask("hold 1 5")
        self.peer.say("q1")
        self.op.ask("say 1 A1")
        self.peer.say("q2")
        self.peer.advance(6)
        self.op.ask("say 1 after q2")
        self.assertEqual(self.peer.lines(), ["A1", "Q2", "after q2"])
        self.assertEqual(self.op.ask(f"save {path}")[0][0]["rules"], 1)
        with open(path, "rb") as file:
            self.assertEqual(tomllib.load(file), {"rule": [{"exact": "q1", "reply": "A1"}]})

    def test_what_is_kept_is_bounded(self):
        lessons = Lessons()
        long = "x" * 100_000
        first = lessons.add("first", "answer")
        for number in range(100):
            last = lessons.add(str(number), long)
        kept = list(lessons)
        self.assertLess(sum(each.size for each in kept), CHARACTERS)
        self.assertGreater(sum(each.size for each in kept), CHARACTERS - 200_000)
        self.assertIs(kept[-1], last)
        lessons.more(first, long)  # it is forgotten
        self.assertEqual((first.answer, list(lessons)), (["answer"], kept))
        for _ in range(100):
            lessons.more(last, long)
        self.assertEqual(list(lessons), [])
        self.assertLess(last.size, CHARACTERS + 200_000)
        for _ in range(CHARACTERS // 100):
            lessons.add("", "")  # empty ones cost something, too
        self.assertLess(len(list(lessons)), CHARACTERS // 100)

    def test_nothing_yet(self):
        path = self.mktemp()
        self.assertEqual(self.op.ask(f"save {path}")[0][0]["rules"], 0)

    @given(st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), max_size=5))
    def test_a_script_says_the_same(self, said):
        taught = [Taught(line, answer) for line, answer in said]
        path = self.mktemp()
        save(path, taught, force=True)
        with open(path, encoding="utf-8", newline="") as file:
            read = parse(file.read(), path)
        self.assertEqual(
            [(rule.match.exact, rule.replies) for rule in read.rules],
            [(rule.match.exact, rule.replies) for rule in learnt(taught).rules],
        )


class SocketTest(SynchronousTestCase):
    def test_a_path_may_hold_what_it_wants(self):
        operator = Operator(str.upper, r"unix:/a\:b:backlog=3", "", Clock())
        self.assertEqual(operator.endpoint, r"unix:/a\:b:backlog=3:mode=600")
