"""One connection for HTTP, upon the parser of twisted.web, which it keeps from what can go wrong.

`HTTPChannel` waits for a whole request, body included, before it tells of it, and its time for
that begins anew with every byte. Here a request begins with its head, which has one deadline and
a limit, and is read strictly (see `head`) before twisted.web sees it; its body is never collected.

The phases of a connection::

    HEAD ──head is whole──▶ BODY ──body is whole──▶ ANSWER ──answer is whole──▶ HEAD
      └──────── refused, the last answer, told to close ────────▶ CLOSING ──▶ GONE
                                           WebSocket ──▶ AWAY

A connection whose request was not read to its end is of no more use: what comes next could be
taken for a request. So it is closed (see `closing`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IProtocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from twisted_sock.errors import Problem, Reason
from twisted_sock.http.answers import Answer, Headers, Refusal
from twisted_sock.http.chunks import Chunks
from twisted_sock.http.closing import Closing, unsent
from twisted_sock.http.exchange import Exchange, Phase
from twisted_sock.http.head import Head, HeadReader, malformed
from twisted_sock.interfaces import LineOwner, Peer
from twisted_sock.openings import Opening
from twisted_sock.settings import Web
from twisted_sock.transports.http import Post
from twisted_sock.transports.layers import switch

#: Bytes that are taken of requests while one before them is in work.
MOST_AHEAD = 16384

#: Seconds after which it is seen first whether an answer is with the peer; then each time twice.
FLUSHED = 0.005
MOST_FLUSHED = 0.25


Handle = Callable[[Exchange], None]


@implementer(IHalfCloseableProtocol)
class Channel(HTTPChannel, Opening):
    """One connection for HTTP.

    Args:
        owner: whom its conversations belong to.
        web: what is allowed.
        handle: answers a request whose head is there, or raises `Refusal`.
        peer: who is at the other end.

    Attributes:
        asker: who has sent the request at hand, if a proxy says so that is believed.
        shared: fields of every answer to it, for the page that has asked.
    """

    requestFactory = Exchange
    # `head` sees to these, before twisted.web does.
    MAX_LENGTH = totalHeadersSize = maxHeaders = 1 << 62

    head: Head
    transport: Any

    def __init__(self, owner: LineOwner, web: Web, handle: Handle, peer: Peer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.owner = owner
        self.web = web
        self.handle = handle
        self.peer = self.asker = peer
        self.shared: Headers = ()
        self.phase = Phase.HEAD
        self.held = False  # whether the conversation wants no more of the body
        self.talk: Post | None = None
        self._reader = HeadReader(web.max_head)
        self._unread = b""
        self._taking = False
        self._choked = False  # whether the transport has enough
        self._paused = False  # whether it reads nothing
        self._served = False  # whether a request was answered before
        self._input_over = False
        self._unsent = 0  # bytes, when last looked
        self._closing: Closing | None = None
        self._flushing: IDelayedCall | None = None  # looks whether an answer has left

    # What the transport calls.

    def connectionMade(self) -> None:
        """The connection is made (see `IProtocol`)."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self._await_head()

    def dataReceived(self, data: bytes) -> None:
        """Bytes came (see `IProtocol`)."""
        if self.phase >= Phase.CLOSING:
            return
        self._unread += data
        if not self._taking:
            self._taking = True
            try:
                while self._unread and self._take():
                    pass
            except Refusal as refusal:
                self.refuse(refusal)
            finally:
                self._taking = False
            self._end_if_no_more_can_come()
            self.read_or_hold()

    def readConnectionLost(self) -> None:
        """The peer has finished sending (see `IHalfCloseableProtocol`)."""
        self._input_over = True
        if self.phase is Phase.CLOSING:
            self.transport.loseConnection()
        else:
            self._end_if_no_more_can_come()

    def _end_if_no_more_can_come(self) -> None:
        """The peer has finished sending: close, unless there is something left to answer."""
        if not self._input_over:
            return
        if self.phase is Phase.BODY:
            self.abort()
        elif self.phase is Phase.HEAD and not (self._choked and self._unread):
            self.hang_up()

    def writeConnectionLost(self) -> None:
        """Everything is sent and our side closed (see `IHalfCloseableProtocol`)."""
        self._end_talk()
        if self._closing is not None:
            self._closing.watch()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The connection is gone (see `IProtocol`)."""
        self.phase = Phase.GONE
        self.owner.openings.gone(self)
        if self._closing is not None:
            self._closing.forget()
        self.requests.clear()
        self._end_talk(reason)

    # What twisted.web calls.

    def allHeadersReceived(self) -> None:
        """The head of a request is there."""
        request = self.requests[-1]
        version = self.head.version.encode()
        self.persistent = self.checkPersistence(request, version)  # type: ignore[no-untyped-call]
        if self.head.all("transfer-encoding"):
            self._transferDecoder = Chunks(request.handleContentChunk, self._finishRequestBody)

    def _finishRequestBody(self, data: bytes) -> None:
        """The body is whole; return to ourselves what came behind it."""
        if self.phase is Phase.BODY:
            self._unread = data
            self.allContentReceived()

    def allContentReceived(self) -> None:
        """A request is whole."""
        self.phase = Phase.ANSWER
        self.held = False
        super().allContentReceived()  # type: ignore[no-untyped-call]
        self._handlingRequest = False  # what comes next is kept by us

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Its parser has found something that ours has not, or a bad chunk of a body."""
        self.refuse(malformed("the request is malformed"))

    # Requests.

    @property
    def ahead(self) -> bool:
        """Whether more has come than was looked at."""
        return bool(self._unread)

    def _take(self) -> bool:
        """Take the next step with what is unread; returns whether another may follow."""
        if self.phase is Phase.HEAD:
            return not self._choked and self._take_head()
        if self.phase is Phase.BODY:
            data, self._unread = self._unread, b""
            self.rawDataReceived(data)
            return True
        return False

    def _take_head(self) -> bool:
        data, self._unread = self._unread, b""
        found = self._reader.feed(data)
        if found is None:
            return False
        self.head, self._unread = found
        self.owner.openings.done(self)
        self.phase = Phase.BODY
        for line in (*self.head.lines, b""):
            self.lineReceived(line)  # type: ignore[no-untyped-call]
            if self.phase >= Phase.CLOSING:
                return False
        if self.phase is Phase.BODY:
            self.requests[-1].begin()
        return True

    def answer(self, answer: Answer, last: bool = False) -> None:
        """Answer the request at hand as a whole.

        Args:
            answer: with what.
            last: whether to close the connection behind it.
        """
        if last or self.phase is not Phase.ANSWER:
            self.persistent = 0
        bodiless = self.phase is not Phase.HEAD and self.head.method == "HEAD"
        close = not self.persistent
        self.transport.write(answer.encode(extra=self.shared, bodiless=bodiless, close=close))
        self.answered()

    def refuse(self, refusal: Refusal, problem: Problem | None = None) -> None:
        """Answer the request at hand otherwise than was asked.

        Args:
            refusal: how.
            problem: why a conversation that has begun ends so.
        """
        if self.phase >= Phase.CLOSING:
            return
        if refusal.log:
            self.note(refusal.log)
        talk = self.talk
        if talk is not None and self.requests[-1].answering:
            self.abort()  # only so is an answer that has begun seen not to be whole
            return
        if talk is not None:
            self.talk = None
            talk.drop(problem)
        self.answer(refusal.answer, last=bool(refusal.log))

    def answered(self) -> None:
        """The answer to the request at hand is written."""
        if not self.persistent or self.phase is not Phase.ANSWER:
            self.hang_up()
        elif self.talk is None:
            self._next_request()
        else:
            self._flush_later(0, FLUSHED)

    def _flush_later(self, *delays: float) -> None:
        now, after = delays
        self._flushing = self.owner.reactor.callLater(now, self._see_whether_flushed, after)

    def _see_whether_flushed(self, again: float) -> None:
        """A conversation is over when its answer has left; then the next request has its turn."""
        self._flushing = None
        if unsent(self.transport):
            self._flush_later(again, min(2 * again, MOST_FLUSHED))
            return
        self._end_talk()
        if self._closing is not None:
            self._closing.watch()
        elif self.phase < Phase.CLOSING:
            self._next_request()
            self.dataReceived(b"")

    def _next_request(self) -> None:
        self.requests.clear()
        self._served = True
        self._await_head()

    def _end_talk(self, reason: Failure | None = None) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        talk, self.talk = self.talk, None
        if talk is not None:
            talk.over(reason)

    # Reading and writing.

    def pauseProducing(self) -> None:
        """The transport has enough for now (see `IPushProducer`)."""
        self._choked = True
        if self.talk is not None:
            self.talk.producer.pauseProducing()
        self.read_or_hold()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty (see `IPushProducer`)."""
        self._choked = False
        if self.talk is not None:
            self.talk.producer.resumeProducing()
        self.dataReceived(b"")

    def stopProducing(self) -> None:
        """The connection is lost, as `connectionLost` will say (see `IProducer`)."""

    def read_or_hold(self) -> None:
        """Read from the peer only what there is a use for."""
        if self.phase >= Phase.CLOSING:
            return
        if self.phase is Phase.BODY:
            enough = self.held
        else:
            enough = len(self._unread) > MOST_AHEAD or (self._choked and self.talk is None)
        if enough is not self._paused:
            self._paused = enough
            if enough:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def give_transport(self, protocol: Any) -> None:
        """Make way for another protocol.

        Args:
            protocol: what takes over; it is given what came behind the request.
        """
        self.phase = Phase.AWAY
        self.owner.openings.done(self)
        self.transport.unregisterProducer()
        if self._paused:
            self.transport.resumeProducing()
        rest, self._unread = self._unread, b""
        switch(self.transport, IProtocol(protocol))
        protocol.makeConnection(self.transport)
        self.owner.openings.gone(self)
        if rest:
            protocol.dataReceived(rest)

    # Closing, and the deadlines.

    def _await_head(self) -> None:
        """Await a request; it has so much time."""
        self.phase = Phase.HEAD
        self.asker = self.peer
        self.shared = ()
        self._unsent = unsent(self.transport)
        self.owner.openings.begin(self)

    def check(self, now: float) -> float:
        """The head of a request is not there in time (see `Opening`)."""
        before, self._unsent = self._unsent, unsent(self.transport)
        if 0 < self._unsent != before:  # the peer is still taking the answer before
            return now + (self.owner.limits.handshake_timeout or math.inf)
        self._too_late()
        return math.inf

    def _too_late(self) -> None:
        if self._reader.begun or self._unread:
            words = "the head of the request was not there in time"
            self.refuse(Refusal(408, words, log=words))
        else:
            self.give_up("it took too long")

    def give_up(self, why: str) -> None:
        """Drop the connection: it took too long, or must make room (see `Opening`)."""
        if self._reader.begun or not self._served:
            self.note(why)
        self.hang_up()

    def note(self, why: str) -> None:
        """Count and log what is wrong, in words of our own."""
        self.owner.note(Problem(Reason.HANDSHAKE, why), self.asker)

    def hang_up(self) -> None:
        """Send what is unsent, close, and see that it ends."""
        if self.phase >= Phase.CLOSING:
            return
        self._let_go()
        self._closing = Closing(self.owner, self.transport, self._input_over)
        self._closing.begin()
        if self.talk is None:  # which has a deadline of its own
            self._closing.watch()
        elif not self._closing.halves:  # else `writeConnectionLost` is told
            self._flush_later(0, FLUSHED)

    def abort(self) -> None:
        """Drop the connection now."""
        if self.phase <= Phase.CLOSING:
            self._let_go()
            self.transport.abortConnection()

    def _let_go(self) -> None:
        """Take nothing more."""
        self.phase = Phase.CLOSING
        self.owner.openings.done(self)
        self._unread = b""
