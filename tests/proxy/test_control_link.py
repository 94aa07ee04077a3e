"""Tests of the line to control, against a live server on a Unix socket."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.load import Loaded, load_file
from proxy import control_link
from proxy.control_link import ConfigRefusedError, ControlAwayError, ControlLink
from tests.helpers.configurations import configuration
from tests.helpers.control_stand_in import ControlStandIn, control_stand_in
from tests.helpers.waiting import until


def table(revision: int) -> dict[str, Any]:
    """As much of a table as the link looks at."""
    return {"revision": revision, "config_digest": "sha256:x", "arms": []}


class Side:
    """An agent's side of the line, and what came over it."""

    def __init__(self, socket: Path, loaded: Loaded) -> None:
        self.tables: list[int] = []
        self.refusals: list[list[str]] = []
        self.revision = 0
        self.link = ControlLink(
            socket,
            loaded=lambda: loaded,
            revision=lambda: self.revision,
            on_table=self._on_table,
            on_refused=self.refusals.append,
        )

    def _on_table(self, table: dict[str, Any]) -> None:
        self.revision = table["revision"]
        self.tables.append(table["revision"])


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """A configuration."""
    path = tmp_path / "headgate.yaml"
    path.write_text(configuration())
    return load_file(path, os.environ)


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[ControlStandIn]:
    """A control that listens."""
    async with control_stand_in(tmp_path / "control.sock") as control:
        yield control


@pytest.fixture
async def side(tmp_path: Path, loaded: Loaded) -> AsyncIterator[Side]:
    """An agent's side that does not follow yet."""
    side = Side(tmp_path / "control.sock", loaded)
    yield side
    await side.link.close()


@pytest.fixture
async def following(side: Side) -> AsyncIterator[Side]:
    """An agent's side that follows."""
    async with followed(side):
        yield side


@contextlib.asynccontextmanager
async def followed(side: Side) -> AsyncIterator[None]:
    """Follow control for a while."""
    task = asyncio.ensure_future(side.link.follow())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_configuration_goes_up_first(control: ControlStandIn, side: Side, loaded: Loaded) -> None:
    """Control gets the configuration, and how far this proxy is, before it is asked for tables."""
    side.revision = 41

    async with followed(side):
        await until(lambda: control.watches == 1)

    (sent,) = control.configs
    assert sent["digest"] == loaded.digest
    assert sent["source"].endswith("headgate.yaml")
    assert sent["config"] == loaded.config.to_json()
    assert sent["revision"] == 41
    assert side.link.connected is True


async def test_tables_come_down(control: ControlStandIn, following: Side) -> None:
    """Each table that control publishes arrives."""
    control.publish(table(3))
    await until(lambda: following.tables == [3])

    control.publish(table(4))

    await until(lambda: following.tables == [3, 4])


async def test_control_that_comes_late_is_found(tmp_path: Path, following: Side) -> None:
    """An agent may start first; it knows that control is away until it comes."""
    await until(lambda: following.link.connected is False)
    assert "no such file" in following.link.trouble

    async with control_stand_in(tmp_path / "control.sock") as control:
        control.publish(table(1))
        await until(lambda: following.tables == [1])
        assert following.link.connected is True
        assert following.link.trouble == ""


async def test_control_that_comes_back_is_told_everything(control: ControlStandIn, following: Side) -> None:
    """After a restart of control the configuration goes up again, and only newer tables come down."""
    control.publish(table(3))
    await until(lambda: following.tables == [3])
    await control.stop()
    await until(lambda: following.link.connected is False)

    await control.start()
    await until(lambda: len(control.configs) == 2)
    control.publish(table(5))

    await until(lambda: following.tables == [3, 5])
    assert control.configs[1]["revision"] == 3
    assert following.link.reconnects == 1


async def test_silent_line_is_given_up(
    control: ControlStandIn, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line without heartbeats is dead, even if nobody closed it."""
    monkeypatch.setattr(control_link, "WATCH_SILENCE_SECONDS", 0.4)
    async with followed(side):
        await until(lambda: control.watches == 1)

        control.silent = True

        await until(lambda: control.watches > 1)


async def test_refused_configuration_is_told_in_words(
    tmp_path: Path, control: ControlStandIn, following: Side
) -> None:
    """What control finds wrong reaches the operator with its place; the tables from before still come."""
    control.config_errors = [
        {"path": "routes.0.split", "problem": "steps fall", "remedy": "write them rising"},
        {"path": "", "problem": "it is Monday", "remedy": ""},
        "something else",
    ]
    control.publish(table(2))

    await until(lambda: following.refusals)
    await until(lambda: following.tables == [2])

    file = str(tmp_path / "headgate.yaml")
    (line,) = (
        n for n, text in enumerate(configuration().splitlines(), 1) if text.strip().startswith("split:")
    )
    column = configuration().splitlines()[line - 1].index("split:") + 1
    assert following.refusals[0] == [
        f"{file}:{line}:{column}: routes[0].split: steps fall; write them rising",
        f"{file}:1:1: it is Monday",
        "something else",
    ]


async def test_put_config_says_what_became_of_it(control: ControlStandIn, side: Side, loaded: Loaded) -> None:
    """A reload gets a revision, a refusal, or the news that control is away."""
    control.publish(table(9))
    assert await side.link.put_config(loaded) == 9

    control.config_errors = []
    with pytest.raises(ConfigRefusedError, match="control refused the configuration"):
        await side.link.put_config(loaded)

    await control.stop()
    with pytest.raises(ControlAwayError, match="PUT /v1/config"):
        await side.link.put_config(loaded)


async def test_statistics_arrive_or_fail(control: ControlStandIn, side: Side) -> None:
    """A report is stored only when control says so."""
    await side.link.post_statistics({"boot": "x", "arms": []})
    assert control.reports == [{"boot": "x", "arms": []}]

    control.statistics_status = 503
    with pytest.raises(ControlAwayError, match="answered 503"):
        await side.link.post_statistics({"boot": "x", "arms": []})


@pytest.mark.parametrize(
    "payload", [b'{"revision":1}', b'{"revision":"1","config_digest":"","arms":[]}', b"[]", b"{", b"7"]
)
async def test_what_is_no_table_is_not_used(control: ControlStandIn, following: Side, payload: bytes) -> None:
    """A table without its parts is not handed on; the line begins anew."""
    await until(lambda: control.watches == 1)
    control.payload = payload

    control.publish(table(1))

    await until(lambda: control.watches > 1)
    assert following.tables == []
