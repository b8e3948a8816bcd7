"""The classic program: bare sockets on one side, a person at a terminal on the other."""

import os
import signal
import subprocess
import sys
import termios
from contextlib import suppress

import pytest

from .programs import Client, Growth, Server, meanwhile, script

CONSOLE = ("--protocol", "console")
CLASSIC = ("--framing", "chunk", *CONSOLE)

#: Makes standard input the terminal that Ctrl-C is for, then becomes another program.
AT_THE_KEYBOARD = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Operator:
    """A person at the terminal of a running service."""

    def __init__(self, server, terminal):
        self.server = server
        self.port = server.port
        self.screen = terminal.screen
        self.type = terminal.type
        self.sees = terminal.screen.expect


@pytest.fixture
def operator(serve, terminal):
    """Start the service on a terminal, where a person waits for clients."""

    def start(*options):
        server = serve(*options, terminal=terminal)
        terminal.screen.expect("Waiting for clients")
        return Operator(server, terminal)

    return start


@pytest.fixture
def piped(serve):
    """Start the console with some input from a pipe."""

    def start(text, *options):
        read, write = os.pipe()
        os.write(write, text)
        os.close(write)
        try:
            return serve(*CONSOLE, *options, stdin=read)
        finally:
            os.close(read)

    return start


# At the terminal.


def test_a_bare_client_gets_what_the_operator_types(operator):
    person = operator(*CLASSIC)
    with Client(person.port) as client:
        client.say(b"hello")
        person.sees(r"\[1\] 127\.0\.0\.1:\d+ connected\r\n\[1\] hello\r\n")
        person.type("hi there\n")
        assert client.read(1024) == b"hi there"


def test_a_bare_client_can_go_on_talking(operator):
    person = operator(*CLASSIC)
    with Client(person.port) as client:
        for number in range(3):
            client.say(b"question %d" % number)
            person.sees(rf"\[1\] question {number}\r\n")
            person.type(f"answer {number}\n")
            assert client.read(1024) == b"answer %d" % number
        client.end()
        assert client.rest() == b""
    person.sees(r"\[1\] gone \(done\)")


def test_chinese_goes_both_ways(operator):
    person = operator(*CLASSIC)
    with Client(person.port) as client:
        client.say("你好吗".encode())
        person.sees(r"\[1\] 你好吗\r\n")
        person.type("我很好，世界\n")
        assert client.read(1024).decode() == "我很好，世界"


@pytest.mark.parametrize("cut", [2, 3, 5, 6])
def test_a_character_cut_in_the_middle_is_not_lost(operator, cut):
    person = operator(*CLASSIC)
    data = "a世界".encode()
    with Client(person.port) as client, Client(person.port) as other:
        client.say(data[:cut])
        other.say(b"meanwhile")
        person.sees(r"\[2\] meanwhile\r\n")  # what was sent before it has been read as well
        client.say(data[cut:])
        person.sees(r"\[1\] a世界\r\n")
        person.type("@1 whole\n")
        assert client.read() == b"whole"


def test_once_closes_after_the_answer(operator):
    person = operator("--framing", "chunk", "--protocol", "console:once=yes")
    with Client(person.port) as client:
        client.say(b"hello")
        person.sees(r"\[1\] hello\r\n")
        person.type("bye\n")
        assert client.rest() == b"bye"
    person.sees(r"\[1\] gone \(closed\)")
    with Client(person.port) as client:
        client.say(b"me too")
        person.sees(r"\[2\] me too\r\n")
        person.type("bye\n")
        assert client.rest() == b"bye"


def test_clients_are_told_apart_and_addressed(operator):
    person = operator(*CLASSIC)
    with Client(person.port) as first, Client(person.port) as second:
        first.say(b"I am first")
        person.sees(r"I am first\r\n")
        second.say(b"I am second")
        person.sees(r"I am second\r\n")
        numbers = dict(reversed(line) for line in said_by(person.screen.text))
        person.type(f"@{numbers['I am second']} for the second\n")
        assert second.read() == b"for the second"
        person.type(f"@{numbers['I am first']} for the first\n")
        assert first.read() == b"for the first"
        person.type("@all for all\n")
        assert first.read() == second.read() == b"for all"


