"""What the docs show is what is there, and works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.errors import WORDS
from twisted_sock.testing import connect

ROOT = Path(__file__).parent.parent


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", text(name), re.DOTALL)


def run(block):
    """The names that a block of Python defines."""
    names = {"__name__": "example"}
    exec(compile(block, "example", "exec"), names)
    return names


def block_with(name, words):
    [found] = [block for block in blocks(name) if words in block]
    return found


class Readme(SynchronousTestCase):
    def test_function(self):
        answer = run(blocks("README.md")[0])["answer"]
        peer = connect(answer)
        peer.say("hello")
        self.assertEqual(peer.lines(), ["HELLO!"])

    def test_class(self):
        peer = connect(run(block_with("README.md", "class Counter"))["Counter"])
        peer.say("one", "quit", "three")
        self.assertEqual(peer.lines(), ["hello 127.0.0.1:40000", "1: one", "bye"])
        self.assertTrue(peer.ended)

    def test_async(self):
        block = block_with("README.md", "async def slow")
        names = run(block.replace("from twisted.internet import reactor\n", ""))
        names["reactor"] = Clock()
        slow, count = connect(names["slow"]), connect(names["count"])
        slow.say("later")
        self.assertEqual(slow.lines(), [])
        names["reactor"].advance(1)
        self.assertEqual(slow.lines(), ["later"])
        count.say("3")
        self.assertEqual(count.lines(), ["0", "1", "2"])

    def test_tests_in_memory(self):
        case = run(block_with("README.md", "class HelloTests"))["HelloTests"]
        for name in ("test_answers", "test_idle"):
            case(name).debug()

    def test_embedding(self):
        shown = block_with("README.md", "UNIXServerEndpoint").split()
        self.assertEqual(text("docs/examples/embed.py").split()[-len(shown) + 2 :], shown[2:])


class Protocols(SynchronousTestCase):
    def test_every_reason_is_in_the_table(self):
        for reason, words in WORDS.items():
            self.assertRegex(text("docs/protocols.md"), rf"\| `{reason}` \|.*\| {words} \|")

    def test_the_package_shown_is_the_example(self):
        folder = "docs/examples/shout_plugin/"
        shown = blocks("docs/protocols.md")
        self.assertEqual(shown[0], text(folder + "shout.py"))
        self.assertEqual(shown[1], text(folder + "twisted/plugins/shout_plugin.py"))
        [toml] = blocks("docs/protocols.md", "toml")
        self.assertEqual(tomllib.loads(toml), tomllib.loads(text(folder + "pyproject.toml")))
