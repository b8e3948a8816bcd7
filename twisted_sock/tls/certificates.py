"""Certificates, keys and chains from PEM files (RFC 7468).

All files that are named go into one pool. A certificate that a key of the pool fits is one to
serve; its chain is found among the others by who has issued whom. So it does not matter which
file holds what: one file with everything, three of them, a folder of such, or the folders that
ACME clients write.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted_sock.errors import SettingError
from twisted_sock.interfaces import Certificate

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
except ImportError as missing:
    raise SettingError("TLS needs `pip install 'twisted_sock[tls]'`") from missing

#: One block of a PEM file; its label and the whole of it.
BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)

#: The file of a folder that is served to whom no other is meant for.
DEFAULT = "default.pem"

#: How each kind of alternative name is written.
KINDS: tuple[tuple[Any, str], ...] = (
    (x509.DNSName, "DNS"),
    (x509.RFC822Name, "email"),
    (x509.IPAddress, "IP"),
    (x509.UniformResourceIdentifier, "URI"),
)

#: What tells whether a file has changed; None where there is none.
Stamp = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Served:
    """A certificate to serve.

    Args:
        file: where it was.
        certificate: itself.
        key: its key.
        chain: who has issued it, who has issued that, and so on, without the root.
        names: the hosts that it is for, in small letters; `*.` stands for one label before it.
    """

    file: Path
    certificate: x509.Certificate
    key: Any
    chain: tuple[x509.Certificate, ...]
    names: tuple[str, ...]

    @property
    def until(self) -> datetime:
        """When it expires."""
        return self.certificate.not_valid_after_utc

    def __str__(self) -> str:
        names = ", ".join(self.names) or self.certificate.subject.rfc4514_string()
        return f"{self.file}: {names}, until {self.until:%Y-%m-%d %H:%M} UTC"


def files(text: str) -> list[Path]:
    """The files that a setting names.

    Args:
        text: files and folders, with commas between them. Of a folder every `*.pem` counts, in
            folders inside it, too; what begins with a dot does not.

    Raises:
        SettingError: there is nothing in a folder.
    """
    found: list[Path] = []
    for part in filter(None, text.split(",")):
        inside = _inside(part) if os.path.isdir(part) else [Path(part)]
        if not inside:
            raise SettingError(f"{part}: there is no file *.pem in this folder")
        found += inside
    return found


def stamps(texts: Iterable[str]) -> dict[Path, Stamp]:
    """What changes when any of the files that some settings name does."""
    stamped: dict[Path, Stamp] = {}
    for text in texts:
        try:
            stamped |= {path: _stamp(path) for path in files(text)}
        except SettingError:
            stamped[Path(text)] = None
    return stamped


def read_served(paths: Iterable[Path]) -> list[Served]:
    """The certificates to serve that some files hold, in the order of the files.

    Raises:
        SettingError: something is wrong with one of them; says which and what.
    """
    pool = _Pool()
    for path in paths:
        pool.add(path)
    return pool.served()


def read_authorities(path: Path) -> list[x509.Certificate]:
    """The certificates of those who may issue certificates of clients.

    Raises:
        SettingError: something is wrong with the file; says what.
    """
    found: list[x509.Certificate] = []
    for label, block in _blocks(path):
        if label == "CERTIFICATE":
            found.append(_parse(path, label, x509.load_pem_x509_certificate, block))
        elif label == "X509 CRL":
            raise SettingError(f"{path}: lists of revoked certificates are not looked at")
    if not found:
        raise SettingError(f"{path}: there is no certificate in it")
    return found


def out_of_date(certificate: x509.Certificate, now: datetime | None = None) -> str:
    """Why a certificate will not be accepted at this time; empty when it can be."""
    now = now or datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        return f"has expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def identity(certificate: x509.Certificate) -> Certificate:
    """What a client's certificate says of it.

    Raises:
        ValueError: it is too odd to be read.
    """
    return Certificate(
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        tuple(_names(certificate)),
        certificate.fingerprint(hashes.SHA256()).hex(),
    )


class _Pool:
    """What was read from files, each thing once."""

    def __init__(self) -> None:
        self._certificates: dict[x509.Certificate, Path] = {}
        self._keys: dict[bytes, tuple[Any, Path]] = {}  # by the public key
        self._issuers: dict[bytes, list[x509.Certificate]] = {}  # by their name

    def add(self, path: Path) -> None:
        """Read one file more."""
        before = len(self._certificates) + len(self._keys)
        known = False
        for label, block in _blocks(path):
            if label == "CERTIFICATE":
                parsed = _parse(path, label, x509.load_pem_x509_certificate, block)
                known |= parsed in self._certificates
                self._certificates.setdefault(parsed, path)
            elif label.endswith("PRIVATE KEY"):
                key = _parse(path, label, _load_key, block)
                known |= _public(key.public_key()) in self._keys
                self._keys.setdefault(_public(key.public_key()), (key, path))
        if before == len(self._certificates) + len(self._keys) and not known:
            raise SettingError(f"{path}: there is neither certificate nor key in it")

    def served(self) -> list[Served]:
        """The certificates that have a key."""
        served = []
        used = set()
        self._issuers = self._between()
        for certificate, path in self._certificates.items():
            public = _public_of(certificate)
            if public in self._keys:
                used.add(public)
                served.append(self._serve(certificate, self._keys[public][0], path))
        self._check(used)
        return served

    def _serve(self, certificate: x509.Certificate, key: Any, path: Path) -> Served:
        try:
            names = [each[4:].lower() for each in _names(certificate) if each.startswith("DNS:")]
        except ValueError as error:
            raise SettingError(f"{path}: the names of the certificate cannot be read") from error
        return Served(path, certificate, key, tuple(self._chain(certificate)), tuple(names))

    def _chain(self, certificate: x509.Certificate) -> list[x509.Certificate]:
        """Who has issued a certificate, and so on; not the root, which all know or nobody."""
        chain: list[x509.Certificate] = []
        last: x509.Certificate | None = certificate
        while last is not None:
            named = self._issuers.get(last.issuer.public_bytes(), [])
            last = next((each for each in named if _issued(each, last)), None)
            if last is None or last in (certificate, *chain):
                break
            chain.append(last)
        return chain

    def _between(self) -> dict[bytes, list[x509.Certificate]]:
        """The certificates that may stand between others and a root, by their names."""
        between: dict[bytes, list[x509.Certificate]] = {}
        for each in self._certificates:
            if each.subject != each.issuer:
                between.setdefault(each.subject.public_bytes(), []).append(each)
        return between

    def _check(self, used: set[bytes]) -> None:
        """See that no certificate and no key is left that was meant to be served."""
        for public, (_, path) in self._keys.items():
            if public not in used:
                raise SettingError(f"{path}: the key in it does not fit any certificate")
        for certificate, path in self._certificates.items():
            if not used or not (_public_of(certificate) in used or _may_issue(certificate)):
                raise SettingError(f"{path}: there is no key that fits the certificate in it")
        if not used:
            raise SettingError("certificate: there is none")


def _inside(folder: str) -> list[Path]:
    """The files of a folder, the default first, then by name."""
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        found += [Path(here, each) for each in names if each.endswith(".pem")]
    shown = [path for path in found if not path.name.startswith(".")]
    return sorted(shown, key=lambda path: (path.name != DEFAULT, str(path)))


def _stamp(path: Path) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    # The time of the last change to the inode, too: copies may keep the other of their original.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _blocks(path: Path) -> list[tuple[str, bytes]]:
    """The blocks of a PEM file with their labels."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingError(f"{path}: {error.strerror}") from error
    found = [(match[1].decode(), match[0]) for match in BLOCK.finditer(data)]
    if not data.strip():
        raise SettingError(f"{path}: the file is empty")
    if len(found) != data.count(b"-----BEGIN "):
        raise SettingError(f"{path}: not a whole PEM file, it is cut off or damaged")
    if not found:
        raise SettingError(f"{path}: not a PEM file")
    return found


