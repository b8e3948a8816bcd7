"""A certificate that nobody but a test trusts: self-signed, with its key, for a few days."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from twisted_sock.display import escape
from twisted_sock.errors import SettingError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as missing:
    raise SettingError("TLS needs `pip install 'twisted_sock[tls]'`") from missing

#: It is good for so long, before and after now: clocks differ.
SPAN = timedelta(days=2)

#: The most characters of a subject's name.
COMMON_NAME = 64


def self_signed(hosts: Sequence[str]) -> bytes:
    """A new key and a certificate for some hosts, in one PEM (RFC 7468).

    Args:
        hosts: names and IP addresses, at least one; the first is the subject, too.

    Returns:
        The PEM: the certificate, then the key, which is not encrypted.

    Raises:
        SettingError: one cannot be in a certificate.
    """
    alternatives = x509.SubjectAlternativeName([_general(host) for host in hosts])
    name = _subject(hosts[0])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - SPAN)
        .not_valid_after(now + SPAN)
        .add_extension(alternatives, False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(usage, False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _general(host: str) -> x509.GeneralName:
    """A host among the others (RFC 5280 section 4.2.1.6).

    Raises:
        SettingError: it cannot be there.
    """
    with suppress(ValueError):
        return x509.IPAddress(ip_address(host))
    if not host:
        raise SettingError("a host in a certificate has a name")
    if not host.isascii():
        raise SettingError(f'"{escape(host)}": a name in a certificate is ASCII, as "xn--..." is')
    return x509.DNSName(host)


def _subject(host: str) -> x509.Name:
    """A host as the subject (RFC 5280 appendix A.1, ub-common-name).

    Raises:
        SettingError: it is too long.
    """
    if len(host) > COMMON_NAME:
        most = f"at most {COMMON_NAME} characters"
        raise SettingError(f'"{escape(host)}": the first name in a certificate has {most}')
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
