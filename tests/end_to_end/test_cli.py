"""The command in real processes: from pipes, at a terminal, beside other programs, in shells."""

import datetime
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys

import pytest

from .programs import (
    HOST,
    PATIENCE,
    Growth,
    meanwhile,
    require,
    require_module,
    script,
)

#: Bytes that two sockets and two pipes may hold between them, and a program besides.
IN_BETWEEN = 24 << 20


def command(*arguments):
    return [*script("twisted-sock"), *map(str, arguments)]


@pytest.fixture
def cli(run, tmp_path, monkeypatch):
    """Run the command with some input: `cli("connect", port, input=b"...")`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def start(*arguments, input=None, **more):
        if input is None:
            return run(command(*arguments), **more)
        path = tmp_path / "input"
        path.write_bytes(input)
        with path.open("rb") as file:
            return run(command(*arguments), stdin=file.fileno(), **more)

    return start


class Bare:
    """A bare-sockets server for one client."""

    def __init__(self):
        self.listener = socket.create_server((HOST, 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(PATIENCE)
        return connection

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


@pytest.fixture
def bare():
    with Bare() as server:
        yield server


def rest(connection):
    data = bytearray()
    while piece := connection.recv(1 << 20):
        data += piece
    return bytes(data)


def one_line(program, status, words):
    """It ended with this status, and said this in one line and nothing else."""
    assert program.wait() == status, program.err.whole()
    said = program.err.whole()
    assert said.count("\n") == 1, said
    assert said.startswith("twisted-sock")
    assert words in said


# Starting.


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["wat"]])
def test_it_starts_without_a_reactor(run, arguments):
    path = command()[1]
    asked = run([sys.executable, "-X", "importtime", path, *arguments])
    asked.wait()
    imported = set(re.findall(r"\| +(\S+)$", asked.err.whole(), re.MULTILINE))
    assert "twisted_sock.cli.main" in imported
    unwanted = {"twisted.internet.defer", "asyncio", "prompt_toolkit", "twisted_sock.session"}
    unwanted |= {"twisted_sock.cli.connect", "twisted_sock.bench.command"}
    assert not imported & unwanted


# From a pipe.


def test_twenty_thousand_lines_arrive_exactly(serve, cli):
    server = serve()
    lines = "".join(f"{number} 世界 {'x' * (number % 300)}\n" for number in range(20_000)).encode()
    asked = cli("connect", server.port, input=lines)
    assert asked.wait() == 0
    assert asked.out.whole().encode() == lines
    assert asked.err.whole() == ""


@pytest.mark.parametrize("form", ["localhost:{port}", "tcp:127.0.0.1:{port}", "unix:{path}"])
def test_endpoints(serve, cli, tmp_path, form):
    server = serve("--endpoint", f"unix:{tmp_path}/line.sock", "--protocol", "str.upper")
    server.out.expect("listens on UNIXAddress")
    endpoint = form.format(port=server.port, path="line.sock")
    asked = cli("connect", endpoint, input="héllo\n".encode())
    assert asked.wait() == 0
    assert asked.out.whole() == "HÉLLO\n"


def test_ipv6(twistd, cli):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    server = twistd("--port", "0", "--interface", "::1")
    port = server.out.expect(r"listens on IPv6Address\(.*port=(\d+)")[1]
    asked = cli("connect", f"[::1]:{port}", input=b"six\n")
    assert asked.wait() == 0
    assert asked.out.whole() == "six\n"


def test_from_a_file_to_a_file(serve, tmp_path, run):
    server = serve()
    lines = b"".join(b"%d\n" % number for number in range(20_000))
    (tmp_path / "in").write_bytes(lines)
    shell = 'exec "$@" < in > out'
    asked = run(["sh", "-c", shell, "sh", *command("connect", server.port)])
    assert asked.wait() == 0, asked.err.whole()
    assert (tmp_path / "out").read_bytes() == lines


def test_no_input_at_all(serve, cli):
    asked = cli("connect", serve().port)
    assert asked.wait() == 0
    assert asked.out.whole() == asked.err.whole() == ""


def test_descriptors_that_are_closed(serve, run):
    server = serve()
    shell = '"$@" <&- >&-'
    asked = run(["sh", "-c", shell, "sh", *command("connect", "--first", "a", server.port)])
    assert asked.wait() == 0, asked.err.whole()
    assert asked.err.whole() == ""


def test_what_comes_is_printed_as_it_came(bare, cli):
    answer = b"\x1b[2J\xff\r\nno end"
    asked = cli("connect", bare.port, input=b"a\nb")
    with bare.accept() as connection:
        assert rest(connection) == b"a\nb\n"
        connection.sendall(answer)
    assert asked.wait() == 0
    assert asked.out.text == answer.decode(errors="backslashreplace")


def test_hex(bare, cli):
    asked = cli("connect", "--hex", bare.port)
    with bare.accept() as connection:
        connection.sendall(b"ok\n")
    assert asked.wait() == 0
    assert asked.out.whole() == f"00000000  6f 6b 0a{' ' * 39}  |ok.|\n"


def test_first_and_crlf(bare, cli):
    asked = cli(
        "connect", bare.port, "--first", "USER", "--first=x", "--delimiter=crlf", input=b"a\n"
    )
    with bare.accept() as connection:
        assert rest(connection) == b"USER\r\nx\r\na\r\n"
    assert asked.wait() == 0


@pytest.mark.parametrize(
    ("bad", "words"),
    [(b"\xff\n", "line 3 of the input: the line is not valid UTF-8"), (b"x" * 99, "at most 50")],
)
def test_a_bad_line_of_the_input_is_told(serve, cli, bad, words):
    server = serve()
    asked = cli("connect", server.port, "--max-line", "50", input=b"a\nb\n" + bad + b"\nc\n")
    one_line(asked, 2, words)
    assert asked.out.whole() == "a\nb\n"


def test_nobody_there(cli, bare, tmp_path):
    bare.listener.close()
    one_line(cli("connect", bare.port), 3, "Connection refused")
    one_line(cli("send", bare.port, "a"), 3, "Connection refused")
    one_line(cli("connect", f"unix:{tmp_path}/none"), 3, "No such file")


def test_nobody_answers_in_time(cli, bare):
    asked = cli("connect", "--timeout", "0.5", bare.port, input=b"a\n")
    with bare.accept() as connection:
        assert rest(connection) == b"a\n"
        one_line(asked, 5, "has said nothing for 0.5 s")


def test_a_connection_that_breaks(bare, cli):
    asked = cli("connect", bare.port, input=b"a\n")
    with bare.accept() as connection:
        connection.recv(1024)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one_line(asked, 4, "the connection broke before")


def test_a_peer_that_closes_before_the_end_of_the_input(bare, run):
    read, write = os.pipe()
    asked = run(command("connect", bare.port), stdin=read)
    os.close(read)
    try:
        bare.accept().close()
        one_line(asked, 4, "has closed the connection before the end of the input")
    finally:
        os.close(write)


def test_a_reader_that_goes_away_is_no_reason_to_complain(serve, run, tmp_path):
    server = serve()
    (tmp_path / "in").write_bytes(b"0123456789\n" * 200_000)
    shell = '("$@" < in; echo $? > status) | head -n 1'
    asked = run(["sh", "-c", shell, "sh", *command("connect", server.port)])
    assert asked.wait() == 0
    assert asked.out.whole() == "0123456789\n"
    assert asked.err.whole() == ""
    assert (tmp_path / "status").read_text() == "141\n"


def test_help_to_a_reader_that_goes_away():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        asked = subprocess.run(
            command("connect", "--help"),
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert (asked.returncode, asked.stderr) == (141, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["send", "--help"],
        ["completion", "bash"],
        ["send", "PORT", "a", "b"],
        ["connect", "PORT"],
        ["bench", "PORT", "--count", "10"],
    ],
)
def test_a_full_disk(serve, run, arguments):
    port = str(serve().port) if "PORT" in arguments else ""
    words = [port if each == "PORT" else each for each in arguments]
    shell = 'printf "hello\\n" | "$@" >/dev/full'
    one_line(run(["sh", "-c", shell, "sh", *command(*words)]), 74, "the output cannot be written")


def test_send_writes_utf_8(serve, run):
    env = {**os.environ, "PYTHONIOENCODING": "latin1"}
    asked = run(command("send", serve().port, "世界"), env=env)
    assert asked.wait() == 0
    assert asked.out.whole() == "世界\n"


def test_chunks_go_as_they_come(bare, run, tmp_path):
    shell = '(printf "hello\\377"; read wait < go; printf " world") | "$@"'
    os.mkfifo(tmp_path / "go")
    asked = run(["sh", "-c", shell, "sh", *command("connect", "--framing", "chunk", bare.port)])
    connection = bare.accept()
    assert connection.recv(100) == b"hello\xff"
    (tmp_path / "go").write_text("\n")
    assert rest(connection) == b" world"
    connection.close()
    assert asked.wait() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(bare, run, number, status):
    read, write = os.pipe()
    asked = run(command("connect", bare.port), stdin=read)
    os.close(read)
    try:
        with bare.accept() as connection:
            connection.sendall(b"hello\n")
            asked.out.expect("hello")
            asked.tell(number)
            assert asked.wait() == status
    finally:
        os.close(write)
    assert asked.err.whole() == ""


def test_input_waits_for_the_peer(bare, run):
    """However much there is to send, only buffers fill up while the peer does not read."""
    read, write = os.pipe()
    asked = run(command("connect", bare.port), stdin=read)
    os.close(read)
    with bare.accept() as connection, os.fdopen(write, "wb", buffering=0) as pipe:
        growth = Growth(asked.pid)
        data = b"0123456789abcde\n" * 4096
        os.set_blocking(pipe.fileno(), False)
        sent = 0
        while select.select([], [pipe], [], 1.0)[1]:
            sent += pipe.write(data[sent % 16 :]) or 0
            assert sent < IN_BETWEEN
        assert growth.bytes < IN_BETWEEN
        pipe.close()
        whole = (b"0123456789abcde\n" * (sent // 16 + 1))[:sent]
        assert rest(connection) == whole.removesuffix(b"\n") + b"\n"
    assert asked.wait() == 0


def test_the_peer_waits_for_the_output(bare, tmp_path):
    """However much comes, only buffers fill up while nobody reads the output."""
    with subprocess.Popen(
        command("connect", bare.port), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as asked:
        try:
            with bare.accept() as connection:
                growth = Growth(asked.pid)
                connection.setblocking(False)
                sent = 0
                while select.select([], [connection], [], 1.0)[1]:
                    sent += connection.send(b"0123456789abcde\n" * 4096)
                    assert sent < IN_BETWEEN
                assert growth.bytes < IN_BETWEEN
            assert len(asked.stdout.read()) == sent
            assert asked.wait(PATIENCE) == 0
        finally:
            asked.kill()


def test_it_reconnects_if_asked(serve, run):
    server = serve()
    port = server.port
    read, write = os.pipe()
    asked = run(command("connect", "--reconnect=yes", "--first", "hi", port), stdin=read)
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as pipe:
        pipe.write(b"one\n")
        asked.out.expect("hi\none\n")
        server.stop()
        asked.err.expect("reconnecting in")
        serve(port=port)
        asked.out.expect("hi\n")
        pipe.write(b"two\n")
        asked.out.expect("two\n")
    assert asked.wait() == 0


# send.


def test_send(serve, cli):
    port = serve("--protocol", "str.upper").port
    asked = cli("send", port, "héllo", "世界", "--expect", r"^\w+$")
    assert asked.wait() == 0
    assert asked.out.whole() == "HÉLLO\n世界\n"
    assert asked.err.whole() == ""


def test_send_and_hear_something_else(serve, cli):
    asked = cli("send", "--expect", "^pong$", serve().port, "ping")
    one_line(asked, 1, "answer 1 does not match '^pong$'")
    assert asked.out.whole() == "ping\n"


def test_send_and_hear_nothing(bare, cli):
    asked = cli("send", "--timeout", "0.5", bare.port, "a")
    with bare.accept():
        one_line(asked, 5, "not done within 0.5 s, after 0 of 1 answer")


def test_send_and_lose_the_connection(bare, cli):
    asked = cli("send", bare.port, "a", "b")
    with bare.accept() as connection:
        connection.sendall(b"A\n")
        connection.recv(1024)
        connection.shutdown(socket.SHUT_WR)
        one_line(asked, 4, "after 1 of 2 answers")


# TLS.


@pytest.fixture
def certificate(tmp_path):
    """A folder with a key, and a certificate for localhost that it has signed itself."""
    require_module("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - day).not_valid_after(now + day)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    signed = made.sign(key, hashes.SHA256())
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return tmp_path


@pytest.fixture
def tls_port(certificate, serve):
    keys = f"privateKey={certificate}/key.pem:certKey={certificate}/trusted/cert.pem"
    return serve(port=f"ssl:0:interface={HOST}:{keys}").port


def test_tls(tls_port, certificate, cli):
    endpoint = f"tls:localhost:{tls_port}:trustRoots={certificate}/trusted"
    lines = b"".join(b"%d\n" % number for number in range(20_000))
    asked = cli("connect", "--linger", "1", endpoint, input=lines)
    assert asked.wait() == 0, asked.err.whole()
    assert asked.out.whole().encode() == lines
    asked = cli("send", endpoint, "a")
    assert asked.wait() == 0
    assert asked.out.whole() == "a\n"


def test_tls_with_somebody_unknown(tls_port, cli):
    for arguments in (["connect"], ["send", "--timeout=9"]):
        asked = cli(*arguments, f"tls:localhost:{tls_port}", *["x"] * (arguments[0] == "send"))
        one_line(asked, 3, "certificate verify failed; if you trust it, say trustRoots=FOLDER")


def test_tls_with_a_certificate_for_somebody_else(tls_port, certificate, cli):
    asked = cli("send", f"tls:127.0.0.1:{tls_port}:trustRoots={certificate}/trusted", "x")
    one_line(asked, 3, "the certificate is not for this host")


def test_tls_with_somebody_who_says_nothing(bare, cli):
    asked = cli("connect", "--timeout", "0.5", f"tls:localhost:{bare.port}")
    with bare.accept():
        one_line(asked, 3, "no answer in time")


# Beside other programs.

CLASSIC_SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
client, address = server.accept()
while data := client.recv(1024):
    print(data.decode(), flush=True)
    client.send(b"yes, " + data)
client.close()
"""


