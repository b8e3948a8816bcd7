"""WebSocket (RFC 6455), the serving side: a text message is a line.

All that a stream of bytes sees to holds here, too: deadlines, backpressure, counting. What a
WebSocket has besides:

Pings. A peer that was silent is pinged; one that then stays silent is cut off, as a connection
that broke without a word. Whatever it sends counts as an answer. What is only said in control
frames does not keep a conversation from being idle.

Closing. After everything unsent goes a close frame that says why (section 7.4), then the peer's
own is awaited for the grace time. A peer that closes first has finished sending: it is answered
when what it said before is done. We read on meanwhile, only to see whether it goes without
waiting for that: nobody has half a WebSocket, so then it is lost, and its work with it.
"""

from __future__ import annotations

from typing import Protocol

from twisted_sock.errors import Problem, Reason
from twisted_sock.interfaces import LineOwner, LineSession, Peer
from twisted_sock.settings import LinePolicy, Web
from twisted_sock.transports.stream import CLOSING, NEVER, OPEN, RULES, LineStream, State
from twisted_sock.websocket.frames import PING, close_frame
from twisted_sock.websocket.framing import MessageFramer
from twisted_sock.websocket.handshake import Handshake, handshake

__all__ = ["Handshake", "WebSocketStream", "handshake"]

#: What a conversation that ended for a reason is closed with (RFC 6455 section 7.4.1).
CODES = {
    Reason.DONE: 1000,
    Reason.CLOSED: 1000,
    Reason.SHUTDOWN: 1001,
    Reason.IDLE: 1001,
    Reason.UTF8: 1007,
    Reason.TOO_LONG: 1009,
    Reason.INTERNAL: 1011,
    Reason.BUSY: 1013,
}
POLICY_VIOLATION = 1008

#: Of these there is nothing to say.
WORDLESS = (Reason.DONE, Reason.CLOSED)


class EndedSession(LineSession, Protocol):
    """What a WebSocket needs of a session besides.

    Attributes:
        reason: why it ended, once it has.
    """

    reason: Reason | None


