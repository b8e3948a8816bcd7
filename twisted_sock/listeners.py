r"""Where to listen, from the text that a person writes: what `--endpoint` takes.

    server_endpoint("tls:1234:certificate=server.pem", reactor).listen(LineFactory(answer))

    tcp:1234                                 lines over TCP
    tls:1234:certificate=server.pem          lines over TLS
    unix:/run/sock                           lines over a UNIX socket
    ws:8080   wss:8443:certificate=...       WebSocket, POST /line and the page
    udp:1234                                 lines in datagrams
    systemd:NAME                             a socket that systemd has opened

`tls:`, `ws:` and `wss:` take `unix=PATH` or `systemd=NAME` instead of a port. What is listened on
and what is laid upon it are told apart here, so that each combination is the same code: at the
bottom one of Twisted's endpoints, then the layers, in the order in which their bytes come: PROXY
header, TLS, HTTP. Strings that begin with any other word are Twisted's own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint

from twisted_sock import strings
from twisted_sock.errors import SettingError
from twisted_sock.interfaces import LineOwner
from twisted_sock.listening import LineEndpoint
from twisted_sock.server import LineFactory
from twisted_sock.settings import LOOPBACK, Datagrams, Web

#: Connections that the system may keep ready for us to accept.
BACKLOG = 1024


class Laying(Protocol):
    """Something to lay between what is listened on and the conversations.

    Attributes:
        waits: whether it waits for something from the peer.
    """

    waits: bool

    def __call__(self, owner: LineOwner, inner: IProtocolFactory) -> IProtocolFactory:
        """The factory that puts a layer before the protocols of another.

        Args:
            owner: whom the conversations belong to.
            inner: the other factory.
        """


class Layered:
    """An endpoint of Twisted's with layers upon it.

    Args:
        endpoint: what is listened on.
        layers: what is laid upon it, the first next to it.
    """

    def __init__(self, endpoint: IStreamServerEndpoint, layers: Sequence[Laying] = ()) -> None:
        self.endpoint = endpoint
        self.layers = tuple(layers)

    def listen(self, factory: LineFactory) -> Deferred[IListeningPort]:
        """Listen (see `LineEndpoint`)."""
        laid: Any = factory
        for layer in reversed(self.layers):
            laid = layer(factory, laid)
        listening: Deferred[IListeningPort] = self.endpoint.listen(laid)
        return listening

    @property
    def waits(self) -> bool:
        """Whether a connection may be one whose conversation has yet to begin."""
        return any(layer.waits for layer in self.layers)

    def reload(self) -> None:
        """Read again what was read from files."""
        for layer in self.layers:
            if hasattr(layer, "reload"):
                layer.reload()


@dataclasses.dataclass(frozen=True)
class Listening:
    """What is the same for all endpoints of a service.

    Args:
        reactor: the reactor.
        interface: the address to listen on where a string names none.
        web: what `ws:` and `wss:` allow.
        datagrams: what `udp:` allows.
        routes: what else `ws:` and `wss:` answer (see `twisted_sock.web.Site`).
        folders: where the files of the page are that they show.
    """

    reactor: Any
    interface: str = LOOPBACK
    web: Web = dataclasses.field(default_factory=Web)
    datagrams: Datagrams = dataclasses.field(default_factory=Datagrams)
    routes: Mapping[str, Callable[[Any], None]] = dataclasses.field(default_factory=dict)
    folders: tuple[str, ...] = ("page",)


def server_endpoint(text: str, reactor: Any, **settings: Any) -> LineEndpoint:
    """What to listen on.

    Args:
        text: see the head of this module.
        reactor: the reactor; `fast(reactor)` for speed.
        settings: what `Listening` takes.

    Raises:
        SettingError: the text stands for nothing to listen on; says what is wrong with it.
    """
    try:
        return _endpoint(text, Listening(reactor, **settings))
    except SettingError:
        raise
    except Exception as error:  # of Twisted's parser, of a file
        raise SettingError(str(error) or type(error).__name__) from error


def _endpoint(text: str, listening: Listening) -> LineEndpoint:
    name, arguments, options = strings.parse(text)
    if name == "haproxy":
        return _behind_haproxy(text.partition(":")[2], listening)
    if name not in KINDS:
        return _twisteds_own(name, text, listening)
    parts = Parts(name, arguments, options)
    made = KINDS[name](parts, listening)
    parts.finish()
    return made


def _behind_haproxy(text: str, listening: Listening) -> LineEndpoint:
    """What Twisted writes with a word in front: our `proxy=`."""
    if text.startswith("udp:"):
        raise SettingError("haproxy: not for udp:, which has no PROXY header")
    return _endpoint(text if ":proxy=" in text else f"{text}:proxy=loopback", listening)


def _twisteds_own(name: str, text: str, listening: Listening) -> LineEndpoint:
    """An endpoint that we know nothing about."""
    try:
        return Layered(IStreamServerEndpoint(serverFromString(listening.reactor, text)))
    except ValueError as error:
        if "Unknown endpoint type" not in str(error):
            raise
        kinds = ", ".join(f"{kind}:" for kind in KINDS)
        where = "; an address goes behind interface=" if "." in name else ""
        raise SettingError(f"{name!r} is no kind of endpoint; there are {kinds}{where}") from None


class Parts:
    """The parts of an endpoint's text, as they are used up one by one.

    Args:
        name: the word that it begins with.
        arguments: the values without a key.
        options: those with one.
    """

    def __init__(self, name: str, arguments: list[str], options: dict[str, str]) -> None:
        self.name = name
        self._arguments = arguments
        self._options = options
        self._known: list[str] = []

    def take(self, key: str, *aliases: str, default: str = "") -> str:
        """The value of an option, whatever it is called.

        Raises:
            SettingError: it is there, but empty: a variable that was not set must not switch off
                what it was to ask for.
        """
        self._known.append(key)
        for name in (key, *aliases):
            if name in self._options:
                value = self._options.pop(name)
                if not value:
                    raise SettingError(f"{name}: there is nothing behind it; write a colon as \\:")
                return value
        return default

    def first(self, *aliases: str) -> str:
        """The value behind the name, or that of an option instead of it."""
        for name in aliases:
            if name in self._options:
                return self._options.pop(name)
        return self._arguments.pop(0) if self._arguments else ""

    def begin_with_port(self) -> None:
        """Take Twisted's own form `tls:FOLDER:port=443`, too."""
        if self._arguments and not self._arguments[0].isdigit():
            self._options.setdefault("certificate", self._arguments.pop(0))
            self._options.setdefault("port", "443")

    def flag(self, key: str, *words: str) -> str:
        """The value of an option that can only be one of some words; the first by default."""
        value = self.take(key, default=words[0])
        if value not in words:
            shown = ", ".join(filter(None, words))
            raise SettingError(f"{key}: one of {shown}, not {value!r}")
        return value

    def number(self, key: str, value: str, most: int) -> int:
        """A value that must be a number."""
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) <= most):
            raise SettingError(f"{key}: a number up to {most}, not {value!r}")
        return int(value)

    def finish(self) -> None:
        """See that nothing is left over."""
        for left in [*self._arguments, *self._options]:
            if not left or re.fullmatch("[0-9a-fA-F/,]+", left):
                raise SettingError(f"{self.name}: {left!r} is too much; write a colon as \\:")
            raise SettingError(f"{self.name}: has no {left!r}; it takes {', '.join(self._known)}")


