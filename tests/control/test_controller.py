"""Configurations, commands and counts against a real database."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from config.schema import Config
from control.configuration import ConfigurationError
from control.controller import UnknownRolloutError
from control.counts import ArmKey
from control.plane import Plane
from control.reports import parse_report
from control.rollout.commands import Refused, Verb
from control.rollout.machine import State
from control.store import audit_search, rollouts
from tests.helpers.control import ALICE, FakeClock, config_body, configuration, configure, plane_on
from tests.helpers.counts import arm, report


async def events(plane: Plane) -> list[dict[str, Any]]:
    async with plane.ledger.store.read() as connection:
        records = await audit_search.page(
            connection, audit_search.AuditFilter(), limit=1000, after=None, newest_first=False
        )
    return [record.to_json() for record in records]


async def types(plane: Plane) -> list[str]:
    return [event["type"] for event in await events(plane)]


def arms(plane: Plane, route: str = "fraud") -> dict[str, float]:
    table = plane.ledger.table
    assert table is not None
    entry = next(entry for entry in table["routes"] if entry["name"] == route)
    roles = [table["arms"][number]["role"] for number in entry["split"]["arms"]]
    return dict(zip(roles, entry["split"]["weights"], strict=True))


def overrides(plane: Plane) -> set[str]:
    assert plane.ledger.table is not None
    return set(plane.ledger.table["routes"][0]["override"]["values"])


async def test_a_configuration_publishes_a_table_and_is_audited(tmp_path: Path) -> None:
    """Revision 1 serves it; who brought it and what it was is on record."""
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        assert await configure(plane, configuration()) == 1

        assert plane.ledger.publisher.revision == 1
        assert arms(plane) == {"canary": 0.0, "stable": 1.0, "control": 0.0}
        first, second, *begun = await events(plane)
        assert first["type"] == "configuration_changed"
        assert first["details"]["digest"] == config_body(configuration())["digest"]
        assert first["details"]["revision"] == 1
        assert second["type"] == "rollout_created"
        assert [(each["type"], each["details"]["route"]) for each in begun] == [
            ("model_deployed", "fraud"),
            ("model_deployed", "rest"),
        ]


async def test_the_same_configuration_twice_is_once(tmp_path: Path) -> None:
    """An agent that reconnects sends it again."""
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        await configure(plane, configuration())
        assert await configure(plane, configuration()) == 1
        assert (await types(plane)).count("configuration_changed") == 1


async def test_a_change_names_what_changed(tmp_path: Path) -> None:
    """A reader of the log sees the values, not only a digest."""
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        await configure(plane, configuration())
        await configure(plane, configuration(rollout={"duration": "9s"}))

        changed = [event for event in await events(plane) if event["type"] == "configuration_changed"][-1]
        (line,) = changed["details"]["changes"]
        assert "duration" in line
        assert changed["details"]["previous"] == config_body(configuration())["digest"]


async def test_who_may_ask_for_what_is_not_stored_with_the_configuration(tmp_path: Path) -> None:
    """Token digests belong into the configuration file only."""
    value = configuration().to_json()
    value["admin"] = {
        "bind": "127.0.0.1:0",
        "tokens": [{"name": "alice", "sha256": "ab" * 32, "role": "admin"}],
    }
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        await configure(plane, Config.from_json(value))
        async with plane.ledger.store.read() as connection:
            stored = (await connection.execute(text("SELECT body FROM configurations"))).scalar_one()

    assert "ab" * 32 not in stored


async def test_a_configuration_that_cannot_be_used_leaves_the_old_one(tmp_path: Path) -> None:
    """All that is wrong is named, nothing is changed."""
    broken = config_body(configuration())["config"]
    broken["routes"][0]["split"]["stable"] = "nowhere"
    wrong_plan = config_body(configuration())["config"]
    wrong_plan["routes"][0]["rollout"]["guardrails"] = [{"kind": "horoscope"}]
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        await configure(plane, configuration())

        for value, word in ((broken, "nowhere"), (wrong_plan, "horoscope"), ({}, "listeners"), (None, "")):
            with pytest.raises(ConfigurationError) as refused:
                await plane.controller.configure(value, digest="d2", source="s", origin=ALICE)
            assert any(word in error["path"] + error["problem"] for error in refused.value.errors)

        assert plane.ledger.revision == 1
        assert (await types(plane)).count("configuration_changed") == 1


async def test_a_rolled_back_canary_stays_rolled_back(tmp_path: Path) -> None:
    """Over reloads, restarts, and a detour over another configuration."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        await plane.loop.tick()
        assert arms(plane)["canary"] == 0.1
        assert overrides(plane) == {"v1", "v2"}
        await plane.controller.command("fraud", Verb.ROLLBACK, "bad", ALICE)
        assert arms(plane)["canary"] == 0.0
        assert overrides(plane) == {"v1"}
        await configure(plane, configuration(rollout={"duration": "9s"}))
        assert arms(plane)["canary"] == 0.0

    async with plane_on(tmp_path / "db", clock) as plane:
        for _ in range(3):
            clock.now += 10
            await plane.loop.tick()
        assert plane.ledger.records["fraud"].rollout.state is State.ROLLED_BACK
        assert arms(plane)["canary"] == 0.0
        await configure(plane, configuration(canary="v3"))
        await plane.loop.tick()
        assert arms(plane)["canary"] == 0.1
        await configure(plane, configuration())
        await plane.loop.tick()
        assert plane.ledger.records["fraud"].rollout.state is State.ROLLED_BACK
        assert arms(plane)["canary"] == 0.0
        assert overrides(plane) == {"v1"}


