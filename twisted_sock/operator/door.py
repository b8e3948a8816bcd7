"""Who gets in: the owner of a UNIX socket, and whoever has the token."""

from __future__ import annotations

import hmac
import os
import stat
from dataclasses import dataclass

from twisted_sock.errors import SettingError
from twisted_sock.interfaces import Peer

#: Characters that a token must have at least: nobody shall find it by trying.
SHORTEST = 16

#: Bytes that are read of its file.
MOST = 4096

ROOT = 0


@dataclass(frozen=True, slots=True)
class Door:
    """Decides who gets in.

    Args:
        owned: whether the owner of the process needs no token: on a UNIX socket only.
        token: the token; empty: there is none.
    """

    owned: bool
    token: str = ""

    def knows(self, peer: Peer) -> bool:
        """Whether a peer needs no token.

        The credentials of what came through a proxy are the proxy's.
        """
        if not self.owned or peer.credentials is None or peer.via is not None:
            return False
        return peer.credentials.uid in (os.geteuid(), ROOT)

    def opens(self, token: str) -> bool:
        """Whether this is the token; how long it takes to say tells nothing."""
        given = token.encode(errors="replace")
        return hmac.compare_digest(given, self.token.encode()) and bool(self.token)


def read_token(path: str) -> str:
    """The token in a file: its first line.

    Raises:
        SettingError: it cannot be read, others can read it, or there is no token in it.
    """
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MOST)
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}") from None
    if mode & 0o077:
        raise SettingError(f"{path}: others may read it or write to it; chmod 600 it")
    token = data.decode(errors="replace").split("\n", 1)[0].strip()
    if len(token) < SHORTEST or not (token.isascii() and token.isprintable()):
        words = f"at least {SHORTEST} characters of ASCII; openssl rand -hex 16 makes one"
        raise SettingError(f"{path}: the first line is the token, {words}")
    return token
