"""A control plane's API on a port of its own thread, for clients that know no asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from control.api.server import build_application
from control.plane import Plane
from control.registry.release import Artifact, Draft
from control.rollout.commands import Verb
from tests.helpers.control import ALICE, FakeClock, configuration, configure, plane_on

_PATIENCE = 60.0


@dataclass(slots=True, kw_only=True)
class LiveApi:
    """Where it answers, and values of path parameters that lead to something."""

    url: str = ""
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@contextmanager
def live_api(folder: Path) -> Iterator[LiveApi]:
    """Serve a plane that has a rollout with a decision, releases, an alias and an open request."""
    api = LiveApi()
    ready, over = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(_serve(folder, api, ready, over))
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="live-api", daemon=True)
    thread.start()
    try:
        assert ready.wait(_PATIENCE)
        if failures:
            raise failures[0]
        yield api
    finally:
        over.set()
        thread.join(_PATIENCE)
    assert not thread.is_alive()
    assert failures == []


async def _serve(folder: Path, api: LiveApi, ready: threading.Event, over: threading.Event) -> None:
    async with plane_on(folder / "headgate.db", FakeClock()) as plane:
        api.known = await _furnish(plane, folder)
        runner = web.AppRunner(build_application(plane), access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            api.url = f"http://{host}:{port}"
            ready.set()
            await asyncio.to_thread(over.wait)
        finally:
            plane.ledger.publisher.close()
            await runner.cleanup()


async def _furnish(plane: Plane, folder: Path) -> Mapping[str, tuple[str, ...]]:
    await configure(plane, configuration())
    await plane.loop.tick()
    await plane.controller.command("fraud", Verb.PAUSE, "look first", ALICE)
    shelf = plane.controller.shelf
    shelf.base = folder
    (folder / "model.bin").write_bytes(b"model")
    made: Artifact = (await shelf.artifacts()).put(folder / "model.bin")
    for version in ("1.0.0", "2.0.0"):
        await shelf.register(Draft(name="fraud", version=version, artifact=made), ALICE)
    await shelf.aliases.move("fraud", "champion", "1.0.0", ALICE)
    asked = await shelf.approvals.request("fraud:2.0.0", "production", ALICE, justification="better")
    return {
        "id": (asked.id, "fraud"),
        "route": ("fraud", "rest"),
        "name": ("fraud", "v1"),
        "version": ("1.0.0", "2.0.0", "@champion"),
        "alias": ("champion", "prod"),
        "digest": (made.digest,),
    }
