"""Lines are passed on to another server, and back, with everything that belongs to them."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import Net
from twisted_sock import Limits, LineFactory, LinePolicy, LineProtocol, Reason
from twisted_sock.errors import PlugError
from twisted_sock.plugs import load
from twisted_sock.protocols.proxy import Proxy
from twisted_sock.relay import SILENCE
from twisted_sock.script.model import Fault
from twisted_sock.script.reading import read
from twisted_sock.testing import MemoryPeer


class ProxyTo(Proxy):
    """A proxy whose server is in memory."""

    def __init__(self, net, **options):
        super().__init__("1234", **options)
        self.net = net

    def endpoint(self, reactor):
        return self.net


class ProxyCase(SynchronousTestCase):
    policy = LinePolicy()
    limits = Limits()

    def setUp(self):
        self.clock = Clock()
        self.serve()

    def serve(self, handler=None, **options):
        self.net = Net(handler, self.clock)
        self.net.closes = False
        self.proxy = ProxyTo(self.net, **options)
        self.proxy.start(self.clock)
        self.factory = LineFactory(
            self.proxy, reactor=self.clock, policy=self.policy, limits=self.limits
        )

    def connect(self):
        return MemoryPeer(self.factory, self.clock)

    def pair(self):
        """A client, and the server's end of its connection."""
        client = self.connect()
        return client, self.net.server

    def flow(self, client):
        """Let what was read on both sides reach the other."""
        self.net.flow()
        client._wire.flow()
        self.net.flow()

    def lines(self, client):
        self.net.flow()
        return client.lines()


class PassingTest(ProxyCase):
    def test_both_ways(self):
        client, server = self.pair()
        client.say("hello", "世界")
        self.assertEqual(server.lines(), ["hello", "世界"])
        server.say("one", "two", "three")
        self.assertEqual(self.lines(client), ["one", "two", "three"])

    def test_a_server_that_greets(self):
        client, server = self.pair()
        server.say("220 ready")
        self.assertEqual(self.lines(client), ["220 ready"])

    def test_a_connection_for_each_client(self):
        one, its = self.pair()
        other, others = self.pair()
        one.say("1")
        other.say("2")
        self.assertEqual((its.lines(), others.lines()), (["1"], ["2"]))
        others.say("b")
        its.say("a")
        self.assertEqual((self.lines(one), self.lines(other)), (["a"], ["b"]))

    def test_lines_wait_for_the_server(self):
        client = self.connect()
        client.say("early", "bird")
        client.end()
        server = self.net.server
        self.assertEqual(server.lines(), ["early", "bird"])
        self.flow(client)
        self.assertTrue(server.ended)

    def test_lines_that_wait_are_bounded(self):
        self.net.hangs = True
        client = self.connect()
        client.say("first")
        client.send(b"x" * 100 + b"\n")
        client.send(b"y\n" * 100_000)
        # What was read may wait; the rest is not read.
        self.assertGreater(len(client._client.dataBuffer), 100_000)

    def test_lines_end_as_the_client_ends_them(self):
        for ending in (b"\n", b"\r\n"):
            client, server = self.pair()
            client.send(b"a" + ending)
            self.net.flow()
            self.assertEqual(server.data, b"a" + ending)
            server.send(b"b\r\n")
            self.net.flow()
            self.assertEqual(client.read(), b"b" + ending)
            client.send(b"c" + ending)
            self.net.flow()
            self.assertEqual(server.data, b"a" + ending + b"c" + ending)

    def test_many_lines_go_in_one_piece_to_the_client(self):
        client, server = self.pair()
        self.factory.counters.lines_out = 0
        server.say(*map(str, range(1000)))
        self.assertEqual(self.lines(client), list(map(str, range(1000))))
        self.assertEqual(self.factory.counters.lines_out, 1000)


