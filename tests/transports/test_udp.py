"""Lines in datagrams, in memory: one port, many peers, a clock."""

import cProfile
import functools
import gc
import itertools
import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import MessageLengthError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LineFactory, LinePolicy, LineProtocol, Reason
from twisted_sock.framing import make_framer
from twisted_sock.settings import Datagrams
from twisted_sock.testing import MemoryPeer
from twisted_sock.udp.peer import DatagramPeer
from twisted_sock.udp.table import Conversations

ALICE = ("192.0.2.1", 40001)
BOB = ("192.0.2.2", 40002)
PORT = 1234


class FakeSocket:
    """What of `IUDPTransport` is used; sends nothing while it is broken."""

    def __init__(self, port):
        self.port = port
        self.sent = []
        self.broken = None

    def getHost(self):
        return IPv4Address("UDP", "127.0.0.1", self.port)

    def write(self, data, addr):
        if self.broken is not None:
            raise self.broken
        self.sent.append((bytes(data), addr))


class Bench:
    """A port in memory, and what it sends."""

    def __init__(self, handler, *, policy=None, limits=None, port=PORT, **allowed):
        self.clock = Clock()
        self.clock.advance(1000)
        self.factory = LineFactory(
            handler, policy=policy, limits=limits or Limits(), reactor=self.clock
        )
        self.socket = FakeSocket(port)
        self.table = Conversations(self.factory, Datagrams(**allowed))
        self.table.makeConnection(self.socket)
        self.counters = self.factory.counters

    def hear(self, data, source=ALICE):
        """A datagram comes; returns what is sent to its source at once."""
        self.table.datagramReceived(data, source)
        return self.said(source)

    def said(self, source=ALICE):
        """What has been sent to a source since it was asked last."""
        sent = [data for data, to in self.socket.sent if to == source]
        self.socket.sent = [each for each in self.socket.sent if each[1] != source]
        return sent

    def wait(self, seconds):
        self.clock.pump([0.01] * 2 + [seconds])

    @property
    def dropped(self):
        return self.counters.problems[Reason.DATAGRAM]


def held(asked):
    """A handler whose answers the test gives."""

    def handler(line):
        asked[line] = Deferred()
        return asked[line]

    return handler


def slow_or_upper(asked):
    """A handler that answers what begins with "slow" when the test does."""
    wait = held(asked)
    return lambda line: wait(line) if line.startswith("slow") else line.upper()


class Greeter(LineProtocol):
    def connectionMade(self):
        return "hi"

    def lineReceived(self, line):
        return line


