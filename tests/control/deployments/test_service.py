"""Deployments in virtual time: five strategies, five behaviours, each seen in the table that is published."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from control.audit.events import Origin
from control.deployments.deployment import Deployment, Strategy
from control.deployments.health import Health, Probes
from control.deployments.prober import Prober
from control.deployments.service import Act
from control.deployments.states import TRANSITIONS, Status
from control.errors import ConflictError, InvalidError, TransitionError
from control.plane import Plane
from control.reports import parse_report
from control.rollout.commands import Refused, Verb
from control.rollout.gates import Gate, gates
from control.rollout.records import Record
from control.store import audit_search
from control.transitions import diagram
from tests.helpers.control import AGENT, ALICE, FakeClock, Proxies, configuration, configure, plane_on
from tests.helpers.pairs import comparison


class Answers(Prober):
    """Endpoints answer as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.down: set[str] = set()
        self._seen: dict[str, Probes] = {}

    def probes(
        self, endpoints: Collection[str], path: str, *, interval_s: float, now: float
    ) -> Mapping[str, Probes]:
        for url in endpoints:
            good = url not in self.down
            before = self._seen.get(url, Probes())
            self._seen[url] = before.after(good=good, text="ok" if good else "connection refused")
        return {url: self._seen[url] for url in endpoints}


class Bench:
    """A plane with one route `rest` that v1 serves, and proxies that follow the table."""

    def __init__(self, plane: Plane, clock: FakeClock) -> None:
        self.plane, self.clock = plane, clock
        self.proxies = Proxies()
        self.prober = Answers()
        plane.loop.deployments.prober = self.prober

    async def create(self, strategy: str, origin: Origin = ALICE, **more: Any) -> Deployment:
        body = {"route": "rest", "strategy": strategy, "upstream": "v3", **more}
        return await self.plane.loop.deployments.create(body, origin)

    async def pass_time(self, seconds: int, requests: int = 50) -> Deployment:
        for _ in range(seconds):
            table = self.plane.ledger.table
            assert table is not None
            self.proxies.serve(table, requests, "rest")
            await self.plane.controller.take(parse_report(self.proxies.report()))
            self.clock.now += 1.0
            await self.plane.loop.tick()
        return self.plane.ledger.deployments["rest"]

    @property
    def weights(self) -> dict[str, float]:
        """Share of each upstream on the route, as published."""
        table = self.plane.ledger.table
        assert table is not None
        entry = next(entry for entry in table["routes"] if entry["name"] == "rest")
        found: dict[str, float] = {}
        for number, weight in zip(entry["split"]["arms"], entry["split"]["weights"], strict=True):
            name = table["arms"][number]["variant"]
            found[name] = round(found.get(name, 0.0) + weight, 9)
        return found

    @property
    def kind(self) -> str:
        table = self.plane.ledger.table
        assert table is not None
        return str(next(entry for entry in table["routes"] if entry["name"] == "rest")["split"]["kind"])


def gates_of(plane: Plane, record: Record) -> tuple[Gate, ...]:
    outside = plane.loop.outside(record)
    return gates(record.rollout, record.plan, record.analysis, plane.controller.clock.steady(), outside)


@asynccontextmanager
async def bench(path: Path) -> AsyncIterator[Bench]:
    clock = FakeClock()
    async with plane_on(path / "db", clock) as plane:
        await configure(plane, configuration())
        yield Bench(plane, clock)


async def test_direct_moves_everything_at_once_and_back_when_it_is_unhealthy(tmp_path: Path) -> None:
    """Good: active after its time. Bad: taken back by its own requests, with the reason."""
    async with bench(tmp_path) as at:
        await at.create("direct", settings={"duration": "10s"})
        assert at.weights == {"v1": 1.0}
        await at.pass_time(1)
        assert at.weights == {"v3": 1.0}
        done = await at.pass_time(12)
        assert (done.status, done.health) == (Status.ACTIVE, Health.HEALTHY)
        assert done.now is not None
        assert done.now.failure_rate == 0.0
        at.proxies.failing = {"v2": 0.6}
        await at.create("direct", upstream="v2", settings={"duration": "60s"})

        failed = await at.pass_time(10)

        assert failed.status is Status.ROLLED_BACK
        assert failed.rollback_trigger == "health"
        assert "requests failed" in failed.rollback_reason
        assert at.weights == {"v3": 1.0}
        with pytest.raises(ConflictError, match=r"is quarantined on rest: .*requests failed"):
            await at.create("direct", upstream="v2")


