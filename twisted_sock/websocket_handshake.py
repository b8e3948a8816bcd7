"""The opening of a WebSocket (RFC 6455 section 4.2), without any I/O."""

from __future__ import annotations

import logging
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

SILENT = logging.Logger("websockets", logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Handshake:
    """The answer to a request for WebSocket.

    Args:
        accepted: whether WebSocket is spoken from now on.
        response: the bytes to send.
        extensions: what was agreed upon besides.
    """

    accepted: bool
    response: bytes
    extensions: Sequence[Extension] = ()


def handshake(path: str, headers: Iterable[tuple[str, str]], web: Web) -> Handshake:
    """Answer a GET request for WebSocket.

    Host and Origin are for the caller to check.

    Args:
        path: what was asked for.
        headers: names and values, each as often as it came.
        web: what is allowed.

    Returns:
        The answer: 101; or 400 or 426 with a reason in plain text, after which the connection
        is to be closed.
    """
    fields = Headers()
    for name, value in headers:
        fields[name] = value  # one more, not instead
    protocol = ServerProtocol(extensions=offers(web), logger=SILENT)
    response = protocol.accept(Request(path, fields))
    accepted = response.status_code == 101
    return Handshake(accepted, response.serialize(), tuple(protocol.extensions))


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
