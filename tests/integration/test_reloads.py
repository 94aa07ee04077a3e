"""Reloads of a running Headgate, by every way there is, under load: no request fails, nothing bad gets in."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.helpers.headgate import Headgate, headgate
from tests.helpers.load import Account, load, send
from tests.helpers.model_server import ModelServer, model_servers, upstreams
from tests.helpers.waiting import until, until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A Headgate with two workers whose only route goes to one of two model servers."""

    gate: Headgate
    servers: dict[str, ModelServer]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with model_servers("v1", "v2") as servers:
        config = {"workers": 2, "upstreams": upstreams(servers), "routes": routes("v1")}
        async with headgate(tmp_path_factory.mktemp("stage"), config) as gate:
            await gate.control_back()
            yield Stage(gate=gate, servers=servers)


def routes(upstream: str) -> list[dict[str, Any]]:
    return [{"name": "model", "upstream": upstream}]


async def in_force(gate: Headgate, upstream: str) -> bool:
    """Whether every worker routes by a table that names this upstream."""
    status, value = await gate.call("GET", "/readyz")
    table = gate.table()
    (arm,) = [arm for arm in table["arms"] if arm["route"] == "model"]
    return (
        status == 200
        and value["workers"]["revision"] == value["revision"] == table["revision"]
        and arm["variant"] == upstream
    )


async def swap(stage: Stage, how: Any, *, times: int = 3) -> None:
    """Change the configuration under load, back and forth, and see that only its target changes."""
    gate = stage.gate
    (now,) = {arm["variant"] for arm in gate.table()["arms"]}
    other = {"v1": "v2", "v2": "v1"}
    async with load(gate.port, "x", rate=300, clients=8) as traffic:
        for _ in range(times):
            now = other[now]
            await how(routes(now))
            await until_async(partial(in_force, gate, now), seconds=60, what=gate.said)
            served = stage.servers[other[now]].total
            wanted = traffic.account.count(variant=now) + 20
            await until(partial(_more, traffic.account, now, wanted), seconds=60)
            # Not one more than what was under way when the table changed.
            assert stage.servers[other[now]].total <= served + 8
    account = traffic.account
    assert account.not_ok == account.unanswered == account.refused == 0, account.errors
    assert account.count(variant="v1") > 0
    assert account.count(variant="v2") > 0


def _more(account: Account, variant: str, wanted: int) -> bool:
    return account.count(variant=variant) >= wanted


async def test_by_the_api(stage: Stage) -> None:
    """POST /-/reload answers when every change is in force."""
    gate = stage.gate

    async def order(wanted: list[dict[str, Any]]) -> None:
        gate.write(routes=wanted)
        # The file's change is noticed too; whichever is first applies it.
        assert (await gate.reload())["outcome"] in ("applied", "unchanged")

    await swap(stage, order)


async def test_by_signal(stage: Stage) -> None:
    """SIGHUP to the program is passed on to whom it concerns."""
    gate = stage.gate

    async def order(wanted: list[dict[str, Any]]) -> None:
        # In place: what a watcher might see half written is refused, and the signal comes afterwards.
        gate.write(routes=wanted)
        gate.send(signal.SIGHUP)

    await swap(stage, order)


async def test_by_a_change_of_the_file(stage: Stage) -> None:
    """An editor that saves is enough."""

    async def order(wanted: list[dict[str, Any]]) -> None:
        stage.gate.write(routes=wanted)

    await swap(stage, order)


async def test_by_an_order_while_many_others_come(stage: Stage) -> None:
    """A hundred orders at once are one after the other, and end in what the file says."""
    gate = stage.gate
    before = (await gate.get("/readyz"))["revision"]

    async with load(gate.port, "x", rate=200) as traffic:
        for _ in range(50):
            gate.send(signal.SIGHUP)
        answers = await asyncio.gather(*(gate.reload() for _ in range(20)))

    assert {answer["outcome"] for answer in answers} == {"unchanged"}
    assert (await gate.get("/readyz"))["revision"] == before
    assert traffic.account.not_ok == traffic.account.unanswered == 0


