"""Tests of a live agent: its workers, tables, snapshot, takeover and end."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.snapshot import read_snapshot, write_snapshot
from tests.helpers.agents import AgentProcess, UnansweredError, agent_process, agent_task
from tests.helpers.configurations import configuration
from tests.helpers.control_stand_in import ControlStandIn, control_stand_in
from tests.helpers.tables import table_for
from tests.helpers.waiting import until, until_async

NOBODY = (None, -1)
OK_V1 = 'headgate_requests_total{outcome="ok",role="stable",route="fraud",variant="v1"}'
LOST_V1 = 'headgate_lost_requests_total{role="stable",route="fraud",variant="v1"}'


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """An agent of two workers, not started yet."""
    async with agent_task(tmp_path, configuration(workers=2)) as agent:
        yield agent


@pytest.fixture
async def apart(tmp_path: Path) -> AsyncIterator[AgentProcess]:
    """The same in a process of its own, which can be killed."""
    async with agent_process(tmp_path, configuration(workers=2)) as agent:
        yield agent


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[ControlStandIn]:
    """A control beside the agent's state."""
    async with control_stand_in(tmp_path / "c.sock") as control:
        yield control


def table(agent: AgentProcess, revision: int, *, weight: float = 0.05, stage: str = "s0") -> dict[str, Any]:
    """What control would publish for the agent's configuration."""
    return table_for(agent.config, revision, weight=weight, stage=stage)


async def test_workers_serve_and_drain(apart: AgentProcess) -> None:
    """From start to end: workers accept, their counts show, SIGTERM ends everything and leaves nothing."""
    await apart.start()
    ready = await apart.ready()
    await apart.tell("count v1 3")

    metrics = await apart.metrics()
    code = await apart.stop()

    assert ready["workers"] == {"configured": 2, "ready": 2, "revision": 1}
    assert (ready["control"], ready["problems"], ready["revision"]) == ("none", [], 1)
    assert metrics[OK_V1] == 3
    assert metrics['headgate_variant_weight{role="canary",route="fraud",variant="v2"}'] == 0.05
    assert metrics["headgate_table_revision"] == 1
    assert code == 0
    assert apart.workers() == []
    assert list(apart.state.pages.iterdir()) == []


async def test_drain_waits_for_requests(agent: AgentProcess) -> None:
    """The agent ends after the last request in flight, not before, and says so on /readyz meanwhile."""
    await agent.start()
    await agent.ready()
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    writer.write(b"begin v1\n")
    slot = json.loads(await reader.readline())["slots"]["v1"]

    status, answer = await agent.call("POST", "/-/drain")
    await until(lambda: len(agent.workers()) == 1)
    unready, state = await agent.get("/readyz")
    live, _ = await agent.get("/livez")

    assert (status, answer) == (202, {"draining": True, "in_flight": 1})
    assert (unready, state["draining"], live) == (503, True, 200)
    assert agent.running
    writer.write(f"end {slot}\n".encode())
    await reader.readline()
    writer.close()
    assert await agent.ended() == 0


async def test_killed_worker_loses_no_count(agent: AgentProcess) -> None:
    """kill -9 of a worker: its counts stay, what it had in flight is said to be lost, another serves."""
    await agent.start()
    await agent.ready()
    victim = (await agent.tell("count v1 1000"))["pid"]
    while (await agent.tell("who"))["pid"] != victim:
        pass
    lost = 0
    for _ in range(8):
        lost += (await agent.tell("begin v1"))["pid"] == victim

    os.kill(victim, signal.SIGKILL)
    await until(lambda: victim not in {record.pid for record in agent.workers()})
    await until(lambda: len(agent.workers()) == 2)
    await agent.ready()

    metrics = await agent.metrics()
    assert metrics[OK_V1] == 1000
    assert metrics[LOST_V1] == lost
    assert metrics['headgate_in_flight_requests{role="stable",route="fraud",variant="v1"}'] == 8 - lost
    restarts = [v for name, v in metrics.items() if name.startswith("headgate_worker_restarts_total")]
    assert sorted(restarts) == [0, 1]
    await agent.tell("count v1 5")
    assert (await agent.metrics())[OK_V1] == 1005


async def test_hung_worker_is_replaced(agent: AgentProcess) -> None:
    """A worker whose loop stands still is killed and replaced."""
    await agent.start(options=("--hung-seconds", "2"))
    await agent.ready()
    victim = (await agent.tell("who"))["pid"]

    while await answers(agent, victim):
        await can_tell(agent, "stall", seconds=0.3)

    await until(lambda: victim not in {record.pid for record in agent.workers()})
    await agent.ready()
    # The other one may have been told to stall as well.
    assert (await agent.metrics())["headgate_workers_hung_total"] >= 1


