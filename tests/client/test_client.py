"""The client: it comes back, says what happens, and always stops."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError, NotConnectingError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.clients import Case, Net, client_of, half, result
from twisted_sock import (
    Limits,
    LineClient,
    LineProtocol,
    Matcher,
    Reason,
    ReconnectingLineClientFactory,
    Requests,
    Retry,
)
from twisted_sock.client.events import (
    Connected,
    ConnectFailed,
    Connecting,
    Disconnected,
    Dropped,
    GaveUp,
    PushesDropped,
    Retrying,
    Stopped,
)
from twisted_sock.errors import ConnectionGone, NotConnected, NotSent


class Client(Case):
    """A client whose events are of interest."""

    def kinds(self):
        return [type(event) for event in self.made.events]


class ComesBack(Client):
    def test_what_is_asked_before_the_start_is_answered(self):
        net = Net(str.upper)
        client = LineClient(net, reactor=net.clock)
        answer = client.request("hello")
        client.startService()
        net.flow()
        self.assertEqual(result(answer), "HELLO")
        client.stopService()
        net.flow()
        self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_it_connects_again_when_the_connection_is_lost(self):
        client = self.client()
        self.net.server.reset()
        self.assertEqual(client.state, "waiting")
        answer = client.request("a")
        self.net.advance(0.5)
        self.assertEqual(self.net.server.lines(), ["a"])
        self.net.server.say("A")
        self.assertEqual(result(answer), "A")

    def test_it_connects_again_when_the_server_closes(self):
        client = self.client()
        self.net.server.close()
        self.net.advance(0.5)
        self.assertEqual(client.state, "ready")
        self.assertEqual(len(self.net.accepted), 2)

    def test_it_tries_again_when_nobody_listens(self):
        net = Net()
        net.down = True
        client = self.client(net)
        net.advance(40)
        self.assertEqual(net.attempts, [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
        net.down = False
        net.advance(30)
        self.assertEqual(client.state, "ready")

    def test_an_endpoint_that_raises_is_tried_again(self):
        @implementer(IStreamClientEndpoint)
        class Broken(Net):
            def connect(self, factory):
                super().connect(factory).addErrback(lambda _: None)
                raise ZeroDivisionError

        net = Broken()
        net.down = True
        self.client(net)
        net.advance(1)
        self.assertEqual(len(net.attempts), 2)
        self.assertIn(ConnectFailed("ZeroDivisionError"), self.made.events)

    def test_it_tells_what_happens(self):
        client = self.client()
        self.net.server.close()
        self.net.down = True
        self.net.advance(0.5)
        self.net.down = False
        self.net.advance(1)
        client.stopService()
        self.net.flow()
        peer = client.events[1].peer
        self.assertEqual(
            client.events,
            [
                Connecting(1),
                Connected(peer),
                Disconnected(Reason.DONE, "the server has closed the connection"),
                Retrying(0.5),
                Connecting(2),
                ConnectFailed(str(ConnectionRefusedError())),
                Retrying(1.0),
                Connecting(3),
                Connected(peer),
                Stopped(),
            ],
        )

    def test_a_listener_that_fails_costs_the_others_nothing(self):
        net = Net(str.upper)
        client = LineClient(net, reactor=net.clock)
        seen = []
        client.on_event(lambda event: 1 / 0)
        end = client.on_event(seen.append)
        client.startService()
        net.flow()
        end()
        client.stopService()
        net.flow()
        self.assertEqual(len(seen), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_it_gives_up_when_the_rule_says_so(self):
        net = Net()
        net.down = True
        client = self.client(net, retry=Retry(give_up_attempts=3))
        waiting, ready = client.request("a"), client.whenConnected()
        reader = client.lines().__anext__()
        net.advance(10)
        self.assertEqual(client.state, "gave up")
        self.assertEqual(len(net.attempts), 3)
        self.assertIsInstance(result(waiting), NotSent)
        self.assertIsInstance(result(ready), NotConnected)
        self.assertIsInstance(result(reader), StopAsyncIteration)
        self.assertIsInstance(result(client.request("b")), NotSent)
        self.assertIsInstance(result(client.whenConnected()), NotConnected)
        self.assertEqual(self.kinds()[-4:], [ConnectFailed, Dropped, GaveUp, Dropped])
        self.assertFalse(client.running)
        self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_after_giving_up_it_can_be_started_again(self):
        net = Net()
        net.down = True
        client = self.client(net, retry=Retry(give_up_attempts=1))
        net.flow()
        self.assertEqual(client.state, "gave up")
        net.down = False
        client.startService()
        net.flow()
        self.assertEqual(client.state, "ready")

    def test_it_gives_up_at_once_when_an_accepting_server_is_one_failure_too_many(self):
        client = self.client(retry=Retry(give_up_attempts=1))
        self.net.server.close()
        self.assertEqual(client.state, "gave up")


class WhenConnected(Client):
    def test_fires_at_once_or_when_it_is_ready(self):
        net = Net()
        net.down = True
        client = self.client(net)
        waiting = client.whenConnected()
        net.advance(0.2)
        self.assertFalse(waiting.called)
        net.down = False
        net.advance(1)
        self.assertIs(result(waiting), result(client.whenConnected()))
        self.assertEqual(str(result(waiting).peer), "127.0.0.1:1234")

    def test_fails_after_so_many_failures(self):
        net = Net()
        net.down = True
        client = self.client(net)
        waiting = client.whenConnected(failAfterFailures=2)
        net.advance(1)
        self.assertFalse(waiting.called)
        net.advance(1)
        self.assertIsInstance(result(waiting), NotConnected)

    def test_fails_when_the_client_stops(self):
        net = Net()
        net.down = True
        client = self.client(net)
        waiting = client.whenConnected()
        client.stopService()
        self.assertIsInstance(result(waiting), CancelledError)
        self.assertIsInstance(result(client.whenConnected()), CancelledError)


class OnConnect(Client):
    def test_it_completes_before_the_outbox_flows(self):
        async def log_in(connection):
            self.assertEqual(await connection.next_line(), "220 welcome")
            self.assertEqual(await connection.request("LOGIN me"), "OK")

        client = self.client(on_connect=log_in)
        answer = client.request("a")
        self.assertEqual(self.net.server.lines(), [])
        self.net.server.say("220 welcome")
        self.assertEqual(self.net.server.lines(), ["LOGIN me"])
        self.assertEqual(client.state, "preparing")
        self.net.server.say("OK")
        self.assertEqual(client.state, "ready")
        self.assertEqual(self.net.server.lines(), ["a"])
        self.net.server.say("A")
        self.assertEqual(result(answer), "A")

    def test_it_runs_again_on_every_connection(self):
        client = self.client(on_connect=lambda connection: connection.sendLine("hello"))
        self.net.server.reset()
        self.net.advance(1)
        self.assertEqual(self.net.server.lines(), ["hello"])
        self.assertEqual(client.counters.ready, 2)

    def test_lines_that_it_does_not_read_are_pushes(self):
        async def one(connection):
            await connection.request("x")

        pushed = []
        self.client(on_connect=one, on_push=pushed.append)
        self.net.flow()
        self.net.server.say("X", "early", "late")
        self.assertEqual(pushed, ["early", "late"])

    def test_its_failure_is_a_failed_attempt(self):
        async def refused(connection):
            if await connection.request("LOGIN") != "OK":
                raise PermissionError("no")

        client = self.client(on_connect=refused)
        ready = client.whenConnected(failAfterFailures=2)
        for wait in (0.5, 1.0, 2.0):
            self.net.server.say("NO")
            self.assertEqual(client.state, "waiting")
            self.assertEqual(client.events[-1], Retrying(wait))
            self.assertEqual(client.events[-2], ConnectFailed("on_connect failed: no"))
            self.net.advance(wait)
        self.assertIsInstance(result(ready), NotConnected)
        self.assertEqual(len(self.flushLoggedErrors(PermissionError)), 1)

    def test_failing_at_once_is_a_failed_attempt_too(self):
        self.client(on_connect=lambda connection: 1 / 0)
        self.net.advance(0.2)
        self.assertEqual(self.kinds(), [Connecting, ConnectFailed, Retrying])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_connection_lost_meanwhile_is_a_failed_attempt(self):
        async def log_in(connection):
            await connection.request("LOGIN")

        client = self.client(on_connect=log_in)
        self.net.server.close()
        self.assertEqual(client.state, "waiting")
        self.assertEqual(client.events[-2].why, "the server has closed the connection")

    def test_one_that_never_finishes_is_given_up(self):
        cancelled = []

        async def hang(connection):
            try:
                await Deferred()
            except CancelledError:
                cancelled.append(True)
                raise

        client = self.client(on_connect=hang, requests=Requests(prepare_timeout=5))
        self.net.advance(5.2)
        self.assertEqual(cancelled, [True])
        self.assertIn(ConnectFailed("on_connect has not finished in time"), client.events)

    def test_it_may_stop_the_client(self):
        async def stop(connection):
            self.made.stopService()
            await connection.next_line()

        net = Net()
        self.made = LineClient(net, reactor=net.clock, on_connect=stop)
        self.net = net
        self.made.startService()
        net.advance(1)
        self.assertEqual(self.made.state, "stopped")
        self.stop()


class TheOutbox(Client):
    def away(self, **settings):
        net = Net()
        net.down = True
        return self.client(net, requests=Requests(**settings))

    def back(self):
        self.net.down = False
        self.net.advance(60)
        return self.net.server.lines()

    def test_keeps_what_is_said_meanwhile_in_order(self):
        client = self.away()
        for number in range(5):
            client.send(f"{number}")
        self.assertEqual(self.back(), list("01234"))

    def test_when_it_is_full_the_caller_waits(self):
        client = self.away(outbox=2, overflow="wait")
        places = [client.send(line) for line in "abc"]
        self.assertEqual([place.called for place in places], [True, True, False])
        self.assertEqual(self.back(), ["a", "b", "c"])
        self.assertTrue(places[2].called)

    def test_or_the_new_line_is_refused(self):
        client = self.away(outbox=2, overflow="fail")
        places = [client.send(line) for line in "abc"]
        self.assertIsInstance(result(places[2]), NotSent)
        refused = result(client.request("d"))
        self.assertIsInstance(refused, NotSent)
        self.assertFalse(refused.maybe_executed)
        self.assertEqual(self.back(), ["a", "b"])
        self.assertEqual(client.counters.dropped, 2)

    def test_or_the_oldest_is_dropped_counted_and_told(self):
        client = self.away(outbox=2, overflow="drop")
        first = client.request("a")
        for line in "bcd":
            client.send(line)
        self.assertIsInstance(result(first), NotSent)
        dropped = [event.line for event in client.events if isinstance(event, Dropped)]
        self.assertEqual(dropped, ["a", "b"])
        self.assertEqual(client.counters.dropped, 2)
        self.assertEqual(self.back(), ["c", "d"])

    def test_what_is_in_it_when_the_client_stops_is_told(self):
        client = self.away()
        client.send("a")
        asked = client.request("b")
        client.stopService()
        self.assertIsInstance(result(asked), NotSent)
        self.assertEqual(self.kinds()[-3:], [Dropped, Dropped, Stopped])

    def test_it_does_not_flow_while_the_server_takes_nothing(self):
        client = self.client(limits=Limits(high_water=200_000, stall_timeout=0))
        self.net.flow()
        self.net.server.stop_reading()
        for _ in range(20):
            client.send("x" * 60_000)
        self.net.flow()
        unsent = client.counters.bytes_out
        self.assertLess(unsent, 400_000)
        self.net.server.start_reading()
        self.assertEqual(len(self.net.server.lines()), 20)

    def test_a_server_that_takes_nothing_for_long_is_left(self):
        client = self.client(limits=Limits(stall_timeout=10))
        self.net.flow()
        self.net.server.stop_reading()
        client.request("x" * 60_000).addErrback(lambda _: None)
        client.request("x" * 60_000).addErrback(lambda _: None)
        self.net.advance(12)
        self.assertEqual(client.counters.closed, {Reason.SLOW: 1})


class PushesTest(Client):
    def test_a_callback_gets_them_and_may_answer(self):
        client = self.client(on_push=lambda line: line.replace("PING", "PONG"))
        self.net.flow()
        self.net.server.say("PING 1")
        self.assertEqual(self.net.server.lines(), ["PONG 1"])
        self.assertEqual(client.counters.pushes, 1)
        with self.assertRaises(RuntimeError):
            client.lines()

    def test_a_coroutine_may_ask_meanwhile(self):
        async def ask(line):
            return "because " + await self.made.request(f"why {line}")

        self.client(on_push=ask)
        self.net.flow()
        self.net.server.say("news")
        self.assertEqual(self.net.server.lines(), ["why news"])
        self.net.server.say("it is so")
        self.assertEqual(self.net.server.lines(), ["because it is so"])

    def test_a_coroutine_that_fails_is_logged(self):
        async def fail(line):
            raise ZeroDivisionError

        client = self.client(on_push=fail)
        self.net.flow()
        self.net.server.say("news")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(client.state, "ready")

    def test_or_they_are_iterated_over_until_the_client_stops(self):
        client = self.client()
        read = []

        async def reader():
            async for line in client.lines():
                read.append(line)
            return "over"

        reading = Deferred.fromCoroutine(reader())
        self.net.flow()
        self.net.server.say("a", "b")
        self.net.server.reset()
        self.net.advance(1)
        self.net.server.say("c")
        self.assertEqual(read, ["a", "b", "c"])
        client.stopService()
        self.assertEqual(result(reading), "over")

    def test_when_nobody_reads_the_oldest_are_dropped_counted_and_told_once(self):
        client = self.client(requests=Requests(pushes=2))
        self.net.flow()
        self.net.server.say("a", "b", "c", "d")
        self.assertEqual(client.counters.pushes_dropped, 2)
        self.assertEqual(self.kinds().count(PushesDropped), 1)
        lines = client.lines()
        self.assertEqual([result(lines.__anext__()) for _ in range(2)], ["c", "d"])

    def test_a_reader_that_is_cancelled_takes_no_line(self):
        client = self.client()
        first, second = client.lines().__anext__(), client.lines().__anext__()
        first.addErrback(lambda _: None)
        first.cancel()
        self.net.flow()
        self.net.server.say("a")
        self.assertEqual(result(second), "a")


class Heartbeats(Client):
    def beating(self, **settings):
        settings = {"ping_after": 10.0, "ping_timeout": 5.0} | settings
        return self.client(heartbeat="PING", requests=Requests(**settings))

    def test_a_silent_server_is_asked_and_its_answer_is_nobodys(self):
        client = self.beating()
        self.net.advance(9.9)
        self.assertEqual(self.net.server.lines(), [])
        self.net.advance(1)
        self.assertEqual(self.net.server.lines(), ["PING"])
        answer = client.request("a")
        self.net.flow()
        self.net.server.say("PONG", "A")
        self.assertEqual(result(answer), "A")
        self.assertEqual((client.counters.pushes, client.counters.late_answers), (0, 0))

    def test_a_dead_server_is_noticed_and_left(self):
        client = self.beating()
        waiting = client.request("a", timeout=0)
        self.net.advance(16)
        self.assertIsInstance(result(waiting), ConnectionGone)
        [lost] = [event for event in client.events if isinstance(event, Disconnected)]
        self.assertEqual(
            lost, Disconnected(Reason.TIMEOUT, "the heartbeat was not answered in time")
        )
        self.net.advance(1)
        self.assertEqual(client.state, "ready")

    def test_a_server_that_speaks_is_not_asked(self):
        self.beating()
        for _ in range(20):
            self.net.advance(3)
            self.net.server.say("news")
        self.assertEqual(self.net.server.lines(), [])

    def test_it_goes_on_for_as_long_as_the_server_answers(self):
        client = self.beating()
        for _ in range(150):
            self.net.advance(1)
            self.net.server.say(*["PONG"] * len(self.net.server.lines()))
        self.assertEqual(client.counters.opened, 1)
        self.assertGreaterEqual(client.counters.lines_out, 9)

    def test_it_can_be_switched_off(self):
        self.beating(ping_after=0.0)
        self.net.advance(1000)
        self.assertEqual(self.net.server.lines(), [])

    def test_one_that_is_not_a_line_is_refused(self):
        with self.assertRaises(ValueError):
            LineClient(Net(), reactor=Clock(), heartbeat="PING\n")


class Stops(Client):
    def stopping(self, client):
        stopped = client.stopService()
        self.net.flow()
        return stopped

    def test_what_was_sent_arrives_first(self):
        client = self.client()
        self.net.flow()
        client.send("last words")
        stopped = self.stopping(client)
        self.assertEqual(self.net.server.lines(), ["last words"])
        self.assertTrue(stopped.called)

    def test_requests_on_their_way_fail_at_once(self):
        client = self.client()
        answer = client.request("a")
        self.net.flow()
        client.stopService()
        error = result(answer)
        self.assertIsInstance(error, ConnectionGone)
        self.assertEqual(str(error), "the client has stopped")

    def test_with_a_server_that_does_not_close(self):
        net = Net()
        net.closes = False
        client = self.client(net)
        stopped = self.stopping(client)
        self.assertFalse(stopped.called)
        self.net.advance(5)
        self.assertTrue(stopped.called)

    def test_with_a_server_that_takes_nothing(self):
        client = self.client()
        self.net.flow()
        self.net.server.stop_reading()
        client.send("x" * 100_000)
        stopped = self.stopping(client)
        self.assertFalse(stopped.called)
        self.net.advance(5)
        self.assertTrue(stopped.called)

    def test_with_a_server_that_takes_a_little_for_ever(self):
        client = self.client(limits=Limits(drain_timeout=10))
        self.net.flow()
        self.net.server.transport.piece = 1
        self.net.server.stop_reading()
        client.send("x" * 50_000)
        stopped = self.stopping(client)
        for _ in range(11):
            self.net.server.transport.resumeProducing()
            self.net.server.transport.step()
            self.net.server.stop_reading()
            self.net.advance(1)
        self.assertTrue(stopped.called)

    def test_in_the_middle_of_an_attempt(self):
        net = Net()
        net.hangs = True
        client = self.client(net)
        self.assertEqual(client.state, "connecting")
        self.assertTrue(self.stopping(client).called)

    def test_between_attempts(self):
        net = Net()
        net.down = True
        client = self.client(net)
        net.advance(0.2)
        self.assertEqual(client.state, "waiting")
        self.assertTrue(self.stopping(client).called)
        self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_while_on_connect_is_at_work(self):
        async def hang(connection):
            await connection.next_line()

        client = self.client(on_connect=hang)
        self.net.flow()
        self.assertEqual(client.state, "preparing")
        self.assertTrue(self.stopping(client).called)

    def test_at_any_event(self):
        for kind in (Connecting, Connected, ConnectFailed, Retrying, Disconnected):
            net = Net()
            client = LineClient(net, reactor=net.clock, random=half)
            stopped = []

            def stop(event, kind=kind, client=client, stopped=stopped):
                if type(event) is kind and not stopped:
                    stopped.append(client.stopService())

            client.on_event(stop)
            net.down = kind in (ConnectFailed, Retrying)
            client.startService()
            net.advance(1)
            if kind is Disconnected:
                net.server.reset()
            net.advance(5)
            self.assertEqual([done.called for done in stopped], [True], kind)
            self.assertEqual(client.state, "stopped")
            self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_when_an_endpoint_connects_although_it_was_told_not_to(self):
        made = []

        @implementer(IStreamClientEndpoint)
        class Stubborn(Net):
            def connect(self, factory):
                made.append(factory)
                return Deferred()

        client = self.client(Stubborn())
        self.assertTrue(self.stopping(client).called)
        self.assertIsNone(made[0].buildProtocol(None))

    def test_from_the_answer_to_a_request(self):
        client = self.client()
        stopped = client.request("a").addCallback(lambda _: client.stopService())
        second = client.request("b")
        self.net.flow()
        self.net.server.say("A", "B")
        self.assertTrue(stopped.called)
        self.assertIsInstance(result(second), ConnectionGone)

    def test_from_the_failure_of_a_request(self):
        client = self.client()
        stopped = client.request("a").addErrback(lambda _: client.stopService())
        self.net.flow()
        self.net.server.reset()
        self.net.flow()
        self.assertTrue(stopped.called)
        self.assertEqual(client.state, "stopped")

    def test_twice_and_before_it_has_started(self):
        client = self.client()
        first, second = client.stopService(), client.stopService()
        self.net.flow()
        self.assertTrue(first.called)
        self.assertTrue(second.called)
        unstarted = LineClient(self.net, reactor=self.net.clock)
        self.assertTrue(unstarted.stopService().called)

    def test_and_starts_again(self):
        client = self.client(Net(str.upper))
        for _ in range(3):
            self.stopping(client)
            self.assertIsInstance(result(client.request("a")), NotSent)
            client.startService()
            answer = client.request("b")
            self.net.flow()
            self.assertEqual(result(answer), "B")

    def test_and_starts_again_although_it_has_not_stopped_yet(self):
        net = Net()
        net.closes = False
        client = self.client(net)
        net.flow()
        stopped = client.stopService()
        client.startService()
        net.advance(5)
        self.assertTrue(stopped.called)
        self.assertEqual((client.state, bool(client.running)), ("ready", True))
        self.assertEqual(len(net.accepted), 2)


class Connector:
    """What `reactor.connectTCP` gives, for a server in memory."""

    def __init__(self, net, factory):
        self.net, self.factory = net, factory
        self.state = "disconnected"

    def connect(self):
        self.state = "connecting"
        self.factory.doStart()
        self.factory.startedConnecting(self)
        self.net.clock.callLater(0, self._go_on)

    def stopConnecting(self):
        if self.state != "connecting":
            raise NotConnectingError
        self._fail()

    def _fail(self):
        self.state = "disconnected"
        self.factory.clientConnectionFailed(self, Failure(ConnectionRefusedError()))

    def _go_on(self):
        self.net.attempts.append(self.net.clock.seconds())
        if self.state != "connecting":
            return
        if self.net.down:
            self._fail()
            return
        protocol = self.factory.buildProtocol(None)
        lost = protocol.connectionLost

        def connection_lost(reason):
            """As a transport does: first the protocol is told, then the connector."""
            lost(reason)
            self.state = "disconnected"
            self.factory.clientConnectionLost(self, reason)

        self.state = "connected"
        self.net.join(Losing(protocol, connection_lost))


class Losing:
    """A protocol whose end somebody else wants to see, too."""

    def __init__(self, protocol, connection_lost):
        self._protocol = protocol
        self.connectionLost = connection_lost

    def __getattr__(self, name):
        return getattr(self._protocol, name)


class CodeThatInterferes(Client):
    """The user's code, called in the middle of things."""

    def test_on_push_that_fails_for_a_line_that_came_early(self):
        async def log_in(connection):
            await connection.request("log in")

        def on_push(line):
            raise ZeroDivisionError

        matcher = Matcher(push=lambda line: line == "news")
        client = self.client(on_connect=log_in, on_push=on_push, matcher=matcher)
        answer = client.request("a")
        self.net.flow()
        self.net.server.say("news", "OK")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.net.server.say("A")
        self.assertEqual(result(answer), "A")
        self.assertIn(Connected, self.kinds())

    def test_a_request_cancelled_when_it_is_sent_may_have_been_executed(self):
        net = Net(str.upper)
        net.down = True
        client = self.client(net, requests=Requests(outbox=1))
        first = client.request("a")
        client.send("b").addCallback(lambda _: first.cancel())  # "b" gets the place of "a"
        net.down = False
        net.advance(1)
        self.assertEqual(client.counters.late_answers, 1)
        self.assertTrue(result(first).maybe_executed)

    def test_a_timeout_that_is_none(self):
        client = self.client()
        for timeout in (-1, float("nan")):
            self.assertRaises(ValueError, client.request, "a", timeout)
        self.assertEqual(client.counters.asked, 0)

    def test_what_is_no_line(self):
        client = self.client()
        self.assertRaisesRegex(TypeError, "a line is a str, not a bytes", client.request, b"a")

    def test_asking_a_connection_that_is_gone(self):
        client = self.client()
        connection = result(client.whenConnected())
        connection.abort()
        self.assertFalse(result(connection.request("a")).maybe_executed)


