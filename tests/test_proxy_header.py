"""The header of the PROXY protocol, as a pure function."""

import itertools
import struct
from ipaddress import ip_address

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from twisted_sock.proxy_header import (
    BINARY,
    LONGEST,
    LONGEST_LINE,
    Header,
    Malformed,
    crc32c,
    read_header,
)
from twisted_sock.testing import cuts

MANY = settings(max_examples=300, deadline=None)

LINE4 = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
LINE6 = b"PROXY TCP6 2001:db8::1 2001:DB8::2 56324 443\r\n"


def binary(kind, block, command=0x21):
    """A header of version 2."""
    return BINARY + struct.pack("!BBH", command, kind, len(block)) + block


def block_of(source, target="198.51.100.7", port=56324):
    """The addresses of a header of version 2."""
    packed = ip_address(source).packed + ip_address(target).packed
    return packed + struct.pack("!HH", port, 443)


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def unix_field(name):
    return name.ljust(108, b"\0")


BLOCK4 = block_of("192.0.2.1")
BLOCK6 = block_of("2001:db8::1", "2001:db8::2")
V2_4 = binary(0x11, BLOCK4)
V2_6 = binary(0x21, BLOCK6)
V2_UNIX = binary(0x31, unix_field(b"/run/client") + unix_field(b"/run/server"))
V2_LOCAL = binary(0x00, b"", 0x20)

CLIENT4 = IPv4Address("TCP", "192.0.2.1", 56324)
CLIENT6 = IPv6Address("TCP", "2001:db8::1", 56324)

VALID = {
    LINE4: CLIENT4,
    LINE6: CLIENT6,
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": IPv4Address(
        "TCP", "255.255.255.255", 65535
    ),
    b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n": IPv4Address("TCP", "0.0.0.0", 0),
    b"PROXY TCP6 ::ffff:192.0.2.1 ::1 56324 443\r\n": CLIENT4,
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff::1 \xff\n \r1 2\r\n": None,
    b"PROXY UNKNOWN " + b"x" * (LONGEST_LINE - 16) + b"\r\n": None,
    V2_4: CLIENT4,
    V2_6: CLIENT6,
    V2_UNIX: UNIXAddress(b"/run/client"),
    V2_LOCAL: None,
    binary(0xFF, b"anything", 0x20): None,
    binary(0x00, b""): None,
    binary(0x00, b"anything"): None,
    binary(0x10, b"short"): None,
    binary(0x01, b"short"): None,
    binary(0x12, BLOCK4): IPv4Address("UDP", "192.0.2.1", 56324),
    binary(0x21, block_of("::ffff:192.0.2.1", "::1")): CLIENT4,
    binary(0x31, unix_field(b"\0abstract") + unix_field(b"")): UNIXAddress(b"@abstract"),
    binary(0x32, unix_field(b"") + unix_field(b"")): UNIXAddress(None),
    binary(0x31, b"x" * 216): UNIXAddress(b"x" * 108),
    binary(0x11, BLOCK4 + tlv(2, b"host.example") + tlv(4, b"")): CLIENT4,
    binary(0x11, BLOCK4 + tlv(2, b"host") + b"\x05\xff\xffcut"): CLIENT4,
    binary(0x11, BLOCK4.ljust(LONGEST - 16, b"\0")): CLIENT4,
}

MALFORMED = [
    b"GET / HTTP/1.1\r\n",
    b"\x16\x03\x01",
    b"hello\n",
    b"proxy TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
    b"PROXY\r\n",
    b"PROXY  TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
    b"PROXY \r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n\r\n",
    b"PROXY TCP4 192.0.2.1  198.51.100.7 56324 443\r\n",
    b"PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n",
    b"PROXY TCP4 192.0.2.01 198.51.100.7 56324 443\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100 56324 443\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 99999\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 056324 443\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n",
    b"PROXY TCP4 ::1 ::1 56324 443\r\n",
    b"PROXY TCP6 192.0.2.1 198.51.100.7 56324 443\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n",
    b"PROXY TCP6 2001:db8::1::2 ::1 56324 443\r\n",
    b"PROXY UDP4 192.0.2.1 198.51.100.7 56324 443\r\n",
    b"PROXY UNKNOWNx\r\n",
    b"PROXY UNKNOWN\n",
    b"PROXY UNKNOWN " + b"x" * (LONGEST_LINE - 15) + b"\r\n",
    b"PROXY " + b"x" * 200,
    BINARY + b"\x11\x11\0\0",
    BINARY + b"\x2f\x11\0\0",
    binary(0x41, BLOCK4),
    binary(0x13, BLOCK4),
    binary(0x11, BLOCK4[:-1]),
    binary(0x21, BLOCK4),
    binary(0x31, b"/run/client"),
    BINARY + b"\x21\x11\xff\xff",
    BINARY + struct.pack("!BBH", 0x20, 0, LONGEST - 15),
    binary(0x11, BLOCK4 + tlv(3, b"\0\0\0\0")),
    binary(0x11, BLOCK4 + tlv(3, b"")),
]


def read_pieces(pieces):
    """What comes of a stream that arrives in pieces: a header, "malformed", or None."""
    head = b""
    for piece in pieces:
        head += piece
        try:
            header = read_header(head)
        except Malformed:
            return "malformed"
        if header is not None:
            return header
        assert len(head) < LONGEST
        assert len(head) < LONGEST_LINE or head.startswith(BINARY)
    return None