async def test_worker_without_a_link_is_replaced(agent: AgentProcess) -> None:
    """A worker that hears no tables any more must not serve on by its last one."""
    await agent.start()
    await agent.ready()
    victim = (await agent.tell("deaf"))["pid"]

    await until(lambda: victim not in {record.pid for record in agent.workers()})

    await agent.ready()
    assert "has lost its link; replacing it" in agent.said()


async def answers(agent: AgentProcess, pid: int) -> bool:
    """Whether a worker answers in one of twenty tries."""
    for _ in range(20):
        with contextlib.suppress(OSError):
            if (await agent.tell("who", seconds=0.3))["pid"] == pid:
                return True
    return False


async def test_worker_that_cannot_start_ends_the_start(agent: AgentProcess) -> None:
    """Nothing half-started: the worker's own words, exit code 2, no process left."""
    await agent.start(environment={"HEADGATE_SCRIPT": "fail"})

    assert await agent.ended() == 2

    assert "does not start: worker cannot start: the script says so" in agent.said()
    assert agent.workers() == []


async def test_crash_loop_is_bounded_and_visible(agent: AgentProcess) -> None:
    """A worker that keeps dying is restarted ever more slowly, and the agent says what happens."""
    await agent.start()
    await agent.ready()
    for _ in range(6):
        await until_async(lambda: can_tell(agent, "exit 7"))

    metrics = await agent.metrics()
    _, state = await agent.get("/readyz")

    restarts = sum(v for name, v in metrics.items() if name.startswith("headgate_worker_restarts_total"))
    assert 4 <= restarts <= 6
    assert "ended: exit code 7" in agent.said()
    assert state["ready"] or any("exit code 7" in problem for problem in state["problems"])


async def can_tell(agent: AgentProcess, command: str, *, seconds: float = 10.0) -> bool:
    """Give a command, as soon as a worker takes it; an exit gives no answer."""
    try:
        await agent.tell(command, seconds=seconds)
    except UnansweredError:
        return True
    except (OSError, RuntimeError):
        return False
    return True


async def test_killed_agent_is_succeeded_without_a_gap(apart: AgentProcess) -> None:
    """kill -9 of the agent: its workers serve on until the next agent's accept, and no count is lost."""
    await apart.start()
    await apart.ready()
    port = apart.port
    old = {record.pid for record in apart.workers()}
    await apart.tell("count v1 100")
    await apart.kill()
    assert (await apart.tell("count v1 10", port=port))["pid"] in old

    await apart.start()
    answers = 0
    while {record.pid for record in apart.workers()} & old:
        # The kernel may reset what an old worker had not accepted yet; that request was never counted.
        with contextlib.suppress(ConnectionError):
            await apart.tell("count v1 1", port=port)
            answers += 1
    await apart.ready()

    assert apart.port == port
    assert answers > 0
    await until_async(lambda: metric_is(apart, OK_V1, 110 + answers), what=lambda: answers)
    await until_async(lambda: metric_is(apart, "headgate_earlier_boots", 0))
    assert (await apart.metrics())[OK_V1] == 110 + answers
    boots = {file.name.partition("-")[0].removesuffix(".json") for file in apart.state.pages.iterdir()}
    assert len(boots) == 1


async def metric_is(agent: AgentProcess, name: str, value: float) -> bool:
    """Whether a sample has a value."""
    return (await agent.metrics()).get(name) == value


async def test_counts_of_a_killed_agent_reach_control(apart: AgentProcess, control: ControlStandIn) -> None:
    """The old boot's last counts, orphans' requests included, arrive under its own name, once and final."""
    control.publish(table(apart, 1))
    await apart.start(control=control.socket)
    await apart.ready()
    port = apart.port
    boot = (await apart.tell("count v1 7"))["boot"]
    await until(lambda: (control.counted(boot, "v1") or {}).get("finished") == 7)
    before = max(report["sequence"] for report in control.reports)
    await apart.kill()
    await apart.tell("count v1 5", port=port)

    await apart.start(control=control.socket)
    await apart.ready()

    await until(lambda: any(report["final"] for report in control.reports))
    await until(lambda: not list(apart.state.pages.glob(f"{boot}*")))
    last = [report for report in control.reports if report["boot"] == boot][-1]
    (arm,) = [arm for arm in last["arms"] if arm["variant"] == "v1" and arm["role"] == "stable"]
    assert last["final"]
    assert last["sequence"] > before
    assert (arm["finished"], arm["lost"], arm["stage"]) == (12, 0, "s0")
    assert (await apart.metrics())[OK_V1] == 12


