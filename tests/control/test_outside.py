"""What holds a rollout up or follows it besides its evidence: freezes, the bake, the time after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from control.api.views import verdict_of
from control.plane import Plane
from control.rollout.commands import Refused, Verb
from control.rollout.machine import State
from control.store import audit_search, rollouts
from tests.helpers.control import ALICE, FakeClock, Proxies, configuration, configure, plane_on, run

BRISK = {"preset": "aggressive"}


def period(clock: FakeClock, begins: float, lasts: float) -> dict[str, Any]:
    def text(seconds: float) -> str:
        return (datetime.fromtimestamp(clock.now, UTC) + timedelta(seconds=seconds)).isoformat()

    return {"name": "sale", "since": text(begins), "until": text(begins + lasts)}


def state(plane: Plane) -> State:
    return plane.ledger.records["fraud"].rollout.state


async def kinds(plane: Plane) -> list[str]:
    async with plane.ledger.store.read() as connection:
        return [row.kind for row in await rollouts.recent_decisions(connection, limit=100)][::-1]


async def events(plane: Plane, kind: str) -> list[dict[str, Any]]:
    async with plane.ledger.store.read() as connection:
        found = await audit_search.page(
            connection, audit_search.AuditFilter(type=kind), limit=100, after=None, newest_first=False
        )
    return [record.to_json() for record in found]


async def test_a_ramp_that_nothing_judges_is_never_said_to_have_passed(tmp_path: Path) -> None:
    """It goes by time, as was asked for, though the canary fails; each decision says that nothing judged."""
    clock = FakeClock()
    watched = {"guardrails": [{"kind": "error_rate_rise", "mode": "warn"}], "duration": "5s", "burst": "0s"}
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(rollout={**BRISK, **watched}))
        proxies = Proxies(failing={"v2": 0.3})
        await run(plane, clock, proxies, seconds=4)
        assert verdict_of(plane.ledger.records["fraud"]) == "not_judged"
        await run(plane, clock, proxies, seconds=30)

        assert plane.ledger.records["fraud"].weight == 1.0
        async with plane.ledger.store.read() as connection:
            _, *made = (await rollouts.recent_decisions(connection, limit=100))[::-1]
        decisions = [orjson.loads(row.body) for row in made if row.kind == "advanced"]
        assert len(decisions) == 2
        assert {each["analysis"]["verdict"] for each in decisions} == {"no_data"}
        assert all(each["reason"].startswith("nothing is judged") for each in decisions)
        assert "not enforced: error_rate_rise: canary failed" in decisions[-1]["reason"]


async def test_a_freeze_keeps_a_rollout_from_beginning_and_from_advancing(tmp_path: Path) -> None:
    """It is told once, nothing expires meanwhile, and it goes on by itself."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        frozen = {**BRISK, "freezes": [period(clock, -10, 70), period(clock, 70, 120)], "expiry": "60s"}
        await configure(plane, configuration(rollout=frozen))
        proxies = Proxies()
        await run(plane, clock, proxies, seconds=50)
        assert state(plane) is State.PENDING
        await run(plane, clock, proxies, seconds=15)
        assert state(plane) is State.PROGRESSING
        await run(plane, clock, proxies, seconds=110, requests=100)

        assert state(plane) is State.PROGRESSING
        assert await kinds(plane) == ["held", "started", "held"]
        record = plane.ledger.records["fraud"]
        window = plane.loop.outside(record).frozen(record.plan.freezes)
        assert window is not None
        assert window.text.startswith("freeze 'sale' lasts until 2023-11-14")
        await run(plane, clock, proxies, seconds=400, stop="promoted")
        assert state(plane) is State.PROMOTED


async def test_a_freeze_never_keeps_from_going_back(tmp_path: Path) -> None:
    """By evidence, and by command."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(rollout={**BRISK, "freezes": [period(clock, 5, 9000)]}))
        proxies = Proxies(failing={"v2": 0.5})

        await run(plane, clock, proxies, seconds=200, stop="rolled_back")

        assert state(plane) is State.ROLLED_BACK


async def test_a_freeze_is_overridden_with_a_reason_only(tmp_path: Path) -> None:
    """Each way to widen is refused, and who insists is in the audit log in the same transaction."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(rollout={**BRISK, "freezes": [period(clock, 5, 9000)]}))
        await run(plane, clock, Proxies(), seconds=10)
        for verb in (Verb.PROMOTE, Verb.RESTART):
            with pytest.raises(Refused) as refused:
                await plane.controller.command("fraud", verb, "now", ALICE)
            assert refused.value.code == "frozen"
        with pytest.raises(Refused) as refused:
            await plane.controller.command("fraud", Verb.PROMOTE, "", ALICE, override_freeze=True)
        assert refused.value.code == "reason_required"
        await plane.controller.command("fraud", Verb.PAUSE, "", ALICE)

        await plane.controller.command("fraud", Verb.PROMOTE, "outage of v1", ALICE, override_freeze=True)

        assert state(plane) is State.PROMOTED
        (event,) = await events(plane, "freeze_overridden")
        assert (event["actor"], event["details"]["reason"]) == ("alice", "outage of v1")
        assert (event["details"]["freeze"], event["details"]["command"]) == ("sale", "promote")


