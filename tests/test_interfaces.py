"""Who is at the other end."""

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.interfaces import Certificate, Credentials, Peer

UNIX = UNIXAddress(None)


class PeerTest(SynchronousTestCase):
    def test_names_and_hosts(self):
        for address, host, name in (
            (IPv4Address("TCP", "10.0.0.1", 5), "10.0.0.1", "10.0.0.1:5"),
            (IPv6Address("TCP", "::1", 5), "::1", "[::1]:5"),
            (IPv6Address("TCP", "::ffff:10.0.0.1", 5), "10.0.0.1", "10.0.0.1:5"),
            (IPv6Address("TCP", "::ffff:a:1", 5), "::ffff:a:1", "[::ffff:a:1]:5"),
            (UNIX, "", "unix"),
            (UNIXAddress(b"/run/x"), "", "unix:/run/x"),
        ):
            peer = Peer(address)
            self.assertEqual((peer.host, str(peer)), (host, name))

    def test_who_it_has_proved_to_be(self):
        alice = Certificate("CN=alice\x1b", "CN=ca", (), "00")
        for peer, identity in (
            (Peer(UNIX), ""),
            (Peer(UNIX, credentials=Credentials(7, 1000, 100)), "uid 1000"),
            (Peer(UNIX, certificate=alice), "CN=alice\\x1b"),
            (Peer(UNIX, certificate=alice, credentials=Credentials(7, 0, 0)), "CN=alice\\x1b"),
        ):
            self.assertEqual(peer.identity, identity)
