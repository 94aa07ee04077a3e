"""Tests of the live admin address: who may, what is answered, what control sees, what scrapers get."""

import contextlib
import hashlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.agents import AgentProcess, agent_task
from tests.helpers.configurations import configuration
from tests.helpers.control_stand_in import ControlStandIn, control_stand_in
from tests.helpers.metrics import parse_openmetrics, promtool
from tests.helpers.tables import table_for
from tests.helpers.waiting import until_async

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
ROLES = ("viewer", "operator", "approver", "admin")

StartAgent = Callable[..., Awaitable[AgentProcess]]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[contextlib.AsyncExitStack]:
    """Ends what a test has started, last first."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def start(tmp_path: Path, stack: contextlib.AsyncExitStack) -> StartAgent:
    """Starts a ready agent, with tokens if asked, and with a control if one is given."""

    async def start(*, tokens: bool = False, control: ControlStandIn | None = None) -> AgentProcess:
        admin: dict[str, Any] = {"bind": "127.0.0.1:0"}
        if tokens:
            admin["tokens"] = [
                {"name": f"{role}-1", "sha256": hashlib.sha256(role.encode()).hexdigest(), "role": role}
                for role in ROLES
            ]
        agent = await stack.enter_async_context(agent_task(tmp_path, configuration(admin=admin)))
        if control is not None:
            control.publish(table_for(agent.config, 1))
        await agent.start(control=control.socket if control is not None else None)
        await until_async(lambda: is_ready(agent))
        return agent

    return start


async def is_ready(agent: AgentProcess) -> bool:
    """Whether the probe says yes, which needs no token."""
    return (await agent.get("/readyz"))[0] == 200


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[ControlStandIn]:
    """A control."""
    async with control_stand_in(tmp_path / "c.sock") as control:
        yield control


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def error_of(answer: Any) -> str:
    """The code of an error, whose message and remedy are there."""
    error = answer["error"]
    assert error["message"]
    assert error["remedy"]
    return str(error["code"])


async def test_open_on_loopback(start: StartAgent, control: ControlStandIn) -> None:
    """Without tokens everyone on this machine may do everything, under the name `local`."""
    agent = await start(control=control)

    status, answer = await agent.call("POST", "/v1/rollouts/fraud/pause", data=b'{"reason":"x"}')

    assert (status, answer) == (200, {"path": "/v1/rollouts/fraud/pause"})
    method, path, headers, body = control.forwarded[-1]
    assert (method, path, body) == ("POST", "/v1/rollouts/fraud/pause", b'{"reason":"x"}')
    assert headers["X-Headgate-Actor"] == "local"
    assert headers["X-Headgate-Role"] == "admin"
    assert headers["X-Headgate-Address"] == "127.0.0.1"


async def test_an_order_is_answered_when_workers_route_by_it(
    start: StartAgent, control: ControlStandIn
) -> None:
    """Whoever has the answer may rely on it with the next request; a table that never comes ends the wait."""
    agent = await start(control=control)

    for revision in range(2, 6):
        control.ordered = table_for(agent.config, revision)
        assert (await agent.call("POST", "/v1/rollouts/fraud/rollback"))[0] == 200
        assert (await agent.get("/readyz"))[1]["workers"]["revision"] == revision

    never = table_for(agent.config, 6)
    control.ordered = {**never, "arms": None, "revision": 9}
    assert (await agent.call("POST", "/v1/rollouts/fraud/rollback"))[0] == 200


async def test_actor_comes_from_the_token_alone(start: StartAgent, control: ControlStandIn) -> None:
    """What a client says of itself never reaches control, nor does the token."""
    agent = await start(tokens=True, control=control)
    forged = {
        "X-Headgate-Actor": "root",
        "x-headgate-role": "admin",
        "X-Headgate-Address": "1.2.3.4",
        "X-Forwarded-For": "1.2.3.4",
        "Cookie": "a=b",
    }

    await agent.get("/v1/status", {**bearer("viewer"), **forged})

    headers = control.forwarded[-1][2]
    assert headers["X-Headgate-Actor"] == "viewer-1"
    assert headers["X-Headgate-Role"] == "viewer"
    assert headers["X-Headgate-Address"] == "127.0.0.1"
    assert not {"Authorization", "Cookie", "X-Forwarded-For"} & headers.keys()
    assert sum(name.lower().startswith("x-headgate") for name in headers) == 3


async def test_roles(start: StartAgent, control: ControlStandIn) -> None:
    """Viewers read, operators also steer, only administrators reload and drain."""
    agent = await start(tokens=True, control=control)

    allowed = {}
    for role in ROLES:
        read, _ = await agent.get("/v1/status", bearer(role))
        steer, _ = await agent.call("POST", "/v1/rollouts/fraud/pause", bearer(role))
        reload, _ = await agent.call("POST", "/-/reload", bearer(role))
        allowed[role] = (read, steer, reload)

    assert allowed == {
        "viewer": (200, 403, 403),
        "operator": (200, 200, 403),
        "approver": (200, 200, 403),
        "admin": (200, 200, 200),
    }


async def test_without_token_only_probes_and_local_metrics(
    start: StartAgent, control: ControlStandIn
) -> None:
    """With tokens a stranger learns whether we live, and on loopback the metrics, but no details."""
    agent = await start(tokens=True, control=control)

    assert (await agent.get("/livez")) == (200, {"live": True})
    assert (await agent.get("/readyz")) == (200, {"ready": True})
    assert (await agent.get("/metrics"))[0] == 200
    for method, path in (("GET", "/"), ("GET", "/v1/status"), ("POST", "/-/drain"), ("POST", "/livez")):
        status, answer = await agent.call(method, path)
        assert (status, error_of(answer)) == (401, "token_missing"), (method, path)
    assert control.forwarded == []
    _, details = await agent.get("/readyz", bearer("viewer"))
    assert details["control"] == "connected"


async def test_guessing_is_slowed_down(start: StartAgent) -> None:
    """After some wrong tokens an address has to wait, and the refusals are counted."""
    agent = await start(tokens=True)

    answers = [await agent.get("/v1/status", bearer(f"guess{number}")) for number in range(8)]

    assert [status for status, _ in answers] == [401] * 6 + [429] * 2
    assert error_of(answers[0][1]) == "token_wrong"
    assert error_of(answers[7][1]) == "too_many_failures"
    metrics = await agent.metrics()
    assert metrics['headgate_admin_requests_refused_total{reason="token_wrong"}'] == 6
    assert metrics['headgate_admin_requests_refused_total{reason="too_many_failures"}'] == 2


async def test_hostile_pages_are_refused(start: StartAgent, control: ControlStandIn) -> None:
    """A page that resolves to us, or posts to us from elsewhere, gets nothing, also without tokens."""
    agent = await start(control=control)

    status, answer = await agent.get("/v1/status", {"Host": "evil.example"})
    assert (status, error_of(answer)) == (421, "host_not_ours")
    status, answer = await agent.call("POST", "/-/reload", {"Origin": "http://evil.example"})
    assert (status, error_of(answer)) == (403, "cross_site")
    status, answer = await agent.call("POST", "/v1/x", {"Sec-Fetch-Site": "cross-site"})
    assert (status, error_of(answer)) == (403, "cross_site")
    status, _ = await agent.call("POST", "/v1/x", {"Origin": agent.admin})
    assert status == 200
    assert [path for _, path, _, _ in control.forwarded] == ["/v1/x"]


@pytest.mark.parametrize("path", ["/v1/config", "/v1/watch?revision=0", "/v1/%63onfig", "//v1/config"])
async def test_the_line_to_control_is_not_for_others(
    start: StartAgent, control: ControlStandIn, path: str
) -> None:
    """Nobody hands control a configuration or statistics through the admin address."""
    agent = await start(control=control)
    configs = len(control.configs)

    for method in ("GET", "PUT", "POST"):
        status, answer = await agent.call(method, path, data=b"{}")
        assert status in (400, 404)
        assert error_of(answer) in ("path_invalid", "not_found")

    assert len(control.configs) == configs


async def test_control_is_away(start: StartAgent, control: ControlStandIn) -> None:
    """While control is away its paths say so, in JSON, and the proxy's own go on."""
    agent = await start(control=control)
    await control.stop()

    status, answer = await agent.get("/v1/status")

    assert (status, error_of(answer)) == (503, "control_away")
    # A person who looks at the page is told the same, and the page comes by itself when it can.
    browser = {"Accept": "text/html,*/*;q=0.8"}
    status, page = await agent.get("/", browser)
    assert (status, "Control does not answer" in page, 'http-equiv="refresh"' in page) == (503, True, True)
    assert error_of((await agent.get("/v1/status", browser))[1]) == "control_away"
    assert (await agent.get("/readyz"))[0] == 200
    assert (await agent.metrics())["headgate_ready"] == 1
    await until_async(lambda: says(agent, "control is away"))