class EndsTest(ProxyCase):
    def test_the_client_finishes_and_still_hears(self):
        client, server = self.pair()
        client.say("question")
        client.end()
        self.assertEqual(server.lines(), ["question"])
        self.assertTrue(server.ended)
        server.say("answer", "and more")
        self.assertEqual(self.lines(client), ["answer", "and more"])
        self.assertFalse(client.ended)
        server.close()
        self.assertTrue(client.ended and client.gone and server.gone)

    def test_the_server_finishes_and_still_hears(self):
        client, server = self.pair()
        server.say("bye")
        server.transport.loseWriteConnection()
        self.assertEqual(self.lines(client), ["bye"])
        self.assertTrue(client.ended)
        self.assertFalse(client.gone)
        client.say("one more thing")
        self.assertEqual(server.lines(), ["one more thing"])
        client.end()
        self.net.flow()
        self.assertTrue(server.ended and client.gone)

    def test_the_client_closes(self):
        client, server = self.pair()
        client.say("last")
        client.close()
        self.assertEqual(server.lines(), ["last"])
        self.assertTrue(server.ended)

    def test_the_client_breaks_off(self):
        client, server = self.pair()
        client.say("last")
        client.reset()
        self.assertEqual(server.lines(), ["last"])
        self.assertTrue(server.ended)

    def test_the_server_breaks_off(self):
        client, server = self.pair()
        server.say("last")
        server.reset()
        self.assertEqual(self.lines(client), ["last", "ERR upstream the connection broke"])
        self.assertTrue(client.ended)
        self.assertEqual(self.factory.counters.problems[Reason.UPSTREAM], 1)
        self.assertEqual(self.factory.counters.current, 1)  # until the client closes, too
        client.end()
        self.assertEqual(self.factory.counters.current, 0)

    def test_the_client_leaves_while_connecting(self):
        client = self.connect()
        client.reset()
        self.net.flow()
        self.assertEqual(self.factory.counters.current, 0)
        self.assertTrue(not self.net.accepted or self.net.server.ended)

    def test_the_server_is_not_there(self):
        self.net.down = True
        client = self.connect()
        client.say("hello")
        [line] = client.lines()
        self.assertTrue(line.startswith("ERR upstream cannot connect: "), line)
        self.assertNotIn("\n", line)
        self.assertTrue(client.ended)
        self.assertEqual(self.factory.counters.problems[Reason.UPSTREAM], 1)

    def test_connecting_fails_later(self):
        self.net._connect = lambda _, connected: connected.errback(OSError("no route"))
        client = self.connect()
        client.say("hello")
        self.net.flow()
        self.assertEqual(client.lines(), ["ERR upstream cannot connect: no route"])

    def test_connecting_takes_too_long(self):
        self.limits = Limits(reply_timeout=5)
        self.serve()
        self.net.hangs = True
        client = self.connect()
        client.say("hello")
        client.advance(6)
        self.assertEqual(client.lines(), ["ERR upstream cannot connect: it took too long"])
        self.assertTrue(client.ended)

    def test_drained(self):
        """What was asked is still answered; a server that says nothing is not waited for long."""
        client, server = self.pair()
        client.say("question")
        drained = self.factory.drain()
        self.assertEqual(server.lines(), ["question"])
        self.assertTrue(server.ended)
        server.say("answer")
        self.assertEqual(self.lines(client)[0], "answer")
        self.assertNoResult(drained)
        self.clock.advance(SILENCE + 0.1)
        self.net.flow()
        client.end()
        self.successResultOf(drained)

    def test_a_silent_conversation_ends(self):
        self.limits = Limits(idle_timeout=5)
        self.serve()
        client, server = self.pair()
        client.end()
        self.net.flow()
        for _ in range(6):
            self.clock.advance(1)
            self.net.flow()
        self.assertTrue(client.ended and server.gone)