async def test_blue_green_warms_swaps_once_and_swaps_back(tmp_path: Path) -> None:
    """No request reaches the dark colour before every endpoint answers; a rollback is one more table."""
    async with bench(tmp_path) as at:
        at.prober.down = {"http://127.0.0.1:9003"}
        await at.create("blue_green", settings={"duration": "10s", "expiry": "60s"})
        warming = await at.pass_time(8)
        assert (warming.status, warming.phase, at.kind) == (Status.IN_PROGRESS, "warming", "blue_green")
        assert at.weights == {"v1": 1.0, "v3": 0.0}
        at.prober.down = set()
        await at.pass_time(4)
        assert at.weights == {"v3": 1.0, "v1": 0.0}
        done = await at.pass_time(12)
        assert done.status is Status.ACTIVE

        back = await at.plane.loop.deployments.act("rest", Act.ROLLBACK, "complaints", ALICE)

        assert (back.status, back.rollback_trigger) == (Status.ROLLED_BACK, "alice")
        assert at.weights == {"v1": 1.0}


@pytest.mark.parametrize("strategy", ["direct", "blue_green"])
async def test_a_rollback_without_a_rollout_condemns_the_release_too(tmp_path: Path, strategy: str) -> None:
    """It is the same verdict: kept over a restart, in the audit log, and lifted with a reason only."""
    async with bench(tmp_path) as at:
        made = await at.create(strategy, settings={"duration": "60s"})
        await at.pass_time(6)
        await at.plane.loop.deployments.act("rest", Act.ROLLBACK, "complaints", ALICE)
    async with plane_on(tmp_path / "db", at.clock) as plane:
        at = Bench(plane, at.clock)
        (row,) = plane.ledger.quarantine.values()
        assert (row.deployment_id, row.rollout_id, row.reason) == (made.id, None, "complaints")
        with pytest.raises(ConflictError, match=r"quarantined on rest: complaints; .*--lift-quarantine"):
            await at.create("canary")
        await at.create("shadow")
        await at.plane.loop.deployments.act("rest", Act.CANCEL, "", ALICE)
        await at.create("canary", lift_quarantine=True, reason="it was the network")
        assert plane.ledger.quarantine == {}

        async with plane.ledger.store.read() as connection:
            found = await audit_search.page(
                connection, audit_search.AuditFilter(), limit=50, after=None, newest_first=False
            )
        events = [record.to_json() for record in found]
        told = [event for event in events if event["details"].get("deployment") == made.id]
        assert [event["type"] for event in told] == ["release_quarantined", "quarantine_lifted"]


async def test_a_shadow_that_is_taken_back_condemns_nothing(tmp_path: Path) -> None:
    """Nobody was ever answered by it."""
    async with bench(tmp_path) as at:
        await at.create("shadow", settings={"duration": "5s"})
        await at.pass_time(8)
        back = await at.plane.loop.deployments.act("rest", Act.ROLLBACK, "enough", ALICE)

        assert back.status is Status.ROLLED_BACK
        assert at.plane.ledger.quarantine == {}


@pytest.mark.parametrize("strategy", ["canary", "direct", "blue_green", "rolling"])
async def test_a_condemned_release_comes_back_only_when_a_person_says_why(
    tmp_path: Path, strategy: str
) -> None:
    """By whatever strategy; lifted, it begins anew, with an audit event that names the person."""
    async with bench(tmp_path) as at:
        await at.create("canary")
        await at.pass_time(2)
        await at.plane.loop.deployments.act("rest", Act.ROLLBACK, "wrong answers", ALICE)
        with pytest.raises(ConflictError, match=r"quarantined on rest: wrong answers; .*--lift-quarantine"):
            await at.create(strategy)
        with pytest.raises(Refused, match=r"is rolled back, and its rollout with it; .*--lift-quarantine"):
            await at.plane.controller.command("rest", Verb.RESTART, "again", ALICE)
        with pytest.raises(InvalidError, match="reason: is needed"):
            await at.create(strategy, lift_quarantine=True)

        await at.create(strategy, lift_quarantine=True, reason="the answers are right now")

        again = await at.pass_time(2)
        assert again.status is Status.IN_PROGRESS
        assert at.plane.ledger.quarantine == {}
        async with at.plane.ledger.store.read() as connection:
            lifted = await audit_search.page(
                connection,
                audit_search.AuditFilter(type="quarantine_lifted"),
                limit=5,
                after=None,
                newest_first=True,
            )
        assert [event.personal.actor for event in lifted] == ["alice"]


async def test_a_second_attempt_is_not_blamed_for_what_the_first_one_answered(tmp_path: Path) -> None:
    """Its health begins without a figure, and so does its history."""
    async with bench(tmp_path) as at:
        at.proxies.failing = {"v3": 0.6}
        await at.create("direct", settings={"duration": "60s"})
        assert (await at.pass_time(10)).health is Health.UNHEALTHY
        at.proxies.failing = {}

        await at.create("direct", lift_quarantine=True, reason="the answers are right now")

        again = await at.pass_time(5)
        assert again.status is Status.IN_PROGRESS
        assert [each.health for each in again.history] == [Health.HEALTHY]


