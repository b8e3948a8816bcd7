"""The command line: what it means, what its help says, and how mistakes are told."""

import dataclasses
import io
import re
import sys
from pathlib import Path

from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.options import EXAMPLES, NAME, Options, refuse, settings_table
from twisted_sock.plugs import describe
from twisted_sock.settings import Datagrams, Limits, LinePolicy, Web, settings_of

ROOT = Path(__file__).parent.parent
CLASSES = {"policy": LinePolicy, "limits": Limits, "web": Web, "datagrams": Datagrams}
KNOBS = [knob for cls in CLASSES.values() for knob in settings_of(cls)]


def given(*arguments):
    """The options for some arguments."""
    options = Options()
    options.parseOptions(list(arguments))
    return options


def other(knob):
    """A value for a knob, as text, that is not its default."""
    if knob.choices:
        return next(word for word in knob.choices if word != knob.default)
    return "0.25" if isinstance(knob.default, float) else "77"


class GivenTest(SynchronousTestCase):
    def test_nothing(self):
        options = given()
        for name, cls in CLASSES.items():
            self.assertEqual(getattr(options, name), cls())
        self.assertEqual(options.interface, "127.0.0.1")
        self.assertEqual(options.endpoints, ["tcp:1234:interface=127.0.0.1"])
        self.assertEqual(options.plug, "echo")

    def test_a_flag_for_every_setting(self):
        for name, cls in CLASSES.items():
            for knob in settings_of(cls):
                text = other(knob)
                changed = dataclasses.replace(cls(), **{knob.name: knob.parse(text)})
                self.assertNotEqual(changed, cls())
                for given_so in ([f"--{knob.flag}", text], [f"--{knob.flag}={text}"]):
                    options = given(*given_so)
                    for also, other_cls in CLASSES.items():
                        expected = changed if also == name else other_cls()
                        self.assertEqual(getattr(options, also), expected)

    def test_every_default_can_be_given(self):
        options = given(*(f"--{knob.flag}={knob.shown}" for knob in KNOBS))
        for name, cls in CLASSES.items():
            self.assertEqual(getattr(options, name), cls())

    def test_sizes(self):
        options = given("--max-line", "4k", "--high-water=2M")
        self.assertEqual(options.policy.max_line, 4096)
        self.assertEqual(options.limits.high_water, 2 << 20)

    def test_the_last_one_counts(self):
        self.assertEqual(given("--window", "2", "--window", "3").limits.window, 3)

    def test_operator(self):
        options = given("--operator", "ws:1", "--operator-token", "secret")
        self.assertEqual((options.operator, options.operator_token), ("ws:1", "secret"))
        self.assertEqual((given().operator, given().operator_token), ("", ""))

    def test_protocol(self):
        for plug in ("console:once=yes", "str.upper", r"a.b:c=d\:e", ""):
            self.assertEqual(given("--protocol", plug).plug, plug)


