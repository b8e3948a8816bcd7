"""Line protocols by name: what is found, what is refused, and how that is told."""

import functools
import importlib
import itertools
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted.plugins
from twisted_sock.errors import PlugError
from twisted_sock.interfaces import LineApplication
from twisted_sock.plugs import describe, load
from twisted_sock.protocol import LineProtocol
from twisted_sock.protocols import PROTOCOLS
from twisted_sock.testing import connect

#: Names of modules that no other test has used.
NAMES = (f"plugs_of_a_test_{number}" for number in itertools.count())

USERS = """
    from twisted_sock import LineProtocol

    sep = "/"

    def shout(line):
        return line.upper()

    class Chat(LineProtocol):
        def __init__(self, room, history: int = 100, quiet: bool = False, pace: float = 1.0,
                     nick_name="x"):
            self.given = (room, history, quiet, pace, nick_name)

        def lineReceived(self, line):
            return repr(self.given)

    class Bare:
        '''Serves without the base class.'''

        def makeConnection(self, session):
            pass

        def connectionMade(self):
            pass

        def lineReceived(self, line):
            return line[::-1]

        def connectionLost(self, reason):
            pass

    class Counting:
        '''Counts the lines of all.'''

        def __init__(self, start: int = 0, strict: bool = True):
            if start < 0:
                raise ValueError("start below zero")
            self.start_at, self.strict = start, strict

        def build_protocol(self):
            return Bare()

        def start(self, reactor):
            pass

        def stop(self):
            pass

    class Nothing:
        pass

    class Holder:
        @staticmethod
        def answer(line):
            return "held " + line
"""


def answers(handler, *lines):
    """What is answered to some lines."""
    peer = connect(handler)
    peer.say(*lines)
    return peer.lines()


