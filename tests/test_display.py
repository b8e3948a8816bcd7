"""Text from outside, made safe to show."""

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.display import escape

MANY = settings(max_examples=200, deadline=None)

EVERYTHING = [chr(code) for code in range(0x20000)]
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def unsafe(char):
    """Whether a character could move the cursor, end a line, reorder text or not be encoded."""
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or char in BIDI + "\ufeff"


#: Characters, most of them such that something may happen to them.
CHARACTERS = st.sampled_from([*filter(unsafe, EVERYTHING[:0x3000]), *"\\xu0123abc1b 世"])
TEXTS = st.text(st.one_of(CHARACTERS, st.characters()))


class EscapeTest(SynchronousTestCase):
    def test_controls(self):
        self.assertEqual(escape("\x1b[2J\x00\r\n\t"), r"\x1b[2J\x00\x0d\x0a\x09")
        self.assertEqual(escape("\x7f\x80\x85\x9b\x9f"), r"\x7f\x80\x85\x9b\x9f")

    def test_bidirectional_controls(self):
        self.assertEqual(escape(BIDI), "".join(f"\\u{ord(char):04x}" for char in BIDI))

    def test_separators_and_bom(self):
        self.assertEqual(escape("a\u2028b\u2029c\ufeff"), r"a\u2028b\u2029c\ufeff")

    def test_lone_surrogates(self):
        self.assertEqual(escape("\ud800x\udfff"), r"\ud800x\udfff")
        escape("".join(EVERYTHING)).encode()

    def test_backslash_is_doubled(self):
        self.assertEqual(escape(r"\x1b"), r"\\x1b")
        self.assertEqual(escape("\\\\"), "\\" * 4)

    def test_ordinary_text_stays(self):
        for text in (
            "",
            "plain text, 100%; {braces} and 'quotes'",
            "你好,世界",
            "e\u0301 o\u0308",
            "שלום مرحبا",
            "👍🏽 👩\u200d👩\u200d👧 🇨🇭",
            "\u00a0\u00ad\u200b",
        ):
            self.assertEqual(escape(text), text)

    def test_every_character(self):
        """The unsafe ones and the backslash change, and only they."""
        changed = {char for char in EVERYTHING if escape(char) != char}
        self.assertEqual(changed, {char for char in EVERYTHING if unsafe(char)} | {"\\"})

    def test_no_two_characters_look_alike(self):
        self.assertEqual(len({escape(char) for char in EVERYTHING}), len(EVERYTHING))

    @MANY
    @given(TEXTS)
    def test_nothing_unsafe_is_left(self, text):
        self.assertEqual([char for char in escape(text) if unsafe(char)], [])

    @MANY
    @given(TEXTS, TEXTS)
    def test_no_two_texts_look_alike(self, one, other):
        self.assertEqual(escape(one) == escape(other), one == other)
        if one != escape(one):
            self.assertNotEqual(escape(escape(one)), escape(one))

    @MANY
    @given(TEXTS)
    def test_can_be_read_back(self, text):
        """What was written as an escape, and nothing else, is undone."""
        shown = escape(text)
        read, at = "", 0
        while at < len(shown):
            size = {"\\": 2, "x": 4, "u": 6}[shown[at + 1]] if shown[at] == "\\" else 1
            part = shown[at : at + size]
            read += part if size == 1 else "\\" if size == 2 else chr(int(part[2:], 16))
            at += size
        self.assertEqual(read, text)