class EndpointsTest(SynchronousTestCase):
    def test_port_number(self):
        for port in ("0", "1", "8000", "65535"):
            expected = [f"tcp:{port}:interface=127.0.0.1"]
            self.assertEqual(given("--port", port).endpoints, expected)
            self.assertEqual(given("-p", port).endpoints, expected)

    def test_port_as_an_endpoint_string(self):
        self.assertEqual(given("--port", "unix:/run/x").endpoints, ["unix:/run/x"])

    def test_interface(self):
        for arguments, endpoint in (
            (["-i", "0.0.0.0"], "tcp:1234:interface=0.0.0.0"),
            (["--interface", "10.0.0.1", "-p", "99"], "tcp:99:interface=10.0.0.1"),
            (["--interface", "::1"], r"tcp6:1234:interface=\:\:1"),
            (["--interface", "fe80::1", "-p", "99"], r"tcp6:99:interface=fe80\:\:1"),
        ):
            options = given(*arguments)
            self.assertEqual(options.endpoints, [endpoint])
            self.assertEqual(options.interface, arguments[1])

    def test_where_that_listens(self):
        for arguments, place in (
            ([], (1234, "127.0.0.1")),
            (["-p", "99", "-i", "::1"], (99, "::1")),
            (["-i", "fe80::1"], (1234, "fe80::1")),
        ):
            reactor = MemoryReactor()
            (description,) = given(*arguments).endpoints
            self.successResultOf(serverFromString(reactor, description).listen(None))
            ((port, _, _, interface),) = reactor.tcpServers
            self.assertEqual((port, interface), place)

    def test_endpoints_in_their_order(self):
        options = given("-e", "tcp:1", "--endpoint", "unix:/run/x", "--endpoint=tcp:2")
        self.assertEqual(options.endpoints, ["tcp:1", "unix:/run/x", "tcp:2"])

    def test_port_beside_endpoints(self):
        """The default port is for want of any endpoint; a port that is asked for is added."""
        self.assertEqual(given("-e", "tcp:1").endpoints, ["tcp:1"])
        self.assertEqual(
            given("-e", "tcp:1", "-p", "1234").endpoints,
            ["tcp:1234:interface=127.0.0.1", "tcp:1"],
        )

    def test_no_endpoints_are_shared(self):
        given("-e", "tcp:1")
        self.assertEqual(Options().endpoints, [])


class MistakesTest(SynchronousTestCase):
    """Every one is one line, and the exit status that goes with a message is 1."""

    def refused(self, *arguments):
        stopped = self.assertRaises(SystemExit, given, *arguments)
        self.assertIsInstance(stopped.code, str)
        self.assertTrue(stopped.code.startswith(f"{NAME}: "), stopped.code)
        self.assertNotIn("\n", stopped.code)
        return stopped.code

    def test_what_was_given_is_said_in_one_line(self):
        for arguments in (["--fo\no"], ["a\x1b[31m\nb"], ["--protocol"], ["--port", "9" * 5000]):
            self.refused(*arguments)

    def test_an_interface_that_would_have_no_effect(self):
        for arguments in (["--port", "unix:/x"], ["--endpoint", "unix:/x"]):
            self.assertIn("--interface", self.refused("--interface", "::1", *arguments))

    def test_in_full(self):
        self.assertEqual(
            self.refused("--max-line", "ten"),
            "sockservice: --max-line: a whole number of bytes, 0 or more, not 'ten'; see --help",
        )

    def test_every_setting(self):
        for knob in KNOBS:
            texts = ["nonsense", "", "-1", "nan"] if knob.choices or knob.default != "" else []
            for text in [*texts, "two\nlines"]:
                words = self.refused(f"--{knob.flag}", text)
                self.assertIn(f"--{knob.flag}: {knob.expected()}, not ", words)
        self.assertIn(r"'two\nlines'", self.refused("--framing", "two\nlines"))

    def test_a_missing_value(self):
        for flag in [knob.flag for knob in KNOBS] + [
            "port",
            "interface",
            "endpoint",
            "protocol",
            "operator",
            "operator-token",
        ]:
            self.assertIn(f"--{flag}", self.refused(f"--{flag}"))

    def test_port(self):
        for text in ("65536", "-1", "", "http", "12.5", "1_0", "0x50", " 80", "٣", "8\n0"):
            words = self.refused("--port", text)
            self.assertIn(
                f"--port: a number up to 65535 or an endpoint string, not {text!r}", words
            )

    def test_a_token_for_nobody(self):
        self.assertIn("--operator-token", self.refused("--operator-token", "secret"))

    def test_unknown_flags(self):
        for flag in ("--nonsense", "--nonsense=5", "-z", "--max"):
            self.assertIn(flag.split("=")[0].strip("-"), self.refused(flag))

    def test_arguments_without_a_flag(self):
        self.assertIn("1234", self.refused("1234"))
        self.assertIn("b", self.refused("--window", "2", "b", "c"))

    def test_refuse(self):
        stopped = self.assertRaises(SystemExit, refuse, "it is so")
        self.assertEqual(stopped.code, "sockservice: it is so")