async def says(agent: AgentProcess, text: str) -> bool:
    """Whether /readyz tells of a problem."""
    return any(text in problem for problem in (await agent.get("/readyz"))[1]["problems"])


async def test_there_is_no_control(start: StartAgent) -> None:
    """A proxy that runs without control says that, and what would do."""
    agent = await start()

    status, answer = await agent.get("/v1/status")

    assert (status, error_of(answer)) == (503, "control_none")


async def test_answers_pass_as_they_are(start: StartAgent, control: ControlStandIn) -> None:
    """Errors of control pass; an answer that is cut is cut for the client too, never ended cleanly."""
    agent = await start(control=control)

    assert (await agent.get("/v1/missing"))[0] == 404
    status, reason = await agent.get("/v1/cut")

    assert status == 0
    assert "Payload" in reason or "disconnected" in reason.lower()


async def test_large_body_is_refused(start: StartAgent, control: ControlStandIn) -> None:
    """A command is small; what is not is refused before control sees it."""
    agent = await start(control=control)

    status, answer = await agent.call("POST", "/v1/x", data=b"x" * (1024 * 1024 + 1))

    assert (status, error_of(answer)) == (413, "body_too_large")
    assert control.forwarded == []


async def test_promtool_finds_nothing(start: StartAgent, control: ControlStandIn) -> None:
    """Names, types and help of all families are as Prometheus wants them, control's included."""
    agent = await start(control=control)
    await agent.tell("count v1 20")
    await agent.tell("count v2 3 reset")

    _, text = await agent.get("/metrics")
    assert await promtool("check", "metrics", text=text) == ""
    assert "control_x 1.0" in text


