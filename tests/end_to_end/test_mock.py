"""A mock on real sockets, asked by programs that know nothing of us; and for a test's own use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.test_docs import ROOT
from twisted_sock import Limits, LinePolicy
from twisted_sock.errors import ListenError, ScriptError, SettingError, SockError
from twisted_sock.script.model import Expect, Fault, Match, Rule, Script, Unmatched
from twisted_sock.testing import MockServer, mock_process
from twisted_sock.testing import mock_server as mocking

from .programs import Client, ask, require, wait_until_gone

GREETER = """
greeting = "220 ready"
start = "new"

[[rule]]
regex = 'LOGIN (\\w+)'
reply = ["250 hello {1}", "250 you are {client}"]
then = "in"

[[rule]]
exact = "WHO"
when = "in"
reply = "250 in"

[[rule]]
exact = "QUIT"
reply = "221 bye"
close = true

[fallback]
reply = "500 what"
"""

#: What redis-cli asks, a line at a time: an array of bulk strings.
REDIS = """
[[rule]]
exact = "PING"
reply = "+PONG"

[[rule]]
exact = "GET"
then = "key"

[[rule]]
regex = '[*$]\\d+'

[[rule]]
when = "key"
exact = "colour"
reply = ["$4", "blue"]
then = ""

[[rule]]
when = "key"
reply = "$-1"
then = ""

[fallback]
reply = "-ERR this is a mock"
"""


@pytest.fixture
def mock(serve, tmp_path):
    """Run `twistd -n sockservice --protocol mock:...` with a script."""

    def start(text, *options, **more):
        (tmp_path / "script.toml").write_text(text)
        return serve("--protocol", "mock:script.toml", *options, **more)

    return start


def run(*command, said=""):
    done = subprocess.run(
        [require(command[0]), *command[1:]],
        input=said,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


def test_bare_sockets_and_a_change(mock, tmp_path):
    server = mock(GREETER)
    with Client(server.port) as client:
        assert client.line() == b"220 ready\n"
        assert client.ask(b"WHO\n") == b"500 what\n"
        assert client.ask(b"LOGIN alice\n") == b"250 hello alice\n"
        assert client.line() == b"250 you are 127.0.0.1\n"
        (tmp_path / "script.toml").write_text(GREETER.replace("250 in", "250 still in"))
        server.out.expect("script.toml was read again")
        assert client.ask(b"WHO\n") == b"250 still in\n"
        (tmp_path / "script.toml").write_text("greeting = ")
        server.out.expect("script.toml:1: .*the script as it was is played on")
        client.say(b"QUIT\nWHO\n")
        assert client.rest() == b"221 bye\n"


def test_netcat_over_tcp(mock):
    server = mock(GREETER)
    said = run("nc", "-N", "127.0.0.1", str(server.port), said="LOGIN bob\nQUIT\n")
    assert said == "220 ready\n250 hello bob\n250 you are 127.0.0.1\n221 bye\n"


def test_socat_over_a_unix_socket(mock, tmp_path):
    path = tmp_path / "mock.sock"
    mock(GREETER, "--endpoint", f"unix:{path}")
    said = run("socat", "-t20", "-", f"UNIX-CONNECT:{path}", said="LOGIN bob\nQUIT\n")
    assert said == "220 ready\n250 hello bob\n250 you are unix\n221 bye\n"


def test_curl_over_http(mock):
    server = mock(
        '[[rule]]\njson = {cmd = "add"}\nreply = "added {json.what}"\n',
        "--endpoint",
        "ws:0",
    )
    port = server.out.expect(r"ws:0 listens on IPv4Address\(.*port=(\d+)\)")[1]
    line = '{"cmd": "add", "what": "a cup"}'
    assert run("curl", "-sS", "--data", line, f"http://127.0.0.1:{port}/line") == "added a cup\n"


def test_redis_cli(mock):
    server = mock(REDIS)
    command = ["redis-cli", "-p", str(server.port)]
    assert run(*command, "PING") == "PONG\n"
    assert run(*command, "GET", "colour") == "blue\n"
    assert run(*command, "GET", "shape") == "\n"
    assert "this is a mock" in run(*command, "SET")


def test_a_bad_script_is_one_line(twistd, tmp_path):
    (tmp_path / "bad.toml").write_text('[[rule]]\nexact = "a"\nreplay = "b"\n')
    program = twistd("--port", "0", "--protocol", "mock:bad.toml")
    assert program.wait() == 1
    told = program.err.whole().strip().splitlines()
    assert len(told) == 1
    assert "bad.toml:3: rule 1: " in told[0]


# In a test's own process.


def talk(server, *lines):
    """Say some lines from another thread, as a client that blocks; fires with all replies."""
    said = "".join(f"{line}\n" for line in lines).encode()
    return deferToThread(lambda: ask(server.port, said).decode().splitlines())


PING = """
[[rule]]
name = "ping"
exact = "PING"
reply = "PONG"
expect = 2
"""


@pytest_twisted.ensureDeferred
async def test_a_mock_for_a_block():
    async with mocking(PING) as server:
        assert await talk(server, "PING", "PING") == ["PONG", "PONG"]
        assert server.report().hits == {"ping": 2}
    with pytest.raises(ConnectionRefusedError):
        Client(server.port)


@pytest_twisted.ensureDeferred
async def test_what_was_not_expected_fails_the_test():
    with pytest.raises(AssertionError) as caught:
        async with mocking(PING) as server:
            await talk(server, "PING", "PUNG")
    lines = str(caught.value).splitlines()
    assert lines[:2] == [
        "not as the script expects:",
        "rule 'ping' (script:2) was hit 1 time, expected 2",
    ]
    assert lines[2].startswith("no rule is for 'PUNG', said once by 127.0.0.1:")


@pytest_twisted.ensureDeferred
async def test_another_failure_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        async with mocking(PING):
            raise ZeroDivisionError


@pytest_twisted.ensureDeferred
async def test_another_failure_is_told_what_was_not_expected():
    with pytest.raises(ZeroDivisionError) as caught:
        async with mocking(PING):
            raise ZeroDivisionError
    [note] = caught.value.__notes__
    assert note.startswith("the mock at 127.0.0.1:")
    assert note.endswith("rule 'ping' (script:2) was hit 0 times, expected 2")


@pytest_twisted.ensureDeferred
async def test_what_was_said_last_counts():
    """Also when nobody waits for an answer."""
    async with mocking(PING) as server:
        await deferToThread(say_and_go, server, b"PING\nPING\n")


def say_and_go(server, data):
    """A client that hears nothing, and is gone when this returns."""
    with Client(server.port) as client:
        client.say(data)


@pytest_twisted.ensureDeferred
async def test_without_async_the_end_is_for_the_reactor():
    with mocking(PING) as server:
        await talk(server, "PING", "PING")
    await server.stop()


@pytest_twisted.ensureDeferred
async def test_conversations_that_go_on_are_dropped():
    async with mocking('greeting = "hi"\n[[push]]\nline = "x"\nevery = 0.01\n') as server:
        client = await deferToThread(Client, server.port)
        assert await deferToThread(client.line) == b"hi\n"
    with client:
        assert await deferToThread(ends, client)


def ends(client):
    """Whether the connection ends, one way or the other."""
    client.reset()
    return True


@pytest.mark.parametrize("endpoint", ["unix:{}", "udp:0", "ws:0"])
@pytest_twisted.ensureDeferred
async def test_other_transports(endpoint, tmp_path):
    path = tmp_path / "s"
    async with mocking(PING, endpoint.format(path)) as server:
        if endpoint == "udp:0":
            told = await deferToThread(datagrams, server.port, b"PING\n", b"PING\n")
        elif endpoint == "ws:0":
            url = f"http://127.0.0.1:{server.port}/line"
            told = await deferToThread(run, "curl", "-sS", "--data", "PING\nPING", url)
        else:
            assert (server.host, server.port) == (str(path), 0)
            told = (await deferToThread(ask, str(path), b"PING\nPING\n")).decode()
        assert told == "PONG\nPONG\n"


def datagrams(port, *each):
    """Send datagrams, one after another; returns what is answered."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect(("127.0.0.1", port))
        told = b""
        for data in each:
            client.send(data)
            told += client.recv(1024)
    return told.decode()


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_taken():
    async with mocking(Script()) as server:
        with pytest.raises(ListenError, match="cannot listen on tcp:"):
            MockServer(Script(), f"tcp:{server.port}")


