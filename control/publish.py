"""Hands the newest routing table to whoever watches; what lies between two looks may be skipped."""

import asyncio
from dataclasses import dataclass
from typing import Final

WATCHERS_MAX: Final = 4096


class TooManyWatchersError(Exception):
    """There is no room for another watcher."""


class NotNewerError(Exception):
    """A table was published behind a newer one: a bug of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A table as it goes over the wire: `payload` is its JSON."""

    revision: int
    payload: bytes


class Publisher:
    """Holds the newest table. A slow watcher costs nothing: it gets the newest one when it is ready."""

    def __init__(self) -> None:
        self._newest: Published | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self.watchers = 0

    @property
    def newest(self) -> Published | None:
        """The last table published, if there is one."""
        return self._newest

    @property
    def revision(self) -> int:
        """Its revision; 0 before the first."""
        return 0 if self._newest is None else self._newest.revision

    def publish(self, table: Published) -> None:
        """Make *table* the newest. Publishing the same revision again changes nothing.

        Raises:
            NotNewerError: a higher revision was already published.
        """
        if table.revision < self.revision:
            raise NotNewerError(f"revision {table.revision} is behind {self.revision}")
        if table.revision == self.revision:
            return
        self._newest = table
        self._wake()

    def close(self) -> None:
        """End every watch; the process is going."""
        self._closed = True
        self._wake()

    def watch(self) -> "Watch":
        """Start watching.

        Raises:
            TooManyWatchersError: so many watch already that something must be wrong.
        """
        if self.watchers >= WATCHERS_MAX:
            raise TooManyWatchersError(f"{self.watchers} watch already")
        return Watch(self)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _next(self, known: int, within: float) -> Published | None:
        while not self._closed:
            changed = self._changed
            if self._newest is not None and self._newest.revision != known:
                return self._newest
            async with asyncio.timeout(within):
                await changed.wait()
        return None


class Watch:
    """One watcher's view; a context manager, so that it is counted while it lasts."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def __enter__(self) -> "Watch":
        self._publisher.watchers += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._publisher.watchers -= 1

    async def next(self, known: int, *, within: float) -> Published | None:
        """The newest table as soon as its revision is not *known*; None once the publisher closes.

        Raises:
            TimeoutError: nothing new came within *within* seconds.
        """
        return await self._publisher._next(known, within)
