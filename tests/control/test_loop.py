"""Ticks: whole rollouts in virtual time, faults in the middle, restarts anywhere."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from control.api.status import status_view
from control.collect import Collector
from control.controller import Controller
from control.judge import judged
from control.ledger import Ledger
from control.loop import Loop
from control.plane import Plane
from control.publish import Publisher
from control.reports import parse_report
from control.rollout.commands import Verb
from control.rollout.machine import State
from control.store import audit_search, rollouts
from control.store.audit_search import AuditFilter
from control.store.engine import Connection, Store, open_store, sqlite_url
from control.store.rollouts import StoredDecision
from tests.helpers.control import ALICE, FakeClock, Proxies, configuration, configure, plane_on, run

# Bursts up to ten seconds are survived instead of a minute's, so that virtual time is short.
BRISK = {"preset": "aggressive"}


async def decisions(store: Store) -> list[StoredDecision]:
    async with store.read() as connection:
        return (await rollouts.recent_decisions(connection, limit=1000))[::-1]


def state(plane: Plane) -> State:
    return plane.ledger.records["fraud"].rollout.state


async def test_a_good_canary_ramps_to_everything(tmp_path: Path) -> None:
    """Step by step, each decision with its analysis."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(rollout=BRISK))
        proxies = Proxies(failing={"v1": 0.01, "v2": 0.01})

        await run(plane, clock, proxies, seconds=400, stop="promoted")

        assert state(plane) is State.PROMOTED
        found = await decisions(plane.ledger.store)
        assert [row.kind for row in found] == ["started", "advanced", "advanced", "promoted"]
        assert all('"verdict":"pass"' in row.body for row in found[1:])
        assert [row.revision for row in found] == [2, 3, 4, 4]


async def test_steps_of_the_wall_clock_decide_nothing(tmp_path: Path) -> None:
    """An hour ahead, then two back, while a good canary is judged: it is promoted as ever."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(rollout=BRISK))
        proxies = Proxies(failing={"v1": 0.01, "v2": 0.01})
        for step in (0.0, 3600.0, -3600.0):
            clock.step = step
            await run(plane, clock, proxies, seconds=15, stop="promoted")
        await run(plane, clock, proxies, seconds=400, stop="promoted")

        assert state(plane) is State.PROMOTED
        found = await decisions(plane.ledger.store)
        assert [row.kind for row in found] == ["started", "advanced", "advanced", "promoted"]


async def test_a_bad_canary_is_rolled_back_and_quarantined(tmp_path: Path) -> None:
    """Nobody has to look; the reason has the numbers."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(rollout=BRISK))
        proxies = Proxies(failing={"v1": 0.01, "v2": 0.3})

        await run(plane, clock, proxies, seconds=200, stop="rolled_back")

        assert state(plane) is State.ROLLED_BACK
        last = (await decisions(plane.ledger.store))[-1]
        assert last.kind == "rolled_back"
        assert last.actor == "controller"
        assert "canary failed" in last.body
        assert len(plane.ledger.quarantine) == 1
        served = proxies.counted("v2")
        await run(plane, clock, proxies, seconds=5)
        assert proxies.counted("v2") == served


async def test_no_traffic_decides_nothing(tmp_path: Path) -> None:
    """No data is neither a pass nor a failure."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        for _ in range(120):
            clock.now += 1
            await plane.loop.tick()

        assert state(plane) is State.PROGRESSING
        analysis = plane.ledger.records["fraud"].analysis
        assert analysis is not None
        assert analysis.verdict.name == "NO_DATA"
        assert [row.kind for row in await decisions(plane.ledger.store)] == ["started"]


async def test_a_paused_rollout_is_still_guarded(tmp_path: Path) -> None:
    """People who think do not leave users with a canary that breaks."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(rollout=BRISK))
        proxies = Proxies(failing={"v1": 0.01, "v2": 0.01})
        await run(plane, clock, proxies, seconds=5)
        await plane.controller.command("fraud", Verb.PAUSE, "lunch", ALICE)
        await run(plane, clock, proxies, seconds=30)
        assert state(plane) is State.PAUSED

        proxies.failing["v2"] = 0.5
        await run(plane, clock, proxies, seconds=200, stop="rolled_back")

        assert state(plane) is State.ROLLED_BACK


