"""Stepping into real services: from a terminal, from a pipe, over HTTP, and by walking away."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from contextlib import closing
from http.client import HTTPConnection

import pytest

from twisted_sock.script.reading import read

from .programs import HOST, Client, require_module, script

EDITOR = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": "100", "LINES": "24"}
TOKEN = "0123456789abcdef"
BEARER = f"Bearer {TOKEN}"

SCRIPT = """\
greeting = "220 ready"
[[rule]]
name = "hello"
exact = "hello"
reply = "hi"
expect = 1
[[rule]]
prefix = "say "
reply = "said"
"""


@pytest.fixture
def cli(run, tmp_path, monkeypatch):
    """Run `twisted-sock` with some input: `cli("attach", where, input=b"...")`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def start(*arguments, input=None, **more):
        command = [*script("twisted-sock"), *map(str, arguments)]
        if input is None:
            return run(command, **more)
        reading, writing = os.pipe()
        os.write(writing, input)
        os.close(writing)
        try:
            return run(command, stdin=reading, **more)
        finally:
            os.close(reading)

    return start


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def mock(serve, tmp_path):
    """A mock with operators at the endpoint `where`."""

    def start(*options):
        (tmp_path / "script.toml").write_text(SCRIPT)
        return serve("--protocol", "mock:script.toml", *options)

    return start


@pytest.fixture
def where(tmp_path):
    return f"unix:{tmp_path}/op"


class Operator(Client):
    """An operator with a bare socket."""

    def do(self, command):
        """Say a command; returns its data, its last line, and the events before."""
        self.say(f"{command}\n".encode())
        data, events = [], []
        while True:
            line = self.line().decode().rstrip("\n")
            if line.startswith("EVENT "):
                events.append(json.loads(line[6:]))
            elif line.startswith("{"):
                data.append(json.loads(line))
            else:
                return data, line, events

    def event(self):
        return json.loads(self.line()[6:])


def person(cli, terminal, *arguments):
    require_module("prompt_toolkit")
    program = cli("attach", *arguments, terminal=terminal, env=EDITOR)
    terminal.screen.expect(r"\x1b\[\?2004h")
    return program


def test_a_person_at_a_terminal(mock, where, cli, terminal, tmp_path):
    server = mock("--operator", where)
    assert (tmp_path / "op").stat().st_mode & 0o777 == 0o600
    program = person(cli, terminal, where)
    sees, type = terminal.screen.expect, terminal.type
    with Client(server.port) as peer, Client(server.port) as other:
        assert peer.line() == other.line() == b"220 ready\n"
        sees(r"\[1\] \* connected from 127\.0\.0\.1:\d+")
        sees(r"\[1\] > 220 ready")
        sees(r"\[2\] \* connected")
        assert peer.ask(b"hello\n") == b"hi\n"
        sees(r"\[1\] < hello\r\n")
        sees(r"\[1\] > hi\r\n")
        type("/hold 1 60\r")
        sees(r"\[1\] \* held: each line waits 60 s")
        peer.say("who is 世界?\x1b[2J\n".encode())
        sees(r"\[1\] < who is 世界\?\\x1b\[2J\r\n")
        sees(r"\[1\] \* line 2 waits 60 s")
        sees(r"\[1\] who is 世界\?\\x1b\[2J >")
        assert other.ask(b"hello\n") == b"hi\n"  # nobody else has to wait
        sees(r"\[2\] > hi")
        type("a person\r")
        assert peer.line() == b"a person\n"
        sees(r"\[1\] >> a person")
        type("/\r")
        sees(r"\* behind / goes a command")
        type("/all closing soon\r")
        assert peer.line() == other.line() == b"closing soon\n"
        type("/list\r")
        sees(r"\[1\] 127\.0\.0\.1:\d+ held, 2 in, 4 out\r\n")
        type("/release 1\r")
        sees(r"\[1\] \* released")
        assert peer.ask(b"say x\n") == b"said\n"
        type("/save learnt.toml\r")
        sees(r"file: learnt\.toml  rules: 1")
        type("/close 2\r")
        assert other.rest() == b""
        other.socket.close()
        sees(r"\[2\] \* ended: closed")
        type("/nonsense\r")
        sees(r"no-command: there is no such command")
        sees(r"\x1b\[\?2004h")
        type("\x04")
        assert program.wait() == 0
    [rule] = read(str(tmp_path / "learnt.toml")).rules
    assert rule.match.exact == "who is 世界?\x1b[2J"
    assert rule.replies == (("a person", "closing soon"),)