class ValidTest(SynchronousTestCase):
    def test_sources(self):
        for header, source in VALID.items():
            self.assertEqual(read_header(header), Header(len(header), source), header)

    def test_what_is_behind_is_left(self):
        for header, source in VALID.items():
            for behind in (b"\r\n", b"a\nb\n", header):
                self.assertEqual(read_header(header + behind), Header(len(header), source))

    def test_more_is_awaited_until_it_is_whole(self):
        for header in VALID:
            for end in range(len(header)):
                self.assertIsNone(read_header(header[:end]), header[:end])

    def test_it_does_not_matter_how_it_is_cut(self):
        for header, source in VALID.items():
            for pieces in cuts(header + b"a\n", 40):
                self.assertEqual(read_pieces(pieces), Header(len(header), source))


class MalformedTest(SynchronousTestCase):
    def test_it_is_told(self):
        for data in MALFORMED:
            self.assertRaises(Malformed, read_header, data)

    def test_it_does_not_matter_how_it_is_cut(self):
        for data in MALFORMED:
            for pieces in cuts(data, 120):
                self.assertEqual(read_pieces(pieces), "malformed", data)

    def test_something_else_is_told_by_its_first_byte_that_differs(self):
        for data in (b"h", b"PX", b"\r\n\r\nX", b"PROXYx"):
            self.assertIsNone(read_header(data[:-1]))
            self.assertRaises(Malformed, read_header, data)

    def test_the_words_hold_none_of_its_bytes(self):
        secret = b"s3cret"
        for data in (secret, b"PROXY " + secret + b"\r\n", b"PROXY TCP4 " + secret * 30):
            error = self.assertRaises(Malformed, read_header, data)
            self.assertNotIn("s3cret", str(error))


class ChecksumTest(SynchronousTestCase):
    def test_of_the_standards_example(self):
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(crc32c(b""), 0)
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)  # RFC 3720 appendix B.4

    def signed(self, behind=b""):
        empty = binary(0x11, BLOCK4 + tlv(2, b"host") + tlv(3, bytes(4)) + behind)
        sum_ = crc32c(empty).to_bytes(4, "big")
        return binary(0x11, BLOCK4 + tlv(2, b"host") + tlv(3, sum_) + behind)

    def test_a_right_one_is_accepted(self):
        for behind in (b"", tlv(4, b"more"), b"\x05\xff"):
            header = self.signed(behind)
            self.assertEqual(read_header(header), Header(len(header), CLIENT4))

    def test_any_bit_that_flips_is_found(self):
        header = self.signed()
        for position in range(16, len(header)):
            for bit in (1, 128):
                flipped = bytearray(header)
                flipped[position] ^= bit
                if position in (28, 29, 30, 35, 36, 37):  # then it is not found to be one
                    continue
                self.assertRaises(Malformed, read_header, bytes(flipped))


ADDRESSES4 = st.ip_addresses(v=4)
ADDRESSES6 = st.ip_addresses(v=6)
PORTS = st.integers(0, 65535)


@st.composite
def headers(draw):
    """A header, and whom it names."""
    version = draw(st.sampled_from([4, 6]))
    source = draw(st.ip_addresses(v=version))
    target = draw(st.ip_addresses(v=version))
    port = draw(PORTS)
    host = getattr(source, "ipv4_mapped", None) or source
    address = (IPv4Address if host.version == 4 else IPv6Address)("TCP", str(host), port)
    if draw(st.booleans()):
        line = f"PROXY TCP{version} {source} {target} {port} {draw(PORTS)}\r\n"
        return line.encode(), address
    tlvs = b"".join(tlv(4, value) for value in draw(st.lists(st.binary(max_size=9), max_size=4)))
    kind = 0x11 if version == 4 else 0x21
    return binary(kind, block_of(str(source), str(target), port) + tlvs), address


STARTS = st.sampled_from(
    [b"", b"PROXY ", b"PROXY UNKNOWN", b"PROXY TCP4 ", BINARY, BINARY + b"\x21\x11", LINE4[:-2]]
)


class AnyBytesTest(SynchronousTestCase):
    @MANY
    @given(headers(), st.binary(max_size=20), st.lists(st.integers(0, 200), max_size=8))
    def test_any_cutting_gives_the_same(self, header_of, behind, places):
        header, address = header_of
        data = header + behind
        marks = [0, *sorted(place for place in places if place < len(data)), len(data)]
        pieces = [data[a:b] for a, b in itertools.pairwise(marks)]
        self.assertEqual(read_pieces(pieces), Header(len(header), address))

    @MANY
    @given(STARTS, st.binary(max_size=200))
    @example(BINARY, b"\x21\x11\x0f\xf0" + bytes(4096))
    def test_none_raises_but_malformed_and_none_waits_for_ever(self, start, more):
        data = start + more
        whole = read_pieces([data])
        bytewise = read_pieces([data[i : i + 1] for i in range(len(data))])
        self.assertEqual(bytewise, whole)
        filled = read_pieces([data.ljust(LONGEST, b"x")])
        self.assertIsNotNone(filled)

    @MANY
    @given(headers(), st.data())
    def test_a_changed_byte_is_no_more_than_another_header(self, header_of, data):
        changed = bytearray(header_of[0])
        position = data.draw(st.integers(0, len(changed) - 1))
        changed[position] = data.draw(st.integers(0, 255))
        found = read_pieces([bytes(changed)])
        self.assertTrue(found in (None, "malformed") or found.size <= len(changed))
