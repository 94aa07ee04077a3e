"""Posts one signed body and reads a bounded answer; every way this can fail is one exception."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import aiohttp

from config.webhooks import Receiver
from control.webhooks.signing import SecretError, key_of, signed_headers, url_of
from proxy.release import version

# What a gate answers is a word and a reason.
_ANSWER_BYTES_MAX: Final = 64 * 1024


class DeliveryError(Exception):
    """No usable answer; the text says why and never holds a URL or a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came back with a status below 300."""

    status: int
    body: bytes


class Sender:
    """One connection pool for all receivers. `close` it at the end."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, receiver: Receiver, *, identifier: str, content_type: str, body: bytes) -> Answered:
        """Post *body* once.

        Raises:
            DeliveryError: no answer in time, or none that means success.
        """
        try:
            key = key_of(receiver.secret_env, receiver.secret_file)
            url = url_of(receiver.url, receiver.url_env)
        except SecretError as error:
            raise DeliveryError(str(error)) from error
        headers = {
            "content-type": content_type,
            "user-agent": f"headgate/{version()}",
            **signed_headers(key, identifier=identifier, at=time.time(), body=body),
        }
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False, trust_env=False)
        timeout = aiohttp.ClientTimeout(total=receiver.timeout)
        try:
            # A redirect would carry the signed body to somewhere that nobody has named.
            async with self._session.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status >= 300:
                    raise DeliveryError(f"answered {response.status}")
                return Answered(status=response.status, body=await _whole(response))
        except TimeoutError as error:
            raise DeliveryError(f"no answer within {receiver.timeout:g} s") from error
        except aiohttp.ClientError as error:
            # Their texts may hold the URL, which may be a secret.
            raise DeliveryError(f"cannot be reached ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body, in however many pieces it comes; DeliveryError when it is too long."""
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _ANSWER_BYTES_MAX:
            raise DeliveryError(f"the answer is longer than {_ANSWER_BYTES_MAX // 1024} KiB")
    return body
