"""On which lines keys stand."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.script.places import Places, line_of, places

TEXT = '''\
# a comment = 1
title = "[[rule]] # no comment"
long = """
[[rule]]
quo\\"te"" """
raw = \'\'\'
x = 1
\'\'\'\'\'
"quo.ted" . 'key' = 1979-05-27 07:32:00

[[rule]]  # the first
reply = ["a", # here
  "b]",

  """
c""", [1],
]
json.cmd = "x"
json . "us er" = {name = "#", list = [1, {deep = +1.5e-3}]}
[[rule.push]]
line = "x"
[[rule.push]]

line = 'y'
[[rule]]
reply = ""
  [ rule . expect ]
  least = 1
[a.b.c]
d = inf'''


def paths(value, path=()):
    """The paths of everything in some data."""
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, each in inside:
        yield (*path, key)
        yield from paths(each, (*path, key))


class PlacesTest(SynchronousTestCase):
    def test_everything_has_its_line(self):
        lines = places(TEXT)
        for path, line in (
            (("title",), 2),
            (("long",), 3),
            (("raw",), 6),
            (("quo.ted", "key"), 9),
            (("rule",), 11),
            (("rule", 0), 11),
            (("rule", 0, "reply"), 12),
            (("rule", 0, "reply", 0), 12),
            (("rule", 0, "reply", 1), 13),
            (("rule", 0, "reply", 2), 15),
            (("rule", 0, "reply", 3), 16),
            (("rule", 0, "json", "cmd"), 18),
            (("rule", 0, "json", "us er", "list", 1, "deep"), 19),
            (("rule", 0, "push", 0), 20),
            (("rule", 0, "push", 1, "line"), 24),
            (("rule", 1), 25),
            (("rule", 1, "reply"), 26),
            (("rule", 1, "expect"), 27),
            (("rule", 1, "expect", "least"), 28),
            (("a",), 29),
            (("a", "b", "c", "d"), 30),
        ):
            self.assertEqual(lines.get(path), line, path)
        self.assertEqual(set(lines), set(paths(tomllib.loads(TEXT))))

    def test_windows_lines(self):
        windows = TEXT.replace("\n", "\r\n")
        self.assertEqual(places(windows), places(TEXT))

    def test_what_has_no_line_has_that_around_it(self):
        lines = places(TEXT)
        self.assertEqual(line_of(lines, ("rule", 1, "expect", "most")), 27)
        self.assertEqual(line_of(lines, ("rule", 9)), 11)
        self.assertEqual(line_of(lines, ("nix",)), 0)

    def test_tables_in_lists_are_found_without_the_rest(self):
        text = "a = [\n[1],\n]\n [[ rule ]] # 1\nb = 1\n[[rule.c]]\n[[rule]]\n[d]\n[[rule]]"
        data = tomllib.loads(text)
        lines = Places(text, data)
        self.assertEqual([lines.line(("rule", number)) for number in range(3)], [4, 7, 9])
        self.assertIsNone(lines._all)
        self.assertEqual(lines.line(("rule", 0, "b")), 5)

    def test_what_only_looks_like_tables(self):
        for text, wanted in (
            ("[[rule]]\na = '''\n[[rule]]\n'''\n[['rule']]", [1, 5]),
            ('[["rule"]]\n[[rule]]', [1, 2]),
            ("[[rule]]\na = 1\r\n#[[rule]]\r\n[[rule]]", [1, 4]),
            ("rule = [\n{}, {}]\n", [2, 2]),
            ("[rule]\n[[rule.a]]", []),
        ):
            data = tomllib.loads(text)
            lines = Places(text, data)
            self.assertEqual([lines.line(("rule", n)) for n in range(len(wanted))], wanted, text)

    def test_no_file(self):
        self.assertEqual(Places().line(("rule", 0)), 0)


VALUES = (
    "1",
    "+0.5e-3",
    '"a # \\" [b] = {"',
    "'c:\\'",
    '"""\nk = 1\n"x" \\\\"""',
    "'''\n[[l]]\n''a'''''",
    '""""""',
    "[]",
    "[1, # x = ]\n 2,\n]",
    "[[1], ['\\'], [{}]]",
    "{}",
    "{a = 1, b.c = [{d = [1]}], 'e f' = {}}",
    "2024-01-01 10:00:00Z",
)
HEADERS = ("[t{}]", "[ a . b{} ]", "[[l]]", "[[l.m]]", "[[l.m.'n]']]", "[l.s{}]", "['x y'.z{}]")
KEYS = ("k{}", "'q {}'", '"\\"{}" . a', "1{}.2", "-{}")


@st.composite
def texts(draw):
    """Texts that are TOML more often than not."""
    lines = []
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.integers(0, 3))
        if kind == 0:
            lines.append(draw(st.sampled_from(HEADERS)).format(number))
        else:
            key = draw(st.sampled_from(KEYS)).format(number)
            lines.append(f"{key} = {draw(st.sampled_from(VALUES))} # ]")
    return "\n".join(lines)


class AnythingTest(SynchronousTestCase):
    @given(texts())
    @settings(deadline=None)
    def test_nothing_is_missed(self, text):
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return
        lines = places(text)
        self.assertEqual(set(lines), set(paths(data)))
        sooner = Places(text, data)
        self.assertEqual({path: sooner.line(path) for path in lines}, lines)

    @given(st.text() | st.text("[]{}=.,'\"\\#\n a1") | texts().map(lambda text: text[:-3]))
    @settings(deadline=None)
    def test_it_comes_to_an_end(self, text):
        """Whatever it is, also what is no TOML."""
        try:
            tomllib.loads(text)
        except (ValueError, RecursionError):
            return
        places(text)
