"""Scripts of TOML: what they mean, and how mistakes in them are told."""

import os
import sys
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import ScriptError
from twisted_sock.script.building import Builder
from twisted_sock.script.keys import TABLES
from twisted_sock.script.mistakes import Mistakes
from twisted_sock.script.model import FAULTS, Expect, Fault, Match, Push, Rule, Script
from twisted_sock.script.places import Places
from twisted_sock.script.reading import LARGEST, examine, parse, parse_fault, read

WHOLE = r"""
title = "all there is"
seed = -7
start = "new"
strict = false
greeting = ["220 {client}", "ready"]

[[push]]
line = "tick {counter}"
after = 0.5
every = 1
times = 3

[[rule]]
name = "login"
regex = 'LOGIN (?<user>\w+)'
when = "new"
client = ["10.0.0.0/8", "::1"]
times = 1
total = 5
reply = "OK {1} {user}"
delay = 0.2
jitter = 0.1
then = "in"
close = true
push = [{line = "hello {1}"}]
expect = {least = 1, most = 3}

[[rule]]
json = {cmd = "x", user = {age = 7}}
when = ["new", "in"]
replies = ["a", ["b", "{json.cmd}"], []]
expect = 2

[[rule]]
prefix = ""

[[rule]]
exact = ""
reply = []

[fallback]
reply = "ERR"

[[fault]]
name = "slow"
do = "delay"
on = "line"
prefix = "GET"
nth = 3
times = 2
probability = 0.5
seconds = 1
jitter = 2

[[fault]]
do = "duplicate"
every = 10
copies = 3
client = "10.0.0.1"
"""


class ReadTest(SynchronousTestCase):
    maxDiff = None

    def test_everything(self):
        script = parse(WHOLE, "all.toml")
        self.assertEqual(
            script,
            Script(
                path="all.toml",
                title="all there is",
                seed=-7,
                start="new",
                strict=False,
                greeting=("220 {client}", "ready"),
                push=(Push("tick {counter}", 0.5, 1, 3),),
                rules=(
                    Rule(
                        "login",
                        14,
                        Match(
                            regex=r"LOGIN (?<user>\w+)",
                            when=("new",),
                            client=("10.0.0.0/8", "::1"),
                        ),
                        replies=(("OK {1} {user}",),),
                        delay=0.2,
                        jitter=0.1,
                        push=(Push("hello {1}"),),
                        then="in",
                        close=True,
                        times=1,
                        total=5,
                        expect=Expect(1, 3),
                    ),
                    Rule(
                        "rule 2",
                        29,
                        Match(json={"cmd": "x", "user": {"age": 7}}, when=("new", "in")),
                        replies=(("a",), ("b", "{json.cmd}"), ()),
                        expect=Expect(2, 2),
                    ),
                    Rule("rule 3", 35, Match(prefix="")),
                    Rule("rule 4", 38, Match(exact=""), replies=((),)),
                ),
                fallback=Rule("fallback", 42, replies=(("ERR",),)),
                faults=(
                    Fault(
                        "slow",
                        45,
                        "delay",
                        "line",
                        Match(prefix="GET"),
                        nth=(3,),
                        times=2,
                        probability=0.5,
                        seconds=1,
                        jitter=2,
                    ),
                    Fault(
                        "fault 2",
                        56,
                        "duplicate",
                        match=Match(client=("10.0.0.1",)),
                        every=10,
                        copies=3,
                    ),
                ),
            ),
        )

    def test_nothing(self):
        self.assertEqual(parse("", "x"), Script("x"))

    def test_windows_and_its_byte_order_mark(self):
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b'\xef\xbb\xbf# x\r\ntitle = "x"\r\n[[rule]]\r\n')
        self.assertEqual(read(path).rules[0].line, 3)
        self.assertEqual(read(path).path, path)

    def test_every_fault_can_be_had(self):
        needed = {"seconds": 1, "rate": 1, "connections": 1, "copies": 2, "jitter": 1}
        for do, keys in FAULTS.items():
            fault = parse_fault({"do": do, **{key: needed[key] for key in keys}}, "x")
            self.assertEqual((fault.do, fault.name, fault.line), (do, do, 0))


class FileTest(SynchronousTestCase):
    def refused(self, path):
        with self.assertRaises(ScriptError) as caught:
            read(path)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def file(self, data):
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_there_is_none(self):
        self.assertEqual(self.refused("/nix/x.toml"), "/nix/x.toml: No such file or directory")
        self.assertEqual(self.refused("/"), "/: Is a directory")
        self.assertIn("no file has such a name", self.refused("a\0b"))
        self.refused("two\nlines")

    def test_it_may_not_be_read(self):
        path = self.file(b"")
        os.chmod(path, 0)
        if not os.access(path, os.R_OK):
            self.assertIn("Permission denied", self.refused(path))

    def test_it_is_too_large(self):
        path = self.file(b"#")
        os.truncate(path, LARGEST + 1)
        self.assertIn("at most 10,000,000 bytes", self.refused(path))

    def test_it_is_not_utf8(self):
        path = self.file(b"# a\n\ntitle = '\xe4'\n")
        self.assertEqual(self.refused(path), f"{path}:3: this is not UTF-8")


