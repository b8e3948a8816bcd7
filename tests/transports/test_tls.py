"""TLS in memory: who is let in, who is there, what is shown to whom, and when files change."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

pytest.importorskip("OpenSSL")

from OpenSSL import SSL
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from tests.certificates import CLIENT, SERVER, authority, client, pem, server
from twisted_sock import Limits, LineFactory, LineProtocol, Reason
from twisted_sock.errors import SettingError
from twisted_sock.memory import join
from twisted_sock.tls import certificates
from twisted_sock.tls.turnstile import AT_ONCE
from twisted_sock.tls.words import why
from twisted_sock.transports.tls import LOOK_EVERY, TLS, Handshake

ADDRESS = IPv4Address("TCP", "127.0.0.1", 40000)

CA = authority()
LOCALHOST = server(CA, "localhost")


def captured(case):
    """What is logged during a test, as level and text."""
    from twisted.logger import formatEvent, globalLogPublisher

    seen = []

    def observe(event):
        seen.append((event["log_level"], formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    case.addCleanup(globalLogPublisher.removeObserver, observe)
    return seen


@implementer(IOpenSSLClientConnectionCreator)
class Wants:
    """A client of OpenSSL's."""

    def __init__(self, name=b"", shows=None, configure=None):
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if shows is not None:
            self.context.use_certificate(shows.certificate)
            self.context.use_privatekey(shows.key)
        if configure:
            configure(self.context)
        self.name = name

    def clientConnectionForTLS(self, protocol):
        connection = SSL.Connection(self.context)
        if self.name:
            connection.set_tlsext_host_name(self.name)
        return connection


class Recorder(Protocol):
    def __init__(self):
        self.received = b""
        self.reason = None

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.reason = reason


class Bare(Protocol):
    """A peer that speaks no TLS."""

    def __init__(self):
        self.received = b""
        self.lost = False

    def dataReceived(self, data):
        self.received += data

    def connectionLost(self, reason):
        self.lost = True


class Conversation(LineProtocol):
    """Keeps what it is told."""

    def __init__(self, seen):
        self.seen = seen

    def connectionMade(self):
        self.seen.append(self.peer)

    def lineReceived(self, line):
        self.seen.append(line)
        return line.upper()

    def connectionLost(self, reason):
        self.seen.append(reason)


