"""Asks endpoints how they are, beside the control loop: a GET, or whether they accept a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from control.deployments.asking import Asker
from control.deployments.health import Probes

_TIMEOUT_SECONDS: Final = 3.0
_ENDPOINTS_MAX: Final = 2000
_AT_ONCE: Final = 32


class Prober(Asker[Probes]):
    """The last probes of every endpoint that somebody asks about. Asking never waits."""

    def __init__(self) -> None:
        super().__init__(_AT_ONCE)

    def probes(
        self, endpoints: Collection[str], path: str, *, interval_s: float, now: float
    ) -> Mapping[str, Probes]:
        """What is known of *endpoints*, and begin those probes that are due at *now* (steady seconds).

        Args:
            path: what is asked for by GET; empty = a connection is enough.
        """
        found: dict[str, Probes] = {}
        for url in endpoints:
            key = (url, path)
            found[url] = self._answers.get(key, Probes())
            if now >= self._due.get(key, 0.0) and (key in self._due or len(self._due) < _ENDPOINTS_MAX):
                self._due[key] = now + interval_s
                self._begin(self._probe(key))
        return found

    async def _probe(self, key: tuple[str, str]) -> None:
        async with self._at_once:
            good, text = await self._ask(*key)
        if key in self._due:
            self._answers[key] = self._answers.get(key, Probes()).after(good=good, text=text)

    async def _ask(self, url: str, path: str) -> tuple[bool, str]:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return await (self._get(url + path) if path else _connect(url))
        except TimeoutError:
            return False, f"no answer within {_TIMEOUT_SECONDS:g} s"
        except (aiohttp.ClientError, OSError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            return False, str(reason).lower()

    async def _get(self, url: str) -> tuple[bool, str]:
        async with self._open_session().get(url, allow_redirects=False) as answer:
            return answer.status < 400, f"answered {answer.status}"


async def _connect(url: str) -> tuple[bool, str]:
    parts = urlsplit(url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True, "accepts connections"
