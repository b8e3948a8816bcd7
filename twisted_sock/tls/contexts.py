"""What OpenSSL is told: which suites there are, whom to show which certificate, whom to trust.

TLS 1.2 and 1.3 are spoken, with suites that keep what was said secret even from who gets hold of
the key later, and that authenticate what they encrypt. Nothing is resumed and nothing
renegotiated, so every connection has proved anew who it is.
"""

from __future__ import annotations

from typing import Any

from twisted_sock.display import one_line
from twisted_sock.errors import SettingError
from twisted_sock.tls.certificates import Served
from twisted_sock.tls.words import REFUSED, reasons

try:
    from OpenSSL import SSL, crypto
except ImportError as missing:
    raise SettingError("TLS needs `pip install 'twisted_sock[tls]'`") from missing

#: The suites of TLS 1.2: an ephemeral key exchange, authenticated encryption (RFC 9325 section
#: 4.2). All of TLS 1.3 are so.
SUITES = b"ECDHE+AESGCM:ECDHE+CHACHA20"

OPTIONS = (
    SSL.OP_CIPHER_SERVER_PREFERENCE
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_TICKET
)

#: Certificates that may be between that of a client and one that is trusted.
DEPTH = 10


class Identities:
    """The certificates that are served to new connections.

    Args:
        served: they; the first for whom no other is meant.
        authorities: who may issue the certificates of clients; none are asked for if nobody.
        required: whether clients must show one.

    Raises:
        SettingError: OpenSSL takes one of them not.
    """

    def __init__(self, served: list[Served], authorities: list[Any], required: bool) -> None:
        self.served = served
        contexts = [_context(each, authorities, required) for each in served]
        for context in contexts:
            context.set_tlsext_servername_callback(self._choose)
        self._first = contexts[0]
        self._by_name: dict[str, SSL.Context] = {}
        for each, context in zip(served, contexts, strict=True):
            for name in each.names:
                self._by_name.setdefault(name, context)
        for each, context in zip(served, contexts, strict=True):
            self._by_name.setdefault(each.file.stem.lower(), context)

    def connection(self) -> SSL.Connection:
        """A connection that is yet to choose among them."""
        return SSL.Connection(self._first)

    def _choose(self, connection: SSL.Connection) -> None:
        """Choose by the name that the client has asked for (RFC 6066 section 3)."""
        context = self.find(connection.get_servername() or b"")
        if context is not self._first:
            connection.set_context(context)

    def find(self, name: bytes) -> SSL.Context:
        """The context for a host; a `*` stands for its first label (RFC 6125 section 6.4.3)."""
        host = name.decode("latin-1").lower().rstrip(".")
        any_host = "*." + host.partition(".")[2]
        return self._by_name.get(host) or self._by_name.get(any_host) or self._first


def _context(served: Served, authorities: list[Any], required: bool) -> SSL.Context:
    """What OpenSSL needs to know to serve a certificate."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(OPTIONS)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # idle connections keep none
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    try:
        context.set_cipher_list(SUITES)
        context.use_certificate(served.certificate)
        for each in served.chain:
            context.add_extra_chain_cert(each)
        context.use_privatekey(served.key)
        context.check_privatekey()
        _ask(context, authorities, required)
    except (SSL.Error, crypto.Error, TypeError) as error:
        said = one_line(", ".join(reasons(error)) or str(error))
        raise SettingError(f"{served.file}: OpenSSL does not take it: {said}") from error
    return context


def _ask(context: SSL.Context, authorities: list[Any], required: bool) -> None:
    """Have clients asked for their certificates."""
    if not authorities:
        return
    store = context.get_cert_store()
    assert store is not None
    # Whoever is in the file is trusted, the root or not.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    for each in authorities:
        store.add_cert(crypto.X509.from_cryptography(each))
        context.add_client_ca(each)
    mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0)
    context.set_verify(mode, _verified)
    context.set_verify_depth(DEPTH)


def _verified(
    connection: SSL.Connection, _certificate: Any, error: int, _depth: int, ok: int
) -> bool:
    """Keep why a certificate is not accepted: the handshake's own error does not tell."""
    if not ok:
        handshake = connection.get_app_data().wrappedProtocol
        handshake.refused = REFUSED.get(error, f"error {error} of X.509")
    return bool(ok)