@pytest_twisted.ensureDeferred
async def test_the_fixture(mock_server, tmp_path):
    path = tmp_path / "ping.toml"
    path.write_text(PING)
    server = mock_server(path)
    assert await talk(server, "PING", "PING") == ["PONG", "PONG"]
    server.reset()
    assert await talk(server, "PING", "PING") == ["PONG", "PONG"]


@pytest_twisted.ensureDeferred
async def test_faults_and_scripts_come_and_go(tmp_path):
    (tmp_path / "pong.toml").write_text(PING.replace("PONG", "PING"))
    async with mocking(PING, folder=tmp_path) as server:
        server.inject(do="duplicate", exact="PING")
        assert await talk(server, "PING") == ["PONG", "PONG"]
        with pytest.raises(ScriptError, match='not "duplicat"'):
            server.inject(do="duplicat")
        assert (server.remove("duplicate"), server.remove("duplicate")) == (True, False)
        server.load("pong.toml")
        assert await talk(server, "PING") == ["PING"]


# For tests that block.


def test_a_process_for_a_block():
    with mock_process(PING) as server:
        assert ask(server.port, b"PING\nPING\n") == b"PONG\nPONG\n"
        assert server.report().hits == {"ping": 2}
        server.reset()
        server.reset()
        assert server.report().hits == {"ping": 0}
        say_and_go(server, b"PING\nPING\n")
    assert server.report().hits == {"ping": 2}
    with pytest.raises(ConnectionRefusedError):
        Client(server.port)
    with pytest.raises(SockError, match="stopped"):
        server.reset()