async def test_a_bad_file_changes_nothing(stage: Stage) -> None:
    """Each fault is named with its place; requests go where they went, and the next good file is taken."""
    gate = stage.gate
    good = gate.config.read_text()
    before = await gate.get("/readyz")

    async with load(gate.port, "x", rate=200) as traffic:
        for text, about in (
            (good.replace("upstream: v", "upstream: w"), "w"),
            (good + "no_such_key: 1\n", "no_such_key"),
            (good[: len(good) // 2] + "\n  ]", "headgate.yaml"),
            ("", "headgate.yaml"),
        ):
            gate.config.write_text(text)
            status, value = await gate.call("POST", "/-/reload")
            assert status == 422, value
            assert about in value["error"]["message"]
            assert "headgate.yaml:" in value["error"]["message"]
            ready = await gate.get("/readyz")
            assert ready["config_digest"] == before["config_digest"]
            assert ready["problems"]
        gate.config.unlink()
        assert (await gate.call("POST", "/-/reload"))[0] == 422
        gate.config.write_text(good)
        assert (await gate.reload())["outcome"] == "unchanged"

    assert traffic.account.not_ok == traffic.account.unanswered == 0
    assert (await gate.get("/readyz"))["problems"] == []
    assert (await gate.get("/readyz"))["revision"] == before["revision"]


async def test_by_a_swap_of_links(stage: Stage) -> None:
    """As Kubernetes changes a ConfigMap: file -> ..data -> a folder, and the middle link is replaced."""
    gate = stage.gate
    mount = gate.folder / "mount"
    mount.mkdir()
    number = 0

    def publish(wanted: list[dict[str, Any]]) -> None:
        nonlocal number
        number += 1
        version = mount / f"..2026_{number}"
        version.mkdir()
        gate.write(version / "headgate.yaml", routes=wanted)
        (mount / "..data_tmp").symlink_to(version.name)
        (mount / "..data_tmp").replace(mount / "..data")
        for old in mount.glob("..2026_*"):
            if old != version:
                _remove(old)

    (now,) = {arm["variant"] for arm in gate.table()["arms"]}
    publish(routes(now))
    (mount / "headgate.yaml").symlink_to("..data/headgate.yaml")
    # The place that the program was started with becomes a link into the mount.
    (gate.folder / "new").symlink_to("mount/headgate.yaml")
    (gate.folder / "new").replace(gate.config)

    async def order(wanted: list[dict[str, Any]]) -> None:
        publish(wanted)

    await swap(stage, order)


async def test_a_swap_of_colours_mixes_nothing(stage: Stage) -> None:
    """Blue-green, there and back at once: no request fails, and none gets a colour that was not live."""
    gate = stage.gate
    colours = {"blue": "v1", "green": "v2"}
    async with load(gate.port, "x", rate=300, clients=8) as traffic:
        account = traffic.account
        for live in ("blue", "green", "blue", "green", "blue"):
            split = {"kind": "blue_green", **colours, "live": live, "preview": "x-preview"}
            gate.write(routes=[{"name": "model", "split": split}])
            assert (await gate.reload())["outcome"] in ("applied", "unchanged")
            await until_async(partial(_live, gate, colours[live]), seconds=60, what=gate.said)
            dark = next(variant for variant in colours.values() if variant != colours[live])
            served, answered = stage.servers[dark].total, account.count(variant=dark)
            wanted = account.count(variant=colours[live]) + 20
            await until(partial(_more, account, colours[live], wanted), seconds=60)
            # Not one more than what was under way.
            assert stage.servers[dark].total <= served + 8
            assert account.count(variant=dark) <= answered + 8
            preview = await send(gate.port, "x", 3, headers={"x-preview": "1"})
            assert preview.count(variant=dark) == 3
    assert account.not_ok == account.unanswered == account.refused == 0, account.errors
    # Back to one upstream, as the other tests leave it.
    gate.write(routes=routes("v1"))
    await gate.reload()
    await until_async(partial(in_force, gate, "v1"), seconds=60, what=gate.said)


async def _live(gate: Headgate, variant: str) -> bool:
    """Whether every worker sends everything to this variant."""
    status, value = await gate.call("GET", "/readyz")
    table = gate.table()
    shares = {
        table["arms"][arm]["variant"]: weight
        for arm, weight in zip(
            table["routes"][0]["split"]["arms"], table["routes"][0]["split"]["weights"], strict=True
        )
    }
    return (
        status == 200
        and value["workers"]["revision"] == value["revision"] == table["revision"]
        and shares.get(variant) == 1.0
    )


async def test_all_of_it_was_served(stage: Stage) -> None:
    """After all these tables: every request was counted once, and no worker was lost on the way."""
    gate = stage.gate
    metrics = await gate.metrics()
    requests = sum(
        value for key, value in metrics.items() if key.startswith("headgate_requests_total{") and value
    )

    assert requests == sum(server.total for server in stage.servers.values())
    assert sum(v for k, v in metrics.items() if k.startswith("headgate_worker_restarts_total")) == 0
    assert sum(v for k, v in metrics.items() if k.startswith("headgate_internal_errors_total")) == 0
    assert (await send(gate.port, "x", 5)).not_ok == 0


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
