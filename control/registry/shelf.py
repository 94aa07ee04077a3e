"""Everything the registry is made of, on one store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from control.audit.events import Origin
from control.registry.approvals import Approvals
from control.registry.artifacts import Artifacts, Progress
from control.registry.naming import Aliases
from control.registry.registry import Registry
from control.registry.release import Draft, Release
from control.registry.tasks import Tasks
from control.registry.turn import Desk
from control.store.engine import Store

# What control itself reads through when a release is registered; a larger one is checked by its size, and
# verified whenever it is read.
_VERIFIED_BYTES_MAX = 256 * 1024 * 1024


class Shelf:
    """Releases, approvals, aliases and artifacts. *base* is where a relative `registry.artifacts` begins.

    *place* overrides what the configuration in force says about artifacts.
    """

    def __init__(
        self,
        store: Store,
        *,
        base: Path | None = None,
        place: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.desk = Desk(store, now=now)
        self.registry = Registry(self.desk)
        self.approvals = Approvals(self.desk)
        self.aliases = Aliases(self.desk)
        self.tasks = Tasks(self.desk)
        self.base = base
        self._place = place
        self._artifacts: tuple[str, Artifacts] | None = None

    async def artifacts(self) -> Artifacts:
        """Where artifacts are kept, as the configuration in force says.

        Raises:
            InvalidError: it cannot be used.
        """
        place = self._place
        if place is None:
            async with self.store.read() as connection:
                place = (await self.desk.rules(connection)).policy.rules.artifacts
        if self._artifacts is None or self._artifacts[0] != place:
            made = await asyncio.to_thread(Artifacts.at, place, base=self.base)
            self._artifacts = (place, made)
        return self._artifacts[1]

    async def register(self, draft: Draft, origin: Origin, *, verified: bool = False) -> Release:
        """Register a release whose artifact is stored; *verified* when the caller has just read all of it.

        Raises:
            ArtifactError: the artifact is missing, or not what its digest says.
            HeadgateError: as `Registry.register`.
        """
        artifacts = await self.artifacts()
        await asyncio.to_thread(artifacts.check, draft.artifact)
        if not verified and draft.artifact.size <= _VERIFIED_BYTES_MAX:
            await asyncio.to_thread(artifacts.verify, draft.artifact)
        return await self.registry.register(draft, origin)

    async def verify(self, reference: str, *, progress: Progress | None = None) -> Release:
        """Read the artifact of a release through and compare it with its digest.

        Raises:
            ArtifactError: it is missing, or not what was registered.
        """
        release = (await self.registry.get(reference)).release
        artifacts = await self.artifacts()
        await asyncio.to_thread(artifacts.verify, release.artifact, progress=progress or (lambda _: None))
        return release