class DatagramTest(SynchronousTestCase):
    """What is a line, and what is a datagram."""

    def test_every_line_is_answered_in_one_datagram_ended_alike(self):
        for asked, answered in [
            (b"a\n", b"A\n"),
            (b"a", b"A"),
            (b"a\nb\n", b"A\nB\n"),
            (b"a\r\nb\r\n", b"A\r\nB\r\n"),
            (b"a\r\nb", b"A\r\nB"),
            (b"\n", b"\n"),
            (b"a\n\n", b"A\n\n"),
        ]:
            self.assertEqual(Bench(str.upper).hear(asked), [answered], asked)

    def test_each_datagram_stands_alone(self):
        bench = Bench(str.upper)
        self.assertEqual(bench.hear(b"a"), [b"A"])
        self.assertEqual(bench.hear(b"b\nc"), [b"B\nC"])
        self.assertEqual(bench.counters.lines_in, 3)
        self.assertEqual(bench.counters.opened, 1)

    def test_a_last_line_counts_whatever_the_policy_is_for_streams(self):
        self.assertEqual(Bench(str.upper, policy=LinePolicy(eof_tail="drop")).hear(b"a"), [b"A"])

    def test_an_empty_last_answer_is_seen(self):
        bench = Bench(lambda _: ["", ""], udp_answers="any")
        self.assertEqual(bench.hear(b"a"), [b"\n\n"])

    def test_an_empty_datagram_is_no_line(self):
        bench = Bench(str.upper)
        self.assertEqual(bench.hear(b""), [])
        self.assertEqual((bench.counters.opened, bench.dropped), (0, 1))

    def test_an_empty_datagram_shows_that_a_peer_is_there(self):
        bench = Bench(str.upper, udp_timeout=10.0)
        bench.hear(b"a")
        for _ in range(5):
            bench.wait(8)
            bench.hear(b"")
        self.assertEqual((bench.counters.current, bench.dropped), (1, 0))

    def test_what_is_too_long_is_dropped(self):
        bench = Bench(str.upper, max_datagram=10)
        self.assertEqual(bench.hear(b"x" * 11), [])
        self.assertEqual((bench.counters.opened, bench.dropped), (0, 1))
        self.assertEqual(bench.hear(b"x" * 10), [b"X" * 10])
        self.assertEqual(bench.hear(b"x" * 11), [])
        self.assertEqual(bench.dropped, 2)

    def test_the_policy_is_for_each_line(self):
        bench = Bench(str.upper, policy=LinePolicy(max_line=5), udp_answers="any")
        [answer] = bench.hear(b"one\ntoolong\nb\xff\nlast")
        self.assertEqual(
            answer.decode().split("\n"),
            [
                "ONE",
                "ERR too-long a line may have at most 5 bytes",
                "ERR utf8 the line is not valid UTF-8 at byte 1",
                "LAST",
            ],
        )

    def test_a_problem_may_end_the_conversation(self):
        bench = Bench(str.upper, policy=LinePolicy(invalid="close"), udp_answers="any")
        [answer] = bench.hear(b"\xff\na\n")
        self.assertTrue(answer.startswith(b"ERR utf8"))
        self.assertEqual(bench.counters.closed, {Reason.UTF8: 1})
        self.assertEqual(bench.hear(b"again"), [b"AGAIN"])

    def test_a_chunk_is_a_datagram(self):
        bench = Bench(lambda text: [text, text], policy=LinePolicy(framing="chunk"))
        self.assertEqual(bench.hear(b"a\nb"), [b"a\nb"])
        self.assertEqual(bench.dropped, 1)
        bench = Bench(
            lambda text: [text, text], policy=LinePolicy(framing="chunk"), udp_answers="any"
        )
        self.assertEqual(bench.hear(b"a\nb"), [b"a\nb", b"a\nb"])
        self.assertEqual(bench.hear(b"\xe4")[0][:8], b"ERR utf8")

    def test_long_answers_take_as_few_datagrams_as_they_fit(self):
        bench = Bench(lambda _: ["x" * 39] * 5, udp_answers="any", max_datagram=100)
        self.assertEqual([len(each) for each in bench.hear(b"?\n")], [80, 80, 40])

    def test_an_answer_that_no_datagram_has_room_for(self):
        bench = Bench(lambda _: ["x" * 101, "short"], udp_answers="any", max_datagram=100)
        [answer] = bench.hear(b"?\n")
        self.assertEqual(answer, b"ERR datagram a reply may have at most 100 bytes\nshort\n")
        self.assertEqual(bench.dropped, 1)

    def test_bytes_and_lines_are_counted(self):
        bench = Bench(str.upper)
        bench.hear(b"a\nbc")
        counters = bench.counters
        self.assertEqual((counters.bytes_in, counters.bytes_out), (4, 4))
        self.assertEqual((counters.lines_in, counters.lines_out), (2, 2))


