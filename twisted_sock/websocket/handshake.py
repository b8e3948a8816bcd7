"""The opening of a WebSocket (RFC 6455 section 4.2), without any I/O."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twisted_sock.errors import SettingError
from twisted_sock.settings import Web

try:
    from websockets.datastructures import Headers
    from websockets.extensions import Extension
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
    from websockets.http11 import Request
    from websockets.server import ServerProtocol
except ImportError:
    raise SettingError("WebSocket needs `pip install 'twisted_sock[web]'`") from None

#: 16 bytes in base64 (RFC 6455 section 4.1).
KEY = re.compile(r"[A-Za-z0-9+/]{22}==")

#: What is left for the package websockets to look at.
NEEDED = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions")

SILENT = logging.Logger("websockets", logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Handshake:
    """The answer to a request for WebSocket.

    Args:
        status: 101 when WebSocket is spoken from now on; else 400 or 426.
        response: the bytes to send then.
        extensions: what was agreed upon besides.
        words: what is wrong otherwise, and what to do.
    """

    status: int
    response: bytes = b""
    extensions: Sequence[Extension] = ()
    words: str = ""

    @property
    def accepted(self) -> bool:
        """Whether WebSocket is spoken from now on."""
        return self.status == 101


def handshake(path: str, headers: Iterable[tuple[str, str]], web: Web) -> Handshake:
    """Answer a GET request for WebSocket.

    Host and Origin are for the caller to check.

    Args:
        path: what was asked for.
        headers: names and values, each as often as it came.
        web: what is allowed.

    Returns:
        The answer.
    """
    fields = [(name.lower(), value) for name, value in headers]
    if wrong := _wrong(fields):
        return wrong
    # Whoever offers other protocols, too, has been heard: this one is chosen.
    needed = Headers(Connection="Upgrade", Upgrade="websocket")
    for name, value in fields:
        if name in NEEDED:
            needed[name] = value  # one more, not instead
    protocol = ServerProtocol(extensions=offers(web), logger=SILENT)
    response = protocol.accept(Request(path, needed))
    if response.status_code != 101:
        return Handshake(400, words="the field Sec-WebSocket-Extensions is malformed")
    return Handshake(101, response.serialize(), tuple(protocol.extensions))


def _wrong(fields: Sequence[tuple[str, str]]) -> Handshake | None:
    """What to answer when the fields are not those of RFC 6455 section 4.2.1."""

    def values(name: str) -> list[str]:
        return [value for key, value in fields if key == name]

    def has(name: str, token: str) -> bool:
        words = ",".join(values(name)).lower().split(",")
        return token in (word.strip(" \t") for word in words)

    if not has("upgrade", "websocket"):
        return Handshake(426, words="WebSocket is spoken here; the field Upgrade must say so")
    if not has("connection", "upgrade"):
        words = "the field Connection must say Upgrade; a proxy in front must pass that on"
        return Handshake(426, words=words)
    if values("sec-websocket-version") != ["13"]:
        return Handshake(426, words="the version of WebSocket spoken here is 13")
    keys = values("sec-websocket-key")
    if len(keys) != 1 or not KEY.fullmatch(keys[0]):
        return Handshake(400, words="the field Sec-WebSocket-Key must be 16 bytes in base64")
    return None


def offers(web: Web) -> list[ServerPerMessageDeflateFactory]:
    """The extensions that a peer may use."""
    if web.deflate == "off":
        return []
    # Nothing is kept between messages: there may be many connections.
    return [
        ServerPerMessageDeflateFactory(
            server_no_context_takeover=True,
            client_no_context_takeover=True,
            compress_settings={"memLevel": 5},
        )
    ]