class InMemory(SynchronousTestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.clock = Clock()
        self.file = self.folder / "server.pem"
        LOCALHOST.write(self.file)
        self.seen = []

    def serve(self, tls=None, **limits):
        self.tls = tls or TLS(str(self.file))
        handler = partial(Conversation, self.seen)
        self.factory = LineFactory(handler, limits=Limits(**limits), reactor=self.clock)
        self.laid = self.tls(self.factory, self.factory)

    def listen(self):
        self.laid.doStart()
        self.addCleanup(self.laid.doStop)

    def connect(self, name=b"", piece=65536, **wants):
        """A client that speaks TLS; returns its protocol and the wire."""
        recorder = Recorder()
        wrapped = Factory.forProtocol(lambda: recorder)
        factory = TLSMemoryBIOFactory(Wants(name, **wants), True, wrapped, self.clock)
        factory.protocol = TLSMemoryBIOProtocol
        secure = factory.buildProtocol(None)
        wire = join(self.laid.buildProtocol(ADDRESS), secure)
        wire.ends[0].piece = piece
        wire.flow()
        while not wire.ends[0].reading and wire.ends[0].connected:  # it waits for its turn
            self.clock.advance(0)
            wire.flow()
        recorder.wire, recorder.secure = wire, secure
        return recorder

    def bare(self):
        plain = Bare()
        plain.wire = join(self.laid.buildProtocol(ADDRESS), plain)
        return plain

    def advance(self, seconds, *peers):
        for _ in range(20):
            self.clock.advance(seconds / 20)
            for peer in peers:
                peer.wire.flow()

    def shown(self, name=b""):
        """The names of the certificate that is shown to who asks for a host."""
        peer = self.connect(name)
        found = peer.secure.getPeerCertificate().to_cryptography()
        peer.wire.ends[1].abortConnection()
        peer.wire.flow()
        return [each[4:] for each in certificates.identity(found).names]

    def problems(self):
        return self.factory.counters.problems

    def closed_with(self, words, peer):
        """A peer was dropped, and the log tells why in one line."""
        self.assertFalse(peer.wire.ends[0].connected)
        self.assertEqual(self.problems(), {Reason.HANDSHAKE: 1})
        self.assertEqual(self.said(), [f"127.0.0.1:40000: ERR handshake TLS: {words}"])
        self.assertEqual(len(self.factory.openings), 0)
        self.assertEqual(self.seen, [])

    def said(self):
        return [text for _, text in self.logged if "ERR" in text]


class HandshakeTest(InMemory):
    def setUp(self):
        super().setUp()
        self.logged = captured(self)

    def test_interface(self):
        self.serve()
        protocol = self.laid.buildProtocol(ADDRESS)
        verifyObject(IHandshakeListener, protocol.wrappedProtocol)
        self.assertIsInstance(protocol.wrappedProtocol, Handshake)

    def test_conversation_begins_after_it(self):
        self.serve()
        peer = self.bare()
        self.assertEqual((self.seen, len(self.factory.openings)), ([], 1))
        self.assertEqual(self.factory.counters.current, 0)
        peer = self.connect()
        self.assertEqual(len(self.seen), 1)
        peer.transport.write(b"hello\n")
        peer.wire.flow()
        self.assertEqual(peer.received, b"HELLO\n")
        self.assertIsNone(self.seen[0].certificate)

    def test_in_pieces_of_any_size(self):
        self.serve()
        for piece in (1, 2, 7, 100):
            peer = self.connect(piece=piece)
            peer.transport.write(b"hello\n")
            peer.wire.flow()
            self.assertEqual(peer.received, b"HELLO\n")

    def test_lines_behind_the_last_message_of_it(self):
        """They come in the same read as what ends the handshake."""
        self.serve()
        recorder = Recorder()
        wants = Wants()
        factory = TLSMemoryBIOFactory(wants, True, Factory.forProtocol(lambda: recorder))
        factory.protocol = TLSMemoryBIOProtocol
        secure = factory.buildProtocol(None)
        wire = join(self.laid.buildProtocol(ADDRESS), secure)
        near, far = wire.ends
        near.step()  # the client's greeting
        far.step()  # the server's; the client answers
        recorder.transport.write(b"a\nb\nc\n")
        wire.flow()
        self.assertEqual(self.seen[1:], ["a", "b", "c"])
        self.assertEqual(recorder.received, b"A\nB\nC\n")

    def test_takes_too_long(self):
        self.serve(handshake_timeout=5)
        peer = self.bare()
        self.advance(4.9, peer)
        self.assertFalse(peer.lost)
        self.advance(0.3, peer)
        self.closed_with("it took too long", peer)

    def test_too_many(self):
        self.serve(max_handshakes=2)
        peers = [self.bare() for _ in range(3)]
        for peer in peers:
            peer.wire.flow()
        self.assertEqual([peer.lost for peer in peers], [True, False, False])
        self.assertEqual(len(self.connect().received), 0)
        self.assertEqual(len(self.seen), 1)

    def test_is_over_in_time(self):
        self.serve(handshake_timeout=5)
        peer = self.connect()
        self.advance(6, peer)
        self.assertIsNone(peer.reason)
        self.assertEqual(self.problems(), {})

    def test_service_stops_meanwhile(self):
        self.serve()
        peer = self.bare()
        drained = self.factory.drain()
        self.assertNoResult(drained)
        peer.wire.flow()
        self.closed_with("the server is stopping", peer)
        self.successResultOf(drained)

    def test_plain_text(self):
        plain = "plain text was sent to a TLS port"
        for data, words in (
            (b"hello, who is there?\n", plain),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "plain HTTP was sent to a TLS port"),
            (b"\0" * 40, plain),
            ("\u4e16\u754c".encode() * 7, plain),
            (b"\xff" * 40, plain),
        ):
            self.closed_after(data, words)

    def test_record_of_an_unknown_kind(self):
        """Three bytes alike look like a record's head (RFC 8446 section 5.1): it is awaited."""
        data = b"\x03" * (5 + 0x0303)
        self.serve()
        peer = self.bare()
        peer.transport.write(data[:-1])
        peer.wire.flow()
        self.assertTrue(peer.wire.ends[0].connected)
        peer.transport.write(data[-1:])
        peer.wire.flow()
        self.closed_with("unexpected message", peer)

    def closed_after(self, data, words):
        self.logged.clear()
        self.serve()
        peer = self.bare()
        peer.transport.write(data)
        peer.wire.flow()
        self.closed_with(words, peer)

    def test_greeting_without_end(self):
        self.serve()
        peer = self.bare()
        # A record of a handshake (RFC 8446 section 5.1) with a ClientHello of 1 MiB.
        peer.transport.write(b"\x16\x03\x01\x40\x00\x01\x10\x00\x00\x03\x03" + bytes(1 << 20))
        peer.wire.flow()
        self.closed_with("the greeting is too long", peer)

    def test_too_old(self):
        def old(context):
            context.set_cipher_list(b"ALL:@SECLEVEL=0")
            context.set_max_proto_version(SSL.TLS1_1_VERSION)

        self.serve()
        self.closed_with("the peer wants an older TLS than 1.2", self.connect(configure=old))

    def test_no_suite_in_common(self):
        for suites in (
            b"AES128-GCM-SHA256",
            b"ECDHE-ECDSA-AES128-SHA256",
            b"ECDHE-ECDSA-AES128-SHA",
        ):

            def weak(context, suites=suites):
                context.set_max_proto_version(SSL.TLS1_2_VERSION)
                context.set_cipher_list(suites)

            self.logged.clear()
            self.serve()
            self.closed_with("no suite in common", self.connect(configure=weak))

    def test_peer_does_not_trust(self):
        def wary(context):
            context.set_verify(SSL.VERIFY_PEER)

        self.serve()
        peer = self.connect(configure=wary)
        self.closed_with("the peer does not accept our certificate", peer)

    def test_closed_before_it_began(self):
        """As health checks do: nothing went wrong."""
        self.serve()
        peer = self.bare()
        peer.transport.loseConnection()
        peer.wire.flow()
        self.assertEqual((self.problems(), self.said()), ({}, []))
        self.assertEqual(len(self.factory.openings), 0)

    def test_closed_in_the_middle(self):
        for leave in ("loseConnection", "abortConnection"):
            self.logged.clear()
            self.serve()
            wrapped = Factory.forProtocol(Recorder)
            factory = TLSMemoryBIOFactory(Wants(), True, wrapped, self.clock)
            peer = factory.buildProtocol(None)
            peer.wire = join(self.laid.buildProtocol(ADDRESS), peer)
            near, far = peer.wire.ends
            near.step()
            getattr(far, leave)()
            peer.wire.flow()
            self.closed_with("closed before the handshake was over", peer)

    def test_inner_layer_wants_nobody(self):
        self.serve()
        with patch.object(self.factory, "buildProtocol", lambda _: None):
            peer = self.connect()
        self.assertFalse(peer.wire.ends[0].connected)
        self.assertEqual(self.problems(), {})

    @given(st.binary(max_size=300))
    def test_garbage(self, data):
        for start in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"):
            self.serve(handshake_timeout=1)
            peer = self.bare()
            peer.transport.write(start + data)
            peer.wire.flow()
            self.advance(1.1, peer)
            self.assertTrue(peer.lost)
            self.assertEqual(self.problems(), {Reason.HANDSHAKE: 1})
        self.assertEqual(self.clock.getDelayedCalls(), [])