class WebSocketStream(LineStream):
    """One connection that carries lines over WebSocket.

    Args:
        owner: the factory.
        handshake: what was agreed upon.
        policy: what a line is.
        web: what a message may be, and when to ping.
        peer: who is at the other end.
    """

    __slots__ = ("_heard", "_paused", "_pinged", "_spoken", "_web")

    session: EndedSession
    _framer: MessageFramer

    def __init__(
        self, owner: LineOwner, handshake: Handshake, policy: LinePolicy, web: Web, peer: Peer
    ) -> None:
        super().__init__(owner, MessageFramer(policy, web, handshake.extensions), peer)
        self._web = web
        self._paused = False
        # Stamps, in the clock's seconds.
        self._heard = owner.now()  # anything came, or reading was begun again
        self._spoken = self._heard  # something was said before what came last
        self._pinged = -NEVER  # the last ping was sent

    # IProtocol.

    def dataReceived(self, data: bytes) -> None:
        """Bytes came (see `IProtocol`)."""
        self._heard = self._owner.now()
        if self.state is OPEN:
            self._spoken = self._active
            LineStream.dataReceived(self, data)
        else:
            self._framer.feed(data)
            self._attend()
            self._write_queued()

    def readConnectionLost(self) -> None:
        """The peer sends no more (see `IHalfCloseableProtocol`); after a goodbye it is gone."""
        if self._framer.closed and self.state is State.ENDING:
            self._input_over = True
            self.abort()
        else:
            super().readConnectionLost()

    # LineTransport.

    def pause(self) -> None:
        """Stop reading."""
        self._paused = True
        if not self._framer.closed:
            super().pause()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._heard = self._owner.now()
        super().resume()

    def close(self) -> None:
        """Send what is unsent and say goodbye, then close; see that it ends."""
        if self.state < CLOSING:
            self._queue_control()
            self._enqueue(self._goodbye())
            super().close()

    # Output may go on.

    def _go_on(self) -> None:
        """Hand down what waits, and see whether there is room again."""
        if self.state < CLOSING:
            self._queue_control()
        super()._go_on()

    # Input.

    def _receive(self, data: bytes) -> None:
        """Take a chunk that the short way is not for."""
        framer = self._framer
        runs = framer.feed(data)
        if framer.control and not self._choked:
            self._queue_control()  # before the replies, as soon as can be
        self._take(runs)
        if not framer.spoke:
            self._active = self._spoken
        self._attend()
        self._write_queued()

    def _attend(self) -> None:
        """See to what came besides lines."""
        framer = self._framer
        if self.state >= CLOSING:
            framer.control.clear()
            if framer.over and self.state is State.LINGERING:
                super()._hang_up()
        elif framer.closed and self.state is OPEN:
            self._part()
        elif self._choked:
            del framer.control[:-1]  # the last is answer enough (RFC 6455 section 5.5.3)
        else:
            self._queue_control()

    def _part(self) -> None:
        """The peer closes: finish what it has asked for, then answer, unless it goes."""
        self.ending()
        self.session.end_input()
        if self.state < CLOSING:
            self.transport.resumeProducing()

    # Output.

    def _enqueue(self, *frames: bytes) -> None:
        """Put frames behind what is unsent."""
        for frame in frames:
            self._owner.counters.bytes_out += len(frame)
            self._queued += len(frame)
        self._queue += frames

    def _queue_control(self) -> None:
        """Put what the framer has for the peer behind what is unsent."""
        self._enqueue(*self._framer.control)
        self._framer.control.clear()

    def _goodbye(self) -> bytes:
        """The frame that says why we close, or answers the peer's."""
        if self._framer.closed:
            return self._framer.goodbye
        if failure := self._framer.failure:
            return close_frame(self._framer.code, str(failure))
        reason = self.session.reason or Reason.CLOSED
        words = "" if reason in WORDLESS else str(Problem(reason))
        return close_frame(CODES.get(reason, POLICY_VIOLATION), words)

    def _hang_up(self) -> None:
        """Everything is with the transport: await the peer's goodbye, unless nothing can come."""
        if self._input_over or self._framer.over:
            super()._hang_up()
            return
        self.state = State.LINGERING
        self._moved = self._owner.now()
        self.transport.resumeProducing()

    # Deadlines.

    def _give_up(self) -> None:
        """The peer does not take the rest, or does not say goodbye."""
        if self.state is not State.LINGERING:
            super()._give_up()
            return
        # It may not have taken all: closing waits for that, and is not waited for long.
        self.state = State.CLOSING
        self._moved = self._owner.now()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _silent_at(self, now: float) -> float:
        """When a peer is pinged that says nothing."""
        after = self._web.ping_after
        if not after or self.state is not OPEN:
            return NEVER
        waits = self._paused or self._choked or self._deaf or self._pinged > self._heard
        return (now if waits else self._heard) + after

    def _ping(self) -> None:
        """See whether the peer is still there."""
        self._pinged = self._owner.now()
        self._enqueue(PING)
        self._write_queued()

    def _missed_at(self, now: float) -> float:
        """When a peer that does not answer a ping is given up. We must have been reading."""
        timeout = self._web.ping_timeout
        if not timeout or self.state is not OPEN or self._pinged <= self._heard:
            return NEVER
        waits = self._paused or self._choked or self._deaf
        return (now if waits else self._pinged) + timeout

    def _miss(self) -> None:
        """The peer is gone without a word."""
        self.session.cut(Problem(Reason.LOST, "a ping was not answered in time"))


WebSocketStream.rules = (
    (LineStream._stuck_at, WebSocketStream._give_up),
    *RULES[1:],
    (WebSocketStream._silent_at, WebSocketStream._ping),
    (WebSocketStream._missed_at, WebSocketStream._miss),
)
