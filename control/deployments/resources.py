"""What endpoints say of their own processor time and memory, in the Prometheus text that they serve."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

import aiohttp

from control.deployments.asking import Asker

_TIMEOUT_SECONDS: Final = 3.0
_BYTES_MAX: Final = 1 << 20
_ENDPOINTS_MAX: Final = 2000
_AT_ONCE: Final = 16
# The names that client libraries of Prometheus give them in every language.
_CPU: Final = "process_cpu_seconds_total"
_MEMORY: Final = "process_resident_memory_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Processor cores in use and resident bytes, summed over the endpoints that told. None is "no data"."""

    endpoints: int = 0
    cpu_cores: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scrape:
    """What one endpoint said, and when (steady seconds)."""

    at: float
    cpu_seconds: float | None
    memory_bytes: float | None
    cores: float | None = None
    """Processor seconds a second since the scrape before."""

    def after(self, before: _Scrape | None) -> _Scrape:
        if before is None or before.cpu_seconds is None or self.cpu_seconds is None:
            return self
        spent, passed = self.cpu_seconds - before.cpu_seconds, self.at - before.at
        # A process that was started again has counted less than before.
        return replace(self, cores=spent / passed) if spent >= 0 and passed > 0 else self


class Scraper(Asker[_Scrape]):
    """The last figures of every endpoint that somebody asks about. Asking never waits."""

    def __init__(self) -> None:
        super().__init__(_AT_ONCE)

    def resources(
        self, endpoints: Collection[str], path: str, *, interval_s: float, now: float
    ) -> Resources | None:
        """What *endpoints* have told lately; begins the scrapes that are due at *now* (steady seconds).

        Args:
            path: where their metrics are; empty = they are not asked, and the answer is None.
        """
        if not path:
            return None
        known = []
        for url in endpoints:
            key = (url, path)
            if now >= self._due.get(key, 0.0) and (key in self._due or len(self._due) < _ENDPOINTS_MAX):
                self._due[key] = now + interval_s
                self._begin(self._scrape(key, now))
            # What is older says nothing about now.
            if (last := self._answers.get(key)) is not None and now - last.at <= 3 * interval_s + 2:
                known.append(last)
        cores = [one.cores for one in known if one.cores is not None]
        memory = [one.memory_bytes for one in known if one.memory_bytes is not None]
        return Resources(
            endpoints=len(known),
            cpu_cores=sum(cores) if cores else None,
            memory_bytes=round(sum(memory)) if memory else None,
        )

    async def _scrape(self, key: tuple[str, str], now: float) -> None:
        text = ""
        async with self._at_once:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    text = await self._get(key[0] + key[1])
        cpu, memory = figure_of(text, _CPU), figure_of(text, _MEMORY)
        if key in self._due and (cpu is not None or memory is not None):
            scrape = _Scrape(at=now, cpu_seconds=cpu, memory_bytes=memory)
            self._answers[key] = scrape.after(self._answers.get(key))

    async def _get(self, url: str) -> str:
        async with self._open_session().get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                return ""
            body = bytearray()
            async for part in answer.content.iter_chunked(65536):
                body += part
                if len(body) > _BYTES_MAX:
                    return ""
            return body.decode("utf-8", "replace")


def figure_of(text: str, name: str) -> float | None:
    """The sum of a family's samples in Prometheus text; None when it has none, or one that is no number."""
    found: list[float] = []
    for line in text.splitlines():
        if not line.startswith(name) or line[len(name) : len(name) + 1] not in ("{", " "):
            continue
        # Labels may hold spaces; what follows them is the value, and perhaps a time.
        rest = line[len(name) :] if line[len(name)] == " " else line.rpartition("}")[2]
        try:
            value = float(rest.split()[0])
        except (ValueError, IndexError):
            return None
        if not math.isfinite(value) or value < 0:
            return None
        found.append(value)
    return sum(found) if found else None