def _tcp(parts: Parts, listening: Listening) -> LineEndpoint:
    return Layered(_port(parts, listening), _proxied(parts))


def _unix(parts: Parts, listening: Listening) -> LineEndpoint:
    endpoint, layers = _socket(parts, listening, parts.first("address"))
    return Layered(endpoint, [*layers, *_proxied(parts)])


def _systemd(parts: Parts, listening: Listening) -> LineEndpoint:
    parts.take("domain")  # it is seen from the socket
    endpoint, layers = _inherited(parts, listening, parts.first("name"), parts.take("index"))
    return Layered(endpoint, [*layers, *_proxied(parts)])


def _tls(parts: Parts, listening: Listening) -> LineEndpoint:
    parts.begin_with_port()
    endpoint, layers = _anything(parts, listening)
    return Layered(endpoint, [*layers, *_proxied(parts), *_encrypted(parts)])


def _ws(parts: Parts, listening: Listening) -> LineEndpoint:
    endpoint, layers = _anything(parts, listening)
    return Layered(endpoint, [*layers, *_proxied(parts), *_site(parts, listening)])


def _wss(parts: Parts, listening: Listening) -> LineEndpoint:
    endpoint, layers = _anything(parts, listening)
    layers += [*_proxied(parts), *_encrypted(parts)]
    return Layered(endpoint, [*layers, *_site(parts, listening)])


def _udp(parts: Parts, listening: Listening) -> LineEndpoint:
    from twisted_sock.transports.udp import UDPEndpoint

    port = parts.number("port", parts.first("port"), 65535)
    interface = parts.take("interface", default=listening.interface)
    return UDPEndpoint(listening.reactor, port, interface, listening.datagrams)