class SlowTest(ProxyCase):
    limits = Limits(high_water=100_000)

    def test_a_slow_server_slows_the_client_down(self):
        client, server = self.pair()
        server.stop_reading()
        lines = [f"{number} {'x' * 1000}" for number in range(1000)]
        client.say(*lines)
        self.net.flow()
        client.send(b"")
        self.assertGreater(len(client._client.dataBuffer), 500_000)  # nobody has read it
        server.start_reading()
        heard = []
        while more := server.lines():
            heard += more
            client.send(b"")
        self.assertEqual(heard, lines)

    def test_a_slow_client_slows_the_server_down(self):
        client, server = self.pair()
        client.stop_reading()
        lines = [f"{number} {'x' * 1000}" for number in range(1000)]
        server.say(*lines)
        self.assertGreater(len(server.transport.dataBuffer), 500_000)
        self.assertLess(client.unread, 300_000)
        client.start_reading()
        heard = []
        while more := self.lines(client):
            heard += more
        self.assertEqual(heard, lines)

    def test_a_slow_client_that_has_finished(self):
        client, server = self.pair()
        client.say("all")
        client.end()
        client.stop_reading()
        self.net.flow()
        lines = [f"{number} {'x' * 1000}" for number in range(1000)]
        server.say(*lines)
        client.start_reading()
        heard = []
        while more := self.lines(client):
            heard += more
        self.assertEqual(heard, lines)


class BadLinesTest(ProxyCase):
    policy = LinePolicy(max_line=10)

    def test_of_the_server(self):
        client, server = self.pair()
        server.send(b"good\n" + b"x" * 11 + b"\nb\xff\nagain\n")
        self.assertEqual(
            self.lines(client),
            [
                "good",
                "ERR upstream too-long a line may have at most 10 bytes",
                "ERR upstream utf8 the line is not valid UTF-8 at byte 1",
                "again",
            ],
        )
        client.say("on")
        self.assertEqual(server.lines(), ["on"])

    def test_of_the_client(self):
        client, server = self.pair()
        client.send(b"good\n" + b"x" * 11 + b"\nagain\n")
        self.assertEqual(server.lines(), ["good", "again"])
        self.assertEqual(self.lines(client), ["ERR too-long a line may have at most 10 bytes"])

    def test_with_a_newline(self):
        """Which can be inside of one where only CRLF ends it."""
        self.policy = LinePolicy(delimiter="crlf")
        told = "ERR upstream a line with a newline in it cannot be passed on\r\n"
        for faults in ((), (Fault("late", 0, "delay", seconds=0.5),)):
            self.serve()
            for fault in faults:
                self.proxy.inject(fault)
            client, server = self.pair()
            server.send(b"good\r\na\nb\r\nagain\r\n")
            self.clock.advance(2)
            self.net.flow()
            self.assertEqual(client.read().decode(), f"good\r\n{told}again\r\n")
            client.send(b"one\r\na\nb\r\ntwo\r\n")
            self.net.flow()
            self.assertEqual(server.data, b"one\r\ntwo\r\n")
            self.assertEqual(client.read().decode(), told)

    def test_that_end_the_conversation(self):
        self.policy = LinePolicy(invalid="close")
        self.serve()
        client, server = self.pair()
        server.send(b"good\nb\xff\nagain\n")
        self.assertEqual(
            self.lines(client),
            ["good", "ERR upstream utf8 the line is not valid UTF-8 at byte 1"],
        )
        self.assertTrue(client.ended and server.gone)


class Adder(LineProtocol):
    """A server with a state."""

    def connectionMade(self):
        self.sum = 0
        return "ready"

    def lineReceived(self, line):
        if line == "bye":
            self.close()
            return "bye"
        self.sum += int(line)
        return [f"sum {self.sum}", f"was {line}"]