async def test_last_counts_wait_for_control(agent: AgentProcess, control: ControlStandIn) -> None:
    """Counts that control did not take before the end are kept, and sent by the next agent."""
    control.publish(table(agent, 1))
    await agent.start(control=control.socket)
    await agent.ready()
    boot = (await agent.tell("count v1 3"))["boot"]
    control.statistics_status = 503
    await agent.tell("count v1 4")
    assert await agent.stop() == 0
    assert list(agent.state.pages.glob(f"{boot}*"))

    control.statistics_status = 200
    await agent.start(control=control.socket)

    await until(lambda: (control.counted(boot, "v1") or {}).get("finished") == 7)
    await until(lambda: not list(agent.state.pages.glob(f"{boot}*")))


async def test_tables_of_control_reach_the_workers(agent: AgentProcess, control: ControlStandIn) -> None:
    """A published table is used by all workers and on disk; slots of a stage that is over are free again."""
    control.publish(table(agent, 1))
    await agent.start(control=control.socket)
    await agent.ready()
    first = (await agent.tell("count v2 2"))["slots"]

    for revision in range(2, 8):
        control.publish(table(agent, revision, weight=revision / 20, stage=f"s{revision}"))
        await until_async(lambda revision=revision: at_revision(agent, revision))  # type: ignore[misc]
    metrics = await agent.metrics()

    assert (await agent.tell("who"))["slots"].keys() == first.keys()
    assert metrics['headgate_variant_weight{role="canary",route="fraud",variant="v2"}'] == 7 / 20
    assert metrics['headgate_requests_total{outcome="ok",role="canary",route="fraud",variant="v2"}'] == 2
    snapshot = read_snapshot(agent.state.table)
    assert snapshot is not None
    assert snapshot["revision"] == 7
    # Three arms a stage: only the current stage holds slots once the others are quiet.
    await until_async(lambda: metric_is(agent, "headgate_slots_used", 3))
    stages = {arm["stage"] for report in control.reports for arm in report["arms"] if arm["finished"] == 2}
    assert stages == {"s0"}


async def at_revision(agent: AgentProcess, revision: int) -> bool:
    """Whether every worker routes by a table."""
    _, state = await agent.get("/readyz")
    return bool(state["workers"]["revision"] == revision)


async def test_table_that_a_worker_refuses(agent: AgentProcess, control: ControlStandIn) -> None:
    """A worker that cannot use a table says so, goes on with the old one, and takes the next."""
    control.publish(table(agent, 1))
    await agent.start(control=control.socket, environment={"HEADGATE_SCRIPT": "refuse=2"})
    await agent.ready()

    control.publish(table(agent, 2))
    await until_async(lambda: has_problem(agent, "table refused: 2 is not to the script's liking"))
    assert (await agent.get("/readyz"))[0] == 503
    assert (await agent.tell("who"))["revision"] == 1

    control.publish(table(agent, 3))
    await until_async(lambda: at_revision(agent, 3))
    await agent.ready()


async def has_problem(agent: AgentProcess, text: str) -> bool:
    """Whether /readyz tells of a problem."""
    _, state = await agent.get("/readyz")
    return isinstance(state, dict) and any(text in problem for problem in state.get("problems", []))


async def test_older_table_is_not_used(agent: AgentProcess, control: ControlStandIn) -> None:
    """A control whose store was set back does not take the proxies back with it."""
    control.publish(table(agent, 5))
    await agent.start(control=control.socket)
    await agent.ready()

    control.publish(table(agent, 4, weight=0.9))

    await until_async(lambda: has_problem(agent, "control offers table 4, older than table 5 in use"))
    assert (await agent.tell("who"))["revision"] == 5
    assert (await agent.metrics())['headgate_tables_refused_total{reason="stale"}'] >= 1


async def test_start_from_the_snapshot(agent: AgentProcess) -> None:
    """While control is away a proxy starts from the last table: what was rolled back stays so."""
    agent.state.make()
    rolled_back = table(agent, 41, weight=0.0, stage="rolled")
    write_snapshot(agent.state.table, rolled_back)

    await agent.start(control=agent.folder / "c.sock", control_wait=0.2)
    ready = await agent.ready()

    assert (ready["revision"], ready["control"]) == (41, "away")
    metrics = await agent.metrics()
    assert metrics['headgate_variant_weight{role="canary",route="fraud",variant="v2"}'] == 0.0
    assert metrics["headgate_control_connected"] == 0


async def test_damaged_snapshot_is_never_started_from(agent: AgentProcess) -> None:
    """A snapshot that was changed is said to be, and is not used; without control there is no start then."""
    agent.state.make()
    write_snapshot(agent.state.table, table(agent, 41))
    agent.state.table.write_text(agent.state.table.read_text().replace("0.05", "0.95"))

    await agent.start(control=agent.folder / "c.sock", control_wait=0.2)

    assert await agent.ended() == 2
    assert "digest does not match its table" in agent.said()
    assert "control did not answer within 0.2 s, and there is no earlier table" in agent.said()


