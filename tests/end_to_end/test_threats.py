"""What goes wrong with servers of this kind, one test each, against a real process."""

import re
import signal
import socket
import struct
import sys
import time
from contextlib import ExitStack, suppress

import pytest

from .programs import HOST, SLACK, Client, Growth, Server, ask, meanwhile, script

MB = 1_000_000

#: Memory that one peer's misbehaviour may cost, in bytes.
AFFORDABLE = 8 << 20

PLUGS = """
import asyncio
import sys
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted_sock.protocol import LineProtocol

def big(line):
    return "x" * 4095

def raises(line):
    raise ValueError(line)

def never(line):
    return Deferred()

async def later(line):
    await deferLater(reactor, 0.05)
    return line

def endless(line):
    while True:
        yield "x" * 1023

async def stubborn(line):
    while True:
        try:
            await Deferred()
        except CancelledError:
            pass

def one_string(line):
    return "x" * (int(line) - 1)

def generator(line):
    return (f"{number:0999}" for number in range(int(line) // 1000))

async def agenerator(line):
    for number in range(int(line) // 1000):
        yield f"{number:0999}"

def exits(line):
    sys.exit(3)

async def exits_later(line):
    sys.exit(3)

async def cancelled(line):
    raise asyncio.CancelledError

def spoilt(line):
    yield "one"
    raise ValueError(line)

def splits(line):
    return "one" + chr(10) + "two"

def number(line):
    return 5

class Unborn(LineProtocol):
    born = 0

    def __init__(self):
        Unborn.born += 1
        if Unborn.born == 2:
            raise ValueError("the second one is not born")

    def lineReceived(self, line):
        if line != "wait":
            return line
        answer = Deferred()
        reactor.callLater(0.5, answer.callback, "waited")
        return answer

class Unforgiving(LineProtocol):
    def lineReceived(self, line):
        return line

    def connectionLost(self, reason):
        sys.exit(3)

class Wordy(LineProtocol):
    def lineReceived(self, line):
        return line

    def problem_line(self, problem):
        return "one" + chr(10) + "two"

class Closes(LineProtocol):
    def lineReceived(self, line):
        self.sendLine("x" * int(line))
        self.close()

at_work = 0

async def crowded(line):
    global at_work
    at_work += 1
    seen = at_work
    await deferLater(reactor, 0)
    at_work -= 1
    return str(seen)
"""

GOODBYE = b"ERR shutdown the server is stopping\n"

LOG_INJECTION = "{log_source.boom()} {log_namespace} {log_system}"
TERMINAL_INJECTION = "\x1b[2J\rroot: \u202egpj \x9b31m"


@pytest.fixture(autouse=True)
def _plugs(plug):
    plug("plugs", PLUGS)