async def test_a_release_whose_deployment_was_cancelled_may_be_deployed_again(tmp_path: Path) -> None:
    """Ended without blame: the next one ramps it from the first step, and is not ended with the last."""
    async with bench(tmp_path) as at:
        await at.create("canary")
        await at.pass_time(2)
        await at.plane.loop.deployments.act("rest", Act.CANCEL, "not today", ALICE)

        await at.create("canary")

        again = await at.pass_time(2)
        assert again.status is Status.IN_PROGRESS
        assert at.weights["v3"] > 0


async def test_a_dark_colour_that_never_comes_up_fails_and_moves_nobody(tmp_path: Path) -> None:
    """No request was at risk, so nothing is rolled back."""
    async with bench(tmp_path) as at:
        at.prober.down = {"http://127.0.0.1:9003"}
        await at.create("blue_green", settings={"expiry": "10s"})

        failed = await at.pass_time(15)

        assert failed.status is Status.FAILED
        assert "connection refused" in failed.reason
        assert at.weights == {"v1": 1.0}
        assert at.proxies.counted("v3") == 0


@pytest.mark.parametrize(("strategy", "failing"), [("canary", 0.0), ("canary", 0.5), ("rolling", 0.0)])
async def test_canary_and_rolling_are_what_their_rollout_is(
    tmp_path: Path, strategy: str, failing: float
) -> None:
    """Step by step on evidence; promoted is active, condemned is rolled back."""
    async with bench(tmp_path) as at:
        at.proxies.failing = {"v3": failing}
        rollout = {"preset": "aggressive", "duration": "2s", "burst": "0s"}
        if strategy == "canary":
            rollout["steps"] = ["20%", "50%", "100%"]  # type: ignore[assignment]
        made = await at.create(strategy, settings={"rollout": rollout, "key": "header:x-user-id"})
        assert made.status is Status.PENDING
        await at.pass_time(2)
        assert 0 < at.weights["v3"] <= 0.5
        assert at.kind == strategy
        for _ in range(60):
            found = await at.pass_time(5)
            if found.status not in (Status.PENDING, Status.IN_PROGRESS):
                break

        assert found.rollout == at.plane.ledger.records["rest"].rollout.id
        assert found.status is (Status.ROLLED_BACK if failing else Status.ACTIVE)
        assert at.weights["v3"] == (0.0 if failing else 1.0)
        if failing:
            assert found.rollback_trigger == "rollout"


async def test_a_rolling_walk_waits_for_an_endpoint_that_does_not_answer(tmp_path: Path) -> None:
    """Figures alone would go on: the others answer, so nothing fails, while capacity goes with each step."""
    async with bench(tmp_path) as at:
        rollout = {"preset": "aggressive", "duration": "2s", "burst": "0s"}
        await at.create("rolling", settings={"rollout": rollout, "key": "header:x-user-id"})
        await at.pass_time(2)
        at.prober.down = {"http://127.0.0.1:9003"}

        found = await at.pass_time(120)

        assert (found.status, found.health, at.weights["v3"]) == (Status.IN_PROGRESS, Health.UNHEALTHY, 0.5)
        record = at.plane.ledger.records["rest"]
        waits = [gate for gate in gates_of(at.plane, record) if not gate.met]
        assert [gate.text for gate in waits] == ["no endpoint answers: connection refused"]
        at.prober.down = set()
        assert (await at.pass_time(20)).status is Status.ACTIVE
        assert at.weights["v3"] == 1.0


async def test_a_shadow_gets_copies_and_no_user(tmp_path: Path) -> None:
    """Until it ends; then the route is as it was."""
    async with bench(tmp_path) as at:
        await at.create("shadow", settings={"share": "50%", "duration": "5s"})
        await at.pass_time(2)
        table = at.plane.ledger.table
        assert table is not None
        shadows = next(entry for entry in table["routes"] if entry["name"] == "rest")["shadows"]
        assert [shadow["share"] for shadow in shadows] == [0.5]
        assert at.weights == {"v1": 1.0}

        done = await at.pass_time(10)

        assert done.status is Status.ACTIVE
        assert at.proxies.counted("v3") == 0


