"""One script, played to a client of other people's on each transport."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import connect

from twisted_sock.testing import mock_process, write_certificate

from .programs import HOST, PATIENCE, require
from .test_outside import netcat, socat
from .test_websocket_peers import to_the_end

SCRIPT = """
greeting = "220 ready"
start = "new"

[[rule]]
name = "login"
when = "new"
regex = 'LOGIN (?P<user>\\w+)'
reply = "250 hello {user} of {client}"
then = "in"
push = [{line = "* {user} has mail"}]
expect = 1

[[rule]]
name = "early"
when = "new"
reply = "530 log in first"
expect = 1

[[rule]]
name = "slow"
exact = "SLOW"
reply = "250 that took a while"
delay = 0.1
expect = 1

[[rule]]
name = "who"
exact = "WHO"
reply = "250 you are {state}"
expect = 1

[[rule]]
name = "quit"
exact = "QUIT"
reply = "221 bye"
close = true
expect = 1
"""

#: All of it is said at once.
SAID = ["WHO", "LOGIN alice", "SLOW", "WHO", "QUIT"]

#: What is pushed comes while the slow reply is waited for.
HEARD = """\
220 ready
530 log in first
250 hello alice of {client}
* alice has mail
250 that took a while
250 you are in
221 bye
"""


@pytest.fixture(scope="module")
def mocks(tmp_path_factory):
    """One mock for each endpoint, from when it is needed first."""
    folder = tmp_path_factory.mktemp("mocks")
    write_certificate(folder / "server.pem")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # a UNIX socket's path is short

        def start(endpoint):
            mock = mock_process(SCRIPT, endpoint)
            stack.callback(mock.stop)
            return mock

        yield functools.cache(start)


@pytest.fixture
def server(mocks):
    """The mock at an endpoint, as if nothing had been said to it."""

    def there(endpoint):
        mock = mocks(endpoint)
        mock.reset()
        return mock

    return there


def text(lines):
    return "".join(f"{line}\n" for line in lines)


def piped(command):
    """Run a client that is told what to say, and ends when the mock closes."""
    done = subprocess.run(
        command, input=text(SAID), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


def openssl(where):
    """It believes nobody but the certificate, and knows the name it is for."""
    checks = ["-verify_return_error", "-CAfile", "server.pem", "-verify_hostname", "localhost"]
    return [require("openssl"), "s_client", "-quiet", *checks, "-connect", where]


#: Clients that talk through a pipe: on what endpoint, and how they are run.
PIPES = {
    "nc over TCP": ("tcp:0", lambda mock: netcat(mock.host, str(mock.port))),
    "openssl over TLS": (
        "tls:0:certificate=server.pem",
        lambda mock: openssl(f"{mock.host}:{mock.port}"),
    ),
    "nc over UNIX": ("unix:socket", lambda mock: netcat("-U", mock.address)),
    "socat over UNIX": ("unix:socket", lambda mock: socat(f"UNIX-CONNECT:{mock.address}")),
}


@pytest.mark.parametrize("client", PIPES)
def test_a_pipe(server, client):
    endpoint, command = PIPES[client]
    mock = server(endpoint)
    who = "unix" if endpoint == "unix:socket" else HOST
    assert piped(command(mock)) == HEARD.format(client=who)
    mock.check()


UDP = {
    "nc": lambda mock: [*netcat("-u"), mock.host, str(mock.port)],
    "socat": lambda mock: socat(f"UDP4:{mock.host}:{mock.port}"),
}


@pytest.mark.parametrize("client", UDP)
def test_udp(server, run, at_the_end, client):
    """Where nobody closes, so the client is ended when all was said."""
    mock = server("udp:0")
    reads, writes = os.pipe()
    at_the_end.callback(os.close, writes)
    at_the_end.callback(os.close, reads)
    program = run(UDP[client](mock), stdin=reads)
    os.write(writes, text(SAID).encode())
    program.out.expect("221 bye\n")
    assert program.out.text == HEARD.format(client=HOST)
    mock.check()


def test_websockets(server):
    mock = server("ws:0")
    with connect(f"ws://{mock.host}:{mock.port}/") as client:
        for line in SAID:
            client.send(line)
        heard = HEARD.format(client=HOST).splitlines()
        assert to_the_end(client) == (heard, 1000, "")
    mock.check()


def test_node(server, node, run):
    mock = server("ws:0")
    command, path = node
    peer = str(Path(__file__).with_name("mock_peer.js"))
    program = run([command, peer, f"ws://{mock.host}:{mock.port}/", *SAID], env=path)
    assert program.wait() == 0, program.err.whole()
    assert program.out.whole() == HEARD.format(client=HOST) + "closed with 1000\n"
    mock.check()


def test_curl(server):
    """One request is one conversation."""
    mock = server("ws:0")
    url = f"http://{mock.host}:{mock.port}/line"
    heard = piped([require("curl"), "-sS", "--fail", "--data-binary", "@-", url])
    assert heard == HEARD.format(client=HOST)
    mock.check()


HAPROXY = """
defaults
    mode tcp
    timeout connect 20s
    timeout client 20s
    timeout server 20s
listen mock
    bind fd@{fd}
    server mock {host}:{port} send-proxy-v2
"""


def test_haproxy(server, at_the_end):
    """The mock sees the client, and not HAProxy."""
    mock = server("tcp:0:proxy=loopback")
    with socket.create_server((HOST, 0)) as front:
        port = front.getsockname()[1]
        config = HAPROXY.format(fd=front.fileno(), host=mock.host, port=mock.port)
        Path("haproxy.cfg").write_text(config)
        command = [require("haproxy"), "-db", "-q", "-f", "haproxy.cfg"]
        process = subprocess.Popen(command, pass_fds=[front.fileno()])
    at_the_end.callback(process.wait, PATIENCE)
    at_the_end.callback(process.terminate)
    heard = piped(netcat("-s", "127.0.0.5", HOST, str(port)))
    assert heard == HEARD.format(client="127.0.0.5")
    mock.check()