def numbered(size):
    """So many bytes of lines, no two alike."""
    return b"".join(b"%07d\n" % number for number in range(size // 8))


def test_threat_1_replies_that_are_not_read(serve):
    server = serve("--protocol", "plugs.big", "--stall-timeout", "1")
    assert len(ask(server.port, b"\n" * 10)) == 10 * 4096
    growth = Growth(server.pid)
    with Client(server.port) as greedy:
        greedy.say(b"\n" * 100_000)
        server.out.expect("ERR slow")
        assert growth.bytes < AFFORDABLE
        assert len(ask(server.port, b"\n")) == 4096
        assert greedy.reset()


def test_threat_1_a_pipeline_that_is_never_read(serve):
    server = serve("--stall-timeout", "1")
    ask(server.port, numbered(MB))
    growth = Growth(server.pid)
    with Client(server.port) as greedy:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            greedy.say(b"x\n" * 20_000_000)
        server.out.expect("ERR slow")
    assert growth.bytes < AFFORDABLE
    assert ask(server.port, b"next\n") == b"next\n"


def test_threat_1_a_slow_reader_gets_everything(serve):
    server = serve("--protocol", "plugs.big")
    ask(server.port, b"\n" * 10)
    growth = Growth(server.pid)
    with Client(server.port) as slow, meanwhile(lambda: slow.say(b"\n" * 20_000)):
        answer = bytearray()
        while len(answer) < 20_000 * 4096:
            answer += slow.read(1 << 20)
    assert answer.count(b"x" * 4095 + b"\n") == 20_000
    assert growth.bytes < AFFORDABLE


def test_threat_2_stuck_peers_do_not_hold_up_a_stop(serve):
    server = serve("--protocol", "plugs.endless", "--close-grace", "1", "--drain-timeout", "2")
    with ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(Client(server.port))
            client.say(b"go\n")
            assert client.read(1) == b"x"
        begun = time.monotonic()
        assert server.stop() == -signal.SIGTERM
        assert time.monotonic() - begun < 1 + 2 + SLACK


def test_threat_2_a_stuck_peer_is_let_go_after_a_close(serve):
    server = serve("--protocol", "plugs.Closes", "--close-grace", "1")
    with Client(server.port) as stuck:
        stuck.say(b"20000000\n")
        server.out.expect("ERR stuck")
        assert stuck.reset()


def test_threat_2_a_peer_that_keeps_its_side_open_is_let_go(serve):
    server = serve("--protocol", "plugs.Closes", "--close-grace", "1")
    with Client(server.port) as client:
        client.say(b"10\n")
        assert client.rest() == b"x" * 10 + b"\n"
        begun = time.monotonic()
        assert server.stop() == -signal.SIGTERM
        assert time.monotonic() - begun < 1 + SLACK


def test_threat_3_a_line_in_small_pieces(serve):
    """What it costs is in tests/test_framing.py; here, that it arrives."""
    server = serve("--max-line", "256K")
    line = b"x" * (256 << 10) + b"\n"
    with Client(server.port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(line), 64):
            client.say(line[start : start + 64])
        assert client.line() == line


def test_threat_4_a_peer_that_still_sends_hears_why_it_is_closed(serve):
    server = serve("--overlong", "close", "--max-line", "1000")
    with Client(server.port) as client:
        client.say(b"x" * 10 * MB)
        client.end()
        assert client.rest() == b"ERR too-long a line may have at most 1000 bytes\n"
    server.stop()
    assert server.out.whole().count("too-long") == 1
    assert "xxx" not in server.out.whole()


@pytest.mark.parametrize(
    ("reply", "answers"),
    [("raises", 1), ("spoilt", 2), ("splits", 1), ("number", 1), ("cancelled", 1)],
)
def test_threat_5_a_handler_that_fails_keeps_its_connection(serve, reply, answers):
    server = serve("--protocol", f"plugs.{reply}")
    server.raises = True
    with Client(server.port) as client:
        for _ in range(3):
            client.say(b"line\n")
            lines = [client.line() for _ in range(answers)]
            assert re.fullmatch(rb"ERR internal [0-9a-f]+\n", lines[-1])
    server.stop()
    assert server.out.whole().count("Traceback") == 1


@pytest.mark.parametrize("reply", ["exits", "exits_later", "cancelled"])
def test_threat_5_a_handler_that_exits_does_not_stop_the_others(serve, reply):
    server = serve("--protocol", f"plugs.{reply}", "--drain-timeout", "1")
    server.raises = True
    with Client(server.port) as client:
        client.say(b"line\n")
        assert ask_and_leave(server.port)
    begun = time.monotonic()
    assert server.stop() == -signal.SIGTERM
    assert time.monotonic() - begun < 1 + SLACK


def test_threat_5_a_line_protocol_that_cannot_be_made_harms_no_other(serve):
    server = serve("--protocol", "plugs.Unborn")
    server.raises = True
    with Client(server.port) as client:
        assert client.ask(b"first\n") == b"first\n"
        with Client(server.port) as unborn:
            refusal(unborn)
        client.say(b"wait\n")
        assert ask(server.port, b"third\n") == b"third\n"
        server.tell(signal.SIGTERM)
        assert client.rest() == b"waited\n" + GOODBYE


def test_threat_5_a_problem_told_in_words_that_cannot_be_sent(serve):
    server = serve("--protocol", "plugs.Wordy")
    server.raises = True
    with Client(server.port) as client:
        client.say(b"one\n\xff\n")
        assert client.line() == b"one\n"
        client.say(b"two\n")
        assert client.line() != b""


def test_threat_12_8_mb_of_lines_then_a_half_close(serve):
    server = serve()
    lines = numbered(8 * MB)
    answer = ask(server.port, lines)
    assert len(answer) == 8 * MB
    assert answer.split() == sorted(lines.split())


@pytest.mark.parametrize("reply", ["one_string", "generator", "agenerator"])
def test_threat_12_8_mb_in_answer_to_a_half_closed_peer(serve, reply):
    server = serve("--protocol", f"plugs.{reply}")
    assert len(ask(server.port, b"8000000")) == 8 * MB


@pytest.mark.parametrize("endpoint", ["haproxy:tcp:0", "tcp:0:proxy=loopback"])
def test_threat_12_a_half_close_behind_haproxy(twistd, endpoint):
    """Even when the replies come late."""
    server = twistd("--endpoint", endpoint, "--protocol", "plugs.later", kind=Server)
    server.wait_until_it_listens()
    with Client(server.port) as client:
        server.tell(signal.SIGSTOP)
        client.say(b"PROXY TCP4 192.0.2.7 127.0.0.1 4000 80\r\none\ntwo\n")
        client.end()
        server.tell(signal.SIGCONT)
        assert client.rest() == b"one\ntwo\n"


@pytest.mark.parametrize("reply", ["one_string", "generator", "agenerator"])
@pytest.mark.parametrize("signals", [1, 2], ids=["one-signal", "two-signals"])
def test_threat_13_sigterm_in_the_middle_of_a_reply(serve, reply, signals):
    server = serve("--protocol", f"plugs.{reply}")
    server.raises = signals > 1  # Twisted logs that it is being stopped twice
    with Client(server.port) as client:
        client.say(b"20000000\n")
        begun = client.read(1000)
        for _ in range(signals):
            server.tell(signal.SIGTERM)
            server.out.expect("Received SIGTERM")
        rest = client.rest()
    assert rest[-len(GOODBYE) :] == GOODBYE
    assert len(begun) + len(rest) == 20 * MB + len(GOODBYE)
    assert server.wait() == -signal.SIGTERM


def test_threat_13_sigterm_in_the_middle_of_a_pipeline(serve):
    server = serve()
    lines = numbered(20 * MB)
    with Client(server.port) as client, meanwhile(lambda: (client.say(lines), client.end())):
        answer = client.read()
        server.tell(signal.SIGTERM)
        answer += client.rest()
    assert answer[-len(GOODBYE) :] == GOODBYE
    assert lines.startswith(answer[: -len(GOODBYE)])
    assert server.wait() == -signal.SIGTERM


@pytest.mark.parametrize("reply", ["never", "stubborn"])
def test_threat_13_a_reply_that_never_comes_ends_with_the_drain(serve, reply):
    server = serve("--protocol", f"plugs.{reply}", "--drain-timeout", "1")
    with Client(server.port) as client:
        client.say(b"one\n")
        assert ask_and_leave(server.port)
        begun = time.monotonic()
        assert server.stop() == -signal.SIGTERM
        assert time.monotonic() - begun < 1 + SLACK
        client.reset()


def ask_and_leave(port):
    """Ask for a reply that does not come, and be gone; what was asked before has been read."""
    with Client(port) as client:
        client.say(b"\xff\n")
        return client.line().startswith(b"ERR utf8")


def test_threat_13_a_reply_that_never_ends_ends_with_the_drain(serve):
    server = serve("--protocol", "plugs.endless", "--drain-timeout", "1")
    with Client(server.port) as client:
        client.say(b"go\n")
        client.line()
        begun = time.monotonic()
        server.tell(signal.SIGTERM)
        client.reset()
        assert server.wait() == -signal.SIGTERM
        assert time.monotonic() - begun < 1 + SLACK


def test_threat_13_a_connection_that_was_lost_badly_does_not_hold_up_a_stop(serve):
    server = serve("--protocol", "plugs.Unforgiving", "--drain-timeout", "1")
    server.raises = True
    assert ask(server.port, b"one\n") == b"one\n"
    begun = time.monotonic()
    assert server.stop() == -signal.SIGTERM
    assert time.monotonic() - begun < 1 + SLACK


def test_threat_13_nobody_new_is_let_in_while_stopping(serve):
    server = serve("--protocol", "plugs.never", "--drain-timeout", "2")
    with Client(server.port) as client:
        client.say(b"one\n")
        assert ask_and_leave(server.port)
        server.tell(signal.SIGTERM)
        server.out.expect(r"TCP Port \d+ Closed")
        with suppress(ConnectionError):  # refused; or, if it was quick, not answered
            assert ask(server.port, b"\xff\n") in (b"", GOODBYE)
        assert server.running()
        server.wait()


def bad_lines(text):
    """Lines with this text in them that lead to lines in the log."""
    raw = text.replace("\r", "").encode()
    return raw + b"\n", raw + b"\xff\n", raw * 20_000 + b"\n"


def test_threat_18_what_a_peer_says_is_not_evaluated_in_the_log(serve):
    server = serve("--protocol", "plugs.raises")
    server.raises = True
    answers = ask(server.port, b"".join(bad_lines(LOG_INJECTION))).decode().split("\n")
    assert [answer.split()[1] for answer in answers[:-1]] == ["internal", "utf8", "too-long"]
    server.stop()
    log = server.out.whole()
    assert "Unable to format" not in log
    assert LOG_INJECTION in log  # the words of the exception, as they were said


def test_threat_18_a_unix_peers_name_is_not_evaluated_in_the_log(serve, tmp_path, monkeypatch):
    log = log_of_unix_peer(serve, tmp_path, monkeypatch, "{log_namespace}")
    assert "unix:{log_namespace}: ERR utf8" in log


def log_of_unix_peer(serve, tmp_path, monkeypatch, name):
    """The log after a problem with a UNIX peer that calls itself so."""
    monkeypatch.chdir(tmp_path)  # a UNIX socket's path is short
    server = serve("--endpoint", "unix:sock")
    server.out.expect("listens on UNIXAddress")
    with socket.socket(socket.AF_UNIX) as peer:
        peer.bind(name)
        peer.connect("sock")
        peer.sendall(b"\xff\n")
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1024).startswith(b"ERR utf8")
    server.stop()
    return server.out.whole()


def unsafe(log):
    """The characters in a log that could disturb a terminal."""
    return set(re.findall("[^\n\t\x20-\x7e\xa0-\u061b\u061d-\u200d\u2010-\u2027]", log))


def test_threat_19_what_a_peer_says_cannot_disturb_a_terminal_with_the_log(serve):
    server = serve()
    ask(server.port, b"".join(bad_lines(TERMINAL_INJECTION)))
    server.stop()
    assert "ERR utf8" in server.out.whole()
    assert unsafe(server.out.whole()) == set()


def test_threat_19_nor_can_the_exceptions_that_it_leads_to(serve):
    server = serve("--protocol", "plugs.raises")
    server.raises = True
    assert ask(server.port, TERMINAL_INJECTION.encode() + b"\n").startswith(b"ERR internal")
    server.stop()
    assert "ValueError" in server.out.whole()
    assert unsafe(server.out.whole()) == set()


def test_threat_19_nor_can_a_unix_peers_name(serve, tmp_path, monkeypatch):
    log = log_of_unix_peer(serve, tmp_path, monkeypatch, TERMINAL_INJECTION + "\nfake")
    assert r"unix:\x1b[2J\x0droot: \u202egpj \x9b31m\x0afake: ERR utf8" in log
    assert unsafe(log) == set()


@pytest.mark.parametrize("policy", ["lines", "chunk"])
def test_threat_20_only_a_newline_ends_a_line(serve, policy):
    server = serve("--framing", policy, "--protocol", "builtins.ascii")
    text = "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i\rj\x00k"
    with Client(server.port) as client:
        client.say(text.encode() + b"\n" * (policy == "lines"))
        client.end()
        assert client.rest().decode().removesuffix("\n") == ascii(text)


def test_threat_21_what_is_not_utf8_is_told_and_the_connection_stays(serve):
    server = serve()
    wrong = {
        "overlong slash": b"\xc0\xaf",
        "overlong in three": b"\xe0\x80\xaf",
        "overlong in four": b"\xf0\x80\x80\xaf",
        "overlong nul": b"\xc0\x80",
        "surrogate": b"\xed\xa0\x80",
        "pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
        "beyond unicode": b"\xf4\x90\x80\x80",
        "five bytes": b"\xf8\x88\x80\x80\x80",
        "never valid": b"\xff",
        "cut": b"\xe4\xb8",
    }
    with Client(server.port) as client:
        for raw in wrong.values():
            assert client.ask(b"ok" + raw + b"\n") == (
                b"ERR utf8 the line is not valid UTF-8 at byte 2\n"
            )
            assert client.ask(b"still here\n") == b"still here\n"
        together = b"".join(b"before\n" + raw + b"\nafter\n" for raw in wrong.values())
        client.say(together)
        client.end()
        answers = client.rest().split(b"\n")[:-1]
    assert [a for a in answers if not a.startswith(b"ERR utf8")] == [b"before", b"after"] * 10
    assert [a[:8] for a in answers[1::3]] == [b"ERR utf8"] * 10


def test_kill_9_and_a_start_on_the_same_port_at_once(serve, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a UNIX socket's path is short
    server = serve("--endpoint", "unix:sock")
    server.out.expect("listens on UNIXAddress")
    with Client(server.port) as client, Client("sock") as local:
        assert client.ask(b"one\n") == local.ask(b"one\n") == b"one\n"
        server.tell(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        again = serve("--endpoint", "unix:sock", port=server.port)
        again.out.expect("listens on UNIXAddress")
        assert again.port == server.port
        assert ask(again.port, b"two\n") == ask("sock", b"two\n") == b"two\n"


def test_a_stop_and_a_start_on_the_same_port_at_once(serve):
    server = serve()
    with Client(server.port) as client:
        client.ask(b"one\n")
        server.tell(signal.SIGTERM)
        assert client.rest() == GOODBYE
    server.wait()
    again = serve(port=server.port)
    assert ask(again.port, b"two\n") == b"two\n"


BUSY = b"ERR busy too many connections, try again later\n"


def test_connections_past_the_limit_are_told_and_the_others_go_on(serve):
    server = serve("--max-connections", "5")
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(server.port)) for _ in range(5)]
        assert [client.ask(b"one\n") for client in inside] == [b"one\n"] * 5
        assert [ask(server.port, b"") for _ in range(100)] == [BUSY] * 100
        assert [client.ask(b"two\n") for client in inside] == [b"two\n"] * 5
        inside[0].end()
        assert inside[0].rest() == b""
        inside[0].socket.close()
        with Client(server.port) as late:
            assert late.ask(b"three\n") == b"three\n"
    server.stop()
    assert server.out.whole().count("busy") <= 100


#: A port that lets a flood queue up, where the system's would make each client wait a second.
WIDE = f"tcp:0:interface={HOST}:backlog=1000"


def test_a_flood_past_the_limit_leaves_the_others_in_peace(serve):
    server = serve("--max-connections", "5", port=WIDE)
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(server.port)) for _ in range(5)]
        assert [client.ask(b"one\n") for client in inside] == [b"one\n"] * 5
        flood = crowd(stack, server.port, 500)
        assert [client.ask(b"two\n") for client in inside] == [b"two\n"] * 5
        said = [refusal(client) for client in flood]
        assert set(said) == {BUSY, b""}
        assert said[:32] == [BUSY] * 32
        assert [client.ask(b"three\n") for client in inside] == [b"three\n"] * 5


