"""Who the client is, from what proxies have put into the head of a request."""

from ipaddress import ip_network

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.forwarded import node, real_address
from twisted_sock.trust import trusts

NETWORKS = tuple(map(ip_network, ("127.0.0.0/8", "::1", "10.0.0.0/8")))
PROXY = IPv4Address("TCP", "127.0.0.1", 40000)
CLIENT = IPv4Address("TCP", "192.0.2.1", 0)
CLIENT6 = IPv6Address("TCP", "2001:db8::1", 0)


def real(forwarded=(), x_forwarded_for=(), address=PROXY, trusted=NETWORKS):
    return real_address(address, list(forwarded), list(x_forwarded_for), trusted)


class TrustTest(SynchronousTestCase):
    def test_networks(self):
        for host, expected in (
            ("127.0.0.5", True),
            ("::1", True),
            ("10.255.0.1", True),
            ("::ffff:10.0.0.1", True),
            ("11.0.0.1", False),
            ("::ffff:11.0.0.1", False),
            ("::2", False),
            ("fe80::1%eth0", False),
            ("no address", False),
            ("", False),
        ):
            address = IPv6Address("TCP", host, 1)
            self.assertIs(trusts(NETWORKS, address), expected, host)

    def test_networks_written_as_ipv6(self):
        mapped = (ip_network("::ffff:10.0.0.0/104"),)
        self.assertTrue(trusts(mapped, IPv6Address("TCP", "::ffff:10.0.0.1", 1)))

    def test_a_unix_socket_needs_none(self):
        self.assertTrue(trusts((), UNIXAddress(None)))
        self.assertFalse(trusts((), PROXY))


class BothTest(SynchronousTestCase):
    """What is the same for both fields."""

    def both(self, hosts, expected, **more):
        """See whom a list of hosts leads to, as either field and as both."""
        x_forwarded_for = ", ".join(hosts)
        forwarded = ", ".join(
            f'for="[{host}]"' if ":" in host else f"for={host}" for host in hosts
        )
        self.assertEqual(real([], [x_forwarded_for], **more), expected)
        self.assertEqual(real([forwarded], [], **more), expected)
        self.assertEqual(real([forwarded], [x_forwarded_for], **more), expected)

    def test_the_one_that_the_proxy_names(self):
        self.both(["192.0.2.1"], CLIENT)
        self.both(["2001:db8::1"], CLIENT6)
        self.both(["::ffff:192.0.2.1"], CLIENT)

    def test_what_stands_left_of_it_may_be_made_up(self):
        self.both(["6.6.6.6", "127.0.0.1", "192.0.2.1"], CLIENT)
        self.both(["garbage", "192.0.2.1"], CLIENT)

    def test_through_trusted_proxies(self):
        self.both(["6.6.6.6", "192.0.2.1", "10.0.0.2", "127.0.0.3", "::1"], CLIENT)

    def test_all_are_trusted(self):
        self.both(["10.0.0.1", "127.0.0.2"], IPv4Address("TCP", "10.0.0.1", 0))

    def test_a_malformed_one_ends_it_at_the_last_good_one(self):
        self.both(["192.0.2.1", "what", "10.0.0.2"], IPv4Address("TCP", "10.0.0.2", 0))
        self.both(["192.0.2.1", "what"], PROXY)
        self.both(["192.0.2.1", "192.0.2.256"], PROXY)

    def test_only_from_trusted_connections(self):
        stranger = IPv4Address("TCP", "198.51.100.1", 5)
        self.both(["192.0.2.1"], stranger, address=stranger)

    def test_nobody_is_trusted(self):
        self.both(["192.0.2.1"], PROXY, trusted=())
        self.both(["192.0.2.1"], UNIXAddress(None), trusted=(), address=UNIXAddress(None))

    def test_from_a_unix_socket(self):
        self.both(["192.0.2.1"], CLIENT, address=UNIXAddress(None))

    def test_neither_is_there(self):
        self.assertIs(real(), PROXY)

    def test_where_they_differ_neither_is_believed(self):
        """A proxy that writes one of them has passed the other on as it was made up."""
        self.assertIs(real(["for=6.6.6.6"], ["192.0.2.1"]), PROXY)
        self.assertIs(real([""], ["192.0.2.1"]), PROXY)

    def test_several_lines_are_one_list(self):
        self.assertEqual(real([], ["6.6.6.6", "192.0.2.1", "10.0.0.1"]), CLIENT)
        self.assertEqual(real(["for=6.6.6.6", "for=192.0.2.1", "for=10.0.0.1"]), CLIENT)

    def test_empty_members_do_not_count(self):
        self.assertEqual(real([], [" , 192.0.2.1 ,, "]), CLIENT)
        self.assertEqual(real([" , for=192.0.2.1 ,, "]), CLIENT)


