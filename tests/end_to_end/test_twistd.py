"""The command line in a real process: it starts, answers, stops, and says what is wrong."""

import os
import re
import shutil
import signal
import socket
import stat
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from twisted_sock.settings import Limits, LinePolicy, settings_of

from .programs import (
    HOST,
    Client,
    Program,
    Server,
    ask,
    require_module,
    script,
    wait_until_gone,
)

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "shout_plugin"

PLUGS = """
from __future__ import annotations
from typing import TYPE_CHECKING
from twisted_sock.protocol import LineProtocol
if TYPE_CHECKING:
    from decimal import Decimal

def shout(line):
    return line.upper()

async def twice(line):
    return [line, line]

class Counter(LineProtocol):
    def __init__(self, start: int = 0) -> None:
        self.seen = start

    def connectionMade(self):
        return "hello"

    def lineReceived(self, line):
        self.seen += 1
        return f"{self.seen}: {line}"

class Annotated(LineProtocol):
    def __init__(self, price: Decimal | None = None) -> None:
        self.price = price

    def lineReceived(self, line):
        return line

class Application:
    def __init__(self, words: str = "") -> None:
        if words:
            raise ValueError("first" + chr(10) + "second")

    def build_protocol(self):
        return Counter()

    def start(self, reactor):
        raise RuntimeError("not" + chr(10) + "today")

    def stop(self):
        pass

class Plain:
    pass

number = 5
"""


# It runs.


def test_the_plain_command_answers_and_stops(serve):
    server = serve()
    assert ask(server.port, "héllo\r\n世界\r\n".encode()) == "héllo\r\n世界\r\n".encode()
    assert server.stop() == -signal.SIGTERM
    assert "Server Shut Down" in server.out.whole()
    assert server.err.whole() == ""


def test_the_twist_runner_answers_and_stops(run):
    twist = [*script("twist"), "--log-format=text"]
    server = run([*twist, "sockservice", "--port", "0"], kind=Server)
    server.wait_until_it_listens()
    assert ask(server.port, b"a\nb\n") == b"a\nb\n"
    with Client(server.port) as client:
        client.ask(b"here\n")
        server.tell(signal.SIGTERM)
        assert client.rest() == b"ERR shutdown the server is stopping\n"
    server.wait()
    assert "Main loop terminated" in server.out.whole() + server.err.whole()


@pytest.mark.parametrize("reactor", ["poll", "select", "asyncio"])
def test_other_reactors_serve_as_well(twistd, reactor):
    server = twistd(
        *("--port", "0"), runner=("-n", "--pidfile=", "--reactor", reactor), kind=Server
    )
    server.wait_until_it_listens()
    lines = b"".join(b"%d\n" % number for number in range(100_000))
    assert ask(server.port, lines) == lines
    assert server.stop() == -signal.SIGTERM


def test_several_endpoints_at_once(serve, tmp_path):
    path = str(tmp_path / "line.sock")
    tcp = f"tcp:port=0:interface={HOST}"
    server = serve("--endpoint", f"unix:{path}", "--endpoint", tcp, "--protocol", "str.upper")
    server.out.expect("listens on UNIXAddress")
    second = int(server.out.expect(r"listens on IPv4Address\(.*port=(\d+)\)")[1])
    assert second != server.port
    assert ask(server.port, b"a\n") == ask(second, b"a\n") == ask(path, b"a\n") == b"A\n"
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    server.stop()
    assert not os.path.exists(path)


def test_an_endpoint_string_as_port(twistd):
    server = twistd("--port", f"tcp:0:interface={HOST}", kind=Server)
    server.wait_until_it_listens()
    assert ask(server.port, b"a\n") == b"a\n"


def test_limits_of_the_command_line_hold(serve):
    server = serve("--max-line", "4", "--overlong", "truncate", "--delimiter", "crlf")
    assert ask(server.port, b"123456\r\na\rb\r\n") == b"1234\r\na\rb\r\n"


# As a daemon.


@pytest.fixture
def daemon(run, tmp_path, at_the_end):
    """Start `twistd sockservice` as a daemon; it is gone after the test."""

    def start(*options, name="daemon", **streams):
        pidfile, log = tmp_path / f"{name}.pid", tmp_path / f"{name}.log"

        def end():
            if pidfile.exists():
                os.kill(int(pidfile.read_text()), signal.SIGKILL)

        at_the_end.callback(end)
        files = [f"--pidfile={pidfile}", f"--logfile={log}"]
        command = [*script("twistd"), *files, "sockservice", *options]
        return run(command, **streams), pidfile, log

    return start


def port_in(log):
    return int(re.search(r"listens on IPv4Address\(.*port=(\d+)\)", log.read_text())[1])


