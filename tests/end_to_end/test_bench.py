"""`twisted-sock bench` over real sockets: against our server, Redis, and servers that lie."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager, suppress

import pytest

from tests.test_docs import blocks

from .programs import PATIENCE, require

PROGRAM = [
    sys.executable,
    "-c",
    "import sys; from twisted_sock.cli.main import main; sys.exit(main())",
    "bench",
]

OK, UNEXPECTED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


@pytest.fixture
def bench(run):
    """Run the command; gives its exit status, output and errors."""

    def start(*options):
        program = run([*PROGRAM, *map(str, options)])
        status = program.wait()
        return status, program.out.whole(), program.err.whole()

    return start


@pytest.fixture
def measured(bench):
    """Run the command; gives its exit status and its figures."""

    def start(*options):
        status, out, err = bench(*options, "--json", "-")
        assert err == ""
        return status, json.loads(out)

    return start


@contextmanager
def lying(talk):
    """A server of bare sockets that lets `talk(connection)` answer; gives its port."""
    connections = []

    def serve_one(connection):
        with suppress(OSError), connection:
            talk(connection)

    def accept():
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.settimeout(PATIENCE)
                connections.append(connection)
                threading.Thread(target=serve_one, args=[connection], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
            for each in connections:
                each.close()


def answer_each(answer):
    """Answers every read by a function of its bytes."""

    def talk(connection):
        while data := connection.recv(65536):
            connection.sendall(answer(data))

    return talk


def test_our_server(serve, measured):
    server = serve()
    for options in (
        ["--connections", 3, "--depth", 128, "--count", 10_000],
        ["--depth", 1, "--count", 1000],
        ["--generate", 700, "--depth", 10, "--count", 1000, "--delimiter", "crlf"],
        ["--generate", 70_000, "--depth", 3, "--count", 50, "--max-line", "100K"],
    ):
        if "--max-line" in options:
            server = serve("--max-line", "100K")
        status, figures = measured(f"localhost:{server.port}", *options)
        count = options[options.index("--count") + 1]
        assert (status, figures["right_answers"]) == (OK, count), figures
        assert figures["errors"]["all"] == 0


def test_a_unix_socket_and_a_file_of_lines(serve, measured, tmp_path):
    serve("--endpoint", f"unix:{tmp_path / 'socket'}")
    (tmp_path / "lines").write_bytes("eins\r\nzwölf\n\n".encode() + b"x" * 5000)
    status, figures = measured(
        f"unix:{tmp_path / 'socket'}", "--lines", "lines", "--depth", 7, "--count", 5000
    )
    assert (status, figures["right_answers"]) == (OK, 5000)


def test_an_open_loop_with_a_warmup(serve, measured):
    server = serve()
    status, figures = measured(
        f"localhost:{server.port}", "--rate", 2000, "--duration", 0.5, "--warmup", 0.2
    )
    assert (status, figures["right_answers"]) == (OK, 1000)


def test_wrong_answers_of_the_server(serve, measured):
    server = serve("--protocol", "str.upper")
    address = f"localhost:{server.port}"
    status, figures = measured(address, "--count", 100, "--line", "Hello")
    assert (status, figures["errors"]["wrong"]) == (UNEXPECTED, 100)
    assert figures["reasons"] == {"answered 'HELLO', not 'Hello'": 100}
    for expect in ("HELLO", "any", "regex:[A-Z]+"):
        status, _ = measured(address, "--count", 100, "--line", "Hello", "--expect", expect)
        assert status == OK


def test_one_wrong_answer_in_a_batch(measured, tmp_path):
    lines = "".join(f"line {number}\n" for number in range(100))
    (tmp_path / "lines").write_text(lines)
    with lying(answer_each(lambda data: data.replace(b"line 57\n", b"line 75\n"))) as port:
        batch = ["--connections", 1, "--depth", 100, "--count", 100, "--lines", "lines"]
        status, figures = measured(port, *batch)
    assert (status, figures["right_answers"], figures["errors"]["wrong"]) == (UNEXPECTED, 99, 1)


def test_right_answers_in_any_pieces(measured):
    def one_by_one(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(65536):
            for byte in data.replace(b"\n", b"\r\n"):
                connection.sendall(bytes([byte]))

    with lying(one_by_one) as port:
        status, figures = measured(port, "--connections", 2, "--depth", 50, "--count", 500)
    assert (status, figures["right_answers"]) == (OK, 500)


@pytest.mark.parametrize(
    ("talk", "lost", "reason"),
    [
        (lambda connection: None, 2, "closed by the server|Connection.*lost"),
        (lambda connection: connection.recv(10), 2, "closed by the server"),
        (lambda connection: connection.sendall(connection.recv(9)[:3]), 2, "closed by the server"),
        (lambda connection: [connection.recv(9) for _ in range(2)], 2, "no answer for 0.5 s"),
        (answer_each(lambda data: data[:3]), 2, "no answer for 0.5 s"),
        (answer_each(lambda data: data * 2), 2, "more answers than lines"),
        (answer_each(lambda data: data + b"and more"), 2, "more answers than lines|unasked"),
        (answer_each(lambda data: b"x" * 2000), 2, "longer than 1000 bytes"),
    ],
)
def test_servers_that_lie(measured, talk, lost, reason):
    """Each of two connections is lost, with its line if it had one by then."""
    with lying(talk) as port:
        status, figures = measured(
            port, "--connections", 2, "--duration", 5, "--timeout", 0.5, "--max-line", 1000
        )
    assert status == UNEXPECTED
    assert figures["right_answers"] == 0
    assert figures["errors"]["broken"] == lost
    assert figures["errors"]["lost"] <= lost
    assert all(re.search(reason, each) for each in figures["reasons"]), figures["reasons"]


def test_answers_that_come_again_late(measured):
    def talk(connection):
        data = connection.recv(100)
        connection.sendall(data)
        time.sleep(0.2)
        connection.sendall(data)
        connection.recv(100)

    with lying(talk) as port:
        status, figures = measured(port, "--connections", 2, "--depth", 5, "--count", 10)
    assert status == UNEXPECTED
    assert figures["right_answers"] == 10
    assert figures["errors"]["broken"] == 2
    assert figures["reasons"] == {"more answers than lines": 2}


def test_a_stall_is_not_hidden(measured):
    """Lines that are due while a server sleeps are late, however few of them it could see."""
    seen = bytearray()

    def stall_once(connection):
        while data := connection.recv(65536):
            if len(seen) < 600 <= len(seen) + len(data):
                time.sleep(1)
            seen.extend(data)
            connection.sendall(data)

    with lying(stall_once) as port:
        for depth in (1, 1000):
            seen.clear()
            status, figures = measured(
                *(port, "--connections", 1, "--depth", depth, "--rate", 200, "--count", 400)
            )
            assert (status, figures["right_answers"]) == (OK, 400)
            latency = figures["latency_ms"]
            assert latency["max"] > 950
            assert latency["p99"] > 900
            assert latency["p90"] > 700


def test_redis(run, measured, tmp_path):
    path = tmp_path / "redis.sock"
    redis = run([require("redis-server"), "--port", "0", "--unixsocket", path, "--save", ""])
    redis.out.expect("eady to accept connections")
    status, figures = measured(
        f"unix:{path}", "--line", "PING", "--expect", "+PONG", "--depth", 16, "--count", 10_000
    )
    assert (status, figures["right_answers"]) == (OK, 10_000)
    assert redis.stop() == 0


@pytest.mark.parametrize("connections", [1, 1000])
def test_cannot_connect(bench, connections):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    status, out, err = bench(f"localhost:{port}", "--count", 10, "--connections", connections)
    assert (status, out) == (UNREACHABLE, "")
    assert re.fullmatch(rf"twisted-sock bench: cannot connect to localhost:{port}: .*\n", err)


def test_mistakes(bench):
    for options in (["nonsense"], ["1234", "--rate", "fast"], [], ["1234", "--json", "/no/x"]):
        status, out, err = bench(*options)
        assert (status, out) == (USAGE, "")
        assert err.startswith("twisted-sock bench: ")
        assert err.count("\n") == 1


def test_table_and_files(serve, bench, tmp_path):
    server = serve()
    options = ["--count", 1000, "--json", "figures.json", "--chart", "latency.svg"]
    status, out, err = bench(server.port, *options)
    assert (status, err) == (OK, "")
    assert re.search(r"^right answers +1,000  in \d+\.\d\d s$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 80
    assert json.loads((tmp_path / "figures.json").read_text())["right_answers"] == 1000
    ElementTree.parse(tmp_path / "latency.svg")


def test_progress_and_interrupting(serve, run, terminal):
    server = serve()
    command = [*PROGRAM, str(server.port), "--duration", "600", "--rate", "100"]
    program = run(command, terminal=terminal)
    terminal.screen.expect(r"\rmeasuring \d+\.\d s  [1-9]\d* right  [\d,]+/s  p99 ")
    program.tell(signal.SIGINT)
    terminal.screen.expect("interrupted")
    terminal.screen.expect(r"right answers +[1-9]")
    assert program.wait() == INTERRUPTED


def test_interrupted_with_files_that_cannot_be_written(serve, run, terminal, tmp_path):
    server = serve()
    folder = tmp_path / "gone"
    folder.mkdir()
    files = ["--json", "gone/figures.json", "--chart", "gone/latency.svg"]
    program = run([*PROGRAM, str(server.port), "--rate", "100", *files], terminal=terminal)
    terminal.screen.expect(r"\rmeasuring ")
    folder.rmdir()
    program.tell(signal.SIGINT)
    terminal.screen.expect(r"bench: gone/figures.json: No such file or directory\r\n$")
    assert program.wait() == INTERRUPTED


def test_no_chart_without_answers(measured, bench, tmp_path):
    with lying(lambda connection: connection.recv(10)) as port:
        status, _, err = bench(port, "--connections", 1, "--count", 5, "--chart", "latency.svg")
    assert status == UNEXPECTED
    assert err == "twisted-sock bench: latency.svg is not written, as there were no answers\n"
    assert not (tmp_path / "latency.svg").exists()


def test_the_examples_of_the_docs(serve, bench, tmp_path):
    """As they stand, but for the address and how long they take."""
    server = serve()
    (tmp_path / "questions.txt").write_text("one\ntwo\n")
    shown = "".join(blocks("docs/bench.md", "sh"))
    commands = re.findall(r"^twisted-sock bench localhost:1234(.*)", shown, re.MULTILINE)
    assert commands
    for command in commands:
        short = ["--count", "100", "--warmup", "0"]
        status, _, err = bench(f"localhost:{server.port}", *command.split(), *short)
        assert (status, err) == (OK, "")
