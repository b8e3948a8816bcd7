"""HTTP as others speak it: curl, nc, nginx in front, and those who mean no good."""

from __future__ import annotations

import os
import re
import signal
import socket
import time

import pytest

from .programs import HOST, SLACK, Client, Growth, Program, Server, meanwhile, require, script

PLUG = """
from twisted_sock.protocol import LineProtocol

class Who(LineProtocol):
    def lineReceived(self, line):
        if line.startswith("big"):
            return "x" * 4095
        return f"{line} {self.peer.host} {getattr(self.peer.via, 'host', None)}"
"""

ENDPOINTS = ("ws:0", "ws:0:forwarded=loopback", "ws:unix=site.sock:forwarded=loopback")
OPTIONS = [
    *("--protocol", "who.Who", "--hosts", "front.example", "--origins", "https://a.example"),
    *("--handshake-timeout", "1", "--stall-timeout", "1"),
]


def start(folder, *options):
    """A server of the site; `ports` are those of its endpoints."""
    (folder / "who.py").write_text(PLUG)
    endpoints = [part for text in ENDPOINTS for part in ("--endpoint", text)]
    command = [*script("twistd"), "-n", "--pidfile=", "sockservice", *endpoints, *OPTIONS]
    server = Server([*command, *options], folder)
    server.folder = folder
    try:
        return wait(server)
    except BaseException:
        server.reap()
        raise


def wait(server):
    """Wait until a server listens everywhere."""
    server.ports = [
        int(server.out.expect(r" listens on IPv4Address\(.*port=(\d+)\)")[1]) for _ in range(2)
    ]
    server.out.expect(r"listens on UNIXAddress\('site.sock'\)")
    return server


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    server = start(tmp_path_factory.mktemp("site"))
    yield server
    server.reap()


@pytest.fixture
def curl(run, site):
    """Run curl on a path of the site; what it prints, with the status behind it."""
    command = [require("curl"), "-sS", "-m", "15", "-w", "%{http_code}"]

    def ask(path, *options, port=site.ports[0]):
        url = f"http://{HOST}:{port}{path}"
        program = run([*command, *options, url])
        assert program.wait() == 0, program.err.whole()
        return program.out.whole()

    return ask


def test_curl_asks(curl, tmp_path):
    assert curl("/line", "-d", "hello") == f"hello {HOST} None\n200"
    (tmp_path / "lines").write_text("a\nb\n")
    answer = f"a {HOST} None\nb {HOST} None\n200"
    assert curl("/line", "--data-binary", f"@{tmp_path}/lines") == answer
    assert curl("/line", "-T", f"{tmp_path}/lines", "-X", "POST", "-H", "Expect:") == answer
    assert curl("/line", "-0", "--data-binary", f"@{tmp_path}/lines") == answer


def test_curl_sends_a_lot(curl, tmp_path):
    (tmp_path / "lines").write_text("x" * 40 + "\n")
    with open(tmp_path / "lines", "w") as file:
        file.writelines(f"{number}\n" for number in range(50_000))
    for options in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")):
        answer = curl("/line", "--data-binary", f"@{tmp_path}/lines", *options)
        lines = answer.splitlines()
        assert (len(lines), lines[0], lines[-1]) == (50_001, f"0 {HOST} None", "200")


def test_curl_is_told_what_is_wrong(curl, tmp_path):
    (tmp_path / "much").write_text("x" * (1 << 21))
    for options, path, status, words in (
        (("-d", "x"), "/nothing", 404, "/line"),
        ((), "/line", 405, "POST"),
        (("--data-binary", f"@{tmp_path}/much"), "/line", 413, "--max-body"),
        (("-d", "{}", "-H", "Content-Type: application/json"), "/line", 415, "text/plain"),
        (("-H", "Host: evil.example"), "/", 421, "--hosts"),
        (("-d", "x", "-H", "Origin: http://evil.example"), "/line", 403, "--origins"),
        (("-d", "x", "-H", "Origin: http://b\xfc.example"), "/line", 403, "--origins"),
        (("-H", "Upgrade: websocket"), "/", 426, "Connection"),
        (("-H", "A: " + "a" * 20_000), "/", 431, "16384"),
        (("-H", "A: " + "a" * 20_000, "-d", "x"), "/line", 431, "16384"),
    ):
        answer = curl(path, *options)
        assert answer.endswith(f"\n{status}")
        assert words in answer
        assert answer.count("\n") == 1


