"""Every knob, once: what it may be, and how a wrong value is told."""

import dataclasses
import decimal
import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import SettingError, SockError
from twisted_sock.settings import Limits, LinePolicy, parse_settings, settings_of

FEW = settings(max_examples=50, deadline=None)

KNOBS = [(cls, knob) for cls in (LinePolicy, Limits) for knob in settings_of(cls)]
WORDS = [(cls, knob) for cls, knob in KNOBS if knob.choices]
SIZES = [(cls, knob) for cls, knob in KNOBS if knob.unit == "bytes"]
WHOLE = [(cls, knob) for cls, knob in KNOBS if type(knob.default) is int]
SECONDS = [(cls, knob) for cls, knob in KNOBS if type(knob.default) is float]


class ValuesTest(SynchronousTestCase):
    """What can be given in code."""

    def refused(self, cls, knob, value):
        """That a value is refused, in words that say where, what is expected and what came."""
        error = self.assertRaises(SettingError, cls, **{knob.name: value})
        self.assertTrue(str(error).startswith(f"{knob.name}: "), error)
        self.assertIn(knob.expected(), str(error))
        self.assertTrue(str(error).endswith(f"not {value!r}"), error)

    def test_every_kind_of_knob_is_here(self):
        self.assertEqual(len(WORDS) + len(WHOLE) + len(SECONDS), len(KNOBS))
        self.assertTrue(WORDS and SIZES and WHOLE and SECONDS)

    def test_errors_are_ours_and_value_errors(self):
        self.assertTrue(issubclass(SettingError, SockError))
        self.assertTrue(issubclass(SettingError, ValueError))

    def test_error_in_full(self):
        error = self.assertRaises(SettingError, LinePolicy, framing="telnet")
        self.assertEqual(str(error), "framing: one of lines, chunk, not 'telnet'")
        error = self.assertRaises(SettingError, Limits, idle_timeout=-1)
        self.assertEqual(str(error), "idle_timeout: a number of seconds, 0 or more, not -1")

    def test_zero_is_allowed(self):
        for cls, knob in WHOLE + SECONDS:
            self.assertEqual(getattr(cls(**{knob.name: 0}), knob.name), 0)

    def test_every_choice_is_allowed(self):
        for cls, knob in WORDS:
            for word in knob.choices:
                self.assertEqual(getattr(cls(**{knob.name: word}), knob.name), word)

    def test_large_values_are_allowed(self):
        for cls, knob in WHOLE + SECONDS:
            self.assertEqual(getattr(cls(**{knob.name: 1 << 62}), knob.name), 1 << 62)

    def test_wrong_numbers(self):
        values = (-1, -0.5, math.nan, math.inf, -math.inf, True, False)
        for cls, knob in WHOLE + SECONDS:
            for value in values:
                self.refused(cls, knob, value)

    def test_wrong_types(self):
        for cls, knob in KNOBS:
            for value in (None, "5", b"5", [], 1j, decimal.Decimal(5)):
                self.refused(cls, knob, value)

    def test_no_fractions_of_whole_things(self):
        for cls, knob in WHOLE:
            for value in (1.5, 1.0):
                self.refused(cls, knob, value)

    def test_fractions_of_seconds(self):
        for cls, knob in SECONDS:
            self.assertEqual(getattr(cls(**{knob.name: 0.25}), knob.name), 0.25)

    def test_wrong_words(self):
        for cls, knob in WORDS:
            for value in ("", "nonsense", knob.default.upper(), knob.default + " ", 0):
                self.refused(cls, knob, value)

    def test_frozen(self):
        for cls, knob in KNOBS:
            self.assertRaises(
                dataclasses.FrozenInstanceError, setattr, cls(), knob.name, knob.default
            )

    def test_no_unknown_names(self):
        self.assertRaises(TypeError, LinePolicy, max_lines=5)
        self.assertRaises(TypeError, LinePolicy, "chunk")

    def test_replace_checks_too(self):
        policy = dataclasses.replace(LinePolicy(), max_line=10)
        self.assertEqual(policy, LinePolicy(max_line=10))
        self.assertRaises(SettingError, dataclasses.replace, policy, max_line=-1)

    def test_equal_policies_are_one_key(self):
        self.assertEqual(len({LinePolicy(), LinePolicy(framing="lines"), Limits()}), 2)