def typed_for_the_first(server, where, cli, terminal, answered):
    """Let a person type an answer, and somebody else be faster.

    Args:
        answered: lets the first line be answered; given an operator.
    """
    program = person(cli, terminal, where)
    sees, type = terminal.screen.expect, terminal.type
    with Client(server.port) as peer, Operator(where.removeprefix("unix:")) as other:
        sees(r"\[1\] \* connected")
        type("/hold 1 600\r")
        sees(r"\* held")
        peer.say(b"first\n")
        sees(r"\[1\] first >")
        type("Ω")
        sees("Ω")
        answered(other)
        assert peer.line() in (b"FIRST\n", b"theirs\n")
        sees(r"\[1\] waits no more: first > Ω")
        assert other.do("hold 1 600")[1] == "OK"
        peer.say(b"second\n")
        sees(r"\[1\] \* line 2 waits 600 s")
        type(" for the first\r")
        sees(r"\* that line of \[1\] waits no more: not sent")
        sees(r"\[1\] second > Ω for the first")
        waiting = other.do("list")[0][0]["waiting"]
        assert [(each["line"], each["text"]) for each in waiting] == [(2, "second")]
        type(", and sent\r")
        assert peer.line().decode() == "Ω for the first, and sent\n"
        type("\x04")
        assert program.wait() == 0


def test_the_script_answers_while_a_person_types(serve, where, cli, terminal):
    server = serve("--protocol", "str.upper", "--operator", where)
    typed_for_the_first(server, where, cli, terminal, lambda other: other.do("release 1"))


def test_another_operator_answers_while_a_person_types(serve, where, cli, terminal):
    server = serve("--protocol", "str.upper", "--operator", where)
    typed_for_the_first(server, where, cli, terminal, lambda other: other.do("answer 1 theirs"))


def test_a_person_without_a_line_editor(serve, where, cli, terminal):
    server = serve("--protocol", "str.upper", "--operator", where)
    program = cli("attach", where, terminal=terminal, env={"TERM": "dumb"})
    sees, type = terminal.screen.expect, terminal.type
    sees("attached to")
    with Client(server.port) as peer, Operator(where.removeprefix("unix:")) as other:
        sees(r"\[1\] \* connected")
        assert other.do("hold 1 600")[1] == "OK"
        peer.say(b"first\n")
        sees(r"\n\[1\] first > \r\n")
        assert other.do("answer 1 theirs")[1] == "OK"
        assert peer.line() == b"theirs\n"
        sees(r"\[1\] waits no more: first > \r\n")
        peer.say(b"second\n")
        sees(r"\[1\] \* line 2 waits 600 s")
        type("for the first\n")
        sees(r"\* that line of \[1\] waits no more: not sent: for the first\r\n")
        type("for the second\n")
        assert peer.line() == b"for the second\n"
        type("\x04")
        assert program.wait() == 0


def test_a_person_who_is_killed_blocks_nobody(serve, where, cli, terminal):
    server = serve("--protocol", "str.upper", "--operator", where)
    program = person(cli, terminal, where)
    with Client(server.port) as peer:
        assert peer.ask(b"a\n") == b"A\n"
        terminal.type("/hold 1 3600\r")
        terminal.screen.expect(r"\* held")
        peer.say(b"b\n")
        terminal.screen.expect(r"\* line 2 waits 3600 s")
        program.tell(signal.SIGKILL)
        assert peer.line() == b"B\n"
        assert peer.ask(b"c\n") == b"C\n"


def test_the_service_goes_away(serve, where, cli, terminal):
    server = serve("--operator", where)
    program = person(cli, terminal, where)
    server.stop()
    terminal.screen.expect(r"twisted-sock attach: the server is stopping\r\n")
    assert program.wait() == 4


