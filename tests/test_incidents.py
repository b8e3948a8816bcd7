"""What goes wrong, counted and logged, without filling the disk."""

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import Problem, Reason
from twisted_sock.incidents import PLACES, PROBLEMS, QUIET, Incidents
from twisted_sock.interfaces import Peer
from twisted_sock.metrics import Counters

PEER = Peer(IPv4Address("TCP", "192.0.2.7", 4711))
EVIL = "{log_source.boom()}"


def failing(words="boom", kind=ValueError):
    raise kind(words)


def failed(words="boom", kind=ValueError):
    """A failure; always of the same place in the code."""
    try:
        failing(words, kind)
    except kind:
        return Failure()


def failed_at(line):
    """A failure of another place for every line."""
    try:
        exec(compile("\n" * line + "raise ValueError(line)", "user.py", "exec"), {"line": line})
    except ValueError:
        return Failure()


class Tempting(Incidents):
    """Notes when text from outside was taken for a format."""

    booms = 0

    def boom(self):
        self.booms += 1


class IncidentsTest(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.clock.advance(1000)
        self.counters = Counters()
        self.incidents = Tempting(self.clock, self.counters)
        logs = capturedLogs()
        self.events = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)

    def logged(self):
        """What was logged since it was last asked, as text."""
        texts = [formatEvent(event) for event in self.events]
        self.events.clear()
        return texts

    def problems(self, count, reason=Reason.UTF8, known=False):
        for _ in range(count):
            self.incidents.problem(Problem(reason, "at byte 5"), PEER, known)


class ProblemsTest(IncidentsTest):
    def test_logged_with_its_peer(self):
        self.problems(1)
        self.assertEqual(self.logged(), ["192.0.2.7:4711: ERR utf8 at byte 5"])

    def test_all_are_counted(self):
        self.problems(1000)
        self.problems(5, Reason.SLOW)
        self.problems(7, Reason.SLOW, known=True)
        self.assertEqual(self.counters.problems, {"utf8": 1000, "slow": 12})

    def test_what_is_known_is_not_logged(self):
        self.problems(100, known=True)
        self.assertEqual(self.logged(), [])

    def test_what_is_known_takes_no_room(self):
        self.problems(PROBLEMS, known=True)
        self.problems(1)
        self.assertEqual(len(self.logged()), 1)

    def test_so_many_a_second(self):
        self.assertEqual(PROBLEMS, 20)
        for _ in range(10):
            self.problems(100)
            self.clock.advance(0.0999)
        self.assertEqual(len(self.logged()), PROBLEMS)

    def test_summary_afterwards(self):
        self.problems(PROBLEMS + 30)
        self.assertEqual(len(self.logged()), PROBLEMS)
        self.clock.advance(1)
        self.problems(1)
        summary, problem = self.logged()
        self.assertIn("30 more", summary)
        self.assertIn("ERR utf8", problem)
        self.clock.advance(1)
        self.problems(1)
        self.assertEqual(len(self.logged()), 1)

    def test_no_summary_of_nothing(self):
        for _ in range(5):
            self.problems(PROBLEMS)
            self.assertEqual(len(self.logged()), PROBLEMS)
            self.clock.advance(1)

    def test_every_second_has_room(self):
        for _ in range(5):
            self.problems(PROBLEMS * 2)
            self.clock.advance(1)
        text = self.logged()
        self.assertEqual(len([line for line in text if "ERR" in line]), 5 * PROBLEMS)
        self.assertEqual(len([line for line in text if f"{PROBLEMS} more" in line]), 4)