async def test_a_condemned_release_gets_nothing_under_another_address_or_a_fixed_weight(
    tmp_path: Path,
) -> None:
    """A quarantine is lifted by a person, not by an edit."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        await plane.loop.tick()
        await plane.controller.command("fraud", Verb.ROLLBACK, "bad", ALICE)

        await configure(plane, configuration(port=9102))
        await plane.loop.tick()
        moved = plane.ledger.records["fraud"]
        assert moved.rollout.state is State.PENDING
        assert arms(plane)["canary"] == 0.0

        await configure(plane, configuration(ramped=False))
        assert "fraud" not in plane.ledger.records
        assert arms(plane)["canary"] == 0.0
        assert overrides(plane) == {"v1"}
        with pytest.raises(Refused, match="quarantined"):
            await plane.controller.command("fraud", Verb.PROMOTE, "", ALICE)

        assert await plane.controller.command("fraud", Verb.RESTART, "a new disk", ALICE) is None
        assert arms(plane)["canary"] == 0.07
        assert overrides(plane) == {"v1", "v2"}
        lifted, deployed = (await events(plane))[-2:]
        assert (lifted["type"], deployed["type"]) == ("quarantine_lifted", "model_deployed")
        assert lifted["details"]["reason"] == "a new disk"


async def test_a_restart_lifts_the_quarantine_and_begins_again(tmp_path: Path) -> None:
    """New assignments, no evidence, and the person who took it on is named."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        await plane.loop.tick()
        old = plane.ledger.records["fraud"]
        await plane.controller.command("fraud", Verb.ROLLBACK, "bad", ALICE)

        after = await plane.controller.command("fraud", Verb.RESTART, "fixed", ALICE)

        assert after is not None
        assert after.rollout.id != old.rollout.id
        assert arms(plane)["canary"] == 0.1
        assert plane.ledger.quarantine == {}
        table = plane.ledger.table
        assert table is not None
        assert table["routes"][0]["split"]["epoch"] > old.rollout.epoch
        assert {"rollout_restarted", "quarantine_lifted"} <= set((await types(plane))[-3:])
        async with plane.ledger.store.read() as connection:
            assert (await rollouts.find_rollout(connection, old.rollout.id)) is not None


