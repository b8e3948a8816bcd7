"""Ours and its peers: what each is called, how it is started, and what it answers."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.errors import BenchError

PROGRAMS = Path(__file__).with_name("servers")

#: Above what any section opens, and so a limit that is on but never met.
MANY = "100000"

#: Gives the command of a server from its port, its answer ("ping", "echo", or for a few "late"),
#: and a folder for what is compiled.
Command = Callable[[int, str, Path], list[str]]


def same_line(line: bytes) -> bytes:
    """What a server that echoes answers to a line."""
    return line


@dataclass(frozen=True)
class Server:
    """One of those that are compared.

    Args:
        name: short, for the command line and JSON.
        title: for people.
        command: how it is started.
        missing: why it cannot be here, if it cannot.
        env: what to add to its environment.
        echoes: what it answers to a `PING text` line when told to echo.
    """

    name: str
    title: str
    command: Command
    missing: Callable[[], str | None] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)
    echoes: Callable[[bytes], bytes] = same_line


def _no_program(name: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else "not installed"


def _no_module(name: str) -> Callable[[], str | None]:
    return lambda: None if importlib.util.find_spec(name) else "not installed"


def _ours(function: str | None = None, endpoint: str = "{}") -> Command:
    """The real command, serving a function of `servers/ours.py`; the one named as the answer."""
    return lambda port, answer, build: _serving(
        endpoint.format(port), f"benchmarks.servers.ours.{function or answer}"
    )


def _serving(endpoint: str, protocol: str) -> list[str]:
    """The real command."""
    beside = Path(sys.executable).with_name("twistd")
    twistd = str(beside) if beside.exists() else "twistd"
    return [twistd, "-n", "--pidfile=", "sockservice", "--port", endpoint,
            "--protocol", protocol, "--max-connections", MANY]  # fmt: skip


def _mock(port: int, answer: str, build: Path) -> list[str]:
    """The real command, playing the script of the mock section."""
    return _serving(str(port), f"mock:{PROGRAMS / 'mock.toml'}")


def _module(name: str) -> Command:
    """A peer in Python, by the same interpreter as ours."""

    def command(port: int, answer: str, build: Path) -> list[str]:
        return [sys.executable, "-m", f"benchmarks.servers.{name}", str(port), answer]

    return command


def _compiled(source: str, compiler: list[str]) -> Command:
    """A peer that is compiled when it is first needed."""

    def command(port: int, answer: str, build: Path) -> list[str]:
        program = build / Path(source).stem
        if not program.exists():
            run = [*compiler, "-o", str(program), str(PROGRAMS / source)]
            done = subprocess.run(run, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BenchError(f"does not compile: {done.stderr.strip()[:200]}")
        return [str(program), str(port), answer]

    return command


def _redis(port: int, answer: str, build: Path) -> list[str]:
    # Protected mode refuses all of 127.0.0.0/8 but 127.0.0.1; it is bound to loopback anyway.
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(build),
            "--protected-mode", "no", "--save", "", "--appendonly", "no",
            "--maxclients", MANY]  # fmt: skip


def _redis_echo(line: bytes) -> bytes:
    """Redis answers `PING text` with the text and its length."""
    text = line.removeprefix(b"PING ")
    return b"$%d\r\n%s" % (len(text.removesuffix(b"\r\n")), text)


OURS = Server("ours", "twisted_sock", _ours())

SERVERS = (
    OURS,
    Server("redis", "redis-server", _redis, _no_program("redis-server"), echoes=_redis_echo),
    Server(
        "go",
        "Go net + bufio",
        _compiled("go_bufio.go", ["go", "build"]),
        _no_program("go"),
        {"GOMAXPROCS": "1"},
    ),
    Server("uvloop", "asyncio Protocol, uvloop", _module("asyncio_uvloop"), _no_module("uvloop")),
    Server("streams", "asyncio streams", _module("asyncio_streams")),
    Server("line-only", "Twisted LineOnlyReceiver", _module("twisted_line_only_receiver")),
    Server("line", "Twisted LineReceiver", _module("twisted_line_receiver")),
    Server(
        "c", "C, bare epoll (the limit)", _compiled("c_epoll.c", ["cc", "-O2"]), _no_program("cc")
    ),
)

#: Ours, answering in other ways; for the async section.
ASYNC = (
    OURS,
    Server("ours-async", "async def, at once", _ours("ping_async")),
    Server("ours-later", "async def, deferLater(0)", _ours("ping_later")),
)

#: Ours without its transports; for the fairness section.
OURS_STOCK = Server("ours-stock", "twisted_sock, stock transports", _module("ours_stock"))

#: For the mock section: ours, with the plainest protocol, and with one that plays a script.
ECHO = Server("ours-echo", "twisted_sock, echo", _ours("echo"))
MOCK = Server("ours-mock", "twisted_sock, mock", _mock, _no_module("regex"))

#: For the WebSocket section; all of them echo.
WEBSOCKET = (
    Server("ours", "twisted_sock", _ours("echo", "ws:{}")),
    Server(
        "autobahn",
        "Autobahn on Twisted",
        _module("websocket_autobahn"),
        _no_module("autobahn"),
    ),
    Server(
        "twisted-web",
        "twisted.web.websocket",
        _module("websocket_twisted"),
        _no_module("wsproto"),
    ),
    Server(
        "websockets",
        "websockets on asyncio",
        _module("websocket_websockets"),
        _no_module("websockets"),
    ),
)

EVERY = (OURS, OURS_STOCK, *SERVERS[1:], *ASYNC[1:], *WEBSOCKET[1:], ECHO, MOCK)
TITLES = {each.name: each.title for each in EVERY}