class MistakesCase(SynchronousTestCase):
    def mistakes(self, text):
        return list(examine(text, "x.toml").mistakes)

    def assertTold(self, text, *told):
        self.assertEqual(self.mistakes(text), [f"x.toml:{each}" for each in told])


class TomlTest(MistakesCase):
    def test_it_is_none(self):
        for text, line, words in (
            ("a = 1\nb", 2, "expected '=' after a key"),
            ("a = 1\na = 2\n", 2, "cannot overwrite a value"),
            ("[[rule]]\nreply = ok\n", 2, "invalid value"),
        ):
            [told] = self.mistakes(text)
            self.assertRegex(told, rf"^x\.toml:{line}: this is not TOML: .*{words}")

    def test_it_ends_too_early(self):
        [told] = self.mistakes("a = [")
        self.assertRegex(told, r"^x\.toml(:1)?: this is not TOML: ")

    def test_it_is_nested_too_deeply(self):
        for text in ("a = " + "[" * 10_000, "a = " + "[" * 10_000 + "]" * 10_000):
            [told] = self.mistakes(text)
            self.assertTrue(told.startswith("x.toml"))

    def test_numbers_that_are_too_long(self):
        [told] = self.mistakes(f"seed = {'9' * 5000}")
        self.assertIn("x.toml: this is not TOML: ", told)

    def test_the_first_is_raised(self):
        with self.assertRaises(ScriptError) as caught:
            parse("seed = 'x'\nstart = 1\nstrict = 1", "x.toml")
        self.assertEqual(
            str(caught.exception), 'x.toml:1: seed: a whole number, not "x" (and 2 more)'
        )


class KeysTest(MistakesCase):
    def test_unknown_ones(self):
        self.assertTold(
            '[[rule]]\n[[rule]]\nname = "login"\n\nrepy = "x"\n[[rules]]\n[fallback]\nqq = 1\n',
            "5: rule 2 (login): there is no 'repy'; did you mean 'reply'?",
            "6: there is no 'rules'; did you mean 'rule'?",
            "8: fallback: there is no 'qq'; there are reply, replies, delay, jitter, push, then, "
            "close",
        )
        self.assertTold(
            "rule = [{json = {a = 1}},\n {push = [\n{lin = 1}]}]",
            "3: rule 2: push 1: there is no 'lin'; did you mean 'line'?",
            "3: rule 2: push 1: line is missing",
        )

    def test_wrong_types(self):
        line = "a text in one line"
        for text, told in (
            ("title = 1", "title: a text, not 1"),
            ("seed = 1.5", "seed: a whole number, not 1.5"),
            ("seed = true", "seed: a whole number, not true"),
            ("strict = 'yes'", 'strict: true or false, not "yes"'),
            ("greeting = ['a', 1]", f"greeting: {line}, or a list of such, not such a list"),
            ('greeting = "a\\nb"', f'greeting: {line}, or a list of such, not "a b"'),
            ("start = 2024-01-01", "start: a text, not a date"),
            ("start = 10:00:00", "start: a text, not a time"),
            ("seed = {}", "seed: a whole number, not such a table"),
            ("rule = 1", "rule: tables, each written [[rule]], not 1"),
            ("[rule]", "rule: tables, each written [[rule]], not such a table"),
            ("[[fallback]]", "fallback: a table, written [fallback], not such a list"),
            ("rule = [1]", "rule: tables, each written [[rule]], not such a list"),
            (f"seed = '{'x' * 50}'", f'seed: a whole number, not "{"x" * 40}..."'),
        ):
            self.assertTold(text, f"1: {told}")

    def test_numbers(self):
        seconds = "a number of seconds, 0 or more, at most a year, not"
        period = "a number of seconds, at least 0.001 and at most a year, or 0 for only once, not"
        for text, told in (
            ("delay = -1", f"delay: {seconds} -1"),
            ("delay = nan", f"delay: {seconds} nan"),
            ("delay = inf", f"delay: {seconds} inf"),
            ("delay = 1e9", f"delay: {seconds} 1000000000.0"),
            ("delay = '1'", f'delay: {seconds} "1"'),
            ("times = -1", "times: a whole number, 0 or more, not -1"),
            (f"times = {10**30}", "times: a whole number, 0 or more, not one so large"),
            ("push = [{line = '', every = 1e-9}]", f"push 1: every: {period} 1e-09"),
            (
                "push = [{line = '', times = 2}]",
                "push 1: times: without every it is sent only once",
            ),
        ):
            self.assertTold(f"[[rule]]\n{text}", f"2: rule 1: {told}")

    def test_names(self):
        self.assertTold(
            "[[rule]]\n[[rule]]\nname = 'rule 1'\n[[rule]]\nname='fallback'\n"
            "[[fault]]\ndo='drop'\nname='a'\n[[fault]]\nname='a'\ndo='drop'\n[[rule]]\nname=''",
            '3: rule 2 (rule 1): name: rule 1 is called "rule 1", too',
            '5: rule 3 (fallback): name: the fallback is called "fallback", too',
            '10: fault 2 (a): name: fault 1 is called "a", too',
            '13: rule 4: name: a text in one line, of 1 to 100 characters, not ""',
        )

    def test_what_cannot_be_together(self):
        self.assertTold(
            "[[rule]]\nexact='a'\nprefix='b'\njson={}\nreply='a'\nreplies=['a']\n"
            "[[fault]]\ndo='drop'\nnth=1\nevery=2",
            "3: rule 1: prefix: it cannot be together with exact",
            "4: rule 1: json: it cannot be together with exact",
            "6: rule 1: replies: it cannot be together with reply",
            "10: fault 1: every: it cannot be together with nth",
        )

    def test_nothing_harms_a_terminal(self):
        [told] = self.mistakes('"a\\u001b[2J\\n" = 1')
        self.assertIn("there is no 'a\\x1b[2J '", told)