#: What makes the endpoint of a string, by the word that it begins with.
KINDS: dict[str, Callable[[Parts, Listening], LineEndpoint]] = {
    "tcp": _tcp,
    "tcp6": _tcp,
    "tls": _tls,
    "ssl": _tls,
    "unix": _unix,
    "systemd": _systemd,
    "ws": _ws,
    "wss": _wss,
    "udp": _udp,
}


# What is listened on, with what is always laid upon it.

Bottom = tuple[IStreamServerEndpoint, list[Laying]]


def _anything(parts: Parts, listening: Listening) -> Bottom:
    """A port, or what is said to be listened on instead."""
    if path := parts.take("unix"):
        return _socket(parts, listening, path)
    if name := parts.take("systemd"):
        return _inherited(parts, listening, name, parts.take("index"))
    return _port(parts, listening), []


def _port(parts: Parts, listening: Listening) -> IStreamServerEndpoint:
    port = parts.number("port", parts.first("port"), 65535)
    default = listening.interface
    if parts.name == "tcp6" and default == LOOPBACK:
        default = "::1"
    interface = parts.take("interface", default=default)
    backlog = _backlog(parts)
    if ":" in interface or parts.name == "tcp6":
        return TCP6ServerEndpoint(listening.reactor, port, backlog, interface)
    return TCP4ServerEndpoint(listening.reactor, port, backlog, interface)


def _socket(parts: Parts, listening: Listening, path: str) -> Bottom:
    from twisted_sock.transports.unix import UNIXEndpoint, WithCredentials

    if not path:
        raise SettingError(f"{parts.name}: there is no path")
    mode = parts.take("mode", default="660")
    if not mode.isdigit() or set(mode) - set("01234567") or len(mode) > 4:
        raise SettingError(f"mode: three octal digits, not {mode!r}")
    user = parts.take("owner")
    group = parts.take("group")
    parts.take("lockfile")  # of Twisted's; a stale socket is always found out, and needs no lock
    endpoint = UNIXEndpoint(listening.reactor, path, int(mode, 8), user, group, _backlog(parts))
    return endpoint, [WithCredentials()]


def _inherited(parts: Parts, listening: Listening, name: str, index: str) -> Bottom:
    from twisted_sock.systemd import inherited
    from twisted_sock.transports.unix import WithCredentials

    return inherited(listening.reactor, name, index), [WithCredentials()]


def _backlog(parts: Parts) -> int:
    return parts.number("backlog", parts.take("backlog", default=str(BACKLOG)), 1 << 16)


# What is laid upon it.


def _proxied(parts: Parts) -> list[Laying]:
    """A PROXY header before anything else."""
    networks = parts.take("proxy")
    if not networks:
        return []
    from twisted_sock.transports.proxy import FromProxy

    return [FromProxy(trusted(networks))]


def _encrypted(parts: Parts) -> list[Laying]:
    """TLS, and a PROXY header within it if there is to be one."""
    from twisted_sock.transports.tls import TLS

    certificate = parts.take("certificate", "certKey")
    key = parts.take("key", "privateKey")
    chain = parts.take("chain", "extraCertChain")
    client_ca = parts.take("clientCA")
    client_auth = parts.flag("clientAuth", "", "required", "optional")
    if client_auth and not client_ca:
        raise SettingError("clientAuth: needs clientCA=, the authority that clients are known by")
    required = client_auth != "optional"
    parts.take("dhParameters")  # of Twisted's; there are better suites than those that need them
    inside = parts.take("proxyInside")
    layers: list[Laying] = [TLS(certificate or key, key, chain, client_ca, required)]
    if inside:
        from twisted_sock.transports.proxy import FromProxy

        layers.append(FromProxy(trusted(inside)))
    return layers


def _site(parts: Parts, listening: Listening) -> list[Laying]:
    """HTTP: WebSocket, POST /line and the page."""
    from twisted_sock.web import Site

    forwarded = parts.take("forwarded")
    networks = trusted(forwarded) if forwarded else ()
    return [Site(listening.web, networks, listening.routes, listening.folders)]


def trusted(text: str) -> tuple[Any, ...]:
    """The networks of a list with commas: `10.0.0.0/8,::1`, or `loopback`, which is all of ours.

    Returns:
        Of `ipaddress.IPv4Network` and `IPv6Network`.

    Raises:
        SettingError: one is none.
    """
    try:
        text = ",".join(
            "127.0.0.0/8,::1" if each == "loopback" else each for each in text.split(",")
        )
        return tuple(ip_network(each.strip(), strict=False) for each in text.split(","))
    except ValueError as error:
        words = "write networks as 10.0.0.0/8, or loopback, and a colon as \\:"
        raise SettingError(f"{error}; {words}") from None