def test_a_page_that_is_listed(curl):
    """Its browser asks first, and it may read what it is told, whatever that is."""
    page = ("-i", "-H", "Origin: https://a.example")
    asks = ("-X", "OPTIONS", "-H", "Access-Control-Request-Method: POST")
    for options, status in (
        (asks, 204),
        (("-d", "x"), 200),
        (("-d", "x", "-H", "Content-Type: application/json"), 415),
    ):
        answer = curl("/line", *page, *options)
        assert answer.endswith(str(status))
        assert "\nAccess-Control-Allow-Origin: https://a.example\n" in answer.replace("\r", "")


def test_curl_gets_the_page(curl):
    answer = curl("/", "-i")
    assert "<html" in answer
    assert "Content-Security-Policy: default-src 'none';" in answer
    tag = re.search('ETag: ("[0-9a-f]+")', answer)[1]
    assert curl("/", "-H", f"If-None-Match: {tag}") == "304"
    assert curl("/", "-H", "Host: front.example").endswith("200")


def test_curl_over_a_unix_socket(curl, site):
    socket_path = str(site.folder / "site.sock")
    answer = curl(
        "/line", "--unix-socket", socket_path, "-H", "X-Forwarded-For: 198.51.100.7", "-d", "x"
    )
    assert answer.startswith("x 198.51.100.7 ")


def test_tls_to_the_plain_port(run, site):
    program = run([require("curl"), "-sS", "-m", "15", f"https://{HOST}:{site.ports[0]}/"])
    assert program.wait() == 35
    site.out.expect("TLS was sent to a port for HTTP")


def test_nc_gets_its_answer_after_its_end(run, site, tmp_path):
    """Threat 12."""
    body = b"big\n" * 2000
    head = f"POST /line HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    (tmp_path / "request").write_bytes(head + body)
    with open(tmp_path / "request", "rb") as file:
        program = run([require("nc"), "-N", HOST, str(site.ports[0])], stdin=file.fileno())
        assert program.wait() == 0
    assert program.out.whole().partition("\r\n\r\n")[2] == ("x" * 4095 + "\n") * 2000


def test_lines_that_are_sent_to_the_wrong_port(site):
    with Client(site.ports[0]) as client:
        client.say(b"hello\n")
        assert client.rest().endswith(b"each line of a head ends in CR LF\n")


def test_heads_that_drip_and_heads_that_never_come(site):
    """Threat 8: whatever they do, they have the time that one head may take."""
    began = time.monotonic()
    dripping = [Client(site.ports[0]) for _ in range(50)]
    silent = [Client(site.ports[0]) for _ in range(50)]
    for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n":
        for client in dripping:
            with client.socket.dup() as other:
                other.send(bytes([byte]))
    for client in dripping:
        assert client.read().startswith(b"HTTP/1.1 408 ")
    for client in silent:
        assert client.rest() == b""
    assert time.monotonic() - began < 1 + SLACK
    for client in dripping + silent:
        client.socket.close()


def test_a_head_without_end_costs_no_memory(site):
    """Threat 9."""
    grown = Growth(site.pid)
    for _ in range(5):
        with Client(site.ports[0]) as client:
            head = b"GET / HTTP/1.1\r\nA: " + b"a" * 4_000_000
            with meanwhile(lambda client=client, head=head: client.say(head)):
                assert client.read().startswith(b"HTTP/1.1 431 ")
    assert grown.bytes < 4 << 20