def crowd(stack, port, count):
    """So many clients that try to connect; those that are not thrown out at once."""
    clients = []
    for _ in range(count):
        with suppress(ConnectionResetError):
            clients.append(stack.enter_context(Client(port)))
    return clients


def refusal(client):
    """What a client that is not let in is told, if anything."""
    try:
        return client.rest()
    except ConnectionResetError:
        return b""


#: Lets itself open only so many files, then becomes another program.
FEW_FILES = """
import os, resource, sys
files = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def cramped(run):
    """A server that can open 128 files."""
    few = [sys.executable, "-c", FEW_FILES, "128"]
    options = ["-n", "--pidfile=", "sockservice", "--port", WIDE]
    server = run([*few, *script("twistd"), *options], kind=Server)
    server.wait_until_it_listens()
    return server


def test_threat_6_few_open_files_keep_serving(cramped):
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(cramped.port)) for _ in range(64)]
        assert [client.ask(b"one\n") for client in inside] == [b"one\n"] * 64
        flood = crowd(stack, cramped.port, 300)
        assert [client.ask(b"two\n") for client in inside] == [b"two\n"] * 64
        assert {refusal(client) for client in flood} == {BUSY, b""}
        assert [client.ask(b"three\n") for client in inside] == [b"three\n"] * 64
        for client in flood:
            client.socket.close()
        inside[0].end()
        assert inside[0].rest() == b""
        assert ask(cramped.port, b"four\n") == b"four\n"


def test_threat_6_few_open_files_do_not_fill_the_log(cramped):
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(cramped.port)) for _ in range(64)]
        assert [client.ask(b"one\n") for client in inside] == [b"one\n"] * 64
        flood = crowd(stack, cramped.port, 300)
        assert {refusal(client) for client in flood} == {BUSY, b""}
    cramped.stop()
    log = cramped.out.whole()
    assert log.count("EMFILE") == 0
    assert log.count("busy") < 100


def test_resets_from_many_peers_are_taken_in_stride(serve):
    server = serve("--protocol", "plugs.big")
    for _ in range(100):
        with Client(server.port) as rude:
            rude.say(b"\n" * 1000)
            rude.read(1)
            rude.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert len(ask(server.port, b"\n")) == 4096
    server.stop()
    assert len(server.out.whole().splitlines()) < 20


def test_threat_26_http_on_a_port_for_lines(serve):
    """What a page in a browser can be made to send is not taken for lines."""
    server = serve("--protocol", "str.upper")
    request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\nshutdown\n"
    for _ in range(3):
        answer = ask(server.port, request)
        assert answer == b"ERR foreign HTTP was sent to a port for lines\n"
    assert ask(server.port, b"hello\n") == b"HELLO\n"
    server.stop()
    assert server.out.whole().count("HTTP was sent to a port for lines") == 3


def test_threat_26_tls_on_a_port_for_lines(serve):
    server = serve()
    with Client(server.port) as client:
        client.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert client.rest() == b"ERR foreign TLS was sent to a port for lines\n"


def test_threat_28_lines_that_were_read_wait_their_turn(serve):
    server = serve("--protocol", "plugs.crowded")
    assert ask(server.port, b"line\n" * 1000) == b"1\n" * 1000


def test_threat_28_lines_that_were_read_are_not_delivered_after_a_close(serve):
    server = serve("--protocol", "plugs.Closes")
    assert ask(server.port, b"3\n" * 1000) == b"xxx\n"
