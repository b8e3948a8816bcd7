"""The header of the PROXY protocol: what a proxy says of its client before the client's own bytes.

A pure function from bytes to a header. Version 1 is a line of text, version 2 is binary; both
are told from each other, and from anything else, by how they begin (HAProxy's
doc/proxy-protocol.txt section 2).

    PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address as PlainIPv4
from ipaddress import IPv6Address as PlainIPv6

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from twisted_sock.trust import IP, plain

#: Bytes of a header of version 1 at most, its CRLF among them (section 2.1).
LONGEST_LINE = 107

#: Bytes of a header of version 2 that we take at most. Addresses need 232; the rest is for TLVs.
LONGEST = 4096

TEXT = b"PROXY "
BINARY = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = len(BINARY) + 4  # version and command, family and protocol, length

UNKNOWN = b"PROXY UNKNOWN"
NUMBER = rb"(0|[1-9][0-9]{0,4})"
LINE = re.compile(
    rb"PROXY (?:TCP4 ([0-9.]+) ([0-9.]+)|TCP6 ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+)) "
    + NUMBER
    + rb" "
    + NUMBER
)

LOCAL, RELAYED = 0x20, 0x21

#: The family is the upper half of its byte, the protocol the lower.
UNSPECIFIED, INET, INET6, UNIX = range(4)
TYPES = {1: "TCP", 2: "UDP"}

#: Bytes of the addresses of a family: two of each, and two ports.
SIZES = {INET: 4 * 2 + 4, INET6: 16 * 2 + 4, UNIX: 108 * 2}

CRC32C = 0x03  # the type of the TLV with a checksum (section 2.2.3)


class Malformed(Exception):
    """Not a header, or none that may be used; the message says why, in no words of it."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header of the PROXY protocol.

    Args:
        size: its bytes.
        source: the address of the client; None when the proxy speaks for itself, as in a health
            check, or does not know: then the connection's own is meant.
    """

    size: int
    source: IAddress | None


def read_header(head: bytes) -> Header | None:
    """The header that a stream begins with.

    Args:
        head: the first bytes of the stream, as many as have come.

    Returns:
        The header; None when more bytes are needed, which is never so with `LONGEST`.

    Raises:
        Malformed: the stream begins with none; told as soon as it is certain.
    """
    if head.startswith(BINARY):
        return _binary(head)
    if head.startswith(TEXT):
        return _text(head)
    if BINARY.startswith(head) or TEXT.startswith(head):
        return None
    raise Malformed("it sent no PROXY header; have the proxy send one, or leave proxy= out")


# Version 1: a line of text.


def _text(head: bytes) -> Header | None:
    end = head.find(b"\r\n", 0, LONGEST_LINE)
    if end >= 0:
        return Header(end + 2, _source_of(head[:end]))
    if len(head) >= LONGEST_LINE:
        raise Malformed(f"its PROXY line has no end within {LONGEST_LINE} bytes")
    # What stands behind UNKNOWN is to be ignored, whatever it is.
    if b"\n" in head and not head.startswith(UNKNOWN + b" "):
        raise Malformed("its PROXY line ends in LF without CR")
    return None


def _source_of(line: bytes) -> IAddress | None:
    """The client that a line names, if it names one."""
    if line == UNKNOWN or line.startswith(UNKNOWN + b" "):
        return None
    match = LINE.fullmatch(line)
    if match is None:
        raise Malformed("its PROXY line is malformed")
    source4, target4, source6, target6, port, target_port = match.groups()
    try:
        kind, source, target = (
            (PlainIPv4, source4, target4) if source4 else (PlainIPv6, source6, target6)
        )
        kind(target.decode())
        if int(port) > 65535 or int(target_port) > 65535:
            raise ValueError("no port")
        return _address(kind(source.decode()), int(port), "TCP")
    except ValueError:
        raise Malformed("its PROXY line names an address or port that is none") from None


# Version 2: binary.


def _binary(head: bytes) -> Header | None:
    if len(head) < FIXED:
        return None
    command, kind, length = struct.unpack_from("!BBH", head, len(BINARY))
    if command not in (LOCAL, RELAYED):
        raise Malformed("its PROXY header is of an unknown version or command")
    size = FIXED + length
    if size > LONGEST:
        raise Malformed(f"its PROXY header is longer than {LONGEST} bytes")
    if len(head) < size:
        return None
    if command == LOCAL:  # the family, too, means nothing then
        return Header(size, None)
    return Header(size, _relayed(head[:size], *divmod(kind, 16)))


def _relayed(header: bytes, family: int, protocol: int) -> IAddress | None:
    """The client that a whole header names, if it names one."""
    if family > UNIX or protocol > max(TYPES):
        raise Malformed("its PROXY header is of an unknown family or protocol")
    if UNSPECIFIED in (family, protocol):
        return None
    end = FIXED + SIZES[family]
    if len(header) < end:
        raise Malformed("its PROXY header is too short for its addresses")
    _verify(header, end)
    if family == UNIX:
        return UNIXAddress(_path(header[FIXED : FIXED + 108]))
    size = 4 if family == INET else 16
    source = header[FIXED : FIXED + size]
    (port,) = struct.unpack_from("!H", header, end - 4)
    return _address(
        PlainIPv4(source) if family == INET else PlainIPv6(source), port, TYPES[protocol]
    )


def _path(field: bytes) -> bytes | None:
    """The name of a UNIX socket; with an `@` before it when it is no file's but abstract."""
    if field.startswith(b"\0"):
        name = field[1:].partition(b"\0")[0]
        return b"@" + name if name else None
    return field.partition(b"\0")[0]


def _address(ip: IP, port: int, kind: str) -> IPv4Address | IPv6Address:
    ip = plain(ip)
    made = IPv4Address if isinstance(ip, PlainIPv4) else IPv6Address
    return made(kind, str(ip), port)  # type: ignore[arg-type]


def _verify(header: bytes, start: int) -> None:
    """See that the checksum is right, if there is one.

    Args:
        header: a whole header.
        start: where its TLVs begin.
    """
    for kind, value, end in _tlvs(header, start):
        if kind == CRC32C:
            without = header[:value] + bytes(end - value) + header[end:]
            if header[value:end] != crc32c(without).to_bytes(4, "big"):
                raise Malformed("its PROXY header does not match its checksum")
            return


def _tlvs(header: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """The type of each TLV, and where its value starts and ends; up to one that is malformed."""
    while start + 3 <= len(header):
        kind, length = struct.unpack_from("!BH", header, start)
        start += 3 + length
        if start <= len(header):
            yield kind, start - length, start


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    return byte


CRC_OF_BYTES = [_crc_of_byte(byte) for byte in range(256)]


def crc32c(data: bytes) -> int:
    """The checksum of some bytes (RFC 9260 appendix A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_OF_BYTES[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