#: Seconds of a turn of the reactor.
TURN = 1e-6


class Turns(Clock):
    """A clock on which what is to be done at once is done in the next turn, as on a reactor."""

    def callLater(self, when, what, *args, **kwargs):
        return super().callLater(max(when, TURN), what, *args, **kwargs)


class InTurn(InMemory):
    """A flood of handshakes does not keep others waiting."""

    def setUp(self):
        super().setUp()
        self.clock = Turns()

    def turn(self, peers):
        """The reactor has its next turn."""
        self.clock.advance(2 * TURN)
        for peer in peers:
            with contextlib.suppress(ValueError):  # as a reactor does
                peer.wire.flow()

    def turns(self, peers):
        for _ in range(50):
            self.turn(peers)

    def greetings(self, count):
        """So many clients that greet at once."""
        peers = []
        for _ in range(count):
            wrapped = Factory.forProtocol(Recorder)
            factory = TLSMemoryBIOFactory(Wants(), True, wrapped, self.clock)
            factory.protocol = TLSMemoryBIOProtocol
            secure = factory.buildProtocol(None)
            secure.wire = join(self.laid.buildProtocol(ADDRESS), secure)
            peers.append(secure)
        self.turn(peers)
        return peers

    def test_few_at_once(self):
        self.serve()
        peers = self.greetings(10)
        steps = []
        while len(self.seen) < 10:
            before = len(self.seen)
            self.turn(peers)
            steps.append(len(self.seen) - before)
        self.assertLessEqual(max(steps), 2 * AT_ONCE)
        self.assertGreater(len(steps), 4)

    def test_gone_while_it_waits(self):
        self.serve(handshake_timeout=1)
        peers = self.greetings(10)
        for peer in peers[5:]:
            peer.wire.ends[1].abortConnection()
        for peer in peers[5:]:
            peer.wire.flow()
        self.turns(peers)
        self.assertEqual(len(self.seen), 5)
        self.assertEqual(len(self.factory.openings), 0)

    def test_given_up_while_it_waits(self):
        self.serve(max_handshakes=3)
        peers = self.greetings(10)
        self.turns(peers)
        self.assertLess(len(self.seen), 10)
        self.assertEqual(len(self.factory.openings), 0)
        self.assertEqual(sum(peer.connected for peer in peers), len(self.seen))

    def test_fails_on_its_turn(self):
        self.serve()
        with patch.object(self.factory, "buildProtocol", side_effect=ValueError("broken")):
            peers = self.greetings(10)
            self.turns(peers)
        self.assertTrue(self.flushLoggedErrors(ValueError))
        self.assertEqual(len(self.factory.openings), 0)