class RecordingTest(ProxyCase):
    def setUp(self):
        self.clock = Clock()
        self.path = self.mktemp()
        self.serve(Adder, record=self.path)

    def test_a_script_of_what_was_said(self):
        client = self.connect()
        self.net.flow()
        for line in ("1", "2", "1", "bye"):
            client.say(line)
            self.net.flow()
        heard = ["ready", "sum 1", "was 1", "sum 3", "was 2", "sum 4", "was 1", "bye"]
        self.assertEqual(self.lines(client), heard)
        self.assertTrue(client.ended)
        self.proxy.stop()
        script = read(self.path)
        self.assertEqual(script.title, "recorded from 1234")
        self.assertEqual(script.greeting, ("ready",))
        self.assertEqual(
            [(rule.match.exact, rule.replies, rule.close) for rule in script.rules],
            [
                ("1", (("sum 1", "was 1"), ("sum 4", "was 1")), False),
                ("2", (("sum 3", "was 2"),), False),
                ("bye", (("bye",),), True),
            ],
        )

    def test_what_is_no_line_is_told_of(self):
        self.policy = LinePolicy(max_line=10)
        self.serve(record=self.path)
        client, server = self.pair()
        client.send(b"good\n" + b"x" * 11 + b"\nb\xff\n")
        self.assertEqual(server.lines(), ["good"])
        server.send(b"b\xff\nfine\n" + b"x" * 11 + b"\n")
        self.assertEqual(len(self.lines(client)), 5)
        [problem] = self.proxy.report().missed
        self.assertIn("4 lines were not recorded: they were too long, or no UTF-8", problem)

    def test_a_server_that_is_left_because_of_what_it_says(self):
        self.policy = LinePolicy(invalid="close")
        self.serve(record=self.path)
        client, server = self.pair()
        client.say("a")
        server.send(b"\xff\n")
        self.net.flow()
        [problem] = self.proxy.report().missed
        self.assertIn("1 lines were not recorded", problem)

    def test_who_comes_and_goes_leaves_nothing(self):
        for _ in range(3):
            client = self.connect()
            self.flow(client)
            client.close()
            self.flow(client)
        self.assertEqual(len(self.proxy._keeper.recording._conversations), 1)  # with a greeting

    def test_the_report_tells_of_a_full_disk(self):
        self.proxy._keeper.path = os.path.join(self.path, "no", "such")
        client = self.connect()
        client.say("1")
        self.net.flow()
        self.clock.advance(5)
        self.assertEqual(len(self.proxy.report().missed), 1)
        self.assertEqual(self.lines(client), ["ready", "sum 1", "was 1"])


