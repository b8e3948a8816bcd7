"""What the docs show is what is there, and works."""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import partial
from importlib import import_module
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.clients import Net, client_of, result
from twisted_sock import (
    LineClient,
    Matcher,
    ReconnectingLineClientFactory,
    RequestError,
    Requests,
    Retry,
    parting,
)
from twisted_sock.cli.command import COMMANDS
from twisted_sock.client.events import Event
from twisted_sock.errors import WORDS
from twisted_sock.settings import settings_of
from twisted_sock.testing import connect

ROOT = Path(__file__).parent.parent


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", text(name), re.DOTALL)


def run(block, net=None):
    """The names that a block of Python defines; `net` is what its clients connect to."""
    names = {"__name__": "example"}
    if net is not None:
        names |= {"reactor": net.clock, "clientFromString": lambda reactor, description: net}
    exec(compile(block, "example", "exec"), names)
    return names


def block_with(name, words):
    [found] = [block for block in blocks(name) if words in block]
    return found


class Links(SynchronousTestCase):
    LINK = re.compile(r"\]\(((?!https?:)[^)#\s]*)#?([^)\s]*)\)")
    PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md"))))

    def anchors(self, path):
        """What a page's titles are called in links."""
        prose = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S)
        titles = re.findall(r"^#+ (.*)$", prose, re.M)
        return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}

    def test_what_is_linked_is_there(self):
        for page in self.PAGES:
            for target, anchor in self.LINK.findall(text(page)):
                path = (ROOT / page).parent / target if target else ROOT / page
                self.assertTrue(path.exists(), f"{page}: {target}")
                if anchor:
                    self.assertIn(anchor, self.anchors(path), page)


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

    def test_the_client(self):
        shown = block_with("README.md", "LineClient")
        net = Net(lambda line: f"{line}: 3")
        shown = re.sub("^from twisted.internet.*", "", shown, flags=re.MULTILINE)
        names = run(
            shown.replace("LineClient(endpoint", "LineClient(endpoint, reactor=reactor"), net
        )
        answer = Deferred.fromCoroutine(names["price"]("tea"))
        net.flow()
        self.assertEqual(result(answer), "price tea: 3")
        net.down = True
        net.break_all()
        answer = Deferred.fromCoroutine(names["price"]("tea"))
        net.advance(3)
        self.assertEqual(result(answer), "it could not be sent in time; executed perhaps: False")
        names["client"].stopService()
        net.flow()

    def test_the_commands(self):
        [shown] = [each for each in blocks("README.md", "sh") if "twisted-sock send" in each]
        commands = re.findall("^twisted-sock (.*?)(?: +[#<].*)?$", shown, re.MULTILINE)
        self.assertGreaterEqual(len(commands), 3)
        for command in commands:
            name, *arguments = shlex.split(command)
            options = import_module(COMMANDS[name][0]).Options()
            options.parseOptions(arguments)


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


class Client(SynchronousTestCase):
    name = "docs/client.md"

    def test_starting(self):
        shown = block_with(self.name, "clientFromString")
        net = Net(str.upper)
        names = {
            "reactor": net.clock,
            "clientFromString": lambda reactor, description: net,
            "Matcher": Matcher,
            "parting": parting,
            "fast": lambda reactor: reactor,
            "LineClient": partial(LineClient, reactor=net.clock),
        }
        exec(re.sub("^from .*", "", shown, flags=re.MULTILINE), names)
        answer = Deferred.fromCoroutine(names["greet"]("you"))
        net.flow()
        self.assertEqual(result(answer), "HELLO YOU")
        names["client"].stopService()
        net.flow()

    def test_the_factory(self):
        class Reactor(Clock):
            def connectTCP(self, host, port, factory):
                self.connected = host, port, factory

            def addSystemEventTrigger(self, phase, event, act):
                self.act = act

        reactor = Reactor()
        names = {
            "reactor": reactor,
            "ReconnectingLineClientFactory": partial(
                ReconnectingLineClientFactory, reactor=reactor
            ),
        }
        shown = block_with(self.name, "connectTCP")
        exec(re.sub("^from .*", "", shown, flags=re.MULTILINE), names)
        self.assertEqual(reactor.connected, ("127.0.0.1", 1234, names["factory"]))
        self.assertTrue(reactor.act().called)

    def test_honest_errors(self):
        transfer = run(block_with(self.name, "transfer"))["transfer"]
        net = Net()
        client = client_of(net, requests=Requests(window=1))
        said = [Deferred.fromCoroutine(transfer(client, line)) for line in ("a", "b")]
        net.flow()
        client.stopService()
        expected = ["look whether it was done", "not done, ask again"]
        self.assertEqual([result(each) for each in said], expected)
        net.flow()

    def test_matchers(self):
        names = run(block_with(self.name, "with_ids"))
        for matcher, answers, expected in (
            ("with_ids", ["2 = B", "*news", "1 = A"], ["1 = A", "2 = B"]),
            ("until_a_dot", ["A", ".", "B", "."], ["A\n.", "B\n."]),
            ("with_news", ["A", "*news", "B"], ["A", "B"]),
            ("of_our_servers", ["A", "B", "ERR shutdown x"], ["A", "B"]),
        ):
            net = Net()
            client = client_of(net, matcher=names[matcher])
            asked = [client.request(line) for line in ("1 get a", "2 get b")]
            net.flow()
            net.server.say(*answers)
            self.assertEqual([result(each) for each in asked], expected)
            client.stopService()
            net.flow()

    def test_logging_in_and_following(self):
        log_in = run(block_with(self.name, "async def log_in"))["log_in"]
        follow = run(block_with(self.name, "async def follow"))["follow"]
        net = Net()
        client = client_of(net, on_connect=log_in)
        following = Deferred.fromCoroutine(follow(client))
        net.flow()
        net.server.say("welcome")
        self.assertEqual(net.server.lines(), ["LOGIN me secret"])
        net.server.say("OK", "news")
        self.assertEqual(client.state, "ready")
        client.stopService()
        net.flow()
        self.assertTrue(following.called)

    def test_in_memory(self):
        run(block_with(self.name, "test_shouts"))["test_shouts"]()

    def test_every_error_and_event_is_named(self):
        for kind in RequestError.__subclasses__():
            self.assertIn(f"| `{kind.__name__}` |", text(self.name))
        for kind in Event.__args__:
            self.assertIn(f"`{kind.__name__}`", text(self.name))

    def test_the_numbers_are_the_defaults(self):
        for setting in (*settings_of(Retry), *settings_of(Requests)):
            for shown in re.findall(rf"`{setting.name}` \((\d+)", text(self.name)):
                self.assertEqual(shown, setting.shown)
