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
from twisted_sock.settings import Limits, LinePolicy, Setting, parse_settings, settings_of

NAME = "sockservice"

#: What is given apart from the settings: flag, short flag, metavariable, default, help.
LISTENING = (
    ("port", "p", "PORT", "1234", "TCP port to listen on, or an endpoint string"),
    ("interface", "i", "ADDRESS", "127.0.0.1", "address that --port listens on"),
    ("endpoint", "e", "STRING", "", "also listen on this Twisted endpoint; may be repeated"),
)
ANSWERING = (
    ("protocol", "", "PLUG", "echo", "what answers: a name, or a dotted path to your own"),
)

EXAMPLES = """\
twistd -n sockservice --port 1234
twistd -n sockservice --protocol str.upper
twistd -n sockservice --framing chunk --protocol console:once=yes
twistd sockservice --endpoint unix:/run/shout.sock --protocol mypkg.shout.answer"""

CLOSING = """\
Sizes may end in K, M or G. SIGTERM and SIGINT finish the conversations first. Every mistake is
one line on standard error and exit status 1."""

S = TypeVar("S", LinePolicy, Limits)


def refuse(message: str) -> NoReturn:
    """Say on stderr what is wrong, in one line, and exit with status 1."""
    raise SystemExit(f"{NAME}: {one_line(message)}")


class Options(UsageOptions):
    """The command line of `twistd sockservice`.

    Attributes:
        policy: what a line is.
        limits: what peers may cost.
        endpoints: the endpoint strings to listen on.
        plug: the plug string of what answers.
    """

    synopsis = "[options]"
    optParameters = [
        [long, short or None, None, text]
        for long, short, _, _, text in (*LISTENING, *ANSWERING)
        if long != "endpoint"
    ] + [
        [setting.flag, None, None, setting.help]
        for setting in (*settings_of(LinePolicy), *settings_of(Limits))
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.policy = LinePolicy()
        self.limits = Limits()
        self.endpoints: list[str] = []

    @property
    def plug(self) -> str:
        """The plug string of what answers."""
        given = self["protocol"]
        return ANSWERING[0][3] if given is None else cast(str, given)

    def opt_endpoint(self, description: str) -> None:
        """Also listen on this Twisted endpoint; may be repeated."""
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
        port = self["port"]
        if self["interface"] is not None and (":" in port if port else self.endpoints):
            raise UsageError("--interface: goes only with the number of a --port")
        if port is not None or not self.endpoints:
            self.endpoints.insert(0, self._port())

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
        defaults = {long: default for long, _, _, default, _ in LISTENING}
        port = defaults["port"] if self["port"] is None else self["port"]
        interface = self["interface"] or defaults["interface"]
        if ":" in port:
            return cast(str, port)
        if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 1 << 16):
            raise UsageError(f"--port: a number up to 65535 or an endpoint string, not {port!r}")
        if ":" in interface:
            return f"tcp6:{port}:interface=" + interface.replace(":", "\\:")
        return f"tcp:{port}:interface={interface}"


def _help(width: int) -> Iterator[str]:
    yield "Serves a line protocol: what a client says, line by line, is answered by PLUG."
    for title, rows in _sections():
        yield f"\n{title}"
        for flag, text in rows:
            indented = textwrap.wrap(text, max(40, min(width, 100) - 28))
            yield f"  {flag:25} {indented[0]}"
            yield from (" " * 28 + line for line in indented[1:])
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
    yield "What a line is", [_setting(each) for each in settings_of(LinePolicy)]
    yield "What peers may cost (0 = no limit)", [_setting(each) for each in settings_of(Limits)]
    yield "About", [("--help", "show this"), ("--version", "show the versions")]


def _given(long: str, short: str, meta: str, default: str, text: str) -> tuple[str, str]:
    both = f"-{short}, " if short else ""
    return f"{both}--{long} {meta}", f"{text} [{default}]" if default else text


def _setting(setting: Setting) -> tuple[str, str]:
    return f"--{setting.flag} {setting.meta}", f"{setting.help} [{setting.shown}]"


def settings_table(settings: Sequence[Setting]) -> str:
    """A Markdown table of some settings, as the README has it."""
    rows = ["| flag | default | what it does |", "|---|---|---|"]
    for each in settings:
        rows.append(f"| `--{each.flag} {each.meta}` | {each.shown} | {each.help} |")
    return "\n".join(rows)