class FaultsTest(ProxyCase):
    def test_to_the_client(self):
        client, server = self.pair()
        self.proxy.inject(Fault("twice", 0, "duplicate"))
        client.say("q")
        server.say("a")
        self.assertEqual(self.lines(client), ["a", "a"])
        self.assertEqual(self.proxy.report().fired, {"twice": 1})
        self.assertTrue(self.proxy.remove("twice"))
        server.say("b")
        self.assertEqual(self.lines(client), ["b"])

    def test_to_the_server(self):
        client, server = self.pair()
        self.proxy.inject(Fault("none", 0, "drop", on="line", nth=(2,)))
        client.say("1", "2", "3")
        self.assertEqual(server.lines(), ["1", "3"])

    def test_answers_that_are_late_are_still_said_when_the_server_has_ended(self):
        client, server = self.pair()
        self.proxy.inject(Fault("late", 0, "delay", seconds=2.0))
        client.say("q")
        server.say("a", "b")
        server.close()
        self.assertEqual(self.lines(client), [])
        for _ in range(50):
            self.clock.advance(0.1)
            self.net.flow()
        self.assertEqual(client.lines(), ["a", "b"])
        self.assertTrue(client.ended)

    def test_lines_that_are_late_are_still_said_when_the_client_has_ended(self):
        client, server = self.pair()
        self.proxy.inject(Fault("late", 0, "delay", on="line", seconds=2.0))
        client.say("a", "b")
        client.end()
        self.assertEqual(server.lines(), [])
        for _ in range(50):
            self.clock.advance(0.1)
            self.net.flow()
        self.assertEqual(server.lines(), ["a", "b"])
        self.flow(client)
        self.assertTrue(server.ended)

    def reordered(self, on, **more):
        """A client and a server, of whose lines the first is to be said after the next."""
        self.serve()
        pair = self.pair()
        self.proxy.inject(Fault("it", 0, "reorder", on=on, nth=(1,), **more))
        return pair

    def test_an_answer_that_nothing_follows_is_said_before_the_end(self):
        for end in ("close", "reset"):
            client, server = self.reordered("reply")
            client.say("QUIT")
            self.net.flow()
            server.say("bye")
            getattr(server, end)()
            heard = self.lines(client)
            self.assertEqual(heard[0], "bye")
            self.assertEqual(len(heard), 1 if end == "close" else 2)
            self.assertTrue(client.ended)

    def test_an_answer_that_nothing_follows_is_said_before_one_side_ends(self):
        client, server = self.reordered("reply")
        server.say("bye")
        server.transport.loseWriteConnection()
        self.assertEqual(self.lines(client), ["bye"])
        self.assertTrue(client.ended)
        self.assertFalse(client.gone)

    def test_a_line_that_nothing_follows_is_said_before_the_end(self):
        for end in ("end", "close", "reset"):
            client, server = self.reordered("line")
            client.say("LAST")
            self.assertEqual(server.lines(), [])
            getattr(client, end)()
            self.assertEqual((server.lines(), server.ended), (["LAST"], True), end)

    def test_a_line_that_nothing_follows_is_said_to_a_server_that_has_ended(self):
        client, server = self.reordered("line")
        server.transport.loseWriteConnection()
        self.net.flow()
        client.say("LAST")
        client.end()
        self.assertEqual((server.lines(), server.ended), (["LAST"], True))
        self.flow(client)
        self.assertTrue(client.gone)

    def test_what_nothing_follows_may_be_late_besides(self):
        for side in ("line", "reply"):
            client, server = self.reordered(side)
            self.proxy.inject(Fault("late", 0, "delay", on=side, nth=(1,), seconds=3.0))
            one, other = (client, server) if side == "line" else (server, client)
            one.say("LAST")
            self.net.flow()
            self.clock.advance(1.5)
            getattr(one, "end" if side == "line" else "close")()
            self.flow(client)
            self.assertEqual((other.lines(), other.ended), ([], False))
            self.clock.advance(1.5)
            self.flow(client)
            self.assertEqual((other.lines(), other.ended), (["LAST"], True))

    def test_answers_that_wait_are_bounded(self):
        _client, server = self.pair()
        self.proxy.inject(Fault("late", 0, "delay", seconds=1000.0, nth=(1,)))
        for _ in range(30):
            server.send(b"x\n" * 50_000)
        self.assertGreater(len(server.transport.dataBuffer), 1_000_000)

    def test_long_answers_that_wait_are_bounded(self):
        self.limits = Limits(high_water=100_000)
        self.serve()
        client, server = self.pair()
        self.proxy.inject(Fault("late", 0, "delay", seconds=5.0, nth=(1,)))
        lines = ["first", *["x" * 10_000] * 90]
        server.say(*lines)
        self.assertGreater(len(server.transport.dataBuffer), 600_000)
        heard = []
        for _ in range(20):
            self.clock.advance(1)
            heard += self.lines(client)
        self.assertEqual(heard, lines)

    def test_connections_that_are_refused(self):
        self.proxy.inject(Fault("no", 0, "refuse", connections=1))
        client = self.connect()
        self.assertTrue(client.gone)
        client, server = self.pair()
        client.say("hello")
        self.assertEqual(server.lines(), ["hello"])

    def test_a_script_of_faults(self):
        path = self.mktemp()
        with open(path, "w") as file:
            file.write('[[fault]]\ndo = "drop"\nexact = "q"\n')
        self.serve(script=path)
        client, server = self.pair()
        client.say("q")
        server.say("a")
        client.say("r")
        server.say("b")
        self.assertEqual(self.lines(client), ["b"])
        with open(path, "w") as file:
            file.write("nonsense")
        self.proxy.reload()
        self.assertEqual(self.proxy.report().fired, {"fault 1": 1})
        self.proxy.reset()
        self.assertEqual(self.proxy.report().fired, {"fault 1": 0})