class After(InMemory):
    """The end of a conversation, and a slow peer."""

    def setUp(self):
        super().setUp()
        self.serve(close_grace=1, stall_timeout=2)
        self.peer = self.connect()

    def test_peer_says_goodbye(self):
        self.peer.transport.loseConnection()
        self.peer.wire.flow()
        self.assertEqual(self.seen[1:], [Reason.DONE])

    def test_peer_closes_without_goodbye(self):
        """Something may have been cut off (RFC 8446 section 6.1)."""
        self.peer.transport.write(b"whole\nhalf")
        self.peer.wire.ends[1].loseConnection()
        self.peer.wire.flow()
        self.assertEqual(self.seen[1:], ["whole", Reason.LOST])

    def test_peer_resets(self):
        self.peer.wire.ends[1].abortConnection()
        self.peer.wire.flow()
        self.assertEqual(self.seen[1:], [Reason.LOST])

    def test_session_closes(self):
        for transport in list(self.factory._open):
            transport.session.close()
        self.peer.wire.flow()
        self.assertEqual(self.seen[1:], [Reason.CLOSED])
        self.assertEqual(self.peer.reason.type.__name__, "ConnectionDone")

    def test_session_aborts(self):
        for transport in list(self.factory._open):
            transport.session.abort()
        self.peer.wire.flow()
        self.assertEqual(self.seen[1:], [Reason.ABORTED])

    def test_peer_does_not_read(self):
        self.peer.secure.transport.pauseProducing()
        for _ in range(40):
            self.peer.transport.write(b"x" * 60000 + b"\n")
            self.peer.wire.flow()
        self.assertLess(len(self.peer.wire.ends[0].dataBuffer), 200_000)
        self.advance(3, self.peer)
        self.assertEqual(self.seen[-1], Reason.SLOW)

    def test_peer_reads_again(self):
        self.peer.secure.transport.pauseProducing()
        for _ in range(40):
            self.peer.transport.write(b"x" * 60000 + b"\n")
            self.peer.wire.flow()
        self.peer.secure.transport.resumeProducing()
        self.peer.wire.flow()
        self.assertEqual(len(self.peer.received), 40 * 60001)

    def test_peer_holds_up_the_closing(self):
        self.peer.secure.transport.pauseProducing()
        for transport in list(self.factory._open):
            transport.session.close()
        self.peer.wire.flow()
        self.advance(2.5, self.peer)
        self.assertFalse(self.peer.wire.ends[0].connected)

    def tearDown(self):
        self.peer.wire.ends[1].abortConnection()
        self.peer.wire.flow()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Clients(InMemory):
    """Certificates of clients."""

    def setUp(self):
        super().setUp()
        self.logged = captured(self)
        self.ca = self.folder / "ca.pem"
        self.clients = authority("Clients")
        self.ca.write_bytes(self.clients.pem)

    def serve(self, required=True, **limits):
        super().serve(TLS(str(self.file), client_ca=str(self.ca), required=required), **limits)

    def test_identity(self):
        names = ["DNS:alice.example", "email:a@example.org", "IP:::1", "URI:spiffe://x/alice"]
        shows = self.clients("alice", usage=CLIENT, names=names)
        self.serve()
        self.connect(shows=shows)
        found = self.seen[0].certificate
        self.assertEqual((found.subject, found.issuer), ("CN=alice", "CN=Clients"))
        self.assertEqual(list(found.names), names)
        self.assertRegex(found.fingerprint, "^[0-9a-f]{64}$")
        self.assertEqual(self.seen[0].identity, "CN=alice")

    def test_none(self):
        self.serve()
        self.closed_with("the client showed no certificate", self.connect())

    def test_none_where_it_is_optional(self):
        self.serve(required=False)
        self.connect()
        self.assertIsNone(self.seen[0].certificate)

    def test_not_accepted(self):
        foreign = authority("Others")
        for shows, words in (
            (client(self.clients, days=(-2, -1)), "it has expired"),
            (client(self.clients, days=(1, 2)), "it is not valid yet"),
            (client(foreign), "it was not issued by one who may"),
            (authority("alice"), "it is self-signed"),
            (self.clients("alice", usage=SERVER), "it is not for clients"),
            (client(client(self.clients, "mallory")), "it was not issued by one who may"),
        ):
            for required in (True, False):
                self.logged.clear()
                self.serve(required=required)
                peer = self.connect(shows=shows)
                self.closed_with(f"the client certificate was not accepted: {words}", peer)

    def test_an_authority_that_is_no_root(self):
        between = self.clients("Between", ca=True)
        self.ca.write_bytes(between.pem)
        self.serve()
        self.connect(shows=client(between))
        self.assertEqual(self.seen[0].identity, "CN=alice")

    def test_several_authorities(self):
        other = authority("Others")
        self.ca.write_bytes(b"Who may come in:\n" + self.clients.pem + other.pem)
        self.serve()
        for issuer in (self.clients, other):
            self.connect(shows=client(issuer))
        self.assertEqual(len(self.seen), 2)

    def test_authority_changes(self):
        self.serve()
        other = authority("Others")
        self.ca.write_bytes(other.pem)
        self.tls.look()
        self.connect(shows=client(self.clients))
        self.assertEqual(self.seen, [])
        self.connect(shows=client(other))
        self.assertEqual(len(self.seen), 1)

    def test_with_several_certificates(self):
        """The one that is chosen asks, too."""
        server(CA, "other.example").write(self.folder / "other.pem")
        self.ca = self.ca.rename(self.folder / "ca")
        super().serve(TLS(str(self.folder), client_ca=str(self.ca)))
        self.connect(b"localhost")
        self.connect(b"other.example")
        self.assertEqual(self.seen, [])
        for name in (b"localhost", b"other.example", b"else.example"):
            self.connect(name, shows=client(self.clients))
        self.assertEqual([peer.identity for peer in self.seen], ["CN=alice"] * 3)

    def test_unreadable(self):
        self.serve()
        with patch("twisted_sock.transports.tls.identity", side_effect=ValueError("odd")):
            peer = self.connect(shows=client(self.clients))
        self.closed_with("the client certificate cannot be read", peer)


