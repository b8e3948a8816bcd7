"""Where to connect to, from the text that a person writes.

    client_endpoint("localhost:1234", reactor).connect(factory)

The forms that begin with a word look like Twisted's client endpoint strings; that of TLS is one,
and takes whatever else these do: `tls:localhost:1234:trustRoots=/etc/my-certificates`. WebSockets
are written as URLs (RFC 6455 section 3), or, to say more, like the others:
`wss:localhost:1234:path=/chat:trustRoots=/etc/my-certificates`.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.filepath import UnlistableError

from twisted_sock import strings
from twisted_sock.errors import SettingError
from twisted_sock.fast_reactor import fast

#: What a person may write.
FORMS = (
    "localhost:1234, 1234, [::1]:1234, tcp:host:port, tls:host:port, unix:/path, "
    "ws://host:port/path or wss://host"
)

#: The host of a port that was given alone.
HOST = "127.0.0.1"

#: Seconds that connecting may take.
CONNECTING = 30.0

#: Bytes that the path of a UNIX socket may have.
LONGEST_PATH = 107 if sys.platform == "linux" else 103

#: The ports of WebSockets, by the word that their URLs begin with.
PORTS = {"ws": "80", "wss": "443"}

PREFIXED = re.compile(r"(tcp|tls|unix|wss?|https?):(.*)", re.DOTALL | re.IGNORECASE)
URL = re.compile(r"//([^/?#]*)(.*)", re.DOTALL)
ADDRESS = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:]*)):([^:]*)(?::(.*))?", re.DOTALL)


def client_endpoint(text: str, reactor: Any, timeout: float = CONNECTING) -> IStreamClientEndpoint:
    """The endpoint that a text stands for, on `fast(reactor)`.

    A host name is tried at all its addresses, IPv6 and IPv4, the next before the last has failed
    (RFC 8305, "happy eyeballs").

    Args:
        text: `localhost:1234`, `1234`, `[::1]:1234`, `tcp:host:port`, `tls:host:port`,
            `unix:/path`, `ws://host:port/path` or `wss://host`.
        reactor: the reactor.
        timeout: seconds that connecting may take; for a WebSocket with its handshake.

    Raises:
        SettingError: the text stands for no endpoint; says what is wrong with it.
    """
    kind, host, port, rest = split(text)
    if kind == "unix":
        return UNIXClientEndpoint(fast(reactor), host, timeout)
    if kind in PORTS:
        return _websocket(text, reactor, timeout)
    if kind == "tls":
        return _tls(text, host, f"{port}{rest}", reactor, timeout)
    return HostnameEndpoint(fast(reactor), host, port, timeout)


def _tls(text: str, host: str, rest: str, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    """The endpoint for a host and what is behind it, by TLS."""
    try:
        import_module("twisted.internet.ssl")
    except ImportError:
        raise SettingError(f"{text}: TLS needs `pip install 'twisted_sock[tls]'`") from None
    if "timeout=" not in rest:
        rest += f":timeout={max(1, round(timeout))}"
    description = f"tls:{strings.escape(host)}:{rest}"
    try:
        return IStreamClientEndpoint(clientFromString(fast(reactor), description))
    except UnlistableError:
        raise _wrong(text, "there is no such folder of certificates") from None
    except TypeError as error:  # an option that there is not
        unknown = ", ".join(map(str, error.args[1])) if len(error.args) > 1 else str(error)
        raise _wrong(text, f"there is no option {unknown}") from None
    except Exception as error:
        raise _wrong(text, str(error) or type(error).__name__) from None


def _websocket(text: str, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    try:
        from twisted_sock.transports.websocket_client import WebSocketEndpoint, url
    except ImportError:
        raise SettingError(f"{text}: WebSocket needs `pip install 'twisted_sock[web]'`") from None
    kind, host, port, rest = split(text)
    path, others = _path(rest)
    try:
        to = url(host, port, path, secure=kind == "wss")
    except UnicodeError:  # of IDNA
        raise _wrong(text, "there is no such host") from None
    below: IStreamClientEndpoint = HostnameEndpoint(fast(reactor), host, port, timeout)
    if kind == "wss":
        below = _tls(text, host, f"{port}{others}", reactor, timeout)
    return WebSocketEndpoint(reactor, below, to, timeout)


def _path(rest: str) -> tuple[str, str]:
    """The path of a WebSocket, and what else was said."""
    parts = strings.split(rest.removeprefix(":")) if rest else []
    paths = [each for each in parts if each.startswith("path=")]
    others = "".join(f":{each}" for each in parts if not each.startswith("path="))
    return strings.unescape(paths[-1].removeprefix("path=")) if paths else "/", others


def split(text: str) -> tuple[str, str, int, str]:
    """The parts of an endpoint's text.

    Returns:
        Its kind (tcp, tls, unix, ws or wss), the host or path, the port, and what else was said,
        as endpoint strings have it, with its colon.

    Raises:
        SettingError: the text stands for no endpoint; says what is wrong with it.
    """
    prefixed = PREFIXED.fullmatch(text)
    if prefixed is None:
        address = f"{HOST}:{text}" if text.isascii() and text.isdigit() else text
        return "tcp", *_address(text, address, options=False)
    kind, address = prefixed[1].lower(), prefixed[2]
    if kind.startswith("http") and address.startswith("//"):
        raise _wrong(text, f"lines are spoken at {kind.replace('http', 'ws')}:{address}")
    if kind.startswith("http"):
        return "tcp", *_address(text, text, options=False)
    if kind in PORTS:
        return kind, *_socket(text, kind, address)
    if kind == "unix":
        if not address or address.startswith(":"):
            raise _wrong(text, "there is no path")
        if len(os.fsencode(address)) > LONGEST_PATH:
            raise _wrong(text, f"a path may have {LONGEST_PATH} bytes")
        return "unix", address, 0, ""
    return kind, *_address(text, address, options=kind == "tls")


def _socket(text: str, kind: str, address: str) -> tuple[str, int, str]:
    """The host, the port and the rest of a WebSocket."""
    match = URL.fullmatch(address)
    if match is None:
        host, port, rest = _address(text, address, options=True)
        path, others = _path(rest)
        if kind == "ws" and others:
            raise _wrong(text, f"behind the port goes only path=/..., not {others[1:]!r}")
    else:
        authority, path = match.groups()
        if "@" in authority:
            raise _wrong(text, "a name and a password cannot be given")
        if not re.search(r":[^\]]*$", authority):
            authority += f":{PORTS[kind]}"
        host, port, _ = _address(text, authority, options=False)
        path = path if path.startswith("/") else f"/{path}"
        rest = "" if path == "/" else f":path={strings.escape(path)}"
    if not path.startswith("/") or "#" in path or not path.isprintable() or " " in path:
        raise _wrong(text, "the path begins with / and holds no space and no #")
    return host, port, rest


def _address(text: str, address: str, options: bool) -> tuple[str, int, str]:
    """The host, the port and the rest of an address."""
    match = ADDRESS.fullmatch(address)
    if not address.startswith("[") and "::" in address.partition("=")[0]:
        raise _wrong(text, "an IPv6 address goes into brackets")
    if match is None:
        raise _wrong(text, "there is no port")
    bracketed, plain, port, rest = match.groups()
    host = plain if bracketed is None else bracketed
    if not host or any(each.isspace() or not each.isprintable() for each in host):
        raise _wrong(text, "there is no host")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 1 << 16):
        raise _wrong(text, f"a port is a number up to 65535, not {port!r}")
    if rest is not None and not options:
        raise _wrong(text, f"nothing goes behind the port, but there is {rest!r}")
    return host, int(port), f":{rest}" if rest else ""


def _wrong(text: str, why: str) -> SettingError:
    return SettingError(f"{text}: not an endpoint, {why}; write {FORMS}")
