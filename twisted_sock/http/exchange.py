"""One request and its answer."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Protocol

from twisted.web.http import Request, toChunk

from twisted_sock.errors import Problem, Reason
from twisted_sock.http.answers import TEXT, Answer, Headers, Refusal, head
from twisted_sock.http.head import Head
from twisted_sock.interfaces import LineOwner, Peer
from twisted_sock.settings import Web
from twisted_sock.transports.http import Post

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Phase(enum.IntEnum):
    """How far a connection is."""

    HEAD = 0  # the head of a request is awaited or comes
    BODY = 1  # its body is awaited or comes
    ANSWER = 2  # it is whole, and answered
    CLOSING = 3  # the last answer goes out; what still comes is thrown away
    AWAY = 4  # another protocol has the transport
    GONE = 5


class Connection(Protocol):
    """What a request needs of the connection that it came on.

    Attributes:
        asker: who has sent the request at hand, if a proxy says so that is believed.
        handle: answers a request whose head is there, or raises `Refusal`.
        head: the head of the request at hand.
        held: whether its conversation wants no more of the body.
        owner: whom the conversations belong to.
        peer: who is at the other end of the connection.
        persistent: whether another request may follow.
        phase: how far it is.
        shared: fields of every answer to the request at hand, for the page that has asked.
        talk: the conversation at hand.
        transport: what carries it.
        web: what is allowed.
    """

    asker: Peer
    shared: Headers
    handle: Callable[[Exchange], None]
    head: Head
    held: bool
    owner: LineOwner
    peer: Peer
    persistent: Any
    phase: Phase
    talk: Post | None
    transport: Any
    web: Web

    @property
    def ahead(self) -> bool:
        """Whether more has come than was looked at."""

    def answer(self, answer: Answer, last: bool = False) -> None:
        """Answer as a whole."""

    def answered(self) -> None:
        """The answer is written."""

    def refuse(self, refusal: Refusal, problem: Problem | None = None) -> None:
        """Answer otherwise than was asked."""

    def read_or_hold(self) -> None:
        """Read only what there is a use for."""

    def give_transport(self, protocol: Any) -> None:
        """Make way for another protocol."""

    def hang_up(self) -> None:
        """Send what is unsent, and close."""

    def abort(self) -> None:
        """Drop the connection now."""


class Exchange(Request):
    """One request and its answer."""

    channel: Connection  # type: ignore[assignment]
    talk: Post | None = None
    size = 0  # bytes of the body so far
    answering = False  # whether the head of the answer is sent
    begun = False
    opening = b""  # the head of the answer, when it is a conversation
    expects = False  # whether the peer waits to be asked for the body

    @property
    def head(self) -> Head:
        """The head of the request."""
        return self.channel.head

    # What twisted.web calls.

    def gotLength(self, length: int | None) -> None:
        """Nothing is collected, so its length is of no interest."""

    def handleContentChunk(self, data: bytes) -> None:
        """Some of the body came."""
        if self.talk is None or self.channel.phase is not Phase.BODY or not data:
            return
        self.size += len(data)
        most = self.channel.web.max_body
        if not most or self.size <= most:
            self.talk.receive(data)
            return
        problem = Problem(Reason.TOO_LONG, f"a body may have at most {most} bytes")
        if self.answering:
            self.talk.fail(problem)
        else:
            self.channel.refuse(too_large(most), problem)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The body is whole, if there is one."""
        self.begin()
        if self.talk is not None and self.channel.phase is Phase.ANSWER:
            self.talk.end()

    def begin(self) -> None:
        """The head of the request is whole."""
        if self.begun:
            return
        self.begun = True
        try:
            self.channel.handle(self)
        except Refusal as refusal:
            self.channel.refuse(refusal)

    # What the conversation calls (see `transports.http.Exchange`).

    def converse(self) -> None:
        """Answer with a conversation."""
        channel = self.channel
        self.opening = self._head()  # now, as nothing may fail when there is a conversation
        self._see_whether_it_expects()
        self.talk = channel.talk = Post(channel.owner, self, channel.asker)
        self.talk.begin()
        self._invite()

    def gather(self, body: Any) -> None:
        """Let something else than a conversation take the body.

        Args:
            body: takes it; has the methods of a `Post` but `begin`.
        """
        self.talk = self.channel.talk = body
        self._see_whether_it_expects()
        self._invite()

    def _head(self) -> bytes:
        coding = [("Transfer-Encoding", "chunked")] if self.head.version == "HTTP/1.1" else []
        # Nginx would hold the answer back until it has much of it.
        headers = [*TEXT, *self.channel.shared, ("X-Accel-Buffering", "no"), *coding]
        return head(200, headers, not self.channel.persistent)

    def _see_whether_it_expects(self) -> None:
        expects = self.head.first("expect").lower() == "100-continue"
        self.expects = expects and self.head.version == "HTTP/1.1"

    def _invite(self) -> None:
        """Ask for the body, where that is waited for (RFC 9110 section 10.1.1)."""
        if self.expects and self.channel.phase is Phase.BODY and not self.channel.ahead:
            self.channel.transport.write(CONTINUE)
        self.expects = False

    def write(self, data: bytes) -> None:
        """Send some of the answer's body, its head before the first."""
        if self.channel.phase >= Phase.CLOSING:
            return
        try:
            pieces = toChunk(data) if self.head.version == "HTTP/1.1" else (data,)
            if not self.answering:
                self._invite()
                self.answering = True
                pieces = (self.opening, *pieces)
            self.channel.transport.writeSequence(pieces)
        except Exception:
            self.channel.abort()  # so that the conversation ends, too
            raise

    def finish(self) -> None:
        """The answer is whole."""
        channel = self.channel
        if channel.phase >= Phase.CLOSING:
            return
        if not self.answering:
            channel.answer(Answer(200, b"", TEXT))
            return
        if self.head.version == "HTTP/1.1":
            channel.transport.write(LAST_CHUNK)
        channel.answered()

    def refuse(self, body: bytes) -> None:
        """Answer that there is no room now."""
        self.channel.answer(Answer(503, body, (*TEXT, ("Retry-After", "1"))), last=True)

    def hold(self, held: bool) -> None:
        """Read no more of the body, or read it again."""
        self.channel.held = held
        self.channel.read_or_hold()

    def abort(self) -> None:
        """Drop the connection."""
        self.channel.abort()


def too_large(most: int) -> Refusal:
    """The refusal of a body."""
    return Refusal(413, f"a body may have at most {most} bytes; send less, or set --max-body")