@pytest.fixture
def classic(run):
    """The classic server of bare sockets: it takes what one `recv` gives."""
    server = run([sys.executable, "-c", CLASSIC_SERVER])
    return server, int(server.out.expect(r"(\d+)\n")[1])


def test_the_classic_server_from_a_pipe(classic, cli):
    server, port = classic
    asked = cli("connect", "--framing", "chunk", port, input="你好".encode())
    assert asked.wait() == 0
    assert asked.out.whole() == "yes, 你好"
    server.out.expect("你好\n")


def test_the_classic_server_and_send(classic, cli):
    server, port = classic
    asked = cli("send", "--framing", "chunk", port, "hello", "世界", "bye")
    assert asked.wait() == 0
    assert asked.out.whole() == "yes, hello\nyes, 世界\nyes, bye\n"
    assert server.wait() == 0
    assert server.out.whole().endswith("hello\n世界\nbye\n")


def free_port():
    with socket.create_server((HOST, 0)) as taken:
        return taken.getsockname()[1]


LISTENERS = {
    "nc": ["nc", "-v", "-l", HOST, "{port}"],
    "ncat": ["ncat", "-v", "-l", HOST, "{port}"],
    "socat": ["socat", "-d", "-d", "TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr", "STDIO"],
}


@pytest.mark.parametrize("name", LISTENERS)
def test_with_another_program(run, cli, tmp_path, name):
    require(name)
    port = free_port()
    (tmp_path / "answers").write_bytes("ärger\n世界\n".encode())
    with (tmp_path / "answers").open("rb") as answers:
        listening = [each.format(port=port) for each in LISTENERS[name]]
        other = run(listening, stdin=answers.fileno())
    other.err.expect("(?i)listening")
    asked = cli("connect", port, input=b"one\ntwo\nthree")
    asked.out.expect("ärger\n世界\n")
    other.out.expect("one\ntwo\nthree\n")
    assert asked.wait() == 0, asked.err.whole()