class ChosenByName(InMemory):
    def setUp(self):
        super().setUp()
        self.file.unlink()
        for file, *hosts in (
            ("b", "b.example", "*.b.example"),
            ("a", "a.example"),
            ("named.example", "else.example"),
        ):
            server(CA, *hosts).write(self.folder / f"{file}.pem")

    def test_names(self):
        self.serve(TLS(str(self.folder)))
        for name, expected in (
            (b"b.example", "b.example"),
            (b"B.Example", "b.example"),
            (b"x.b.example", "b.example"),
            (b"b.example.", "b.example"),
            (b"x.y.b.example", "a.example"),
            (b".b.example", "b.example"),
            (b"example", "a.example"),
            (b"named.example", "else.example"),
            (b"", "a.example"),
            (b"*", "a.example"),
            ("täst.example".encode(), "a.example"),
            (b"\xff\xfe", "a.example"),
            (b"x" * 255, "a.example"),
        ):
            self.assertEqual(self.shown(name)[0], expected, name)

    def test_default(self):
        server(CA, "default.example").write(self.folder / "default.pem")
        self.serve(TLS(str(self.folder)))
        self.assertEqual(self.shown(b"nobody.example"), ["default.example"])
        self.assertEqual(self.shown(b"a.example"), ["a.example"])

    def test_list(self):
        self.serve(TLS(f"{self.folder}/b.pem,{self.folder}/a.pem"))
        self.assertEqual(self.shown(b"nobody.example")[0], "b.example")
        self.assertEqual(self.shown(b"a.example"), ["a.example"])

    def test_new_file(self):
        self.serve(TLS(str(self.folder)))
        self.listen()
        server(CA, "new.example").write(self.folder / "new.pem")
        self.assertEqual(self.shown(b"new.example"), ["a.example"])
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.shown(b"new.example"), ["new.example"])
        (self.folder / "new.pem").unlink()
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.shown(b"new.example"), ["a.example"])

    @given(st.binary(max_size=300))
    def test_any_name(self, name):
        tls = TLS(str(self.folder))
        self.assertIsNotNone(tls.identities.find(name))