async def test_a_bake_holds_back_a_small_part_to_compare_with(tmp_path: Path) -> None:
    """It stands for the step at 100 %; a canary that turns bad in it is rolled back, not only held."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        section = {**BRISK, "bake": {"duration": "100s", "holdback": "5%"}}
        await configure(plane, configuration(rollout=section))
        proxies = Proxies()
        plan = plane.ledger.records["fraud"].plan
        assert [step.weight for step in plan.steps] == [0.1, 0.5, 0.95]
        assert [plan.level(step) for step in range(3)] == [1, 0, 0]
        for _ in range(200):
            await run(plane, clock, proxies, seconds=1)
            if plane.ledger.records["fraud"].rollout.step == 2:
                break
        await run(plane, clock, proxies, seconds=60)
        assert state(plane) is State.PROGRESSING
        table = plane.ledger.table
        assert table is not None
        assert table["routes"][0]["split"]["weights"] == pytest.approx([0.95, 0.0, 0.05])
        proxies.failing = {"v2": 0.3}

        await run(plane, clock, proxies, seconds=120, stop="rolled_back")

        assert state(plane) is State.ROLLED_BACK


@pytest.mark.parametrize("action", ["page", "rollback"])
async def test_a_promoted_canary_is_watched(tmp_path: Path, action: str) -> None:
    """It is reported once, or taken back; without anything wrong nothing follows."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        section = {**BRISK, "after_promotion": {"duration": "1h", "action": action}}
        await configure(plane, configuration(rollout=section))
        proxies = Proxies(failing={"v1": 0.01, "v2": 0.01})
        await run(plane, clock, proxies, seconds=400, stop="promoted")
        first = plane.ledger.records["fraud"].rollout.id
        await run(plane, clock, proxies, seconds=120)
        assert (await kinds(plane))[-1] == "promoted"
        proxies.failing = {"v2": 0.2}
        await run(plane, clock, proxies, seconds=60)

        record = plane.ledger.records["fraud"]
        if action == "page":
            assert (await kinds(plane)).count("alarmed") == 1
            assert (record.rollout.state, record.rollout.held) == (State.PROMOTED, "baseline")
            assert (await events(plane, "rollout_alarmed"))[0]["severity"] == "error"
            return
        assert (await kinds(plane))[-1] == "rolled_back"
        assert record.rollout.state is State.ROLLED_BACK
        assert record.rollout.id != first
        assert len(plane.ledger.quarantine) == 1
        assert "where control's rate before" in record.rollout.reason


async def test_what_a_person_promoted_is_reported_and_not_taken_back(tmp_path: Path) -> None:
    """A person wins over the controller, also afterwards."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        section = {**BRISK, "after_promotion": {"duration": "1h", "action": "rollback"}}
        await configure(plane, configuration(rollout=section))
        proxies = Proxies(failing={"v1": 0.01, "v2": 0.01})
        await run(plane, clock, proxies, seconds=20)
        await plane.controller.command("fraud", Verb.PROMOTE, "I know", ALICE)
        proxies.failing = {"v2": 0.3}

        await run(plane, clock, proxies, seconds=60)

        assert state(plane) is State.PROMOTED
        assert (await kinds(plane))[-1] == "alarmed"


async def test_evidence_lets_steps_be_left_out(tmp_path: Path) -> None:
    """Much traffic: from the first step to beyond others in one decision, which says so; never to all at once
    without the last comparison."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        steps = [{"evidence": {"from": "2%", "to": "100%", "factor": 1.5}}]
        await configure(plane, configuration(steps=steps, rollout={**BRISK, "duration": "1h"}))
        plan = plane.ledger.records["fraud"].plan

        seconds = await run(plane, clock, Proxies(), seconds=600, requests=3000, stop="promoted")

        assert state(plane) is State.PROMOTED
        assert len(plan.steps) > 10
        moves = [kind for kind in await kinds(plane) if kind == "advanced"]
        assert len(moves) < len(plan.steps) - 3
        assert seconds < 120