class FailuresTest(IncidentsTest):
    def failure(self, failure):
        return self.incidents.failure(failure, PEER)

    def test_the_id_told_is_the_id_logged(self):
        told = self.failure(failed("secret of the house"))
        (event,) = [each for each in self.events if "log_failure" in each]
        self.assertIn(told, formatEvent(event))
        self.assertIn("192.0.2.7:4711", formatEvent(event))
        self.assertIn("secret of the house", eventAsText(event))
        self.assertIn("in failing", eventAsText(event))
        self.assertGreaterEqual(len(told), 8)
        self.assertNotIn("secret", told)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_all_are_counted(self):
        for _ in range(50):
            self.failure(failed())
        self.assertEqual(self.counters.problems, {"internal": 50})
        self.flushLoggedErrors(ValueError)

    def test_the_same_place_shares_an_id(self):
        ids = set()
        for number in range(10):
            ids.add(self.failure(failed(f"boom {number}")))
            self.clock.advance(QUIET / 10 - 0.001)
        self.assertEqual(len(ids), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIn(ids.pop(), self.logged()[0])

    def test_logged_again_later(self):
        self.assertEqual(QUIET, 10)
        first = [self.failure(failed()) for _ in range(6)]
        self.clock.advance(QUIET)
        second = [self.failure(failed()) for _ in range(3)]
        self.clock.advance(QUIET)
        third = self.failure(failed())
        self.assertEqual(len({*first, *second, third}), 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 3)
        logged = self.logged()
        for text, id, untold in zip(logged, (first[0], second[0], third), (0, 5, 2), strict=True):
            self.assertIn(id, text)
            self.assertIn(f"({untold} like it", text)

    def test_another_place_has_another_id(self):
        ids = {self.failure(failed_at(line)) for line in range(10)}
        ids.add(self.failure(failed(kind=KeyError)))
        ids.add(self.failure(failed(kind=OSError)))
        self.assertEqual(len(ids), 12)
        self.assertEqual(len(self.flushLoggedErrors(ValueError, KeyError, OSError)), 12)

    def test_the_same_function_by_another_way(self):
        """What counts is where it was raised, not who called."""
        ids = set()
        for way in (failing, lambda: [failing()]):
            try:
                way()
            except ValueError:
                ids.add(self.failure(Failure()))
        self.assertEqual(len(ids), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_without_a_traceback(self):
        ids = {self.failure(Failure(ValueError("never raised"))) for _ in range(3)}
        self.assertEqual(len(ids), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_places_are_not_remembered_for_ever(self):
        """The oldest is forgotten for a new one, and is then new itself."""
        ids = [self.failure(failed_at(line)) for line in range(PLACES)]
        self.assertEqual(self.failure(failed_at(0)), ids[0])
        self.failure(failed_at(PLACES))
        self.assertEqual(self.failure(failed_at(PLACES - 1)), ids[-1])
        self.assertNotEqual(self.failure(failed_at(0)), ids[0])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), PLACES + 2)

    def test_what_was_logged_last_is_forgotten_last(self):
        for line in range(PLACES):
            self.failure(failed_at(line))
        self.clock.advance(QUIET)
        again = self.failure(failed_at(0))
        self.failure(failed_at(PLACES))
        self.assertEqual(self.failure(failed_at(0)), again)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), PLACES + 2)


class FormatTest(IncidentsTest):
    """Text from outside is never a format, wherever it comes from."""

    def setUp(self):
        super().setUp()
        self.peer = Peer(IPv4Address("TCP", EVIL, 1))

    def shown(self):
        """Everything that is logged, as an observer would show it."""
        text = "\n".join(map(eventAsText, self.events))
        self.assertEqual(self.incidents.booms, 0)
        self.assertNotIn("Unable to format", text)
        return text

    def test_the_trap_works(self):
        self.incidents.log.info(EVIL)
        "".join(map(eventAsText, self.events))
        self.assertGreaterEqual(self.incidents.booms, 1)

    def test_problem(self):
        self.incidents.problem(Problem(Reason.UTF8, EVIL), self.peer, False)
        self.assertEqual(self.shown().count(EVIL), 2)

    def test_failure(self):
        self.incidents.failure(failed(EVIL), self.peer)
        self.flushLoggedErrors(ValueError)
        self.assertGreaterEqual(self.shown().count(EVIL), 2)