class MatchTest(MistakesCase):
    def test_regular_expressions(self):
        for text, told in (
            ("'('", "missing ) at position 1: '('"),
            ("'*'", "nothing to repeat at position 0: '*'"),
        ):
            self.assertTold(
                f"[[rule]]\nregex = {text}\nreply = '{{1}} {{user}}'", f"2: rule 1: regex: {told}"
            )

    def test_the_package_is_missing(self):
        with patch.dict(sys.modules, {"regex": None}):
            self.assertTold(
                "[[rule]]\nregex = 'a'",
                "2: rule 1: regex: a regular expression needs `pip install 'twisted_sock[mock]'`",
            )
            parse("[[rule]]\nexact = 'a'", "x")

    def test_networks(self):
        for text, told in (
            ("10.0.0.1/8", "there are bits set behind the /"),
            ("localhost", "it is no network"),
            ("", "it is no network"),
        ):
            self.assertTold(
                f"[[rule]]\nclient = '{text}'",
                f'2: rule 1: client: "{text}": {told}; one is written 10.0.0.0/8',
            )

    def test_fields(self):
        words = "only what JSON has, nested at most 50 deep; no dates, no inf"
        deep = "[" * 51 + "]" * 51
        for value in ("2024-01-01", "[nan]", "{b = inf}", deep):
            self.assertTold(f"[[rule]]\njson = {{a = {value}}}", f"2: rule 1: json: {words}")
        parse("[[rule]]\njson = {a = [1, 2.5, true, 'x', {}]}", "x")

    def test_states(self):
        self.assertTold(
            "[[rule]]\nwhen = []", "2: rule 1: when: a text, or a list of texts, not such a list"
        )


class SaidTest(MistakesCase):
    def test_templates(self):
        self.assertTold(
            "greeting = ['a',\n'{0}']\n[[push]]\nline = '{1}'\n[[rule]]\nregex = '(.)'\nreplies=["
            "\n'{1}',\n['{0}',\n'{2}']]\n[[rule.push]]\nline='{1}{2}'\n[fallback]\nreply='{json.a}'",
            "2: greeting: {0}: there is no line here that is answered",
            "4: push 1: line: {1}: there is no line here that is answered",
            "10: rule 1: replies: {2}: the rule has a regex with one group",
            "12: rule 1: push 1: line: {2}: the rule has a regex with one group",
            "14: fallback: reply: {json.a}: only a rule with json = {...} has fields",
        )

    def test_expectations(self):
        hits = "a whole number, 0 or more, or a table {least = 1, most = 3}, not"
        for text, told in (
            ("-1", f": {hits} -1"),
            ("true", f": {hits} true"),
            ("{}", ": least or most is missing"),
            ("{least = 3, most = 1}", ": least: 3 is more than most = 1"),
            ("{leest = 3}", ": there is no 'leest'; did you mean 'least'?"),
        ):
            self.assertEqual(
                self.mistakes(f"[[rule]]\nexpect = {text}")[0], f"x.toml:2: rule 1: expect{told}"
            )
        for text, expect in (
            ("0", Expect(0, 0)),
            ("{most = 3}", Expect(0, 3)),
            ("{least = 3}", Expect(3, None)),
        ):
            self.assertEqual(parse(f"[[rule]]\nexpect = {text}", "x").rules[0].expect, expect)


