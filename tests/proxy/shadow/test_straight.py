"""A copy on the straight way ends as one on the long way: in what goes out, in what is counted and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.micro.bench_copies import table_of
from benchmarks.micro.bench_exchange import start_of
from proxy.counters import HIST_TOTAL, OUTCOME_0, SHADOW_0, SLOT_CELLS, SUM_TOTAL_US, slot_base
from proxy.downstream import Downstream
from proxy.histogram import BUCKETS
from proxy.shadow.connection import ShadowConnection
from proxy.shadow.mirror import Mirror
from proxy.splits.load import load_all
from tests.proxy.test_straight import ANSWERS, HOST, REQUESTS, USER, Alone, Wire, connect

SLOT = 3
REQUEST = REQUESTS["with a body"]
WHOLE = ANSWERS["whole"]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that never runs."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


class Copying:
    """A worker whose requests are copied, one way or the other, on connections of which it sees both ends."""

    def __init__(
        self, folder: Path, loop: asyncio.AbstractEventLoop, *, straight: bool, **shadow: Any
    ) -> None:
        load_all()
        folder.mkdir()
        table = table_of("copied")
        table["routes"][0]["shadows"][0] |= shadow
        self.worker = Alone(*start_of(folder, table), loop)
        (self.mirror,) = self.worker.shadows.mirrors.values()
        self.straight = straight
        if not straight:
            self.mirror.plain = False
        self.client = Wire()
        self.downstream = Downstream(self.worker)
        self.downstream.connection_made(cast(asyncio.Transport, self.client))
        self.wire = Wire()
        self.connection = ShadowConnection(self.mirror.lanes[0])
        self.connection.connection_made(cast(asyncio.Transport, self.wire))
        self.mirror.lanes[0].give_back(self.connection)

    def exchange(self, request: bytes, answer: list[bytes]) -> None:
        """One request, answered by the primary and then in this way by the shadow."""
        connect(self.worker)
        self.worker.wheel.now += 5
        self.downstream.data_received(request)
        relay = self.downstream.relay
        # A copy without a tap is one on the straight way.
        self.went_straight = bool(self.mirror.ready)
        self.worker.shadows.send()
        if relay is not None and relay.connection is not None:
            relay.connection.data_received(WHOLE[0])
        for piece in answer:
            if "close" not in self.wire.calls and "abort" not in self.wire.calls:
                self.connection.data_received(piece)

    def seen(self) -> dict[str, Any]:
        """All of it that is to be seen from outside; times, which differ, as how many there are."""
        mirror: Mirror = self.mirror
        lane = mirror.lanes[0]
        self.worker.counts[SLOT].settle()
        row = list(self.worker.cells[slot_base(SLOT) : slot_base(SLOT) + SLOT_CELLS])
        return {
            "copies": self.wire.sent,
            "asked of the socket": self.wire.calls,
            "opened": self.worker.opened,
            "cells": [*row[:SUM_TOTAL_US], *row[OUTCOME_0:HIST_TOTAL], *row[SHADOW_0:]],
            "timed": sum(row[HIST_TOTAL : HIST_TOTAL + BUCKETS]),
            "held": (mirror.memory, mirror.in_flight),
            "lane": (len(lane.idle), lane.failures, lane.paused_until, lane.pause),
            "deadline": self.connection.deadline,
            "copy": self.connection.copy is None,
        }


def without_ids(seen: dict[str, Any]) -> dict[str, Any]:
    """The same, with every request id made one."""
    head, *rest = seen["copies"].split(b"x-request-id: ")
    return seen | {"copies": [head, *(piece[32:] for piece in rest)]}


@pytest.mark.parametrize("name", ANSWERS)
def test_both_ways_end_alike(tmp_path: Path, loop: asyncio.AbstractEventLoop, name: str) -> None:
    """Each answer of the shadow comes twice, so that its head is known the second time, and one behind it."""
    straight = Copying(tmp_path / "straight", loop, straight=True)
    long = Copying(tmp_path / "long", loop, straight=False)
    for one in (straight, long):
        for answer in (ANSWERS[name], ANSWERS[name], WHOLE):
            one.exchange(REQUEST, answer)
            assert one.went_straight is one.straight

    assert without_ids(straight.seen()) == without_ids(long.seen())


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_is_copied_alike(tmp_path: Path, loop: asyncio.AbstractEventLoop, name: str) -> None:
    """Ordinary ones and others; the first with fields that a copy must not have."""
    straight = Copying(tmp_path / "straight", loop, straight=True, remove=["cookie"])
    long = Copying(tmp_path / "long", loop, straight=False, remove=["cookie"])
    secret = REQUEST.replace(HOST, HOST + b"Cookie: secret\r\nX-Headgate-Shadow: 0\r\n")
    for one in (straight, long):
        one.exchange(secret, WHOLE)
        assert not one.went_straight
        one.exchange(REQUESTS[name], WHOLE)

    assert without_ids(straight.seen()) == without_ids(long.seen())
    assert b"secret" not in straight.wire.sent


@pytest.mark.parametrize(
    "shadow",
    [
        {"body": 2},
        {"memory": 100},
        {"methods": ["PUT"]},
        {"reference": []},
        {"share": 0.0},
        {"share": 0.5, "key": ["header:x-user-id"], "salt": "s"},
        {"marker": ""},
    ],
    ids=lambda shadow: next(iter(shadow)),
)
def test_bounds_hold_on_both(tmp_path: Path, loop: asyncio.AbstractEventLoop, shadow: dict[str, Any]) -> None:
    """What is skipped is counted under the same reason."""
    straight = Copying(tmp_path / "straight", loop, straight=True, **shadow)
    long = Copying(tmp_path / "long", loop, straight=False, **shadow)
    for one in (straight, long):
        for user in range(4):
            one.exchange(REQUEST.replace(USER, b"X-User-Id: user-%d\r\n" % user), WHOLE)

    assert without_ids(straight.seen()) == without_ids(long.seen())


def test_a_large_body_has_its_own_class(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    """One that is no first class of sizes is counted where the long way counts it."""
    body = b"x" * 2000
    request = b"POST /a HTTP/1.1\r\n" + HOST + USER + b"Content-Length: 2000\r\n\r\n" + body
    straight = Copying(tmp_path / "straight", loop, straight=True)
    long = Copying(tmp_path / "long", loop, straight=False)
    for one in (straight, long):
        for _ in range(2):
            one.exchange(request, WHOLE)

    assert without_ids(straight.seen()) == without_ids(long.seen())
    assert straight.wire.sent.endswith(b"x-headgate-shadow: 1\r\n\r\n" + body)


def test_a_bad_shadow_gets_one_copy_at_a_time(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    """After a pause one is tried; only when it is answered do others follow."""
    copying = Copying(tmp_path / "one", loop, straight=True)
    worker, mirror = copying.worker, copying.mirror
    lane = mirror.lanes[0]
    while not lane.paused_until:
        lane.broke_off()
    worker.wheel.now = lane.paused_until
    for number in range(4):
        downstream = Downstream(worker)
        downstream.connection_made(cast(asyncio.Transport, Wire()))
        connect(worker)
        downstream.data_received(REQUEST)
        worker.shadows.send()
        assert mirror.in_flight == 1, number
    copying.connection.data_received(WHOLE[0])
    assert (mirror.in_flight, lane.paused_until) == (0, 0)

    # Whoever is well again is not held to one.
    for number in range(3):
        downstream = Downstream(worker)
        downstream.connection_made(cast(asyncio.Transport, Wire()))
        connect(worker)
        downstream.data_received(REQUEST)
        worker.shadows.send()
        assert mirror.in_flight == number + 1
