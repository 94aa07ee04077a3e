"""A control plane without a process, with a clock the test moves, and proxies that only count."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from config.schema import Config
from control.audit.canonical import digest
from control.audit.events import Origin
from control.collect import Collector
from control.controller import Controller
from control.ledger import Ledger
from control.loop import Loop
from control.plane import Plane
from control.publish import Publisher
from control.reports import parse_report
from control.store.engine import open_store, sqlite_url
from tests.helpers.counts import arm, report

_template: list[bytes] = []

AGENT = Origin(actor="local")
ALICE = Origin(actor="alice", address="192.0.2.7", user_agent="test")


class FakeClock:
    """Both times, moved by hand; the wall may be set apart."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.now = start
        self.step = 0.0

    def wall(self) -> float:
        return self.now + self.step

    def steady(self) -> float:
        return self.now


def configuration(
    *,
    steps: list[Any] | None = None,
    rollout: Mapping[str, Any] | None = None,
    ramped: bool = True,
    stable: str = "v1",
    canary: str = "v2",
    release: str = "fraud:v2",
    port: int = 9002,
    control: bool = True,
) -> Config:
    """One route `fraud` from *stable* to *canary*, and one `rest` that goes to v1."""
    section = {"steps": steps or ["10%", "50%", "100%"], "duration": "5s", **(rollout or {})}
    return Config.from_json(
        {
            "listeners": [{"bind": "127.0.0.1:0"}],
            "upstreams": {
                "v1": {"endpoints": ["http://127.0.0.1:9001"], "release": "fraud:v1"},
                "v2": {"endpoints": [f"http://127.0.0.1:{port}"], "release": release},
                "v3": {"endpoints": ["http://127.0.0.1:9003"], "release": "fraud:v3"},
            },
            "routes": [
                {
                    "name": "fraud",
                    "match": {"path_prefix": "/v2"},
                    "split": {
                        "kind": "canary",
                        "key": ["header:x-user-id"],
                        "stable": stable,
                        "canary": canary,
                        "weight": "7%",
                        "control": control,
                    },
                    "override": {"allow": [stable, canary]},
                    **({"rollout": section} if ramped else {}),
                },
                {"name": "rest", "upstream": "v1"},
            ],
        }
    )


def config_body(config: Config, *, source: str = "headgate.yaml", revision: int = 0) -> dict[str, Any]:
    """What an agent sends."""
    value = config.to_json()
    return {"digest": digest(value), "source": source, "config": value, "revision": revision}


async def migrated_file(path: Path) -> None:
    """Put an empty database with the current schema at *path*, unless there is one: migrating takes long."""
    if _copied(path):
        return
    await (await open_store(sqlite_url(path))).close()
    _template.append(_read(path))


def _copied(path: Path) -> bool:
    if not path.exists() and _template:
        path.write_bytes(_template[0])
    return path.exists()


def _read(path: Path) -> bytes:
    return path.read_bytes()


@asynccontextmanager
async def plane_on(path: Path, clock: FakeClock) -> AsyncIterator[Plane]:
    """A control plane on the database *path*; leaving it is a kill: nothing is saved on the way out."""
    await migrated_file(path)
    store = await open_store(sqlite_url(path))
    try:
        controller = Controller(Ledger(store, Collector(), Publisher()), clock)
        await controller.start()
        loop = Loop(controller)
        try:
            yield Plane(controller=controller, loop=loop, started_at=clock.wall(), version="test")
        finally:
            await loop.close()
    finally:
        await store.close()


async def configure(plane: Plane, config: Config, origin: Origin = AGENT) -> int:
    """Bring *config* into force."""
    body = config_body(config)
    return await plane.controller.configure(
        body["config"], digest=body["digest"], source=body["source"], origin=origin
    )


class Proxies:
    """Splits requests by the published weights and counts how they ended, as one boot would."""

    def __init__(self, seed: int = 1, *, failing: Mapping[str, float] | None = None) -> None:
        self.failing = dict(failing or {})
        self.milliseconds: dict[str, float] = {}
        self.sequence = 0
        self._random = random.Random(seed)
        self._counts: dict[tuple[str, str, str, str], list[int]] = {}

    def serve(self, table: Mapping[str, Any], requests: int, route: str = "fraud") -> None:
        """Answer so many requests of *route* as *table* says."""
        entry = next(entry for entry in table["routes"] if entry["name"] == route)
        arms = [table["arms"][number] for number in entry["split"]["arms"]]
        for chosen in self._random.choices(arms, entry["split"]["weights"], k=requests):
            key = (route, chosen["variant"], chosen["role"], chosen["stage"])
            failed = self._random.random() < self.failing.get(chosen["variant"], 0.0)
            self._counts.setdefault(key, [0, 0])[int(failed)] += 1

    def report(self, *, final: bool = False, revision: int = 1, boot: str = "boot") -> dict[str, Any]:
        """The cumulative report."""
        self.sequence += 1
        arms = [
            arm(
                variant,
                role,
                stage,
                ok=good,
                failed=bad,
                route=route,
                milliseconds=self.milliseconds.get(variant, 20.0),
            )
            for (route, variant, role, stage), (good, bad) in self._counts.items()
        ]
        return report(*arms, sequence=self.sequence, final=final, revision=revision, boot=boot)

    def counted(self, variant: str) -> int:
        """Requests that *variant* has had."""
        return sum(sum(counts) for key, counts in self._counts.items() if key[1] == variant)


async def run(
    plane: Plane, clock: FakeClock, proxies: Proxies, *, seconds: int, requests: int = 200, stop: str = ""
) -> int:
    """Serve, report and tick once a second; ends early once the rollout is in the state *stop*."""
    for passed in range(seconds):
        table = plane.ledger.table
        assert table is not None
        proxies.serve(table, requests)
        await plane.controller.take(parse_report(proxies.report(revision=plane.ledger.revision)))
        clock.now += 1.0
        await plane.loop.tick()
        if stop and plane.ledger.records["fraud"].rollout.state.name.lower() == stop:
            return passed + 1
    return seconds