class TheFactory(SynchronousTestCase):
    def connect(self, net=None, **settings):
        self.net = net or Net()
        self.factory = ReconnectingLineClientFactory(
            reactor=self.net.clock, random=half, **settings
        )
        self.connector = Connector(self.net, self.factory)
        self.connector.connect()
        self.net.flow()
        self.addCleanup(self.stop)
        return self.factory

    def stop(self):
        stopped = self.factory.stop()
        self.net.advance(30)
        self.assertTrue(stopped.called)
        self.assertEqual(self.net.clock.getDelayedCalls(), [])

    def test_asks_and_comes_back(self):
        factory = self.connect(Net(str.upper))
        answer = factory.request("a")
        self.net.flow()
        self.assertEqual(result(answer), "A")
        self.net.break_all()
        answer = factory.request("b")
        self.net.advance(0.5)
        self.assertEqual(result(answer), "B")

    def test_waits_as_the_service_does(self):
        net = Net()
        net.down = True
        self.connect(net)
        net.advance(40)
        self.assertEqual(net.attempts, [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])

    def test_gives_up_when_the_rule_says_so(self):
        net = Net()
        net.down = True
        factory = self.connect(net, retry=Retry(give_up_attempts=2))
        waiting = factory.request("a")
        net.advance(10)
        self.assertEqual(factory.state, "gave up")
        self.assertIsInstance(result(waiting), NotSent)
        self.assertEqual(net.clock.getDelayedCalls(), [])

    def test_stops_in_the_middle_of_an_attempt_and_between_attempts(self):
        for down in (False, True):
            net = Net()
            net.down = down
            factory = ReconnectingLineClientFactory(reactor=net.clock, random=half)
            Connector(net, factory).connect()
            if down:
                net.flow()
            self.assertTrue(factory.stop().called)
            net.flow()
            self.assertEqual((factory.state, net.clock.getDelayedCalls()), ("stopped", []))

    def test_told_to_stop_trying_it_keeps_the_connection_but_makes_no_other(self):
        factory = self.connect(Net(str.upper))
        factory.stopTrying()
        answer = factory.request("a")
        self.net.flow()
        self.assertEqual(result(answer), "A")
        self.net.break_all()
        self.assertEqual(factory.state, "gave up")

    def test_told_to_stop_trying_while_it_waits_it_gives_up(self):
        net = Net()
        net.down = True
        factory = self.connect(net)
        waiting, connected = factory.request("a", timeout=0), factory.whenConnected()
        factory.stopTrying()
        self.assertEqual(factory.state, "gave up")
        self.assertIsInstance(result(waiting), NotSent)
        self.assertIsInstance(result(connected), NotConnected)

    def test_it_can_be_connected_anew_after_it_has_stopped(self):
        factory = self.connect(Net(str.upper))
        factory.stop()
        self.net.flow()
        self.connector.connect()
        answer = factory.request("a")
        self.net.flow()
        self.assertEqual(result(answer), "A")

    def test_it_has_one_connection(self):
        factory = self.connect()
        self.assertIsNone(factory.buildProtocol(None))


class LineProtocolsTest(SynchronousTestCase):
    def test_any_line_protocol_is_a_good_server_for_it(self):
        class Counter(LineProtocol):
            def connectionMade(self):
                self.seen = 0

            def lineReceived(self, line):
                self.seen += 1
                return f"{self.seen} {line}"

        net = Net(Counter)
        client = client_of(net)
        answers = [client.request(line) for line in "ab"]
        net.flow()
        self.assertEqual([result(each) for each in answers], ["1 a", "2 b"])
        client.stopService()
        net.flow()
