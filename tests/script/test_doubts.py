"""What is no mistake in a script, but hardly meant."""

from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.script.doubts import doubts, states
from twisted_sock.script.reading import parse


class DoubtsTest(SynchronousTestCase):
    def assertDoubts(self, text, *told):
        found = doubts(parse(text, "x"))
        self.assertEqual([f"{line}: {words}" for line, words in found], list(told))

    def test_none(self):
        self.assertDoubts("")
        self.assertDoubts(
            "start='a'\n[[rule]]\nwhen='a'\nthen='b'\n[[rule]]\nwhen='b'\nthen='a'\n[[rule]]\n"
        )

    def test_states_that_are_never_reached(self):
        self.assertDoubts(
            "start = 'a'\n[[rule]]\nwhen = ['a', 'x']\n[[rule]]\nname = 'n'\nwhen = 'y'\n"
            "then = 'z'\n[[rule]]\nexact = 'q'\nwhen = 'z'\n[[fault]]\ndo = 'drop'\nwhen = 'w'",
            '2: rule 1: when: no conversation comes into the state "x"',
            '4: rule 2 (n): when: no conversation comes into the state "y"',
            '8: rule 3: when: no conversation comes into the state "z"',
            '11: fault 1: when: no conversation comes into the state "w"',
        )

    def test_states_that_the_fallback_leads_to(self):
        self.assertDoubts("[[rule]]\nwhen = 'a'\n[fallback]\nthen = 'a'")

    def test_rules_that_never_count(self):
        for first, second, hidden in (
            ("", "", True),
            ("", "exact = 'a'", True),
            ("", "regex = 'a'\nclient = '10.0.0.0/8'", True),
            ("times = 1", "", False),
            ("total = 1", "", False),
            ("exact = 'a'", "exact = 'a'", True),
            ("exact = 'a'", "exact = 'b'", False),
            ("exact = 'a'", "prefix = 'a'", False),
            ("prefix = 'a'", "exact = 'ab'", True),
            ("prefix = 'a'", "prefix = 'ab'", True),
            ("prefix = 'ab'", "prefix = 'a'", False),
            ("prefix = 'a'", "regex = 'a'", False),
            ("regex = 'a'", "regex = 'a'", True),
            ("regex = 'a.*'", "exact = 'ab'", False),
            ("json = {a = 1}", "json = {a = 1}", True),
            ("json = {a = 1}", "json = {a = 2}", False),
            ("when = ''", "", False),
            ("when = ''", "when = ''", True),
            ("client = '10.0.0.0/8'", "", False),
            ("client = '10.0.0.0/8'", "client = ['10.1.0.0/16', '10.0.0.1']", True),
            ("client = '10.0.0.0/16'", "client = '10.0.0.0/8'", False),
            ("client = '10.0.0.0/8'", "client = '::1'", False),
        ):
            text = f"[[rule]]\n{first}\n[[rule]]\n{second}\nname = 'n'"
            told = ["3: rule 2 (n): it never counts, as rule 1 takes all its lines"]
            self.assertDoubts(text, *told * hidden)

    def test_a_fallback_that_is_never_said(self):
        self.assertDoubts(
            "[[rule]]\n[fallback]\nreply = 'x'",
            "2: fallback: it is never said, as rule 1 takes all lines",
        )

    def test_newlines(self):
        words = "a line has no newline in it, unless lines are chunks or end in CRLF"
        self.assertDoubts('[[rule]]\nexact = "a\\n"', f"1: rule 1: exact: {words}")
        self.assertDoubts("[[fault]]\ndo='drop'\nprefix = \"\\n\"", f"1: fault 1: prefix: {words}")

    def test_expectations_that_cannot_be_met(self):
        self.assertDoubts(
            "[[rule]]\ntotal = 2\nexpect = 3",
            "1: rule 1: expect: it counts only 2 times (total), not 3",
        )
        self.assertDoubts("[[rule]]\ntotal = 3\nexpect = 3")

    def test_a_recording_is_compared_in_no_time(self):
        rules = "".join(f"[[rule]]\nprefix = 'a{number}.'\n" for number in range(2000))
        self.assertDoubts(rules)

    def test_a_long_way_through_states(self):
        rules = "".join(
            f"[[rule]]\nwhen = '{at}'\nthen = '{at - 1}'\n" for at in range(2000, 0, -1)
        )
        self.assertDoubts(f"start = '2000'\n{rules}[[rule]]\nwhen = '0'")


class StatesTest(SynchronousTestCase):
    def test_all_that_are_spoken_of(self):
        for text, told in (
            ("[[rule]]", set()),
            ("start = 'a'", {"a"}),
            ("[[rule]]\nthen = 'a'", {"", "a"}),
            ("start = 'a'\n[[fault]]\ndo = 'drop'\nwhen = 'b'\n[fallback]\nthen = 'c'", {*"abc"}),
        ):
            self.assertEqual(states(parse(text, "x")), told)
