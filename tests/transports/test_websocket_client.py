"""Connecting to WebSockets: what is said to a server in memory, what is made of what it says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IConsumer, IPushProducer, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_sock.memory import BUFFER, join
from twisted_sock.transports import websocket_client
from twisted_sock.transports.websocket_client import (
    HandshakeFailed,
    WebSocketEndpoint,
    url,
)
from twisted_sock.websocket import client_lines
from twisted_sock.websocket.client_lines import WebSocketClosed
from twisted_sock.websocket.client_transport import CLOSING
from twisted_sock.websocket.refusals import refusal

TEXT, CONT, BINARY, PING, PONG, CLOSE = (
    Opcode.TEXT,
    Opcode.CONT,
    Opcode.BINARY,
    Opcode.PING,
    Opcode.PONG,
    Opcode.CLOSE,
)


class Server(Protocol):
    """The server's end of a connection.

    Args:
        answer: what to say to the request; the right answer when left out.
        more: what to say together with that.
    """

    def __init__(self, answer=None, more=()):
        self.answer, self.more = answer, more
        self.socket = ServerProtocol()
        self.request = None
        self.frames = []
        self.writes = 0
        self.raw = b""
        self.lost = None

    def dataReceived(self, data):
        self.raw += data
        if self.answer is not None:
            if b"\r\n\r\n" in self.raw:
                self.transport.write(self.answer)
                self.answer = b""
            return
        self.writes += 1
        self.socket.receive_data(data)
        for event in self.socket.events_received():
            if isinstance(event, Request):
                self.request = event
                self.socket.send_response(self.socket.accept(event))
                for each in self.more:
                    self.socket.send_frame(each)
            else:
                self.frames.append(event)
        self.flush()

    def flush(self):
        data = self.socket.data_to_send()
        self.transport.write(b"".join(data))
        if b"" in data:
            self.transport.loseConnection()

    def send(self, *frames):
        for frame in frames:
            self.socket.send_frame(frame)
        self.flush()

    def say(self, *texts):
        self.send(*(Frame(TEXT, text.encode()) for text in texts))

    def close(self, code=1000, reason=""):
        self.socket.send_close(code, reason)
        self.flush()

    def lines(self):
        return [bytes(each.data).decode() for each in self.frames if each.opcode is TEXT]

    def closed_with(self):
        return self.socket.close_rcvd and self.socket.close_rcvd.code

    def connectionLost(self, reason):
        self.lost = reason


class Above(Protocol):
    """What reads and writes lines."""

    data = b""
    lost = None

    def dataReceived(self, data):
        self.data += data

    def connectionLost(self, reason):
        self.lost = reason.value


@implementer(IStreamClientEndpoint)
class Below:
    """Connects in memory to a server."""

    def __init__(self, server):
        self.server = server
        self.wire = None
        self.attempts = []

    def connect(self, factory):
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1234))
        self.wire = join(self.server, protocol)
        return succeed(protocol)


@implementer(IStreamClientEndpoint)
class Never:
    """Connects never."""

    def connect(self, factory):
        self.deferred = Deferred()
        return self.deferred


class Case(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def connect(self, server, factory=None, timeout=30.0):
        self.server = server
        self.below = Below(server)
        self.above = Above()
        factory = factory or Factory.forProtocol(lambda: self.above)
        endpoint = WebSocketEndpoint(self.clock, self.below, url("host", 1234, "/"), timeout)
        self.connected = endpoint.connect(factory)
        self.near, self.far = self.below.wire.ends[1], self.below.wire.ends[0]
        return self.connected

    def open(self, **settings):
        self.successResultOf(self.flow(self.connect(Server(**settings))))
        self.transport = self.above.transport
        self.server.writes = 0
        self.addCleanup(self.end)

    def flow(self, result=None):
        self.below.wire.flow()
        return result

    def end(self):
        self.transport.abortConnection()
        self.flow()

    def write(self, data):
        self.transport.write(data)
        self.flow()

    def ended(self, kind):
        """See that the connection has ended so; returns why."""
        self.assertIsInstance(self.above.lost, kind)
        return self.above.lost


#: Sizes of messages at which something changes.
SIZES = st.sampled_from([0, 1, 2, 125, 126, 127, 500, 511, 512, 513, 65535, 65536]) | st.integers(
    0, 700
)


class ComesTest(Case):
    def test_a_message_is_a_line(self):
        self.open()
        self.server.say("hello", "wörld", "", "with an end\n", "two\nlines", "CR\r\n")
        self.flow()
        expected = "hello\nwörld\n\nwith an end\ntwo\nlines\nCR\r\n"
        self.assertEqual(self.above.data.decode(), expected)

    def test_byte_by_byte(self):
        self.connect(Server(more=[Frame(TEXT, b"early")]))
        self.near.piece = self.far.piece = 1
        self.successResultOf(self.flow(self.connected))
        self.server.say("x" * 70000, "世界")
        self.flow()
        self.assertEqual(self.above.data.decode(), "early\n" + "x" * 70000 + "\n世界\n")
        self.above.transport.loseConnection()
        self.flow()
        self.ended(ConnectionDone)

    def test_what_comes_with_the_answer_to_the_handshake(self):
        self.open(more=[Frame(TEXT, b"greeting"), Frame(TEXT, b"more")])
        self.assertEqual(self.above.data, b"greeting\nmore\n")

    def test_a_close_that_comes_with_the_answer(self):
        self.open(more=[Frame(TEXT, b"busy"), Frame(CLOSE, b"\x03\xf5come back later")])
        self.assertEqual(self.above.data, b"busy\n")
        self.server.transport.loseConnection()
        self.flow()
        self.assertEqual(self.ended(WebSocketClosed).code, 1013)

    def test_fragments_are_joined(self):
        self.open()
        euro = "€".encode()
        self.server.send(
            Frame(TEXT, b"a" + euro[:1], fin=False),
            Frame(PING, b"there?"),
            Frame(CONT, euro[1:2], fin=False),
            Frame(CONT, b"", fin=False),
            Frame(CONT, euro[2:] + b"z"),
            Frame(TEXT, b"next"),
        )
        self.flow()
        self.assertEqual(self.above.data.decode(), "a€z\nnext\n")
        self.assertEqual([each.opcode for each in self.server.frames], [PONG])
        self.assertEqual(bytes(self.server.frames[0].data), b"there?")

    def refused(self, code, words):
        self.flow()
        self.assertEqual(self.server.closed_with(), code)
        self.server.transport.loseConnection()
        self.flow()
        error = self.ended(WebSocketClosed)
        self.assertEqual((error.code, str(error)), (code, words))
        self.assertEqual(self.above.data, b"before\n")

    def test_binary_messages_are_refused(self):
        self.open()
        self.server.send(
            Frame(TEXT, b"before"),
            Frame(BINARY, b"\x00", fin=False),
            Frame(CONT, b"x"),
            Frame(TEXT, b"behind"),
        )
        self.refused(1003, "a binary message came, and a line is text")

    def test_messages_that_are_not_utf8_are_refused(self):
        self.open()
        self.server.send(Frame(TEXT, b"before"), Frame(TEXT, b"\xc3"), Frame(TEXT, b"\xa9"))
        self.refused(1007, "a message came that is not UTF-8")

    def test_messages_that_are_too_long_are_refused(self):
        for frames in (
            [Frame(TEXT, b"x" * 66001)],
            [Frame(TEXT, b"x" * 60000, fin=False), Frame(CONT, b"x" * 6001)],
        ):
            self.patch(websocket_client, "LONGEST", 66000)
            self.open()
            self.server.send(Frame(TEXT, b"before"), *frames)
            self.refused(1009, f"a message of more than {16 << 20} bytes came")

    def test_what_is_no_websocket_any_more(self):
        self.open()
        self.server.say("before")
        self.server.transport.write(b"\x83\x00")
        self.refused(1002, "the server breaks the rules of WebSocket: invalid opcode")

    @settings(deadline=None)
    @given(st.data())
    def test_all_kinds_of_frames_cut_anywhere(self, data):
        """Those that take the short way and those that do not, between each other."""
        self.clock = Clock()
        self.connect(Server())
        self.flow()
        expected = []
        for size in data.draw(st.lists(SIZES, max_size=8)):
            text = ("é" * (size // 2) + "x" * (size % 2)).encode()
            cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=3)))
            opcode = TEXT
            for begin, end in zip([0, *cuts], [*cuts, size], strict=True):
                self.server.send(Frame(opcode, text[begin:end], fin=False))
                opcode = CONT
                if data.draw(st.booleans()):
                    self.server.send(Frame(PING, b"x" * (size % 126)))
            self.server.send(Frame(CONT, b""), Frame(TEXT, text))
            expected += [text, text]
        stream, self.far.dataBuffer = self.far.dataBuffer, b""
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            self.far.dataBuffer = stream[begin:end]
            self.flow()
        self.assertEqual(self.above.data, b"".join(b"%b\n" % text for text in expected))
        self.assertIsNone(self.above.lost)
        self.above.transport.abortConnection()
        self.flow()


class GoesTest(Case):
    def test_a_line_is_a_message(self):
        self.open()
        self.write(b"hello\n\nw\xc3\xb6rld\r\n \r\r\n")
        self.assertEqual(self.server.lines(), ["hello", "", "wörld", " \r"])
        self.assertEqual(self.server.writes, 1)
        self.transport.writeSequence([b"a\n", b"b\n"])
        self.flow()
        self.assertEqual(self.server.lines()[4:], ["a", "b"])
        self.assertEqual(self.server.writes, 2)

    def test_what_has_no_end_waits_for_it(self):
        self.open()
        for piece in (b"a\nb", b"c", b"", b"\xc3", b"\xa9\nd"):
            self.write(piece)
        self.assertEqual(self.server.lines(), ["a", "bcé"])
        self.transport.loseConnection()
        self.flow()
        self.assertEqual(self.server.lines(), ["a", "bcé", "d"])
        self.assertEqual(self.server.closed_with(), 1000)
        self.ended(ConnectionDone)

    def test_only_bytes(self):
        self.open()
        self.assertRaises(TypeError, self.transport.write, "text\n")

    def broken(self, words):
        self.flow()
        self.assertEqual(self.server.closed_with(), 1001)
        error = self.ended(WebSocketClosed)
        self.assertEqual((error.code, str(error)), (1001, words))

    def test_what_is_not_utf8_ends_it(self):
        self.open()
        self.write(b"good\n\xff\nbehind\n")
        self.assertEqual(self.server.lines(), ["good"])
        self.broken("a line was to be sent that is not UTF-8")

    def test_a_tail_that_is_not_utf8(self):
        self.open()
        self.write(b"good\n\xc3")
        self.transport.loseConnection()
        self.broken("a line was to be sent that is not UTF-8")

    def test_a_line_without_end(self):
        self.open()
        self.patch(client_lines, "LONGEST", 100)
        self.write(b"x" * 100)
        self.assertIsNone(self.above.lost)
        self.write(b"x")
        self.broken("a line of more than 100 bytes was to be sent")

    @settings(deadline=None)
    @given(st.data())
    def test_lines_come_back_as_they_went(self, data):
        self.clock = Clock()
        self.connect(Server())
        self.near.piece = data.draw(st.integers(1, 40))
        self.far.piece = data.draw(st.integers(1, 40))
        self.flow()
        text = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))
        lines = data.draw(st.lists(text, max_size=8))
        stream = "".join(f"{line}\n" for line in lines).encode()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            self.above.transport.write(stream[begin:end])
            self.flow()
        self.assertEqual(self.server.lines(), lines)
        self.server.say(*lines)
        self.flow()
        self.assertEqual(self.above.data, stream)
        self.above.transport.abortConnection()
        self.flow()


class EndsTest(Case):
    def test_the_server_closes(self):
        for close in (b"\x03\xe8", b"\x03\xe9bye", b""):
            self.open()
            self.server.send(Frame(CLOSE, close))
            self.near.step()
            self.assertIsNone(self.above.lost)
            self.assertTrue(self.transport.disconnecting)
            self.flow()
            self.ended(ConnectionDone)
            self.assertFalse(self.transport.connected)

    def test_the_server_closes_with_an_error(self):
        for code, reason, words in (
            (1013, "come back\nlater \x1b[2J", "1013 come back later \\x1b[2J"),
            (1012, "", "1012"),
            (4000, "mine", "4000 mine"),
        ):
            self.open()
            self.server.close(code, reason)
            self.flow()
            self.write(b"too late\n")
            error = self.ended(WebSocketClosed)
            self.assertEqual(error.code, code)
            self.assertEqual(str(error), f"the server has closed the WebSocket: {words}")

    def test_the_connection_ends_without_a_close(self):
        self.open()
        self.server.say("last")
        self.server.transport.loseConnection()
        self.flow()
        self.assertEqual(self.above.data, b"last\n")
        self.assertEqual(self.ended(WebSocketClosed).code, CloseCode.ABNORMAL_CLOSURE)

    def test_the_connection_breaks(self):
        self.open()
        self.server.transport.abortConnection()
        self.flow()
        self.ended(ConnectionLost)

    def test_it_is_dropped(self):
        self.open()
        self.write(b"tail")
        self.transport.abortConnection()
        self.transport.abortConnection()
        self.transport.loseConnection()
        self.flow()
        self.ended(ConnectionAborted)
        self.assertEqual(self.server.frames, [])
        self.transport.write(b"late\n")
        self.transport.abortConnection()

    def test_nothing_is_delivered_after_our_close(self):
        self.open()
        self.near.piece = 2
        self.transport.pauseProducing()
        self.transport.loseConnection()
        self.transport.loseConnection()
        self.transport.pauseProducing()
        self.transport.write(b"late\n")
        self.server.say("late", "later")
        self.flow()
        self.assertEqual((self.above.data, self.server.lines()), (b"", []))
        self.ended(ConnectionDone)

    def test_a_server_that_does_not_answer_our_close(self):
        self.open()
        self.transport.loseConnection()
        self.far.reading = False
        self.flow()
        self.clock.advance(CLOSING - 0.1)
        self.flow()
        self.assertIsNone(self.above.lost)
        self.far.reading = True
        self.server.socket = ServerProtocol()  # knows of nothing
        self.server.answer = b""
        self.flow()
        self.clock.advance(0.1)
        self.flow()
        self.ended(ConnectionDone)

    def test_a_server_that_takes_nothing_is_cut_off(self):
        self.open()
        self.far.reading = False
        self.transport.write(b"x\n")
        self.transport.loseConnection()
        self.flow()
        for _ in range(2):
            self.assertIsNone(self.above.lost)
            self.clock.advance(CLOSING)
            self.flow()
        self.ended(ConnectionAborted)

    def test_what_is_unsent_has_its_time(self):
        """As long as much is unsent, whoever closes decides how long to wait."""
        self.open()
        self.far.reading = False
        lines = [str(number) * 1000 for number in range(100)]
        self.transport.write("".join(f"{line}\n" for line in lines).encode())
        self.transport.loseConnection()
        self.flow()
        self.clock.advance(100)
        self.assertIsNone(self.above.lost)
        self.far.reading = True
        self.flow()
        self.assertEqual(self.server.lines(), lines)
        self.ended(ConnectionDone)


class Source:
    """A producer that notes what it is told."""

    def __init__(self):
        self.told = []

    def pauseProducing(self):
        self.told.append("pause")

    def resumeProducing(self):
        self.told.append("resume")

    def stopProducing(self):
        self.told.append("stop")


class FlowTest(Case):
    def test_interfaces(self):
        self.open()
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, self.transport)
        self.assertFalse(hasattr(self.transport, "loseWriteConnection"))
        self.assertEqual(self.transport.getPeer().port, 1234)
        self.assertEqual(self.transport.getHost().port, 40000)
        self.transport.setTcpNoDelay(True)

    def test_reading_is_paused(self):
        self.open()
        self.transport.pauseProducing()
        self.server.say("a")
        self.flow()
        self.assertEqual(self.above.data, b"")
        self.transport.resumeProducing()
        self.flow()
        self.assertEqual(self.above.data, b"a\n")

    def test_a_producer_is_told(self):
        self.open()
        source = Source()
        self.transport.registerProducer(source, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, source, True)
        self.far.reading = False
        self.transport.write(b"x" * BUFFER + b"\n")
        self.assertEqual(source.told, ["pause"])
        self.transport.unregisterProducer()
        self.transport.registerProducer(source, True)
        self.assertEqual(source.told, ["pause", "pause"])
        self.far.reading = True
        self.flow()
        self.assertEqual(source.told[2:], ["resume"])
        self.transport.abortConnection()
        self.flow()
        self.assertEqual(source.told[3:], ["stop"])
        self.transport.registerProducer(source, True)
        self.assertEqual(source.told[4:], ["stop"])

    def test_a_producer_may_finish(self):
        self.open()
        self.transport.registerProducer(Source(), True)
        self.transport.loseConnection()
        self.write(b"rest\n")
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual((self.server.lines(), self.server.closed_with()), (["rest"], None))
        self.transport.unregisterProducer()
        self.flow()
        self.assertEqual(self.server.closed_with(), 1000)

    def test_a_server_that_closes_stops_a_producer(self):
        self.open()
        source = Source()
        self.transport.registerProducer(source, True)
        self.server.close(1013, "later")
        self.flow()
        self.assertEqual(source.told, ["pause", "stop"])

    def test_a_server_that_asks_and_does_not_listen(self):
        """Pongs that it does not take pile up no more than one read brings."""
        self.open()
        self.far.reading = False
        for _ in range(5000):
            self.server.socket.send_ping(b"x" * 100)
        self.server.flush()
        self.flow()
        self.assertLess(len(self.near.dataBuffer), 3 * BUFFER)
        self.assertTrue(self.far.dataBuffer)
        self.assertFalse(self.near.reading)
        self.transport.pauseProducing()
        self.transport.resumeProducing()
        self.assertFalse(self.near.reading)
        self.far.reading = True
        self.flow()
        self.assertEqual(len(self.server.frames), 5000)
        self.assertTrue(self.near.reading)


#: What a server answers, and what is said of it.
REFUSALS = {
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 21\r\n\r\n\n  not \x1b[2Jyou\nnor me": (
        "HTTP 403 Forbidden: not \\x1b[2Jyou"
    ),
    b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n": "HTTP 426 Upgrade Required",
    b"HTTP/1.1 500 \r\nContent-Length: 15\r\n\r\n<html>\nno\n</htm": "HTTP 500",
    b"HTTP/1.1 400 " + b"x" * 300 + b"\r\nContent-Length: 0\r\n\r\n": (
        "HTTP 400 " + "x" * 200 + "..."
    ),
    b"HTTP/1.1 301 Moved\r\nLocation: wss://elsewhere\r\nContent-Length: 0\r\n\r\n": (
        "HTTP 301 Moved: redirects are not followed, and it points to wss://elsewhere"
    ),
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n": (
        "the answer is no WebSocket handshake: invalid Upgrade header: h2c"
    ),
    b"HTTP/1.0 400 Bad request\r\n\r\n": "HTTP 400 Bad request",
    b"ERR foreign this is not the protocol that is spoken here\n": (
        "the answer is no WebSocket handshake: it says "
        "ERR foreign this is not the protocol that is spoken here"
    ),
    b"SSH-2.0-OpenSSH_9.2\r\n": (
        "the answer is no WebSocket handshake: it says SSH-2.0-OpenSSH_9.2"
    ),
    b"\n\n": "the answer is no WebSocket handshake: it says something else",
    b"\x15\x03\x01\x00\x02\x02\n": (
        "the answer is no WebSocket handshake: it speaks TLS, so write wss:"
    ),
}


class HandshakeTest(Case):
    def refused(self, *arguments, **settings):
        self.connect(*arguments, **settings)
        self.flow()
        error = self.failureResultOf(self.connected, HandshakeFailed)
        self.assertIsNone(self.above.lost)
        return str(error.value)

    def test_refusals(self):
        for answer, words in REFUSALS.items():
            self.assertEqual(self.refused(Server(answer)), words, answer)
            self.assertIsNotNone(self.server.lost)

    def test_a_wrong_answer_to_the_key(self):
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
        )
        self.assertIn("Sec-WebSocket-Accept", self.refused(Server(answer)))

    def test_an_answer_that_never_ends(self):
        self.refused(Server(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10000))
        self.refused(Server(b"x" * 100000))
        self.refused(Server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20)))

    def test_the_server_ends_the_connection(self):
        for answer, words in (
            (b"", "the server has closed the connection instead of an answer"),
            (b"HTTP/1.1 403 Forbidden\r\n\r\nnot you", "HTTP 403 Forbidden: not you"),
            (b"HTTP/1.1 403 Forb", "the answer is no WebSocket handshake: it says HTTP/1.1 403 F"),
        ):
            self.connect(Server(answer))
            self.flow()
            self.server.transport.loseConnection()
            self.flow()
            error = self.failureResultOf(self.connected, HandshakeFailed)
            self.assertIn(words, str(error.value))

    def test_the_connection_breaks(self):
        self.connect(Server(b""))
        self.flow()
        self.server.transport.abortConnection()
        self.flow()
        self.failureResultOf(self.connected, ConnectionLost)

    def test_no_answer_in_time(self):
        for answer, words in (
            (b"", "no WebSocket handshake within 5 s"),
            (b"HTTP/1.1 101 Switching Protocols\r\nUpgr", "no WebSocket handshake within 5 s"),
            (b"HTTP/1.1 403 Forbidden\r\n\r\nnot", "HTTP 403 Forbidden"),
        ):
            self.connect(Server(answer), timeout=5)
            self.flow()
            self.clock.advance(4.9)
            self.assertNoResult(self.connected)
            self.clock.advance(0.1)
            error = self.failureResultOf(self.connected, HandshakeFailed)
            self.assertEqual(str(error.value), words)
            self.flow()
            self.assertIsNotNone(self.server.lost)

    def test_no_connection(self):
        class Refuses:
            def connect(self, factory):
                return fail(ConnectionRefusedError())

        endpoint = WebSocketEndpoint(self.clock, Refuses(), url("host", 1, "/"))
        self.failureResultOf(endpoint.connect(Factory()), ConnectionRefusedError)

    def test_no_connection_in_time(self):
        never = Never()
        connected = WebSocketEndpoint(self.clock, never, url("host", 1, "/")).connect(Factory())
        self.clock.advance(30)
        self.failureResultOf(connected, TimeoutError)
        self.assertIsNone(self.successResultOf(never.deferred))

    def test_cancelled(self):
        never = Never()
        connected = WebSocketEndpoint(self.clock, never, url("host", 1, "/")).connect(Factory())
        connected.cancel()
        self.failureResultOf(connected, CancelledError)
        self.assertIsNone(self.successResultOf(never.deferred))
        self.connect(Server())
        self.connected.cancel()
        self.failureResultOf(self.connected, CancelledError)
        self.flow()
        self.assertIsNotNone(self.server.lost)

    def test_no_protocol(self):
        def broken():
            raise ZeroDivisionError

        class Nothing(Factory):
            def buildProtocol(self, addr):
                return None

        for factory, kind in (
            (Nothing(), NoProtocol),
            (Factory.forProtocol(broken), ZeroDivisionError),
        ):
            self.connect(Server(more=[Frame(TEXT, b"early")]), factory)
            self.flow()
            self.failureResultOf(self.connected, kind)
            self.assertIsNotNone(self.server.lost)

    def test_the_factory_is_started_and_stopped(self):
        class Counts(Factory):
            told = ""

            def doStart(self):
                self.told += "start "

            def doStop(self):
                self.told += "stop "

        class Tells(Never):
            def connect(self, factory):
                factory.doStart()
                factory.doStop()
                return super().connect(factory)

        counts = Counts()
        connected = WebSocketEndpoint(self.clock, Tells(), url("host", 1, "/")).connect(counts)
        connected.cancel()
        self.failureResultOf(connected, CancelledError)
        self.assertEqual(counts.told, "start stop ")

    def test_a_protocol_that_closes_at_once(self):
        class Leaves(Above):
            def connectionMade(self):
                self.transport.write(b"bye\n")
                self.transport.loseConnection()

        above = Leaves()
        self.connect(Server(more=[Frame(TEXT, b"x")]), Factory.forProtocol(lambda: above))
        self.flow()
        self.assertEqual((self.server.lines(), above.data), (["bye"], b""))
        self.assertIsInstance(above.lost, ConnectionDone)

    def test_only_one_of_two_connections_is_kept(self):
        """As when two addresses of a name answer at once."""

        class Twice(Below):
            def connect(self, factory):
                connected = super().connect(factory)
                self.other = Server()
                self.second = join(self.other, factory.buildProtocol(None))
                return connected

        server = Server()
        below = Twice(server)
        above = Above()
        endpoint = WebSocketEndpoint(self.clock, below, url("host", 1, "/"))
        connected = endpoint.connect(Factory.forProtocol(lambda: above))
        for wire in (below.second, below.wire):
            wire.flow()
        self.assertIs(self.successResultOf(connected), above)
        self.assertEqual((below.other.request, server.lost), (None, None))
        self.assertIsNotNone(below.other.lost)
        above.transport.abortConnection()
        below.wire.flow()


class RequestTest(Case):
    def test_what_is_asked_for(self):
        for to, host, path in (
            (url("host", 1234, "/"), "host:1234", "/"),
            (url("host", 80, "/a b?c=d&e=%41"), "host", "/a%20b?c=d&e=%41"),
            (url("host", 443, "/", secure=True), "host", "/"),
            (url("host", 80, "/é\r\nx: y"), "host", "/%C3%A9%0D%0Ax:%20y"),
            (url("::1", 80, "/"), "[::1]", "/"),
            (url("fe80::1%eth0", 8080, "/"), "[fe80::1]:8080", "/"),
            (url("bücher.example", 80, "/"), "xn--bcher-kva.example", "/"),
        ):
            server = Server()
            below = Below(server)
            connected = WebSocketEndpoint(self.clock, below, to).connect(
                Factory.forProtocol(Above)
            )
            below.wire.flow()
            self.assertEqual(server.request.headers["Host"], host)
            self.assertEqual(server.request.path, path)
            self.assertNotIn("Origin", server.request.headers)
            self.assertNotIn("Sec-WebSocket-Extensions", server.request.headers)
            self.successResultOf(connected).transport.abortConnection()
            below.wire.flow()

    @given(st.binary(max_size=300))
    def test_any_answer_is_told_in_one_line_that_is_safe(self, data):
        words = refusal(data, data.decode("latin-1"), data.decode("latin-1"), data)
        self.assertTrue(words.isprintable() or "\n" not in words)
        self.assertNotIn("\x1b", words)
        self.assertLess(len(words), 1500)

    @given(st.binary(max_size=300))
    def test_any_answer_ends_the_attempt(self, data):
        self.clock = Clock()
        self.connect(Server(data + b"\n"))
        self.flow()
        self.server.transport.loseConnection()
        self.flow()
        self.failureResultOf(self.connected, HandshakeFailed)


class Restless(Above):
    """Does something of its own in what it is told."""

    def __init__(self, acts):
        self.acts = acts
        self.times_lost = 0

    def dataReceived(self, data):
        super().dataReceived(data)
        if self.acts:
            ACTS[self.acts.pop()](self.transport)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.times_lost += 1
        ACTS["write"](self.transport)
        ACTS["abort"](self.transport)


#: What a protocol may do at any time.
ACTS = {
    "write": lambda transport: transport.write(b"a\nb"),
    "write much": lambda transport: transport.write(b"x" * 70000 + b"\n"),
    "write what is no text": lambda transport: transport.write(b"\xff\n"),
    "pause": lambda transport: transport.pauseProducing(),
    "resume": lambda transport: transport.resumeProducing(),
    "close": lambda transport: transport.loseConnection(),
    "abort": lambda transport: transport.abortConnection(),
    "produce": lambda transport: transport.registerProducer(Source(), True),
    "produce no more": lambda transport: transport.unregisterProducer(),
}

#: What a server may do at any time.
EVENTS = {
    "say": lambda server: server.transport.write(b"\x81\x01a"),
    "ask": lambda server: server.transport.write((b"\x89\x64" + b"x" * 100) * 700),
    "begin": lambda server: server.transport.write(b"\x01\x01a"),
    "binary": lambda server: server.transport.write(b"\x82\x00"),
    "nonsense": lambda server: server.transport.write(b"\xff\xff"),
    "bad text": lambda server: server.transport.write(b"\x81\x01\xff"),
    "close": lambda server: server.transport.write(b"\x88\x02\x03\xe8"),
    "close badly": lambda server: server.transport.write(b"\x88\x02\x03\xf5"),
    "end": lambda server: server.transport.loseConnection(),
    "reset": lambda server: server.transport.abortConnection(),
    "stall": lambda server: setattr(server.transport, "reading", False),
    "go on": lambda server: setattr(server.transport, "reading", True),
}


class AnythingTest(Case):
    @settings(deadline=None)
    @given(st.data())
    def test_it_ends_once_whatever_happens(self, data):
        self.clock = Clock()
        own = data.draw(st.lists(st.sampled_from(sorted(ACTS)), max_size=3))
        above = Restless([each for each in own if each != "produce"])
        self.connect(Server(), Factory.forProtocol(lambda: above))
        self.flow()
        transport = above.transport
        moves = st.sampled_from([*ACTS.items(), *EVENTS.items(), ("wait", None)])
        for name, act in data.draw(st.lists(moves, max_size=12)):
            if name == "wait":
                self.clock.advance(CLOSING)
            elif name in ACTS and act is ACTS[name]:
                if name == "produce":
                    transport.unregisterProducer()
                act(transport)
            else:
                act(self.server)
            if data.draw(st.booleans()):
                self.flow()
        self.assertLessEqual(above.times_lost, 1)
        transport.unregisterProducer()
        transport.loseConnection()
        self.flow()
        self.far.reading = True
        self.flow()
        for _ in range(2):
            self.clock.advance(CLOSING)
            self.flow()
        self.assertEqual(above.times_lost, 1)
        self.assertFalse(transport.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])
