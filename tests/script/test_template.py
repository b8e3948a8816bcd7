"""Lines with gaps."""

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import ScriptError
from twisted_sock.script.template import SIMPLE, Values, compile

#: 2024-02-29T12:00:00.250Z
NOW = 1709208000.25


def values(**given):
    return Values(**{"seconds": lambda: NOW, "random": Random(7), **given})


class Groups(dict):
    """What groups have matched, as a match has it."""

    def __init__(self, *groups, **names):
        super().__init__({**dict(enumerate(groups, 1)), **names})


class FilledTest(SynchronousTestCase):
    def assertFills(self, text, filled, *, groups=0, json=None, **given):
        template = compile(text, groups, json=json is not None)
        self.assertEqual(template.render(values(json=json, **given)), filled)
        self.assertIsNone(template.constant)

    def test_the_line_and_its_captures(self):
        self.assertFills("you said {0}", "you said a b", line="a b")
        self.assertFills("{2}{1}{2}", "bab", groups=2, captured=Groups("a", "b"))
        self.assertFills("{1}.", ".", groups=1, captured=Groups(None))

    def test_groups_with_names(self):
        template = compile("{user} {1}", 1, {"user"})
        self.assertEqual(template.render(values(captured=Groups("eve", user="eve"))), "eve eve")
        nobody = values(captured=Groups(user=None))
        self.assertEqual(compile("{user}", 1, {"user"}).render(nobody), "")

    def test_a_group_goes_before_all_else_of_its_name(self):
        template = compile("{time}", 1, {"time"})
        self.assertEqual(template.render(values(captured=Groups(time="noon"))), "noon")

    def test_what_needs_only_a_name(self):
        self.assertFills("{counter}", "3", counter=3)
        self.assertFills("{time}", "2024-02-29T12:00:00.250Z")
        self.assertFills("{unix}", "1709208000")
        self.assertFills("{client}", "10.0.0.1:99", client="10.0.0.1:99")
        self.assertFills("{state}", "in", state="in")

    def test_every_one_is_documented(self):
        for name in SIMPLE:
            self.assertIn(f"`{{{name}}}`", compile.__globals__["__doc__"])

    def test_random_numbers_are_drawn_from_the_seed(self):
        template = compile("{random:1-6} {random:-3--1} {random:5-5}")
        drawn = [template.render(values(random=Random(seed))) for seed in (1, 1, 2)]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])
        for line in drawn:
            self.assertRegex(line, "^[1-6] -[1-3] 5$")

    def test_fields(self):
        json = {"user": {"name": "eve", "age": 7}, "list": [True, None, "x"], "1": 2.5}
        for text, line in (
            ("{json.user.name}", "eve"),
            ("{json.user.age}", "7"),
            ("{json.user}", '{"name": "eve", "age": 7}'),
            ("{json.list.0}{json.list.1}{json.list.2}", "truenullx"),
            ("{json.1}", "2.5"),
            ("{json.list.3}{json.list.-1}{json.nix}{json.user.name.x}{json.list.²}", ""),
        ):
            self.assertFills(text, line, json=json)

    def test_fields_as_json(self):
        json = {"name": 'Zo"e\n', "age": 7, "list": [True, "x"], "half": "\ud83d"}
        json["huge"] = float("inf")  # as 1e999 is read
        for text, line in (
            ("{json.name:json}", r'"Zo\"e\n"'),
            ("{json.age:json} {json.list:json}", '7 [true, "x"]'),
            ("{json.nix:json}{json.nix}", "null"),
            ("{json.half:json}", '"\ufffd"'),
            ("{json.huge:json}{json.huge}", "null"),
        ):
            self.assertFills(text, line, json=json)

    def test_anything_as_json(self):
        line = 'say "hi"'
        self.assertFills("{0:json} {state:json}", r'"say \"hi\"" "new"', line=line, state="new")
        self.assertFills("{counter:json} {random:5-5:json}", "3 5", counter=3)

    def test_braces(self):
        self.assertFills('{{"id": {json.id}}}', '{"id": 7}', json={"id": 7})
        self.assertFills("{{{0}}}", "{a}", line="a")

    def test_it_is_always_one_line_that_can_be_sent(self):
        json = {"text": "a\r\nb\rc\nd\n", "half": "\ud83d."}
        self.assertFills("{json.text}", "a b\rc d ", json=json)
        self.assertFills("{json.half}", "�.", json=json)

    def test_what_is_nested_too_deeply_is_left_out(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        self.assertFills("<{json.deep}>", "<>", json={"deep": deep})
        self.assertFills("<{json.deep:json}>", "<null>", json={"deep": deep})
        while deep:  # all at once would be too deep, too
            deep = deep[0]


class ConstantTest(SynchronousTestCase):
    def test_what_has_no_gaps(self):
        for text, line in (("", ""), ("OK", "OK"), ("{{0}}", "{0}"), ("a}}b{{", "a}b{")):
            template = compile(text)
            self.assertEqual(template.constant, line)
            self.assertIs(template.render(values()), template.constant)


class RefusedTest(SynchronousTestCase):
    def refused(self, text, *about):
        with self.assertRaises(ScriptError) as caught:
            compile(text, *about)
        return str(caught.exception)

    def test_braces(self):
        self.assertIn("a lone '{'; one that is meant as such is written '{{'", self.refused("{"))
        self.assertIn("'}'", self.refused("a}"))
        self.assertIn("'{'", self.refused("{a{b}"))
        self.assertIn("written twice", self.refused('{"id": 1}'))

    def test_captures_that_are_not_there(self):
        self.assertEqual(self.refused("{1}"), "{1}: the rule has no regex with groups")
        self.assertIn("with one group", self.refused("{2}", 1))
        self.assertIn("with 2 groups", self.refused("{999999999999}", 2))
        self.assertIn(
            "there is no {nix}, but {user}, {counter}", self.refused("{nix}", 1, ["user"])
        )

    def test_no_line(self):
        self.assertIn("no line here", self.refused("{0}", -1))
        self.assertIn("no line here", self.refused("{1}", -1))

    def test_fields(self):
        self.assertIn("only a rule with json", self.refused("{json.a}"))
        for text in ("{json.}", "{json.a..b}", "{json.a.}"):
            self.assertIn("beside a dot", self.refused(text, 0, (), True))
        self.assertIn("there is no {json}", self.refused("{json}", 0, (), True))

    def test_random(self):
        for text in ("{random}", "{random:}", "{random:6}", "{random:a-b}", "{random: 1-6}"):
            self.assertIn("{random:1-6}", self.refused(text))
        self.assertIn("6 is more than 1", self.refused("{random:6-1}"))

    def test_what_is_no_line(self):
        for text in ("a\nb", "a\r\n", "\n"):
            self.assertIn("newline", self.refused(text))
        self.assertIn("surrogate", self.refused("\ud800"))


class AnythingTest(SynchronousTestCase):
    @given(st.text() | st.text("{}01.-:ajnorst"), st.integers(-1, 2), st.booleans(), st.text())
    @example("{random:0-1}", 0, False, "")
    @settings(deadline=None)
    def test_any_text(self, text, groups, json, line):
        """It is refused, or makes one line that can be sent."""
        try:
            template = compile(text, groups, ("a",), json)
        except ScriptError as error:
            self.assertNotEqual(str(error), "")
            return
        made = template.render(
            values(line=line, captured=Groups(line, None, a=line), json={"a": [line]})
        )
        self.assertNotIn("\n", made)
        made.encode()

    @given(st.text().filter(lambda text: not {*"{}\n"} & {*text}))
    @settings(deadline=None)
    def test_any_constant(self, text):
        self.assertEqual(compile(text).constant, text)
