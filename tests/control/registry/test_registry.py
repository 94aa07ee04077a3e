"""Registering, finding and moving releases, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control.audit.canonical import digest
from control.errors import DuplicateError, InvalidError, NotApprovedError, NotFoundError, TransitionError
from control.store.releases import ReleaseFilter
from tests.helpers.registry import SOME, Bench, People, draft, in_production


async def test_a_registered_release_keeps_everything_said_about_it(shelf: Bench, people: People) -> None:
    """Metadata, digests, lineage and who and when come back as they were given."""
    parent = await shelf.registry.register(draft("1.0.0"), people.alice)
    given = draft(
        "2.0.0",
        framework="sklearn",
        description="Zwei Wälder, größer.\nSecond line",
        uri="s3://training/run-7",
        metrics={"auc": 0.91, "latency_ms": 12},
        tags={"team": "risk", "gpu": ""},
        config={"threshold": 0.5, "features": ["amount", "hour"]},
        endpoints=["http://127.0.0.1:9001"],
        parents=["fraud:1.0.0"],
        dataset="transactions-2026-05",
        commit="0123abc",
    )

    await shelf.registry.register(given, people.alice)
    found = (await shelf.registry.get("fraud:2.0.0")).to_json()

    assert found["created_by"] == "alice"
    assert found["created_at"] == "2023-11-14T22:13:20.000000Z"
    assert found["stage"] == "development"
    assert found["artifact"]["digest"] == SOME.digest
    assert found["config_digest"] == digest(given.config)
    assert found["metrics"] == {"auc": 0.91, "latency_ms": 12.0}
    assert found["tags"] == {"team": "risk", "gpu": ""}
    assert found["endpoints"] == ["http://127.0.0.1:9001"]
    assert found["lineage"] == {
        "parents": [parent.label],
        "dataset": "transactions-2026-05",
        "commit": "0123abc",
    }
    assert found["approval_status"] is None
    assert [step["to"] for step in found["history"]] == ["development"]
    assert await shelf.told() == [
        ("model_registered", "alice", "fraud:1.0.0"),
        ("model_registered", "alice", "fraud:2.0.0"),
    ]


async def test_known_defect_registering_again_overwrote_production(shelf: Bench, people: People) -> None:
    """A version is registered once, whoever comes and however it is written; nothing of it changes."""
    await in_production(shelf, "1.0.0", people)
    before = await shelf.registry.get("fraud:1.0.0")

    for version in ("1.0.0", "v1.0.0", "1"):
        with pytest.raises(DuplicateError, match=r"fraud:1\.0\.0 is registered since .*another version"):
            await shelf.registry.register(draft(version, description="other"), people.bob)

    assert await shelf.registry.get("fraud:1.0.0") == before


async def test_known_defect_names_with_an_underscore_could_not_be_found(shelf: Bench, people: People) -> None:
    """Name and version are columns, not parts of a file's name."""
    for name in ("fraud_detector", "fraud", "fraud_detector_v2"):
        await shelf.registry.register(draft("1.0.0", name), people.alice)

    assert (await shelf.registry.get("fraud_detector:1.0.0")).release.name == "fraud_detector"
    assert (await shelf.registry.latest("fraud_detector")).release.label == "fraud_detector:1.0.0"
    found = await shelf.registry.page(ReleaseFilter(contains="d_d"))
    assert [each.release.name for each in found] == ["fraud_detector", "fraud_detector_v2"]


async def test_latest_is_the_highest_version_not_the_last_one(shelf: Bench, people: People) -> None:
    """v10 is newer than v9, a patch of an old version is not, and a pre-release only when asked for."""
    for version in ("v10", "v9", "v2.1.0", "v11.0.0-rc.1"):
        await shelf.registry.register(draft(version), people.alice)

    assert (await shelf.registry.latest("fraud")).release.version == "v10"
    assert (await shelf.registry.get("fraud@latest")).release.version == "v10"
    assert (await shelf.registry.latest("fraud", prereleases=True)).release.version == "v11.0.0-rc.1"
    page = await shelf.registry.page(ReleaseFilter(name="fraud"), limit=2, offset=1)
    assert [each.release.version for each in page] == ["v10", "v9"]
    with pytest.raises(NotFoundError, match=r"no release of 'fraud' in production"):
        await shelf.registry.latest("fraud", stage="production")
    with pytest.raises(NotFoundError, match="approved release"):
        await shelf.registry.latest("fraud", approved=True)


