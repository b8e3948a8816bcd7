"""The command line of `twisted-sock`: commands, help, mistakes, completion."""

import io
import re
import sys
from importlib import import_module

from twisted.trial.unittest import SynchronousTestCase

from tests.test_docs import ROOT
from twisted_sock.cli.command import COMMANDS, MEANINGS, NAME, Status
from twisted_sock.cli.completion import SCRIPTS, script
from twisted_sock.cli.main import main
from twisted_sock.endpoints import FORMS

DOCS = ROOT / "docs" / "command.md"


def options_of(name):
    return import_module(COMMANDS[name][0]).Options()


class CommandCase(SynchronousTestCase):
    """A test that runs the command without a reactor."""

    def run_main(self, *arguments):
        """The status, and what was said on stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        return main(list(arguments)), out.getvalue(), err.getvalue()

    def told(self, *arguments):
        status, out, err = self.run_main(*arguments)
        self.assertEqual((status, err), (0, ""))
        return out

    def refused(self, *arguments):
        status, out, err = self.run_main(*arguments)
        self.assertEqual((status, out), (Status.USAGE, ""))
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith(NAME), err)
        return err


class HelpTest(CommandCase):
    def test_commands_and_statuses(self):
        text = self.told("--help")
        for name, (_, summary) in COMMANDS.items():
            self.assertRegex(text, rf"(?m)^  {name} +{re.escape(summary)}$")
        for status, words in MEANINGS.items():
            self.assertRegex(text, rf"(?m)^  {int(status)} +{re.escape(words)}$")
        self.assertEqual(set(MEANINGS), set(Status))

    def test_without_arguments(self):
        self.assertEqual(self.told(), self.told("--help"))

    def test_version(self):
        for arguments in (["--version"], ["connect", "--version"], ["send", "--version"]):
            self.assertRegex(self.told(*arguments), r"^twisted_sock \d\S+, Twisted \d\S+\n$")

    def test_of_every_command(self):
        for name in COMMANDS:
            text = self.told(name, "--help")
            self.assertTrue(text.startswith(f"Usage: twisted-sock {name} "))
            options = options_of(name)
            for flag in options.flags():
                self.assertIn(f"\n  {flag.shown} ", text)
                self.assertIn("".join(flag.help.split()), "".join(text.split()))
            for status in options.statuses:
                self.assertIn(MEANINGS[status], text)

    def test_help_goes_before_mistakes(self):
        self.told("connect", "--framing", "wat", "--help")

    def test_every_option_is_in_the_help(self):
        for name in COMMANDS:
            options = options_of(name)
            known = {each.rstrip("=") for each in options.longOpt}
            self.assertEqual(known, {flag.name for flag in options.flags()}, name)

    def test_fits_the_terminal(self):
        for name in COMMANDS:
            for width in (80, 100, 200):
                listed = options_of(name).getUsage(width).split("\nExamples")[0]
                self.assertLessEqual(max(map(len, listed.split("\n"))), max(width, 95))

    def test_examples_are_right(self):
        for name in ("connect", "send"):
            for line in options_of(name).examples.split("\n"):
                words = [word.strip("'") for word in re.findall(r"'[^']*'|[^ ]+", line)]
                self.assertEqual(words[:2], [NAME, name])
                end = words.index("<") if "<" in words else len(words)
                options_of(name).parseOptions(words[2:end])


class MistakesTest(CommandCase):
    def test_no_such_command(self):
        self.assertIn("there is no command wat", self.refused("wat"))
        self.assertIn("there is no option --wat", self.refused("--wat"))
        self.refused("two\nlines\x1b[2J")

    def test_in_every_command(self):
        for name in COMMANDS:
            self.assertIn("--wat", self.refused(name, "--wat"))
            self.refused(name)

    def test_connect(self):
        for arguments, words in (
            ([], "ENDPOINT"),
            (["1", "2"], "ENDPOINT"),
            (["nowhere"], FORMS),
            (["ws:host"], "there is no port"),
            (["--framing", "chunk", "ws://host/"], "a WebSocket has messages already"),
            (["--framing", "wat", "1"], "--framing: one of lines, chunk, not 'wat'"),
            (["--max-line", "x", "1"], "--max-line: a whole number of bytes"),
            (["--timeout=-1", "1"], "--timeout: a number of seconds"),
            (["--timeout"], "--timeout"),
            (["--reconnect=maybe", "1"], "auto, yes, no"),
            (["--first", "a\nb", "1"], "newline"),
            (["--first", "\udcff", "1"], "UTF-8"),
        ):
            self.assertIn(words, self.refused("connect", *arguments))

    def test_send(self):
        for arguments, words in (
            ([], "ENDPOINT"),
            (["1"], "no LINE"),
            (["1", "a\nb"], "newline"),
            (["1", "\udcff"], "UTF-8"),
            (["1", "-a"], "before what begins with a dash and is no option goes a --"),
            (["--expect", "(", "1", "a"], "--expect: "),
            (["--answers", "-1", "1", "a"], "--answers: "),
            (["--answers", "٣", "1", "a"], "--answers: "),
        ):
            self.assertIn(words, self.refused("send", *arguments))

    def test_completion(self):
        for arguments in ([], ["fish"], ["bash", "zsh"]):
            self.assertIn("bash or zsh", self.refused("completion", *arguments))


class GivenTest(SynchronousTestCase):
    """What options mean, wherever they stand."""

    def given(self, name, *arguments):
        options = options_of(name)
        options.parseOptions(list(arguments))
        return options

    def test_nothing(self):
        options = self.given("connect", "1234")
        self.assertEqual(options.endpoint, "1234")
        self.assertEqual((options["framing"], options["max-line"]), ("lines", 65536))
        self.assertEqual((options.first, options["hex"]), ([], 0))
        self.assertEqual(options.ending, b"\n")

    def test_options_behind_arguments(self):
        options = self.given("connect", "1234", "--hex", "--framing", "chunk")
        self.assertEqual((options["hex"], options["framing"]), (1, "chunk"))
        options = self.given("send", "1234", "a", "--expect", "^a$", "b")
        self.assertEqual(options.lines, ["a", "b"])
        self.assertTrue(options.expected.search("a"))

    def test_lines_like_options(self):
        options = self.given("send", "--timeout=1", "1234", "--", "-a", "--help", "--")
        self.assertEqual(options.lines, ["-a", "--help", "--"])

    def test_values_with_dashes_and_equals_signs(self):
        options = self.given("connect", "--first", "--x", "--first=a=b", "--first", "", "1234")
        self.assertEqual(options.first, ["--x", "a=b", ""])

    def test_answers(self):
        self.assertEqual(self.given("send", "1234", "a", "b").answers, 2)
        self.assertEqual(self.given("send", "1234", "a", "--answers", "0").answers, 0)
        self.assertEqual(self.given("send", "--answers", "3", "1234").answers, 3)

    def test_encoded(self):
        for arguments, data in (
            ([], "世\n"),
            (["--delimiter", "crlf"], "世\r\n"),
            (["--framing", "chunk"], "世"),
        ):
            options = self.given("connect", *arguments, "1234")
            self.assertEqual(options.encode("世"), data.encode())


class CompletionTest(SynchronousTestCase):
    def test_every_command_and_option(self):
        for shell in SCRIPTS:
            text = script(shell)
            for name in COMMANDS:
                for flag in options_of(name).flags():
                    self.assertIn(f"--{flag.name}", text)
                    self.assertIn(" ".join(flag.choices), text)


class DocsTest(SynchronousTestCase):
    """docs/command.md says what the help says."""

    def test_statuses(self):
        text = DOCS.read_text("utf-8")
        for status, words in MEANINGS.items():
            self.assertIn(f"| {int(status)} | {words} |\n", text)

    def test_options(self):
        text = DOCS.read_text("utf-8")
        for name in ("connect", "send"):
            for flag in options_of(name).flags():
                self.assertIn(f"| `{flag.shown}` | {flag.help} |\n", text)
