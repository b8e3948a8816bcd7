"""The command line of the service, its help, and the tables of the docs.

Everything about a setting comes from its dataclass field; what is said here is only what is not
a setting: where to listen, and what answers.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, NoReturn, TypeVar, cast

from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from twisted_sock.display import one_line
from twisted_sock.errors import SettingError
from twisted_sock.plugs import describe
from twisted_sock.settings import (
    LOOPBACK,
    Checked,
    Datagrams,
    Limits,
    LinePolicy,
    Setting,
    Web,
    parse_settings,
    settings_of,
)
from twisted_sock.strings import escape

NAME = "sockservice"

#: What is given apart from the settings: flag, short flag, metavariable, default, help.
LISTENING = (
    ("port", "p", "PORT", "1234", "TCP port to listen on, or an endpoint string"),
    ("interface", "i", "ADDRESS", LOOPBACK, "address to listen on; 0.0.0.0 or :: for all"),
    ("endpoint", "e", "STRING", "", "also listen on this; may be repeated"),
)
STEPPING_IN = (
    ("operator", "", "STRING", "", "let operators in here, to watch and step in; see attach"),
    ("operator-token", "", "FILE", "", "a secret in a file, which operators must know"),
)
ANSWERING = (
    ("protocol", "", "PLUG", "echo", "what answers: a name, or a dotted path to your own"),
)

#: What the settings are about: the title of their flags, by the name of the attribute.
SETTINGS: dict[str, tuple[str, type[Checked]]] = {
    "policy": ("What a line is", LinePolicy),
    "limits": ("What peers may cost (0 = no limit)", Limits),
    "web": ("WebSocket and HTTP: ws: and wss:", Web),
    "datagrams": ("Datagrams: udp:", Datagrams),
}

FORMS = """\
tcp:1234                          lines over TCP
tls:1234:certificate=server.pem   over TLS; key= clientCA= clientAuth=
unix:/run/sock                    a UNIX socket; mode=660 owner= group=
ws:8080                           WebSocket, POST /line, a page to try it
wss:8443:certificate=server.pem   the same over TLS
udp:1234                          lines in datagrams
systemd:NAME                      a socket that systemd has opened
tls:, ws: and wss: take unix=PATH or systemd=NAME instead of a port. All
with a port take interface=ADDRESS, and all but udp: proxy=10.0.0.0/8 (or
loopback) behind proxies there that send a PROXY header. A colon in a value
is \\:. Any other string of Twisted's works, too."""

EXAMPLES = """\
twistd -n sockservice --port 1234
twistd -n sockservice --protocol str.upper
twistd -n sockservice --framing chunk --protocol console:once=yes
twistd -n sockservice --endpoint ws:8080 --endpoint tcp:1234
twistd sockservice --endpoint unix:/run/shout.sock --protocol mypkg.shout.answer"""

CLOSING = """\
Sizes may end in K, M or G. SIGTERM and SIGINT finish the conversations first. Every mistake is
one line on standard error and exit status 1."""

S = TypeVar("S", bound=Checked)


def refuse(message: str) -> NoReturn:
    """Say on stderr what is wrong, in one line, and exit with status 1."""
    raise SystemExit(f"{NAME}: {one_line(message)}")