class DescriptionTest(SynchronousTestCase):
    """What the command line and the docs are made from."""

    def test_every_field_is_described(self):
        for cls in (LinePolicy, Limits):
            names = [field.name for field in dataclasses.fields(cls)]
            self.assertEqual([knob.name for knob in settings_of(cls)], names)
        for _, knob in KNOBS:
            self.assertTrue(knob.help, knob)
            self.assertEqual(knob.flag, knob.name.replace("_", "-"))

    def test_defaults_are_those_of_the_dataclass(self):
        for cls, knob in KNOBS:
            self.assertEqual(getattr(cls(), knob.name), knob.default)

    def test_help_tells_of_every_choice(self):
        for _, knob in WORDS:
            for word in knob.choices:
                self.assertIn(word, knob.help)

    def test_shown_default_can_be_given(self):
        for _, knob in KNOBS:
            self.assertEqual(knob.parse(knob.shown), knob.default)


class ParsingTest(SynchronousTestCase):
    """What can be given as text."""

    def refused(self, cls, knob, text):
        """That a text is refused; what stands for it in the error may be its value."""
        error = self.assertRaises(SettingError, parse_settings, cls, {knob.name: text})
        self.assertTrue(str(error).startswith(f"{knob.name}: {knob.expected()}, not "), error)

    def test_nothing_given(self):
        self.assertEqual(parse_settings(LinePolicy, {}), LinePolicy())
        self.assertEqual(parse_settings(Limits, {}), Limits())

    def test_some_given(self):
        self.assertEqual(
            parse_settings(LinePolicy, {"max_line": "10", "framing": "chunk"}),
            LinePolicy(max_line=10, framing="chunk"),
        )
        self.assertEqual(
            parse_settings(Limits, {"idle_timeout": "0.5", "window": "8", "high_water": "0"}),
            Limits(idle_timeout=0.5, window=8, high_water=0),
        )

    @FEW
    @given(st.integers(0, 1 << 20), st.sampled_from("KkMmGg"))
    def test_sizes(self, number, unit):
        factor = 1024 ** ("KMG".index(unit.upper()) + 1)
        for cls, knob in SIZES:
            for text, value in ((f"{number}", number), (f"{number}{unit}", number * factor)):
                parsed = getattr(parse_settings(cls, {knob.name: text}), knob.name)
                self.assertEqual((parsed, type(parsed)), (value, int))

    def test_only_sizes_have_units(self):
        for cls, knob in WHOLE + SECONDS:
            if knob.unit != "bytes":
                self.refused(cls, knob, "1K")

    def test_wrong_sizes(self):
        for cls, knob in SIZES:
            for text in ("", "K", "1T", "1KB", "1KK", "1.5K", "-1", "-1K", "0x10", "ten"):
                self.refused(cls, knob, text)

    def test_wrong_numbers(self):
        for cls, knob in WHOLE + SECONDS:
            for text in ("", "-1", "nan", "inf", "-inf", "1e999", "1 2", "1,5", "yes"):
                self.refused(cls, knob, text)

    def test_wrong_words(self):
        for cls, knob in WORDS:
            for text in ("", "nonsense", "0"):
                self.refused(cls, knob, text)

    def test_text_is_quoted(self):
        """So that what a person gave stays on the one line that tells of it."""
        for cls, knob in KNOBS:
            error = self.assertRaises(SettingError, parse_settings, cls, {knob.name: "a\nb\x1b"})
            self.assertIn(r"a\nb\x1b", str(error))
