"""When a certificate ends."""

from __future__ import annotations

import datetime

import pytest
import trustme

from proxy.expiry import expires_at

SOON = datetime.datetime(2031, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
# Behind 2049 a time is written with four digits.
LATE = datetime.datetime(2061, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)


@pytest.mark.parametrize("end", [SOON, LATE])
def test_end_of_a_certificate(end: datetime.datetime) -> None:
    """Of the first in a chain, whatever stands before it."""
    ca = trustme.CA()
    leaf = ca.issue_cert("gate.test", not_after=end)
    pem = b"".join(blob.bytes() for blob in leaf.cert_chain_pems).decode()

    assert expires_at("# ours\n" + pem + ca.cert_pem.bytes().decode()) == end.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_has_no_end(text: str) -> None:
    assert expires_at(text) is None
