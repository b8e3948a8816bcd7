"""A plain Twisted application that answers lines on a UNIX socket: python embed.py PATH"""

import sys

from twisted.internet import reactor
from twisted.internet.endpoints import UNIXServerEndpoint

from twisted_sock import LineFactory


def answer(line):
    return line[::-1]


factory = LineFactory(answer)
UNIXServerEndpoint(reactor, sys.argv[1]).listen(factory)
reactor.addSystemEventTrigger("before", "shutdown", factory.drain)
reactor.run()
