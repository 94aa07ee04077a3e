"""No event is only declared: Headgate itself writes each when what it tells of really happens."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from config.schema import Config
from control.audit import retention
from control.audit.events import DECIDED, AuditEvent
from control.audit.kinds.reviews import ReleaseRefused
from control.audit.kinds.shadows import ShadowDiffered, ShadowGateDecided
from control.audit.kinds.traffic import TrafficDiverted, TrafficRestored
from control.audit.load import load_all
from control.deployments.service import Act as Deploy
from control.experiments.service import Act as Compare
from control.library.audit import AuditLog
from control.rollout.commands import Verb
from control.store.engine import Store
from tests.control import test_follow, test_standing
from tests.control.api import test_shadows
from tests.control.audit.test_events import REQUIRED
from tests.helpers.audit import ALICE, BOB, START, everything, fill, log_in
from tests.helpers.control import FakeClock, configuration, configure, plane_on
from tests.helpers.registry import Hands, draft, shelf_on

load_all()


async def _kinds(store: Store) -> set[str]:
    return {str(record.to_json()["type"]) for record in await everything(store)}


async def _of_registry(folder: Path) -> set[str]:
    async with log_in(folder) as (store, _):
        clock = Hands()
        shelf = shelf_on(store, folder / "artifacts", clock)
        for version in ("1.0.0", "2.0.0", "3.0.0", "4.0.0"):
            await shelf.registry.register(draft(version), ALICE)
            await shelf.registry.promote(f"fraud:{version}", "staging", ALICE)
        for version in ("1.0.0", "2.0.0"):
            asked = await shelf.approvals.request(f"fraud:{version}", "production", ALICE, justification="x")
            await shelf.approvals.comment(asked.id, BOB, "why?")
            await shelf.approvals.vote(asked.id, BOB, approves=True)
            await shelf.registry.promote(f"fraud:{version}", "production", ALICE)
        await shelf.registry.rollback("fraud", ALICE, reason="worse")
        refused = await shelf.approvals.request("fraud:3.0.0", "production", ALICE, justification="x")
        await shelf.approvals.vote(refused.id, BOB, approves=False, reason="no")
        await shelf.approvals.request("fraud:3.0.0", "production", ALICE, justification="x")
        clock.now += 365 * 86_400
        await shelf.approvals.settle(ALICE)
        await shelf.registry.promote("fraud:3.0.0", "production", ALICE, break_glass=True, reason="down")
        [task] = await shelf.tasks.all()
        await shelf.tasks.review(task["id"], BOB, accept=True, reason="right")
        await shelf.registry.archive("fraud:4.0.0", ALICE)
        return await _kinds(store)


async def _of_log(folder: Path) -> set[str]:
    async with log_in(folder) as (store, witness):
        await fill(store, 300)
        await witness.sign(START)
        await witness.change_key("leaked", ALICE)
        await retention.erase(store, actor="alice", names=False, reason="asked for", origin=BOB)
        await retention.trim(store, before=4e9, archive="s3://x", reason="old", origin=BOB)
    shutil.copytree(folder, folder / "older")
    with AuditLog(folder, actor="carol") as log:
        log.export(folder / "all.jsonl")
        log.report(START, START + 1)
    async with log_in(folder) as (store, witness):
        await fill(store, 10)
        await witness.sign(START + 1)
        found = await _kinds(store)
    for name in ("headgate.db", "headgate.db-wal", "headgate.db-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.copy(folder / "older" / "headgate.db", folder / "headgate.db")
    async with log_in(folder) as (store, _):
        return found | await _kinds(store)


def _with(config: Config, **parts: Any) -> Config:
    return Config.from_json(config.to_json() | parts)


async def _of_rollouts(folder: Path) -> set[str]:
    clock = FakeClock()
    plain = configuration(rollout={"preset": "aggressive"})
    token = {"name": "ann", "role": "viewer", "sha256": "a" * 64}
    async with plane_on(folder / "headgate.db", clock) as plane:
        await configure(plane, _with(plain, admin={"tokens": [token]}, freezes=[{"name": "always"}]))
        await plane.loop.tick()
        await plane.controller.command("fraud", Verb.PROMOTE, "now", ALICE, override_freeze=True)
        await configure(plane, plain)
        await plane.loop.tick()
        for verb in (Verb.RESTART, Verb.PAUSE, Verb.RESUME, Verb.ABORT, Verb.RESTART):
            await plane.controller.command("fraud", verb, "try", ALICE)
            await plane.loop.tick()
        await configure(plane, configuration(rollout={"preset": "aggressive"}, steps=["20%", "100%"]))
        await configure(plane, configuration(canary="v3", rollout={"preset": "aggressive"}))
        await plane.loop.tick()
        await plane.controller.command("fraud", Verb.ROLLBACK, "bad", ALICE)
        await configure(plane, plain)
        await configure(plane, configuration(canary="v3", rollout={"preset": "aggressive"}))
        await plane.controller.command("fraud", Verb.RESTART, "fixed", ALICE)
        await plane.controller.skip_to(10_000)
        return await _kinds(plane.ledger.store)


async def _of_undertakings(folder: Path) -> set[str]:
    async with plane_on(folder / "headgate.db", FakeClock()) as plane:
        await configure(plane, configuration())
        compared = {"name": "ranker", "route": "rest", "variants": {"v1": 50, "v3": 50}}
        experiments, deployments = plane.loop.experiments, plane.loop.deployments
        for end in (Compare.COMPLETE, Compare.CANCEL):
            made = await experiments.create(compared | {"key": "header:x"}, ALICE)
            for act in (Compare.START, Compare.PAUSE, Compare.START, end):
                await experiments.act(made.id, act, "because", ALICE)
        body = {"route": "rest", "strategy": "canary", "upstream": "v3"}
        deployed = await deployments.create(body, ALICE)
        await plane.loop.tick()
        await deployments.act(deployed.id, Deploy.ROLLBACK, "bad", ALICE)
        config = configuration().to_json()
        shadow = {"upstream": "v3", "share": 0.2}
        routes = [config["routes"][0], config["routes"][1] | {"shadows": [shadow]}]
        await configure(plane, Config.from_json(config | {"routes": routes}))
        await configure(plane, configuration())
        return await _kinds(plane.ledger.store)


SCENARIOS: list[Callable[[Path], Awaitable[set[str]]]] = [
    _of_registry,
    _of_log,
    _of_rollouts,
    _of_undertakings,
]
# What takes traffic to happen is seen by these.
ELSEWHERE: dict[type[AuditEvent], Callable[[Path], Awaitable[None]]] = {
    TrafficDiverted: test_standing.test_a_diversion_is_told_once_and_its_end_too,
    TrafficRestored: test_standing.test_a_diversion_is_told_once_and_its_end_too,
    ReleaseRefused: test_follow.test_a_protected_route_keeps_its_release_when_an_alias_moves_past_it,
    ShadowGateDecided: test_shadows.test_a_shadow_that_disagrees_never_becomes_a_canary,
    ShadowDiffered: test_shadows.test_a_shadow_that_disagrees_never_becomes_a_canary,
}


async def test_no_kind_of_event_is_only_declared(tmp_path: Path) -> None:
    """What the scenarios do not see is seen by another test, or is a decision that takes evidence."""
    seen: set[str] = set()
    for scenario in SCENARIOS:
        (tmp_path / scenario.__name__).mkdir()
        found = await scenario(tmp_path / scenario.__name__)
        assert found - seen, f"{scenario.__name__} shows nothing of its own"
        seen |= found
    elsewhere = {kind.name for kind in ELSEWHERE}
    assert not {*REQUIRED} - seen - elsewhere
    declared = {name for name, kind in AuditEvent.kinds.items() if kind.__module__.startswith("control.")}
    missing = declared - seen - elsewhere
    assert missing <= {kind.name for kind in DECIDED.values()}
    assert not {name.removeprefix("rollout_").upper() for name in missing} - _decision_kinds()


def _decision_kinds() -> set[str]:
    """Every `DecisionKind` that the rules of rollouts name; what they decide is written by one function."""
    found = set()
    for path in (Path(__file__).parents[3] / "control").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found |= {node.attr} if node.value.id == "DecisionKind" else set()
    return found