class CreditTest(SynchronousTestCase):
    """No more goes to a peer than came from it."""

    def test_a_longer_answer_is_dropped(self):
        bench = Bench(lambda line: line * 2)
        self.assertEqual(bench.hear(b"hello\n"), [])
        self.assertEqual((bench.dropped, bench.counters.lines_out), (1, 0))

    def test_the_peer_is_told_if_that_fits(self):
        bench = Bench(lambda line: line * 2)
        self.assertEqual(
            bench.hear(b"x" * 80), [b"ERR datagram the reply is longer than what was asked"]
        )

    def test_the_next_lines_still_have_their_answers(self):
        bench = Bench({"long": "much longer than that", "ok": "ok"}.get)
        self.assertEqual(bench.hear(b"long\nok\n"), [b"ok\n"])

    def test_what_was_not_used_can_be_used_later(self):
        bench = Bench({"store": None, "get": "0123456789"}.get)
        self.assertEqual(bench.hear(b"store\n"), [])
        self.assertEqual(bench.hear(b"get\n"), [])  # 6 + 4 bytes are one too few
        self.assertEqual(bench.hear(b"store\n"), [])
        self.assertEqual(bench.hear(b"get\n"), [b"0123456789\n"])

    def test_greetings_and_pushes_count(self):
        bench = Bench(Greeter)
        self.assertEqual(bench.hear(b"a\n"), [b"a\n"])  # but not "hi"
        protocol = bench.table._peers[ALICE].session._protocol
        protocol.sendLine("news")
        self.assertEqual(bench.said(), [])
        self.assertEqual(bench.dropped, 2)

    def test_a_greeting_leaves_with_the_first_answer(self):
        bench = Bench(Greeter, udp_answers="any")
        self.assertEqual(bench.hear(b"a\n"), [b"hi\na\n"])
        bench.table._peers[ALICE].session._protocol.sendLine("news")
        self.assertEqual(bench.said(), [b"news\n"])

    def test_lines_of_one_datagram_wait_for_each_other(self):
        """As many datagrams as lines would be worth more than the one that they came in."""
        for window in (1, 2, 8):
            asked = {}
            bench = Bench(held(asked), limits=Limits(window=window))
            self.assertEqual(bench.hear(b"a\nb\nc\n"), [])
            for name in "abc":
                self.assertEqual(bench.said(), [])
                asked[name].callback(name.upper())
                bench.wait(0.1)
            self.assertEqual(bench.said(), [b"A\nB\nC\n"], window)
            self.assertEqual(bench.dropped, 0)

    def test_lines_that_wait_leave_when_a_reply_ends_without_a_line(self):
        last = Deferred()

        async def numbers(line):
            yield line[0]
            await last

        bench = Bench(numbers)
        self.assertEqual(bench.hear(b"abc\n"), [])
        bench.wait(0.1)
        self.assertEqual(bench.said(), [])
        last.callback(None)
        bench.wait(0.1)
        self.assertEqual(bench.said(), [b"a\n"])

    def test_lines_that_wait_are_ended_as_what_they_answer(self):
        for first, second, answers in [
            (b"a\r\nslow\r\n", b"c", [b"A\r\n", b"S\nC"]),
            (b"a\nslow", b"c\r\n", [b"A", b"S\r\nC\r\n"]),
            (b"a\nslow\n", b"c", [b"A\n", b"S\nC"]),
        ]:
            asked = {}
            bench = Bench(slow_or_upper(asked))
            self.assertEqual(bench.hear(first), [])
            said = bench.hear(second)
            asked["slow"].callback("S")
            self.assertEqual(said + bench.said(), answers)

    def test_answers_that_may_be_any_do_not_wait(self):
        asked = {}
        bench = Bench(held(asked), udp_answers="any")
        bench.hear(b"a\nb\n")
        asked["a"].callback("A")
        self.assertEqual(bench.said(), [b"A\n"])

    def test_refusals_are_worth_nothing_to_an_attacker(self):
        for answers in ("smaller", "any"):
            bench = Bench(str.upper, limits=Limits(max_per_peer=1), udp_answers=answers)
            other = (ALICE[0], 40003)
            self.assertEqual(bench.hear(b"a"), [b"A"])
            self.assertEqual(bench.hear(b"a", other), [])
            self.assertEqual(
                bench.hear(b"x" * 60, other), [b"ERR busy too many connections, try again later"]
            )
            self.assertEqual((bench.counters.current, len(bench.table._peers)), (1, 1))
            self.assertEqual(bench.hear(b"b"), [b"B"])

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_whatever_comes_nothing_is_raised_and_no_more_goes_out(self, data):
        """Neither bytes nor datagrams, at any moment, to any source."""
        waiting = []
        drawn = itertools.cycle(data.draw(st.lists(st.integers(0, 8), min_size=1, max_size=9)))

        def handler(line):
            kinds = [None, line, line * 3, [line, line], "x" * 60, ["", ""], iter([line] * 3)]
            kind = next(drawn)
            if kind < len(kinds):
                return kinds[kind]
            waiting.append(Deferred())
            return waiting[-1]

        policy = LinePolicy(
            framing=data.draw(st.sampled_from(["lines", "chunk"])),
            overlong=data.draw(st.sampled_from(["report", "close", "truncate"])),
            invalid=data.draw(st.sampled_from(["report", "close", "replace"])),
            max_line=data.draw(st.sampled_from([0, 5, 60])),
        )
        limits = Limits(window=data.draw(st.integers(0, 3)), reply_timeout=1.0)
        bench = Bench(handler, policy=policy, limits=limits, max_datagram=90, max_udp_peers=2)
        bits = st.sampled_from([b"\n", b"\r\n", b"a", b"\xff", b"\xe4", "世".encode(), b"x" * 40])
        datagrams = st.one_of(st.binary(max_size=100), st.lists(bits, max_size=9).map(b"".join))
        sources = st.sampled_from([ALICE, BOB, ("::1", 5), ("192.0.2.1", 0), ("224.0.0.1", 9)])
        bytes_in, count_in = Counter(), Counter()
        bytes_out, count_out = Counter(), Counter()
        for _ in range(data.draw(st.integers(1, 8))):
            source = data.draw(sources)
            datagram = data.draw(datagrams)
            bytes_in[source] += len(datagram)
            count_in[source] += 1
            bench.table.datagramReceived(datagram, source)
            if waiting and data.draw(st.booleans()):
                waiting.pop().callback("done")
            bench.clock.advance(data.draw(st.sampled_from([0, 0, 0.1, 2, 70])))
            for sent, to in bench.socket.sent:
                bytes_out[to] += len(sent)
                count_out[to] += 1
                self.assertLessEqual(len(sent), 90)
            bench.socket.sent.clear()
            for each in bytes_out:
                self.assertLessEqual(bytes_out[each], bytes_in[each])
                self.assertLessEqual(count_out[each], count_in[each])
        self.assertLessEqual(len(bench.table._peers), 2)
        bench.wait(200)
        self.assertEqual(bench.counters.current, 0)
        self.assertFalse(bench.clock.getDelayedCalls())