# At the terminal.

EDITOR = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": "80", "LINES": "24"}


class Person:
    """Somebody at the terminal of a running `twisted-sock connect`."""

    def __init__(self, program, terminal, edits):
        self.program = program
        self.edits = edits
        self.type = terminal.type
        self.screen = terminal.screen
        self.sees = terminal.screen.expect

    def sees_prompt(self):
        """Wait until the line editor takes keys: then it wants pastes to be marked."""
        self.sees(r"\x1b\[\?2004h")

    def ends(self):
        """Type Ctrl-D once the line editor takes keys; returns the exit status."""
        if self.edits:
            self.sees_prompt()
        self.type("\x04")
        return self.program.wait()


@pytest.fixture
def person(cli, at_the_end):
    """Run the command on a terminal of its own."""
    from .programs import Terminal

    def start(*arguments, env=EDITOR):
        if env is EDITOR:
            require_module("prompt_toolkit")
        terminal = Terminal()
        at_the_end.callback(terminal.close)
        program = cli("connect", *arguments, terminal=terminal, env=env)
        return Person(program, terminal, edits=env is EDITOR)

    return start


def test_a_conversation(serve, person):
    someone = person(serve("--protocol", "str.upper").port)
    someone.sees(r"\d\d:\d\d:\d\d \* connected to 127\.0\.0\.1:\d+\r\n")
    someone.sees_prompt()
    someone.type("héllo\r")
    someone.sees(r"\d\d:\d\d:\d\d < HÉLLO\r\n")
    assert someone.ends() == 0


