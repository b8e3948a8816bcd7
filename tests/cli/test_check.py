"""`twisted-sock check`: whether scripts are right."""

import io
import json
import sys

from tests.cli.test_cli import CommandCase, options_of
from twisted_sock.cli.check import run
from twisted_sock.cli.command import Status
from twisted_sock.cli.completion import script
from twisted_sock.script.schema import schema

GOOD = "start = 'a'\n[[rule]]\nthen = 'b'\n[[rule]]\n[[fault]]\ndo = 'drop'\nwhen = 'b'\n"


class CheckTest(CommandCase):
    def check(self, *arguments, given=b""):
        """The status, and what was said on stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        options = options_of("check")
        options.parseOptions(arguments)
        status = self.successResultOf(run(None, options))
        return status, out.getvalue(), err.getvalue()

    def file(self, text):
        path = self.mktemp()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_good(self):
        path = self.file("[[rule]]\n")
        told = f"{path}: good: 1 rule, 0 faults, 0 states\n"
        self.assertEqual(self.check(path), (Status.DONE, told, ""))

    def test_doubtful(self):
        path = self.file(GOOD)
        self.assertEqual(
            self.check(path),
            (
                Status.DONE,
                f"{path}: good: 2 rules, 1 fault, 2 states\n",
                f"{path}:4: warning: rule 2: it never counts, as rule 1 takes all its lines\n",
            ),
        )
        self.assertEqual(self.check("--quiet", path), (Status.DONE, "", ""))

    def test_all_mistakes_of_all_files(self):
        good, bad = self.file(""), self.file("seed = 'x'\n[[rule]]\nrepy = ''\n")
        for arguments, told in (
            ((), f"{good}: good: 0 rules, 0 faults, 0 states\n"),
            (("--quiet",), ""),
        ):
            status, out, err = self.check(bad, "/nix.toml", good, *arguments)
            self.assertEqual((status, out), (Status.UNEXPECTED, told))
            self.assertEqual(
                err.splitlines(),
                [
                    f'{bad}:1: seed: a whole number, not "x"',
                    f"{bad}:3: rule 1: there is no 'repy'; did you mean 'reply'?",
                    "/nix.toml: No such file or directory",
                ],
            )

    def test_standard_input(self):
        status, out, err = self.check("-", given=b"seed = 'x'\n")
        self.assertEqual((status, out), (Status.UNEXPECTED, ""))
        self.assertEqual(err, '<stdin>:1: seed: a whole number, not "x"\n')
        self.assertIn("<stdin>:2: this is not UTF-8", self.check("-", given=b"\n\xff")[2])
        self.assertIn("<stdin>: good", self.check("-")[1])

    def test_standard_input_that_is_closed(self):
        options = options_of("check")
        options.parseOptions(["--quiet", "-"])
        self.patch(sys, "stdin", None)
        self.assertEqual(self.successResultOf(run(None, options)), Status.DONE)

    def test_names_that_could_disturb_a_terminal(self):
        status, _, err = self.check("a\n\x1b[2J")
        self.assertEqual(err, "a \\x1b[2J: No such file or directory\n")
        self.assertEqual(status, Status.UNEXPECTED)

    def test_the_schema(self):
        status, out, err = self.check("--schema")
        self.assertEqual((status, json.loads(out), err), (Status.DONE, schema(), ""))

    def test_no_file(self):
        self.assertIn("there is no FILE", self.refused("check"))
        self.assertIn("there is no FILE", self.refused("check", "--quiet"))

    def test_completes_files(self):
        self.assertIn(
            'check) flags="--quiet --schema --help --version" arguments="FILE"', script("bash")
        )
        self.assertIn("'*:FILE:_files'", script("zsh"))