async def test_restarts_between_ticks_change_no_decision(tmp_path: Path) -> None:
    """Killed after any tick, the next process decides what the first one would have, at the same moment."""

    async def play(path: Path, *, lives: int) -> list[tuple[str, float, str]]:
        clock, proxies = FakeClock(), Proxies(seed=3, failing={"v1": 0.02, "v2": 0.4})
        plan = configuration(rollout=BRISK)
        async with plane_on(path, clock) as plane:
            await configure(plane, plan)
        for _ in range(lives):
            async with plane_on(path, clock) as plane:
                await run(plane, clock, proxies, seconds=60 // lives, stop="rolled_back")
                found = await decisions(plane.ledger.store)
        return [(row.kind, row.at, orjson.loads(row.body)["reason"]) for row in found]

    uninterrupted = await play(tmp_path / "one", lives=1)
    interrupted = await play(tmp_path / "two", lives=30)

    assert [kind for kind, _, _ in uninterrupted] == ["started", "rolled_back"]
    assert interrupted == uninterrupted


async def test_a_look_that_fails_holds_one_rollout_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, counted and shown; the loop goes on, and so does the rollout once it can be judged."""
    clock = FakeClock()

    def fail(*arguments: Any, **named: Any) -> Any:
        raise ZeroDivisionError("a bug of ours")

    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        proxies = Proxies()
        await run(plane, clock, proxies, seconds=3)
        with monkeypatch.context() as patched:
            patched.setattr("control.looks.judged", fail)
            await run(plane, clock, proxies, seconds=3)
        assert plane.loop.failures == 3
        assert "a bug of ours" in plane.loop.problems["fraud"]
        assert state(plane) is State.PROGRESSING

        await run(plane, clock, proxies, seconds=1)

        assert plane.loop.problems == {}


class FlakyStore(Store):
    """Fails a transaction before or after it is committed, when told to."""

    fail = ""

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        async with super().write() as connection:
            yield connection
            if self.fail == "before":
                raise OSError("disk full")
        if self.fail == "after":
            raise OSError("the line broke after COMMIT")


@asynccontextmanager
async def flaky_plane(path: Path, clock: FakeClock) -> AsyncIterator[tuple[Plane, FlakyStore]]:
    opened = await open_store(sqlite_url(path))
    store = FlakyStore(opened._engine, opened.place)
    controller = Controller(Ledger(store, Collector(), Publisher()), clock)
    await controller.start()
    yield Plane(controller=controller, loop=Loop(controller), started_at=0.0, version="test"), store
    await store.close()


async def invariants(store: Store) -> None:
    """One audit event for each decision, gapless numbers, the newest table as the rollout asks."""
    async with store.read() as connection:
        log = await audit_search.page(connection, AuditFilter(), limit=1000, after=None, newest_first=False)
        assert [record.sequence for record in log] == list(range(1, len(log) + 1))
        named = [record.to_json()["details"].get("decision") for record in log if b'"rollout_' in record.body]
        made = [row.id for row in await rollouts.recent_decisions(connection, limit=1000)]
    assert sorted(name for name in named if name) == sorted(made)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_tick_whose_commit_fails_is_whole_or_nothing(tmp_path: Path, moment: str) -> None:
    """Whether COMMIT took place is read from the store, not guessed; nothing is decided twice."""
    clock = FakeClock()
    async with flaky_plane(tmp_path / "db", clock) as (plane, store):
        await configure(plane, configuration())
        store.fail = moment
        told = set()
        for _ in range(3):
            clock.now += 1
            await plane.loop.guarded_tick()
            told.add(status_view(plane)["process"]["trouble"].partition(":")[0])
        assert plane.loop.failures >= 1
        assert "OSError" in told
        store.fail = ""
        clock.now += 1
        await plane.loop.guarded_tick()

        assert status_view(plane)["process"]["trouble"] == ""
        assert state(plane) is State.PROGRESSING
        assert [row.kind for row in await decisions(store)] == ["started"]
        assert plane.ledger.publisher.revision == plane.ledger.revision == 2
        await invariants(store)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_command_whose_commit_fails_is_whole_or_nothing(tmp_path: Path, moment: str) -> None:
    """The person is told that it failed; what is shown afterwards is what is stored."""
    clock = FakeClock()
    async with flaky_plane(tmp_path / "db", clock) as (plane, store):
        await configure(plane, configuration())
        await plane.loop.tick()
        store.fail = moment
        with pytest.raises(OSError, match=r"disk full|line broke"):
            await plane.controller.command("fraud", Verb.ROLLBACK, "bad", ALICE)
        store.fail = ""
        clock.now += 1
        await plane.loop.tick()

        expected = State.PROGRESSING if moment == "before" else State.ROLLED_BACK
        assert state(plane) is expected
        assert plane.ledger.publisher.revision == plane.ledger.revision == (2 if moment == "before" else 3)
        await invariants(store)


async def test_a_command_wins_over_a_tick_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the loop was about to decide from an older state is dropped."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(steps=["10%", "50%"], rollout={"duration": "0s"}))
        proxies = Proxies()
        await run(plane, clock, proxies, seconds=2)
        looked = plane.loop.looks.look

        def look(*arguments: Any) -> Any:
            found = looked(*arguments)
            # Between looking and deciding; from this thread the loop is free to run it.
            asyncio.run_coroutine_threadsafe(
                plane.controller.command("fraud", Verb.ABORT, "stop it", ALICE), loop
            ).result(10)
            return found

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(plane.loop.looks, "look", look)
        clock.now += 1
        await plane.loop.tick()

        assert state(plane) is State.ABORTED
        assert [row.kind for row in await decisions(plane.ledger.store)][-1] == "aborted"


async def test_each_rollout_is_looked_at_in_its_own_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan with a long interval is left alone in between."""
    clock, looks = FakeClock(), []

    def counting(*arguments: Any, **named: Any) -> Any:
        looks.append(clock.now)
        return judged(*arguments, **named)

    monkeypatch.setattr("control.looks.judged", counting)
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(rollout={"interval": "5s"}))
        await run(plane, clock, Proxies(), seconds=30)

    assert len(looks) == pytest.approx(5, abs=1)
    assert all(after - before == 5 for before, after in itertools.pairwise(looks))


