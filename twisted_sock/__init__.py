"""The best way to run, embed and test a line protocol on Twisted.

You write what to do with one line of text, as a function or as a `LineProtocol`; `LineFactory`
serves it on any Twisted endpoint, `twistd sockservice` from the command line, and
`twisted_sock.testing` talks to it in memory. `LineClient` is the other end: it asks, and comes
back after every loss.
"""

from twisted_sock.client.reconnecting import LineClient, ReconnectingLineClientFactory
from twisted_sock.client.requests import PUSH, ById, Matcher, Several, parting
from twisted_sock.errors import Problem, Reason, RequestError
from twisted_sock.fast import fast
from twisted_sock.listening import LineService
from twisted_sock.protocol import LineProtocol
from twisted_sock.server import LineFactory
from twisted_sock.settings import Limits, LinePolicy, Requests, Retry

__all__ = [
    "PUSH",
    "ById",
    "Limits",
    "LineClient",
    "LineFactory",
    "LinePolicy",
    "LineProtocol",
    "LineService",
    "Matcher",
    "Problem",
    "Reason",
    "ReconnectingLineClientFactory",
    "RequestError",
    "Requests",
    "Retry",
    "Several",
    "fast",
    "parting",
]
