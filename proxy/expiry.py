"""Reads from a certificate until when it is valid, with what Python has: a few fields of DER (X.690)."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Final

BEGIN: Final = "-----BEGIN CERTIFICATE-----"
END: Final = "-----END CERTIFICATE-----"
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17


def expires_at(pem: str) -> float | None:
    """When the first certificate in a PEM text ends (`notAfter`), in Unix seconds; None if unreadable."""
    start = pem.find(BEGIN)
    stop = pem.find(END, start)
    if start < 0 or stop < 0:
        return None
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(pem[start : stop + len(END)] + "\n"))
    except (ValueError, IndexError):
        return None


def _not_after(der: bytes) -> float:
    """RFC 5280, section 4.1: Certificate, TBSCertificate, and the second time of its fifth field."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, end = _element(der, at)
    if tag == _VERSION:
        at = end
    # Serial number, signature algorithm, issuer.
    for _ in range(3):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)
    _, _, at = _element(der, at)
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        # Two digits: 50 and more are of the twentieth century (RFC 5280, section 4.1.2.5.1).
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """The tag of an element, and where its content begins and ends."""
    tag, length = der[at], der[at + 1]
    at += 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[at : at + size], "big")
        at += size
    if at + length > len(der):
        raise ValueError("cut short")
    return tag, at, at + length
