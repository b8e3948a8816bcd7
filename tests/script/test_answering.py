"""Rules that are one function say what they would say the long way."""

from random import Random

import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.script import pattern
from twisted_sock.script.answering import answering
from twisted_sock.script.matching import MOST_RUNAWAYS, Matcher, parsed
from twisted_sock.script.model import Match
from twisted_sock.script.template import Values, compile

REGEXES = (
    r"GET (\w+)",
    r"GET (?P<key>.*)",
    r"GET (\d+)",
    r"GET ([^;]*)",
    r"GET (?P<key>\w*) ?(\w*)",
    r"GET (a|\w+)(?P<key> .*)?(\n)?",
    r"(\w+) (\w+)(.)(?P<key>.*)",
    r"GET (\w+)|(?P<key>.+)",
)
REPLIES = ("OK", "{1}", "OK {1}!", "{0}", "{0}: {1}", "{1}{1}", "{1}, {0}, {1}", "100%s {1} {{}}")
BEGIN = "GET "


def slowly(matcher, template, line):
    """What is said to a line, by the pattern and the template alone."""
    match = matcher.match
    values = {"seconds": float, "random": Random(0), "line": line, "json": parsed(line)}
    if match.regex is not None:
        found = regex.fullmatch(match.regex, line)
        return None if found is None else template.render(Values(**values, captured=found))
    return None if matcher.find(line) is None else template.render(Values(**values))


class SameTest(SynchronousTestCase):
    def assertSame(self, match, text, lines):
        matcher = Matcher(match)
        groups = matcher.pattern.groups if matcher.pattern else 0
        names = matcher.pattern.names if matcher.pattern else ()
        template = compile(text, groups, names, match.json is not None)
        self.assertTrue(template.steady)
        answer = answering(matcher, template)
        for line in lines:
            self.assertEqual(answer(line), slowly(matcher, template, line), (match, text, line))

    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from(REGEXES),
        st.sampled_from((*REPLIES, "{key} {1}", "{key}")),
        st.lists(st.text("ab12_ ;\n\ré世", max_size=6), min_size=1, max_size=8),
    )
    def test_captures(self, text, reply, tails):
        reply = reply.replace("{key}", "{key}" if "key" in text else "{0}")
        self.assertSame(Match(regex=text), reply, [BEGIN + tail for tail in tails])

    def test_long_lines(self):
        self.patch(pattern, "LIMIT", 60.0)  # however slow the machine
        lines = [BEGIN + "a" * size for size in (10, 99_995, 99_997, 120_000)]
        for text in (r"GET (\w+)", r"GET (\w+)(.*)"):
            self.assertSame(Match(regex=text), "{1}", lines)

    def test_the_whole_line(self):
        lines = [BEGIN, "GET a\r\nb\nc", "GET 世"]
        for reply in ("{0}", "<{0}>", "{0}{0}", "%d", "50% {0}"):
            self.assertSame(Match(prefix=BEGIN), reply, lines)
            self.assertSame(Match(), reply, lines)

    def test_fields(self):
        lines = ['{"a": "x\\ny\\ud800"}', '{"a": {"b": 1}, "c": 2}', "{}", '{"a": ', "{"]
        for match in (Match(json={}), Match(json={"c": 2})):
            for reply in ("yes", "{json.a}", "{0} {json.a.b}"):
                self.assertSame(match, reply, lines)

    def test_one_that_was_given_up_answers_what_never_takes_long(self):
        self.patch(pattern, "LIMIT", 60.0)
        matcher = Matcher(Match(regex="(.*) (.*)"))
        answer = answering(matcher, compile("{1}", 2))
        self.assertEqual((answer("a b"), answer("a b" * 200)), ("a", "a b" + "a b" * 198 + "a"))
        matcher.runaways = MOST_RUNAWAYS
        self.assertEqual((answer("a b"), answer("a b" * 200)), ("a", None))