class Options(UsageOptions):
    """The command line of `twistd sockservice`.

    Attributes:
        policy: what a line is.
        limits: what peers may cost.
        web: what `ws:` and `wss:` allow.
        datagrams: what `udp:` allows.
        endpoints: the endpoint strings to listen on.
        interface: the address to listen on where they name none.
        plug: the plug string of what answers.
        operator: the endpoint string that operators come in at; empty: none does.
        operator_token: the path of the file with their token; empty: there is none.
    """

    synopsis = "[options]"
    optParameters = [
        [long, short or None, None, text]
        for long, short, _, _, text in (*LISTENING, *ANSWERING, *STEPPING_IN)
        if long != "endpoint"
    ] + [
        [setting.flag, None, None, setting.help]
        for _, cls in SETTINGS.values()
        for setting in settings_of(cls)
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.policy = LinePolicy()
        self.limits = Limits()
        self.web = Web()
        self.datagrams = Datagrams()
        self.endpoints: list[str] = []

    @property
    def plug(self) -> str:
        """The plug string of what answers."""
        given = self["protocol"]
        return ANSWERING[0][3] if given is None else cast(str, given)

    @property
    def operator(self) -> str:
        """The endpoint string that operators come in at; empty: none does."""
        return cast(str, self["operator"] or "")

    @property
    def operator_token(self) -> str:
        """The path of the file with their token; empty: there is none."""
        return cast(str, self["operator-token"] or "")

    @property
    def interface(self) -> str:
        """The address to listen on where an endpoint names none."""
        return cast(str, self["interface"] or LOOPBACK)

    def opt_endpoint(self, description: str) -> None:
        """Also listen on this; may be repeated."""
        self.endpoints.append(description)

    opt_e = opt_endpoint

    def opt_version(self) -> None:
        """Show the version, and exit."""
        print(f"twisted_sock {version('twisted_sock')}, Twisted {version('twisted')}")
        raise SystemExit(0)

    def opt_help_protocols(self) -> None:
        """List the protocols that can be named, and exit."""
        for usage, summary in describe():
            print(f"{usage:24} {summary}")
        print(f"{'package.module.name':24} Your own: a function of a line, or a LineProtocol.")
        raise SystemExit(0)

    def parseOptions(self, options: Any = None) -> None:
        """Take the arguments; a mistake among them is one line on stderr and exit status 1."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except UsageError as error:
            refuse(f"{error}; see --help")

    def parseArgs(self, *unexpected: str) -> None:
        """There are no arguments without a flag."""
        if unexpected:
            raise UsageError(f"{unexpected[0]}: there are only options")

    def postOptions(self) -> None:
        """Make the settings and the endpoint strings of what was given."""
        self.policy = self._settings(LinePolicy)
        self.limits = self._settings(Limits)
        self.web = self._settings(Web)
        self.datagrams = self._settings(Datagrams)
        if self["port"] is not None or not self.endpoints:
            self.endpoints.insert(0, self._port())
        if self.operator_token and not self.operator:
            raise UsageError("--operator-token: it is for --operator, which is not given")
        if self["interface"] is not None and all(map(has_no_address, self.endpoints)):
            raise UsageError("--interface: nothing here listens on an address")

    def getUsage(self, width: int | None = None) -> str:
        """The help: the flags by what they are about."""
        return "\n".join(_help(width or shutil.get_terminal_size().columns))

    def _settings(self, cls: type[S]) -> S:
        texts = {s.name: self[s.flag] for s in settings_of(cls) if self[s.flag] is not None}
        try:
            return parse_settings(cls, texts)
        except SettingError as error:
            name, _, what = str(error).partition(":")
            raise UsageError(f"--{name.replace('_', '-')}:{what}") from None

    def _port(self) -> str:
        """The endpoint string of `--port` and `--interface`."""
        port = LISTENING[0][3] if self["port"] is None else self["port"]
        if ":" in port:
            return cast(str, port)
        if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 1 << 16):
            raise UsageError(f"--port: a number up to 65535 or an endpoint string, not {port!r}")
        kind = "tcp6" if ":" in self.interface else "tcp"
        return f"{kind}:{port}:interface={escape(self.interface)}"


def has_no_address(endpoint: str) -> bool:
    """Whether an endpoint listens on no address of a network."""
    return endpoint.startswith(("unix:", "systemd:")) or any(
        f":{where}=" in endpoint for where in ("unix", "systemd")
    )


def _help(width: int) -> Iterator[str]:
    yield "Serves a line protocol: what a client says, line by line, is answered by PLUG."
    for title, rows in _sections():
        yield f"\n{title}"
        for flag, text in rows:
            indented = textwrap.wrap(text, max(40, min(width, 100) - 30))
            yield f"  {flag:27} {indented[0]}"
            yield from (" " * 30 + line for line in indented[1:])
        if rows[0][0].startswith("-p,"):
            yield "\n  STRING is one of\n" + textwrap.indent(FORMS, "    ")
    yield "\nExamples\n" + textwrap.indent(EXAMPLES, "  ")
    yield f"\n{CLOSING}\n"


def _sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    yield "Where to listen", [_given(*row) for row in LISTENING]
    yield (
        "What answers",
        [
            *(_given(*row) for row in ANSWERING),
            ("--help-protocols", "list the protocols that can be named"),
        ],
    )
    yield "Stepping in", [_given(*row) for row in STEPPING_IN]
    for title, cls in SETTINGS.values():
        yield title, [_setting(each) for each in settings_of(cls)]
    yield "About", [("--help", "show this"), ("--version", "show the versions")]


def _given(long: str, short: str, meta: str, default: str, text: str) -> tuple[str, str]:
    both = f"-{short}, " if short else ""
    return f"{both}--{long} {meta}", f"{text} [{default}]" if default else text


def _setting(setting: Setting) -> tuple[str, str]:
    shown = f" [{setting.shown}]" if setting.shown else ""
    return f"--{setting.flag} {setting.meta}", setting.help + shown


def settings_table(settings: Sequence[Setting]) -> str:
    """A Markdown table of some settings, as the README has it."""
    rows = ["| flag | default | what it does |", "|---|---|---|"]
    for each in settings:
        rows.append(f"| `--{each.flag} {each.meta}` | {each.shown} | {each.help} |")
    return "\n".join(rows)