class FilesChange(InMemory):
    def setUp(self):
        super().setUp()
        self.logged = captured(self)
        self.serve()
        self.listen()

    def errors(self):
        return [text for level, text in self.logged if level is LogLevel.error]

    def test_tells_what_is_served(self):
        until = LOCALHOST.certificate.not_valid_after_utc
        expected = f"TLS: serving {self.file}: localhost, until {until:%Y-%m-%d %H:%M} UTC"
        self.assertIn((LogLevel.info, expected), self.logged)

    def test_new_certificate(self):
        before = self.connect()
        server(CA, "new.example").write(self.file)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.shown(), ["new.example"])
        before.transport.write(b"still there?\n")
        before.wire.flow()
        self.assertEqual(before.received, b"STILL THERE?\n")

    def test_at_once(self):
        server(CA, "new.example").write(self.file)
        self.tls.reload()
        self.assertEqual(self.shown(), ["new.example"])

    def test_replaced_by_another_of_the_same_size_and_time(self):
        found = self.file.stat()
        other = server(CA, "127-0-0-1").write(self.folder / "new")
        os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
        os.replace(other, self.file)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.shown(), ["127-0-0-1"])

    def test_bad_files(self):
        whole = server(CA, "new.example").write(self.folder / "new")
        whole = Path(whole).read_bytes()
        for data, words in (
            (whole[:200], "not a whole PEM file, it is cut off or damaged"),
            (whole[: whole.index(b"-----BEGIN PRIV")], "no key that fits"),
            (b"", "the file is empty"),
            (b"rubbish", "not a PEM file"),
            (server(CA, "x.example").pem + LOCALHOST.key_pem, "does not fit"),
        ):
            self.logged.clear()
            self.file.write_bytes(data)
            for _ in range(3):
                self.clock.advance(LOOK_EVERY)
            self.assertEqual(len(self.errors()), 1, self.errors())
            self.assertIn(f"TLS: {self.file}: ", self.errors()[0])
            self.assertIn(words, self.errors()[0])
            self.assertEqual(self.shown(), ["localhost"])
        self.file.write_bytes(whole)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.shown(), ["new.example"])

    def test_told_again_when_asked_again(self):
        self.file.write_bytes(b"rubbish")
        for _ in range(2):
            self.tls.reload()
        self.assertEqual(len(self.errors()), 2)

    def test_unexpected(self):
        with patch("twisted_sock.transports.tls.read_served", side_effect=OverflowError("odd")):
            self.tls.reload()
        self.assertEqual(self.shown(), ["localhost"])
        self.assertEqual(len(self.flushLoggedErrors(OverflowError)), 1)

    def test_gone_and_back(self):
        self.file.rename(self.folder / "away")
        self.clock.advance(LOOK_EVERY)
        self.assertIn("No such file or directory", self.errors()[0])
        self.assertEqual(self.shown(), ["localhost"])
        (self.folder / "away").rename(self.file)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(len(self.errors()), 1)

    def test_unchanged_is_not_read(self):
        with patch.object(TLS, "reload") as reload:
            self.clock.advance(10 * LOOK_EVERY)
        reload.assert_not_called()

    def test_looks_no_more_when_nothing_listens(self):
        self.laid.doStart()
        self.laid.doStop()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)