class SourceTest(SynchronousTestCase):
    """Whom nothing is answered."""

    def test_nobody_that_could_answer_back_for_ever(self):
        for source in [
            ("127.0.0.1", PORT),
            ("192.0.2.1", PORT),
            ("192.0.2.1", 0),
            ("224.0.0.1", 5000),
            ("255.255.255.255", 5000),
            ("0.0.0.0", 5000),
            ("ff02::1", 5000),
            ("::", 5000),
            ("::ffff:224.0.0.1", 5000),
        ]:
            bench = Bench(str.upper)
            self.assertEqual(bench.hear(b"a", source), [], source)
            self.assertEqual((bench.counters.opened, bench.dropped), (0, 1))

    def test_other_services_that_could_answer_back_for_ever(self):
        for number in (7, 13, 19, 53, 123, 1023):
            bench = Bench(str.upper)
            self.assertEqual(bench.hear(b"a", ("192.0.2.1", number)), [], number)
            self.assertEqual((bench.counters.opened, bench.dropped), (0, 1))
        self.assertEqual(Bench(str.upper).hear(b"a", ("192.0.2.1", 1024)), [b"A"])

    def test_our_own_ports_do_not_talk_to_each_other(self):
        one, other = Bench(str.upper, port=21011), Bench(str.upper, port=21012)
        for host in ("127.0.0.1", "::1", "192.0.2.1"):
            self.assertEqual(one.hear(b"ping", (host, 21012)), [])
            self.assertEqual(other.hear(b"ping", (host, 21011)), [])
        self.assertEqual((one.dropped, other.dropped), (3, 3))
        another = Bench(str.upper, port=21012)
        other.table.doStop()
        self.assertEqual(one.hear(b"ping", ("::1", 21012)), [])  # one port is still there
        another.table.doStop()
        self.assertEqual(one.hear(b"ping", ("::1", 21012)), [b"PING"])
        other = Bench(str.upper, port=21012)
        self.assertEqual(one.hear(b"ping", ("::1", 21012)), [])  # known, and ours nevertheless
        one.table.doStop()
        other.table.doStop()

    def test_each_source_has_a_conversation_of_its_own(self):
        bench = Bench(Greeter, udp_answers="any")
        sources = [ALICE, ("192.0.2.1", 40002), ("2001:db8::1", 40001)]
        sources.append(("fe80::1", 40001, 0, 2))
        for source in sources:
            self.assertEqual(bench.hear(b"a\n", source), [b"hi\na\n"])
        peers = [each.peer for each in bench.table._peers.values()]
        self.assertEqual(peers[0].address, IPv4Address("UDP", "192.0.2.1", 40001))
        self.assertEqual(peers[2].address, IPv6Address("UDP", "2001:db8::1", 40001))
        self.assertEqual(peers[3].address, IPv6Address("UDP", "fe80::1", 40001, 0, 2))
        self.assertEqual(str(peers[3]), "[fe80::1]:40001")


