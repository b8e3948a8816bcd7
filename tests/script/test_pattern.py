"""Regular expressions that cannot run away."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import ScriptError
from twisted_sock.script.pattern import Runaway, compile


class MatchTest(SynchronousTestCase):
    def test_whole_lines(self):
        pattern = compile(r"GET (?<key>\w+)( \d+)?")
        self.assertEqual((pattern.groups, pattern.names), (2, {"key"}))
        for line, groups in (("GET a", ("a", None, "a")), ("GET a 1", ("a", " 1", "a"))):
            found = pattern.match(line)
            self.assertEqual((found[1], found[2], found["key"]), groups)
        for line in ("GET", "xGET a", "GET a x", "GET a\n"):
            self.assertIsNone(pattern.match(line))

    def test_one_that_runs_away_is_stopped(self):
        pattern = compile("(a|aa|b?a)+$")
        self.assertIsNotNone(pattern.match("aa"))
        with self.assertRaises(Runaway):
            pattern.match("a" * 5000 + "!")


class RefusedTest(SynchronousTestCase):
    def refused(self, text):
        with self.assertRaises(ScriptError) as caught:
            compile(text)
        return str(caught.exception)

    def test_mistakes(self):
        for text in ("(", "[", "*", "\\", "(?P<a", "a{9999999999}"):
            self.assertNotEqual(self.refused(text), "")
        self.assertIn("cannot be used", self.refused("(?:" * 5000 + ")" * 5000))

    def test_one_that_would_fill_the_memory(self):
        for text in (
            "((a{1000}){1000}){1000}",
            "(?:[ab]{400,}){400}",
            "(?:a|b){200000}",
            "a{400}{400}",
            "a" * 100_001,
        ):
            self.assertIn("too large, or repeats too often", self.refused(text))

    def test_none_that_is_only_long(self):
        compile(r"[0-9a-f]{32} \d{10} (?:[0-9a-f]{2}:){200}\w{1,1000}[]\]{(}]{3}\(\{x" * 20)

    @given(st.text("()[]{}*+?|\\a1-&^$<>=!:P,.") | st.text())
    @settings(deadline=None)
    def test_any_text(self, text):
        """It is refused, or can be asked."""
        try:
            pattern = compile(text)
        except ScriptError as error:
            self.assertNotEqual(str(error), "")
            return
        with contextlib.suppress(Runaway):
            pattern.match("aa1")
