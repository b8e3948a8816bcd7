"""Where to connect to, from the text that a person writes.

    client_endpoint("localhost:1234", reactor).connect(factory)

The forms that begin with a word look like Twisted's client endpoint strings; that of TLS is one,
and takes whatever else these do: `tls:localhost:1234:trustRoots=/etc/my-certificates`.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from twisted_sock.errors import SettingError
from twisted_sock.fast_reactor import fast

#: What a person may write.
FORMS = "localhost:1234, 1234, [::1]:1234, tcp:host:port, tls:host:port or unix:/path"

#: The host of a port that was given alone.
HOST = "127.0.0.1"

#: Seconds that connecting may take.
CONNECTING = 30.0

#: Bytes that the path of a UNIX socket may have.
LONGEST_PATH = 107 if sys.platform == "linux" else 103

PREFIXED = re.compile(r"(tcp|tls|unix|wss?):(.*)", re.DOTALL)
ADDRESS = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:]*)):([^:]*)(?::(.*))?", re.DOTALL)


def client_endpoint(text: str, reactor: Any, timeout: float = CONNECTING) -> IStreamClientEndpoint:
    """The endpoint that a text stands for, on `fast(reactor)`.

    A host name is tried at all its addresses, IPv6 and IPv4, the next before the last has failed
    (RFC 8305, "happy eyeballs").

    Args:
        text: `localhost:1234`, `1234`, `[::1]:1234`, `tcp:host:port`, `tls:host:port` or
            `unix:/path`.
        reactor: the reactor.
        timeout: seconds that connecting may take.

    Raises:
        SettingError: the text stands for no endpoint; says what is wrong with it.
    """
    kind, host, port, rest = split(text)
    if kind == "tcp":
        return HostnameEndpoint(fast(reactor), host, port, timeout)
    if kind == "unix":
        return UNIXClientEndpoint(fast(reactor), host, timeout)
    try:
        import_module("twisted.internet.ssl")
    except ImportError:
        raise SettingError(f"{text}: TLS needs `pip install 'twisted_sock[tls]'`") from None
    if "timeout=" not in rest:
        rest += f":timeout={max(1, round(timeout))}"
    description = f"tls:{_escaped(host)}:{port}{rest}"
    try:
        return IStreamClientEndpoint(clientFromString(fast(reactor), description))
    except Exception as error:
        raise _wrong(text, str(error) or type(error).__name__) from None


def split(text: str) -> tuple[str, str, int, str]:
    """The parts of an endpoint's text.

    Returns:
        Its kind (tcp, tls or unix), the host or path, the port, and what else was said, as
        endpoint strings have it, with its colon.

    Raises:
        SettingError: the text stands for no endpoint; says what is wrong with it.
    """
    prefixed = PREFIXED.fullmatch(text)
    if prefixed is None:
        address = f"{HOST}:{text}" if text.isascii() and text.isdigit() else text
        return "tcp", *_address(text, address, options=False)
    kind, address = prefixed.groups()
    if kind.startswith("ws"):
        raise _wrong(text, "WebSocket is not there yet")
    if kind == "unix":
        if not address or address.startswith(":"):
            raise _wrong(text, "there is no path")
        if len(os.fsencode(address)) > LONGEST_PATH:
            raise _wrong(text, f"a path may have {LONGEST_PATH} bytes")
        return "unix", address, 0, ""
    return kind, *_address(text, address, options=kind == "tls")


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


def _escaped(text: str) -> str:
    """A text as one part of Twisted's endpoint strings."""
    return text.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")


def _wrong(text: str, why: str) -> SettingError:
    return SettingError(f"{text}: not an endpoint, {why}; write {FORMS}")