class PlugsTest(SynchronousTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.patch(sys, "path", [str(self.folder), *sys.path])
        self.addCleanup(self.forget, set(sys.modules))

    def forget(self, before):
        for name in set(sys.modules) - before:
            if name.startswith(("plugs_of_a_test", "twisted.plugins.plugs_of_a_test")):
                del sys.modules[name]

    def write(self, path, text):
        """Write a file in a folder where modules are found."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    def module(self, text):
        """Write a module; returns its name."""
        name = next(NAMES)
        self.write(f"{name}.py", text)
        return name

    def refused(self, plug):
        """What is said of a plug that is refused, in one line."""
        words = str(self.assertRaises(PlugError, load, plug))
        self.assertNotIn("\n", words)
        return words


class FoundTest(PlugsTest):
    def test_every_kind_of_parameter(self):
        name = self.module("""
            from __future__ import annotations
            from typing import TYPE_CHECKING
            from twisted_sock import LineProtocol
            if TYPE_CHECKING:
                from nowhere import Unknown

            class All(LineProtocol):
                def __init__(self, a: int, /, *rest, b: Unknown = None, **options):
                    self.given = (a, rest, b, options)

                def lineReceived(self, line):
                    return repr(self.given)
        """)
        self.assertEqual(
            answers(load(f"{name}.All:1:x:y:b=2:c=3"), "?"), ["(1, ('x', 'y'), '2', {'c': '3'})"]
        )

    def test_names(self):
        self.assertEqual(answers(load("echo"), "hello"), ["hello"])
        self.assertIsInstance(load("console"), LineApplication)

    def test_function_of_the_builtins(self):
        self.assertEqual(answers(load("str.upper"), "hello"), ["HELLO"])

    def test_function(self):
        name = self.module(USERS)
        self.assertEqual(answers(load(f"{name}.shout"), "hello"), ["HELLO"])
        self.assertEqual(answers(load(f"{name}.Holder.answer"), "hello"), ["held hello"])

    def test_function_in_a_package(self):
        name = next(NAMES)
        self.write(f"{name}/__init__.py", "")
        self.write(f"{name}/inner/deep.py", "def answer(line): return line * 2")
        self.assertEqual(answers(load(f"{name}.inner.deep.answer"), "ab"), ["abab"])

    def test_only_what_is_named_is_imported(self):
        name = next(NAMES)
        self.write(f"{name}/__init__.py", "def answer(line): return line")
        self.write(f"{name}/broken.py", "raise RuntimeError('never imported')")
        self.assertEqual(answers(load(f"{name}.answer"), "x"), ["x"])

    def test_protocol(self):
        handler = load(f"{self.module(USERS)}.Chat:main")
        self.assertIsInstance(handler, functools.partial)
        self.assertIsInstance(handler(), LineProtocol)
        self.assertIsNot(handler(), handler())
        self.assertEqual(answers(handler, "?"), ["('main', 100, False, 1.0, 'x')"])

    def test_protocol_without_the_base_class(self):
        self.assertEqual(answers(load(f"{self.module(USERS)}.Bare"), "abc"), ["cba"])

    def test_options(self):
        name = self.module(USERS)
        for options, given in {
            "main:history=5:quiet=yes:pace=0.5": ("main", 5, True, 0.5, "x"),
            "room=main:history=-1:pace=2": ("main", -1, False, 2.0, "x"),
            "main:7:no:3:y": ("main", 7, False, 3.0, "y"),
            "room=5:nick-name=5": ("5", 100, False, 1.0, "5"),
            "room=:nick_name=a=b": ("", 100, False, 1.0, "a=b"),
            r"room=a\:b\:c:nick_name=\:": ("a:b:c", 100, False, 1.0, ":"),
            r"\:": (":", 100, False, 1.0, "x"),
        }.items():
            self.assertEqual(load(f"{name}.Chat:{options}")().given, given, options)

    def test_yes_and_no(self):
        for word, value in {"yes": True, "TRUE": True, "1": True, "No": False, "0": False}.items():
            self.assertIs(load(f"console:once={word}").once, value)

    def test_application(self):
        name = self.module(USERS)
        handler = load(f"{name}.Counting:start=5:strict=no")
        self.assertIsInstance(handler, LineApplication)
        self.assertEqual((handler.start_at, handler.strict), (5, False))
        self.assertEqual(answers(handler, "abc"), ["cba"])
        self.assertEqual(load(f"{name}.Counting").start_at, 0)


class RefusedTest(PlugsTest):
    def test_unknown_name(self):
        words = self.refused("ecko")
        self.assertIn("ecko", words)
        self.assertIn("--help-protocols", words)

    def test_no_name(self):
        for plug in ("", ":", ":once=yes"):
            self.assertIn("--help-protocols", self.refused(plug))

    def test_not_a_path(self):
        for plug in (".", "a..b", "os.", ".os", "my-mod.f", "a b.c", "os.path/join"):
            self.assertIn(plug, self.refused(plug))

    def test_no_module(self):
        name = next(NAMES)
        words = self.refused(f"{name}.answer")
        self.assertIn(f"no module {name}", words)

    def test_no_module_in_a_package(self):
        name = next(NAMES)
        self.write(f"{name}/__init__.py", "")
        words = self.refused(f"{name}.nowhere.answer")
        self.assertIn(f"{name} has no nowhere", words)

    def test_module_that_raises(self):
        for source, what in (
            ("1 / 0", "ZeroDivisionError: division by zero"),
            ("import no_such_thing_anywhere", "No module named 'no_such_thing_anywhere'"),
            ("from os import nonsense", "cannot import name 'nonsense'"),
            ("def broken(:", "SyntaxError"),
            ("raise AttributeError('my own')", "AttributeError: my own"),
        ):
            name = self.module(source)
            words = self.refused(f"{name}.answer")
            self.assertIn(f"{name} does not import", words)
            self.assertIn(what, words)

    def test_module_whose_neighbour_is_missing(self):
        """It is not said that the module itself is not there."""
        name = next(NAMES)
        self.write(f"{name}/__init__.py", "")
        self.write(f"{name}/mod.py", f"import {name}.gone")
        words = self.refused(f"{name}.mod.answer")
        self.assertIn(f"{name}.mod does not import", words)
        self.assertIn(f"{name}.gone", words)

    def test_missing_attribute(self):
        name = self.module(USERS)
        self.assertIn(f"{name} has no whisper", self.refused(f"{name}.whisper"))
        self.assertIn("Holder has no question", self.refused(f"{name}.Holder.question"))
        self.assertIn("str has no shout", self.refused("str.shout"))

    def test_not_callable(self):
        name = self.module(USERS)
        self.assertIn(f"{name}.sep is a str", self.refused(f"{name}.sep"))
        self.assertIn("is a module", self.refused("os.path"))

    def test_class_that_takes_no_lines(self):
        words = self.refused(f"{self.module(USERS)}.Nothing")
        self.assertIn("Nothing has no lineReceived(line)", words)

    def test_function_with_options(self):
        for plug in ("echo:loud=yes", "echo:loud", "str.upper:x=1"):
            self.assertIn("takes no options", self.refused(plug))

    def test_wrong_options(self):
        name = self.module(USERS)
        usage = "Chat:room:history=100:quiet=no:pace=1.0:nick_name=x"
        for options in (":main:size=5", ":room=a:b", ":a:1:no:1:x:more", ""):
            words = self.refused(f"{name}.Chat{options}")
            self.assertIn(usage, words)
        self.assertIn("'size'", self.refused(f"{name}.Chat:main:size=5"))
        self.assertIn("'room'", self.refused(f"{name}.Chat"))

    def test_wrong_values(self):
        name = self.module(USERS)
        for option, words in {
            "history=many": "history must be a whole number, not 'many'",
            "history=1.5": "history must be a whole number, not '1.5'",
            "history=": "history must be a whole number, not ''",
            "pace=fast": "pace must be a number, not 'fast'",
            "quiet=maybe": "quiet must be yes or no, not 'maybe'",
            "quiet=": "quiet must be yes or no, not ''",
        }.items():
            self.assertEqual(self.refused(f"{name}.Chat:a:{option}"), f"{name}.Chat: {words}")

    def test_modules_that_stop_the_program(self):
        for words, said in {
            "raise SystemExit(0)": "SystemExit: 0",
            "raise ImportError('first\\nsecond')": "ImportError: first second",
            "raise ModuleNotFoundError('install foo')": "ModuleNotFoundError: install foo",
        }.items():
            name = self.module(words)
            self.assertEqual(self.refused(f"{name}.f"), f"{name} does not import: {said}")

    def test_classes_that_are_no_protocol(self):
        for name in ("builtins.dict", "builtins.str", "collections.deque"):
            self.assertEqual(self.refused(name), f"the class {name} has no lineReceived(line)")

    def test_application_that_refuses(self):
        name = self.module(USERS)
        words = self.refused(f"{name}.Counting:start=-1")
        self.assertEqual(words, f"{name}.Counting: start below zero")


class OfferedTest(PlugsTest):
    """Plugs of other packages."""

    def setUp(self):
        super().setUp()
        self.patch(
            twisted.plugins,
            "__path__",
            [*twisted.plugins.__path__, str(self.folder / "twisted" / "plugins")],
        )

    def offer(self, name, summary, target):
        self.write(
            f"twisted/plugins/{next(NAMES)}.py",
            f"""
            from twisted_sock.plugs import LinePlug
            plug = LinePlug({name!r}, {summary!r}, {target!r})
            """,
        )

    def test_found_by_name(self):
        users = self.module(USERS)
        self.offer("offered-shout", "Answers in capitals.", f"{users}.shout")
        self.offer("offered-chat", "", f"{users}.Chat")
        self.assertEqual(answers(load("offered-shout"), "hello"), ["HELLO"])
        self.assertEqual(load("offered-chat:main:history=3")().given[:2], ("main", 3))
        self.assertIn("takes no options", self.refused("offered-shout:a=1"))

    def test_described(self):
        users = self.module(USERS)
        self.offer("offered-shout", "Answers in capitals.", f"{users}.shout")
        self.offer("offered-count", "", f"{users}.Counting")
        described = dict(describe())
        self.assertEqual(described["offered-shout"], "Answers in capitals.")
        self.assertEqual(described["offered-count:start=0:strict=yes"], "Counts the lines of all.")

    def test_broken_ones_do_not_hide_the_others(self):
        broken = self.module("1 / 0")
        self.offer("offered-broken", "Never works.", f"{broken}.answer")
        described = dict(describe())
        self.assertIn("division by zero", described["offered-broken"])
        self.assertIn("echo", described)
        self.assertIn("division by zero", self.refused("offered-broken"))


class DescribeTest(SynchronousTestCase):
    def test_packaged_plugs(self):
        described = dict(describe())
        self.assertEqual(described["echo"], "Answers with the same line.")
        self.assertIn("console:once=no", described)
        self.assertEqual(len({usage.split(":")[0] for usage in described}), len(described))

    def script(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = Path(folder, "hello.toml")
        path.write_text('greeting = "hello"')
        return path

    def test_every_packaged_plug_works_and_says_what_it_does(self):
        described = {usage.split(":")[0]: words for usage, words in describe()}
        wants = {"mock": self.script(), "proxy": "localhost:1"}
        for name in PROTOCOLS:
            load(f"{name}:{wants[name]}" if name in wants else name)
            self.assertTrue(described[name], name)
            self.assertNotIn("cannot be used", described[name])
