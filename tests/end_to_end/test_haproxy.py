"""The PROXY protocol: a real HAProxy in front of a real service, and who pretends to be one."""

import csv
import os
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection

import pytest

from tests.certificates import Issued
from tests.test_docs import ROOT
from tests.test_proxy_header import LINE4, V2_6

from .programs import HOST, PATIENCE, Client, Output, Server, require, require_module, script

#: Where clients connect from, so that they are told from HAProxy.
CLIENT = "127.0.0.5"

#: Connections that one address may have at once.
MOST = 50

PLUG = """
from twisted.internet.defer import Deferred
from twisted_sock import LineProtocol

class Who(LineProtocol):
    current = 0
    own = 0  # conversations that the proxy has had itself
    waiting = {}

    def connectionMade(self):
        Who.current += 1
        Who.own += self.peer.via is None

    def lineReceived(self, line):
        word, _, name = line.partition(" ")
        return getattr(self, word)(name)

    def who(self, _):
        via = self.peer.via
        host = getattr(via, "host", via and "unix")
        return f"{self.peer} via {host} {self.peer.identity}".strip()

    def wait(self, name):
        self.waiting[name] = Deferred()
        return self.waiting[name]

    def fire(self, name):
        self.waiting.pop(name).callback(f"late {name}")
        return "fired"

    def waits(self, name):
        return "yes" if name in self.waiting else "no"

    def count(self, _):
        return f"{Who.current} {Who.own}"

    def connectionLost(self, reason):
        Who.current -= 1
"""

#: The frontends, each in front of a server line of its own.
FRONTENDS = {
    "v1": "server s {HOST}:{tcp} send-proxy",
    "v2": "server s {HOST}:{tcp} send-proxy-v2 proxy-v2-options crc32c,unique-id",
    "six": "server s {HOST}:{tcp} send-proxy-v2",
    "six_v1": "server s {HOST}:{tcp} send-proxy",
    "tls": "server s {HOST}:{tls} send-proxy-v2",
    "tls_v1": "server s {HOST}:{tls} send-proxy",
    "unix": "server s unix@{folder}/socket send-proxy-v2",
    "plain": "server s {HOST}:{tcp}",
    "untrusted": "server s {HOST}:{untrusted} send-proxy-v2",
    "ended": "server s {HOST}:{tcp} send-proxy-v2-ssl-cn",
    "web": "server s {HOST}:{web} send-proxy-v2",
    "http": "server s {HOST}:{http}",
    "http_both": "server s {HOST}:{http}",
}

#: What else they say.
MORE = {
    "http": """
    mode http
    option forwardfor
    http-request del-header Forwarded""",
    "http_both": """
    mode http
    option forwardfor""",
}

CONFIG = """
global
    stats socket {folder}/stats
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout check 10s
"""

FRONTEND = """
listen {name}
    bind fd@{fd}{tls}{more}
    unique-id-format %ci
    {server}
"""

#: Health checks of every kind, ten a second.
CHECKS = """
backend checks
    option tcp-check
    tcp-check connect send-proxy
    tcp-check send "who\\n"
    tcp-check expect string via
    default-server inter 100
    server v1 {HOST}:{tcp} send-proxy check
    server v2 {HOST}:{tcp} send-proxy-v2 check
backend bare
    default-server inter 100
    server local {HOST}:{tcp} send-proxy-v2 check
    server line {HOST}:{tcp} send-proxy check
    server silent {HOST}:{tcp} check port {tcp}
    server unix unix@{folder}/socket send-proxy-v2 check
"""


#: What each of them finds.
HEALTHY = {
    "checks/v1": "L7OK",
    "checks/v2": "L7OK",
    "bare/local": "L4OK",
    "bare/line": "L4OK",
    "bare/silent": "L4OK",
    "bare/unix": "L4OK",
}

#: A port that proxies of this machine connect to.
BEHIND = "tcp:0:proxy=loopback"


