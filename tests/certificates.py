"""Certificates for the tests: a small CA that signs what it is told to."""

from __future__ import annotations

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH

#: What the key of a CA is for.
SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

#: By how an alternative name is written.
GENERAL = {
    "DNS": x509.DNSName,
    "email": x509.RFC822Name,
    "URI": x509.UniformResourceIdentifier,
    "IP": lambda text: x509.IPAddress(ipaddress.ip_address(text)),
}


def pem(key, password=None):
    """A key as PEM."""
    encryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Issued:
    """A certificate and its key.

    Args:
        issuer: another such, who signs it; itself when left out.
    """

    def __init__(
        self, name, *, issuer=None, ca=False, names=(), days=(-1, 1), usage=None, key=None
    ):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.issuer = issuer or self
        now = datetime.datetime.now(datetime.UTC)
        named = subject(name) if issuer is None else issuer.certificate.subject
        made = x509.CertificateBuilder(
            named, subject(name), self.key.public_key(), x509.random_serial_number()
        )
        made = made.not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
        made = made.add_extension(x509.BasicConstraints(ca, None), True)
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuer.key.public_key())
        made = made.add_extension(above, False)
        own = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        made = made.add_extension(own, False)
        if ca:
            made = made.add_extension(SIGNS, True)
        if names:
            general = [GENERAL[kind](text) for kind, _, text in (n.partition(":") for n in names)]
            made = made.add_extension(x509.SubjectAlternativeName(general), False)
        if usage:
            made = made.add_extension(x509.ExtendedKeyUsage([usage]), False)
        self.certificate = made.sign(self.issuer.key, hashes.SHA256())

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self):
        return pem(self.key)

    def write(self, path, *chain):
        """Certificate, chain and key, all in one file."""
        path.write_bytes(b"".join([self.pem, *(each.pem for each in chain), self.key_pem]))
        return str(path)

    def __call__(self, name, **more):
        """Issue another."""
        return Issued(name, issuer=self, **more)


def authority(name="Test CA"):
    return Issued(name, ca=True)


def server(issuer, *hosts, **more):
    """A certificate of a server, for some hosts."""
    return issuer(hosts[0], names=[f"DNS:{host}" for host in hosts], usage=SERVER, **more)


def client(issuer, name="alice", **more):
    """A certificate of a client."""
    return issuer(name, usage=CLIENT, **more)
