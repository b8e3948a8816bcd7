"""What `--endpoint` takes: what is listened on, and what is laid upon it."""

from ipaddress import ip_network

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock import Limits, LineFactory
from twisted_sock.errors import SettingError
from twisted_sock.listeners import KINDS, Layered, server_endpoint, trusted
from twisted_sock.settings import Datagrams, Web

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))


def layers(endpoint):
    return [type(layer).__name__ for layer in endpoint.layers]


class ListenersTest(SynchronousTestCase):
    def setUp(self):
        self.reactor = MemoryReactorClock()

    def endpoint(self, text, **settings):
        return server_endpoint(text, self.reactor, **settings)

    def listened(self, text, **settings):
        """Where a reactor is asked to listen: port, backlog and interface."""
        factory = LineFactory(str.upper, reactor=self.reactor)
        self.successResultOf(self.endpoint(text, **settings).listen(factory))
        port, _, backlog, interface = self.reactor.tcpServers.pop()
        return port, backlog, interface

    def refused(self, text, **settings):
        return str(self.assertRaises(SettingError, self.endpoint, text, **settings))

    def test_tcp(self):
        for text, where in (
            ("tcp:1234", (1234, 1024, "127.0.0.1")),
            ("tcp:port=1234:backlog=50", (1234, 50, "127.0.0.1")),
            ("tcp:0:interface=0.0.0.0", (0, 1024, "0.0.0.0")),
            (r"tcp:0:interface=\:\:", (0, 1024, "::")),
            ("tcp6:1234", (1234, 1024, "::1")),
            (r"tcp6:1234:interface=\:\:", (1234, 1024, "::")),
        ):
            self.assertEqual(self.listened(text), where, text)
            self.assertEqual(layers(self.endpoint(text)), [])

    def test_an_interface_for_all_that_name_none(self):
        for text, where in (
            ("tcp:1", "10.0.0.1"),
            ("ws:1", "10.0.0.1"),
            ("tcp:1:interface=127.0.0.1", "127.0.0.1"),
        ):
            self.assertEqual(self.listened(text, interface="10.0.0.1")[2], where)

    def test_ws(self):
        endpoint = self.endpoint("ws:8080", web=Web(page="off"))
        self.assertEqual(layers(endpoint), ["Site"])
        self.assertEqual(self.listened("ws:8080"), (8080, 1024, "127.0.0.1"))

    def test_behind_a_proxy(self):
        self.assertEqual(layers(self.endpoint("tcp:1:proxy=loopback")), ["FromProxy"])
        self.assertEqual(layers(self.endpoint("ws:1:proxy=10.0.0.0/8")), ["FromProxy", "Site"])
        self.assertEqual(layers(self.endpoint("haproxy:tcp:1")), ["FromProxy"])
        self.assertEqual(
            layers(self.endpoint("haproxy:ws:1:proxy=10.0.0.1")), ["FromProxy", "Site"]
        )

    def test_unix(self):
        endpoint = self.endpoint("unix:/run/x:mode=600:owner=0:group=0:proxy=loopback")
        self.assertEqual(layers(endpoint), ["WithCredentials", "FromProxy"])
        self.assertEqual(
            layers(self.endpoint("unix:address=/run/x:lockfile=0")), ["WithCredentials"]
        )
        self.assertEqual(layers(self.endpoint("ws:unix=/run/x")), ["WithCredentials", "Site"])

    def test_udp(self):
        datagrams = Datagrams(max_udp_peers=5)
        self.assertTrue(hasattr(self.endpoint("udp:1234", datagrams=datagrams), "listen"))

    def test_what_is_twisteds_own(self):
        self.assertIsInstance(self.endpoint("stdio:"), Layered)

    def test_networks(self):
        self.assertEqual(trusted("loopback"), LOOPBACK)
        self.assertEqual(
            trusted("10.0.0.1, fd00::/8"), (ip_network("10.0.0.1"), ip_network("fd00::/8"))
        )
        self.assertEqual(trusted("10.1.2.3/8"), (ip_network("10.0.0.0/8"),))

    def test_mistakes(self):
        for text, words in (
            ("tcp:", "port: a number up to 65535, not ''"),
            ("tcp:http", "port: a number up to 65535, not 'http'"),
            ("tcp:65536", "port: a number up to 65535, not '65536'"),
            ("tcp:1:x", "tcp: has no 'x'; it takes "),
            ("tcp:1:2", r"tcp: '2' is too much; write a colon as \:"),
            ("tcp:1:interface=::1", r"write a colon as \:"),
            ("tcp:1:proxy=fd00::/8", r"and a colon as \:"),
            ("tcp:1:interface=", "interface: there is nothing behind it"),
            ("udp:1:interface=", "interface: there is nothing behind it"),
            ("tcp:1:proxy=", "proxy: there is nothing behind it"),
            ("ws:1:forwarded=", "forwarded: there is nothing behind it"),
            ("ws:unix=", "unix: there is nothing behind it"),
            ("tls:1:certificate=a:clientCA=", "clientCA: there is nothing behind it"),
            ("tls:1:certificate=a:proxyInside=", "proxyInside: there is nothing behind it"),
            ("tls:1:certificate=a:clientAuth=required", "clientAuth: needs clientCA="),
            ("tcp:1:interface=::1:interface=::2", "interface: given twice"),
            ("haproxy:udp:1", "haproxy: not for udp:"),
            ("127.0.0.1:1234", "an address goes behind interface="),
            ("tcp:1:certificate=a", "tcp: has no 'certificate'; it takes "),
            ("tcp:1:backlog=x", "backlog: a number"),
            ("tcp:1:proxy=everybody", "'everybody' does not appear to be"),
            ("udp:1:proxy=loopback", "udp: has no 'proxy'"),
            ("unix:", "unix: there is no path"),
            ("unix:/run/x:mode=rw", "mode: three octal digits, not 'rw'"),
            ("unix:/run/x:mode=888", "mode: three octal digits, not '888'"),
            ("tls:1", "certificate"),
            ("tls:1:certificate=/nowhere.pem", "/nowhere.pem"),
            ("tls:1:certificate=a:clientAuth=maybe", "clientAuth: one of required, optional"),
            ("wss:1", "certificate"),
            ("systemd:sock", "systemd"),
            ("nonsense:1", "'nonsense' is no kind of endpoint; there are tcp:, "),
            ("", "'' is no kind of endpoint"),
        ):
            told = self.refused(text)
            self.assertIn(words, told, text)
            self.assertNotIn("\n", told)

    def test_every_kind_is_told_in_the_help(self):
        from twisted_sock.options import FORMS

        for kind in KINDS:
            if kind not in ("ssl", "tcp6"):
                self.assertIn(f"{kind}:", FORMS)

    def test_which_layers_wait(self):
        for text, waits in (
            ("tcp:1", False),
            ("unix:/run/x", False),
            ("tcp:1:proxy=loopback", True),
            ("ws:1", True),
        ):
            self.assertIs(self.endpoint(text).waits, waits)

    def test_reload(self):
        seen = []

        class Files:
            def reload(self):
                seen.append("reloaded")

        Layered(None, [Files(), object()]).reload()
        self.assertEqual(seen, ["reloaded"])

    def test_limits_are_the_factorys(self):
        factory = LineFactory(str.upper, reactor=self.reactor, limits=Limits(max_handshakes=3))
        self.successResultOf(self.endpoint("tcp:0:proxy=loopback").listen(factory))
        (_, laid, _, _) = self.reactor.tcpServers.pop()
        self.assertIs(laid.owner, factory)
        self.assertIs(laid.inner, factory)