class HelpTest(SynchronousTestCase):
    """What is told on request."""

    def told(self, flag):
        """What a flag prints before it ends the program well."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.assertIn(self.assertRaises(SystemExit, given, flag).code, (0, None))
        return out.getvalue()

    def test_every_setting_and_its_default(self):
        """Wherever its words are wrapped."""
        text = "".join(str(Options()).split())
        for knob in KNOBS:
            default = f"[{knob.shown}]" if knob.shown else ""
            shown = f"--{knob.flag} {knob.meta} {knob.help} {default}"
            self.assertIn("".join(shown.split()), text)

    def test_every_other_flag(self):
        text = str(Options())
        for flag in ("-p, --port PORT", "-i, --interface ADDRESS", "-e, --endpoint STRING"):
            self.assertIn(flag, text)
        for flag in ("--protocol PLUG", "--help-protocols", "--help", "--version"):
            self.assertIn(f"  {flag} ", text)
        for flag in ("--operator STRING", "--operator-token FILE"):
            self.assertIn(f"  {flag} ", text)
        for default in ("[1234]", "[127.0.0.1]", "[echo]"):
            self.assertIn(default, text)

    def test_no_flag_that_is_not_there(self):
        flags = re.findall(r"^  (?:-\w, )?(--[\w-]+) ?([A-Z]*)", str(Options()), re.MULTILINE)
        self.assertEqual(len(flags), len(KNOBS) + 9)
        for flag, meta in flags:
            if meta == "":
                self.told(flag)
            elif meta not in ("PORT", "ADDRESS", "STRING", "PLUG", "FILE"):
                knob = next(each for each in KNOBS if f"--{each.flag}" == flag)
                given(flag, knob.shown)

    def test_fits_the_terminal(self):
        for width in (80, 100, 200):
            table = Options().getUsage(width).split("\nExamples\n")[0]
            self.assertLessEqual(max(map(len, table.split("\n"))), min(width, 100))

    def test_examples_are_right(self):
        for example in EXAMPLES.split("\n"):
            command, arguments = example.split("sockservice ")
            self.assertIn(command, ("twistd ", "twistd -n "))
            self.assertTrue(given(*arguments.split()).endpoints)

    def test_help(self):
        self.assertIn(Options().getUsage(), self.told("--help"))

    def test_version(self):
        self.assertRegex(
            self.told("--version"), r"^twisted_sock \d+\.\d+\S*, Twisted \d+\.\d+\S*\n$"
        )

    def test_help_protocols(self):
        lines = self.told("--help-protocols").splitlines()
        for usage, summary in describe():
            self.assertIn([usage, summary], [line.split(maxsplit=1) for line in lines])
        self.assertIn("package.module.name", lines[-1])


class TablesTest(SynchronousTestCase):
    """The tables of the docs."""

    def test_a_row_for_every_setting(self):
        for cls in CLASSES.values():
            knobs = list(settings_of(cls))
            head, rule, *rows = settings_table(knobs).split("\n")
            self.assertEqual(len(rows), len(knobs))
            for line in (head, rule, *rows):
                self.assertEqual(line.count("|"), 4, line)
            for knob, line in zip(knobs, rows, strict=True):
                self.assertIn(f"--{knob.flag} ", line)
                self.assertIn(f"| {knob.shown} |", line)
                self.assertIn(knob.help, line)

    def test_readme_has_them(self):
        places = {"README.md": (LinePolicy, Limits), "docs/transports.md": (Web, Datagrams)}
        for place, classes in places.items():
            text = (ROOT / place).read_text("utf-8")
            for cls in classes:
                self.assertIn(f"\n{settings_table(list(settings_of(cls)))}\n", text)