class EachFaultTest(ProxyCase):
    """Each fault, both ways; what it does exactly is tested with the faults."""

    def happens(self, fault, side):
        """What arrives of three lines, with a fault on the second."""
        self.serve()
        client, server = self.pair()
        self.proxy.inject(Fault("it", 0, fault, on=side, nth=(2,), rate=1000.0, seconds=0.1))
        if side == "line":
            client.say("one", "two", "three")
        else:
            server.say("one", "two", "three")
        for _ in range(60):
            self.clock.advance(0.1)
            self.flow(client)
        self.assertEqual(self.proxy.report().fired, {"it": 1}, fault)
        arrived = server.data if side == "line" else client.read()
        ended = server.ended if side == "line" else client.ended
        return arrived, ended, client.gone

    def test_both_ways(self):
        for side in ("line", "reply"):
            for fault, expected in {
                "delay": b"one\ntwo\nthree\n",
                "throttle": b"one\ntwo\nthree\n",
                "drop": b"one\nthree\n",
                "duplicate": b"one\ntwo\ntwo\nthree\n",
                "reorder": b"one\nthree\ntwo\n",
                "cut": b"one\ntwo\nthree\n",
                "bytes": b"one\ntwo\nthree\n",
            }.items():
                arrived, ended, _ = self.happens(fault, side)
                self.assertEqual((arrived, ended), (expected, False), (side, fault))

    def test_in_pieces(self):
        """What has arrived after each tenth of a second."""
        line = "ab世c\n".encode()
        for side in ("line", "reply"):
            for fault, sizes in {
                "cut": [3, 3, 3, 7],  # inside of the character
                "throttle": [1, 2, 3, 4, 5, 6, 7],
                "bytes": [1, 2, 3, 4, 5, 6, 7],
            }.items():
                seconds = {"cut": 0.25, "bytes": 0.7}.get(fault, 0.0)
                self.serve()
                client, server = self.pair()
                self.proxy.inject(Fault("it", 0, fault, on=side, rate=10.0, seconds=seconds))
                (client if side == "line" else server).send(line)
                arrived = b""
                for size in sizes:
                    self.flow(client)
                    arrived = server.data if side == "line" else arrived + client.read()
                    self.assertEqual(arrived, line[:size], (side, fault))
                    self.clock.advance(0.1)

    def test_a_byte_that_is_wrong(self):
        for side in ("line", "reply"):
            arrived, ended, _ = self.happens("corrupt", side)
            self.assertEqual((arrived[:4], arrived[-6:]), (b"one\n", b"three\n"))
            self.assertNotEqual(arrived, b"one\ntwo\nthree\n")
            self.assertFalse(ended)

    def test_ends(self):
        for side in ("line", "reply"):
            arrived, ended, _ = self.happens("half-close", side)
            self.assertTrue(arrived.startswith(b"one\n"), arrived)
            self.assertTrue(ended)
            _, ended, _ = self.happens("reset", side)
            self.assertTrue(ended)


class PlugTest(SynchronousTestCase):
    def to(self, plug):
        return load(plug).to

    def test_how_a_server_is_written(self):
        for plug, to in (
            ("proxy:6379", "6379"),
            ("proxy:localhost:6379", "localhost:6379"),
            ("proxy:tcp:localhost:6379:timing=no", "tcp:localhost:6379"),
            (r"proxy:tcp\:127.0.0.1\:6379", "tcp:127.0.0.1:6379"),
            ("proxy:unix:/run/x", "unix:/run/x"),
            ("proxy:[::1]:80", "[::1]:80"),
            ("proxy:ws://localhost:80/x", "ws://localhost:80/x"),
            (r"proxy:tls:host:443:trustRoots\=/x", "tls:host:443:trustRoots=/x"),
        ):
            self.assertEqual(self.to(plug), to)

    def test_a_recording_that_is_not_to_be_written(self):
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("kept")
        self.patch(os, "access", lambda what, mode: what != path)
        error = self.assertRaises(PlugError, load, f"proxy:1:record={path}")
        self.assertIn("is not to be written", str(error))

    def test_what_is_wrong(self):
        for plug, words in (
            ("proxy", "which server?"),
            ("proxy:nowhere", "there is no port"),
            ("proxy:1:record=/no/such/folder/x", "there is no folder /no/such/folder"),
            ("proxy:1:record=/", "/ is a folder"),
            ("proxy:1:mask=x", "without record=FILE"),
            ("proxy:1:record=x:mask=(", "mask: "),
            ("proxy:1:script=/no/such", "/no/such"),
            ("proxy:1:timing=maybe", "yes or no"),
            ("proxy:1:record=x:mask=", "mask is empty"),  # as of a variable that is not set
            ("proxy:1:mask=", "mask is empty"),
            ("proxy:1:record=", "record is empty"),
            ("proxy:1:script=", "script is empty"),
        ):
            self.assertIn(words, str(self.assertRaises(PlugError, load, plug)))
