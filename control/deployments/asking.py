"""What askers of endpoints have in common: a bounded number at once, one session, and an end to it all."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Generic, TypeVar

import aiohttp

T = TypeVar("T")


class Asker(Generic[T]):
    """Keeps what each endpoint last answered, by its URL and path, and when it is due again."""

    def __init__(self, at_once: int) -> None:
        self._answers: dict[tuple[str, str], T] = {}
        self._due: dict[tuple[str, str], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    def forget(self, endpoints: Collection[str]) -> None:
        """Drop what is known of *endpoints*: another deployment begins with them."""
        for key in [key for key in self._due if key[0] in endpoints]:
            self._due.pop(key, None)
            self._answers.pop(key, None)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _begin(self, asking: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(asking)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        return self._session