def test_from_a_pipe(serve, where, cli):
    server = serve("--operator", where)
    with Client(server.port) as peer:
        assert peer.ask(b"a\n") == b"a\n"
        asked = cli("attach", where, input=b"history 1\nsay 1 news\nhits\nlist\n")
        out = asked.out.whole().splitlines()
        assert asked.wait() == 1
        assert peer.line() == b"news\n"
    assert [json.loads(line)["text"] for line in out[:2]] == ["a", "a"]
    assert out[2:6] == [
        "OK",
        '{"id":1,"answered":false}',
        "OK",
        "ERR no-script this protocol plays no script",
    ]
    assert out[-1] == "OK"
    asked = cli("attach", where, input=b" list\nlist\n")
    assert asked.wait() == 1
    first, *_, last = asked.out.whole().splitlines()
    assert (first.split(" ")[:2], last) == (["ERR", "no-command"], "OK")
    asked = cli("verify", where)
    assert asked.wait() == 2
    assert asked.err.whole() == "twisted-sock verify: this protocol plays no script\n"


def test_nobody_there(cli, where):
    asked = cli("attach", where, input=b"list\n")
    assert asked.wait() == 3
    assert asked.err.whole().startswith("twisted-sock attach: cannot connect to unix:")


def test_verify(mock, where, cli):
    server = mock("--operator", where)
    with Client(server.port) as peer:
        peer.line()
        peer.say("w\x1b[2J世?\n".encode())
        assert peer.ask(b"say x\n") == b"said\n"
        bad = cli("verify", where, "--reset")
        assert bad.wait() == 1
        said = bad.out.whole()
        assert said.startswith(
            "NOT as expected:\n  - rule 'hello' (script.toml:2) was hit 0 times"
        )
        assert r'1 x "w\u001b[2J世?", first by 127.0.0.1:' in said
        assert peer.ask(b"hello\n") == b"hi\n"
        good = cli("verify", where)
        assert good.wait() == 0
        assert good.out.whole() == "as expected\nhits:\n  1 x hello\n  0 x rule 2\n"


def test_control_while_running(mock, where, tmp_path):
    server = mock("--operator", where)
    (tmp_path / "other.toml").write_text('[[rule]]\nexact = "hello"\nreply = "other"\n')
    with Operator(where.removeprefix("unix:")) as op, Client(server.port) as peer:
        peer.line()
        assert op.do('fault {do = "drop", nth = 1, name = "mine"}')[1] == "OK"
        peer.say(b"hello\n")
        assert peer.ask(b"hello\n") == b"hi\n"
        assert {"name": "mine", "fired": 1} in op.do("faults")[0]
        assert op.do("unfault mine")[1] == "OK"
        assert op.do("hits")[0][0] == {"rule": "hello", "hits": 2}
        assert op.do("reset")[1] == "OK"
        assert op.do("hits")[0][0] == {"rule": "hello", "hits": 0}
        assert op.do("load other.toml")[1] == "OK"
        assert peer.ask(b"hello\n") == b"other\n"
        assert op.do("load missing.toml")[1].startswith("ERR script ")
        assert op.do("hold 1 60")[1] == "OK"
        assert op.do("watch 1")[1] == "OK"
        peer.say(b"question\n")
        assert [op.event()["event"] for _ in range(2)] == ["line", "waiting"]
        assert op.do("answer 1.4 by hand")[0] == [{"id": 1, "answered": True, "line": 4}]
        assert peer.line() == b"by hand\n"


def test_with_a_token(serve, cli, token):
    port = serve("--operator", "tcp:0", "--operator-token", str(token)).port  # the first
    with Operator(port) as op:
        assert op.do("list")[1].startswith("ERR token ")
        assert op.do(f"token {TOKEN}x")[1] == "ERR denied the token is wrong"
        assert op.do(f"token {TOKEN}")[1] == "OK"
        assert op.do("list") == ([], "OK", [])
    token.write_text("x" * 16)
    bad = cli("attach", "--token-file", token, port, input=b"list\n")
    assert bad.wait() == 2
    assert bad.err.whole() == "twisted-sock attach: the token is wrong\n"