def test_editing_and_chinese(serve, person):
    someone = person(serve().port)
    someone.sees_prompt()
    someone.type("世界x")
    someone.sees("世界x")
    someone.type("\x7f")  # backspace
    someone.type("\x1b[D\x1b[D")  # left, left
    someone.type("你好")
    someone.type("\x05!\r")  # to the end
    someone.sees("< 你好世界!\r\n")


def test_history(serve, person, tmp_path):
    port = serve("--protocol", "str.upper").port
    first = person(port)
    for line in ("one", "two"):
        first.sees_prompt()
        first.type(f"{line}\r")
        first.sees(f"< {line.upper()}\r\n")
    first.sees_prompt()
    first.type("\x1b[A\x1b[A\r")  # up, up
    first.sees("< ONE\r\n")
    assert first.ends() == 0
    history = tmp_path / "state" / "twisted_sock" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert re.findall(r"^\+(.*)$", history.read_text(), re.MULTILINE) == ["one", "two", "one"]
    second = person(port)
    second.sees_prompt()
    second.type("\x12tw")  # Ctrl-R
    second.sees("reverse-i-search")
    second.type("\r\r")  # take it, send it
    second.sees("< TWO\r\n")


def test_no_history(serve, person, tmp_path):
    someone = person("--no-history", serve().port)
    someone.sees_prompt()
    someone.type("secret\r")
    someone.sees("< secret\r\n")
    assert someone.ends() == 0
    assert not (tmp_path / "state").exists()