class Settings(InMemory):
    """What is wrong with the files is said in one line, with the name of the file."""

    def write(self, name, *data):
        path = self.folder / name
        path.write_bytes(b"".join(data))
        return str(path)

    def refused(self, pattern, *args, **more):
        with self.assertRaises(SettingError) as caught:
            TLS(*args, **more)
        self.assertRegex(str(caught.exception), pattern)
        self.assertNotIn("\n", str(caught.exception))

    def chain(self, **setting):
        """The names of those that are shown behind the certificate."""
        self.serve(TLS(**setting))
        shown = self.connect().secure.getHandle().get_peer_cert_chain()
        return [each.to_cryptography().subject.rfc4514_string() for each in shown]

    def test_nothing(self):
        self.refused(r"^certificate: which PEM file\?$", "")

    def test_where_what_is(self):
        """In one file, in three, in a folder, in any order."""
        between = CA("Between", ca=True)
        low = between("Low", ca=True)
        leaf = server(low, "localhost")
        expected = ["CN=localhost", "CN=Low", "CN=Between"]
        one = self.write("one.pem", leaf.pem, low.pem, between.pem, leaf.key_pem)
        wild = self.write("wild", CA.pem, leaf.key_pem, between.pem, b"text\n", leaf.pem, low.pem)
        cert, key = self.write("c", leaf.pem), self.write("k", leaf.key_pem)
        chain = self.write("ch", low.pem, between.pem, CA.pem)
        acme = self.folder / "acme"
        acme.mkdir()
        self.write("acme/cert.pem", leaf.pem)
        self.write("acme/chain.pem", between.pem, low.pem)
        self.write("acme/fullchain.pem", leaf.pem, low.pem, between.pem)
        self.write("acme/privkey.pem", leaf.key_pem)
        self.write("acme/README", b"not PEM")
        self.write("acme/.hidden.pem", b"not PEM")
        for setting in (
            {"certificate": one},
            {"certificate": wild},
            {"certificate": cert, "key": key, "chain": chain},
            {"certificate": one, "key": one, "chain": one},
            {"certificate": str(acme)},
            {"certificate": str(acme / "fullchain.pem"), "key": str(acme / "privkey.pem")},
        ):
            self.assertEqual(self.chain(**setting), expected, setting)

    def test_kinds_of_keys(self):
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        for key in (
            rsa.generate_private_key(65537, 2048),
            ec.generate_private_key(ec.SECP384R1()),
        ):
            server(CA, "localhost", key=key).write(self.file)
            self.assertEqual(self.chain(certificate=str(self.file)), ["CN=localhost"])

    def test_wrong(self):
        other = server(CA, "other.example")
        cert, key = self.write("cert", LOCALHOST.pem), self.write("key", LOCALHOST.key_pem)
        other, locked = (
            self.write("other", other.key_pem),
            self.write("lock", pem(LOCALHOST.key, b"x")),
        )
        empty = self.folder / "empty"
        empty.mkdir()
        missing = str(self.folder / "missing.pem")
        for pattern, *args in (
            ("missing.pem: No such file or directory$", missing),
            ("missing.pem: No such file or directory$", cert, missing),
            ("cert: there is no key that fits the certificate in it$", cert),
            ("key: the key in it does not fit any certificate$", key),
            ("other: the key in it does not fit any certificate$", cert, other),
            ("lock: the key is encrypted; ", cert, locked),
            ("empty: there is no file \\*.pem in this folder$", str(empty)),
            ("odd: the certificate in it cannot be", self.write("odd", BAD_CERTIFICATE)),
            ("text: not a PEM file$", self.write("text", b"hello")),
            ("params: there is neither certificate nor key", self.write("params", PARAMETERS)),
        ):
            self.refused(pattern, *args)

    def test_weak_key(self):
        from cryptography.hazmat.primitives.asymmetric import rsa

        server(CA, "localhost", key=rsa.generate_private_key(65537, 1024)).write(self.file)
        self.refused("server.pem: OpenSSL does not take it: ee key too small$", str(self.file))

    def test_wrong_authorities(self):
        for pattern, data in (
            ("ca: there is no certificate in it", LOCALHOST.key_pem),
            ("ca: the file is empty", b""),
            ("ca: lists of revoked certificates", CA.pem + CRL),
        ):
            self.refused(pattern, str(self.file), client_ca=self.write("ca", data))

    def test_expired(self):
        logged = captured(self)
        server(CA, "localhost", days=(-3, -2)).write(self.file)
        self.serve()
        self.listen()
        warned = [text for level, text in logged if level is LogLevel.warn]
        self.assertRegex(warned[0], "server.pem: the certificate has expired on ....-..-..$")
        self.assertEqual(self.shown(), ["localhost"])