class PeersTest(SynchronousTestCase):
    """How many, and for how long."""

    def test_a_silent_peer_is_forgotten_without_a_word(self):
        watched = type("Fresh", (Lost,), {"why": []})
        bench = Bench(watched, udp_timeout=10.0, udp_answers="any")
        bench.hear(b"a")
        bench.wait(8)
        bench.hear(b"b")
        bench.wait(8)
        self.assertEqual(bench.counters.current, 1)
        bench.wait(4)
        self.assertEqual((bench.counters.current, watched.why), (0, [Reason.DONE]))
        self.assertEqual(bench.said(), [])
        self.assertFalse(bench.clock.getDelayedCalls())

    def test_a_reply_without_end_does_not_outlast_its_peer(self):
        async def ticks(_line):
            while True:
                await tick()
                yield "tick"

        def tick():
            later = Deferred()
            bench.clock.callLater(1, later.callback, None)
            return later

        bench = Bench(ticks, udp_timeout=10.0, udp_answers="any")
        bench.hear(b"go")
        bench.clock.pump([1] * 20)
        self.assertEqual(bench.counters.closed, {Reason.IDLE: 1})
        self.assertLessEqual(len(bench.said()), 11)

    def test_idle_peers_are_told_if_that_is_asked_for(self):
        bench = Bench(str.upper, limits=Limits(idle_timeout=5.0), udp_answers="any")
        bench.hear(b"a\n")
        bench.wait(6)
        self.assertEqual(bench.said(), [b"ERR idle nothing was said for too long\n"])
        self.assertEqual(bench.counters.closed, {Reason.IDLE: 1})

    def test_one_more_ends_the_one_silent_longest(self):
        bench = Bench(Greeter, udp_answers="any", max_udp_peers=2)
        carol = ("192.0.2.3", 40003)
        bench.hear(b"a\n", ALICE)
        bench.hear(b"b\n", BOB)
        bench.hear(b"c\n", ALICE)
        bench.hear(b"d\n", carol)
        self.assertEqual(bench.counters.closed, {Reason.BUSY: 1})
        self.assertEqual(bench.hear(b"e\n", ALICE), [b"e\n"])
        self.assertEqual(bench.hear(b"f\n", BOB), [b"hi\nf\n"])  # anew

    def test_rather_an_idle_one_is_ended_than_one_with_a_reply_in_work(self):
        asked = {}
        bench = Bench(slow_or_upper(asked), max_udp_peers=3)
        bench.hear(b"slow", ALICE)
        bench.hear(b"slow too", BOB)
        for number in range(100):
            self.assertEqual(bench.hear(b"flood", source(number)), [b"FLOOD"])
        asked["slow"].callback("here")
        asked["slow too"].callback("me too")
        self.assertEqual((bench.said(ALICE), bench.said(BOB)), ([b"here"], [b"me too"]))
        bench = Bench(held({}), max_udp_peers=2)
        for number in range(10):
            bench.hear(b"all are busy", source(number))
        self.assertEqual((bench.counters.current, len(bench.table._peers)), (2, 2))

    def test_a_flood_of_invented_sources_takes_no_place_from_connections(self):
        limits = Limits(max_connections=2, max_per_peer=2)
        bench = Bench(str.upper, limits=limits)
        for number in range(10):
            bench.hear(b"a", source(number))
            bench.hear(b"a", ("127.0.0.1", 40000 + number))
        self.assertEqual(bench.counters.current, 12)
        streams = [MemoryPeer(bench.factory, bench.clock) for _ in range(3)]
        for stream in streams[:2]:
            stream.say("x")
            self.assertEqual(stream.lines(), ["X"])
        self.assertTrue(streams[2].lines()[0].startswith("ERR busy"))
        self.assertEqual(bench.hear(b"b", BOB), [b"B"])
        streams[0].close()
        self.assertEqual(MemoryPeer(bench.factory, bench.clock).lines(), [])

    def test_a_flood_of_invented_sources_costs_no_more_memory(self):
        bench = Bench(str.upper)
        for number in range(25_000):
            bench.table.datagramReceived(b"flood", source(number))
            if number % 500 == 0:
                self.assertEqual(bench.hear(b"me"), [b"ME"])
                bench.socket.sent.clear()
        self.assertEqual(bench.counters.current, 1000)
        self.assertLess(len(bench.clock.getDelayedCalls()), 5)
        gc.collect()
        left = [each for each in gc.get_objects() if isinstance(each, DatagramPeer)]
        self.assertEqual(sum(each._socket is bench.table for each in left), 1000)

    def test_limits_that_are_off(self):
        bench = Bench(str.upper, max_datagram=0, max_udp_peers=0, udp_timeout=0.0)
        self.assertEqual(bench.hear(b"x" * 65507), [b"X" * 65507])
        for number in range(2000):
            bench.hear(b"a", source(number))
        bench.wait(500)
        self.assertEqual(bench.counters.current, 2001)

    def test_a_peer_cannot_make_us_keep_more_than_so_much(self):
        asked = {}
        bench = Bench(held(asked))
        for _ in range(1000):
            bench.hear(b"x" * 1400)
        self.assertGreater(bench.dropped, 900)
        self.assertEqual(bench.counters.current, 1)
        taken = 1000 - bench.dropped
        for _ in range(taken):
            asked["x" * 1400].callback("done")
        self.assertEqual(len(bench.said()), taken)
        bench.hear(b"welcome again")
        asked["welcome again"].callback("yes")
        self.assertEqual(bench.said(), [b"yes"])

    def test_a_datagram_that_is_dropped_costs_the_next_nothing(self):
        asked = {}
        bench = Bench(held(asked), policy=LinePolicy(max_line=0), max_datagram=0)
        bench.hear(b"first")
        bench.hear(b"x" * 40_000)
        bench.hear(b"y" * 40_000)  # there is no room for both
        bench.hear(b"last")
        for name in ("first", "x" * 40_000, "last"):
            asked[name].callback(name[:5])
        self.assertEqual(bench.said(), [b"first", b"xxxxx", b"last"])
        self.assertEqual(bench.dropped, 1)

    def test_short_lines_that_wait_are_not_cheaper_than_they_are(self):
        bench = Bench(held({}))
        for _ in range(100):
            bench.hear(b"\n" * 1400)
        self.assertGreaterEqual(bench.dropped, 98)


