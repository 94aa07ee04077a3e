"""Signatures of outgoing requests, as the Standard Webhooks specification has them.

A request carries `webhook-id`, `webhook-timestamp` (Unix seconds) and `webhook-signature`, which is ``v1,``
and the base64 of HMAC-SHA256 over ``id.timestamp.body``. The identifier stays the same when a request is
repeated, so a receiver can tell a repetition; the timestamp does not, so it can refuse what is old.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path
from typing import Final

_PREFIX: Final = "whsec_"
_SECRET_BYTES_MAX: Final = 4096


class SecretError(Exception):
    """A key or a URL that is named but not there; the text never holds it."""


def signed_headers(key: bytes | None, *, identifier: str, at: float, body: bytes) -> dict[str, str]:
    """The headers of a request with *body*, sent at *at* (Unix seconds); without a key it is not signed."""
    stamp = str(int(at))
    headers = {"webhook-id": identifier, "webhook-timestamp": stamp}
    if key is not None:
        text = b".".join((identifier.encode(), stamp.encode(), body))
        digest = hmac.new(key, text, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def key_of(secret_env: str | None, secret_file: str | None) -> bytes | None:
    """The key of a receiver; None when it has none.

    Raises:
        SecretError: the variable or the file is not there, or empty.
    """
    if secret_env is not None:
        text = _variable(secret_env)
    elif secret_file is not None:
        try:
            with Path(secret_file).open(encoding="utf-8") as file:
                text = file.read(_SECRET_BYTES_MAX).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SecretError(f"{secret_file} cannot be read") from error
        if not text:
            raise SecretError(f"{secret_file} is empty")
    else:
        return None
    if not text.startswith(_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise SecretError("a key that begins with whsec_ is not base64") from error


def url_of(url: str | None, url_env: str | None) -> str:
    """Where a receiver is.

    Raises:
        SecretError: the variable is not set, or holds no URL.
    """
    if url is not None:
        return url
    found = _variable(url_env or "")
    if not found.startswith(("http://", "https://")):
        raise SecretError(f"the variable {url_env} holds no http or https URL")
    return found


def _variable(name: str) -> str:
    text = os.environ.get(name, "").strip()
    if not text:
        raise SecretError(f"the variable {name} is not set where the control process runs")
    return text