class ForwardedTest(SynchronousTestCase):
    def test_the_examples_of_the_standard(self):
        """RFC 7239 section 4, and 6."""
        for value, expected in (
            ('for="_gazonk"', PROXY),
            ('For="[2001:db8:cafe::17]:4711"', IPv6Address("TCP", "2001:db8:cafe::17", 4711)),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", IPv4Address("TCP", "192.0.2.60", 0)),
            ("for=192.0.2.43, for=198.51.100.17", IPv4Address("TCP", "198.51.100.17", 0)),
            ('for="192.0.2.43:47011"', IPv4Address("TCP", "192.0.2.43", 47011)),
            ("for=unknown", PROXY),
            ('for="192.0.2.43:_port"', IPv4Address("TCP", "192.0.2.43", 0)),
        ):
            self.assertEqual(real([value]), expected, value)

    def test_forms(self):
        for value in (
            "FOR=192.0.2.1",
            "proto=https;for=192.0.2.1;",
            'host="a,b";for=192.0.2.1',
            r'host="a\",b\\";for=192.0.2.1',
            r'for="192.0\.2.1"',
            "for=192.0.2.1 ; proto=https",
        ):
            self.assertEqual(real([value]), CLIENT, value)

    def test_malformed(self):
        for value in (
            "for",
            "for=",
            'for=;for="192.0.2.1"',
            "for=192.0.2.1;for=192.0.2.1",
            "for=192.0.2.1 proto=http",
            'for="192.0.2.1',
            'for=192.0.2.1"',
            "192.0.2.1",
            "proto=https",
            "for=192.0.2.1;=",
            "for = 192.0.2.1",
        ):
            self.assertIs(real([value]), PROXY, value)

    def test_a_quote_that_the_client_has_left_open(self):
        """It must not swallow what the proxy adds."""
        for start in (
            'for=6.6.6.6;by="',
            'for="6.6.6.6',
            '"',
            '\\"',
            'x="\\',
            'for=6.6.6.6;x="\\\\',
        ):
            self.assertEqual(real([f"{start}, for=192.0.2.1"]), CLIENT, start)
            self.assertNotIn(
                real([f'{start}, for="[2001:db8::1]"']),
                [IPv4Address("TCP", "6.6.6.6", 0)],
                start,
            )

    def test_what_a_proxy_quotes_names_nobody(self):
        value = r'for=192.0.2.1;host="a, for=6.6.6.6;x=\"\", b"'
        self.assertEqual(real([value]), CLIENT)

    def test_long_lists_take_no_long_time(self):
        """A quadratic walk would take minutes."""
        for value in ('"' + "," * 200_000 + '"', "for=10.0.0.1," * 20_000, 'a="' * 100_000):
            real([value], [value])


class NodeTest(SynchronousTestCase):
    def test_names(self):
        for text, expected in (
            ("192.0.2.1", CLIENT),
            ("192.0.2.1:80", IPv4Address("TCP", "192.0.2.1", 80)),
            ("2001:db8::1", CLIENT6),
            ("[2001:db8::1]", CLIENT6),
            ("[2001:db8::1]:80", IPv6Address("TCP", "2001:db8::1", 80)),
            ("[192.0.2.1]:_x", CLIENT),
        ):
            self.assertEqual(node(text), expected, text)

    def test_no_names(self):
        for text in (
            *("", "unknown", "_hidden", "localhost", "192.0.2", "192.0.2.01", "192.0.2.1:"),
            *("192.0.2.1:65536", "192.0.2.1:x", "192.0.2.1:" + "9" * 5000, "[::1", "::1]"),
            *("fe80::1%eth0", "[fe80::1%25eth0]", "192.0.2.1\n", "１92.0.2.1", "1.2.3.4:８"),
        ):
            self.assertIsNone(node(text), text)


TEXTS = st.one_of(
    st.text(max_size=60),
    st.text('for=";,\\ []:.127x', max_size=60),
    st.lists(st.sampled_from(["for=", "10.0.0.1", '"', ",", ";", "\\", "[::1]", "by="])).map(
        "".join
    ),
)


class AnyTextTest(SynchronousTestCase):
    @settings(max_examples=400, deadline=None)
    @given(st.lists(TEXTS, max_size=3), st.lists(TEXTS, max_size=3))
    @example(["for=" + "1" * 5000], ["1" * 5000])
    def test_nothing_is_raised(self, forwarded, x_forwarded_for):
        found = real(forwarded, x_forwarded_for)
        self.assertIsInstance(found, IPv4Address | IPv6Address)

    @settings(max_examples=400, deadline=None)
    @given(TEXTS)
    def test_no_client_can_forge_its_address(self, made_up):
        """Whatever it has sent, the proxy's word behind it counts."""
        self.assertEqual(real([], [f"{made_up}, 192.0.2.1"]), CLIENT)
        self.assertEqual(real([f"{made_up}, for=192.0.2.1"]), CLIENT)
        self.assertEqual(real([made_up, "for=192.0.2.1"]), CLIENT)
        quoted = real([f'{made_up}, for="[2001:db8::1]"'])
        self.assertEqual(quoted, CLIENT6)