class ShortWayTest(SynchronousTestCase):
    """Whole good lines are answered the short way, which must not be seen."""

    def test_it_is_short(self):
        """Half the calls of the long way, which is what a datagram costs."""
        for datagram in (b"hello\n", b"hello\r\n", b"hello"):
            bench = Bench(lambda line: line)
            bench.hear(datagram)
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(100):
                bench.table.datagramReceived(datagram, ALICE)
            profile.disable()
            calls = sum(each.callcount for each in profile.getstats())
            self.assertLess(calls / 100, 70)
            self.assertEqual(bench.said(), [datagram] * 100)

    def test_what_is_pushed_meanwhile_goes_before(self):
        class Pushing(LineProtocol):
            def lineReceived(self, line):
                self.sendLine("before")
                return line

        bench = Bench(Pushing, udp_answers="any")
        for _ in range(2):
            self.assertEqual(bench.hear(b"a"), [b"before\na"])

    def test_close_and_failure_on_a_later_datagram(self):
        class Ending(LineProtocol):
            def lineReceived(self, line):
                if line == "fail":
                    raise ValueError("broken on purpose")
                if line != "ok":
                    getattr(self, line)()
                return "bye"

        for word, answers, reason in [(b"close", [b"bye"], "CLOSED"), (b"abort", [], "ABORTED")]:
            bench = Bench(Ending, udp_answers="any")
            self.assertEqual(bench.hear(b"ok"), [b"bye"])
            self.assertTrue(bench.hear(b"fail")[0].startswith(b"ERR internal"))
            self.assertEqual(bench.hear(word), answers)
            self.assertEqual(bench.counters.closed, {Reason[reason]: 1})
            self.assertEqual((bench.counters.current, bench.table._peers), (0, {}))
        self.flushLoggedErrors(ValueError)

    def test_replies_that_cannot_be_sent(self):
        bench = Bench({"two": "a\nb", "long": "x" * 101, "ok": "fine"}.get, max_datagram=100)
        bench.hear(b"ok".ljust(90))
        self.assertTrue(bench.hear(b"two")[0].startswith(b"ERR internal"))
        bench.hear(b"none".ljust(90))
        [answer] = bench.hear(b"ok\ntwo\nok")
        self.assertEqual(hide([answer]), [b"fine\nERR internal\nfine"])
        self.flushLoggedErrors(ValueError)
        bench.hear(b"none".ljust(90))
        self.assertEqual(
            bench.hear(b"long\nok\n"),
            [b"ERR datagram a reply may have at most 100 bytes\nfine\n"],
        )

    def test_an_empty_reply_is_seen(self):
        bench = Bench({"a": "a", "b": ""}.get)
        self.assertEqual(bench.hear(b"a"), [b"a"])
        self.assertEqual(bench.hear(b"b\nb\n"), [b"\n\n"])
        self.assertEqual(bench.hear(b"bb"), [])
        self.assertEqual(bench.hear(b"b"), [b"\n"])

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_it_says_what_the_long_way_says(self, data):
        """Whatever comes second, a peer that is known has the answer of a new one."""
        policy = LinePolicy(
            delimiter=data.draw(st.sampled_from(["lenient", "lf", "crlf"])),
            framing=data.draw(st.sampled_from(["lines", "chunk"])),
            max_line=data.draw(st.sampled_from([0, 3])),
        )
        bits = st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"\xff", "世".encode()])
        datagrams = st.lists(bits, min_size=1, max_size=9).map(b"".join)
        known = Bench(str.upper, policy=policy, udp_answers="any")
        for datagram in data.draw(st.lists(datagrams, max_size=4)):
            runs = known.table._lines.runs(datagram)[0]
            framer = make_framer(known.table.policy)
            self.assertEqual(flat(runs), flat(framer.feed(datagram) + framer.end()))
            new = Bench(str.upper, policy=policy, udp_answers="any")
            said, alike = known.hear(datagram), new.hear(datagram)
            self.assertEqual(hide(said), hide(alike))
        self.flushLoggedErrors(ValueError)