async def test_opaque_versions_are_ordered_by_time(shelf: Bench, people: People) -> None:
    """A model whose versions are words has its newest one, too."""
    await shelf.configure({"registry": {"models": {"llm": {"versions": "opaque"}}}})
    for version in ("zebra", "1.0.0", "aardvark"):
        await shelf.registry.register(draft(version, "llm"), people.alice)

    assert (await shelf.registry.latest("llm")).release.version == "aardvark"
    assert (await shelf.registry.get("llm:zebra")).release.version == "zebra"
    with pytest.raises(InvalidError, match="not a semantic version"):
        await shelf.registry.register(draft("zebra"), people.alice)


async def test_releases_are_listed_by_what_is_asked(shelf: Bench, people: People) -> None:
    """Stage, tag, metric and alias each choose; together they must all hold."""
    for number, auc in ((1, 0.7), (2, 0.8), (3, 0.9)):
        tags = {"team": "risk" if number < 3 else "ads"}
        await shelf.registry.register(draft(f"{number}.0.0", metrics={"auc": auc}, tags=tags), people.alice)
    await shelf.registry.promote("fraud:2.0.0", "staging", people.alice)
    await shelf.aliases.move("fraud", "champion", "3.0.0", people.alice)

    async def versions(**wanted: object) -> list[str]:
        found = await shelf.registry.page(ReleaseFilter(**wanted))  # type: ignore[arg-type]
        assert len(found) == await shelf.registry.count(ReleaseFilter(**wanted))  # type: ignore[arg-type]
        return [each.release.version for each in found]

    assert await versions(stage="staging") == ["2.0.0"]
    assert await versions(tag=("team", "risk")) == ["2.0.0", "1.0.0"]
    assert await versions(tag=("team", None)) == ["3.0.0", "2.0.0", "1.0.0"]
    assert await versions(metric=("auc", ">=", 0.8)) == ["3.0.0", "2.0.0"]
    assert await versions(metric=("auc", "<", 0.8)) == ["1.0.0"]
    assert await versions(alias="champion") == ["3.0.0"]
    assert await versions(stage="staging", tag=("team", "ads")) == []
    assert await versions(contains="%") == []


async def test_stages_are_left_only_where_the_graph_leads(shelf: Bench, people: People) -> None:
    """A refused move says where the release could go, and changes nothing."""
    await shelf.registry.register(draft(), people.alice)

    with pytest.raises(TransitionError, match="from development to production; it can go to staging, arc"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)
    with pytest.raises(InvalidError, match="no stage 'prod'; use one of: development, staging"):
        await shelf.registry.promote("fraud:1.0.0", "prod", people.alice)
    with pytest.raises(TransitionError, match="in development already"):
        await shelf.registry.promote("fraud:1.0.0", "development", people.alice)
    with pytest.raises(NotFoundError, match="fraud:7"):
        await shelf.registry.promote("fraud:7", "staging", people.alice)
    assert len((await shelf.registry.get("fraud:1.0.0")).history) == 1

    await shelf.registry.promote("fraud:1.0.0", "staging", people.bob, reason="tested")
    found = (await shelf.registry.get("fraud:1.0.0")).to_json()
    assert (found["stage"], found["history"][-1]["actor"], found["history"][-1]["reason"]) == (
        "staging",
        "bob",
        "tested",
    )


async def test_a_configured_graph_replaces_the_built_in_one(shelf: Bench, people: People) -> None:
    """Stages are whatever the configuration in force says."""
    stages = {"lab": {"to": ["live"]}, "live": {"to": ["archived"], "single": True}, "archived": {"to": []}}
    await shelf.configure({"registry": {"stages": stages}})
    await shelf.registry.register(draft(), people.alice)

    live = await shelf.registry.promote("fraud:1.0.0", "live", people.alice)

    assert live.stage == "live"
    with pytest.raises(InvalidError, match="no stage 'staging'"):
        await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)


