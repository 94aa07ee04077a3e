"""Tests of reloads of a live agent: by command, by file, by signal."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy import reloader
from tests.helpers.agents import AgentProcess, agent_process, agent_task
from tests.helpers.configurations import configuration
from tests.helpers.control_stand_in import ControlStandIn, control_stand_in
from tests.helpers.tables import table_for
from tests.helpers.waiting import until, until_async

CANARY = 'headgate_variant_weight{role="canary",route="fraud",variant="v2"}'


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """A ready agent without control."""
    async with agent_task(tmp_path, configuration()) as agent:
        await agent.start()
        await agent.ready()
        yield agent


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[ControlStandIn]:
    """A control."""
    async with control_stand_in(tmp_path / "c.sock") as control:
        yield control


@pytest.fixture
async def led(tmp_path: Path, control: ControlStandIn) -> AsyncIterator[AgentProcess]:
    """A ready agent that follows control."""
    async with agent_task(tmp_path, configuration()) as agent:
        control.publish(table_for(agent.config, 1))
        await agent.start(control=control.socket)
        await agent.ready()
        yield agent


def change(agent: AgentProcess, old: str = "weight: 0.05", new: str = "weight: 0.25") -> None:
    """Replace part of the configuration."""
    text = agent.config.read_text()
    assert old in text
    agent.config.write_text(text.replace(old, new))


async def weight_is(agent: AgentProcess, weight: float) -> bool:
    """Whether the table has a canary weight."""
    return (await agent.metrics()).get(CANARY) == weight


async def test_by_command(agent: AgentProcess) -> None:
    """POST /-/reload puts a changed file into use; unchanged, it says so."""
    assert (await agent.call("POST", "/-/reload"))[1]["outcome"] == "unchanged"
    change(agent)

    await until_async(lambda: weight_is(agent, 0.25))
    status, answer = await agent.call("POST", "/-/reload")

    assert (status, answer["restart_needed"]) == (200, [])
    assert answer["revision"] == (await agent.tell("who"))["revision"] == 2
    metrics = await agent.metrics()
    assert metrics['headgate_reloads_total{result="applied"}'] == 1
    assert metrics['headgate_reloads_total{result="unchanged"}'] >= 1


async def test_faulty_file_changes_nothing(agent: AgentProcess) -> None:
    """A faulty file is refused with its places and the old table serves; a good one ends the complaint."""
    change(agent, "canary: v2", "canary: v7")

    status, answer = await agent.call("POST", "/-/reload")

    assert status == 422
    error = answer["error"]
    assert error["code"] == "config_refused"
    assert all(problem.startswith(f"{agent.config}:") for problem in error["problems"])
    assert "v7" in error["message"]
    assert (await agent.tell("who"))["revision"] == 1
    status, state = await agent.get("/readyz")
    assert (status, state["problems"]) == (200, error["problems"])
    assert (await agent.metrics())['headgate_reloads_total{result="refused"}'] >= 1

    change(agent, "canary: v7", "canary: v2")
    await agent.call("POST", "/-/reload")
    assert (await agent.get("/readyz"))[1]["problems"] == []


async def test_missing_file_is_refused(agent: AgentProcess) -> None:
    """A file that has gone is a refusal, not an empty configuration."""
    agent.config.unlink()

    status, answer = await agent.call("POST", "/-/reload")

    assert status == 422
    assert "there is no such file" in answer["error"]["message"]


async def test_what_needs_a_restart_is_named(agent: AgentProcess) -> None:
    """Parts that are read at the start only are named in the answer and in the log."""
    change(agent, "workers: 1", "workers: 2")

    async def told() -> bool:
        _, answer = await agent.call("POST", "/-/reload")
        return bool(answer["restart_needed"] == ["workers"])

    await until_async(told)
    assert "workers: changes take effect at the next start" in agent.said()


async def test_by_signal(tmp_path: Path) -> None:
    """SIGHUP reloads."""
    async with agent_process(tmp_path, configuration()) as agent:
        await agent.start()
        await agent.ready()
        assert agent.process is not None

        agent.process.send_signal(signal.SIGHUP)

        await until(lambda: "reload: unchanged" in agent.said())
        assert await agent.stop() == 0


async def test_control_takes_a_changed_file(led: AgentProcess, control: ControlStandIn) -> None:
    """With control the file goes up, and the reload is over when the table made from it is in use."""
    change(led)
    await until(lambda: len(control.configs) == 2)
    control.publish(table_for(led.config, 2, weight=0.25))

    await until_async(lambda: weight_is(led, 0.25))

    assert control.configs[1]["config"]["routes"][0]["split"]["weight"] == 0.25
    await until_async(lambda: counted(led, "applied"))


async def counted(agent: AgentProcess, outcome: str) -> bool:
    """Whether a reload ended so."""
    return (await agent.metrics())[f'headgate_reloads_total{{result="{outcome}"}}'] >= 1


async def test_control_refuses_a_changed_file(led: AgentProcess, control: ControlStandIn) -> None:
    """What control refuses is not in force, here neither; what is wrong has its place in the file."""
    control.config_errors = [{"path": "routes.0.split", "problem": "steps fall", "remedy": "raise them"}]
    change(led)

    status, answer = await led.call("POST", "/-/reload")

    assert status == 422
    (problem,) = answer["error"]["problems"]
    place, _, what = problem.partition(": ")
    line, column = map(int, place.removeprefix(f"{led.config}:").split(":"))
    assert led.config.read_text().splitlines()[line - 1][column - 1 :].startswith("split:")
    assert what == "routes[0].split: steps fall; raise them"
    assert (await led.tell("who"))["revision"] == 1


async def test_change_while_control_is_away_waits_for_it(led: AgentProcess, control: ControlStandIn) -> None:
    """A change that control cannot take now is deferred, and taken when it is back."""
    await control.stop()
    change(led)

    await until_async(lambda: counted(led, "deferred"))
    assert (await led.tell("who"))["revision"] == 1

    await control.start()
    await until(lambda: len(control.configs) == 2)
    control.publish(table_for(led.config, 2, weight=0.25))
    await until_async(lambda: weight_is(led, 0.25))


async def test_control_that_takes_long_defers(
    led: AgentProcess, control: ControlStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that does not come in time is no failure: it is said to be on its way."""
    monkeypatch.setattr(reloader, "TABLE_WAIT_SECONDS", 0.1)
    change(led)

    status, answer = await led.call("POST", "/-/reload")

    assert status in (200, 202)
    assert answer["outcome"] in ("deferred", "unchanged")
    await until_async(lambda: counted(led, "deferred"))
    await asyncio.sleep(0)
