"""Feedback over the real socket: signed ids are counted once for their arm, everything else is refused."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.schema import Config
from control.counts import ArmKey
from control.feedback import FeedbackBook
from control.plane import Plane
from control.reports import parse_report
from control.seen import Seen
from proxy.metric_counts import SUM, UNIT, VALUES
from proxy.tokens import Signer, arm_id
from tests.helpers.control import FakeClock, Proxies, configuration, configure, plane_on
from tests.helpers.control_server import Client, client_over

KEY = bytes(range(32))
LABEL = {"name": "label", "source": "feedback", "range": [0, 1]}
SCORE = {"name": "score", "source": "header:x-score", "range": [0, 1]}


def with_metrics(config: Config) -> Config:
    value = config.to_json()
    value["routes"][0]["metrics"] = [SCORE, LABEL]
    return Config.from_json(value)


def request_id(key: ArmKey, *, signed_with: bytes = KEY) -> str:
    return Signer(signed_with, arm_id(*key)).line(b"").strip().decode()


class Stand:
    """A plane that takes feedback, and the arms that its proxies count."""

    def __init__(self, plane: Plane, client: Client, clock: FakeClock) -> None:
        self.plane, self.client, self.clock = plane, client, clock

    @property
    def arms(self) -> dict[str, ArmKey]:
        """By role, those of the route."""
        return {key.role: key for key in self.plane.ledger.collector.totals() if key.route == "fraud"}

    def metric(self, key: ArmKey, cell: int) -> int:
        return int(self.plane.ledger.collector.total(key).metrics[1, cell])

    async def send(self, item: dict[str, Any], *, status: int = 200) -> Any:
        return await self.client.json("POST", "/v1/feedback", item, status=status)


@asynccontextmanager
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    clock = FakeClock(time.time())
    async with plane_on(tmp_path / "headgate.db", clock) as bare:
        book = FeedbackBook(bare.controller, KEY, Seen(tmp_path / "seen"))
        await book.start()
        plane = replace(bare, feedback=book)
        await configure(plane, with_metrics(configuration()))
        await plane.loop.tick()
        proxies = Proxies()
        assert plane.ledger.table is not None
        proxies.serve(plane.ledger.table, 400)
        await plane.controller.take(parse_report(proxies.report()))
        async with client_over(plane, tmp_path) as client:
            yield Stand(plane, client, clock)


async def test_a_value_counts_once_for_the_arm_that_served(tmp_path: Path) -> None:
    async with stand(tmp_path) as s:
        canary, control = s.arms["canary"], s.arms["control"]
        item = {"request_id": request_id(canary), "metric": "label", "value": True}

        assert await s.send(item) == {"status": "accepted"}
        assert await s.send(item) == {"status": "duplicate"}
        assert await s.send(item | {"value": 0}) == {"status": "duplicate"}
        several = [{"request_id": request_id(control), "metric": "label", "value": 0.25} for _ in range(3)]
        answer = await s.client.json("POST", "/v1/feedback", {"items": [*several, item]})

        assert answer["accepted"] == 3
        assert [found["status"] for found in answer["items"]] == ["accepted"] * 3 + ["duplicate"]
        assert (s.metric(canary, VALUES), s.metric(canary, SUM)) == (1, UNIT)
        assert (s.metric(control, VALUES), s.metric(control, SUM)) == (3, UNIT * 3 // 4)
        assert s.plane.ledger.collector.total(canary).started > 0


async def test_what_cannot_be_attributed_is_refused(tmp_path: Path) -> None:
    async with stand(tmp_path) as s:
        canary = s.arms["canary"]
        good = {"request_id": request_id(canary), "metric": "label", "value": 1}
        foreign = request_id(canary, signed_with=bytes(32))
        gone = request_id(canary._replace(stage="never"))

        for change, code in (
            ({"request_id": "anything"}, "not_signed_here"),
            ({"request_id": foreign}, "not_signed_here"),
            ({"request_id": gone}, "too_old"),
            ({"metric": "score"}, "unknown_metric"),
            ({"metric": "other"}, "unknown_metric"),
        ):
            answer = await s.send(good | change, status=422)
            assert answer["error"]["code"] == code
        s.clock.now += 4 * 24 * 3600
        assert (await s.send(good, status=422))["error"]["code"] == "too_old"
        assert s.metric(canary, VALUES) == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": []},
        {"items": [{}] * 1001},
        {"request_id": "a", "metric": "b"},
        {"request_id": "a", "metric": "b", "value": "1"},
        {"request_id": "a", "metric": "b", "value": None},
        {"request_id": "", "metric": "b", "value": 1},
        {"request_id": "a" * 300, "metric": "b", "value": 1},
        {"request_id": "a", "metric": "b", "value": 1, "more": 2},
        {"items": [{"request_id": "a", "metric": "b", "value": 1}], "value": 2},
    ],
)
async def test_a_malformed_body_is_refused_whole(tmp_path: Path, body: dict[str, Any]) -> None:
    async with stand(tmp_path) as s:
        assert (await s.send(body, status=400))["error"]["code"] == "invalid_body"


async def test_more_than_can_be_taken_is_put_off(tmp_path: Path) -> None:
    async with stand(tmp_path) as s:
        items = [{"request_id": "x", "metric": "label", "value": 1}] * 1000
        for _ in range(20):
            await s.client.json("POST", "/v1/feedback", {"items": items})

        answer = await s.client.json("POST", "/v1/feedback", {"items": items}, status=429)
        assert answer["error"]["code"] == "too_many"
        text, _ = await s.client.text("/metrics")
        assert 'headgate_feedback_items_total{fate="not_signed_here"} 20000.0' in text
        assert "headgate_feedback_refused_total 1000.0" in text
        s.clock.now += 1
        await s.client.json("POST", "/v1/feedback", {"items": items})


async def test_what_was_counted_survives_the_process(tmp_path: Path) -> None:
    """Another process goes on counting, and knows what the first one has taken."""
    async with stand(tmp_path) as s:
        canary = s.arms["canary"]
        item = {"request_id": request_id(canary), "metric": "label", "value": 1}
        await s.send(item)
        await s.plane.loop.save()
        clock = s.clock
    async with plane_on(tmp_path / "headgate.db", clock) as bare:
        book = FeedbackBook(bare.controller, KEY, Seen(tmp_path / "seen"))
        await book.start()
        plane = replace(bare, feedback=book)
        async with client_over(plane, tmp_path) as client:
            again = Stand(plane, client, clock)
            assert again.metric(canary, VALUES) == 1
            assert await again.send(item) == {"status": "duplicate"}
            assert await again.send(item | {"request_id": request_id(canary)}) == {"status": "accepted"}
            assert again.metric(canary, VALUES) == 2


async def test_without_a_key_nothing_is_taken(tmp_path: Path) -> None:
    async with (
        plane_on(tmp_path / "headgate.db", FakeClock()) as plane,
        client_over(plane, tmp_path) as client,
    ):
        answer = await client.json("POST", "/v1/feedback", {}, status=503)
        assert answer["error"]["code"] == "no_key"