def _parse(path: Path, label: str, load: Callable[[bytes], Any], block: bytes) -> Any:
    try:
        return load(block)
    except TypeError as error:  # there should have been a password
        why = "the key is encrypted; write it without a password: openssl pkey -in OLD -out NEW"
        raise SettingError(f"{path}: {why}") from error
    except Exception as error:  # ValueError, UnsupportedAlgorithm and what else there will be
        raise SettingError(f"{path}: the {label.lower()} in it cannot be read") from error


def _load_key(block: bytes) -> Any:
    return serialization.load_pem_private_key(block, None)


def _public(key: Any) -> bytes:
    """A public key, so that it can be compared."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public: bytes = key.public_bytes(serialization.Encoding.DER, form)
    return public


def _public_of(certificate: x509.Certificate) -> bytes:
    try:
        return _public(certificate.public_key())
    except Exception:  # of a kind that is not known here, as one in a chain may be
        return b""


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether one certificate was issued with another."""
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # InvalidSignature, TypeError, ValueError
        return False
    return True


def _may_issue(certificate: x509.Certificate) -> bool:
    """Whether it is one that others are issued with."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return constraints.value.ca


def _names(certificate: x509.Certificate) -> list[str]:
    """The alternative names of a certificate (RFC 5280 section 4.2.1.6)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [
        f"{kind}:{name}"
        for general, kind in KINDS
        for name in extension.value.get_values_for_type(general)
    ]
