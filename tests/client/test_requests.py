"""Pairing answers with questions: whatever happens, each request ends once, and honestly."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import Case, Net, client_of, result
from twisted_sock import (
    PUSH,
    ById,
    Limits,
    Matcher,
    RequestError,
    Requests,
    Retry,
    Several,
    parting,
)
from twisted_sock.client.requests import Cancelled, Pairing, Request, Whose
from twisted_sock.errors import BadAnswer, ConnectionGone, NotSent, TooLate


def first_word(line):
    return line.split(" ")[0]


class Pairs(SynchronousTestCase):
    """The pure part."""

    def pairing(self, matcher, *questions):
        pairing = Pairing(matcher)
        self.asked = [Request(line, matcher.question(line), 0.0) for line in questions]
        for request in self.asked:
            pairing.ask(request)
        return pairing

    def test_in_order_each_line_answers_the_oldest_question(self):
        pairing = self.pairing(Matcher(), "a", "b")
        self.assertIs(pairing.take("x"), self.asked[0])
        self.assertIs(pairing.take("y"), self.asked[1])
        self.assertEqual([each.lines for each in self.asked], [["x"], ["y"]])
        self.assertEqual(pairing.owed, 0)

    def test_a_line_that_no_question_waits_for_is_a_push(self):
        self.assertIs(self.pairing(Matcher()).take("x"), PUSH)
        by_id = ById(first_word, first_word)
        self.assertIs(self.pairing(by_id, "1 a").take("2 b"), PUSH)

    def test_a_line_can_be_known_as_a_push(self):
        pairing = self.pairing(Matcher(push=lambda line: line.startswith("!")), "a")
        self.assertIs(pairing.take("!news"), PUSH)
        self.assertIs(pairing.take("x"), self.asked[0])

    def test_by_id_answers_come_in_any_order(self):
        pairing = self.pairing(ById(first_word, first_word), "1 a", "2 b", "3 c")
        self.assertIs(pairing.take("3 x"), self.asked[2])
        self.assertIs(pairing.take("1 y"), self.asked[0])
        self.assertIs(pairing.take("2 z"), self.asked[1])

    def test_two_questions_of_one_id_are_answered_in_order(self):
        pairing = self.pairing(ById(first_word, first_word), "1 a", "1 b")
        self.assertIs(pairing.take("1 x"), self.asked[0])
        self.assertIs(pairing.take("1 y"), self.asked[1])

    def test_an_answer_of_several_lines_is_whole_when_the_matcher_says_so(self):
        def whole(question, lines):
            return question == "short" or lines[-1] == "."

        pairing = self.pairing(Several(whole, push=str.isupper), "long", "short")
        self.assertIsNone(pairing.take("x"))
        self.assertIs(pairing.take("NEWS"), PUSH)
        self.assertIs(pairing.take("."), self.asked[0])
        self.assertIs(pairing.take("y"), self.asked[1])
        self.assertEqual(self.asked[0].lines, ["x", "."])

    def test_a_line_that_cannot_be_read_is_the_next_answer_only_where_that_is_sure(self):
        pairing = self.pairing(Matcher(), "a")
        self.assertIs(pairing.take_unreadable(), self.asked[0])
        self.assertIs(pairing.take_unreadable(), PUSH)
        for matcher in (Matcher(push=str.isupper), Several(lambda *_: True)):
            self.assertIs(self.pairing(matcher, "a").take_unreadable(), Whose.LOST)
        self.assertIs(self.pairing(ById(first_word, first_word), "1 a").take_unreadable(), PUSH)

    def test_only_an_answer_that_is_known_by_its_id_can_be_forgotten(self):
        pairing = self.pairing(ById(first_word, first_word), "1 a", "2 b", "2 c")
        self.assertTrue(pairing.forget(self.asked[0]))
        self.assertFalse(pairing.forget(self.asked[1]))
        in_order = self.pairing(Matcher(), "a")
        self.assertFalse(in_order.forget(self.asked[0]))


class Ends(Case):
    """How requests end."""

    def test_answers_come_back_in_order(self):
        client = self.client(Net(str.upper))
        answers = [client.request(line) for line in ("a", "b", "世界")]
        self.net.flow()
        self.assertEqual([result(each) for each in answers], ["A", "B", "世界"])

    def test_can_be_awaited(self):
        client = self.client(Net(str.upper))

        async def talk():
            return await client.request(await client.request("x") + "y")

        said = Deferred.fromCoroutine(talk())
        self.net.flow()
        self.assertEqual(result(said), "XY")

    def test_no_more_than_the_window_are_on_their_way(self):
        client = self.client(requests=Requests(window=2))
        answers = [client.request(line) for line in "abcd"]
        self.assertEqual(self.net.server.lines(), ["a", "b"])
        self.net.server.say("A")
        self.assertEqual(self.net.server.lines(), ["c"])
        self.net.server.say("B", "C")
        self.assertEqual(self.net.server.lines(), ["d"])
        self.net.server.say("D")
        self.assertEqual([result(each) for each in answers], list("ABCD"))

    def test_a_late_answer_is_not_taken_for_the_next(self):
        client = self.client()
        late = client.request("slow", timeout=1)
        self.net.advance(1.1)
        error = result(late)
        self.assertIsInstance(error, TooLate)
        self.assertTrue(error.maybe_executed)
        next_one = client.request("next")
        self.net.server.say("answer to slow", "answer to next")
        self.assertEqual(result(next_one), "answer to next")
        self.assertEqual(self.made.counters.late_answers, 1)

    def test_a_deadline_is_not_early(self):
        client = self.client()
        answer = client.request("x", timeout=10)
        self.net.advance(9.99)
        self.assertIsNone(result(answer))
        self.net.advance(0.3)
        self.assertIsInstance(result(answer), TooLate)

    def test_without_a_deadline_it_waits_for_ever(self):
        client = self.client(requests=Requests(timeout=0))
        answer = client.request("x")
        self.net.advance(100_000)
        self.net.server.say("X")
        self.assertEqual(result(answer), "X")

    def test_a_request_that_waits_too_long_in_the_outbox_was_not_executed(self):
        net = Net()
        net.down = True
        client = self.client(net)
        answer = client.request("x", timeout=1)
        net.advance(1.1)
        self.assertIsInstance(result(answer), TooLate)
        self.assertFalse(result(answer).maybe_executed)
        net.down = False
        net.advance(60)
        self.assertEqual(net.server.lines(), [])

    def test_when_an_answer_stays_owed_the_place_is_lost_and_the_client_reconnects(self):
        client = self.client(requests=Requests(overdue=5))
        client.request("x", timeout=1).addErrback(lambda _: None)
        other = client.request("y")
        self.net.advance(6.2)
        self.assertIsInstance(result(other), ConnectionGone)
        self.assertIn("overdue", client.events[-2].why)

    def test_by_id_an_answer_that_stays_owed_is_forgotten(self):
        client = self.client(matcher=ById(first_word, first_word), requests=Requests(overdue=5))
        client.request("1 x", timeout=1).addErrback(lambda _: None)
        other = client.request("2 y")
        self.net.advance(7)
        self.net.server.say("2 Y")
        self.assertEqual(result(other), "2 Y")
        self.assertEqual(client.counters.opened, 1)

    def test_what_was_sent_may_have_been_executed_when_the_connection_breaks(self):
        client = self.client(requests=Requests(window=1))
        sent, waiting = client.request("a"), client.request("b")
        self.net.flow()
        self.net.server.reset()
        error = result(sent)
        self.assertIsInstance(error, ConnectionGone)
        self.assertTrue(error.maybe_executed)
        self.net.advance(1)
        self.assertEqual(self.net.server.lines(), ["b"])
        self.net.server.say("B")
        self.assertEqual(result(waiting), "B")

    def test_half_an_answer_is_none(self):
        client = self.client()
        answer = client.request("x")
        self.net.flow()
        self.net.server.send(b"X-but-not-al")
        self.net.server.close()
        self.assertIsInstance(result(answer), ConnectionGone)

    def test_an_answer_that_cannot_be_read_fails_its_own_request_and_no_other(self):
        client = self.client()
        answers = [client.request(line) for line in "abc"]
        self.net.flow()
        self.net.server.send(b"A\n\xff\nC\n")
        first, second, third = map(result, answers)
        self.assertEqual((first, third), ("A", "C"))
        self.assertIsInstance(second, BadAnswer)
        self.assertTrue(second.maybe_executed)

    def test_where_nobody_can_tell_whose_a_bad_line_is_the_connection_is_dropped(self):
        client = self.client(matcher=Matcher(push=str.isupper))
        answer = client.request("a")
        self.net.flow()
        self.net.server.send(b"\xff\n")
        self.assertIsInstance(result(answer), ConnectionGone)

    def test_nothing_is_told_to_the_server_that_it_was_not_asked(self):
        self.client(on_push=lambda line: 1 / 0)
        self.net.server.send(b"\xff\npush\n" + b"x" * 70_000 + b"\n")
        self.assertEqual(self.net.server.lines(), [])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_matcher_that_fails_costs_the_connection_not_the_pairing(self):
        def broken(line):
            raise ZeroDivisionError

        client = self.client(matcher=Matcher(push=broken))
        answer = client.request("a")
        self.net.flow()
        self.net.server.say("A")
        self.assertIsInstance(result(answer), ConnectionGone)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancelled_in_the_outbox_it_is_never_sent(self):
        client = self.client(requests=Requests(window=1))
        client.request("a").addErrback(lambda _: None)
        waiting = client.request("b")
        waiting.cancel()
        error = result(waiting)
        self.assertIsInstance(error, Cancelled)
        self.assertIsInstance(error, CancelledError)
        self.assertFalse(error.maybe_executed)
        self.net.flow()
        self.net.server.say("A")
        self.assertEqual(self.net.server.lines(), ["a"])

    def test_cancelled_on_its_way_its_answer_is_thrown_away(self):
        client = self.client()
        first, second = client.request("a"), client.request("b")
        first.cancel()
        self.assertTrue(result(first).maybe_executed)
        self.net.flow()
        self.net.server.say("A", "B")
        self.assertEqual(result(second), "B")

    def test_add_timeout_works_as_with_any_deferred(self):
        client = self.client()
        answer = client.request("a").addTimeout(1, self.net.clock)
        self.net.advance(1)
        self.assertIsInstance(result(answer), TimeoutError)

    def test_what_cannot_be_sent_is_said_at_once(self):
        client = self.client()
        for wrong in ("a\nb", "\ud800"):
            with self.assertRaises(ValueError):
                client.request(wrong)
            with self.assertRaises(ValueError):
                client.send(wrong)
        for wrong in (b"a", None):
            with self.assertRaises(TypeError):
                client.request(wrong)

    def test_a_question_without_an_id_is_said_at_once(self):
        client = self.client(matcher=ById(lambda line: line.split(" ")[5], first_word))
        with self.assertRaises(IndexError):
            client.request("a")

    def test_a_goodbye_of_our_own_server_is_not_taken_for_an_answer(self):
        client = self.client(Net(str.upper), matcher=Matcher(push=parting))
        self.net.flow()
        self.net.factory.drain()
        answer = client.request("a")
        self.net.flow()
        self.assertIsInstance(result(answer), ConnectionGone)
        pushed = result(client.lines().__anext__())
        self.assertEqual(pushed, "ERR shutdown the server is stopping")

    def test_several_lines_are_joined(self):
        client = self.client(matcher=Several(lambda _, lines: lines[-1] == "."))
        answer = client.request("list")
        self.net.flow()
        self.net.server.say("one", "two", ".")
        self.assertEqual(result(answer), "one\ntwo\n.")

    def test_a_request_made_by_the_answer_to_another_keeps_its_place(self):
        client = self.client(requests=Requests(window=1))
        answers = []
        client.request("a").addCallback(lambda _: client.request("c").addCallback(answers.append))
        client.request("b").addCallback(answers.append)
        self.net.flow()
        for answer in "ABC":
            self.net.server.say(answer)
        self.assertEqual(answers, ["B", "C"])

    def test_many_large_questions_and_answers_do_not_wait_for_each_other_for_ever(self):
        """Both sides stop reading when their output is not taken; one of them must not."""
        net = Net(str.upper)
        net.factory.limits = Limits(high_water=100_000)
        limits = Limits(high_water=100_000)
        client = self.client(net, limits=limits, requests=Requests(window=1000))
        answers = [client.request("x" * 60_000) for _ in range(100)]
        net.flow()
        self.assertEqual([len(result(each) or "") for each in answers], [60_000] * 100)


class AnyOrder(RuleBasedStateMachine):
    """Requests, answers, losses, deadlines and cancellations in any order.

    The server answers each question with its own words, so that an answer that was given to the
    wrong question shows.
    """

    matcher = Matcher

    @initialize(
        window=st.integers(1, 4),
        outbox=st.integers(1, 5),
        overflow=st.sampled_from(["wait", "fail", "drop"]),
    )
    def start(self, window, outbox, overflow):
        self.net = Net()
        self.client = client_of(
            self.net,
            matcher=self.matcher(),
            requests=Requests(window=window, outbox=outbox, overflow=overflow, overdue=5),
            retry=Retry(first_delay=1, max_delay=2),
        )
        self.ends = {}
        self.answers = {}
        self.executed = Counter()
        self.unanswered = []  # by server connection: what it was asked
        self.dropped = Counter()
        self.client.on_event(lambda event: self.dropped.update([getattr(event, "line", "")]))

    def question(self):
        return f"{len(self.answers)} question"

    def hear(self):
        """Let the server read."""
        self.net.flow()
        while len(self.unanswered) < len(self.net.accepted):
            self.unanswered.append([])
        for server, asked in zip(self.net.accepted, self.unanswered, strict=True):
            for line in server.lines():
                self.executed[line] += 1
                asked.append(line)
            if server.gone:
                asked.clear()

    @rule(timeouts=st.lists(st.sampled_from([0, 1, 3, 30]), min_size=1, max_size=4))
    def ask_some(self, timeouts):
        for timeout in timeouts:
            self.ask(timeout)

    def ask(self, timeout):
        line = self.question()
        ends = self.ends[line] = []
        answer = self.client.request(line, timeout)
        self.answers[line] = answer
        answer.addBoth(ends.append)
        self.hear()

    @rule()
    def say(self):
        self.client.send("note").addErrback(lambda _: None)
        self.hear()

    @rule(data=st.data(), count=st.integers(1, 4))
    def answer_some(self, data, count):
        for _ in range(count):
            self.answer(data)

    def answer(self, data):
        for server, asked in zip(self.net.accepted, self.unanswered, strict=False):
            asked[:] = [line for line in asked if line != "note"]
            if asked and not server.gone:
                server.say(f"{asked.pop(self.which(data, asked))} answered")
        self.hear()

    def which(self, data, asked):
        """In order."""
        return 0

    @rule(data=st.data())
    def cancel(self, data):
        waiting = sorted(line for line, ends in self.ends.items() if not ends)
        if waiting:
            self.answers[data.draw(st.sampled_from(waiting))].cancel()
        self.hear()

    @rule(seconds=st.sampled_from([0.3, 1.1, 4.0]))
    def wait(self, seconds):
        self.net.advance(seconds, steps=8)
        self.hear()

    @rule(chance=st.integers(0, 9), torn=st.booleans())
    def lose(self, chance, torn):
        if chance < 6:
            return
        self.net.down = chance == 9
        for server in self.net.accepted:
            if not server.gone:
                if torn:
                    server.send(b"half an ans")
                    server.close()
                else:
                    server.reset()
        self.hear()

    @rule(chance=st.integers(0, 9), refused=st.booleans())
    def stop_and_start(self, chance, refused):
        if chance < 9:  # otherwise little else would be tried
            return
        self.client.stopService()
        self.net.advance(20, steps=40)
        assert self.client.state == "stopped"
        if refused:
            self.ask(timeout=0)
        self.client.startService()
        self.hear()

    @invariant()
    def nothing_ends_twice_or_wrongly(self):
        for line, ends in getattr(self, "ends", {}).items():
            assert len(ends) <= 1
            if not ends:
                continue
            [end] = ends
            if isinstance(end, str):
                assert end == f"{line} answered"
                continue
            error = end.value
            assert isinstance(error, RequestError), error
            assert error.maybe_executed or not self.executed[line], error
            assert not isinstance(error, NotSent) or self.dropped[line] == 1
        assert all(count == 1 for line, count in self.executed.items() if line != "note")

    @invariant()
    def everything_is_counted(self):
        counters = self.client.counters
        ended = sum(map(len, self.ends.values()))
        assert counters.asked == len(self.ends)
        assert counters.answered + counters.failed.total() == ended

    def teardown(self):
        if not hasattr(self, "client"):
            return
        self.client.stopService()
        self.net.advance(20, steps=40)
        assert self.client.state == "stopped"
        assert all(len(ends) == 1 for ends in self.ends.values())
        assert self.net.clock.getDelayedCalls() == []
        self.nothing_ends_twice_or_wrongly()


class AnyOrderById(AnyOrder):
    """The same with ids: the server answers whom it likes first."""

    def matcher(self):
        return ById(first_word, first_word)

    def which(self, data, asked):
        return data.draw(st.integers(0, len(asked) - 1))


class Whatever(SynchronousTestCase):
    def check(self, machine):
        run_state_machine_as_test(
            machine,
            settings=hypothesis_settings(max_examples=250, stateful_step_count=50, deadline=None),
        )

    def test_each_request_ends_once_with_its_answer_or_an_honest_error(self):
        self.check(AnyOrder)

    def test_so_it_does_where_answers_carry_ids(self):
        self.check(AnyOrderById)
