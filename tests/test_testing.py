"""The test kit has the manners of the real thing."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import LineFactory, LinePolicy
from twisted_sock.errors import SettingError
from twisted_sock.testing import BUFFER, connect, cuts, join, write_certificate
from twisted_sock.tls.certificates import read_served


class Recorder(Protocol):
    def __init__(self):
        self.seen = []

    def dataReceived(self, data):
        self.seen.append(data)

    def connectionLost(self, reason):
        self.seen.append(reason.type.__name__)


class Producer:
    def __init__(self):
        self.seen = []

    def pauseProducing(self):
        self.seen.append("pause")

    def resumeProducing(self):
        self.seen.append("resume")

    def stopProducing(self):
        self.seen.append("stop")


class Joined(SynchronousTestCase):
    def setUp(self):
        self.server, self.client = Recorder(), Recorder()
        self.wire = join(self.server, self.client)
        self.wire.flow()

    def test_nothing_moves_by_itself(self):
        self.client.transport.write(b"a")
        self.client.transport.writeSequence([b"b", b"c"])
        self.assertEqual(self.server.seen, [])
        self.wire.flow()
        self.assertEqual(self.server.seen, [b"abc"])

    def test_closing_sends_what_is_unsent(self):
        self.client.transport.write(b"a")
        self.client.transport.loseConnection()
        self.client.transport.write(b"too late")
        self.wire.flow()
        self.assertEqual(self.server.seen, [b"a", "ConnectionDone"])
        self.assertEqual(self.client.seen, ["ConnectionDone"])

    def test_aborting_does_not(self):
        self.client.transport.write(b"a")
        self.client.transport.abortConnection()
        self.wire.flow()
        self.assertEqual(self.server.seen, ["ConnectionLost"])
        self.assertEqual(self.client.seen, ["ConnectionAborted"])

    def test_producers_are_paused_and_resumed(self):
        producer = Producer()
        transport = self.client.transport
        transport.registerProducer(producer, True)
        self.assertRaises(RuntimeError, transport.registerProducer, producer, True)
        self.server.transport.pauseProducing()
        transport.write(b"x" * BUFFER)
        self.assertEqual(producer.seen, [])
        transport.write(b"x")
        self.assertEqual(producer.seen, ["pause"])
        self.server.transport.resumeProducing()
        self.wire.flow()
        self.assertEqual(producer.seen, ["pause", "resume"])

    def test_only_bytes_can_be_written(self):
        self.assertRaises(TypeError, self.client.transport.write, "text")


class Peers(SynchronousTestCase):
    def test_pieces(self):
        sizes = []
        peer = connect(lambda line: sizes.append(len(line)), policy=LinePolicy(framing="chunk"))
        peer.send(b"abcdefg", piece=3)
        self.assertEqual(sizes, [3, 3, 1])

    def test_lines_waits_for_whole_lines(self):
        peer = connect(lambda line: line, policy=LinePolicy(framing="chunk"))
        peer.send("one\ntw")
        self.assertEqual(peer.lines(), ["one"])
        peer.send("o\r\n")
        self.assertEqual(peer.lines(), ["two"])

    def test_ends(self):
        peer = connect(str.upper)
        peer.end()
        self.assertTrue(peer.ended)
        self.assertTrue(peer.gone)
        peer = connect(str.upper)
        peer.reset()
        self.assertTrue(peer.gone)

    def test_join_serves_two_protocols_of_ones_own(self):
        clock_free = Recorder()
        factory = LineFactory(str.upper)
        wire = join(factory.buildProtocol(None), clock_free)
        wire.flow()
        clock_free.transport.write(b"hello\n")
        wire.flow()
        self.assertEqual(clock_free.seen, [b"HELLO\n"])
        clock_free.transport.loseConnection()
        wire.flow()


class Cuts(SynchronousTestCase):
    def test_every_cut_is_the_same_bytes(self):
        data = "a世\r\nb".encode()
        for pieces in cuts(data):
            self.assertEqual(b"".join(pieces), data)

    def test_every_place_is_cut(self):
        pairs = [pieces for pieces in cuts(b"abcdef") if len(pieces) == 2]
        for place in range(1, 6):
            self.assertIn([b"abcdef"[:place], b"abcdef"[place:]], pairs)


class Certificates(SynchronousTestCase):
    def hosts(self, path):
        [served] = read_served([Path(path)])  # which sees that the key is the certificate's
        kind = x509.SubjectAlternativeName
        names = served.certificate.extensions.get_extension_for_class(kind).value
        return [str(name.value) for name in names]

    def test_one_is_for_its_hosts_and_its_key_is_private(self):
        path = Path(self.mktemp())
        self.assertEqual(write_certificate(path, "a.example", "10.0.0.1"), str(path))
        self.assertEqual(self.hosts(path), ["a.example", "10.0.0.1"])
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_this_machine_when_no_host_is_named(self):
        path = write_certificate(self.mktemp())
        self.assertEqual(self.hosts(path), ["localhost", "127.0.0.1", "::1"])

    def test_a_file_that_others_can_read_is_replaced(self):
        path = Path(self.mktemp())
        path.write_text("old")
        path.chmod(0o644)
        with path.open() as before:
            write_certificate(path)
            self.assertEqual(before.read(), "old")  # there never was a key in it
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertIn("localhost", self.hosts(path))

    def test_hosts_that_cannot_be_in_a_certificate(self):
        path = Path(self.mktemp())
        for hosts, why in (
            (["b\xfccher.example"], '"b\xfccher.example": a name in a certificate is ASCII'),
            (["a.example", "b\xfccher.example"], '"b\xfccher.example": a name'),
            (["x" * 65], "a certificate has at most 64 characters"),
            ([""], "has a name"),
        ):
            error = self.assertRaises(SettingError, write_certificate, path, *hosts)
            self.assertIn(why, str(error))
            self.assertFalse(path.exists())

    def test_long_names(self):
        hosts = ["x" * 64, "x" * 60 + ".example"]
        self.assertEqual(self.hosts(write_certificate(self.mktemp(), *hosts)), hosts)