async def test_a_promoted_canary_keeps_everything_until_it_is_made_stable(tmp_path: Path) -> None:
    """Then the next canary begins at its first step."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        await plane.loop.tick()
        await plane.controller.command("fraud", Verb.PROMOTE, "", ALICE)
        await configure(plane, configuration(rollout={"duration": "9s"}))
        assert arms(plane)["canary"] == 1.0

    async with plane_on(tmp_path / "db", clock) as plane:
        assert arms(plane)["canary"] == 1.0
        await configure(plane, configuration(stable="v2", canary="v3"))
        await plane.loop.tick()
        assert arms(plane)["canary"] == 0.1
        assert plane.ledger.records["fraud"].rollout.canary == "v3"


async def test_every_change_of_weight_is_another_stage(tmp_path: Path) -> None:
    """Counts of different weights are never added up."""
    clock = FakeClock()
    stages = []
    async with plane_on(tmp_path / "db", clock) as plane:

        def stage() -> str:
            assert plane.ledger.table is not None
            return str(plane.ledger.table["arms"][0]["stage"])

        await configure(plane, configuration())
        stages.append(stage())
        await plane.loop.tick()
        stages.append(stage())
        for verb in (Verb.PROMOTE, Verb.ROLLBACK):
            await plane.controller.command("fraud", verb, "", ALICE)
            stages.append(stage())
        await plane.controller.command("fraud", Verb.RESTART, "fixed", ALICE)
        stages.append(stage())

    assert len(set(stages)) == len(stages)


async def test_commands_reach_a_rollout_by_its_route_and_its_id(tmp_path: Path) -> None:
    """An unknown name is answered with the names there are."""
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        await configure(plane, configuration())
        await plane.loop.tick()
        rollout = plane.ledger.records["fraud"].rollout

        paused = await plane.controller.command(rollout.id, Verb.PAUSE, "", ALICE)
        assert paused is not None
        assert paused.rollout.state is State.PAUSED
        with pytest.raises(UnknownRolloutError) as unknown:
            await plane.controller.command("rest", Verb.PAUSE, "", ALICE)
        assert unknown.value.known == ["fraud"]


async def test_a_decision_is_kept_with_all_it_was_made_from(tmp_path: Path) -> None:
    """Who, why, thresholds, digests, and the revision that carried it out."""
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        await configure(plane, configuration())
        await plane.loop.tick()
        await plane.controller.command("fraud", Verb.ROLLBACK, "users complain", ALICE)
        async with plane.ledger.store.read() as connection:
            rows = await rollouts.recent_decisions(connection, limit=10)
        body = orjson.loads(rows[0].body)

        assert [row.kind for row in rows] == ["rolled_back", "started"]
        assert (body["actor"], body["reason"]) == ("alice", "users complain")
        assert (body["from_weight"], body["to_weight"]) == (0.1, 0.0)
        assert body["revision"] == plane.ledger.revision
        assert body["config_digest"] == config_body(configuration())["digest"]
        assert [step["weight"] for step in body["plan"]["steps"]] == [0.1, 0.5, 1.0]
        assert body["plan"]["alpha"] == 0.01
        last = [event for event in await events(plane) if event["type"] == "rollout_rolled_back"][-1]
        assert last["details"]["decision"] == rows[0].id
        assert (last["actor"], last["address"], last["user_agent"]) == ("alice", "192.0.2.7", "test")


async def test_revisions_jump_over_what_a_proxy_has_seen(tmp_path: Path) -> None:
    """With a younger database, a proxy would take our tables for old ones."""
    body = config_body(configuration())
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        first = await plane.controller.configure(
            body["config"], digest=body["digest"], source="s", origin=ALICE, seen=41
        )
        again = await plane.controller.configure(
            body["config"], digest=body["digest"], source="s", origin=ALICE, seen=99
        )
        await plane.controller.skip_to(150)
        await plane.controller.skip_to(120)

        assert (first, again, plane.ledger.revision) == (42, 100, 151)
        assert plane.ledger.publisher.revision == 151
        assert (await types(plane)).count("revision_skipped") == 2


async def test_a_restart_publishes_the_same_table_again(tmp_path: Path) -> None:
    """What a proxy already has, it is not sent as something new."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        await plane.loop.tick()
        before = plane.ledger.publisher.newest

    async with plane_on(tmp_path / "db", clock) as plane:
        assert plane.ledger.publisher.newest == before
        assert await configure(plane, configuration()) == plane.ledger.revision
        assert plane.ledger.publisher.newest == before
        assert "rollout_plan_changed" not in await types(plane)


async def test_a_table_that_this_version_compiles_otherwise_is_published_anew(tmp_path: Path) -> None:
    """After an upgrade, nobody has to touch the configuration."""
    clock = FakeClock()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        async with plane.ledger.store.write() as connection:
            await connection.execute(text("UPDATE tables SET body = replace(body, '\"rest\"', '\"old\"')"))

    async with plane_on(tmp_path / "db", clock) as plane:
        assert plane.ledger.revision == 2
        assert plane.ledger.table is not None
        assert [route["name"] for route in plane.ledger.table["routes"]] == ["fraud", "rest"]


async def test_the_last_word_of_a_boot_is_on_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    """Its sender deletes the counts as soon as it has the answer."""
    clock = FakeClock()
    key = ArmKey("rest", "v1", "variant", "static-1")
    last = report(arm("v1", "variant", "static-1", ok=7, route="rest"), boot="gone", sequence=3, final=True)
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        assert (await plane.controller.take(parse_report(last))).accepted == 1

    async with plane_on(tmp_path / "db", clock) as plane:
        assert plane.ledger.collector.total(key).finished == 7
        assert (await plane.controller.take(parse_report(last))).stale == 1
        assert plane.ledger.collector.total(key).finished == 7


async def test_counts_of_weights_long_gone_are_on_disk_before_they_are_acknowledged(tmp_path: Path) -> None:
    """An agent stops reporting an arm once its last change was taken."""
    clock = FakeClock()
    key = ArmKey("fraud", "v2", "canary", "gone:0:1")
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration())
        await plane.controller.take(parse_report(report(arm("v2", "canary", "gone:0:1", ok=9))))

    async with plane_on(tmp_path / "db", clock) as plane:
        assert plane.ledger.collector.total(key).finished == 9
