"""The best way to run, embed and test a line protocol on Twisted.

You write what to do with one line of text, as a function or as a `LineProtocol`; `LineFactory`
serves it on any Twisted endpoint, `twistd sockservice` from the command line, and
`twisted_sock.testing` talks to it in memory.
"""

from twisted_sock.errors import Problem, Reason
from twisted_sock.fast import fast
from twisted_sock.listening import LineService
from twisted_sock.protocol import LineProtocol
from twisted_sock.server import LineFactory
from twisted_sock.settings import Limits, LinePolicy

__all__ = [
    "Limits",
    "LineFactory",
    "LinePolicy",
    "LineProtocol",
    "LineService",
    "Problem",
    "Reason",
    "fast",
]