def test_answers_that_nobody_reads_cost_no_memory(site):
    grown = Growth(site.pid)
    with Client(site.ports[0]) as client:
        client.say(b"POST /line HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\n")
        with meanwhile(lambda: client.say(b"big\n" * 100_000)):
            assert client.line() == b"HTTP/1.1 200 OK\r\n"
            site.out.expect("ERR slow", 1 + SLACK)
    assert grown.bytes < 8 << 20


def test_a_body_that_breaks_off(site):
    with Client(site.ports[0]) as client:
        client.say(b"POST /line HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nbroken")
        client.end()
        assert client.reset()


def test_sigterm_lets_answers_in_work_finish(tmp_path):
    """Threat 13."""
    server = start(tmp_path)
    try:
        with Client(server.ports[0]) as client, Client(server.ports[0]) as idle:
            body = b"big\n" * 500
            client.say(b"POST /line HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
            client.say(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            assert client.line() == b"HTTP/1.1 200 OK\r\n"
            server.tell(signal.SIGTERM)
            assert client.rest().count(b"x" * 4095) == 500
            assert idle.rest() == b""
        assert server.wait() == -signal.SIGTERM
    finally:
        server.reap()


NGINX = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen {host}:{ports[0]};
        location / {{ proxy_pass http://{host}:{upstream}; }}
        include {folder}/proxied;
    }}
    server {{
        listen {host}:{ports[1]};
        location / {{ proxy_pass http://unix:{site}/site.sock:; }}
        include {folder}/proxied;
    }}
}}
"""

#: What a proxy in front is to be told; it is in the docs.
PROXIED = """
proxy_http_version 1.1;
proxy_set_header Host $http_host;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header Forwarded "";
proxy_request_buffering off;
"""


def free_ports(count):
    """Some ports that nobody listens on."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def nginx(site, tmp_path_factory):
    """The ports of an nginx in front of the site: one that asks over TCP, one over UNIX."""
    path = require("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    folder.chmod(0o755)
    ports = free_ports(2)
    (folder / "proxied").write_text(PROXIED)
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(
            user="" if os.geteuid() else "user root;",
            folder=folder,
            host=HOST,
            ports=ports,
            upstream=site.ports[1],
            site=site.folder,
        )
    )
    program = Program([path, "-c", str(config), "-p", str(folder)], folder)
    try:
        for port in ports:
            wait_until_it_listens(program, port)
        yield ports
    finally:
        program.tell(signal.SIGTERM)
        program.wait()
        program.reap()


def wait_until_it_listens(program, port):
    while True:
        try:
            Client(port).socket.close()
            return
        except ConnectionRefusedError:
            assert program.running(), program.err.whole()
            time.sleep(0.01)


def test_nginx_in_front_of_post(nginx, curl):
    for port in nginx:
        answer = curl("/line", "-H", "X-Forwarded-For: 198.51.100.7", "-d", "a", port=port)
        assert answer.startswith("a 198.51.100.7 ")
        assert answer.endswith("\n200")
        assert curl("/", port=port).endswith("200")
        status = curl("/line", "-H", "Origin: http://evil.example", "-d", "a", port=port)
        assert status.endswith("403")


def test_nginx_does_not_hold_answers_back(nginx):
    """The first answer comes while the body goes on."""
    for port in nginx:
        with Client(port) as client:
            client.say(b"POST /line HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\none\n")
            while not client.line().startswith(b"one "):
                pass
            client.say(b"two\n")
            while not client.line().startswith(b"two "):
                pass


def test_nginx_in_front_of_websocket(nginx):
    for port in nginx:
        with Client(port) as client:
            client.say(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                b"X-Forwarded-For: 198.51.100.7\r\nOrigin: https://localhost\r\n\r\n"
            )
            assert client.line() == b"HTTP/1.1 101 Switching Protocols\r\n"
            while client.line() != b"\r\n":
                pass
            client.say(b"\x81\x85" + bytes(4) + b"hello")
            assert client.read()[2:].startswith(b"hello 198.51.100.7 ")