def said_by(text):
    """What clients said, as the screen shows it: pairs of number and words."""
    for line in text.replace("\r", "").split("\n"):
        number, bracket, words = line.removeprefix("[").partition("] ")
        if line.startswith("[") and bracket:
            yield number, words


def test_the_oldest_question_is_answered_first(operator):
    person = operator(*CLASSIC)
    with Client(person.port) as first, Client(person.port) as second:
        first.say(b"earlier")
        person.sees(r"earlier\r\n")
        second.say(b"later")
        person.sees(r"later\r\n")
        person.type("one\n")
        assert first.read() == b"one"
        person.sees(r"Next, \[\d\]: later\r\n")
        person.type("two\n")
        assert second.read() == b"two"


def test_who_close_and_help(operator):
    person = operator(*CLASSIC)
    with Client(person.port) as client:
        client.say(b"anybody?")
        person.sees(r"anybody\?\r\n")
        person.type("/who\n")
        person.sees(r"\[1\] 127\.0\.0\.1:\d+ waits: anybody\?\r\n")
        person.type("/help\n")
        person.sees(r"/close 2 +close")
        person.type("/close 1\n")
        person.type("@1 one last word\n")
        assert client.rest() == b"one last word"
    person.sees(r"\[1\] gone")
    person.type("@1 hello?\n")
    person.sees("There is no client 1")
    person.type("/nonsense\n")
    person.sees("There is no /nonsense")


def test_a_client_cannot_play_with_the_terminal(operator):
    person = operator(*CLASSIC)
    with Client(person.port) as client:
        client.say("\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202egpj.exe\n[2] trust me".encode())
        person.sees("trust me\r\n")
        shown = person.screen.text.partition("connected\r\n")[2]
    expected = r"[1] \x1b[2J\x1b]0;owned\x07\x0d\x9b31m\u202egpj.exe\x0a[2] trust me"
    assert shown == expected + "\r\n"


def test_lines_of_a_telnet_like_client_are_answered_in_order(operator):
    person = operator(*CONSOLE)
    with Client(person.port) as client:
        client.say(b"one\r\ntwo\r\n")
        person.sees(r"\[1\] one\r\n")
        person.type("first\n")
        assert client.line() == b"first\r\n"
        person.sees(r"\[1\] two\r\n")
        person.type("second\n")
        assert client.line() == b"second\r\n"


def test_a_problem_is_told_to_both_sides(operator):
    person = operator(*CONSOLE)
    with Client(person.port) as client:
        assert client.ask(b"\xff\n").startswith(b"ERR utf8")
        person.sees(r"\[1\] ERR utf8")
        client.say(b"still here\n")
        person.sees(r"\[1\] still here")


def test_a_terminal_that_is_stopped_does_not_cost_memory(operator):
    person = operator(*CONSOLE)
    person.server.raises = True  # its log goes to the same terminal
    person.type("\x13")  # Ctrl-S
    growth = Growth(person.server.pid)
    count = 200_000
    with Client(person.port) as client, meanwhile(lambda: client.say(b"\xff\n" * count)):
        client.socket.settimeout(3)
        answers = 0
        with suppress(TimeoutError):  # to hold the client back would be right as well
            while answers < count:
                answers += client.read(1 << 20).count(b"\n")
    assert growth.bytes < 8 << 20
    person.type("\x11")  # Ctrl-Q


def test_the_end_of_the_terminal_ends_the_conversation(operator):
    person = operator(*CLASSIC)
    with Client(person.port) as client:
        client.say(b"hello")
        person.sees(r"hello\r\n")
        person.type("\x04")  # Ctrl-D
        person.sees("Standard input has ended")
        assert client.rest() == b""
    with Client(person.port) as client:
        client.say(b"anybody?")
        assert client.rest() == b""