#: The TCP ports of the service.
PORTS = {
    "tcp": BEHIND,
    "untrusted": "tcp:0:proxy=10.0.0.0/8,2001\\:db8\\:\\:/32",
    "tls": "tls:0:certificate={certificate}:proxy=loopback",
    "inside": "tls:0:certificate={certificate}:proxyInside=loopback",
    "web": "ws:0:proxy=loopback",
    "http": "ws:0:forwarded=127.0.0.1",  # the clients here are of loopback, too
}


class Behind(Server):
    """A service that listens behind proxies.

    Attributes:
        ports: its TCP ports, by what is special about them.
    """

    def wait_until_it_listens(self):
        listens = r"listens on IPv4Address\(.*port=(\d+)\)"
        self.ports = {name: int(self.out.expect(listens)[1]) for name in PORTS}
        self.port = self.ports["tcp"]
        self.out.expect(r"listens on UNIXAddress")


class HAProxy:
    """A running HAProxy.

    Attributes:
        ports: the TCP ports of the frontends.
    """

    def __init__(self, folder, places):
        self.folder = folder
        sockets = {name: listening("six" in name) for name in FRONTENDS}
        self.ports = {name: each.getsockname()[1] for name, each in sockets.items()}
        config = CONFIG.format(folder=folder)
        for name, server in FRONTENDS.items():
            config += FRONTEND.format(
                name=name,
                fd=sockets[name].fileno(),
                tls=f" ssl crt {folder}/server.pem" if name == "ended" else "",
                more=MORE.get(name, ""),
                server=server.format(HOST=HOST, folder=folder, **places),
            )
        config += CHECKS.format(HOST=HOST, folder=folder, **places)
        (folder / "haproxy.cfg").write_text(config)
        self._process = subprocess.Popen(
            [require("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[each.fileno() for each in sockets.values()],
        )
        self.out = Output(os.dup(self._process.stdout.fileno()))
        self._process.stdout.close()
        for each in sockets.values():
            each.close()

    def end(self):
        self._process.terminate()
        self._process.wait(PATIENCE)

    def checks(self):
        """The result of each health check, by its name."""
        with Client(str(self.folder / "stats")) as client:
            client.say(b"show stat\n")
            table = csv.DictReader(client.rest().decode().removeprefix("# ").splitlines())
        return {
            f"{row['pxname']}/{row['svname']}": row["check_status"].removeprefix("* ")
            for row in table
            if row["check_status"]
        }


def listening(six=False):
    """A socket on a free port, for HAProxy to take over."""
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
    made.bind(("::1" if six else HOST, 0))
    made.listen(100)
    return made


@contextmanager
def client(port, source=CLIENT):
    """A client that connects from an address."""
    made = Client.__new__(Client)
    where = "::1" if source == "::1" else HOST
    made.socket = socket.create_connection((where, port), PATIENCE, (source, 0))
    with made:
        yield made


@contextmanager
def over_tls(port, source=CLIENT, first=b""):
    """The same over TLS, with some bytes before."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with client(port, source) as made:
        made.say(first)
        made.socket = context.wrap_socket(made.socket)
        yield made


def until(condition):
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def at_the_very_end():
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("haproxy")
    (made / "who.py").write_text(PLUG)
    Issued("localhost").write(made / "server.pem")
    return made


@pytest.fixture(scope="module")
def service(folder, at_the_very_end):
    ports = [port.format(certificate=folder / "server.pem") for port in PORTS.values()]
    endpoints = [*ports, f"unix:{folder}/socket:proxy=10.0.0.0/8"]
    options = ["--protocol", "who.Who", "--max-per-peer", str(MOST)]
    options += [option for each in endpoints for option in ("--endpoint", each)]
    command = [*script("twistd"), "-n", "--pidfile=", "sockservice", *options]
    made = Behind(command, folder, env={"PYTHONPATH": str(ROOT)})
    at_the_very_end.callback(made.reap)
    made.wait_until_it_listens()
    return made


@pytest.fixture(scope="module")
def haproxy(folder, service, at_the_very_end):
    made = HAProxy(folder, service.ports)
    at_the_very_end.callback(made.end)
    return made


@pytest.mark.parametrize("frontend", ["v1", "v2"])
def test_the_address_is_the_clients(haproxy, frontend):
    with client(haproxy.ports[frontend]) as made:
        port = made.socket.getsockname()[1]
        assert made.ask(b"who\n") == f"{CLIENT}:{port} via {HOST}\n".encode()


@pytest.mark.parametrize("frontend", ["six", "six_v1"])
def test_over_ipv6(haproxy, frontend):
    with client(haproxy.ports[frontend], "::1") as made:
        port = made.socket.getsockname()[1]
        assert made.ask(b"who\n") == f"[::1]:{port} via {HOST}\n".encode()


def test_over_a_unix_socket(haproxy):
    """Its mode guards it; and that HAProxy's user is root says nothing of the client."""
    with client(haproxy.ports["unix"]) as made:
        port = made.socket.getsockname()[1]
        assert made.ask(b"who\n") == f"{CLIENT}:{port} via unix\n".encode()


@pytest.mark.parametrize("frontend", ["tls", "tls_v1"])
def test_tls_that_is_passed_through(haproxy, frontend):
    """The header comes before TLS."""
    with over_tls(haproxy.ports[frontend]) as made:
        port = made.socket.getsockname()[1]
        assert made.ask(b"who\n") == f"{CLIENT}:{port} via {HOST}\n".encode()


def test_tls_that_ends_at_the_proxy(haproxy):
    """The header has TLVs about it, which are skipped."""
    with over_tls(haproxy.ports["ended"]) as made:
        port = made.socket.getsockname()[1]
        assert made.ask(b"who\n") == f"{CLIENT}:{port} via {HOST}\n".encode()


def post(port, *fields):
    """What is answered to a question over HTTP."""
    with client(port) as made:
        where = made.socket.getsockname()
        connection = HTTPConnection(HOST, port)
        connection.sock = made.socket
        connection.request("POST", "/line", b"who\n", dict(fields))
        return connection.getresponse().read().decode(), where[1]


def test_http_and_websocket_behind_the_header(haproxy):
    answer, port = post(haproxy.ports["web"])
    assert answer == f"{CLIENT}:{port} via {HOST}\n"
    require_module("websockets")
    from websockets.sync.client import connect

    with client(haproxy.ports["web"]) as made:
        port = made.socket.getsockname()[1]
        with connect("ws://localhost/", sock=made.socket) as websocket:
            websocket.send("who")
            assert websocket.recv() == f"{CLIENT}:{port} via {HOST}"


#: What a client may claim of itself.
CLAIMED = (("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"))


def test_http_whose_head_says_who_it_is(haproxy):
    for fields in ((), CLAIMED[:1], CLAIMED):
        answer, _ = post(haproxy.ports["http"], *fields)
        assert answer == f"{CLIENT}:0 via {HOST}\n"


def test_http_whose_head_says_two_things(haproxy):
    """This proxy passes `Forwarded` on as it came."""
    answer, _ = post(haproxy.ports["http_both"], *CLAIMED)
    assert answer.startswith(f"{HOST}:")


@pytest.mark.parametrize("frontend", ["v1", "v2", "unix"])
def test_who_has_finished_gets_late_replies(haproxy, frontend):
    with client(haproxy.ports[frontend]) as made, client(haproxy.ports["v1"]) as other:
        made.say(f"wait {frontend}\nwho\n".encode())
        made.end()
        until(lambda: other.ask(f"waits {frontend}\n".encode()) == b"yes\n")
        assert other.ask(f"fire {frontend}\n".encode()) == b"fired\n"
        late, who = made.rest().decode().splitlines()
        assert (late, who.split(":")[0]) == (f"late {frontend}", CLIENT)


def test_limits_are_those_of_the_client(haproxy):
    port = haproxy.ports["v2"]
    with ExitStack() as stack:
        for _ in range(MOST):
            made = stack.enter_context(client(port, "127.0.0.7"))
            assert made.ask(b"who\n").startswith(b"127.0.0.7:")
        one_more = stack.enter_context(client(port, "127.0.0.7"))
        assert one_more.rest() == b"ERR busy too many connections, try again later\n"
        other = stack.enter_context(client(port, "127.0.0.8"))
        assert other.ask(b"who\n").startswith(b"127.0.0.8:")


def test_a_proxy_that_sends_no_header_is_told_of_in_the_log(haproxy, service):
    with client(haproxy.ports["plain"]) as made:
        made.say(b"s3cret\n")
        made.reset()
    service.out.expect(
        rf"{HOST}:\d+: ERR handshake it sent no PROXY header; have the proxy send one"
    )
    assert "s3cret" not in service.out.text


def test_a_proxy_that_is_not_trusted_is_told_of_in_the_log(haproxy, service):
    with client(haproxy.ports["untrusted"]) as made:
        made.say(b"who\n")
        made.reset()
    service.out.expect(r"ERR handshake this address is not a trusted proxy; add it to proxy=")


def test_health_checks_make_no_noise(haproxy, service):
    """Several of each kind, and nothing remains of them."""
    with client(haproxy.ports["v1"]) as made:

        def counts():
            return list(map(int, made.ask(b"count\n").split()))

        until(lambda: haproxy.checks() and "INI" not in haproxy.checks().values())
        noise = service.out.text.count("ERR")
        own = counts()[1]
        until(lambda: counts()[1] > own + 20)
        until(lambda: haproxy.checks() == HEALTHY)
        until(lambda: counts()[0] == 1)
    assert service.out.text.count("ERR") == noise


# Without a HAProxy: who speaks like one.


@pytest.mark.parametrize("header", [LINE4, V2_6, b"PROXY UNKNOWN\r\n"])
def test_byte_by_byte(service, header):
    with client(service.port) as made:
        made.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header + b"who\n":
            made.say(bytes([byte]))
        assert made.line().endswith(b"\n")


def test_a_pipe_gets_every_answer_and_late_ones(service):
    """`printf ... | nc -N`: the header, lines and an end, all at once."""
    lines = b"".join(b"who %d\n" % number for number in range(20_000))
    command = [require("nc"), "-N", HOST, str(service.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as nc:
        with client(service.port) as other:
            other.say(b"PROXY UNKNOWN\r\n")
            nc.stdin.write(LINE4 + b"who\nwait nc\n" + lines)
            nc.stdin.close()
            until(lambda: other.ask(b"waits nc\n") == b"yes\n")
            assert other.ask(b"fire nc\n") == b"fired\n"
        answers = nc.stdout.read().splitlines()
    who = b"192.0.2.1:56324 via 127.0.0.1"
    assert answers == [who, b"late nc"] + [who] * 20_000


def test_tls_with_the_header_before_it_in_one_piece(service):
    with over_tls(service.ports["tls"], first=LINE4) as made:
        assert made.ask(b"who\n") == f"192.0.2.1:56324 via {CLIENT}\n".encode()


def test_a_header_within_tls(service):
    with over_tls(service.ports["inside"]) as made:
        assert made.ask(V2_6 + b"who\n") == f"[2001:db8::1]:56324 via {CLIENT}\n".encode()
        made.say(b"who\n" * 3)
        assert [made.line() for _ in range(3)]


def test_those_who_send_none_keep_nobody_out(serve):
    server = serve("--handshake-timeout", "1", "--max-handshakes", "20", port=BEHIND)
    with client(server.port) as slow:
        slow.say(LINE4[:-1])
        slow.reset()
    server.out.expect("ERR handshake it took too long")
    with ExitStack() as stack:
        crowd = [stack.enter_context(client(server.port)) for _ in range(200)]
        with client(server.port) as made:
            assert made.ask(LINE4 + b"hello\n") == b"hello\n"
            server.out.expect("ERR handshake there are too many like it")
            for each in crowd:
                each.reset()
            assert made.ask(b"still here\n") == b"still here\n"


def test_those_who_are_not_trusted_keep_nobody_out(serve):
    server = serve("--max-handshakes", "5", port=BEHIND.replace("loopback", CLIENT))
    with client(server.port) as made:
        for _ in range(100):
            # So early that some find it out while they connect.
            with suppress(ConnectionResetError), client(server.port, "127.0.0.6") as other:
                other.reset()
        assert made.ask(LINE4 + b"hello\n") == b"hello\n"
    assert "there are too many like it" not in server.out.text
