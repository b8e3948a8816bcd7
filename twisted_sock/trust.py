"""Whom we believe when it says who stands behind it: the proxies in some networks."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

from twisted.internet.interfaces import IAddress

IP = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def trusts(networks: Iterable[Network], address: IAddress) -> bool:
    """Whether an address is that of a proxy that we believe.

    Args:
        networks: where such proxies are.
        address: the other end of a connection. One without an IP address, on a UNIX socket, is
            believed: the mode of the socket's file says who may connect to it.
    """
    host = getattr(address, "host", None)
    if host is None:
        return True
    try:
        return within(networks, ip_address(host))
    except ValueError:
        return False


def within(networks: Iterable[Network], ip: IP) -> bool:
    """Whether an IP address is in one of some networks; `::ffff:10.0.0.1` is `10.0.0.1`, too."""
    return any(ip in network or plain(ip) in network for network in networks)


def plain(ip: IP) -> IP:
    """An IPv4 address that is written as one of IPv6 (RFC 4291 section 2.5.5.2) as what it is."""
    return getattr(ip, "ipv4_mapped", None) or ip
