"""A client's side of HTTP for tests: one POST that streams, and answers taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from zope.interface import implementer

from twisted_sock import LineFactory
from twisted_sock.memory import BUFFER, join
from twisted_sock.settings import Web
from twisted_sock.web import Site

HEAD = (
    b"POST /line HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"
PEER = IPv4Address("TCP", "192.0.2.1", 40000)


def chunk(data):
    """A part of a body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass
class Answer:
    """One answer: its status, its fields with lower-case names, its body."""

    status: int
    fields: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False


class AnswerReader:
    """Takes a stream of answers apart as it comes.

    Attributes:
        answers: those that have begun.
        news: what has come of their bodies, for whoever takes it out.
    """

    def __init__(self, bodiless=False):
        self.bodiless = bodiless
        self.answers = []
        self.news = bytearray()
        self._data = bytearray()
        self._left = None  # bytes of the chunk or body; None: not known yet

    def feed(self, data):
        self._data += data
        while self._step():
            pass

    def end(self):
        """The connection has ended, and so has an answer whose end nothing else says."""
        for answer in self.answers[-1:]:
            fields = answer.fields
            if "transfer-encoding" not in fields and "content-length" not in fields:
                answer.whole = True

    @property
    def whole(self):
        return bool(self.answers) and self.answers[-1].whole

    def _step(self):
        if not self.answers or self.whole:
            return self._head()
        answer = self.answers[-1]
        if "transfer-encoding" in answer.fields:
            return self._chunk(answer)
        length = answer.fields.get("content-length")
        return self._take(answer, int(length) if length else 1 << 60)

    def _head(self):
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return False
        first, *lines = head.decode().split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        self._data = rest
        if int(status) == 100:
            return True
        pairs = [line.split(": ", 1) for line in lines]
        answer = Answer(int(status), {name.lower(): value for name, value in pairs})
        bodiless = self.bodiless or int(status) in (204, 304)
        answer.whole = bodiless or answer.fields.get("content-length") == "0"
        self.answers.append(answer)
        return True

    def _take(self, answer, length):
        data = self._data[: length - len(answer.body)]
        del self._data[: len(data)]
        answer.body += data
        self.news += data
        answer.whole = len(answer.body) == length
        return bool(data)

    def _chunk(self, answer):
        if self._left is None:
            line, end, rest = self._data.partition(b"\r\n")
            if not end:
                return False
            self._left, self._data = int(line, 16), rest
        if len(self._data) < self._left + 2:
            return False
        data = self._data[: self._left]
        assert self._data[self._left : self._left + 2] == b"\r\n"
        del self._data[: self._left + 2]
        self._left = None
        answer.body += data
        self.news += data
        answer.whole = not data
        return True


@implementer(IHalfCloseableProtocol)
class Recorder(Protocol):
    """Keeps what it is sent."""

    def __init__(self):
        self.received = b""
        self.ended = False

    def dataReceived(self, data):
        self.received += data

    def readConnectionLost(self):
        self.ended = True

    def writeConnectionLost(self):
        pass

    def connectionLost(self, reason=None):
        self.ended = True


class Visitor:
    """A client of a site in memory, in the hands of a test.

    Args:
        handler: what answers lines.
        site: what the site is made with.
        peer: as whom the server sees it.
        factory: another visitor's `factory`, to visit the same site.
        limits, policy: those of the server.
    """

    def __init__(self, handler=str.upper, *, site=None, peer=None, factory=None, **settings):
        if factory is None:
            owner = LineFactory(handler, reactor=Clock(), **settings)
            factory = (site or Site(Web()))(owner, owner)
        self.factory = factory
        self.owner = factory.owner
        self.clock = self.owner.reactor
        self.counters = self.owner.counters
        self.channel = factory.buildProtocol(peer or PEER)
        self._recorder = Recorder()
        self.wire = join(self.channel, self._recorder)
        self.server, self.client = self.wire.ends
        self.advance(0)

    def send(self, data, piece=BUFFER):
        """Send exactly this; the server is given at most `piece` bytes at once."""
        self.server.piece = piece
        self.client.write(data)
        self.advance(0)

    def advance(self, seconds):
        """Let time pass, in steps."""
        steps = max(2, min(200, int(seconds * 20)))
        self.wire.flow()
        for _ in range(steps):
            self.clock.advance(seconds / steps)
            self.wire.flow()

    def read(self):
        """What has come since it was last asked."""
        received, self._recorder.received = self._recorder.received, b""
        return received

    def answers(self, bodiless=False):
        """What has come, taken apart."""
        reader = AnswerReader(bodiless)
        reader.feed(self.read())
        if self.ended:
            reader.end()
        return reader.answers

    def ask(self, data, piece=BUFFER, bodiless=False):
        """Send a request; return its one answer."""
        self.send(data, piece)
        (answer,) = self.answers(bodiless)
        assert answer.whole
        return answer

    @property
    def ended(self):
        """Whether the server has closed its side."""
        return self._recorder.ended

    @property
    def gone(self):
        """Whether the server has let go of the connection."""
        return not self.server.connected

    def end(self):
        """Close the sending side."""
        self.client.loseWriteConnection()
        self.advance(0)

    def close(self):
        """Close both sides."""
        self.client.loseConnection()
        self.advance(0)

    def reset(self):
        """Break the connection."""
        self.client.abortConnection()
        self.advance(0)


def request(method="GET", path="/", body=b"", version="HTTP/1.1", **fields):
    """The bytes of a request; `content_type=...` for a field, None to leave one out."""
    named = {"host": "localhost", **fields}
    if body:
        named.setdefault("content_length", str(len(body)))
    lines = [f"{method} {path} {version}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def post(body=b"hello", **fields):
    """The bytes of a POST of lines."""
    return request("POST", "/line", body, **fields)