class FaultTest(MistakesCase):
    def test_what_is_missing(self):
        self.assertTold("[[fault]]\nnth = 1", "1: fault 1: do is missing")
        self.assertTold("[[fault]]\ndo = 'delay'", '2: fault 1: do: "delay" needs seconds')
        self.assertTold("[[fault]]\ndo = 'throttle'", '2: fault 1: do: "throttle" needs rate')

    def test_what_it_does_not_take(self):
        self.assertTold(
            "[[fault]]\ndo = 'drop'\nseconds = 1\ncopies = 2",
            '3: fault 1: seconds: "drop" does not take it; it is for delay, cut, bytes, '
            "stop-reading",
            '4: fault 1: copies: "drop" does not take it; it is for duplicate',
        )

    def test_values(self):
        chance = "probability: a number from 0 to 1, not"
        nth = "nth: a whole number, 1 or more, or a list of such, not"
        for text, told in (
            ("on = 'x'", 'on: "reply" or "line", not "x"'),
            ("probability = 1.5", f"{chance} 1.5"),
            ("probability = -0.1", f"{chance} -0.1"),
            ("probability = nan", f"{chance} nan"),
            ("nth = 0", f"{nth} 0"),
            ("nth = []", f"{nth} such a list"),
            ("nth = [1, 0]", f"{nth} such a list"),
            ("reply = 'x'", "there is no 'reply'; there are "),
        ):
            [mistake] = self.mistakes(f"[[fault]]\ndo = 'reset'\n{text}")
            self.assertTrue(mistake.startswith(f"x.toml:3: fault 1: {told}"), mistake)
        for copies in (1, 10**9):
            self.assertTold(
                f"[[fault]]\ndo = 'duplicate'\ncopies = {copies}",
                f"3: fault 1: copies: a whole number from 2 to 1000, not {copies}",
            )
        [mistake] = self.mistakes("[[fault]]\ndo = 'rest'")
        self.assertIn("do: one of delay, throttle, ", mistake)

    def test_injected(self):
        fault = parse_fault(
            {"do": "reset", "nth": [2], "name": "a", "json": {"b": None}}, "inject"
        )
        self.assertEqual(fault, Fault("a", 0, "reset", match=Match(json={"b": None}), nth=(2,)))
        for table, words in (
            ({}, "inject: do is missing"),
            ({"do": "reset", "nht": 1}, "inject: there is no 'nht'; did you mean 'nth'?"),
            ({"do": ["reset"]}, "inject: do: one of"),
            ({"do": None}, "inject: do: one of"),
            ([], "inject: a fault is a table, not such a list"),
            (None, "inject: a fault is a table, not nothing"),
        ):
            with self.assertRaises(ScriptError) as caught:
                parse_fault(table, "inject")
            self.assertTrue(str(caught.exception).startswith(words), caught.exception)


SCALARS = (
    st.booleans()
    | st.integers(-1, 5)
    | st.floats()
    | st.none()
    | st.dates()
    | st.text(max_size=5)
    | st.sampled_from(["{0}", "{1}", "{json.a}", "(a)", "10.0.0.0/8", *FAULTS, "line"])
)


def tables(*names):
    """Tables with some of the keys that some tables have, and others; with any values."""
    keys = sorted({key for name in names for key in TABLES[name].by_name})
    return st.dictionaries(st.sampled_from(keys) | st.text(max_size=3), DATA, max_size=5)


DATA = st.deferred(
    lambda: SCALARS | st.lists(SCALARS, max_size=3) | st.lists(NESTED, max_size=2) | NESTED
)
NESTED = st.deferred(lambda: tables("rule", "fault", "push", "expect"))


class AnythingTest(SynchronousTestCase):
    @given(st.text() | st.text("[]{}=.,'\"\\#\n a1"))
    @settings(deadline=None)
    def test_any_text(self, text):
        try:
            parse(text, "x")
        except ScriptError as error:
            self.assertTrue(str(error).startswith("x:"), error)
            self.assertNotIn("\n", str(error))

    @given(tables("script"))
    @settings(deadline=None, max_examples=60)
    def test_any_table(self, data):
        mistakes = Mistakes("x", Places())
        Builder(mistakes).script(data)
        for told in mistakes.in_order():
            self.assertTrue(told.startswith("x: "), told)
            self.assertNotIn("\n", told)

    @given(tables("fault"))
    @settings(deadline=None, max_examples=60)
    def test_any_fault(self, data):
        try:
            parse_fault(data, "x")
        except ScriptError as error:
            self.assertTrue(str(error).startswith("x: "))