async def test_one_release_is_in_production_and_the_one_before_can_come_back(
    shelf: Bench, people: People
) -> None:
    """Going back needs nobody's approval, moves the alias, and is told as what it is."""
    await in_production(shelf, "1.0.0", people)
    await in_production(shelf, "2.0.0", people)
    assert (await shelf.registry.get("fraud:1.0.0")).release.stage == "archived"
    assert (await shelf.registry.get("fraud@prod")).release.version == "2.0.0"

    back = await shelf.registry.rollback("fraud", people.carol, reason="too slow")

    assert back.label == "fraud:1.0.0"
    assert (await shelf.registry.get("fraud@prod")).release.version == "1.0.0"
    assert (await shelf.registry.get("fraud:2.0.0")).release.stage == "archived"
    event = [each for each in await shelf.events() if each["type"] == "model_rolled_back"]
    assert event[0]["resource_id"] == "fraud:2.0.0"
    assert event[0]["details"]["replaced_by"] == "fraud:1.0.0"
    assert event[0]["details"]["reason"] == "too slow"
    # Forward again is also going back to what was there before.
    assert (await shelf.registry.rollback("fraud", people.carol)).label == "fraud:2.0.0"


async def test_without_a_release_before_there_is_nothing_to_go_back_to(shelf: Bench, people: People) -> None:
    """The error says so; a stage that holds many has no release before."""
    await in_production(shelf, "1.0.0", people)

    with pytest.raises(TransitionError, match="production of fraud has held no other release"):
        await shelf.registry.rollback("fraud", people.alice)
    with pytest.raises(InvalidError, match="staging may hold several"):
        await shelf.registry.rollback("fraud", people.alice, stage="staging")


async def test_what_leaves_production_can_come_back_to_it(shelf: Bench, people: People) -> None:
    """Archiving the only release takes the alias away, and rolling back undoes it."""
    await in_production(shelf, "1.0.0", people)

    await shelf.registry.archive("fraud:1.0.0", people.alice, reason="end of life")
    with pytest.raises(NotFoundError):
        await shelf.registry.get("fraud@prod")

    assert (await shelf.registry.rollback("fraud", people.alice)).stage == "production"
    assert (await shelf.registry.get("fraud@prod")).release.version == "1.0.0"


async def test_an_archived_release_starts_over(shelf: Bench, people: People) -> None:
    """It is not lost, and does not get back to production without approval."""
    await shelf.registry.register(draft(), people.alice)
    await shelf.registry.archive("fraud:1.0.0", people.alice)

    with pytest.raises(TransitionError, match="from archived to production"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)
    await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)
    with pytest.raises(NotApprovedError, match="nobody has asked"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)


async def test_lineage_leads_up_and_down(shelf: Bench, people: People) -> None:
    """All ancestors, direct children; a parent must exist and be named by its version."""
    await shelf.registry.register(draft("1.0.0", "base"), people.alice)
    await shelf.registry.register(draft("1.0.0", parents=["base:1.0.0"]), people.alice)
    await shelf.registry.register(draft("2.0.0", parents=["fraud:v1", "base:1"], dataset="d"), people.alice)

    lineage = await shelf.registry.lineage("fraud:2.0.0")
    assert lineage["ancestors"] == {
        "fraud:2.0.0": ["base:1.0.0", "fraud:1.0.0"],
        "fraud:1.0.0": ["base:1.0.0"],
        "base:1.0.0": [],
    }
    assert (await shelf.registry.lineage("base:1.0.0"))["children"] == ["fraud:1.0.0", "fraud:2.0.0"]
    with pytest.raises(NotFoundError, match="parent other:1 is not registered"):
        await shelf.registry.register(draft("3.0.0", parents=["other:1"]), people.alice)
    with pytest.raises(InvalidError, match="may name another release tomorrow"):
        await shelf.registry.register(draft("3.0.0", parents=["base@latest"]), people.alice)


async def test_the_database_itself_refuses_to_change_a_release(shelf: Bench, people: People) -> None:
    """Whoever writes past the registry meets a trigger."""
    await shelf.registry.register(draft(metrics={"auc": 0.5}), people.alice)

    for statement in (
        "UPDATE releases SET artifact_digest = 'sha256:other'",
        "UPDATE releases SET \"commit\" = 'other'",
        "DELETE FROM releases",
        "UPDATE release_metrics SET value = 1.0",
        "DELETE FROM release_moves",
    ):
        with pytest.raises(DBAPIError, match="what is registered never changes"):
            async with shelf.store.write() as connection:
                await connection.execute(text(statement))
