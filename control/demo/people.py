"""Who acts in the demonstration: people in notebooks, on the store that Headgate runs on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

from control.demo.releases import RELEASES
from control.demo.server import MODEL
from control.library.registry import ModelRegistry
from control.registry.approval import Approval

T = TypeVar("T")


class People:
    """Each of them has a `ModelRegistry`; calls block, so they are made in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sessions: dict[str, ModelRegistry] = {}
        self._closing = ExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._closing.close)

    async def do(self, who: str, what: Callable[[ModelRegistry], T]) -> T:
        """Let somebody do something.

        Raises:
            HeadgateError: it cannot be done.
        """
        return await asyncio.to_thread(lambda: what(self._session(who)))

    async def register(self, who: str, version: str, *, parent: str = "") -> dict[str, float]:
        """Write a trained model into a file and register that; returns its figures."""
        release = RELEASES[version]

        def work(registry: ModelRegistry) -> dict[str, float]:
            model = release.model()
            path = self._folder / "models" / f"{MODEL}-{version}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(asdict(model), indent=1))
            figures = release.figures(model)
            registry.register(
                MODEL,
                version,
                path,
                metrics=figures,
                framework="plain Python",
                config={"features": release.features.__name__.lstrip("_"), "rounds": release.rounds},
                parents=[f"{MODEL}:{parent}"] if parent else [],
                dataset="transactions without refunds",
            )
            registry.promote(f"{MODEL}:{version}", "staging", reason="tests passed")
            return figures

        return await self.do(who, work)

    async def request(
        self, who: str, version: str, *, justification: str, config: Path | None = None
    ) -> Approval:
        """Ask for a release to be let into production."""
        return await self.do(
            who,
            lambda registry: registry.request_approval(
                f"{MODEL}:{version}", justification=justification, config=config
            ),
        )

    async def approve(self, who: str, request: str, reason: str) -> Approval:
        """Agree."""
        return await self.do(who, lambda registry: registry.approve(request, reason=reason))

    async def to_production(self, who: str, version: str, reason: str) -> dict[str, str]:
        """Move a release to production; returns what the model's aliases stand for then."""

        def work(registry: ModelRegistry) -> dict[str, str]:
            registry.promote(f"{MODEL}:{version}", "production", reason=reason)
            return registry.aliases(MODEL)

        return await self.do(who, work)

    async def compare(self, old: str, new: str) -> dict[str, Any]:
        """Two releases side by side."""
        return await self.do("alice", lambda registry: registry.compare(f"{MODEL}:{old}", f"{MODEL}:{new}"))

    def _session(self, who: str) -> ModelRegistry:
        if who not in self._sessions:
            registry = ModelRegistry(self._folder / ".headgate", actor=who)
            self._sessions[who] = self._closing.enter_context(registry)
        return self._sessions[who]