async def test_snapshot_of_another_configuration(agent: AgentProcess, control: ControlStandIn) -> None:
    """With a changed configuration control is waited for; while it is away the last table serves."""
    agent.state.make()
    write_snapshot(agent.state.table, {**table(agent, 41), "config_digest": "sha256:older"})
    await control.stop()

    await agent.start(control=control.socket, control_wait=0.3)
    ready = await agent.ready()
    assert ready["revision"] == 41
    assert any("serving table 41, made from an earlier configuration" in p for p in ready["problems"])

    await control.start()
    control.publish(table(agent, 42))
    await until_async(lambda: at_revision(agent, 42))
    assert (await agent.ready())["problems"] == []


async def test_configuration_that_control_refuses_ends_a_first_start(
    agent: AgentProcess, control: ControlStandIn
) -> None:
    """What only control can find wrong is told at the start too, with exit code 2."""
    control.config_errors = [{"path": "routes[0].rollout", "problem": "steps fall", "remedy": "raise them"}]

    await agent.start(control=control.socket)

    assert await agent.ended() == 2
    assert "routes[0].rollout: steps fall; raise them" in agent.said()


async def test_configuration_that_control_refuses_after_a_restart(
    agent: AgentProcess, control: ControlStandIn
) -> None:
    """A restart with a refused configuration serves the last table at once, and tells what is wrong."""
    agent.state.make()
    write_snapshot(agent.state.table, {**table(agent, 41), "config_digest": "sha256:older"})
    control.config_errors = [{"path": "routes[0].rollout", "problem": "steps fall", "remedy": "raise them"}]

    await agent.start(control=control.socket)
    ready = await agent.ready()

    assert ready["revision"] == 41
    assert f"{agent.config}:16:3: routes[0].rollout: steps fall; raise them" in ready["problems"]
    assert any("control refuses the configuration; serving table 41" in text for text in ready["problems"])


async def test_faulty_configuration_ends_the_start(agent: AgentProcess) -> None:
    """A configuration that cannot be read, or whose split does not fit, is told with its place."""
    agent.config.write_text(configuration().replace("canary: v2", "canary: v9"))

    await agent.start()

    # Supervised or not: there is no configuration from before.
    assert await agent.ended() == 2
    assert f"{agent.config}:" in agent.said()
    assert "v9" in agent.said()


async def test_successor_of_an_agent_survives_a_faulty_file(apart: AgentProcess) -> None:
    """A faulty edit and then a killed agent: the next one serves the configuration before, and says so."""
    await apart.start()
    await apart.ready()
    apart.config.write_text(configuration().replace("canary: v2", "canary: v9"))
    await until(lambda: "configuration refused" in apart.said())
    await apart.kill()

    await apart.start()
    ready = await apart.ready()

    assert ready["revision"] == 1
    assert any("v9" in problem for problem in ready["problems"])
    apart.config.write_text(configuration(workers=2))
    await until_async(lambda: has_no_problem(apart))


async def has_no_problem(agent: AgentProcess) -> bool:
    """Whether /readyz has nothing to tell."""
    return not (await agent.get("/readyz"))[1]["problems"]


async def test_one_agent_a_state_directory(agent: AgentProcess) -> None:
    """A second agent on the same state is refused; the first one does not notice."""
    await agent.start()
    await agent.ready()
    first = agent.swap(NOBODY)

    await agent.start()

    assert await agent.ended() == 2
    assert "is in use by another Headgate (process" in agent.said()
    agent.swap(first)
    await agent.ready()


async def test_agent_ends_with_its_supervisor(agent: AgentProcess) -> None:
    """When the supervisor's end of the pipe closes, everything finishes by itself."""
    await agent.start()
    await agent.ready()

    agent.close_parent()

    assert await agent.ended() == 0
    assert "the supervisor is gone" in agent.said()
    assert agent.workers() == []


async def test_successor_need_not_wait_for_a_long_stream(agent: AgentProcess) -> None:
    """An agent without supervisor makes room for the next one while its workers finish; counts arrive."""
    await agent.start()
    await agent.ready()
    reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
    writer.write(b"begin v1\n")
    slot = json.loads(await reader.readline())["slots"]["v1"]
    agent.close_parent()
    await until(lambda: "the supervisor is gone" in agent.said())
    first = agent.swap(NOBODY)

    await agent.start()
    await agent.ready()
    second = agent.swap(first)
    writer.write(f"end {slot}\n".encode())
    await reader.readline()
    writer.close()
    assert await agent.ended() == 0
    agent.swap(second)

    await until_async(lambda: metric_is(agent, OK_V1, 1))