class SendingTest(SynchronousTestCase):
    """What cannot be sent."""

    def test_what_the_system_does_not_take_is_dropped(self):
        bench = Bench(str.upper)
        for error in (BlockingIOError(11, "full"), PermissionError(1), MessageLengthError("long")):
            bench.socket.broken = error
            self.assertEqual(bench.hear(b"a\n"), [])
        self.assertEqual((bench.dropped, bench.counters.bytes_out), (3, 0))
        bench.socket.broken = None
        self.assertEqual(bench.hear(b"b\n"), [b"B\n"])

    def test_a_reply_without_end_lets_others_have_theirs(self):
        for answers in ("any", "smaller"):
            bench = Bench(endless, udp_answers=answers, udp_timeout=0.2)
            bench.hear(b"forever\n")
            bench.clock.advance(0.1)
            self.assertEqual(bench.hear(b"a\n", BOB), [b"a\n"])
            self.assertEqual(bench.counters.current, 2)
            bench.clock.advance(0.11)
            self.assertEqual(bench.counters.closed, {Reason.IDLE: 1})

    def test_a_reply_that_holds_a_newline(self):
        bench = Bench(lambda line: line.replace("+", "\n"), udp_answers="any")
        [answer] = bench.hear(b"a+b\nfine")
        self.assertTrue(answer.startswith(b"ERR internal "))
        self.assertTrue(answer.endswith(b"\nfine"))
        self.flushLoggedErrors(ValueError)

    def test_a_reply_that_takes_too_long(self):
        bench = Bench(held({}), limits=Limits(reply_timeout=5.0), udp_answers="any")
        bench.hear(b"a")
        bench.wait(5.2)
        self.assertEqual(bench.said(), [b"ERR timeout no reply in time"])