def test_what_was_said_counts_however_much_it_is():
    lines = 20_000
    with mock_process(f'[[rule]]\nprefix = "PING"\nexpect = {lines}\n') as server:
        say_and_go(server, (b"PING".ljust(99, b".") + b"\n") * lines)  # 2 MB


def test_a_process_tells_what_was_not_expected(tmp_path):
    path = str(tmp_path / "s")
    rule = Rule("a", 3, Match(exact="a"), (("b",),), expect=Expect(2, 2))
    server = mock_process(Script("a.toml", rules=(rule,)), f"unix:{path}")
    with pytest.raises(AssertionError) as caught, server:  # noqa: PT012
        assert server.address == path
        assert ask(path, b"c\na\n") == b"b\n"
    assert server.report().unmatched == [Unmatched("c", "unix")]
    assert str(caught.value).splitlines()[1:] == [
        "rule 'a' (a.toml:3) was hit 1 time, expected 2",
        "no rule is for 'c', said once by unix",
    ]


def test_faults_and_scripts_come_and_go_in_a_process(tmp_path):
    path = tmp_path / "a=b.toml"  # a path, whatever is in it
    path.write_text(PING)
    with mock_process(path) as server:
        assert server.address == (server.host, server.port)
        server.inject(Fault("twice", 0, "duplicate"))
        assert ask(server.port, b"PING\n") == b"PONG\nPONG\n"
        assert server.report().fired == {"twice": 1}
        assert (server.remove("twice"), server.remove("twice")) == (True, False)
        with pytest.raises(ScriptError, match="replay"):
            server.load("[[rule]]\nreplay = 1\n")
        server.load(PING.replace("PONG", "PING"))
        assert ask(server.port, b"PING\n") == b"PING\n"


def test_a_process_has_a_policy_and_limits():
    policy, limits = LinePolicy(max_line=10), Limits(max_connections=1)
    server = mock_process("strict = false\n", policy=policy, limits=limits)
    with server, Client(server.port) as client:
        assert client.ask(b"x" * 20 + b"\n").startswith(b"ERR too-long")
        assert ask(server.port, b"").startswith(b"ERR busy")


def test_a_process_that_ends_by_itself():
    server = mock_process(PING)
    with pytest.raises(ZeroDivisionError) as caught, server:  # noqa: PT012
        os.kill(server.pid, signal.SIGKILL)
        raise ZeroDivisionError
    [note] = caught.value.__notes__
    assert note.endswith(": the mock's process has ended by itself, with -9")
    with pytest.raises(SockError, match="ended by itself"):
        server.check()


#: Begins a process, and leaves it with a child that keeps its input open; says who is who.
STARTER = """
import os, time
from twisted_sock.testing import mock_process
mock = mock_process("strict = false")
child = os.fork()
if child:
    print(mock.pid, child, "are there", flush=True)
time.sleep(60)
"""


def test_a_process_ends_with_its_test(run):
    """However that ends, and whoever still has the pipe."""
    test = run([sys.executable, "-c", STARTER], env={"PYTHONPATH": str(ROOT)})
    mock, child = map(int, test.out.expect(r"(\d+) (\d+) are there").groups())
    test.tell(signal.SIGKILL)
    try:
        wait_until_gone(mock)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_that_cannot_begin():
    with pytest.raises(ScriptError, match="replay"):
        mock_process("[[rule]]\nreplay = 1\n")
    with pytest.raises(SettingError, match="certificate"):
        mock_process(PING, "tls:0")
    with mock_process(Script()) as server, pytest.raises(ListenError, match="cannot listen on"):
        mock_process(Script(), f"tcp:{server.port}")


TRIAL = """
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted_sock.testing import mock_server
from tests.end_to_end.programs import ask

class Case(TestCase):
    async def test_good(self):
        async with mock_server('[[rule]]\\nexact = "a"\\nreply = "b"\\nexpect = 1') as server:
            self.assertEqual(await deferToThread(ask, server.port, b"a\\n"), b"b\\n")

    async def test_bad(self):
        async with mock_server('[[rule]]\\nexact = "a"\\nreply = "b"\\nexpect = 1'):
            pass

    def test_deferred(self):
        server = mock_server('[[rule]]\\nexact = "a"\\nreply = "b"')
        self.addCleanup(server.stop)
        d = deferToThread(ask, server.port, b"a\\nc\\n")
        return d.addCallback(lambda told: self.assertRaises(AssertionError, server.check))
"""


def test_trial(run_python, tmp_path):
    (tmp_path / "test_case.py").write_text(TRIAL)
    done = run_python("-m", "twisted.trial", "test_case")
    assert "rule 'rule 1' (script:1) was hit 0 times, expected 1" in done.stdout
    assert "FAILED (failures=1, successes=2)" in done.stdout, done.stdout


@pytest.fixture
def run_python(tmp_path):
    """Run Python in the test's folder to its end."""
    from .programs import python

    return lambda *arguments: python(*arguments, cwd=tmp_path)
