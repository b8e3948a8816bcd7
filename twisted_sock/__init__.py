"""The best way to run, embed and test a line protocol on Twisted.

You write what to do with one line of text, as a function or as a `LineProtocol`; `LineFactory`
serves it on any Twisted endpoint, `twistd sockservice` from the command line, and
`twisted_sock.testing` talks to it in memory. `LineClient` is the other end: it asks, and comes
back after every loss.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted_sock.client.reconnecting import LineClient, ReconnectingLineClientFactory
    from twisted_sock.client.requests import PUSH, ById, Matcher, Several, parting
    from twisted_sock.endpoints import client_endpoint
    from twisted_sock.errors import Problem, Reason, RequestError
    from twisted_sock.fast_reactor import fast
    from twisted_sock.interfaces import Peer
    from twisted_sock.listeners import server_endpoint
    from twisted_sock.listening import LineService
    from twisted_sock.protocol import LineProtocol
    from twisted_sock.server import LineFactory
    from twisted_sock.settings import Datagrams, Limits, LinePolicy, Requests, Retry, Web

#: Where each name is. It is imported when it is first asked for, so that commands start fast.
_PLACES = {
    "LineClient": "client.reconnecting",
    "ReconnectingLineClientFactory": "client.reconnecting",
    "PUSH": "client.requests",
    "ById": "client.requests",
    "Matcher": "client.requests",
    "Several": "client.requests",
    "parting": "client.requests",
    "client_endpoint": "endpoints",
    "Problem": "errors",
    "Reason": "errors",
    "RequestError": "errors",
    "fast": "fast_reactor",
    "Peer": "interfaces",
    "server_endpoint": "listeners",
    "LineService": "listening",
    "LineProtocol": "protocol",
    "LineFactory": "server",
    "Datagrams": "settings",
    "Limits": "settings",
    "LinePolicy": "settings",
    "Requests": "settings",
    "Retry": "settings",
    "Web": "settings",
}

__all__ = [
    "PUSH",
    "ById",
    "Datagrams",
    "Limits",
    "LineClient",
    "LineFactory",
    "LinePolicy",
    "LineProtocol",
    "LineService",
    "Matcher",
    "Peer",
    "Problem",
    "Reason",
    "ReconnectingLineClientFactory",
    "RequestError",
    "Requests",
    "Retry",
    "Several",
    "Web",
    "client_endpoint",
    "fast",
    "parting",
    "server_endpoint",
]


def __getattr__(name: str) -> Any:
    """Import a public name (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
