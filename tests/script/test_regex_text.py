"""What can be told of a regular expression by reading it."""

import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.script.pattern import compile
from twisted_sock.script.regex_text import (
    UNWATCHED,
    literal_prefix,
    longest_unwatched,
    same_in_re,
    tail_test,
)

ONES = ["a", "b", "_", " ", "-", "0", r"\.", r"\-", r"\w", r"\d", ".", "[a-c]", "[^a ]", "[_0-]"]
ONES += [r"[\w.-]", r"[^\d]", r"[\w-]"]
repeated = st.builds(
    str.__add__, st.sampled_from(ONES), st.sampled_from(["", "*", "+", "*?", "+?"])
)
row = st.lists(repeated, min_size=1, max_size=3).map("".join)
words = st.lists(st.sampled_from(["a", "ab", "b_", "0"]), min_size=2, max_size=3).map("|".join)
group = st.builds("({}{})".format, st.sampled_from(["", "?:"]), row | words)
plain = st.lists(repeated | st.sampled_from(ONES).map("{}?".format) | group, max_size=5).map(
    "".join
)
lines = st.text("ab01_ .-\n\r\x1c\x7f", max_size=8)


class SameInReTest(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(plain, st.lists(lines, min_size=1, max_size=6))
    def test_what_is_said_to_be_the_same_is(self, text, said):
        self.assertTrue(same_in_re(text), text)
        pattern = compile(text)
        self.assertGreaterEqual(pattern.longest, 0)
        for line in said:
            mine, theirs = pattern.plainly(line), regex.fullmatch(text, line)
            self.assertEqual(mine and mine.groups(), theirs and theirs.groups(), (text, line))
            self.assertNotIn(None, mine.groups() if mine else ())

    def test_every_character(self):
        """Beyond ASCII they differ, so lines that are not ASCII are never for `re`."""
        for one in ONES:
            pattern = compile(one)
            for char in map(chr, range(128)):
                found = regex.fullmatch(one, char) is not None
                self.assertEqual(pattern.plainly(char) is not None, found, (one, char))

    def test_nothing_else_is(self):
        for text in (
            r"\s", r"\b", r"\S", r"[\s]", "[[:alpha:]]", "[a||b]", "[]a]", "(?i)a", "(a)?", "(a)+",
            "((a))", "a{2}", "a++", "a*+", "a|b", "^a", "a$", r"\1", "(?<a>b)", "(?=a)", "(a|)",
            r"\x41", r"\p{L}", "é", "()", "a**", "?", "#",
        ):  # fmt: skip
            self.assertFalse(same_in_re(text), text)


class UnwatchedTest(SynchronousTestCase):
    def test_how_long_lines_may_be(self):
        for text, longest in (
            (r"LOGIN (\w+)", UNWATCHED),
            (r"(?P<a>\w+) (\d*)\.[a-c]+-", UNWATCHED),
            ("(.*) (.*)", 316),  # a space may be anywhere
            (r"(\w+)a", 316),
            ("[ab]+b", 316),
            ("a+b?c", 223),  # the b may be missing
            ("a+b*", 316),
            ("a+(b)", 316),
            (r"\pL+a", 316),  # `_STEP` has it in two pieces
            (r"\x41+A", 316),
            (r"\101+A", 316),
            (r"\u0041+A", 316),
            (r"(a)\g<1>+b", 316),
            (r"\w+ \\x", UNWATCHED),
            ("a|b", UNWATCHED // 2),
            ("(a|b)+", -1),
            ("a{3}", -1),
            ("(?i)a", -1),
        ):
            self.assertEqual(longest_unwatched(text), longest, text)


class TailTest(SynchronousTestCase):
    def test_there_is_one(self):
        for text, test in (
            (r"SET (\w+)", str.isalnum),
            ("SET (.*)", str.isalnum),
            ("SET ([^;]+)", str.isalnum),
            (r"SET (?P<to>[\w.-]+)", str.isalnum),
            (r"SET (\d+)", str.isdigit),
            ("SET ([0-9]*)", str.isdigit),
            ("SET ([a-z]+)", None),
            (r"SET (\w+) ", None),
            (r"SET (\w)", None),
            (r"SET (?:\w+)", None),
            (r"SET (\w+)|x", None),
            (r"S+ET (\w+)", None),
        ):
            self.assertIs(tail_test(text), test, text)

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(ONES), st.sampled_from("*+"), st.text("aZ09_ .\n", max_size=5))
    def test_what_it_is_true_of_is_matched(self, one, repeat, tail):
        test = tail_test(f"GET ({one}{repeat})")
        if test is not None and test(tail):
            self.assertEqual(regex.fullmatch(f"GET ({one}{repeat})", f"GET {tail}")[1], tail)
            self.assertNotIn("\n", tail)


class BeginningTest(SynchronousTestCase):
    def test_what_patterns_begin_with(self):
        for text, prefix in (
            (r"LOGIN (\w+)", "LOGIN "),
            ("GET", "GET"),
            ("ab?", "a"),
            ("ab+", "ab"),
            ("ab{0,1}", "a"),
            ("a|b", ""),
            ("a(b|c)", "a"),
            ("(?i)a", ""),
            (r"a\|b", ""),
            ("a(?#)|b", ""),
            ("a[)|(]", ""),
        ):
            self.assertEqual(literal_prefix(text), prefix, text)
