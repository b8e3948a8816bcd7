"""The files of the page, read once, and how a browser is to treat them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from importlib import resources

from twisted_sock.http.answers import Answer

#: Where the files of the console are.
CONSOLE = "page"

#: The kinds of files that a page may have.
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
}

#: Nothing is loaded, sent or framed but by and from here.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src {connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: Hosts that a policy can name (CSP 3, section 2.3.1): not those that are IPv6 addresses.
SOURCE = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")
PROTECTION = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Page:
    """One file.

    Args:
        name: its name.
        content: its bytes.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self._kind = KINDS[name.rpartition(".")[2]]
        self._content = content
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    def answer(self, host: str, known: str) -> Answer:
        """The answer to a request for it.

        Args:
            host: the value of the request's field Host, which was checked.
            known: that of its field If-None-Match (RFC 9110 section 13.1.2).
        """
        host = host.removesuffix(":")
        # Older browsers do not take 'self' for WebSocket, too.
        connect = f"'self' ws://{host} wss://{host}" if SOURCE.fullmatch(host) else "'self'"
        headers = (
            ("ETag", self._tag),
            ("Cache-Control", "no-cache"),
            ("Content-Security-Policy", POLICY.format(connect=connect)),
            *PROTECTION,
        )
        tags = [tag.strip(" \t").removeprefix("W/") for tag in known.split(",")]
        if self._tag in tags or known == "*":
            return Answer(304, b"", headers)
        return Answer(200, self._content, (("Content-Type", self._kind), *headers))


def pages(*folders: str) -> dict[str, Page]:
    """The pages by their paths; none where the files were not installed.

    Args:
        folders: where in this package they are; of files with the same path, the last counts.
    """
    return {path: page for folder in folders for path, page in _pages(folder)}


def _pages(name: str) -> Iterable[tuple[str, Page]]:
    folder = resources.files("twisted_sock") / name
    if not folder.is_dir():
        return
    for file in folder.iterdir():
        if file.name.rpartition(".")[2] in KINDS:
            path = "/" if file.name.endswith(".html") else f"/{file.name}"
            yield path, Page(file.name, file.read_bytes())