def test_a_history_that_cannot_be_kept(serve, person, tmp_path):
    (tmp_path / "state").write_text("in the way")
    someone = person(serve().port)
    someone.sees(r"no history: .*: (Not a directory|File exists)")
    someone.sees_prompt()
    someone.type("a\r")
    someone.sees("< a\r\n")


def test_a_history_on_a_full_disk(serve, run, terminal, tmp_path):
    require_module("prompt_toolkit")
    env = {**EDITOR, "XDG_STATE_HOME": str(tmp_path)}
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command("connect", serve().port)]
    someone = Person(run(limited, terminal=terminal, env=env), terminal, edits=True)
    someone.sees_prompt()
    someone.type("first\r")
    someone.sees("no history: File too large")
    someone.sees("< first\r\n")
    someone.type("second\r")
    someone.sees("< second\r\n")
    someone.type("\x1b[A\x1b[A\r")
    someone.sees("< first\r\n")
    assert someone.ends() == 0
    assert someone.screen.text.count("no history") == 1


def test_an_incoming_line_does_not_disturb_what_is_typed(bare, person):
    someone = person(bare.port)
    with bare.accept() as connection:
        someone.sees_prompt()
        someone.type("half a l")
        someone.sees("half a l")
        connection.sendall("news: 世界\n".encode())
        someone.sees(r"\d\d:\d\d:\d\d < news: 世界\r\n")
        someone.sees("> half a l")  # is there again
        someone.type("ine\r")
        assert connection.recv(1024) == b"half a line\n"