@pytest.mark.parametrize(
    ("differ", "status"), [(0, Status.ACTIVE), (200, Status.FAILED), (None, Status.INCONCLUSIVE)]
)
async def test_a_shadow_can_end_by_what_its_answers_show(
    tmp_path: Path, differ: int | None, status: Status
) -> None:
    """Long before its time where agreement is shown or refuted; never by time alone."""
    settings = {"duration": "2s", "expiry": "20s", "agreement": "99%", "pairs": 100, "noise": "1%"}
    async with bench(tmp_path) as at:
        await at.create("shadow", settings=settings)
        await at.pass_time(5)
        table = at.plane.ledger.table
        assert table is not None
        arm = next(arm for arm in table["arms"] if arm["role"] == "shadow")
        key = (arm["route"], arm["variant"], arm["role"], arm["stage"])
        if differ is not None:
            found = at.proxies.report() | {"comparisons": [comparison(key, agree=800, differ=differ)]}
            await at.plane.controller.take(parse_report(found))

        done = await at.pass_time(2 if differ is not None else 20)

        assert done.status is status
        if differ is not None:
            assert f"of {800 + differ} pairs agree" in done.reason


async def test_a_gate_is_for_shadows_and_needs_a_target(tmp_path: Path) -> None:
    """What could never be shown, or asks nothing, is refused with what would do."""
    async with bench(tmp_path) as at:
        with pytest.raises(InvalidError, match="a direct deployment compares no answers; use shadow"):
            await at.create("direct", settings={"agreement": "99%"})
        with pytest.raises(InvalidError, match="means nothing without agreement"):
            await at.create("shadow", settings={"latency_ratio": 1.5})
        with pytest.raises(InvalidError, match="100% can never be shown"):
            await at.create("shadow", settings={"agreement": "100%"})


async def test_new_endpoints_need_not_be_in_the_configuration(tmp_path: Path) -> None:
    """And they stay known over a restart, with where the deployment stands."""
    async with bench(tmp_path) as at:
        await at.create("direct", upstream="fresh", endpoints=["http://127.0.0.1:9009"], release="fraud:v9")
        await at.pass_time(3)
        assert at.weights == {"fresh": 1.0}
        now = at.clock.now
    clock = FakeClock(now)
    async with plane_on(tmp_path / "db", clock) as plane:
        again = Bench(plane, clock)
        assert again.weights == {"fresh": 1.0}
        found = await again.pass_time(40)
        assert found.status is Status.ACTIVE
        assert found.endpoints == ("http://127.0.0.1:9009",)


async def test_a_configuration_that_changes_the_route_wins(tmp_path: Path) -> None:
    """What was put over it is withdrawn, and an open deployment is cancelled."""
    async with bench(tmp_path) as at:
        await at.create("direct", settings={"duration": "100s"})
        await at.pass_time(3)
        value = configuration().to_json()
        value["routes"][1]["upstream"] = "v2"
        changed = type(configuration()).from_json(value)

        await configure(at.plane, changed, AGENT)

        assert at.weights == {"v2": 1.0}
        assert "rest" not in at.plane.ledger.deployments
        async with at.plane.ledger.store.read() as connection:
            moves = await audit_search.page(
                connection,
                audit_search.AuditFilter(type="deployment_moved"),
                limit=10,
                after=None,
                newest_first=True,
            )
        assert moves[0].to_json()["details"]["to_status"] == "cancelled"


async def test_one_at_a_time_and_only_what_makes_sense(tmp_path: Path) -> None:
    """Every problem of a request at once; a second deployment waits for the first."""
    async with bench(tmp_path) as at:
        with pytest.raises(InvalidError) as caught:
            await at.create("canary", upstream="v1", settings={"duraton": 1, "preset": "bold"}, colour="red")
        for part in ("colour", "settings.duraton", "settings.rollout.preset", "serves rest already"):
            assert part in caught.value.message
        with pytest.raises(InvalidError, match="there is no route"):
            await at.create("direct", route="nowhere")
        await at.create("direct")
        with pytest.raises(ConflictError, match="is pending"):
            await at.create("direct")
        await at.pass_time(1)
        await at.plane.loop.deployments.act("rest", Act.CANCEL, "", ALICE)
        assert at.weights == {"v1": 1.0}
        with pytest.raises(TransitionError, match="is cancelled does not accept promote"):
            await at.plane.loop.deployments.act("rest", Act.PROMOTE, "", ALICE)


def test_every_status_can_be_reached_and_left_as_the_table_says() -> None:
    """The document shows the machine that is."""
    reached = {then for row in TRANSITIONS.values() for then in row.values()} | {Status.PENDING}
    assert reached == set(Status)
    document = (Path(__file__).parents[3] / "docs" / "deployments.md").read_text()
    assert diagram(TRANSITIONS) in document
    assert all(f"`{strategy}`" in document for strategy in Strategy)
    assert all(f"`{status.name.lower()}`" in document for status in Status)
