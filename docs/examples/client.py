"""Asks each line of its input and prints the answers, also of a server that is restarted.

python client.py PORT
"""

import sys

from twisted.internet.endpoints import clientFromString
from twisted.internet.task import react

from twisted_sock import LineClient, Matcher, RequestError, fast, parting


async def main(reactor, port):
    endpoint = clientFromString(fast(reactor), f"tcp:127.0.0.1:{port}")
    client = LineClient(endpoint, reactor=reactor, matcher=Matcher(push=parting))
    client.startService()
    for line in sys.stdin:
        try:
            print(await client.request(line.rstrip("\n")))
        except RequestError as error:
            again = "do not ask again" if error.maybe_executed else "safe to ask again"
            print(f"{error}: {again}")
    await client.stopService()


react(main, sys.argv[1:])
