"""Signatures against the specification's own example, and keys that are not there."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from control.webhooks.signing import SecretError, key_of, signed_headers, url_of


def test_the_example_of_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key, message and signature that Standard Webhooks libraries are tested with."""
    monkeypatch.setenv("GATE_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    headers = signed_headers(
        key_of("GATE_SECRET", None),
        identifier="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=1614265330.9,
        body=b'{"test": 2432232314}',
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_plain_key_from_a_file_is_used_as_it_is(tmp_path: Path) -> None:
    """Without the line end that editors add."""
    path = tmp_path / "secret"
    path.write_text("correct horse\n")

    headers = signed_headers(key_of(None, str(path)), identifier="a", at=5.0, body=b"x")

    wanted = base64.b64encode(hmac.new(b"correct horse", b"a.5.x", hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"


def test_without_a_key_nothing_is_signed() -> None:
    """The identifier is still there, so that a repetition is known."""
    assert set(signed_headers(key_of(None, None), identifier="a", at=0.0, body=b"")) == {
        "webhook-id",
        "webhook-timestamp",
    }


def test_what_is_missing_is_named_and_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The name of the variable or file, not what is in it."""
    monkeypatch.delenv("ABSENT", raising=False)
    monkeypatch.setenv("WRONG", "whsec_*secret*")
    monkeypatch.setenv("NO_URL", "hush://secret")
    (tmp_path / "empty").write_text("\n")
    for call in (
        lambda: key_of("ABSENT", None),
        lambda: key_of("WRONG", None),
        lambda: key_of(None, str(tmp_path / "absent")),
        lambda: key_of(None, str(tmp_path / "empty")),
        lambda: url_of(None, "NO_URL"),
    ):
        with pytest.raises(SecretError) as caught:
            call()
        assert "secret" not in str(caught.value)