BAD_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
CRL = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"


class Words(SynchronousTestCase):
    def test_of_openssl(self):
        for queue, words in (
            ([("SSL routines", "", "no shared cipher")], "no suite in common"),
            ([("", "", "tlsv1 alert unknown ca")], "the peer does not accept our certificate"),
            ([("", "", "sslv3 alert odd thing")], "the peer gave up: odd thing"),
            ([("", "", "something new")], "something new"),
            (
                [("x", "", "asn1 error"), ("", "", "http request")],
                "plain HTTP was sent to a TLS port",
            ),
            ([], ""),
        ):
            self.assertEqual(why(SSL.Error(queue)), words)

    def test_of_nobody(self):
        for error in (None, SSL.Error(), OSError(1, "x"), ValueError()):
            self.assertEqual(why(error), "")


class NotInstalled(SynchronousTestCase):
    def test_says_what_to_install(self):
        """In a process of its own, as what is imported stays so."""
        for missing in ("OpenSSL", "cryptography"):
            program = (
                f"import sys; sys.modules['{missing}'] = None\n"
                "from twisted_sock.errors import SettingError\n"
                "try: import twisted_sock.transports.tls\n"
                "except SettingError as error: print(error)"
            )
            done = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                check=False,
                cwd=Path(__file__).parents[2],
            )
            self.assertEqual(done.stdout, "TLS needs `pip install 'twisted_sock[tls]'`\n")
