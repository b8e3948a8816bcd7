"""How long a connection may take to close."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LineFactory
from twisted_sock.http.closing import Closing


class Slow:
    """A transport that can be closed, but not for one side alone."""

    def __init__(self, clock):
        self.clock = clock
        self.dataBuffer = b"the answer"
        self.offset = 0
        self.aborted = None

    def unregisterProducer(self):
        """There is none."""

    def resumeProducing(self):
        """Nothing comes."""

    def loseConnection(self):
        self.dataBuffer += b"goodbye"

    def abortConnection(self):
        self.aborted = self.clock.seconds()


class Ending(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.transport = Slow(self.clock)
        limits = Limits(close_grace=4)
        owner = LineFactory(str.upper, reactor=self.clock, limits=limits)
        self.closing = Closing(owner, self.transport, False)
        self.closing.begin()
        self.closing.watch()

    def advance(self, seconds):
        for _ in range(int(seconds * 100)):
            self.clock.advance(0.01)

    def test_the_goodbye_is_no_new_chance(self):
        """What leaves at once does not count as progress later."""
        self.advance(0.1)
        self.transport.dataBuffer = b""
        self.advance(12)
        self.assertLess(self.transport.aborted, 5.5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_peer_that_takes_something_has_time(self):
        for _ in range(5):
            self.advance(3)
            self.transport.dataBuffer = self.transport.dataBuffer[1:]
        self.assertIsNone(self.transport.aborted)
        self.advance(6)
        self.assertIsNotNone(self.transport.aborted)