def test_many_incoming_lines_while_typing(bare, person):
    someone = person(bare.port)
    with bare.accept() as connection:
        someone.sees_prompt()
        someone.type("mine")
        someone.sees("mine")
        lines = "".join(f"line {number}\n" for number in range(5000)).encode()
        with meanwhile(lambda: connection.sendall(lines)):
            someone.sees("< line 4999\r\n")
        someone.type("\r")
        assert connection.recv(1024) == b"mine\n"
    shown = re.findall(r"< line (\d+)\r\n", someone.screen.text)
    assert shown == [str(number) for number in range(5000)]


def test_a_pasted_text_is_several_lines(bare, person):
    someone = person(bare.port)
    with bare.accept() as connection:
        someone.sees_prompt()
        someone.type("\x1b[200~one\rtwo\x1b[201~")
        someone.sees("two")
        someone.type("\r")
        data = bytearray()
        while data.count(b"\n") < 2:
            data += connection.recv(1024)
        assert data == b"one\ntwo\n"


def test_a_server_cannot_paint(bare, person):
    someone = person(bare.port)
    with bare.accept() as connection:
        someone.sees_prompt()
        connection.sendall("\x1b[2J\x1b]0;owned\x07\u202eback\r\n".encode())
        someone.sees(r"< \\x1b\[2J\\x1b\]0;owned\\x07\\u202eback\r\n")


def test_a_server_that_restarts_in_the_middle(serve, person):
    server = serve()
    someone = person(server.port, "--first", "hi")
    someone.sees("> hi\r\n")
    someone.sees("< hi\r\n")
    someone.sees_prompt()
    someone.type("before")
    someone.sees("before")
    server.stop()
    someone.sees("< ERR shutdown the server is stopping\r\n")
    someone.sees(r"\* .*; reconnecting in \d+\.\d s \.\.\.\r\n")
    serve(port=server.port)
    someone.sees(r"\* connected to ")
    someone.sees("< hi\r\n")
    someone.type(" and after\r")
    someone.sees("< before and after\r\n")
    assert someone.ends() == 0


def test_what_is_typed_without_a_connection_is_said_not_to_be_sent(bare, person):
    someone = person(bare.port)
    connection = bare.accept()
    someone.sees_prompt()
    bare.listener.close()
    connection.close()
    someone.sees("reconnecting")
    someone.sees_prompt()
    someone.type("hello?\r")
    someone.sees(r"\* not connected: not sent\r\n")
    assert someone.ends() == 0


@pytest.mark.parametrize("how", ["key", "signal"])
def test_interrupted_at_the_terminal(bare, person, how):

    someone = person(bare.port)
    with bare.accept():
        someone.sees_prompt()
        someone.type("half")
        someone.sees("half")
        if how == "key":
            someone.type("\x03")
        else:
            someone.program.tell(signal.SIGINT)
        assert someone.program.wait() == 130
    assert "Traceback" not in someone.screen.text


def test_terminated_at_the_terminal_it_is_left_as_it_was(bare, cli, terminal):
    import termios

    require_module("prompt_toolkit")
    before = termios.tcgetattr(terminal.fd)
    asked = cli("connect", bare.port, terminal=terminal, env=EDITOR)
    with bare.accept():
        terminal.screen.expect(r"\x1b\[\?2004h")
        asked.tell(signal.SIGTERM)
        assert asked.wait() == 143
    assert termios.tcgetattr(terminal.fd) == before
    assert "Traceback" not in terminal.screen.text


def test_nobody_there_at_the_terminal(bare, person):
    bare.listener.close()
    someone = person(bare.port)
    someone.sees(r"twisted-sock connect: cannot connect to \d+: Connection refused\r\n")
    assert someone.program.wait() == 3


def test_the_classic_server_at_the_terminal(classic, person):
    server, port = classic
    someone = person("--framing", "chunk", "--reconnect", "no", port)
    someone.sees_prompt()
    someone.type("你好\r")
    server.out.expect("你好\n")
    someone.sees("< yes, 你好\r\n")
    assert someone.ends() == 0


def test_hex_at_the_terminal(serve, person):
    someone = person("--hex", serve().port)
    someone.sees_prompt()
    someone.type("é\r")
    someone.sees(r"< 00000000  c3 a9 0a  ")


def test_a_plain_terminal(serve, person):
    someone = person(serve("--protocol", "str.upper").port, env={"TERM": "dumb"})
    someone.sees(r"\* connected to ")
    someone.type("hello 世界\n")
    someone.sees("< HELLO 世界\r\n")
    assert someone.ends() == 0


