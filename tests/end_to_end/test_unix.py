"""UNIX sockets of real servers, killed, stopped, raced and used by others."""

import os
import re
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from .programs import Client, ask, python

WHO = """
import os
from twisted_sock import LineProtocol

class Who(LineProtocol):
    def connectionMade(self):
        who = self.peer.credentials
        return f"{who.pid} {who.uid} {who.gid}"

    def lineReceived(self, line):
        return line.upper()
"""

RACE = """
import os, socket, sys
from twisted_sock.errors import ListenError
from twisted_sock.transports.unix_socket import Access, listen

STARTERS = 6
path = sys.argv[1]

def starter(go, told, over):
    os.read(go, 1)
    try:
        listening, file = listen(path, Access(), 5)
    except ListenError as error:
        known = ("already", "about to listen")
        os.write(told, b"0" if any(words in str(error) for words in known) else b"?")
    else:
        os.write(told, b"1")
        os.read(over, 1)  # it serves until all are heard
    os._exit(0)

for _ in range(int(sys.argv[2])):
    with socket.socket(socket.AF_UNIX) as killed:
        if os.path.exists(path):
            os.unlink(path)
        killed.bind(path)
    (go, went), (heard, told), (over, ended) = os.pipe(), os.pipe(), os.pipe()
    starters = []
    for _ in range(STARTERS):
        pid = os.fork()
        if not pid:
            os.close(went), os.close(ended)
            starter(go, told, over)
        starters.append(pid)
    os.close(went)
    results = b""
    while len(results) < STARTERS:
        results += os.read(heard, STARTERS)
    print("".join(sorted(results.decode())))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)  # whoever has won is there
    os.close(ended)
    for pid in starters:
        os.waitpid(pid, 0)
    for fd in (go, heard, told, over):
        os.close(fd)
"""

#: Run by root, it is somebody else for a moment: says what it may do with a socket.
SOMEBODY = """
import os, socket, sys
from twisted_sock.errors import ListenError
from twisted_sock.transports.unix_socket import Access, listen

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as client:
    try:
        client.connect(sys.argv[1])
    except OSError as error:
        print(error.strerror)
for path, access in ((sys.argv[1], Access()), (sys.argv[2], Access(uid=0))):
    try:
        listen(path, access, 5)
    except ListenError as error:
        print(error)
"""


@pytest.fixture
def serve_at(twistd):
    """Run `twistd -n sockservice` at a path, and wait until it listens."""

    def start(path, *options, **more):
        server = twistd("--endpoint", f"unix:{path}", *options, **more)
        server.out.expect("listens on UNIXAddress")
        return server

    return start


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("sock"))


def refused(twistd, path):
    """Another server cannot start there, and says so in one line."""
    second = twistd("--endpoint", f"unix:{path}")
    assert second.wait() == 1
    assert re.fullmatch(
        r"sockservice: .*: another server listens there already\n", second.err.whole()
    )


def test_threat_25_a_life_at_a_path(serve_at, twistd, plug, tmp_path):
    path = str(tmp_path / "sock")
    plug("who", WHO)
    killed = serve_at(path)
    killed.tell(signal.SIGKILL)
    killed.wait()
    assert names(tmp_path) == ["sock"]

    server = serve_at(path, "--protocol", "who.Who")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    with Client(path) as client:
        who = f"{os.getpid()} {os.getuid()} {os.getgid()}\n"
        assert client.line() == who.encode()
        assert client.ask(b"hello\n") == b"HELLO\n"
        client.say(b"one\ntwo\n")
        client.end()  # half-close works behind the layer
        assert client.rest() == b"ONE\nTWO\n"

    refused(twistd, path)
    server.tell(signal.SIGSTOP)
    try:
        refused(twistd, path)
    finally:
        server.tell(signal.SIGCONT)
    assert ask(path, b"still here\n").endswith(b"\nSTILL HERE\n")

    server.stop()
    assert names(tmp_path) == []


def test_many_lines_through_the_layer(serve_at, tmp_path):
    """The fast transport is behind it: all of it comes back, also to one who ends first."""
    path = str(tmp_path / "sock")
    server = serve_at(path)
    lines = b"".join(b"%d\n" % number for number in range(100_000))
    assert ask(path, lines) == lines
    os.unlink(path)  # somebody cleans up; it stops all the same
    assert server.stop() == -signal.SIGTERM


def test_only_one_of_many_wins(tmp_path):
    """They find the same stale file at the same moment."""
    (tmp_path / "race.py").write_text(RACE)
    done = python("race.py", tmp_path / "sock", "40", cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.split() == ["000001"] * 40


def test_somebody_else(tmp_path):
    """Neither gets in, nor takes the socket away, nor gives one to root."""
    if os.getuid():
        pytest.skip("only root can be somebody else")
    (tmp_path / "somebody.py").write_text(SOMEBODY)
    folder = Path("/tmp") / f"twisted_sock-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o777)
    path = str(folder / "sock")
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            os.chmod(path, 0o660)
            listening.listen()
            done = python("somebody.py", path, folder / "other", cwd=tmp_path)
            connecting, taking, giving = done.stdout.splitlines()
            assert connecting == "Permission denied"
            assert "Permission denied: whether another server listens" in taking
            assert "its owner cannot be set: Operation not permitted" in giving
            assert os.listdir(folder) == ["sock"]
    finally:
        os.unlink(path)
        folder.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names")
def test_an_abstract_name(serve_at, twistd):
    name = f"@twisted_sock-{os.getpid()}"
    server = serve_at(name)
    assert ask(f"\0{name[1:]}", b"a\n") == b"a\n"
    refused(twistd, name)
    server.stop()


@pytest.mark.parametrize(
    ("string", "words"),
    [
        ("unix:/nowhere/at/all/sock", "there is no folder '/nowhere/at/all'"),
        (f"unix:/{'x' * 200}", "a socket's path has at most 107"),
        ("unix:sock:owner=nobody-of-that-name", "there is no user 'nobody-of-that-name'"),
        ("unix:sock:mode=999", "mode: "),
        ("unix:.", "is no socket"),
    ],
)
def test_what_is_wrong_is_one_line(twistd, string, words):
    server = twistd("--endpoint", string)
    assert server.wait() == 1
    said = server.err.whole()
    assert said.startswith("sockservice: ")
    assert words in said
    assert said.count("\n") == 1
