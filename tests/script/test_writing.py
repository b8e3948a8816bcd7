"""A script written as TOML is the same when it is read."""

from __future__ import annotations

import tomllib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.script.model import Expect, Fault, Match, Push, Rule, Script
from twisted_sock.script.reading import parse
from twisted_sock.script.writing import text

# Braces would be templates, which are tested where they are read.
LINES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n{}"))
WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20)
SECONDS = st.floats(0, 1000).map(lambda number: round(number, 3))
SEVERAL = st.lists(LINES, max_size=3).map(tuple)

MATCHES = st.one_of(
    st.builds(Match),
    st.builds(Match, exact=LINES),
    st.builds(Match, prefix=LINES),
    st.builds(
        Match,
        json=st.dictionaries(
            st.text(st.characters(blacklist_categories=["Cs"])),
            st.recursive(
                st.one_of(LINES, st.integers(-(2**60), 2**60), st.booleans()),
                lambda inner: st.one_of(
                    st.lists(inner, max_size=3), st.dictionaries(LINES, inner, max_size=3)
                ),
                max_leaves=5,
            ),
            min_size=1,
            max_size=3,
        ),
    ),
    st.just(Match(regex="a (b+)", when=("one", "two"), client=("10.0.0.0/8",))),
)
PUSHES = st.lists(
    st.builds(Push, LINES, after=SECONDS)
    | st.builds(Push, LINES, after=SECONDS, every=st.just(0.5), times=st.integers(0, 9)),
    max_size=2,
).map(tuple)
# Nothing and silence are said alike, and written alike.
REPLIES = st.lists(SEVERAL, max_size=3).map(tuple).filter(lambda replies: replies != ((),))
RULES = st.builds(
    Rule,
    name=st.just(""),
    line=st.just(0),
    match=MATCHES,
    replies=REPLIES,
    delay=SECONDS,
    jitter=SECONDS,
    push=PUSHES,
    then=st.none() | st.just("new"),
    close=st.booleans(),
    times=st.integers(0, 9),
    total=st.integers(0, 9),
    expect=st.none() | st.builds(Expect, st.integers(0, 3), st.none() | st.integers(3, 5)),
)


def named(rules):
    """With the names that they get by themselves."""
    return tuple(replace(rule, name=f"rule {number}") for number, rule in enumerate(rules, 1))


SCRIPTS = st.builds(
    Script,
    title=LINES,
    seed=st.integers(-(2**60), 2**60),
    start=st.sampled_from(["", "new"]),
    greeting=SEVERAL,
    push=PUSHES,
    rules=st.lists(RULES, max_size=4).map(named),
    strict=st.booleans(),
)


def placeless(script):
    """Without the places that things have in a file."""
    rules = tuple(replace(rule, line=0) for rule in script.rules)
    faults = tuple(replace(fault, line=0) for fault in script.faults)
    fallback = script.fallback and replace(script.fallback, line=0)
    return replace(script, path="", rules=rules, faults=faults, fallback=fallback)


class WritingTest(SynchronousTestCase):
    def comes_back(self, script):
        written = text(script)
        self.assertEqual(placeless(parse(written, "x.toml")), script, written)
        return written

    @settings(deadline=None, max_examples=40)
    @given(SCRIPTS)
    def test_any_script(self, script):
        self.comes_back(script)

    def test_faults_and_the_fallback(self):
        self.comes_back(
            Script(
                fallback=Rule("fallback", 0, replies=(("ERR",),), delay=0.5, close=True),
                faults=(
                    Fault("fault 1", 0, "delay", seconds=2.0, nth=(3,)),
                    Fault("slow", 0, "throttle", rate=100.0, match=Match(prefix="GET"), every=2),
                    Fault("fault 3", 0, "drop", on="line", nth=(1, 2), probability=0.5, times=3),
                    Fault("fault 4", 0, "duplicate", copies=3),
                    Fault("fault 5", 0, "refuse", connections=2),
                ),
            )
        )

    def test_it_reads_well(self):
        rule = Rule("rule 1", 0, Match(exact="PING"), (("+PONG",),), delay=0.25)
        script = Script(greeting=("220 ready",), rules=(rule, replace(rule, name="again")))
        self.assertEqual(
            text(script, ["two rules"]),
            "# two rules\n\n"
            'greeting = "220 ready"\n\n'
            '[[rule]]\nexact = "PING"\nreply = "+PONG"\ndelay = 0.25\n\n'
            '[[rule]]\nname = "again"\nexact = "PING"\nreply = "+PONG"\ndelay = 0.25\n',
        )

    def test_long_answers_have_lines(self):
        lines = tuple(f"line {number}" for number in range(20))
        rule = Rule("rule 1", 0, Match(exact="LIST"), (lines,))
        self.assertIn('\n    "line 7",\n', self.comes_back(Script(rules=(rule,))))

    def test_what_cannot_be_seen_is_written_as_an_escape(self):
        script = Script(greeting=('\x00\x1b\x7f\x85\u202e\u2028\ufeff"\\\t',))
        written = self.comes_back(script)
        self.assertTrue(all(each.isprintable() or each == "\n" for each in written))

    def test_a_remark_cannot_end_its_line(self):
        self.assertEqual(tomllib.loads(text(Script(), ["a\nseed = 3", "b\r\x00"])), {})