def test_without_a_line_editor_installed(serve, person, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name: None if name == 'prompt_toolkit' else find(name)\n"
    )
    env = {"TERM": "xterm", "PYTHONPATH": str(tmp_path)}
    someone = person(serve().port, env=env)
    someone.sees(r"no line editor: pip install 'twisted_sock\[cli\]' brings one\r\n")
    someone.sees(r"\* connected to ")
    someone.type("hello\n")
    someone.sees("< hello\r\n")
    assert someone.ends() == 0


def test_a_pipe_shown_on_a_terminal_is_safe(bare, cli, terminal, tmp_path):
    asked = cli("connect", bare.port, input=b"a\n", terminal=terminal)
    with bare.accept() as connection:
        connection.sendall(b"\x1b[2J\n")
        terminal.screen.expect(r"\\x1b\[2J\r\n")
        assert rest(connection) == b"a\n"
    assert asked.wait() == 0


# Checking scripts.


def test_scripts_are_checked(tmp_path):
    good = tmp_path / "good.toml"
    good.write_text("[[rule]]\nreply = 'OK'\n")
    done = subprocess.run(
        command("check", "-", str(good)),
        input=b"[[rule]]\nrepy = 'OK'\n",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.decode() == f"{good}: good: 1 rule, 0 faults, 0 states\n"
    mistake = "<stdin>:2: rule 1: there is no 'repy'; did you mean 'reply'?\n"
    assert done.stderr.decode() == mistake


# Completion.


def completed(run, folder, *words):
    """What bash offers for the last of these words."""
    require("bash")
    (folder / "script").write_text(
        subprocess.check_output(command("completion", "bash"), text=True)
    )
    program = (
        'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _twisted_sock 2>&1; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    asked = run(["bash", "--norc", "-c", program, "bash", *words])
    assert asked.wait() == 0
    assert asked.err.whole() == ""
    return asked.out.whole().split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("twisted-sock |c", ["connect", "check", "completion"]),
        ("twisted-sock |--v", ["--version"]),
        ("twisted-sock connect |--fr", ["--framing"]),
        ("twisted-sock connect --framing |", ["lines", "chunk"]),
        ("twisted-sock connect --framing |=", ["lines", "chunk"]),
        ("twisted-sock connect --framing = |ch", ["chunk"]),
        ("twisted-sock connect --first |", []),
        ("twisted-sock send |l", ["localhost:"]),
        ("twisted-sock connect unix |:", ["script"]),
        ("twisted-sock connect unix : |scr", ["script"]),
        ("twisted-sock completion |", ["bash", "zsh"]),
        ("twisted-sock check script |scr", ["script"]),
        ("twisted-sock wat |", []),
    ],
)
def test_bash_completes(run, tmp_path, line, offered):
    before, _, last = line.partition("|")
    assert completed(run, tmp_path, *before.split(), last) == offered


@pytest.mark.parametrize(
    ("typed", "pattern"),
    [
        ("twisted-sock conn\t1", "twisted-sock conn\x07?ect[ \x08]+1"),
        ("twisted-sock connect --fra\t", "--framing="),
        ("twisted-sock connect --framing ch\t1", "--framing chunk[ \x08]+1"),
        ("twisted-sock send loc\t1", "send localhost:1"),
        ("twisted-sock connect unix:scr\t x", "unix:script[ \x08]+x"),
        ("twisted-sock completion z\tx", "completion zsh[ \x08]+x"),
        ("twisted-sock check a scr\tx", "check a script[ \x08]+x"),
    ],
)
def test_zsh_completes(run, terminal, tmp_path, typed, pattern):
    require("zsh")
    (tmp_path / "script").write_text(
        subprocess.check_output(command("completion", "zsh"), text=True)
    )
    (tmp_path / ".zshrc").write_text(
        "autoload -Uz compinit; compinit -u -D\nsource ./script\nPS1='ready> '\n"
        "unset zle_bracketed_paste\n"
    )
    env = {"ZDOTDIR": str(tmp_path), "TERM": "dumb", "COLUMNS": "200"}
    run(["zsh", "-i"], terminal=terminal, env=env)
    terminal.screen.expect("ready> ")
    terminal.type(typed)
    terminal.screen.expect(pattern)