async def test_without_a_configuration_nothing_advances(tmp_path: Path) -> None:
    """A table could not follow, so what was decided would not happen."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        plane.ledger.active = None
        clock.now += 1
        await plane.loop.tick()

        assert state(plane) is State.PENDING


async def test_late_requests_of_an_earlier_weight_still_count(tmp_path: Path) -> None:
    """What was in flight when the weights changed belongs to the evidence of its own stage."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        proxies = Proxies()
        await run(plane, clock, proxies, seconds=3)
        first = plane.ledger.table
        assert first is not None
        await plane.controller.command("fraud", Verb.PAUSE, "", ALICE)
        record = plane.ledger.records["fraud"]
        await plane.controller.command("fraud", Verb.RESUME, "", ALICE)
        await configure(plane, configuration(steps=["20%", "100%"]))
        await run(plane, clock, proxies, seconds=2)
        before = plane.ledger.records["fraud"].evidence

        proxies.serve(first, 500)
        await plane.controller.take(parse_report(proxies.report()))
        clock.now += 11
        await plane.loop.tick()

        after = plane.ledger.records["fraud"].evidence
        stages = [ledger.stage for ledger in after.stages]
        assert stages[0] == record.stage
        assert after.stages[0].raw.finished > before.stages[0].raw.finished
        assert stages[-1] == plane.ledger.records["fraud"].stage
