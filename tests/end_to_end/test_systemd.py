"""Socket activation and notification of real processes, with systemd's own tools and without."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from contextlib import contextmanager

import pytest

from tests.test_docs import ROOT

from .programs import HOST, PATIENCE, Client, ask, require, script

UNITS = ROOT / "docs" / "examples" / "systemd"

#: Becomes the program, with the sockets that come over its input where systemd would put them.
ACTIVATE = """
import fcntl, os, socket, sys

names, *command = sys.argv[1:]
with socket.socket(fileno=0) as harness:
    _, fds, _, _ = socket.recv_fds(harness, 1, 9)
apart = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
assert os.open(os.devnull, os.O_RDONLY) == 0
for number, fd in enumerate(apart, 3):
    os.dup2(fd, number)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_FDNAMES"] = names
os.execv(command[0], command)
"""

ENVIRONMENT = """
import os, sys

def answer(line):
    # A descriptor that a child would get is one of systemd's sockets that has leaked.
    open_to_all = [fd for fd in range(3, 50) if inheritable(fd)]
    told = [name for name in os.environ if name.startswith(("LISTEN_P", "NOTIFY", "WATCHDOG"))]
    return f"{open_to_all} {told}"

def inheritable(fd):
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False
"""


class Systemd:
    """What systemd does for a service: holds its sockets, and hears how it is.

    Attributes:
        sockets: the listening sockets, by their `FileDescriptorName`.
        path: that of the UNIX socket.
        port: the TCP port.
    """

    def __init__(self, folder, twistd, run, at_the_end):
        self._run = run
        self._folder = folder
        (folder / "activate.py").write_text(ACTIVATE)
        self._told = at_the_end.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._told.settimeout(PATIENCE)
        self._told.bind(str(folder / "notify"))
        local = at_the_end.enter_context(socket.socket(socket.AF_UNIX))
        self.path = str(folder / "local")
        local.bind(self.path)
        os.chmod(self.path, 0o600)
        lines = at_the_end.enter_context(socket.create_server((HOST, 0)))
        self.port = lines.getsockname()[1]
        self.sockets = {"lines": lines, "local": local}
        for each in self.sockets.values():
            each.listen(100)

    def start(self, *options, watchdog=0.0):
        """Start `twistd -n sockservice` with the sockets."""
        env = {"NOTIFY_SOCKET": str(self._folder / "notify")}
        if watchdog:
            env["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        harness, theirs = socket.socketpair()
        with harness, theirs:
            command = [
                script("twistd")[0],
                *("activate.py", ":".join(self.sockets)),
                *script("twistd"),
                *("-n", "--pidfile=", "sockservice", *options),
            ]
            program = self._run(command, stdin=theirs.fileno(), env=env)
            fds = [each.fileno() for each in self.sockets.values()]
            socket.send_fds(harness, [b"."], fds)
            theirs.close()
            assert harness.recv(1) == b""
        return program

    def hear(self):
        """The next message of the service, as a dictionary."""
        return dict(line.split("=", 1) for line in self._told.recv(4096).decode().splitlines())

    def hear_of(self, key):
        """The next message that says something about it."""
        while key not in (message := self.hear()):
            pass
        return message


@pytest.fixture
def systemd(tmp_path, twistd, run, at_the_end):
    return Systemd(tmp_path, twistd, run, at_the_end)


@contextmanager
def waiting(port, line):
    """A client that has connected and said a line, and is not answered before the `with` ends."""
    with Client(port) as client:
        client.say(line)
        yield
        client.end()
        assert client.rest() == line


def test_a_life(systemd):
    """From before the first start to after the second, nobody who connects is refused."""
    options = ("--endpoint", "systemd:lines", "--endpoint", "systemd:local")
    with waiting(systemd.port, b"early\n"), waiting(systemd.path, b"bird\n"):
        server = systemd.start(*options, watchdog=0.2)
        assert systemd.hear()["READY"] == "1"
        server.out.expect("systemd:lines listens on IPv4Address")
        server.out.expect("systemd:local listens on UNIXAddress")
        for _ in range(3):
            assert systemd.hear() == {"WATCHDOG": "1"}

    server.tell(signal.SIGHUP)
    assert int(systemd.hear_of("RELOADING")["MONOTONIC_USEC"]) > 0
    systemd.hear_of("READY")
    assert ask(systemd.port, b"reloaded\n") == b"reloaded\n"

    with Client(systemd.path) as client:
        assert client.ask(b"here\n") == b"here\n"
        server.tell(signal.SIGTERM)
        systemd.hear_of("STOPPING")
        assert client.rest() == b"ERR shutdown the server is stopping\n"
    assert server.wait() == -signal.SIGTERM

    with waiting(systemd.port, b"between\n"), waiting(systemd.path, b"the two\n"):
        server = systemd.start(*options)
        systemd.hear_of("READY")
    assert os.stat(systemd.path).st_mode & 0o777 == 0o600
    server.stop()
    assert os.path.exists(systemd.path)


def test_tls_on_top(systemd, tmp_path):
    """As tls.conf has it."""
    certificate = tmp_path / "server.pem"
    subprocess.run(
        [
            *(require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-keyout", certificate, "-out", tmp_path / "chain.pem"),
        ],
        check=True,
        capture_output=True,
    )
    with certificate.open("a") as file:
        file.write((tmp_path / "chain.pem").read_text())
    server = systemd.start("--endpoint", f"tls:systemd=lines:certificate={certificate}")
    context = ssl.create_default_context(cafile=tmp_path / "chain.pem")
    with (
        socket.create_connection((HOST, systemd.port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        client.sendall(b"secret\n")
        assert client.recv(100) == b"secret\n"
    server.stop()


def test_what_it_starts_gets_nothing_of_it(systemd, plug):
    plug("environment", ENVIRONMENT)
    options = ("--endpoint", "systemd:lines", "--protocol", "environment.answer")
    server = systemd.start(*options, "--endpoint", "systemd:local", watchdog=30)
    systemd.hear_of("READY")
    assert ask(systemd.port, b"?\n") == b"[] []\n"
    server.stop()


@pytest.mark.parametrize(
    ("string", "words"),
    [
        ("systemd:other", "there is no socket 'other'; there are: lines, local"),
        ("systemd:index=2", "index: below 2, not '2'"),
        ("systemd:", "there are 2: lines, local; say which with index="),
    ],
)
def test_what_is_wrong_is_one_line(systemd, string, words):
    server = systemd.start("--endpoint", string)
    assert server.wait() == 1
    assert server.err.whole() == f"sockservice: --endpoint {string}: systemd: {words}\n"


def test_without_systemd(twistd):
    server = twistd("--endpoint", "systemd:lines")
    assert server.wait() == 1
    assert "it has passed no sockets, or none with a name" in (server.err.whole())


def test_activation_by_its_own_tool(run, tmp_path):
    """Started by the first who connects."""
    path = str(tmp_path / "local")
    pid = os.getpid()
    host = f"127.{pid >> 16 & 63}.{pid >> 8 & 255}.{1 + pid % 253}"  # as it takes no port 0
    tool = [require("systemd-socket-activate"), "-l", path, "-l", f"{host}:20000"]
    server = run(
        [
            *tool,
            "--fdname=local:lines",
            *script("twistd"),
            *("-n", "--pidfile=", "sockservice"),
            *("--endpoint", "systemd:local", "--endpoint", "systemd:lines"),
        ]
    )
    server.err.expect("Listening on .*:20000 as 4")
    assert ask(path, b"up\n") == b"up\n"
    with socket.create_connection((host, 20000), PATIENCE) as client:
        client.sendall(b"and running\n")
        assert client.recv(100) == b"and running\n"
    server.stop()


# The units.


@pytest.fixture
def units(tmp_path):
    """The unit files, as they would be installed with this Python."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    drop_in = folder / "sockservice.service.d"
    drop_in.mkdir()
    (folder / "tls.conf").rename(drop_in / "tls.conf")
    ours = script("twistd")[1]
    for path in [folder / "sockservice.service", drop_in / "tls.conf"]:
        path.write_text(path.read_text().replace("/opt/sockservice/bin/twistd", ours))
    return folder


def analyze(*arguments):
    done = subprocess.run(
        [require("systemd-analyze"), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_units_are_right(units):
    names = [str(path) for path in sorted(units.glob("sockservice*.*")) if path.is_file()]
    assert len(names) == 3
    assert analyze("verify", *names) == (0, "")


def test_the_service_can_do_little(units):
    """Of 10, 0 would be a service that can do nothing."""
    status, said = analyze(
        "security", "--offline=true", "--threshold=20", str(units / "sockservice.service")
    )
    assert status == 0, said


def test_the_stop_has_time_enough():
    """More than conversations have to end."""
    from twisted_sock import Limits

    text = (UNITS / "sockservice.service").read_text()
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > Limits().drain_timeout + 3
