"""Why a handshake failed, in words for a person.

OpenSSL says it in its own words, which come from its tables and never from the peer. The ones
that are met in practice are said more plainly here.
"""

from __future__ import annotations

#: Why a client's certificate was not accepted, by OpenSSL's number (`X509_V_ERR_...`).
REFUSED = {
    2: "it was not issued by one who may",
    7: "its signature is wrong",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "it was not issued by one who may",
    20: "it was not issued by one who may",
    21: "it was not issued by one who may",
    22: "there are too many between it and one who may issue",
    24: "it was issued by one who may not issue",
    26: "it is not for clients",
    66: "its key is too weak",
    67: "its issuer's key is too weak",
    68: "its signature is too weak",
}

PLAIN = "plain text was sent to a TLS port"
OLD = "the peer wants an older TLS than 1.2"
SUITES = "no suite in common"
UNTRUSTED = "the peer does not accept our certificate"

#: What is wrong, by what OpenSSL says.
WORDS = {
    "http request": "plain HTTP was sent to a TLS port",
    "https proxy request": "plain HTTP was sent to a TLS port",
    "wrong version number": PLAIN,
    "unknown protocol": PLAIN,
    "packet length too long": PLAIN,
    "record too small": PLAIN,
    "unsupported protocol": OLD,
    "version too low": OLD,
    "inappropriate fallback": OLD,
    "no shared cipher": SUITES,
    "no suitable key share": "no group for the key exchange in common",
    "no shared groups": "no group for the key exchange in common",
    "no shared signature algorithms": "no signature algorithm in common",
    "no suitable signature algorithm": "no signature algorithm in common",
    "peer did not return a certificate": "the client showed no certificate",
    "excessive message size": "the greeting is too long",
    "certificate verify failed": "the client certificate was not accepted",
}

#: What the peer says is wrong, by what OpenSSL calls it.
ALERTS = {
    "unknown ca": UNTRUSTED,
    "bad certificate": UNTRUSTED,
    "certificate unknown": UNTRUSTED,
    "certificate expired": UNTRUSTED,
    "certificate revoked": UNTRUSTED,
    "unsupported certificate": UNTRUSTED,
    "protocol version": "the peer speaks no version of TLS that is spoken here",
    "handshake failure": "the peer found nothing in common",
}


def reasons(error: BaseException | None) -> list[str]:
    """What an error of OpenSSL's says, the innermost first; nothing for any other error."""
    queue = error.args[0] if error is not None and error.args else None
    if not isinstance(queue, list):
        return []
    return [str(each[-1]).lower() for each in queue if isinstance(each, tuple) and each]


def why(error: BaseException | None, refused: str = "") -> str:
    """Why a handshake failed.

    Args:
        error: what ended it.
        refused: why the peer's certificate was not accepted, if it was not.

    Returns:
        Nothing if the error is none of OpenSSL's: then the connection was just closed.
    """
    if refused:
        return f"the client certificate was not accepted: {refused}"
    said = reasons(error)
    for reason in said:
        _, alert, name = reason.rpartition(" alert ")
        if alert:
            return ALERTS.get(name, f"the peer gave up: {name}")
        if reason in WORDS:
            return WORDS[reason]
    return said[-1] if said else ""