async def test_openmetrics(start: StartAgent, control: ControlStandIn) -> None:
    """OpenMetrics on request: parsed by the strict parser, control's families inside, one end mark."""
    control.metrics = b"# HELP control_x X.\n# TYPE control_x gauge\ncontrol_x 1.0\n# EOF\n"
    control.metrics_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    agent = await start(control=control)
    await agent.tell("count v1 20")

    _, text = await agent.get("/metrics", OPENMETRICS)

    families = {family.name: family for family in parse_openmetrics(text.encode())}
    assert {"headgate_requests", "headgate_request_duration_seconds", "control_x"} <= families.keys()
    histogram = {
        (sample.name, sample.labels.get("le")): sample.value
        for sample in families["headgate_request_duration_seconds"].samples
        if sample.labels["role"] == "stable"
    }
    assert histogram["headgate_request_duration_seconds_count", None] == 20
    assert histogram["headgate_request_duration_seconds_sum", None] == pytest.approx(0.02)
    # Each took 1 ms: between the edges 0.8 and 1.6 ms.
    assert histogram["headgate_request_duration_seconds_bucket", "0.0008"] == 0
    assert histogram["headgate_request_duration_seconds_bucket", "0.0016"] == 20


async def test_metrics_of_control_in_another_format_are_left_out(
    start: StartAgent, control: ControlStandIn
) -> None:
    """Two formats never mix; ours is whole without control's."""
    agent = await start(control=control)

    _, text = await agent.get("/metrics", OPENMETRICS)

    assert "control_x" not in {family.name for family in parse_openmetrics(text.encode())}


async def test_counters_never_go_down(start: StartAgent, control: ControlStandIn) -> None:
    """Through stages, recycled slots and a killed worker every counter of an arm only grows."""
    agent = await start(control=control)
    seen: dict[str, float] = {}
    for revision in range(2, 9):
        await agent.tell("count v1 4")
        await agent.tell("count v2 2 upstream_5xx")
        if revision == 5:
            await agent.tell("begin v1")
            agent.workers()[0].send(signal.SIGKILL)
        control.publish(table_for(agent.config, revision, weight=revision / 50, stage=f"s{revision}"))
        await until_async(lambda revision=revision: at(agent, revision))  # type: ignore[misc]
        now = {name: value for name, value in (await agent.metrics()).items() if "_total{" in name}
        fallen = {name for name, value in seen.items() if "route=" in name and now.get(name, 0) < value}
        assert fallen == set()
        seen = now

    assert seen['headgate_requests_total{outcome="ok",role="stable",route="fraud",variant="v1"}'] == 28
    assert seen['headgate_failed_requests_total{role="canary",route="fraud",variant="v2"}'] == 14
    assert seen['headgate_lost_requests_total{role="stable",route="fraud",variant="v1"}'] == 1


async def at(agent: AgentProcess, revision: int) -> bool:
    """Whether all is ready at a revision."""
    status, state = await agent.get("/readyz")
    return bool(status == 200 and state["revision"] == revision)