def http(port, method, path, token=TOKEN, body=None):
    """Ask over HTTP; returns the status and the document."""
    request = urllib.request.Request(f"http://{HOST}:{port}/operator/{path}", method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def head(port, method, path):
    """The status, the body and the field `Allow` that a method is answered."""
    with closing(HTTPConnection(HOST, port, timeout=20)) as connection:
        connection.request(method, f"/operator/{path}", headers={"Authorization": BEARER})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Allow")


def test_a_body_that_waits_to_be_asked_for(mock, token):
    """As curl does with long bodies (RFC 9110 section 10.1.1)."""
    port = mock("--operator", "ws:0", "--operator-token", str(token)).port
    body = b'{"id": "all", "text": "x"}'
    for size, first in ((len(body), b"HTTP/1.1 100 "), (70_000, b"HTTP/1.1 413 ")):
        with Client(port) as client:
            client.say(
                f"POST /operator/say HTTP/1.1\r\nHost: {HOST}:{port}\r\n"
                f"Authorization: {BEARER}\r\nExpect: 100-continue\r\n"
                f"Content-Length: {size}\r\n\r\n".encode()
            )
            assert client.line().startswith(first)
            if size == len(body):
                assert client.line() == b"\r\n"
                client.say(body)
                assert client.line() == b"HTTP/1.1 200 OK\r\n"


def test_over_http_as_json_and_websocket(mock, token, cli):
    require_module("websockets")
    server = mock("--operator", "ws:0", "--operator-token", str(token))
    port = server.port  # operators come first
    asked = cli("attach", "--token-file", token, f"ws://{HOST}:{port}", input=b"list\n")
    with Client(int(server.out.expect(r"listens on IPv4Address\(.*port=(\d+)\)")[1])) as peer:
        peer.line()
        peer.ask(b"hello\n")
        status, told = http(port, "GET", "list")
        assert (status, told["ok"], told["data"][0]["in"]) == (200, True, 1)
        assert http(port, "GET", "hits")[1]["data"][0] == {"rule": "hello", "hits": 1}
        fault = {"do": "drop", "nth": 2, "name": "mine"}
        assert http(port, "POST", "fault", body={"table": fault})[0] == 200
        assert http(port, "POST", "say", body={"id": 1, "text": "世界 "})[0] == 200
        assert peer.line().decode() == "世界 \n"
        assert http(port, "POST", "history", body={"id": 1})[1]["data"][-1]["by"] == "operator"
        assert http(port, "POST", "reset")[1] == {"ok": True, "data": []}
        for method, path, body, expected in (
            ("GET", "nonsense", None, 404),
            ("GET", "reset", None, 405),
            ("POST", "fault", {"table": {"do": "drop", "name": "\ud800"}}, 400),
            ("POST", "answer", {"id": 1, "line": 2, "text": "x"}, 400),
            ("POST", "say", {"id": 9, "text": "x"}, 404),
            ("POST", "say", {"id": 1}, 400),
            ("POST", "say", b"[1]", 400),
            ("POST", "say", b"{", 400),
            ("POST", "say", b"[" * 60_000, 400),
            ("POST", "say", b"x" * 70_000, 413),
        ):
            status, told = http(port, method, path, body=body)
            assert (status, told["ok"]) == (expected, False), (method, path, body)
        assert head(port, "HEAD", "list") == (200, b"", None)
        assert head(port, "HEAD", "nonsense") == (404, b"", None)
        assert head(port, "HEAD", "reset") == (405, b"", "POST")
        assert head(port, "PUT", "list")[::2] == (405, "GET, HEAD, POST")
        for wrong in ("", "wrong", "世".encode().decode("latin-1")):
            assert http(port, "GET", "list", token=wrong)[0] == 401
        line = urllib.request.Request(
            f"http://{HOST}:{port}/line", f"token {TOKEN}\nlist\n".encode()
        )
        with urllib.request.urlopen(line, timeout=20) as answer:
            assert answer.read().decode().split("\n")[-2:] == ["OK", ""]
    assert asked.wait() == 0
    assert asked.out.whole().endswith("OK\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--operator", "tcp:0"], "--operator tcp:0: others may connect here, too; give "),
        (["--operator", "unix:/nonexistent/op"], "/nonexistent/op"),
    ],
)
def test_mistakes_are_one_line(twistd, options, words):
    server = twistd("--port", "0", *options)
    assert server.wait() == 1
    assert words in server.err.whole()
    assert server.err.whole().count("\n") == 1


def test_a_watcher_that_stops_reading(serve, where):
    server = serve("--operator", where)
    with Operator(where.removeprefix("unix:")) as op, Client(server.port) as peer:
        assert op.do("watch")[1] == "OK"
        line = b"x" * 1000 + b"\n"
        answers = peer.socket.makefile("rb")
        for _ in range(30):
            peer.say(line * 50)
            assert answers.read(50 * len(line)) == line * 50
        missed = count = 0
        with op.socket.makefile("rb") as events, answers:
            while count + missed < 3000:
                event = json.loads(events.readline()[6:])
                missed += event.get("missed", 0)
                count += event.get("event") == "line"
        assert missed > 0
