"""The composition root: the command line, and the service made from it.

`twistd sockservice` and `twist sockservice` come here through `twisted/plugins`. Flags for the
line policy and the limits are made from their dataclasses. Every mistake is one line on stderr
and an exit status that is not 0.
"""

from __future__ import annotations

import dataclasses
import os
import resource
import sys
import textwrap
from typing import Any, NoReturn

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.usage import UsageError
from twisted.python.usage import Options as UsageOptions

from twisted_sock.errors import ListenError, PlugError, SettingError
from twisted_sock.plugs import describe, load
from twisted_sock.server import LineFactory, LineService
from twisted_sock.settings import LinePolicy, Limits, Setting, parse_settings, settings_of

NAME = "sockservice"

#: Open files that are not connections: logs, ports, the reactor's own.
SPARE_FILES = 64


def refuse(message: str) -> NoReturn:
    """Say on stderr what is wrong, in one line, and exit with status 1."""
    raise SystemExit(f"{NAME}: {message}")


def flag(setting: Setting) -> list[Any]:
    """A row of `usage.Options.optParameters` for a setting."""
    off = "; 0 = off" if not setting.choices else ""
    unit = f", {setting.unit}" if setting.unit else ""
    return [
        setting.flag,
        None,
        None,
        f"{setting.help}{unit}{off} [{setting.default:g}]"
        if isinstance(setting.default, float)
        else f"{setting.help}{unit}{off} [{setting.default}]",
    ]


class Options(UsageOptions):
    """The command line."""

    synopsis = f"{NAME} [options]"
    longdesc = textwrap.dedent(
        """\
        Serves a line protocol: each line that a client sends is answered by --protocol.

        Examples: sockservice --port 1234
        / sockservice --protocol str.upper --endpoint unix:/run/shout
        / sockservice --framing chunk --protocol console

        Sizes may end in K, M or G. Stop with SIGTERM or SIGINT: conversations are finished first.
        """
    )
    optParameters = [  # noqa: RUF012  usage.Options reads it from the class
        [
            "port",
            "p",
            None,
            "TCP port to listen on, or a Twisted endpoint string [1234 if there is no --endpoint]",
        ],
        ["interface", "i", "127.0.0.1", "address that a --port listens on"],
        [
            "protocol",
            None,
            "echo",
            "what answers: a name, or the dotted path of a function or class",
        ],
        *map(flag, settings_of(LinePolicy)),
        *map(flag, settings_of(Limits)),
    ]

    policy: LinePolicy
    limits: Limits

    def __init__(self) -> None:
        super().__init__()
        self["endpoints"] = []

    def opt_endpoint(self, description: str) -> None:
        """Also listen on this Twisted endpoint string; may be given again."""
        self["endpoints"].append(description)

    opt_e = opt_endpoint

    def opt_help_protocols(self) -> None:
        """List the protocols that --protocol knows by name, and exit."""
        for usage, summary in describe():
            print(f"  {usage:30} {summary}")
        print("  package.module.name            any function of a line, or LineProtocol class")
        raise SystemExit(0)

    def parseOptions(self, options: Any = None) -> None:
        """Take the arguments; a mistake among them is one line on stderr and exit status 1."""
        try:
            super().parseOptions(options)
        except (UsageError, SettingError, PlugError) as error:
            refuse(str(error))

    def parseArgs(self, *unexpected: str) -> None:
        """There are no arguments without a flag."""
        if unexpected:
            raise UsageError(f"{unexpected[0]}: there are only options; see --help")

    def postOptions(self) -> None:
        """See that everything can be used."""
        self.policy = self._settings(LinePolicy)
        self.limits = self._settings(Limits)
        if self["port"] is not None or not self["endpoints"]:
            self["endpoints"].insert(0, self._port(self["port"] or "1234"))

    def _settings(self, cls: Any) -> Any:
        texts = {s.name: self[s.flag] for s in settings_of(cls) if self[s.flag] is not None}
        try:
            return parse_settings(cls, texts)
        except SettingError as error:
            name, _, what = str(error).partition(":")
            raise UsageError(f"--{name.replace('_', '-')}:{what}") from None

    def _port(self, port: str) -> str:
        """The endpoint string of `--port`."""
        if not port.isascii() or not port.isdigit():
            if ":" in port:
                return port
            raise UsageError(f"--port: a number or an endpoint string, not {port!r}")
        if int(port) > 65535:
            raise UsageError(f"--port: a number from 0 to 65535, not {port}")
        interface = self["interface"].replace(":", "\\:")
        return f"tcp{'6' if ':' in interface else ''}:{port}:interface={interface}"


class SockService(LineService):
    """The service of the command line: says in one line why it cannot start."""

    def privilegedStartService(self) -> None:
        """Listen on every endpoint; exit with status 1 when one cannot be listened on."""
        try:
            super().privilegedStartService()
        except ListenError as error:
            # Standard error goes to the log by now; the line is for who started us.
            print(f"{NAME}: {error}", file=sys.__stderr__)
            raise CannotStart(str(error)) from None


class CannotStart(SystemExit, Exception):
    """The service cannot start.

    As a `SystemExit` it ends the process without a traceback; as an `Exception` it makes
    twistd's daemon pass its words on to the terminal that started it.
    """

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.code = 1


def makeService(options: Options) -> IService:
    """The service that the options ask for.

    Raises:
        SystemExit: an endpoint string or the protocol cannot be used; says why in one line.
    """
    from twisted.internet import reactor

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        handler = load(options["protocol"])
    except PlugError as error:
        refuse(f"--protocol: {error}")
    endpoints = {text: _endpoint(reactor, text) for text in options["endpoints"]}
    limits = _within_open_files(options.limits)
    try:
        factory = LineFactory(handler, policy=options.policy, limits=limits)
    except TypeError as error:
        refuse(f"--protocol: {error}")
    return IService(SockService(factory, endpoints))


def _endpoint(reactor: Any, description: str) -> IStreamServerEndpoint:
    try:
        return serverFromString(reactor, description)
    except Exception as error:
        words = f"unknown type {error}" if isinstance(error, KeyError) else error
        refuse(f"--endpoint {description}: {words}")


def _within_open_files(limits: Limits) -> Limits:
    """The limits, with no more connections than the system lets this process have.

    Raises the soft limit of open files to the hard one where that helps.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.max_connections or sys.maxsize
    if soft != resource.RLIM_INFINITY and wanted > soft - SPARE_FILES:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass
    if soft == resource.RLIM_INFINITY or wanted <= soft - SPARE_FILES:
        return limits
    room = max(1, soft - SPARE_FILES)
    Logger(namespace=NAME).warn(
        "max_connections is {room}: only {files} files may be open", room=room, files=soft
    )
    return dataclasses.replace(limits, max_connections=room)
