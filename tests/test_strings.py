"""Strings like Twisted's endpoint strings."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.strings import escape, parse

WORDS = st.text(min_size=1)


class StringsTest(SynchronousTestCase):
    def test_parts(self):
        for text, parts in (
            ("echo", ("echo", [], {})),
            ("tcp:1234", ("tcp", ["1234"], {})),
            ("tls:1234:key=k.pem:x", ("tls", ["1234", "x"], {"key": "k.pem"})),
            (r"a:b\:c:d=e\:f", ("a", ["b:c"], {"d": "e:f"})),
            (r"a:b\=c:d=e=f", ("a", ["b=c"], {"d": "e=f"})),
            (r"a:C\:\\x", ("a", ["C:\\x"], {})),
            (
                "a::b=",
                (
                    "a",
                    [
                        "",
                    ],
                    {"b": ""},
                ),
            ),
            ("", ("", [], {})),
            ("a\\", ("a\\", [], {})),
            (r"a\b", (r"a\b", [], {})),
        ):
            self.assertEqual(parse(text), parts, text)

    def test_a_key_twice(self):
        self.assertRaisesRegex(ValueError, "b: given twice", parse, "a:b=1:c=2:b=3")

    @given(WORDS, st.lists(WORDS), st.dictionaries(WORDS, st.text()))
    def test_whatever_is_escaped_comes_back(self, name, arguments, options):
        pairs = [f"{escape(key)}={escape(value)}" for key, value in options.items()]
        text = ":".join([escape(name), *map(escape, arguments), *pairs])
        self.assertEqual(parse(text), (name, arguments, options))

    @given(st.text(alphabet="a:=\\"))
    def test_anything_has_parts(self, text):
        try:
            name, arguments, options = parse(text)
        except ValueError as error:
            self.assertIn("given twice", str(error))
            return
        self.assertIsInstance(name, str)
        self.assertLessEqual(len(arguments) + len(options), text.count(":"))
