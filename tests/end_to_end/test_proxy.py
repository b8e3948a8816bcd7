"""A real proxy before real servers, and what it has recorded played back by a real mock."""

import signal
import subprocess
import time
from contextlib import suppress

import pytest

from tests.certificates import authority
from tests.certificates import server as certificate
from twisted_sock.script.reading import read

from .programs import HOST, PATIENCE, Client, ask, meanwhile, require, require_module, script

SESSION = """\
SET a 1
GET a
INCR a
INCR a
LPUSH l x y z
LRANGE l 0 -1
HSET h f {v} g 世界
HGETALL h
GET none
NOSUCH
"""

SECRET = "hunter2"


@pytest.fixture
def redis(run, tmp_path):
    """A redis-server of our own; the path of its socket."""
    require("redis-cli")
    socket = tmp_path / "redis"
    command = [require("redis-server"), "--port", "0", "--unixsocket", str(socket)]
    server = run([*command, "--save", "", "--requirepass", SECRET])
    server.out.expect("eady to accept connections")
    return socket


def cli(port, *arguments, said=""):
    """What redis-cli prints; what it does not learn from our server, it may not know."""
    done = subprocess.run(
        ["redis-cli", "-h", HOST, "-p", str(port), "--no-auth-warning", *arguments],
        input=said,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


def use(port):
    """Use a server in every way; returns all that it says."""
    inline = f"AUTH {SECRET}\r\nSET b 2\r\nGET b\r\nQUIT\r\n".encode()
    with Client(port) as client:
        client.say(inline)
        by_hand = client.rest()
    return [
        cli(port, "-a", SECRET, said=SESSION),
        cli(port, "-a", SECRET, "INCR", "a"),
        cli(port, "-a", SECRET, "INCR", "a"),
        cli(port, "INCR", "a"),
        by_hand,
    ]


def test_redis_recorded_and_played_back(redis, serve, tmp_path):
    require_module("regex")
    said = tmp_path / "said.toml"
    proxy = serve("--protocol", f"proxy:unix:{redis}:record={said}:mask={SECRET}")
    heard = use(proxy.port)
    assert heard[0].startswith("OK\n1\n2\n3\n3\nz\ny\nx\n2\nf\n{v}\ng\n世界\n\nERR unknown")
    assert heard[1:] == ["4\n", "5\n", heard[3], b"+OK\r\n+OK\r\n$1\r\n2\r\n+OK\r\n"]
    proxy.stop()
    assert SECRET not in said.read_text()
    mock = serve("--protocol", f"mock:{said}")
    assert use(mock.port) == heard


def test_ten_thousand_exchanges(serve, plug, tmp_path):
    """Also over TCP, and with nobody waiting for answers, a recording replays exact."""
    plug("upper", "n = [0]\ndef answer(line):\n n[0] += 1\n return [f'{n[0]}', line.upper()]")
    server = serve("--protocol", "upper.answer")
    proxy = serve("--protocol", f"proxy:{HOST}:{server.port}:record=said.toml:timing=no")
    question = b"".join(b"line %d\n" % (number % 3000) for number in range(10_000))
    heard = ask(proxy.port, question)
    assert heard.count(b"\n") == 20_000
    proxy.stop()
    mock = serve("--protocol", "mock:said.toml")
    assert ask(mock.port, question) == heard


def test_nothing_is_lost_between_slow_ends(serve, plug):
    plug("long", "def answer(line):\n return line * 50")
    server = serve("--protocol", "long.answer")
    proxy = serve("--protocol", f"proxy:{server.port}", "--high-water", "100k")
    lines = [b"%06d-" % number for number in range(20_000)]
    with Client(proxy.port) as client:
        say = lambda: (client.say(b"\n".join(lines) + b"\n"), client.end())  # noqa: E731
        with meanwhile(say):
            time.sleep(0.2)  # not read for a while, so that everything is full
            heard = client.rest()
    assert heard == b"".join(line * 50 + b"\n" for line in lines)


def test_over_websocket(serve):
    require_module("websockets")
    server = serve("--protocol", "echo", port="ws:0")
    proxy = serve("--protocol", f"proxy:ws://{HOST}:{server.port}/")
    with Client(proxy.port) as client:
        assert client.ask("你好\n".encode()) == "你好\n".encode()
    assert ask(proxy.port, b"a\nb\n") == b"a\nb\n"


def test_over_tls(serve, tmp_path):
    require_module("OpenSSL")
    roots = tmp_path / "roots"
    roots.mkdir()
    issuer = authority()
    (roots / "ca.pem").write_bytes(issuer.pem)
    served = certificate(issuer, "localhost").write(tmp_path / "server.pem")
    server = serve("--protocol", "echo", port=f"tls:0:certificate={served}")
    to = f"tls:localhost:{server.port}:trustRoots\\={roots}:bindAddress\\={HOST}"
    proxy = serve("--protocol", f"proxy:{to}")
    with Client(proxy.port) as client:
        assert client.ask("你好\n".encode()) == "你好\n".encode()


def test_nobody_listens(serve, tmp_path):
    proxy = serve("--protocol", f"proxy:unix:{tmp_path}/nobody")
    assert ask(proxy.port, b"hello\n") == (
        b"ERR upstream cannot connect: No such file or directory\n"
    )
    proxy.out.expect("ERR upstream cannot connect: No such file or directory")


def test_the_server_is_killed(serve):
    server = serve("--protocol", "echo")
    proxy = serve("--protocol", f"proxy:{server.port}")
    with Client(proxy.port) as client:
        assert client.ask(b"hello\n") == b"hello\n"
        server.tell(signal.SIGKILL)
        with suppress(ConnectionResetError):
            assert client.rest() == b""


def test_a_killed_proxy_has_kept_what_was_said(serve, tmp_path):
    said = tmp_path / "said.toml"
    server = serve("--protocol", "echo")
    proxy = serve("--protocol", f"proxy:{server.port}:record={said}")
    with Client(proxy.port) as client:
        assert client.ask(b"hello\n") == b"hello\n"
        deadline = time.monotonic() + PATIENCE
        while not said.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        proxy.tell(signal.SIGKILL)
        proxy.wait()
    assert [rule.match.exact for rule in read(str(said)).rules] == ["hello"]


def test_a_full_disk(run, serve, tmp_path):
    """It is told once, in one line, and the conversations go on."""
    server = serve("--protocol", "echo")
    twistd = " ".join(script("twistd"))
    plug = f"proxy:{server.port}:record=said.toml"
    limited = f"ulimit -f 1; exec {twistd} -n --pidfile= sockservice -p 0 --protocol {plug}"
    proxy = run(["bash", "-c", limited], kind=type(server))
    proxy.wait_until_it_listens()
    question = b"".join(b"line %d\n" % number for number in range(1000))
    assert ask(proxy.port, question) == question
    assert ask(proxy.port, question) == question
    proxy.stop()
    proxy.out.expect("said.toml cannot be written: File too large; it is tried again")
    assert proxy.out.text.count("cannot be written") == 1
    assert not (tmp_path / "said.toml").exists()
    assert list(tmp_path.glob(".said*")) == []


def test_faults(serve, tmp_path):
    (tmp_path / "faults.toml").write_text('[[fault]]\ndo = "reset"\nexact = "boom"\n')
    server = serve("--protocol", "echo")
    proxy = serve("--protocol", f"proxy:{server.port}:script=faults.toml")
    with Client(proxy.port) as client:
        assert client.ask(b"hello\n") == b"hello\n"
        client.say(b"boom\n")
        assert client.reset()
    assert ask(proxy.port, b"again\n") == b"again\n"


def test_a_person_answers_for_the_server(serve, plug, tmp_path):
    """And the server hears nothing of it."""
    plug("counting", "n = [0]\ndef answer(line):\n n[0] += 1\n return f'{n[0]} {line}'")
    server = serve("--protocol", "counting.answer")
    op = tmp_path / "op"
    proxy = serve("--protocol", f"proxy:{server.port}", "--operator", f"unix:{op}")

    def do(command):
        """The lines of the answer to a command, without what they are for."""
        person.say(f"{command}\n".encode())
        lines = [person.line()]
        while not lines[-1].startswith((b"OK", b"ERR")):
            lines.append(person.line())
        return lines

    with Client(str(op)) as person, Client(proxy.port) as client:
        assert client.ask(b"a\n") == b"1 a\n"
        assert b'"in":1,"out":1' in do("list")[0]
        assert do("hold 1 60")[-1] == b"OK\n"
        client.say(b"b\n")
        deadline = time.monotonic() + PATIENCE
        while b'"waiting":[]' in do("list")[0]:
            assert time.monotonic() < deadline
        assert do("answer 1 by hand")[-1] == b"OK\n"
        assert client.line() == b"by hand\n"
        assert do("release 1")[-1] == b"OK\n"
        assert client.ask(b"c\n") == b"2 c\n"
