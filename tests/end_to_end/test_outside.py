"""Tools of other people as clients."""

import shutil
import subprocess

import pytest

from .programs import HOST, PATIENCE, require

#: 8,000,000 bytes of lines, no two alike.
MANY = b"".join(b"%07d\n" % number for number in range(1_000_000))


@pytest.fixture
def tell():
    """Run a client tool with some input; returns what it prints."""

    def run(command, data):
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=PATIENCE, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    return run


def netcat(*where):
    """OpenBSD's netcat, which ends its side at the end of its input when told `-N`."""
    name = "nc.openbsd" if shutil.which("nc.openbsd") else "nc"
    return [require(name), "-N", *where]


def ncat(*where):
    return [require("ncat"), *where]


def socat(address):
    """socat, patient after the end of its input."""
    return [require("socat"), "-t", str(PATIENCE), "-", address]


TCP = {
    "nc": lambda port: netcat(HOST, str(port)),
    "ncat": lambda port: ncat(HOST, str(port)),
    "socat": lambda port: socat(f"TCP4:{HOST}:{port}"),
}

UNIX = {
    "nc": lambda path: netcat("-U", path),
    "ncat": lambda path: ncat("-U", path),
    "socat": lambda path: socat(f"UNIX-CONNECT:{path}"),
}


@pytest.mark.parametrize("tool", TCP)
def test_a_pipe_into_a_tool_gets_every_answer(serve, tell, tool):
    command = TCP[tool]
    server = serve()
    lines = b"h\xc3\xa9llo\n\xe4\xb8\x96\xe7\x95\x8c\n"
    assert tell(command(server.port), lines) == lines


@pytest.mark.parametrize("tool", TCP)
def test_the_last_line_needs_no_newline(serve, tell, tool):
    server = serve("--protocol", "str.upper")
    assert tell(TCP[tool](server.port), b"one\ntwo") == b"ONE\nTWO\n"


@pytest.mark.parametrize("tool", TCP)
def test_8_mb_of_lines_come_back_whole_and_in_order(serve, tell, tool):
    server = serve()
    answer = tell(TCP[tool](server.port), MANY)
    assert len(answer) == len(MANY)
    assert answer.split() == sorted(MANY.split())


@pytest.mark.parametrize("tool", UNIX)
def test_a_unix_socket_answers_a_tool(serve, tell, tmp_path, monkeypatch, tool):
    monkeypatch.chdir(tmp_path)  # a UNIX socket's path is short
    server = serve("--endpoint", "unix:sock")
    server.out.expect("listens on UNIXAddress")
    assert tell(UNIX[tool]("sock"), b"one\ntwo\n") == b"one\ntwo\n"


def test_a_shell_alone_is_a_client(serve, tell):
    server = serve()
    talk = f"exec 3<>/dev/tcp/{HOST}/{server.port}; echo hello >&3; head -n 1 <&3"
    assert tell([require("bash"), "-c", talk], b"") == b"hello\n"


def test_ncat_that_ends_lines_with_crlf_is_answered_so(serve, tell):
    server = serve()
    command = ncat("--crlf", HOST, str(server.port))
    assert tell(command, b"one\ntwo\n") == b"one\r\ntwo\r\n"