def test_a_daemon_answers_and_ends_by_sigterm(daemon):
    started, pidfile, log = daemon("--port", "0")
    assert started.wait() == 0
    assert started.err.whole() == ""
    port = port_in(log)
    assert ask(port, b"a\n") == b"a\n"
    pid = int(pidfile.read_text())
    with Client(port) as client:
        client.ask(b"here\n")
        os.kill(pid, signal.SIGTERM)
        assert client.rest() == b"ERR shutdown the server is stopping\n"
    wait_until_gone(pid)
    assert not pidfile.exists()
    assert "Traceback" not in log.read_text()
    with pytest.raises(ConnectionRefusedError):
        Client(port)


def test_sighup_reloads_a_daemon_that_was_started_at_a_terminal(daemon):
    person, screen = os.openpty()
    started, pidfile, log = daemon("--port", "0", stdin=screen)
    os.close(screen)
    assert started.wait() == 0
    os.close(person)
    with Client(port_in(log)) as client:
        os.kill(int(pidfile.read_text()), signal.SIGHUP)
        for _ in range(2):  # the signal is heeded before the second is read, at the latest
            assert client.ask(b"still here\n") == b"still here\n"
    assert "reloading" in log.read_text()


def test_a_second_daemon_on_the_same_port_says_what_is_wrong(daemon):
    first, _, log = daemon("--port", "0", name="first")
    assert first.wait() == 0
    port = port_in(log)
    second, pidfile, log = daemon("--port", str(port), name="second")
    assert second.wait() != 0
    assert "Address already in use" in second.err.whole()
    assert "Address already in use" in log.read_text()
    assert "Traceback" not in second.err.whole() + log.read_text()
    assert not pidfile.exists()
    assert ask(port, b"still here\n") == b"still here\n"


def test_a_daemon_with_a_wrong_option_does_not_start(daemon):
    started, pidfile, _ = daemon("--protocol", "nonsense")
    assert started.wait() == 1
    assert "nonsense" in one_line(started)
    assert not pidfile.exists()


# Help.


def test_help_tells_every_setting(twistd):
    helped = twistd("--help")
    assert helped.wait() == 0
    text = helped.out.whole()
    flags = {f"--{setting.flag} " for cls in (LinePolicy, Limits) for setting in settings_of(cls)}
    assert not [flag for flag in flags if flag not in text]
    assert helped.err.whole() == ""


def test_version_tells_both_versions(twistd):
    asked = twistd("--version")
    assert asked.wait() == 0
    expected = f"twisted_sock {version('twisted_sock')}, Twisted {version('twisted')}\n"
    assert asked.out.whole() == expected


def test_help_protocols_lists_them(twistd):
    asked = twistd("--help-protocols")
    assert asked.wait() == 0
    names = [re.split("[: ]", line)[0] for line in asked.out.whole().splitlines()]
    assert {"echo", "console"} <= set(names)


def test_twistd_lists_the_service_without_importing_it(run):
    _, path = script("twistd")
    helped = run([sys.executable, "-X", "importtime", path, "--help"])
    assert helped.wait() == 0
    assert "sockservice" in helped.out.whole()
    imported = re.findall(r"\| +(\S+)$", helped.err.whole(), re.MULTILINE)
    assert "twisted.application.service" in imported
    assert [name for name in imported if name.split(".")[0] == "twisted_sock"] == []


# What is wrong is said in one line.


def one_line(program: Program) -> str:
    """The one line on standard error; that it is one, and no traceback anywhere."""
    said = program.err.whole()
    assert "Traceback" not in said + program.out.whole()
    assert len(said.splitlines()) == 1, said
    assert said.startswith("sockservice: ")
    return said


