"""Who the client of an HTTP request is, from what proxies have put into its head.

Each proxy adds to the right end of a list whom it was asked by: `X-Forwarded-For: client, proxy`
or `Forwarded: for=client, for=proxy` (RFC 7239). Whatever stands further left may be made up by
the client. So the list is walked from the right, for as long as those who wrote it are trusted.

A proxy that knows one of the two fields passes the other on as the client has sent it. So when
both are there and do not agree, one of them may be forged, nobody can tell which, and neither is
believed. The proxy in front must remove the one that it does not write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address as PlainIPv4
from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from twisted_sock.trust import Network, plain, trusts

#: Digits of IP addresses, RFC 7239 section 6; `%` and a zone mean nothing on another machine.
BARE = re.compile(r"[0-9A-Fa-f:.]+")
PORT = r"([0-9]{1,5}|_[._A-Za-z0-9-]+)"
IN_BRACKETS = re.compile(rf"\[([0-9A-Fa-f:.]+)\](?::{PORT})?")
WITH_PORT = re.compile(rf"([0-9.]+):{PORT}")

#: RFC 7239 section 4, RFC 9110 section 5.6.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"(?:[^"\\]|\\.)*"'
PAIR = re.compile(rf"\s*({TOKEN})=({TOKEN}|{QUOTED}|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?)?\s*(?:;|$)")
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def real_address(
    address: IAddress,
    forwarded: Sequence[str],
    x_forwarded_for: Sequence[str],
    trusted: Sequence[Network],
) -> IAddress:
    """Who the client of a request is, as far as those are trusted who say so.

    Args:
        address: the other end of the connection.
        forwarded: the values of its fields `Forwarded`, in their order.
        x_forwarded_for: those of its fields `X-Forwarded-For`.
        trusted: the networks of our proxies; none when nobody is believed.

    Returns:
        The client's address, with port 0 where it was not named; the last good one where a list
        is malformed; `address` itself when that is not trusted. Never raises, whatever the texts.
    """
    if not trusted or not trusts(trusted, address):
        return address
    lists = [(forwarded, _forwarded), (x_forwarded_for, _x_forwarded_for)]
    found = [_walk(address, hops(values), trusted) for values, hops in lists if values]
    if len({_host(each) for each in found}) != 1:
        return address
    return found[0]


def _walk(address: IAddress, hops: Iterable[str], trusted: Sequence[Network]) -> IAddress:
    """The last address that somebody trusted has named, from where we are outwards."""
    for hop in hops:
        named = node(hop)
        if named is None:
            return address
        address = named
        if not trusts(trusted, address):
            return address
    return address


def _host(address: IAddress) -> str:
    return str(getattr(address, "host", ""))


def _x_forwarded_for(values: Sequence[str]) -> Iterator[str]:
    """The members of the lists, the last first; empty ones do not count (RFC 9110 5.6.1)."""
    for value in reversed(values):
        yield from filter(None, (part.strip() for part in reversed(value.split(","))))


def _forwarded(values: Sequence[str]) -> Iterator[str]:
    """Whom the elements of the lists name, the last first; empty where one names nobody."""
    for value in reversed(values):
        for element in _elements(value):
            if element.strip():
                yield _for(element)


def _elements(value: str) -> Iterator[str]:
    """The elements of a list, the last first.

    A comma within quotes ends none. What a trusted proxy has written at the end is found even
    where the client has begun with a quote and not ended it.
    """
    parts: list[str] = []
    quoted = False
    for part in reversed(value.split(",")):
        parts.append(part)
        quoted ^= bool(ESCAPED.sub("", part).count('"') % 2)
        if not quoted:
            yield ",".join(reversed(parts))
            parts.clear()
    if parts:
        yield '"'  # never closed: malformed


def _for(element: str) -> str:
    """Whom an element names; empty when nobody, or when it is malformed."""
    named: str | None = None
    start = 0
    element = element.strip()
    while start < len(element):
        pair = PAIR.match(element, start)
        if pair is None:
            return ""
        if pair[1].lower() == "for":
            if named is not None:
                return ""
            named = _unquoted(pair[2] or "")
        start = pair.end()
    return named or ""


def _unquoted(value: str) -> str:
    return ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def node(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text names.

    Args:
        text: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.

    Returns:
        The address, with port 0 where there is no number; None where the text is no address:
        `unknown` or `_hidden` (RFC 7239 section 6), or anything else.
    """
    match = IN_BRACKETS.fullmatch(text) or WITH_PORT.fullmatch(text)
    host, port = match.groups() if match else (text, None)
    number = int(port) if port and port.isdigit() else 0
    if not BARE.fullmatch(host) or number > 65535:
        return None
    try:
        ip = plain(ip_address(host))
    except ValueError:
        return None
    kind = IPv4Address if isinstance(ip, PlainIPv4) else IPv6Address
    return kind("TCP", str(ip), number)
