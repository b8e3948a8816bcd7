"""Faults on purpose: which fire, and what they do to the lines of a mock and of a proxy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.transports.test_udp import ALICE, Bench
from twisted_sock import Limits, LineFactory, LineProtocol
from twisted_sock.interfaces import Peer
from twisted_sock.script.fault_bytes import corrupted, in_bytes, in_two, misheard
from twisted_sock.script.fault_told import Told, begun, lines_of, one_after_another
from twisted_sock.script.faults import Faults
from twisted_sock.script.model import Fault, Match
from twisted_sock.testing import MemoryPeer

#: Long enough for everything that ends at all.
LONG = 30.0


def fault(do: str, **more: Any) -> Fault:
    """A fault of that name."""
    return Fault(**{"name": do, "line": 1, "do": do} | more)


def exact(line: str) -> Match:
    return Match(exact=line)


class Mocked(LineProtocol):
    """Answers in capitals, with faults: what of a mock they need.

    Args:
        world: what all conversations share.
    """

    state = ""

    def __init__(self, world: World) -> None:
        self._world = world
        self._faulty: Any = None

    def connectionMade(self) -> None:
        self._world.conversations.append(self)
        if self._world.faults.refuses(self.peer):
            self.abort()
            return
        self.look_again()

    def look_again(self) -> None:
        if self._faulty is None:
            self._faulty = self._world.faults.begin(self)

    def lineReceived(self, line: str) -> Any:
        if self._faulty is None:
            return self.play(line)
        return self._faulty.answer(line, self.play)

    def play(self, line: str) -> Any:
        self._world.played.append(line)
        return self._world.play(line, self)

    def connectionLost(self, reason: object) -> None:
        if self._faulty is not None:
            self._faulty.ended()


class World:
    """A mock in memory.

    Args:
        faults: what goes wrong in it.
        play: what it says to a line, given the line and the conversation.
        limits: its limits.
        seed: what is drawn from.

    Attributes:
        played: the lines that it was asked for replies to.
    """

    def __init__(
        self,
        *faults: Fault,
        play: Callable[[str, Mocked], Any] = lambda line, _: line.upper(),
        limits: Limits | None = None,
        seed: int = 7,
    ) -> None:
        self.clock = Clock()
        self.faults = Faults(faults, seed, self.clock)
        self.play = play
        self.played: list[str] = []
        self.conversations: list[Mocked] = []
        self.factory = LineFactory(lambda: None, limits=limits, reactor=self.clock)  # type: ignore
        self.factory._new_handler = lambda: Mocked(self)
        self._port = 40000

    def connect(self) -> MemoryPeer:
        self._port += 1
        return MemoryPeer(self.factory, self.clock, self._port)

    def ask(self, *lines: str, seconds: float = LONG) -> list[str]:
        """What a new peer is answered within so many seconds."""
        peer = self.connect()
        peer.say(*lines)
        peer.advance(seconds)
        return peer.lines()


class Case(SynchronousTestCase):
    def see_that_nothing_is_left(self, world: World) -> None:
        """No timer of ours is left; those that watch connections are not."""
        left = [str(each) for each in world.clock.getDelayedCalls()]
        self.assertEqual([each for each in left if "Deadlines" not in each], [])


class SeenTest(Case):
    """Each fault by itself, seen by the peer."""

    def answered(self, *faults: Fault, lines: str = "abc", **more: Any) -> list[str]:
        world = World(*faults, **more)
        answers = world.ask(*lines)
        world.clock.advance(LONG)
        self.see_that_nothing_is_left(world)
        self.assertEqual(self.flushLoggedErrors(), [])
        return answers

    def test_none(self) -> None:
        self.assertEqual(self.answered(), ["A", "B", "C"])

    def test_drop(self) -> None:
        self.assertEqual(self.answered(fault("drop", match=exact("b"))), ["A", "C"])

    def test_duplicate(self) -> None:
        self.assertEqual(
            self.answered(fault("duplicate", nth=(2,), copies=3)), ["A", "B", "B", "B", "C"]
        )

    def test_duplicate_of_several_lines(self) -> None:
        twice = fault("duplicate")
        answers = self.answered(twice, lines="a", play=lambda line, _: ["1", "2"])
        self.assertEqual(answers, ["1", "2", "1", "2"])

    def test_reorder(self) -> None:
        self.assertEqual(self.answered(fault("reorder", nth=(1,))), ["B", "A", "C"])

    def test_reorder_all(self) -> None:
        self.assertEqual(self.answered(fault("reorder"), lines="abcd"), ["B", "A", "D", "C"])

    def test_reorder_the_last(self) -> None:
        self.assertEqual(self.answered(fault("reorder", nth=(3,))), ["A", "B", "C"])

    def test_reorder_before_silence(self) -> None:
        first = fault("reorder", nth=(1,))
        answers = self.answered(first, play=lambda line, _: None if line == "b" else line)
        self.assertEqual(answers, ["a", "c"])

    def test_reorder_with_a_window(self) -> None:
        answers = self.answered(fault("reorder", every=2), lines="abcde", limits=Limits(window=4))
        self.assertEqual(answers, ["A", "C", "B", "E", "D"])

    def test_corrupt(self) -> None:
        world = World(fault("corrupt", nth=(2,)))
        peer = world.connect()
        peer.say("a", "hello", "c")
        first, second, third = peer.read().splitlines()
        self.assertEqual((first, third, len(second)), (b"A", b"C", 5))
        changed = [a ^ b for a, b in zip(second, b"HELLO", strict=True)]
        self.assertEqual(sum(each.bit_count() for each in changed), 1)

    def test_silence_is_not_said_later(self) -> None:
        world = World(fault("delay", seconds=1.0), play=lambda line, _: None)
        self.assertEqual((world.ask("a"), world.faults.fired), ([], {"delay": 0}))

    def test_several_at_once(self) -> None:
        world = World(fault("duplicate"), fault("delay", seconds=2.0), fault("bytes"))
        peer = world.connect()
        peer.say("ab")
        peer.advance(1.9)
        self.assertEqual(peer.read(), b"")
        peer.advance(0.2)
        self.assertEqual(peer.lines(), ["AB", "AB"])

    def test_replies_of_every_kind(self) -> None:
        async def coroutine(line: str) -> str:
            return line

        async def generator(line: str) -> Any:
            yield line
            yield line

        kinds = {
            "a": lambda world: "a",
            "b": lambda world: iter("bb"),
            "c": lambda world: coroutine("c"),
            "d": lambda world: generator("d"),
            "e": lambda world: deferLater(world.clock, 1, lambda: ["e", "e"]),
            "f": lambda world: None,
        }
        for do in ("delay", "bytes", "duplicate"):
            world = World(
                fault(do, copies=1, seconds=0.5), play=lambda line, who: kinds[line](who._world)
            )
            self.assertEqual("".join(world.ask(*"abcdef")), "abbcddee", do)

    def test_a_reply_that_fails_still_does(self) -> None:
        def play(line: str, _: Any) -> str:
            raise ValueError("broken on purpose")

        async def late(line: str) -> str:
            raise ValueError("broken on purpose")

        for do in ("delay", "cut", "drop", "reorder"):
            world = World(fault(do, seconds=0.5), play=lambda line, _: late(line))
            answers = world.ask("a", "b")
            if do != "reorder":
                self.assertEqual([line[:12] for line in answers], ["ERR internal"] * 2, do)
            world = World(fault(do, seconds=0.5), play=play)
            self.assertEqual(len(world.ask("a", "b")), 2, do)
            self.assertTrue(self.flushLoggedErrors(ValueError))

    def test_a_reply_that_cannot_be_sent(self) -> None:
        world = World(fault("bytes"), play=lambda line, _: "a\nb")
        self.assertEqual(world.ask("a")[0][:12], "ERR internal")
        self.flushLoggedErrors(ValueError)


class TimesTest(Case):
    def times(self, world: World, *lines: str, window: int = 1) -> list[tuple[float, str]]:
        """When each answer comes, in tenths of seconds."""
        peer = world.connect()
        peer.say(*lines)
        seen = []
        for _ in range(100):
            seen += [(round(world.clock.seconds(), 2), line) for line in peer.lines()]
            peer.advance(0.1)
        return seen

    def test_a_delay_holds_up_what_is_behind(self) -> None:
        world = World(fault("delay", nth=(2,), seconds=1.0))
        self.assertEqual(self.times(world, "a", "b", "c"), [(0, "A"), (1.0, "B"), (1.0, "C")])

    def test_delays_in_a_window_go_on_together(self) -> None:
        world = World(fault("delay", seconds=1.0), limits=Limits(window=3))
        self.assertEqual(self.times(world, *"abc"), [(1.0, "A"), (1.0, "B"), (1.0, "C")])

    def test_order_in_a_window(self) -> None:
        late = fault("delay", nth=(1,), seconds=2.0)
        world = World(late, fault("bytes", nth=(2,)), limits=Limits(window=8))
        answers = self.times(world, *"abcd")
        self.assertEqual([line for _, line in answers], list("ABCD"))
        self.assertEqual(answers[0][0], 2.0)

    def test_jitter_is_drawn(self) -> None:
        world = World(fault("delay", jitter=5.0))
        first, second = (when for when, _ in self.times(world, "a", "b"))
        self.assertTrue(0 < first < 5 and 0 < second - first < 5)

    def test_a_line_that_comes_late_is_played_late_and_in_turn(self) -> None:
        late = fault("delay", on="line", nth=(1,), seconds=1.0)
        for window in (1, 4):
            world = World(late, limits=Limits(window=window))
            peer = world.connect()
            peer.say("a", "b")
            peer.advance(0.9)
            self.assertEqual(world.played, [])
            peer.advance(0.2)
            self.assertEqual((world.played, peer.lines()), (["a", "b"], ["A", "B"]))

    def test_throttle(self) -> None:
        world = World(fault("throttle", rate=10.0))
        peer = world.connect()
        peer.say("x" * 49)
        peer.advance(2.5)
        self.assertIn(len(peer.read()), (25, 26))
        peer.advance(2.6)
        self.assertEqual(peer.read()[-1:], b"\n")

    def test_cut(self) -> None:
        world = World(fault("cut", seconds=0.5), play=lambda line, _: "héllo")
        peer = world.connect()
        peer.say("x", "y")
        self.assertEqual(peer.read(), "hé".encode()[:2])
        peer.advance(0.6)
        self.assertEqual(peer.read(), "éllo\n".encode()[1:] + "hé".encode()[:2])

    def test_bytes(self) -> None:
        world = World(fault("bytes", seconds=0.6))
        peer = world.connect()
        peer.say("hello")
        seen = []
        for _ in range(6):
            seen.append(peer.read())
            world.clock.advance(0.1)
        self.assertEqual(seen, [b"H", b"E", b"L", b"L", b"O", b"\n"])

    def test_nothing_is_pushed_into_a_line(self) -> None:
        world = World(fault("bytes", seconds=6.0))
        peer = world.connect()
        peer.say("hello")
        peer.advance(2)
        world.conversations[0].sendLine("pushed")
        peer.advance(10)
        self.assertEqual(peer.lines(), ["HELLO", "pushed"])

    def test_what_is_pushed_need_not_wait_for_a_reply(self) -> None:
        world = World(
            fault("cut"), play=lambda line, who: deferLater(who._world.clock, 5, lambda: line)
        )
        peer = world.connect()
        peer.say("hello")
        peer.advance(1)
        world.conversations[0].sendLine("pushed")
        self.assertEqual(peer.lines(), ["pushed"])
        peer.advance(5)
        self.assertEqual(peer.lines(), ["hello"])

    def test_a_reply_that_is_given_up_ends_its_line(self) -> None:
        world = World(fault("bytes", nth=(1,), seconds=60.0), limits=Limits(reply_timeout=5))
        answers = world.ask("hello", "you")
        self.assertEqual(answers, ["HELLO", "ERR timeout no reply in time", "YOU"])


class ConnectionTest(Case):
    def test_stop_reading(self) -> None:
        world = World(fault("stop-reading", nth=(1,), seconds=2.0))
        peer = world.connect()
        peer.say("a")
        self.assertEqual(peer.lines(), ["A"])
        peer.say("b")
        peer.advance(1.9)
        self.assertEqual((world.played, peer.lines()), (["a"], []))
        peer.advance(0.2)
        self.assertEqual(peer.lines(), ["B"])

    def test_stop_reading_for_ever(self) -> None:
        world = World(fault("stop-reading"))
        peer = world.connect()
        peer.say("a")
        peer.say("b")
        peer.advance(LONG)
        self.assertEqual(world.played, ["a"])
        self.see_that_nothing_is_left(world)

    def test_half_close(self) -> None:
        world = World(fault("half-close", nth=(1,)))
        peer = world.connect()
        peer.say("a")
        self.assertEqual((peer.lines(), peer.ended, peer.gone), (["A"], True, False))
        peer.say("b")
        self.assertEqual((world.played, peer.lines()), (["a", "b"], []))
        peer.end()
        self.assertTrue(peer.gone)

    def test_reset(self) -> None:
        world = World(fault("reset", match=exact("b")))
        peer = world.connect()
        peer.say("a", "b", "c")
        peer.advance(0.1)
        self.assertEqual((peer.lines(), peer.gone, world.played), (["A"], True, ["a", "b"]))

    def test_reset_before_a_line_is_answered(self) -> None:
        world = World(fault("reset", on="line", match=exact("b")))
        peer = world.connect()
        peer.say("a", "b")
        peer.advance(0.1)
        self.assertEqual((peer.gone, world.played), (True, ["a"]))

    def test_reset_later(self) -> None:
        world = World(fault("delay", seconds=1.0), fault("reset"))
        peer = world.connect()
        peer.say("a")
        peer.advance(0.9)
        self.assertFalse(peer.gone)
        peer.advance(0.2)
        self.assertTrue(peer.gone)

    def test_refuse(self) -> None:
        world = World(fault("refuse", connections=2))
        peers = [world.connect() for _ in range(4)]
        self.assertEqual([peer.gone for peer in peers], [True, True, False, False])
        self.assertEqual(world.faults.fired, {"refuse": 2})
        peers[2].say("a")
        self.assertEqual(peers[2].lines(), ["A"])
        world.faults.reset()
        self.assertTrue(world.connect().gone)

    def test_refuse_after_a_line(self) -> None:
        world = World(
            fault("refuse", connections=1, match=exact("crash")), fault("reset", nth=(1,))
        )
        peer = world.connect()
        peer.say("crash")
        peer.advance(0.1)
        self.assertTrue(peer.gone)
        self.assertEqual([world.connect().gone for _ in range(2)], [True, False])

    def test_refuse_only_some(self) -> None:
        nobody = fault("refuse", connections=9, match=Match(client=("10.0.0.0/8",)))
        self.assertFalse(World(nobody).connect().gone)
        rarely = World(fault("refuse", connections=1000, probability=0.5))
        refused = sum(rarely.connect().gone for _ in range(100))
        self.assertTrue(20 < refused < 80)
        twice = World(fault("refuse", connections=9, times=2))
        self.assertEqual([twice.connect().gone for _ in range(3)], [True, True, False])

    def test_what_is_under_way_ends_with_the_conversation(self) -> None:
        dos = ["delay", "bytes", "cut", "throttle", "reorder", "stop-reading"]
        for side in ("reply", "line"):
            for do in dos:
                world = World(
                    fault(do, on=side, seconds=20.0, rate=0.5),
                    play=lambda line, who: deferLater(who._world.clock, 1, lambda: line),
                    limits=Limits(window=5),
                )
                for end in ("close", "reset"):
                    for wait in (0.0, 0.5, 3.0):
                        peer = world.connect()
                        peer.say("a", "b", "c")
                        peer.advance(wait)
                        getattr(peer, end)()
                        if end == "close":
                            peer.advance(100)
                        self.see_that_nothing_is_left(world)
        self.assertEqual(self.flushLoggedErrors(), [])


class LinesTest(Case):
    """Faults of what is heard."""

    def played(self, *faults: Fault, lines: str = "abc", **more: Any) -> list[str]:
        world = World(*faults, **more)
        world.ask(*lines)
        self.see_that_nothing_is_left(world)
        return world.played

    def test_drop(self) -> None:
        self.assertEqual(self.played(fault("drop", on="line", nth=(2,))), ["a", "c"])

    def test_duplicate(self) -> None:
        world = World(fault("duplicate", on="line", nth=(2,)))
        self.assertEqual(world.ask(*"abc"), ["A", "B", "B", "C"])

    def test_reorder(self) -> None:
        world = World(fault("reorder", on="line", nth=(1,)))
        self.assertEqual((world.ask(*"abc"), world.played), (["B", "A", "C"], ["b", "a", "c"]))

    def test_reorder_the_last(self) -> None:
        self.assertEqual(self.played(fault("reorder", on="line"), lines="a"), ["a"])

    def test_corrupt(self) -> None:
        (heard,) = self.played(fault("corrupt", on="line"), lines="a")
        self.assertNotEqual(heard, "a")
        self.assertEqual(len(heard), 1)

    def test_what_takes_time(self) -> None:
        for do, more in (
            ("cut", {"seconds": 1.0}),
            ("bytes", {"seconds": 1.0}),
            ("throttle", {"rate": 2.0}),
        ):
            world = World(fault(do, on="line", **more))
            self.assertEqual(world.ask("a", seconds=0.9), [])
            self.assertEqual(world.ask("a", seconds=1.1), ["A"])

    def test_both_sides(self) -> None:
        world = World(fault("duplicate", on="line", name="heard"), fault("duplicate"))
        self.assertEqual(world.ask("a"), ["A"] * 4)
        self.assertEqual(world.faults.fired, {"heard": 1, "duplicate": 2})


class WhichTest(Case):
    """Which lines a fault is for."""

    def dropped(self, lines: str = "abcabc", **more: Any) -> str:
        world = World(fault("drop", **more))
        said = "".join(world.ask(*lines)).lower()
        left = Counter(lines) - Counter(said)
        return "".join(sorted(left.elements()))

    def test_by_place(self) -> None:
        for more, dropped in (
            ({"nth": (1,)}, "a"),
            ({"nth": (2, 3, 9)}, "bc"),
            ({"every": 2}, "abc"),
            ({"every": 3}, "cc"),
            ({"nth": (2,), "match": exact("c")}, "c"),
            ({"times": 4}, "aabc"),
            ({"match": Match(prefix="b")}, "bb"),
            ({"match": Match(regex="[ab]")}, "aabb"),
            ({"match": Match(when=("elsewhere",))}, ""),
            ({"match": Match(client=("127.0.0.0/8",)), "every": 6}, "c"),
            ({"match": Match(client=("10.0.0.0/8",))}, ""),
            ({"probability": 0.0}, ""),
        ):
            self.assertEqual(self.dropped(**more), dropped, more)

    def test_by_the_state_in_which_a_line_is_said(self) -> None:
        def play(line: str, who: Mocked) -> str:
            who.state = "in"
            return line

        world = World(fault("drop", match=Match(when=("in",))), play=play)
        self.assertEqual(world.ask("a", "b"), ["a"])

    def test_counted_in_each_conversation(self) -> None:
        world = World(fault("drop", nth=(2,)))
        self.assertEqual([world.ask(*"abc") for _ in range(2)], [["A", "C"]] * 2)

    def test_times_are_counted_in_all(self) -> None:
        world = World(fault("drop", times=1))
        self.assertEqual([world.ask(*"ab") for _ in range(2)], [["B"], ["A", "B"]])

    def test_what_is_drawn_repeats_whatever_others_do(self) -> None:
        lines = [str(n) for n in range(40)]
        likely = fault("drop", probability=0.5)
        first, second = World(likely), World(likely)
        apart = [first.ask(*lines) for _ in range(3)]
        peers = [second.connect() for _ in range(3)]
        for line in lines:
            for peer in reversed(peers):
                peer.say(line)
        self.assertEqual([peer.lines() for peer in peers], apart)
        self.assertEqual(len({tuple(each) for each in apart}), 3)
        self.assertTrue(all(5 < len(each) < 35 for each in apart))
        self.assertNotEqual(World(likely, seed=8).ask(*lines), apart[0])
        first.faults.reset()
        self.assertEqual(first.ask(*lines), apart[0])


class ToldTest(Case):
    """What can be asked for, and what is in the log."""

    def setUp(self) -> None:
        self.log: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.log.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.log.append)

    def test_firings(self) -> None:
        world = World(fault("drop", match=Match(prefix="secret")), fault("delay", name="slow"))
        world.clock.advance(1000)
        world.ask("a", "secret 1", seconds=0)
        told = [(each.name, each.do, each.peer, each.number) for each in world.faults.firings]
        who = "127.0.0.1:40001"
        self.assertEqual(
            told, [("slow", "delay", who, 1), ("drop", "drop", who, 2), ("slow", "delay", who, 2)]
        )
        self.assertEqual({int(each.at) for each in world.faults.firings}, {1000})
        self.assertEqual(world.faults.fired, {"drop": 1, "slow": 2})
        lines = [formatEvent(event) for event in self.log if "fired" in event["log_format"]]
        self.assertEqual(lines[1], f"drop (drop) fired: {who}, line 2")
        self.assertEqual(len({event["log_format"] for event in self.log}), 1)
        self.assertNotIn("secret", "".join(lines))

    def test_only_so_many_are_remembered(self) -> None:
        world = World(fault("drop"))
        world.ask(*["a"] * 1200)
        self.assertEqual((world.faults.fired["drop"], len(world.faults.firings)), (1200, 1000))

    def test_reset(self) -> None:
        world = World(fault("drop", nth=(1,), times=1))
        peer = world.connect()
        peer.say("a", "b")
        world.faults.reset()
        self.assertEqual((world.faults.fired, len(world.faults.firings)), ({"drop": 0}, 0))
        peer.say("c", "d")
        self.assertEqual(peer.lines(), ["B", "D"])

    def test_inject_and_remove(self) -> None:
        world = World()
        peer = world.connect()
        peer.say("a")
        world.faults.inject(fault("drop"))
        world.conversations[0].look_again()
        peer.say("b")
        self.assertTrue(world.faults.remove("drop"))
        self.assertFalse(world.faults.remove("drop"))
        peer.say("c")
        self.assertEqual((peer.lines(), world.faults.fired), (["A", "C"], {}))

    def test_an_injected_fault_begins_anew(self) -> None:
        world = World(fault("drop", nth=(1,)))
        peer = world.connect()
        for _ in range(150):
            world.faults.inject(fault("drop", name="more", nth=(2,)))
            peer.say("a", "b")
        self.assertEqual(peer.lines(), ["A"] * 149)

    def test_one_may_have_the_name_of_another(self) -> None:
        world = World(fault("delay"))
        world.faults.inject(fault("duplicate", name="delay"))
        self.assertEqual((world.ask("a"), world.faults.fired), (["A", "A"], {"delay": 2}))
        world.faults.remove("delay")
        self.assertEqual(world.faults.fired, {})

    def test_a_pattern_that_runs_away(self) -> None:
        world = World(fault("drop", match=Match(regex="(a|aa)+b")))
        self.assertEqual(world.faults.missed(), [])
        self.assertEqual(len(world.ask("a" * 60, "a" * 60)), 2)
        missed = ["drop: its regular expression took too long 2 times"]
        self.assertEqual(world.faults.missed(), missed)
        self.assertEqual(len([each for each in self.log if "too long" in each["log_format"]]), 1)

    def test_other_faults_are_loaded(self) -> None:
        world = World(fault("drop", nth=(2,)), fault("delay"))
        peer = world.connect()
        peer.say("a")
        world.faults.inject(fault("duplicate"))
        world.faults.load([fault("drop", nth=(2,)), fault("cut")])
        peer.say("b", "c")
        peer.advance(1)
        self.assertEqual(peer.lines(), ["A", "C", "C"])
        self.assertEqual(world.faults.fired, {"drop": 1, "cut": 2, "duplicate": 2})

    def test_what_cannot_be_done_is_told_once(self) -> None:
        dos = ["half-close", "reset", "cut", "bytes", "throttle", "stop-reading"]
        world = World(*map(fault, dos), fault("duplicate"))
        bench = Bench(lambda: None, udp_answers="any")
        bench.factory._new_handler = lambda: Mocked(world)
        self.assertEqual(bench.hear(b"a\nb\n"), [b"A\nA\nB\nB\n"])
        self.assertEqual(world.faults.fired, dict.fromkeys(dos, 0) | {"duplicate": 2})
        told = [each["name"] for each in self.log if "cannot" in each["log_format"]]
        self.assertEqual(told, dos)

    def test_a_byte_of_a_datagram(self) -> None:
        world = World(fault("corrupt"))
        bench = Bench(lambda: None, udp_answers="any")
        bench.factory._new_handler = lambda: Mocked(world)
        (said,) = bench.hear(b"hello\n", ALICE)
        self.assertEqual((len(said), said == b"HELLO\n", said[-1:]), (6, False, b"\n"))


class Relayed:
    """A conversation that is passed on, as faults see it.

    Args:
        faults: what goes wrong.
    """

    state = ""

    def __init__(self, *faults: Fault) -> None:
        self.world = World()
        self.peer_side = self.world.connect()
        self.session = self.world.conversations[0].session
        self.said: list[str] = []
        self.faults = Faults(faults, 7, self.world.clock)
        faulty = self.faults.begin(self)
        assert faulty is not None
        self.faulty = faulty
        wire = lambda: self.session.wire  # noqa: E731
        self.there = faulty.way("line", wire, self.said.append)
        self.back = faulty.way("reply", wire, self.sendLine)

    @property
    def peer(self) -> Peer:
        return self.session.peer

    def sendLine(self, line: str) -> None:
        self.session.sendLine(line)


class WayTest(Case):
    """Faults of a proxy."""

    def test_nothing_goes_wrong(self) -> None:
        relayed = Relayed(fault("drop", on="line", nth=(9,)))
        self.assertIsNone(relayed.there.pass_on("a"))
        self.assertIsNone(relayed.back.pass_on("b"))
        self.assertEqual((relayed.said, relayed.peer_side.lines()), (["a"], ["b"]))

    def test_lines_are_passed_on_in_order(self) -> None:
        relayed = Relayed(fault("delay", on="line", nth=(1,), seconds=1.0))
        done = [relayed.there.pass_on(line) for line in "abc"]
        self.assertEqual((relayed.said, relayed.there.waiting), ([], 3))
        relayed.world.clock.advance(1.0)
        self.assertEqual((relayed.said, relayed.there.waiting), (["a", "b", "c"], 0))
        self.assertEqual([self.successResultOf(each) for each in done if each], [None] * 3)
        self.assertIsNone(relayed.there.pass_on("d"))
        self.assertEqual(relayed.said[-1], "d")

    def test_drop_duplicate_reorder(self) -> None:
        relayed = Relayed(
            fault("drop", on="line", match=exact("a")),
            fault("duplicate", on="line", match=exact("b")),
            fault("reorder", on="line", match=exact("c")),
        )
        for line in "abcde":
            relayed.there.pass_on(line)
        self.assertEqual(relayed.said, ["b", "b", "d", "c", "e"])

    def test_reorder_the_last(self) -> None:
        relayed = Relayed(fault("reorder", on="line"))
        relayed.there.pass_on("a")
        self.assertEqual(relayed.said, [])
        relayed.world.clock.advance(2)
        self.assertEqual(relayed.said, ["a"])

    def test_bytes_of_what_comes_back(self) -> None:
        relayed = Relayed(fault("bytes", seconds=4.0, match=exact("question")))
        relayed.back.pass_on("plain", "other")
        relayed.back.pass_on("abc", "question")
        relayed.world.clock.advance(1.5)
        self.assertEqual(relayed.peer_side.read(), b"plain\nab")
        relayed.peer_side.advance(4)
        self.assertEqual(relayed.peer_side.read(), b"c\n")

    def test_one_that_cannot_be_said_stops_nothing(self) -> None:
        relayed = Relayed(fault("delay", seconds=1.0))
        for line in ("a\nb", "c"):
            relayed.back.pass_on(line)
        relayed.peer_side.advance(1.1)
        self.assertEqual(relayed.peer_side.lines()[-1:], ["c"])
        self.flushLoggedErrors(ValueError)

    def test_lines_that_come_while_another_is_said(self) -> None:
        relayed = Relayed(fault("delay", on="line", nth=(1,), seconds=1.0))
        said: list[str] = []

        def say(line: str) -> None:
            said.append(f"<{line}")
            if line == "a":
                way.pass_on("b")
            said.append(f"{line}>")

        way = relayed.faulty.way("line", lambda: relayed.session.wire, say)
        way.pass_on("a")
        relayed.world.clock.advance(1.0)
        self.assertEqual(said, ["<a", "a>", "<b", "b>"])

    def test_it_ends(self) -> None:
        relayed = Relayed(
            fault("delay", on="line", seconds=1.0), fault("bytes"), fault("reorder", nth=(2,))
        )
        done = [relayed.there.pass_on(line) for line in "ab"]
        done += [relayed.back.pass_on(line) for line in "cd"]
        relayed.faulty.ended()
        self.assertEqual(relayed.said, [])
        for each in done:
            if each is not None:
                self.successResultOf(each)
        self.see_that_nothing_is_left(relayed.world)
        relayed.faulty.ended()


# What must hold whatever the faults.

TEXTS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
SIDE = st.sampled_from(["reply", "line"])
PLACES = st.fixed_dictionaries(
    {"nth": st.lists(st.integers(1, 8), max_size=3).map(tuple), "every": st.integers(0, 3)}
)
SECONDS = st.floats(0, 2)


def some(*dos: str) -> st.SearchStrategy[list[Fault]]:
    """A few faults of these kinds."""
    one = st.builds(
        lambda do, side, places, seconds, copies: fault(
            do, on=side, seconds=seconds, copies=copies, rate=50.0, **places
        ),
        st.sampled_from(dos), SIDE, PLACES, SECONDS, st.integers(1, 3),
    )  # fmt: skip
    return st.lists(one, max_size=4).map(
        lambda few: [Fault(**_fields(each) | {"name": f"{n}"}) for n, each in enumerate(few)]
    )


def _fields(each: Fault) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__slots__}


class WhateverTest(Case):
    @settings(max_examples=60, deadline=None)
    @given(
        some("cut", "bytes", "throttle", "delay"), st.lists(TEXTS, max_size=6), st.integers(1, 4)
    )
    def test_bytes_are_the_same(self, faults: list[Fault], lines: list[str], window: int) -> None:
        world = World(*faults, play=lambda line, _: line, limits=Limits(window=window))
        peer = world.connect()
        said = "".join(f"{line}\n" for line in lines).encode()
        peer.send(said)
        peer.advance(LONG * 2)
        self.assertEqual(peer.read(), said)
        peer.reset()
        self.see_that_nothing_is_left(world)

    @settings(max_examples=60, deadline=None)
    @given(some("drop", "duplicate", "reorder", "delay"), st.integers(0, 8), st.integers(1, 4))
    def test_lines_are_as_specified(self, faults: list[Fault], count: int, window: int) -> None:
        world = World(*faults, play=lambda line, _: line, limits=Limits(window=window))
        lines = [str(n) for n in range(1, count + 1)]
        answers = world.ask(*lines)
        times = dict.fromkeys(lines, 1)
        copies = {each.name: each.copies for each in faults}
        ways: dict[str, dict[str, Any]] = {line: {"line": 1, "reply": 1} for line in lines}
        on = {each.name: each.on for each in faults}
        for firing in world.faults.firings:
            way = ways[str(firing.number)]
            if firing.do == "drop":
                way[on[firing.name]] = 0
            elif firing.do == "duplicate" and on[firing.name] == "line":
                way["line"] *= copies[firing.name]
        if any(each.on == "reply" and each.do in ("drop", "duplicate") for each in faults) and any(
            each.on == "line" and each.do == "duplicate" for each in faults
        ):
            return  # then some replies to a line are as they are, and some not
        for firing in world.faults.firings:
            if firing.do == "duplicate" and on[firing.name] == "reply":
                ways[str(firing.number)]["reply"] *= copies[firing.name]
        times = {line: way["line"] * way["reply"] for line, way in ways.items()}
        self.assertEqual(Counter(answers), Counter(times) - Counter())
        if not any(each.do == "reorder" for each in faults):
            self.assertEqual(answers, sorted(answers, key=int))

    @given(st.lists(TEXTS, min_size=1, max_size=4), st.floats(0, 1, exclude_max=True))
    def test_one_bit_is_changed(self, lines: list[str], draw: float) -> None:
        parts = [(line, f"{line}\n".encode()) for line in lines]
        before = b"".join(data for _, data in parts)
        after = b"".join(data for _, data in corrupted(parts, draw))
        bits = sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True))
        self.assertEqual(bits, 1 if any(lines) else 0)
        self.assertEqual((after.count(b"\n"), after.count(b"\r")), (len(lines), 0))

    @given(TEXTS, st.floats(0, 1, exclude_max=True))
    def test_what_is_misheard_is_a_line(self, line: str, draw: float) -> None:
        self.assertNotIn("\n", misheard(line, draw))

    @given(st.lists(TEXTS, min_size=1, max_size=4))
    def test_pieces_make_up_the_whole(self, lines: list[str]) -> None:
        parts = [(line, f"{line}\n".encode()) for line in lines]
        whole = b"".join(data for _, data in parts)
        for pieces in (in_two(parts, 0), in_bytes(parts, 0)):
            self.assertEqual(b"".join(data for data, _ in pieces), whole)
        first = in_two(parts, 0)[0][0]
        if any(not line.isascii() for line in lines):
            self.assertRaises(UnicodeDecodeError, first.decode)


class InWorkTest(Case):
    def test_replies_in_work_begin_at_once(self) -> None:
        asked: list[Deferred[str]] = []

        def play(line: str, _: Any) -> Any:
            asked.append(Deferred())
            return asked[-1]

        world = World(fault("delay", seconds=1.0), play=play, limits=Limits(window=2))
        peer = world.connect()
        peer.say("a", "b")
        self.assertEqual(len(asked), 2)
        asked[1].callback("B")
        peer.advance(2)
        self.assertEqual(peer.lines(), [])
        asked[0].callback("A")
        self.assertEqual(peer.lines(), ["A", "B"])

    def test_one_that_is_garbage_leaves_what_it_awaits_alone(self) -> None:
        """As when a whole conversation is: to cancel it would resume what is being closed."""
        for around in (lines_of, one_after_another):
            under = begun(Deferred())
            told = Told(around(under), under)
            coming = told.__anext__()
            done = Deferred.fromCoroutine(coming)
            self.assertFalse(told.over)
            coming.close()
            self.assertTrue(told.over)
            self.assertNoResult(done)
            self.assertNoResult(under)
