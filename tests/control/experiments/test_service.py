"""Experiments in virtual time: their life, their layers, what they say, and what they leave behind."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from config.schema import Config
from control.errors import ConflictError, InvalidError, NotFoundError, TransitionError
from control.experiments.experiment import Experiment
from control.experiments.layers import free_range
from control.experiments.service import Act, Experiments
from control.experiments.states import TRANSITIONS, Status
from control.plane import Plane
from control.registry.live import compared
from control.reports import parse_report
from control.store import audit_search, undertakings
from control.transitions import diagram
from tests.helpers.control import ALICE, FakeClock, Proxies, configuration, configure, plane_on
from tests.helpers.registry import draft

BODY = {"name": "ranker", "route": "rest", "variants": {"v1": 50, "v3": 50}, "key": "header:x-user-id"}


def routes() -> Config:
    """Two routes that v1 serves, and the canary route."""
    value = configuration().to_json()
    other = {"name": "other", "match": {"path_prefix": "/other"}, "upstream": "v1"}
    value["routes"] = [value["routes"][0], other, value["routes"][1]]
    return Config.from_json(value)


@asynccontextmanager
async def begun(path: Path) -> AsyncIterator[tuple[Plane, FakeClock, Experiments]]:
    clock = FakeClock()
    async with plane_on(path / "db", clock) as plane:
        await configure(plane, routes())
        yield plane, clock, plane.loop.experiments


async def serve(
    plane: Plane, clock: FakeClock, proxies: Proxies, seconds: int, requests: int = 200
) -> Experiment | None:
    for _ in range(seconds):
        assert plane.ledger.table is not None
        proxies.serve(plane.ledger.table, requests, "rest")
        await plane.controller.take(parse_report(proxies.report()))
        clock.now += 1.0
        await plane.loop.tick()
    return plane.ledger.experiments.get("rest")


def split(plane: Plane, route: str = "rest") -> dict[str, Any]:
    assert plane.ledger.table is not None
    entry = next(entry for entry in plane.ledger.table["routes"] if entry["name"] == route)
    found: dict[str, Any] = entry["split"]
    return found


async def test_a_life_from_draft_to_result(tmp_path: Path) -> None:
    """Each transition changes what is published, in the transaction that writes its audit event."""
    async with begun(tmp_path) as (plane, clock, experiments):
        proxies = Proxies(failing={"v1": 0.10, "v3": 0.02})
        made = await experiments.create(BODY, ALICE)
        assert (made.status, split(plane)["kind"]) == (Status.DRAFT, "direct")
        assert made.id.startswith("x-")
        await experiments.act(made.id, Act.START, "", ALICE)
        assert (split(plane)["kind"], split(plane)["salt"]) == ("hash", made.id)
        await serve(plane, clock, proxies, 5)
        await experiments.act(made.id, Act.PAUSE, "", ALICE)
        assert split(plane)["kind"] == "direct"
        paused = proxies.counted("v3")
        await serve(plane, clock, proxies, 5)
        assert proxies.counted("v3") == paused
        await experiments.act("rest", Act.START, "", ALICE)
        await serve(plane, clock, proxies, 40)
        says = experiments.analysis(plane.ledger.experiments["rest"])
        assert says["winner"] == "v3"

        ended = await experiments.act(made.id, Act.COMPLETE, "enough", ALICE)

        assert (ended.status, split(plane)["kind"]) == (Status.COMPLETED, "direct")
        assert ended.result is not None
        assert ended.result["winner"] == "v3"
        async with plane.ledger.store.read() as connection:
            found = await audit_search.page(
                connection,
                audit_search.AuditFilter(resource_type="ab_test"),
                limit=10,
                after=None,
                newest_first=False,
            )
        events = [record.to_json() for record in found]
        assert [event["type"].removeprefix("ab_test_") for event in events] == [
            *("created", "started", "paused", "resumed", "completed")
        ]
        assert {event["actor"] for event in events} == {"alice"}
        assert events[-1]["details"]["winner"] == "v3"
        assert (await experiments.get("rest")).id == made.id
        for name in (made.id, "rest"):
            with pytest.raises(TransitionError, match="is completed does not accept start"):
                await experiments.act(name, Act.START, "", ALICE)
        with pytest.raises(NotFoundError):
            await experiments.get("elsewhere")


async def test_the_analysis_has_every_figure_with_its_interval(tmp_path: Path) -> None:
    """Of both arms and of the improvement, absolute and relative; what is true lies in it."""
    async with begun(tmp_path) as (plane, clock, experiments):
        made = await experiments.create(BODY, ALICE)
        await experiments.act(made.id, Act.START, "", ALICE)
        says = experiments.analysis(plane.ledger.experiments["rest"])
        assert says["treatments"][0]["verdict"] == "no_data"
        assert says["treatments"][0]["improvement"]["absolute"]["value"] is None
        await serve(plane, clock, Proxies(failing={"v1": 0.10, "v3": 0.05}), 60)

        says = experiments.analysis(plane.ledger.experiments["rest"])

        (treatment,) = says["treatments"]
        assert treatment["verdict"] == "better"
        assert says["significant"] is True
        for improvement, true in (("absolute", 0.05), ("relative", 0.05 / 0.9)):
            found = treatment["improvement"][improvement]
            assert found["low"] < true < found["high"]
            assert found["low"] > 0
        assert treatment["interval"][0] < 0.95 < treatment["interval"][1]
        assert treatment["mean_latency"] == pytest.approx(0.02, rel=0.1)
        assert treatment["log_e_better"] > treatment["log_e_worse"]
        assert treatment["anytime_p"] < 0.05


async def test_equal_variants_stay_undecided_and_say_how_much_is_missing(tmp_path: Path) -> None:
    """However often one looks; with a margin they are shown to be equivalent."""
    async with begun(tmp_path) as (plane, clock, experiments):
        made = await experiments.create({**BODY, "margin": "3%"}, ALICE)
        await experiments.act(made.id, Act.START, "", ALICE)
        verdicts = set()
        proxies = Proxies(failing={"v1": 0.02, "v3": 0.02})
        for _ in range(60):
            await serve(plane, clock, proxies, 1)
            says = experiments.analysis(plane.ledger.experiments["rest"])
            verdicts.add(says["treatments"][0]["verdict"])

        assert verdicts <= {"no_data", "inconclusive", "equivalent"}
        assert says["treatments"][0]["verdict"] == "equivalent"
        assert says["winner"] == ""


async def test_layers_give_out_parts_that_do_not_overlap(tmp_path: Path) -> None:
    """And refuse what does not fit; keys outside get control and take no part."""
    async with begun(tmp_path) as (plane, _clock, experiments):
        body = {**BODY, "layer": "search", "share": "60%"}
        first = await experiments.create(body, ALICE)
        second = await experiments.create({**body, "route": "other", "share": "40%"}, ALICE)
        third = await experiments.create({**body, "route": "other", "share": "50%"}, ALICE)
        await experiments.act(first.id, Act.START, "", ALICE)
        with pytest.raises(ConflictError, match=r"has no 50 % of its keys left"):
            await experiments.act(third.id, Act.START, "", ALICE)
        await experiments.act(second.id, Act.START, "", ALICE)

        ranges = [split(plane, route)["layer"] for route in ("rest", "other")]

        assert ranges == [
            {"name": "search", "from": 0.0, "to": 0.6},
            {"name": "search", "from": 0.6, "to": 1.0},
        ]


async def test_what_a_paused_experiment_has_counted_is_kept(tmp_path: Path) -> None:
    """However long nobody adds to it."""
    async with begun(tmp_path) as (plane, clock, experiments):
        made = await experiments.create(BODY, ALICE)
        await experiments.act(made.id, Act.START, "", ALICE)
        await serve(plane, clock, Proxies(), 5)
        before = experiments.analysis(plane.ledger.experiments["rest"])["control"]["requests"]
        await experiments.act(made.id, Act.PAUSE, "", ALICE)
        clock.now += 3 * 3600.0
        await serve(plane, clock, Proxies(), 2)
        await experiments.act(made.id, Act.START, "", ALICE)
        (experiment,) = plane.ledger.experiments.values()
        assert experiments.analysis(experiment)["control"]["requests"] == before > 0
        assert (
            sum(
                counts.started
                for key, counts in plane.ledger.collector.totals().items()
                if (key.route, key.role) == ("rest", "variant")
            )
            >= 1000
        )


async def test_what_runs_survives_a_restart_to_the_last_digit(tmp_path: Path) -> None:
    """Where keys go, and the evidence."""
    async with begun(tmp_path) as (plane, clock, experiments):
        made = await experiments.create(BODY, ALICE)
        await experiments.act(made.id, Act.START, "", ALICE)
        await serve(plane, clock, Proxies(failing={"v3": 0.05}), 25)
        await plane.loop.save()
        before, now = split(plane), clock.now
        saved = plane.ledger.experiments["rest"].to_json()
        assert Experiment.from_json(saved).to_json() == saved
    clock = FakeClock(now)
    async with plane_on(tmp_path / "db", clock) as plane:
        assert split(plane) == before
        again = plane.ledger.experiments["rest"]
        assert again.id == made.id
        assert again.comparisons["v3"].n[0] > 1000


async def test_every_problem_of_a_description_at_once(tmp_path: Path) -> None:
    """Each at its key."""
    async with begun(tmp_path) as (_, _, experiments):
        with pytest.raises(InvalidError) as caught:
            await experiments.create(
                {"name": "a b", "route": "x", "variants": {"v1": 0, "v9": 1}, "key": "shoe:size", "hue": 1},
                ALICE,
            )
        for place in ("name:", "route:", "variants.v1:", "variants.v9:", "key:", "hue:"):
            assert place in caught.value.message


async def test_identifiers_never_collide(tmp_path: Path) -> None:
    """Also within one millisecond."""
    async with begun(tmp_path) as (_, _, experiments):
        made = [(await experiments.create(BODY, ALICE)).id for _ in range(20)]

    assert len(set(made)) == 20
    assert made == sorted(made)


def test_ranges_of_a_layer_never_overlap() -> None:
    """Whatever comes and goes."""
    source = random.Random(5)
    taken: list[tuple[float, float]] = []
    for _ in range(2000):
        if taken and source.random() < 0.45:
            taken.pop(source.randrange(len(taken)))
        found = free_range(source.choice([0.05, 0.1, 0.25, 0.3]), taken)
        if found is not None:
            assert all(found[0] >= high - 1e-9 or found[1] <= low + 1e-9 for low, high in taken)
            assert 0.0 <= found[0] < found[1] <= 1.0
            taken.append(found)


def test_the_document_shows_the_machine_that_is() -> None:
    """The table of transitions is the only one."""
    assert {then for row in TRANSITIONS.values() for then in row.values()} | {Status.DRAFT} == set(Status)
    assert diagram(TRANSITIONS) in (Path(__file__).parents[3] / "docs" / "experiments.md").read_text()


async def test_the_result_stands_beside_the_releases_it_was_about(tmp_path: Path) -> None:
    """Comparing two releases shows what an experiment has shown of them, under their names."""
    async with begun(tmp_path) as (plane, clock, experiments):
        shelf, releases = plane.controller.shelf, {}
        for name, upstream in routes().upstreams.items():
            model, _, version = upstream.release.partition(":")
            releases[name] = (await shelf.registry.register(draft(version, model), ALICE)).label
        made = await experiments.create(BODY, ALICE)
        assert (await compared(shelf.desk, releases["v1"], releases["v3"]))["experiments"] == []
        await experiments.act(made.id, Act.START, "", ALICE)
        await serve(plane, clock, Proxies(failing={"v1": 0.10, "v3": 0.02}), 30)
        await experiments.act(made.id, Act.COMPLETE, "", ALICE)

        [found] = (await compared(shelf.desk, releases["v1"], releases["v3"]))["experiments"]
        assert (found["release"], found["against"]) == (releases["v3"], releases["v1"])
        assert (found["verdict"], found["status"], found["name"]) == ("better", "completed", "ranker")
        assert found["improvement"]["absolute"]["value"] > 0.05
        assert (await compared(shelf.desk, releases["v2"], releases["v2"]))["experiments"] == []


async def test_what_has_been_decided_stays(tmp_path: Path) -> None:
    """Also when the evidence falls again, and over a crash right after: with the time at which it was."""
    async with begun(tmp_path) as (plane, clock, experiments):
        made = await experiments.create(BODY, ALICE)
        await experiments.act(made.id, Act.START, "", ALICE)
        proxies = Proxies(failing={"v1": 0.02, "v3": 0.20})
        decided = None
        for _ in range(30):
            await serve(plane, clock, proxies, 1)
            (one,) = experiments.analysis(plane.ledger.experiments["rest"])["treatments"]
            if one["verdict"] == "worse":
                decided = clock.wall()
                break
        # Written down in the very tick: nobody saves what is in memory before the process is gone.
        async with plane.ledger.store.read() as connection:
            row = await undertakings.find(connection, undertakings.EXPERIMENTS, made.id)
        assert row is not None
        assert list(Experiment.from_json(orjson.loads(row.document)).comparisons["v3"].reached) == ["worse"]

        proxies.failing = {"v1": 0.20, "v3": 0.02}
        p_before = one["anytime_p"]
        for _ in range(30):
            await serve(plane, clock, proxies, 1)
            (one,) = experiments.analysis(plane.ledger.experiments["rest"])["treatments"]
            if one["log_e_better"] >= math.log(one["threshold"]):
                break
            assert one["verdict"] == "worse"
            assert one["decided_at"] == pytest.approx(decided, abs=2.0)
            assert one["anytime_p"] <= p_before
        assert one["log_e_worse"] < math.log(one["threshold"]) <= one["log_e_peak"]
        assert one["verdict"] == "mixed"
        assert "both better and worse times" in one["reason"]
