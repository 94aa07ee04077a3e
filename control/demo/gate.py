"""The Headgate of the demonstration: its configuration file, its process, and what its admin address says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from control.cli.output import plain
from control.cli.rollouts import rollout_blocks
from control.demo.processes import Child, StartError, free_ports, start, write_whole
from control.demo.scenario import ROUTE, Scene, configuration

_READY_S = 90.0
_LOOK_S = 0.2


class Gate:
    """A real `headgate run` on free ports, with its state beside its configuration file."""

    def __init__(self, folder: Path, urls: Mapping[str, str]) -> None:
        self.config = folder / "headgate.yaml"
        self._ports = free_ports(2)
        self._urls = urls
        self._child: Child | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """Where requests are accepted."""
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def admin(self) -> str:
        """Where the status page is."""
        return f"http://127.0.0.1:{self._ports[1]}"

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""
        return self._child is not None and self._child.running

    def last_words(self) -> str:
        """The end of its log."""
        return "" if self._child is None else self._child.last_words()

    def write(self, scene: Scene) -> None:
        """Write the configuration file; a running Headgate notices by itself."""
        listen, admin = self._ports
        write_whole(self.config, configuration(scene, listen=listen, admin=admin, urls=self._urls))

    async def reload(self) -> str:
        """Have the file read now; what is wrong with it, or nothing when it is in force."""
        status, answer = await self.post("/-/reload")
        return "" if status < 400 else str(answer["error"]["message"])

    async def start(self, stack: AsyncExitStack) -> None:
        """Start it and wait until it takes requests; it ends with `stack`.

        Raises:
            StartError: It ended, or was not ready in time.
        """
        self._child = await start(stack, "headgate", "control.cli", "run", str(self.config))
        self._session = await stack.enter_async_context(aiohttp.ClientSession())
        try:
            async with asyncio.timeout(_READY_S):
                while await self._get("/readyz") is None:
                    if not self.running:
                        raise StartError(f"headgate ended\n{self.last_words()}")
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            message = f"headgate was not ready after {_READY_S:g} s\n{self.last_words()}"
            raise StartError(message) from None

    async def decisions(self) -> list[dict[str, Any]]:
        """The newest decisions, oldest first; none while control is away."""
        answer = await self._get("/v1/decisions")
        if answer is None:
            return []
        return sorted(answer["decisions"], key=lambda decision: str(decision["id"]))

    async def shadow(self, route: str, name: str) -> dict[str, Any] | None:
        """What one shadow has shown; None while there is nothing of it."""
        found: dict[str, Any] | None = await self._get(f"/v1/shadows/{route}/{name}")
        return found

    async def quarantine(self) -> list[dict[str, Any]]:
        """The releases that are condemned."""
        answer = await self._get("/v1/status")
        return [] if answer is None else list(answer["quarantine"])

    async def post(self, path: str) -> tuple[int, Any]:
        """Status and JSON of the answer to an order."""
        assert self._session is not None
        async with self._session.post(self.admin + path) as answer:
            return answer.status, await answer.json(content_type=None)

    async def standing(self) -> str:
        """Where the rollout stands and what it waits for; for an error message."""
        rollout = await self._get(f"/v1/rollouts/{ROUTE}")
        return "no rollout has begun" if rollout is None else plain(rollout_blocks(rollout, details=False))

    async def _get(self, path: str) -> Any:
        """The JSON of a path, None when there is no good answer."""
        assert self._session is not None
        try:
            async with self._session.get(self.admin + path) as answer:
                return await answer.json(content_type=None) if answer.status == 200 else None
        except (aiohttp.ClientError, ValueError):
            return None
