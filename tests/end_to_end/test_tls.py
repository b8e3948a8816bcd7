"""TLS over real sockets: other makers' clients, stalled handshakes, certificates that change."""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from .programs import HOST, SLACK, Server, require, script

pytest.importorskip("OpenSSL")

from tests.certificates import authority, client, server

WHO = """
from twisted_sock.protocol import LineProtocol

class Who(LineProtocol):
    def lineReceived(self, line):
        if line == "bye":
            self.close()
        return self.peer.identity or "nobody"
"""

ENDPOINTS = (
    "tls:0:certificate=certificates",
    "tls:0:certificate=certificates:clientCA=clients.pem",
    "tls:0:certificate=certificates:clientCA=clients.pem:clientAuth=optional",
)

#: Connections whose handshake never ends.
STALLED = 2000

#: Seconds that a handshake may take. With the default, 5, all those are gone after 7.
TIMEOUT = 2.0


class Place:
    """A folder with certificates, and what listens with them.

    Attributes:
        ports: those of `ENDPOINTS`.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.ca, self.clients = authority(), authority("Clients")
        self.between = self.ca("Between", ca=True)
        (folder / "certificates").mkdir()
        self.write("default.pem", "localhost")
        self.write("other.pem", "other.example", "*.other.example")
        (folder / "ca.pem").write_bytes(self.ca.pem)
        (folder / "clients.pem").write_bytes(self.clients.pem)
        (folder / "who.py").write_text(WHO)
        alice = client(self.clients)
        alice.write(folder / "alice.pem")
        command = [*script("twistd"), "-n", "--pidfile=", "sockservice", "--protocol", "who.Who"]
        for endpoint in ENDPOINTS:
            command += ["--endpoint", endpoint]
        self.server = Server([*command, *options], folder)

    def wait_until_it_listens(self) -> None:
        """Learn the ports from the log."""
        self.ports = [self._port() for _ in ENDPOINTS]

    def _port(self) -> int:
        return int(self.server.out.expect(r"listens on IPv4Address\(.*port=(\d+)\)")[1])

    def write(self, file: str, *hosts: str) -> None:
        """Write a certificate for some hosts."""
        made = server(self.between, *hosts)
        made.write(self.folder / "certificates" / file, self.between)

    def context(self, *, shows: str = "") -> ssl.SSLContext:
        """That of a client that trusts the CA."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if shows:
            context.load_cert_chain(self.folder / shows)
        return context

    def connect(self, port=0, name="localhost", **more) -> ssl.SSLSocket:
        plain = socket.create_connection((HOST, self.ports[port]), timeout=20)
        try:
            return self.context(**more).wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise

    def ask(self, *args, **more) -> str:
        """Who we are to the server, over a new connection."""
        with self.connect(*args, **more) as connection:
            return said(connection)

    def openssl(self, *options: str, port=0, ca="ca.pem") -> subprocess.CompletedProcess[str]:
        """Run openssl's client, which ends when it has been answered."""
        address = f"{HOST}:{self.ports[port]}"
        command = [require("openssl"), "s_client", "-connect", address, *options]
        return subprocess.run(
            [*command, "-CAfile", ca, "-verify_return_error", "-ign_eof"],
            cwd=self.folder,
            input="bye\n",
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )


def said(connection: ssl.SSLSocket) -> str:
    connection.sendall(b"who?\n")
    return connection.recv(1024).decode().rstrip("\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One server for all tests."""
    made = Place(tmp_path_factory.mktemp("tls"), "--handshake-timeout", str(TIMEOUT))
    try:
        made.wait_until_it_listens()
        yield made
    finally:
        made.server.reap()


# Clients of other makers.


def test_names_and_chain(place):
    for name, expected in (("localhost", "localhost"), ("x.other.example", "other.example")):
        with place.connect(name=name) as connection:
            names = dict(connection.getpeercert()["subjectAltName"] + (("DNS", expected),))
            assert names["DNS"] == expected
            assert said(connection) == "nobody"
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        place.connect(name="nobody.example")


def test_versions(place):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = place.context()
        context.minimum_version = context.maximum_version = version
        plain = socket.create_connection((HOST, place.ports[0]), timeout=20)
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            assert connection.version() == version.name.replace("_", ".")
            assert said(connection) == "nobody"


def test_openssl(place):
    done = place.openssl("-servername", "localhost")
    assert "Verification: OK" in done.stdout
    assert "\nnobody\n" in done.stdout
    assert re.findall(r"^ \d s:CN = (.*)$", done.stdout, re.MULTILINE) == ["localhost", "Between"]
    old = place.openssl("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert old.returncode
    assert "nobody" not in old.stdout
    place.server.out.expect("ERR handshake TLS: the peer wants an older TLS than 1.2")
    assert place.openssl(ca="clients.pem").returncode
    place.server.out.expect("ERR handshake TLS: the peer does not accept our certificate")


def test_nothing_is_resumed(place):
    """Not even where a client has shown its certificate; and trying does no harm."""
    shows = ("-cert", "alice.pem", "-key", "alice.pem")
    for version in ("-tls1_2", "-tls1_3"):
        for option in ("-sess_out", "-sess_in"):
            if option == "-sess_in" and not (place.folder / "session").exists():
                continue
            done = place.openssl(version, *shows, option, "session", port=1)
            assert "\nCN=alice\n" in done.stdout, done.stdout + done.stderr
            assert "Reused" not in done.stdout
        (place.folder / "session").unlink(missing_ok=True)


def test_client_certificates(place):
    assert place.ask(1, shows="alice.pem") == "CN=alice"
    assert place.ask(2, shows="alice.pem") == "CN=alice"
    assert place.ask(2) == "nobody"
    for shows, words in (
        ("", "the client showed no certificate"),
        ("foreign.pem", "not accepted: it was not issued by one who may"),
        ("expired.pem", "not accepted: it has expired"),
    ):
        client(authority("Others")).write(place.folder / "foreign.pem")
        client(place.clients, days=(-2, -1)).write(place.folder / "expired.pem")
        with suppress(ssl.SSLError, ConnectionError):
            assert place.ask(1, shows=shows) == ""  # an end
        place.server.out.expect(f"127.0.0.1:[0-9]+: ERR handshake TLS: .*{words}")


SCANS = (
    "certinfo sslv2 sslv3 tlsv1 tlsv1_1 tlsv1_2 tlsv1_3 compression reneg heartbleed openssl_ccs "
    "robot fallback early_data ems"
)


def scan(place):
    """What sslyze finds out, by the name of the scan."""
    command = [require("sslyze"), "--json_out", "-", "--sni", "localhost"]
    command += ["--certinfo_ca_file", "ca.pem", *(f"--{each}" for each in SCANS.split())]
    done = subprocess.run(
        [*command, f"{HOST}:{place.ports[0]}"],
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    (scanned,) = json.loads(done.stdout)["server_scan_results"]
    found = {}
    for name, attempt in scanned["scan_result"].items():
        if attempt["status"] != "NOT_SCHEDULED":
            assert attempt["status"] == "COMPLETED", (name, attempt)
            found[name] = attempt["result"]
    return found


def test_sslyze_finds_nothing_weak(place):
    found = scan(place)
    suites = {
        name.removesuffix("_cipher_suites"): {
            each["cipher_suite"]["name"] for each in result["accepted_cipher_suites"]
        }
        for name, result in found.items()
        if name.endswith("_cipher_suites")
    }
    assert {name for name, accepted in suites.items() if accepted} == {"tls_1_2", "tls_1_3"}
    assert len(suites) == 6
    for suite in suites["tls_1_2"]:
        assert re.fullmatch("TLS_ECDHE_(ECDSA|RSA)_WITH_(AES_.*_GCM|CHACHA20_POLY1305)_.*", suite)
    for suite in suites["tls_1_3"]:
        assert re.fullmatch("TLS_(AES_.*_GCM|CHACHA20_POLY1305)_.*", suite)
    assert not found["tls_compression"]["supports_compression"]
    assert not found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    assert found["session_renegotiation"]["supports_secure_renegotiation"]
    assert not found["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert found["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    assert found["tls_fallback_scsv"]["supports_fallback_scsv"]
    assert not found["tls_1_3_early_data"]["supports_early_data"]
    assert found["tls_extended_master_secret"]["supports_ems_extension"]
    (shown,) = found["certificate_info"]["certificate_deployments"]
    assert shown["received_chain_has_valid_order"]
    assert len(shown["received_certificate_chain"]) == 2
    assert [
        validated["was_validation_successful"]
        for validated in shown["path_validation_results"]
        if validated["trust_store"]["path"] == "ca.pem"
    ] == [True]


# Attacks.


def greeting(name: str = "localhost") -> bytes:
    """How a client begins."""
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def test_attacks(place):
    hello = greeting()
    odd = hello.replace(b"localhost", b"\xff\x00\x1b[2J\xc3(")
    for data in (
        hello[:100],
        hello + hello,
        odd,
        hello[:-20] + bytes(20),
        b"\x16\x03\x01\x40\x00\x01\x10\x00\x00\x03\x03" + bytes(1 << 20),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"hello?\n" * 1000,
        bytes(range(256)) * 40,
        b"",
    ):
        for leave in ("close", "reset"):
            with socket.create_connection((HOST, place.ports[0]), timeout=20) as attacker:
                with suppress(ConnectionError):
                    attacker.sendall(data)
                if leave == "reset":
                    attacker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7))
    with socket.create_connection((HOST, place.ports[0]), timeout=20) as attacker:
        for byte in hello:
            attacker.send(bytes([byte]))
        assert attacker.recv(5)[:1] == b"\x16"  # its turn
    assert place.ask() == "nobody"
    assert "\x1b" not in place.server.out.text


def test_stalled_handshakes(place):
    """2,000 are closed in time, and a new client is served within 1 s meanwhile (threat 7)."""
    hello = greeting()
    begun = time.monotonic()
    with ExitStack() as stack:
        waiting = select.epoll()
        stack.callback(waiting.close)
        stalled = {}
        for number in range(STALLED):
            each = stack.enter_context(socket.create_connection((HOST, place.ports[0]), 20))
            each.sendall(hello if number % 2 else b"")
            stalled[each.fileno()] = each
            waiting.register(each, select.EPOLLIN | select.EPOLLRDHUP)
        took = []
        while stalled:
            before = time.monotonic()
            assert before < begun + 7 / 5 * TIMEOUT + SLACK
            assert place.ask() == "nobody"
            took.append(time.monotonic() - before)
            for number, _ in waiting.poll(0.2):
                gone(stalled, waiting, number)
    assert sorted(took)[len(took) // 2] < 1


def gone(stalled, waiting, number):
    """Forget a connection if the server has closed it."""
    with suppress(ConnectionError):
        if stalled[number].recv(65536):
            return
    waiting.unregister(number)
    del stalled[number]


# Files that change.


def test_reload_under_load(place):
    stop = threading.Event()
    failed = []

    def load():
        while not stop.is_set():
            try:
                place.ask(name="x.other.example")
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with place.connect() as before:
            file = place.folder / "certificates" / "default.pem"
            whole = file.read_bytes()
            file.write_bytes(whole[:500])
            place.server.tell(signal.SIGHUP)
            place.server.out.expect("#error.*default.pem: not a whole PEM file, .*; serving what")
            assert place.ask() == "nobody"
            place.write("default.pem", "new.example")
            place.server.tell(signal.SIGHUP)
            place.server.out.expect(r"serving certificates/default.pem: new.example, until 2")
            assert place.ask(name="new.example") == "nobody"
            file.write_bytes(whole)  # and without a signal
            assert said(before) == "nobody"
            place.server.out.expect(r"serving certificates/default.pem: localhost, until 2")
            assert place.ask() == "nobody"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed


# Starting.


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("tls:0", "certificate: which PEM file?"),
        ("tls:0:certificate=missing.pem", "missing.pem: No such file or directory"),
    ],
)
def test_what_cannot_be_used(twistd, endpoint, words):
    program = twistd("--endpoint", endpoint)
    assert program.wait() == 1
    assert f"--endpoint {endpoint}: {words}\n" in program.err.whole()
