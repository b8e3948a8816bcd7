"""Who may ask: the names that the server goes by, and the web pages that may use it.

A browser lets any page send requests, to this machine, too, and says in `Origin` which page it
was (RFC 6454). And a page can have the name of its own server lead to this machine (DNS
rebinding): then `Origin` is fine, but `Host` is a name that nobody has given us.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from twisted_sock.errors import SettingError
from twisted_sock.http.answers import Refusal

#: RFC 3986 section 3.2; a port may be empty.
NAME = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
AUTHORITY = re.compile(NAME + r"(?::([0-9]{0,5}))?")
#: RFC 6454 section 6.2: ASCII only, so that it can stand in the head of an answer.
ORIGIN = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)"
    r"://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{1,5}))?"
)

#: How names with other letters are written, as browsers send them (RFC 5890 section 2.3.2.1).
IDN = "; names with other letters as browsers send them, in ASCII: xn--bcher-kva.example"

PORTS = {"http": "80", "https": "443"}

#: An origin: scheme, host, port; of a page of its own kind, like `null`, the whole text first.
Origin = tuple[str, str, str]


class Access:
    """Tells who may ask.

    Args:
        hosts: our names, with commas; `*` for any.
        origins: web pages that may use us besides our own, with commas; `*` for all.

    Raises:
        SettingError: a name or an origin is none.
    """

    def __init__(self, hosts: str, origins: str) -> None:
        self._hosts = {_listed_name(text) for text in _listed(hosts)}
        self._all = "*" in _listed(origins)
        self._origins = {_listed_origin(text) for text in _listed(origins) if text != "*"}

    def check_host(self, host: str) -> None:
        """See that a request means us.

        Args:
            host: the value of its field Host.

        Raises:
            Refusal: it does not, or the value is malformed.
        """
        match = AUTHORITY.fullmatch(host)
        if match is None:
            raise Refusal(400, "the field Host is malformed", log="the field Host is malformed")
        name = _name(match[1])
        if not (self._hosts & {"*", name} or _always(name)):
            words = f"{match[1]} is not a name of this server; if it is, say so with --hosts"
            log = "asked by a name that is not ours; list our names in --hosts"
            raise Refusal(421, words, log=log)

    def check_origin(self, values: list[str], host: str, secure: bool) -> str:
        """See that the page that asks may do so.

        Args:
            values: the request's fields Origin; programs that are no browsers send none.
            host: the value of its field Host.
            secure: whether it came over TLS.

        Returns:
            The origin when it is not our own, but allowed; else nothing.

        Raises:
            Refusal: the page may not.
        """
        if not values:
            return ""
        origin = _origin(values[0]) if len(values) == 1 else None
        if origin and own(origin, host, secure):
            return ""
        if origin and (self._all or origin in self._origins):
            return values[0]
        words = "a web page of another origin may not use this server; if it may, use --origins"
        raise Refusal(403, words, log="a web page of another origin was refused; see --origins")


def own(origin: Origin, host: str, secure: bool) -> bool:
    """Whether a page came from where it asks.

    Host and port must be the same. Over TLS the page must have come over TLS, too. Without, it
    may have: a proxy may have taken the TLS off. So a port that is not written is the default one
    of the page's scheme.
    """
    scheme, name, port = origin
    match = AUTHORITY.fullmatch(host)
    if match is None or scheme not in PORTS or (secure and scheme != "https"):
        return False
    return (name, port) == (_name(match[1]), match[2] or PORTS[scheme])


def _origin(text: str) -> Origin | None:
    """An origin in its normal form (RFC 6454 section 4), `null` included."""
    if text == "null":
        return text, "", ""
    match = ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme = match[1].lower()
    return scheme, _name(match[2]), match[3] or PORTS.get(scheme, "")


def _listed_origin(text: str) -> Origin:
    origin = _origin(text)
    if origin is None:
        words = f"origins: like https://example.org, or null, or *, not {text!r}"
        raise SettingError(words + _hint(text))
    return origin


def _listed_name(text: str) -> str:
    if text != "*" and not re.fullmatch(NAME, text):
        raise SettingError(f"hosts: names only, like sock.example.org, not {text!r}{_hint(text)}")
    return _name(text)


def _hint(text: str) -> str:
    return "" if text.isascii() else IDN


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _name(host: str) -> str:
    """A host's name in its normal form."""
    return host.lower().removesuffix(".")


def _always(name: str) -> bool:
    """Whether no name server can lead this name elsewhere."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
