"""The site: what a port of `ws:` or `wss:` serves.

    GET /           with `Upgrade: websocket`: WebSocket (RFC 6455); else the page
    POST /line      one conversation: lines in the body, lines in the answer
    OPTIONS /line   whether a web page of another origin may do that

Each request is looked at from the outside in: its head (`http.head`), the name that it asks for
and the page that it comes from (`http.access`), then its path and method, in the tables here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, ISSLTransport

from twisted_sock.forwarded import real_address
from twisted_sock.http.access import Access
from twisted_sock.http.answers import Answer, Refusal
from twisted_sock.http.channel import Channel
from twisted_sock.http.exchange import Exchange, too_large
from twisted_sock.http.head import malformed
from twisted_sock.http.pages import CONSOLE, Page, pages
from twisted_sock.interfaces import LineOwner, Peer
from twisted_sock.settings import Web
from twisted_sock.transports.layers import LayerFactory
from twisted_sock.transports.websocket import WebSocketStream, handshake
from twisted_sock.trust import Network

LINE = "/line"

#: What answers a request whose head is there, or raises `Refusal`.
Route = Callable[[Exchange], None]

#: What a body may be said to be: nothing, or text. `curl -d` says that it is a form.
KINDS = ("", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream")
CHARSETS = ("", "utf-8", "utf8")

#: What lets a web page of another origin read an answer, and why there is no room.
SHARED = (("Vary", "Origin"), ("Access-Control-Expose-Headers", "Retry-After"))
PREFLIGHT = Answer(
    204,
    headers=(
        ("Allow", "POST, OPTIONS"),
        ("Access-Control-Allow-Methods", "POST"),
        ("Access-Control-Allow-Headers", "Content-Type"),
        ("Access-Control-Max-Age", "600"),
    ),
)

#: What the answer to a WebSocket handshake says that speaks otherwise (RFC 6455 section 4.4).
UPGRADE_REQUIRED = 426
UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"))


class Site:
    """What is laid upon a port that speaks HTTP.

    Args:
        web: what is allowed.
        forwarded_from: the networks of the proxies whose word on the client's address is taken.
        routes: what answers requests for other paths, by the beginning of the path.
        folders: where the files of the page are (see `pages`).

    Raises:
        SettingError: `web` names a host or an origin that is none.
    """

    waits = True

    def __init__(
        self,
        web: Web,
        forwarded_from: tuple[Network, ...] = (),
        routes: Mapping[str, Route] | None = None,
        folders: tuple[str, ...] = (CONSOLE,),
    ) -> None:
        self.web = web
        self.routes = dict(routes or {})
        self.forwarded_from = forwarded_from
        self.access = Access(web.hosts, web.origins)
        self.pages: dict[str, Page] = pages(*folders) if web.page == "on" else {}

    def __call__(self, owner: LineOwner, inner: IProtocolFactory) -> IProtocolFactory:
        """The factory of the connections of a port."""
        factory: IProtocolFactory = SiteFactory(owner, inner, self)
        return factory


class SiteFactory(LayerFactory):
    """Makes the connections of a port, and answers their requests.

    Args:
        owner: whom the conversations belong to.
        inner: the factory that listens with it; its protocols are for other ports.
        site: what is served.
    """

    def __init__(self, owner: LineOwner, inner: IProtocolFactory, site: Site) -> None:
        super().__init__(owner, inner)
        self.site = site

    def layer(self, peer: Peer) -> IProtocol:
        """The protocol of a new connection."""
        channel: IProtocol = Channel(self.owner, self.site.web, self.handle, peer)
        return channel

    def handle(self, exchange: Exchange) -> None:
        """Answer a request whose head is there.

        Raises:
            Refusal: it is not to be answered so.
        """
        head = exchange.head
        exchange.channel.asker = self._asker(exchange)
        host = head.first("host")
        if host:
            self.site.access.check_host(host)
        for beginning, route in self.site.routes.items():
            if head.path.startswith(beginning):
                self._check_origin(exchange)
                route(exchange)
                return
        methods = self._methods(head.path)
        if not methods:
            raise Refusal(404, "there is nothing here; lines go to /line, and the page is at /")
        if head.method not in methods:
            words = f"this takes {' and '.join(methods)}"
            raise Refusal(405, words, ("Allow", ", ".join(methods)))
        methods[head.method](exchange)

    def _methods(self, path: str) -> dict[str, Callable[[Exchange], None]]:
        """What answers requests for a path, by their method."""
        if path == LINE:
            return {"POST": self._converse, "OPTIONS": self._tell_page}
        if path == "/":
            return {"GET": self._root, "HEAD": self._page}
        return {"GET": self._page, "HEAD": self._page} if path in self.site.pages else {}

    def _root(self, exchange: Exchange) -> None:
        if exchange.head.has_token("upgrade", "websocket"):
            self._upgrade(exchange)
        else:
            self._page(exchange)

    def _page(self, exchange: Exchange) -> None:
        """Answer with a file of the page."""
        head = exchange.head
        page = self.site.pages.get(head.path)
        if page is None:
            raise Refusal(404, "the page is off here; there is WebSocket at / and POST /line")
        known = ",".join(head.all("if-none-match"))
        exchange.channel.answer(page.answer(head.first("host"), known))

    def _converse(self, exchange: Exchange) -> None:
        """Answer lines with lines."""
        self._share(exchange)
        head = exchange.head
        _check_kind(head.joined("content-type"), head.joined("content-encoding"))
        most = self.site.web.max_body
        if most and int(head.first("content-length") or 0) > most:
            raise too_large(most)
        if head.joined("expect").lower() not in ("", "100-continue"):
            raise Refusal(417, "the only expectation known here is 100-continue")
        exchange.converse()

    def _tell_page(self, exchange: Exchange) -> None:
        """Answer a browser that asks first whether a page may (Fetch standard, section 3.3.2)."""
        self._share(exchange)
        exchange.channel.answer(PREFLIGHT)

    def _share(self, exchange: Exchange) -> None:
        """See that the page that asks may do so, and let it read the answer, whatever that is."""
        if origin := self._check_origin(exchange):
            exchange.channel.shared = (("Access-Control-Allow-Origin", origin), *SHARED)

    def _upgrade(self, exchange: Exchange) -> None:
        """Speak WebSocket from now on."""
        self._check_origin(exchange)
        channel, head = exchange.channel, exchange.head
        if head.version == "HTTP/1.0":
            raise malformed("WebSocket needs HTTP/1.1; in nginx say proxy_http_version 1.1")
        if head.first("content-length") not in ("", "0") or head.all("transfer-encoding"):
            raise malformed("a request for WebSocket has no body")
        web = self.site.web
        shaken = handshake(head.path, head.fields, web)
        if not shaken.accepted:
            headers = UPGRADE if shaken.status == UPGRADE_REQUIRED else ()
            raise Refusal(shaken.status, shaken.words, *headers, log=shaken.words)
        channel.transport.write(shaken.response)
        owner, peer = self.owner, channel.asker
        channel.give_transport(WebSocketStream(owner, shaken, owner.policy, web, peer))

    def _check_origin(self, exchange: Exchange) -> str:
        head = exchange.head
        secure = ISSLTransport.providedBy(exchange.channel.transport)
        return self.site.access.check_origin(head.all("origin"), head.first("host"), secure)

    def _asker(self, exchange: Exchange) -> Peer:
        """Who asks, as far as those are trusted who say so."""
        peer, head = exchange.channel.peer, exchange.head
        address: IAddress = real_address(
            peer.address,
            head.all("forwarded"),
            head.all("x-forwarded-for"),
            self.site.forwarded_from,
        )
        if address is peer.address:
            return peer
        return dataclasses.replace(peer, address=address, via=peer.address)


def _check_kind(kind: str, encoding: str) -> None:
    """See that a body is text that can be read.

    Args:
        kind: the value of the field Content-Type.
        encoding: that of Content-Encoding.
    """
    media, *parameters = [part.strip(" \t").lower() for part in kind.split(";")]
    pairs = [parameter.partition("=") for parameter in parameters]
    charsets = [value.strip('"') for name, _, value in pairs if name == "charset"]
    if media not in KINDS:
        raise Refusal(415, f"the body is lines of text; its Content-Type is {KINDS[1]}")
    if any(charset not in CHARSETS for charset in charsets):
        raise Refusal(415, "the only charset spoken here is utf-8")
    if encoding.lower() not in ("", "identity"):
        raise Refusal(415, "the body must not be compressed")
