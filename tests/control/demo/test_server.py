"""The sample model server speaks KServe v2 over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from control.demo.releases import RELEASES
from control.demo.server import ModelServer
from control.demo.traffic import Traffic, inference
from control.demo.transactions import Transaction

PURCHASE = Transaction(amount=80.0, hour=3.0, distance=200.0, merchant_risk=0.9)
REFUND = Transaction(amount=-80.0, hour=3.0, distance=2.0, merchant_risk=0.1)

Client = TestClient[Request, Application]


async def _client(version: str) -> Client:
    release = RELEASES[version]
    client = TestClient(TestServer(ModelServer(release, release.model(), work_s=0).application()))
    await client.start_server()
    return client


@pytest.fixture
async def v2() -> AsyncIterator[Client]:
    client = await _client("v2")
    yield client
    await client.close()


@pytest.fixture
async def v3() -> AsyncIterator[Client]:
    client = await _client("v3")
    yield client
    await client.close()


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/fraud/ready"])
async def test_it_is_ready(v2: Client, path: str) -> None:
    """Probes of the protocol are answered."""
    assert (await v2.get(path)).status == 200


async def test_it_describes_its_tensors(v2: Client) -> None:
    """A client can find out what to send."""
    described = await (await v2.get("/v2/models/fraud")).json()

    assert described["versions"] == ["v2"]
    assert described["inputs"][0]["shape"] == [-1, 4]


async def test_it_scores_several_rows_at_once(v2: Client) -> None:
    """Nested data are allowed; there is one score a row, and the riskier row has the higher one."""
    body = {
        "id": "42",
        "inputs": [
            {
                "name": "transactions",
                "datatype": "FP64",
                "shape": [2, 4],
                "data": [list(PURCHASE), list(REFUND)],
            }
        ],
    }

    answer = await v2.post("/v2/models/fraud/infer", json=body)

    scored = await answer.json()
    assert answer.status == 200
    assert scored["id"] == "42"
    assert scored["model_version"] == "v2"
    risky, harmless = scored["outputs"][0]["data"]
    assert 0 <= harmless < 0.5 < risky <= 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": [{"shape": [1, 4], "data": [1, 2, 3]}]},
        {"inputs": [{"shape": [1, 3], "data": [1, 2, 3]}]},
        {"inputs": [{"shape": [2000, 4], "data": []}]},
        {"inputs": [{"shape": [1, 4], "data": ["x", 1, 2, 3]}]},
    ],
)
async def test_what_is_not_a_request_is_refused(v2: Client, body: object) -> None:
    """The client's mistake is answered 400, never 500: it must not count against the model."""
    answer = await v2.post("/v2/models/fraud/infer", json=body)

    assert answer.status == 400
    assert "not an inference request" in (await answer.json())["error"]


async def test_the_third_release_answers_500_to_a_refund(v3: Client) -> None:
    """The bug is a real exception in the model's code, not a drawn number."""
    fine = await v3.post("/v2/models/fraud/infer", json=inference(PURCHASE))
    failed = await v3.post("/v2/models/fraud/infer", json=inference(REFUND))

    assert (fine.status, failed.status) == (200, 500)


async def test_the_traffic_source_tallies_what_it_saw(v3: Client) -> None:
    """Requests arrive at about the rate asked for and are counted by status."""
    traffic = Traffic(str(v3.make_url("")).rstrip("/"), rate=400)

    async with _running(traffic):
        while traffic.tally.total < 400:
            await _moment()

    total, failed = traffic.tally.variant("")
    assert total == traffic.tally.total
    assert 0 < failed < 60
    assert traffic.tally.unanswered == 0


async def test_no_answer_is_counted_too() -> None:
    """A dead proxy shows in the tally instead of ending the traffic."""
    traffic = Traffic("http://127.0.0.1:1", rate=400)

    async with _running(traffic):
        while traffic.tally.total < 5:
            await _moment()

    assert traffic.tally.unanswered == traffic.tally.total


@asynccontextmanager
async def _running(traffic: Traffic) -> AsyncIterator[None]:
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(traffic.run())
        try:
            yield
        finally:
            traffic.stop()


async def _moment() -> None:
    await asyncio.sleep(0.01)
