"""What goes into a datagram, and how much may go to whom: pure, no I/O.

The address that a datagram names as its source may be a lie, as long as networks let such
datagrams out (BCP 38 asks them not to). Whoever answers it answers a victim. `Credit` sees to it
that an attacker gains nothing by the detour (RFC 8085 section 6): at any time no more bytes and
no more datagrams have gone to an address than have come from it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

#: The longest datagram over IPv4: 65,535 bytes less the headers of IP and UDP.
LONGEST = 65507

#: The beginning of an IPv4 address in one of IPv6 (RFC 4291 section 2.5.5.2), and two of IPv4.
MAPPED = bytes(10) + b"\xff\xff"
NO_HOST, ALL_HOSTS = bytes(4), b"\xff" * 4


class Credit:
    """What may still go to an address for what has come from it.

    Attributes:
        bytes: so many bytes.
        datagrams: in so many datagrams.
    """

    __slots__ = ("bytes", "datagrams")

    def __init__(self) -> None:
        self.bytes = 0
        self.datagrams = 0

    def received(self, size: int) -> None:
        """A datagram of so many bytes came."""
        self.bytes += size
        self.datagrams += 1

    def sent(self, size: int) -> None:
        """A datagram of so many bytes went."""
        self.bytes = max(0, self.bytes - size)
        self.datagrams = max(0, self.datagrams - 1)

    @property
    def room(self) -> int:
        """The most bytes that one more datagram may have; -1 when there may be none."""
        return self.bytes if self.datagrams else -1


def fitting(lines: Sequence[bytes], start: int, room: int, spare: int) -> int:
    """How many whole lines fit one datagram.

    Args:
        lines: each with its delimiter.
        start: the first of them that goes into it.
        room: the most bytes that it may have.
        spare: bytes of the delimiter that its last line can do without (see `joined`).
    """
    size = 0
    for end in range(start, len(lines)):
        size += len(lines[end])
        if size - (spare if len(lines[end]) > spare else 0) > room:
            return end - start
    return len(lines) - start


def joined(lines: Sequence[bytes], spare: int) -> bytes:
    """The datagram of some lines.

    Args:
        lines: each with its delimiter.
        spare: bytes of the delimiter that the last does without, as the end of the datagram ends
            it, too; an empty last line keeps it, or nobody could see it.
    """
    data = b"".join(lines)
    return data[: len(data) - spare] if len(lines[-1]) > spare else data


def for_several(host: str) -> bool:
    """Whether an address is that of several hosts, or of none."""
    if ":" in host:
        raw = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        if raw[:12] != MAPPED:
            return raw[0] == 0xFF or not any(raw)
        raw = raw[12:]
    else:
        raw = socket.inet_pton(socket.AF_INET, host)
    return raw[0] >> 4 == 0xE or raw in (NO_HOST, ALL_HOSTS)