class EndTest(SynchronousTestCase):
    """How conversations end from this side."""

    def test_close_and_abort_in_the_middle_of_a_line(self):
        for word, answers, reason in [
            (b"close", [b"bye"], Reason.CLOSED),
            (b"abort", [], Reason.ABORTED),
        ]:
            watched = type("Fresh", (Lost,), {"why": []})
            bench = Bench(watched)
            self.assertEqual(bench.hear(word), answers)
            self.assertEqual((watched.why, bench.counters.current), ([reason], 0))
            self.assertEqual(bench.hear(b"new"), [b"bye"])
            self.assertEqual(bench.counters.opened, 2)

    def test_close_and_abort_from_outside(self):
        for name in ("close", "abort"):
            watched = type("Fresh", (Lost,), {"why": []})
            bench = Bench(watched)
            bench.hear(b"word")
            getattr(bench.table._peers[ALICE].session, name)()
            self.assertEqual(watched.why, [])  # not within the user's own call
            bench.clock.advance(0)
            self.assertEqual(len(watched.why), 1)

    def test_a_conversation_that_closes_at_once(self):
        class Never(LineProtocol):
            def connectionMade(self):
                self.close()
                return "go away"

        bench = Bench(Never, udp_answers="any")
        self.assertEqual(bench.hear(b"hi\n"), [])
        self.assertEqual(bench.hear(b"hello there\n"), [b"go away\n"])
        self.assertEqual(bench.counters.current, 0)

    def test_drains(self):
        asked = {}
        bench = Bench(held(asked))
        bench.hear(b"question, and a long one, so that there is room for more" * 2)
        bench.hear(b"quiet", BOB)
        asked["quiet"].callback("q")
        bench.said(BOB)
        drained = bench.factory.drain()
        self.assertNoResult(drained)
        bench.clock.advance(0)
        self.assertEqual(bench.said(BOB), [])  # there is no credit for a goodbye
        self.assertEqual(bench.hear(b"more", BOB), [])
        self.assertEqual(bench.hear(b"more"), [])
        next(iter(asked.values())).callback("answer")
        bench.clock.advance(0)
        self.successResultOf(drained)
        self.assertEqual(b"\n".join(bench.said()), b"answer\nERR shutdown the server is stopping")
        self.assertEqual(bench.counters.current, 0)

    def test_stopping_says_goodbye_only_to_those_who_have_paid_for_it(self):
        bench = Bench({"a": "a"}.get)
        bench.hear(b"a")
        bench.hear(b"no answer " * 9, BOB)
        over = []
        bench.table.drain(lambda: over.append(True))
        self.assertEqual((over, bench.dropped), ([True], 0))
        self.assertEqual(bench.said(), [])
        self.assertEqual(bench.said(BOB), [b"ERR shutdown the server is stopping"])
        self.assertEqual(bench.counters.closed, {Reason.SHUTDOWN: 2})
        self.assertEqual(bench.hear(b"a"), [])

    def test_drains_at_the_deadline(self):
        bench = Bench(held({}), limits=Limits(drain_timeout=3.0))
        bench.hear(b"a")
        drained = bench.factory.drain()
        bench.wait(3.1)
        self.successResultOf(drained)
        self.assertEqual(bench.counters.closed, {Reason.ABORTED: 1})


class Lost(LineProtocol):
    """Writes down why it was lost."""

    def lineReceived(self, line):
        if line in ("close", "abort"):
            getattr(self, line)()
        return "bye"

    def connectionLost(self, reason):
        self.why.append(reason)


def flat(runs):
    """Lines and problems one by one."""
    return [each for run in runs for each in (run if isinstance(run, list) else [run])]


def hide(said):
    """Without the ids of failures."""
    return [re.sub(rb"(ERR internal) \w+", rb"\1", each) for each in said]


def endless(line):
    if line != "forever":
        return line
    return iter(functools.partial(str, "again"), None)


def source(number):
    return f"198.{number >> 16}.{number >> 8 & 255}.{number & 255}", 2000 + number % 60000
