"""The examples of docs/transports.md, as they stand there, but on free ports."""

import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.test_docs import text

from .programs import HOST, Program, do_without

#: Ports that the examples name.
PORT = re.compile(r"(?<=[:\s/])(1234|1235|8080|8443)\b")

#: A title, or a session.
SECTION = re.compile(r"^(#+ .*?|```console\n.*?^```)$", re.MULTILINE | re.DOTALL)

#: Programs of the examples.
PROGRAMS = ("nc", "socat", "openssl", "curl", "systemd-socket-activate")


def examples():
    """The sessions in the docs, each under the title of its section."""
    title = ""
    for part in SECTION.split(text("docs/transports.md")):
        if part.startswith("#"):
            title = part.lstrip("# ")
        elif part.startswith("```console"):
            yield pytest.param(part.strip("`").removeprefix("console\n"), id=title)


def steps(session):
    """The commands of a session, each with what it prints."""
    for step in re.split(r"^\$ ", session, flags=re.M)[1:]:
        command, _, output = step.replace("\\\n", "").partition("\n")
        yield command, output


def free_ports():
    """A mapping of the ports in the examples to free ones."""
    ports = {}
    with ExitStack() as stack:
        for name in ("1234", "1235", "8080", "8443"):
            each = stack.enter_context(socket.socket())
            each.bind((HOST, 0))
            ports[name] = str(each.getsockname()[1])
    return ports


def require_programs(session):
    for program in PROGRAMS:
        if re.search(rf"\b{program}\b", session) and shutil.which(program) is None:
            do_without(program)


@pytest.mark.parametrize("session", list(examples()))
def test_the_example_works(session, tmp_path, run):
    require_programs(session)
    ports = free_ports()
    scripts = Path(sys.executable).parent
    env = {"PATH": f"{scripts}:/usr/local/bin:/usr/bin:/bin:/usr/sbin"}
    for command, output in steps(PORT.sub(lambda found: ports[found[1]], session)):
        if command.endswith("&"):
            server = run(["bash", "-c", f"exec {command[:-1]}"], env=env, kind=Program)
            ready = "Listening on" if "systemd-socket" in command else "listens on"
            (server.err if "systemd-socket" in command else server.out).expect(ready)
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stdout == output, done.stderr
        assert done.returncode == 0, done.stderr


def test_every_transport_has_one():
    titles = {each.id for each in examples()}
    for transport in ("TCP", "TLS", "UNIX", "UDP", "WebSocket", "HTTP", "proxy", "systemd"):
        assert any(transport.lower() in title.lower() for title in titles), titles
