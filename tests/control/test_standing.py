"""Access, diversions and freezes: the log tells once when they begin and once when they end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from config.schema import Config
from control.audit.events import Origin
from control.plane import Plane
from control.reports import Report, parse_report
from control.standing import read_standing
from control.store.engine import Store
from tests.helpers.audit import everything, write
from tests.helpers.control import FakeClock, Proxies, configuration, configure, plane_on

AGENT = Origin(actor="agent")


async def told(store: Store, *kinds: str) -> list[tuple[str, str]]:
    """Type and resource of the events of these kinds, in order."""
    rows = [orjson.loads(record.body) for record in await everything(store)]
    return [(row["type"], row["resource_id"]) for row in rows if row["type"] in kinds]


def with_tokens(config: Config, *tokens: tuple[str, str, str]) -> Config:
    """The same, with tokens: name, role and the digit that its digest is made of."""
    named = [{"name": name, "role": role, "sha256": digit * 64} for name, role, digit in tokens]
    return Config.from_json(config.to_json() | {"admin": {"tokens": named}})


def with_freezes(config: Config, *freezes: dict[str, str]) -> Config:
    return Config.from_json(config.to_json() | {"freezes": list(freezes)})


async def test_tokens_that_come_change_and_go_are_told(tmp_path: Path) -> None:
    """By holder, with role and reason; also to a control process that has just started."""
    clock, plain = FakeClock(), configuration()
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, with_tokens(plain, ("ann", "viewer", "a"), ("bob", "admin", "b")))
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, with_tokens(plain, ("ann", "approver", "a"), ("bob", "admin", "c")))
        await configure(plane, with_tokens(plain, ("ann", "approver", "a")))
        store = plane.ledger.store
        assert await told(store, "access_granted", "access_revoked") == [
            ("access_granted", "ann"),
            ("access_granted", "bob"),
            ("access_revoked", "ann"),
            ("access_revoked", "bob"),
            ("access_granted", "ann"),
            ("access_granted", "bob"),
            ("access_revoked", "bob"),
        ]
        bodies = [orjson.loads(record.body) for record in await everything(store)]
        details = [body["details"] for body in bodies if body["type"].startswith("access_")]
        assert details[2] == {
            "role": "viewer",
            "reason": "its role is approver now, it was viewer",
            "token": "a" * 12,
        }
        assert details[3]["reason"] == "another token took its place"
        assert details[6]["reason"] == "it left the configuration"
        assert not any(b"a" * 64 in record.body for record in await everything(store)), "a whole digest"


async def test_what_is_reported_from_outside_stands_for_nothing(tmp_path: Path) -> None:
    """Whoever may write events cannot make Headgate believe that it had told of something."""
    async with plane_on(tmp_path / "db", FakeClock()) as plane:
        from control.audit.draft import read_draft

        body = {"type": "access_granted", "resource_id": "eve", "details": {"role": "admin"}}
        await write(plane.ledger.store, read_draft(body, source="api"))
        async with plane.ledger.store.read() as connection:
            assert (await read_standing(connection)).access == {}


def diverted(report: Report, variant: str, *, now: bool) -> Report:
    arms = tuple(replace(arm, diverted_now=now and arm.key.variant == variant) for arm in report.arms)
    return replace(report, arms=arms)


async def report(plane: Plane, proxies: Proxies, *, now: bool, final: bool = False) -> None:
    """What a proxy sends whose worker diverts v2, or does not, and the tick that follows."""
    table = plane.ledger.table
    assert table is not None
    proxies.serve(table, 50)
    plain: dict[str, Any] = proxies.report(revision=plane.ledger.revision, final=final)
    await plane.controller.take(diverted(parse_report(plain), "v2", now=now))
    await plane.loop.tick()


async def test_a_diversion_is_told_once_and_its_end_too(tmp_path: Path) -> None:
    """Over a restart of control as well: what was told is not told again, and is not taken for ended."""
    clock, proxies = FakeClock(), Proxies()
    config = configuration(rollout={"preset": "aggressive"})
    kinds = ("traffic_diverted", "traffic_restored")
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, config)
        await report(plane, proxies, now=False)
        for _ in range(3):
            clock.now += 1
            await report(plane, proxies, now=True)
        assert await told(plane.ledger.store, *kinds) == [("traffic_diverted", "fraud")]
        await plane.loop.save()
    async with plane_on(tmp_path / "db", clock) as plane:
        await plane.loop.tick()
        clock.now += 1
        await report(plane, proxies, now=True)
        assert await told(plane.ledger.store, *kinds) == [("traffic_diverted", "fraud")]
        await report(plane, proxies, now=False)
        await report(plane, proxies, now=True)
        await report(plane, proxies, now=True, final=True)
        assert await told(plane.ledger.store, *kinds) == [
            ("traffic_diverted", "fraud"),
            ("traffic_restored", "fraud"),
            ("traffic_diverted", "fraud"),
            ("traffic_restored", "fraud"),
        ]
        body = orjson.loads((await everything(plane.ledger.store))[-1].body)
        assert body["details"]["reason"] == "the proxy has ended"
        assert body["details"]["variant"] == "v2"


async def test_a_freeze_is_told_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    """By the clock, and by a configuration that no longer has it; once each, also over a restart."""
    clock = FakeClock()  # 2023-11-14T22:13:20Z
    party = {"name": "party", "since": "2023-11-14T22:13:30Z", "until": "2023-11-14T22:14:00Z"}
    always = {"name": "always"}
    kinds = ("freeze_began", "freeze_ended")
    async with plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, with_freezes(configuration(), party, always))
        await plane.loop.tick()
        clock.now += 15
        await plane.loop.tick()
        await plane.loop.tick()
    async with plane_on(tmp_path / "db", clock) as plane:
        await plane.loop.tick()
        assert await told(plane.ledger.store, *kinds) == [
            ("freeze_began", "always"),
            ("freeze_began", "party"),
        ]
        began = [orjson.loads(record.body) for record in await everything(plane.ledger.store)]
        untils = [each["details"]["until"] for each in began if each["type"] == "freeze_began"]
        assert untils == ["", "2023-11-14T22:14:00.000000Z"]
        clock.now += 30
        await plane.loop.tick()
        await configure(plane, configuration())
        await plane.loop.tick()
        assert (await told(plane.ledger.store, *kinds))[2:] == [
            ("freeze_ended", "party"),
            ("freeze_ended", "always"),
        ]
        ended = [orjson.loads(record.body)["details"] for record in await everything(plane.ledger.store)]
        assert [each["reason"] for each in ended if "reason" in each][-2:] == [
            "its time is over",
            "it left the configuration",
        ]