WRONG = {
    "option": (["--nonsense"], "--nonsense"),
    "argument": (["nonsense"], "nonsense"),
    "value-missing": (["--max-line"], "--max-line"),
    "value-negative": (["--window", "-1"], "--window"),
    "value-no-number": (["--idle-timeout", "soon"], "--idle-timeout"),
    "value-not-finite": (["--idle-timeout", "nan"], "--idle-timeout"),
    "value-no-choice": (["--framing", "wat"], "--framing"),
    "port": (["--port", "65536"], "65536"),
    "interface": (["--port", "0", "--interface", "192.0.2.1"], "192.0.2.1"),
    "endpoint": (["--endpoint", "wat:5"], "wat"),
    "endpoint-port": (["--endpoint", "tcp:wat"], "wat"),
    "endpoint-newline": (["--endpoint", "tcp:\n"], "--endpoint"),
    "endpoint-folder": (["--endpoint", "unix:/nonexistent/a"], "/nonexistent/a"),
    "plug": (["--protocol", "wat"], "wat"),
    "plug-empty": (["--protocol", ""], "--protocol"),
    "plug-module": (["--protocol", "wat.wat"], "wat"),
    "plug-name": (["--protocol", "plugs.wat"], "wat"),
    "plug-options": (["--protocol", "echo:loud=yes"], "loud"),
    "plug-option-type": (["--protocol", "plugs.Counter:start=x"], "start"),
    "plug-option-unknown": (["--protocol", "plugs.Counter:end=x"], "end"),
    "plug-import": (["--protocol", "broken.answer"], "ModuleNotFoundError"),
    "plug-syntax": (["--protocol", "syntax.answer"], "SyntaxError"),
    "plug-import-lines": (["--protocol", "lines.answer"], "first"),
    "plug-exits": (["--protocol", "exits.answer"], "exits"),
    "plug-not-callable": (["--protocol", "plugs.number"], "int"),
    "plug-not-a-protocol": (["--protocol", "plugs.Plain"], "Plain"),
    "plug-builtin-class": (["--protocol", "builtins.dict"], "dict"),
    "plug-init-lines": (["--protocol", "plugs.Application:x"], "first"),
    "plug-start-lines": (["--port", "0", "--protocol", "plugs.Application"], "today"),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line_and_a_status(twistd, plug, options, words):
    plug("plugs", PLUGS)
    plug("broken", "import no_such_module_anywhere")
    plug("syntax", "def answer(:")
    plug("lines", "raise ValueError('first' + chr(10) + 'second')")
    plug("exits", "import sys; sys.exit(0)")
    program = twistd(*options)
    status = program.wait()
    assert status > 0, f"status {status}: {program.err.text}"
    assert words in one_line(program)


@pytest.mark.parametrize("name", ["twistd", "twist"])
def test_a_port_in_use_is_one_line_and_a_status(run, name):
    alone = ["-n", "--pidfile="] if name == "twistd" else []
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        program = run([*script(name), *alone, "sockservice", "--port", str(port)])
        assert program.wait() == 1
    said = one_line(program)
    assert "Address already in use" in said
    assert str(port) in said


# Plugs.


ANSWERS = {
    "str.upper": b"A\nB\n",
    "plugs.shout": b"A\nB\n",
    "plugs.twice": b"a\na\nb\nb\n",
    "plugs.Counter": b"hello\n1: a\n2: b\n",
    "plugs.Counter:start=5": b"hello\n6: a\n7: b\n",
    "plugs.Annotated": b"a\nb\n",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_plug_from_the_current_folder_answers(serve, plug, name):
    plug("plugs", PLUGS)
    server = serve("--protocol", name)
    assert ask(server.port, b"a\nb\n") == ANSWERS[name]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What is different in the environment once the example package is installed."""
    require_module("hatchling")
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"  # building leaves nothing in the project's folder
    shutil.copytree(EXAMPLE, source)
    target = folder / "target"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    pip += ["--no-build-isolation", "--disable-pip-version-check"]
    installing = Program([*pip, "--target", str(target), str(source)], folder)
    try:
        assert installing.wait() == 0, installing.err.whole()
    finally:
        installing.reap()
    return {"PYTHONPATH": str(target)}


def test_a_plug_of_an_installed_package_answers(serve, installed):
    server = serve("--protocol", "shout", env=installed)
    assert ask(server.port, b"hello\n") == b"HELLO!\n"


def test_a_plug_of_an_installed_package_is_listed(twistd, installed):
    asked = twistd("--help-protocols", env=installed)
    assert asked.wait() == 0
    assert re.search(r"^shout +Answers in capitals\.$", asked.out.whole(), re.MULTILINE)


def test_a_plug_of_an_installed_package_leaves_the_reactor_to_choose(twistd, installed):
    options = ("-n", "--pidfile=", "--reactor=asyncio")
    server = twistd(
        *("--port", "0", "--protocol", "shout"), runner=options, kind=Server, env=installed
    )
    server.wait_until_it_listens()
    assert "AsyncioSelectorReactor" in server.out.text
    assert ask(server.port, b"hello\n") == b"HELLO!\n"


def test_sighup_reloads_and_harms_nobody(serve):
    server = serve()
    with Client(server.port) as client:
        assert client.ask(b"before\n") == b"before\n"
        for _ in range(2):
            server.tell(signal.SIGHUP)
            server.out.expect("reloading")
        for _ in range(300):  # many at once are as one
            server.tell(signal.SIGHUP)
        assert client.ask(b"after\n") == b"after\n"


def test_sighup_of_a_terminal_that_is_closed_ends_the_service(serve):
    person, screen = os.openpty()
    server = serve(stdin=screen)
    os.close(screen)
    os.close(person)
    server.tell(signal.SIGHUP)
    assert server.wait() == 0
    assert "reloading" not in server.out.whole()