def test_ctrl_c_ends_the_service(run, terminal):
    keyboard = [sys.executable, "-c", AT_THE_KEYBOARD]
    options = ["-n", "--pidfile=", "sockservice", "--port", "0", *CLASSIC]
    server = run([*keyboard, *script("twistd"), *options], kind=Server, terminal=terminal)
    server.wait_until_it_listens()
    terminal.screen.expect("Waiting for clients")
    with Client(server.port) as client:
        client.say(b"hello")
        terminal.screen.expect(r"hello\r\n")
        terminal.type("bye\n")
        assert client.read() == b"bye"
        terminal.type("\x03")
        assert client.rest() == b"ERR shutdown the server is stopping"
    assert server.wait() == -signal.SIGINT


@pytest.mark.parametrize("options", [CONSOLE, ()], ids=["console", "echo"])
def test_the_terminal_is_left_as_it_was(serve, terminal, options):
    before = termios.tcgetattr(terminal.fd)
    server = serve(*options, terminal=terminal)
    with Client(server.port) as client:
        client.say(b"hello\n")
        if options:
            terminal.screen.expect(r"\[1\] hello\r\n")
            terminal.type("hello\n")
        assert client.line() == b"hello\n"
    server.tell(signal.SIGINT)
    server.wait()
    assert os.get_blocking(terminal.fd)
    assert termios.tcgetattr(terminal.fd) == before


def test_the_terminal_is_left_as_it_was_by_a_pipe(serve, terminal):
    read, write = os.pipe()
    try:
        os.write(write, b"hello\n")
        server = serve(*CONSOLE, stdin=read, terminal=terminal)
        with Client(server.port) as client:
            assert client.ask(b"hello\n") == b"hello\n"
        server.tell(signal.SIGINT)
        server.wait()
        assert os.get_blocking(terminal.fd)
        assert os.get_blocking(read)
    finally:
        os.close(read)
        os.close(write)


# From a pipe.


def test_a_pipe_answers_in_order_then_ends(piped):
    server = piped(b"yes\nno\n")
    with Client(server.port) as client:
        assert client.ask(b"one?\n") == b"yes\n"
        assert client.ask(b"two?\n") == b"no\n"
        client.say(b"three?\n")
        assert client.rest() == b""
    assert server.stop() == -signal.SIGTERM


def test_a_pipe_answers_questions_that_came_before_its_end(piped):
    server = piped("是\n不".encode())
    with Client(server.port) as client:
        client.say(b"one?\ntwo?\nthree?\n")
        assert client.rest().decode() == "是\n不\n"


def test_a_pipe_answers_a_bare_client(piped):
    server = piped(b"yes\nno\n", "--framing", "chunk")
    with Client(server.port) as client:
        client.say(b"one?")
        assert client.read(1024) == b"yes"
    with Client(server.port) as client:
        client.say(b"two?")
        assert client.read(1024) == b"no"


def test_a_long_pipe_waits_for_its_questions(piped):
    count = 5_000
    server = piped(b"".join(b"%d\n" % number for number in range(count)))
    with Client(server.port) as client:
        client.say(b"?\n" * count)
        client.end()
        assert client.rest().split() == [b"%d" % number for number in range(count)]


def test_a_file_answers_like_a_pipe(serve, tmp_path):
    (tmp_path / "answers").write_bytes(b"yes\nno\n")
    with open(tmp_path / "answers", "rb") as answers:
        server = serve(*CONSOLE, stdin=answers.fileno())
    with Client(server.port) as client:
        client.say(b"one?\ntwo?\nthree?\n")
        assert client.rest() == b"yes\nno\n"


def test_nobody_at_standard_input_is_one_clear_line(twistd):
    program = twistd("--port", "0", *CONSOLE, stdin=subprocess.DEVNULL)
    assert program.wait() == 1
    said = program.err.whole()
    assert len(said.splitlines()) == 1, said
    assert said.startswith("sockservice: console: nobody is at standard input")
    assert "Traceback" not in program.out.whole()
