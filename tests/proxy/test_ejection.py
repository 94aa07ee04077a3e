"""Sick endpoints are left out, for longer each time, and never so many that the rest breaks down."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from proxy.arms import EjectionSpec, EndpointSpec
from proxy.balancers.consistent_hash import ConsistentHash, key_hash
from proxy.counters import ASIDE_0, GROUPS, GROUPS_FAILED, RETURNED_0, SLOT_CELLS
from proxy.ejection import ASIDE_SECONDS, Ejector, give_back
from proxy.endpoint import Endpoint
from proxy.outcomes import Outcome
from proxy.slot_counts import SlotCounts
from tests.helpers.dataplane import direct_table, worker
from tests.helpers.http import Message, answering, ask, eventually, get, ok


def group(count: int, **changes: float) -> tuple[Ejector, list[Endpoint]]:
    """An ejector of endpoints with ports from 1: three failures, 5 to 60 s, half of them, no panic."""
    values = {"failures": 3, "base": 5.0, "longest": 60.0, "share": 0.5, "panic": 0.0} | changes
    spec = EjectionSpec(int(values.pop("failures")), **values)
    endpoints = [Endpoint(EndpointSpec("127.0.0.1", port, 1)) for port in range(1, count + 1)]
    ejector = Ejector(spec)
    ejector.adopt(spec, endpoints)
    return ejector, endpoints


def fail(ejector: Ejector, endpoint: Endpoint, times: int = 3) -> None:
    for _ in range(times):
        ejector.failed(endpoint)


def test_failures_in_a_row_eject_and_time_brings_back() -> None:
    """Three in a row, five seconds; then one more failure is enough, and it is ten seconds."""
    ejector, endpoints = group(4)
    sick = endpoints[0]
    fail(ejector, sick, 2)
    assert sick.available

    fail(ejector, sick, 1)
    assert not sick.available
    ejector.turn(4.9)
    assert not sick.available
    ejector.turn(5.0)
    assert sick.available

    fail(ejector, sick, 1)
    ejector.turn(14.9)
    assert not sick.available
    ejector.turn(15.0)
    assert sick.available
    assert (sick.failed, sick.ejections) == (4, 2)


def test_back_off_is_bounded_and_forgotten() -> None:
    """The wait doubles up to its bound; after as long a time without ejection it begins anew."""
    ejector, (sick, *_) = group(2)
    now = 0.0
    waits = []
    for _ in range(6):
        fail(ejector, sick)
        waits.append(sick.ejected_until - now)
        now = sick.ejected_until
        ejector.turn(now)

    assert waits == [5, 10, 20, 40, 60, 60]
    ejector.turn(now + 61)
    fail(ejector, sick)
    assert sick.ejected_until - (now + 61) == 5


def counting() -> SlotCounts:
    """Counters of one arm."""
    return SlotCounts(memoryview(bytearray(8 * SLOT_CELLS)).cast("Q"), 0)


def lose(ejector: Ejector, endpoint: Endpoint, counts: SlotCounts, times: int) -> None:
    """Requests fail at an endpoint."""
    for _ in range(times):
        ejector.failed(endpoint)
        ejector.charge(endpoint, counts, Outcome.RESET, -1)


def set_aside(counts: SlotCounts) -> int:
    return int(counts.cells[ASIDE_0 + Outcome.RESET] - counts.cells[RETURNED_0 + Outcome.RESET])


def test_what_one_endpoint_of_several_fails_is_set_aside() -> None:
    """The row that ejects it, what was in flight there, and each try to take it back."""
    ejector, (sick, *_) = group(4)
    counts = counting()
    lose(ejector, sick, counts, 3)
    assert sick.ejected
    lose(ejector, sick, counts, 2)
    assert set_aside(counts) == 5
    ejector.turn(5.0)
    lose(ejector, sick, counts, 1)
    ejector.turn(100.0)
    assert set_aside(counts) == 6


@pytest.mark.parametrize("ends", ["well", "late", "removed"])
def test_a_row_without_an_ejection_counts(ends: str) -> None:
    """A success shows that the endpoint is not sick; a row that drags on is not waited for."""
    ejector, endpoints = group(4)
    sick, counts = endpoints[0], counting()
    lose(ejector, sick, counts, 2)
    assert set_aside(counts) == 2
    if ends == "well":
        give_back(sick)
    elif ends == "late":
        ejector.turn(ASIDE_SECONDS)
        assert set_aside(counts) == 2
        ejector.turn(ASIDE_SECONDS + 1)
    else:
        ejector.adopt(ejector.spec, endpoints[1:])
    assert set_aside(counts) == 0
    assert counts.cells[ASIDE_0 + Outcome.RESET] == 2


def test_keys_are_charged_with_what_counts() -> None:
    """A failure that is set aside is none of its group of keys either; given back it is one of both."""
    ejector, (sick, other, *_) = group(4)
    counts = counting()
    for endpoint, key in ((sick, 7), (sick, 7), (other, 9), (sick, 8)):
        ejector.failed(endpoint)
        assert ejector.charge(endpoint, counts, Outcome.RESET, key)
    assert sick.ejected
    assert counts.cells[GROUPS_FAILED : GROUPS_FAILED + GROUPS].tolist() == [0] * GROUPS

    give_back(sick)
    give_back(other)

    failed = counts.cells[GROUPS_FAILED : GROUPS_FAILED + GROUPS].tolist()
    assert (failed[9], sum(failed)) == (1, 1)
    assert set_aside(counts) == 3


def test_where_every_endpoint_fails_it_is_the_release() -> None:
    """At most the rows that ejected are set aside, however many requests fail; of a single one none are."""
    ejector, endpoints = group(4)
    counts = counting()
    for _ in range(50):
        for endpoint in endpoints:
            lose(ejector, endpoint, counts, 1)
    # Requests that ejected endpoints would not have got.
    for endpoint in endpoints[:2]:
        counts.cells[ASIDE_0 + Outcome.RESET] -= endpoint.failures - 3
    assert set_aside(counts) == 6

    ejector, (alone,) = group(1)
    counts = counting()
    lose(ejector, alone, counts, 20)
    assert counts.cells[ASIDE_0 + Outcome.RESET] == 0

    ejector, endpoints = group(2, share=1.0, panic=1.0)
    counts = counting()
    for endpoint in endpoints:
        lose(ejector, endpoint, counts, 20)
    assert set_aside(counts) == 0


def test_no_more_than_a_share_is_ejected() -> None:
    """When all fail, half of them stay in use."""
    ejector, endpoints = group(4)
    for endpoint in endpoints:
        fail(ejector, endpoint, 10)

    assert [endpoint.available for endpoint in endpoints] == [False, False, True, True]


def test_only_endpoint_is_never_ejected() -> None:
    """There is nothing to fall back on."""
    ejector, (only,) = group(1)
    fail(ejector, only, 100)

    assert only.available


def test_panic_uses_all() -> None:
    """With too few well endpoints everybody is asked again, those that probes find down, too."""
    ejector, endpoints = group(4, panic=0.5)

    ejector.probed({b"127.0.0.1:1", b"127.0.0.1:2"})
    assert [endpoint.available for endpoint in endpoints] == [False, False, True, True]
    ejector.probed({b"127.0.0.1:1", b"127.0.0.1:2", b"127.0.0.1:3"})
    assert all(endpoint.available for endpoint in endpoints)
    assert ejector.panic


def test_never_ejects_when_switched_off() -> None:
    """failures 0 leaves every judgement to probes."""
    ejector, endpoints = group(4, failures=0)
    fail(ejector, endpoints[0], 100)

    assert endpoints[0].available


def test_same_key_same_endpoint_and_only_keys_of_the_lost_move() -> None:
    """Shares follow the weights; an endpoint that goes takes only its own keys along."""
    balancer = ConsistentHash()
    endpoints = [
        Endpoint(EndpointSpec("127.0.0.1", port, weight)) for port, weight in ((1, 1), (2, 1), (3, 2))
    ]
    keys = [key_hash(b"user-%d" % number) for number in range(4000)]

    before = [balancer.pick(endpoints, None, key).port for key in keys]
    endpoints[1].available = False
    after = [balancer.pick(endpoints, None, key).port for key in keys]

    counts = Counter(before)
    # 5 sigma of a binomial with these shares.
    assert abs(counts[1] - 1000) < 137
    assert abs(counts[3] - 2000) < 158
    assert [balancer.pick(endpoints, None, key).port for key in keys] == after
    assert 2 not in after
    assert all(now == then for now, then in zip(after, before, strict=True) if then != 2)


def test_requests_without_a_key_are_spread() -> None:
    """No key is no reason to send everything to one endpoint."""
    balancer = ConsistentHash()
    endpoints = [Endpoint(EndpointSpec("127.0.0.1", port, 1)) for port in (1, 2)]

    counts = Counter(balancer.pick(endpoints, None, key_hash(None)).port for _ in range(1000))

    assert min(counts.values()) > 400


async def test_worker_leaves_a_sick_endpoint_out_and_says_so(tmp_path: Path) -> None:
    """After a few 503 the sick one gets nothing, clients see only good answers, and the agent is told."""

    def sick(request: Message) -> bytes:
        return b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n"

    async with answering(sick) as one, answering(lambda request: ok()) as other:
        table = direct_table([one.port, other.port])
        table["upstreams"][0]["ejection"] = {"failures": 3, "base": 60.0, "share": 0.5, "panic": 0.3}
        async with worker(tmp_path, table) as w:
            statuses = [(await ask(w.port, get())).status for _ in range(30)]
            assert statuses.count(503) == 3
            assert len(one.requests) == 3

            rows: dict[int, list[object]] = {}
            async with asyncio.timeout(60):
                while not rows or rows[other.port][2] != 27:
                    message = await w.receive()
                    if message["type"] == "endpoints":
                        rows = {int(row[1].rpartition(":")[2]): row for row in message["rows"]}
            assert rows[one.port][2:6] == [3, 3, 1, 1]
            assert rows[other.port][2:6] == [27, 0, 0, 0]


async def test_worker_heeds_probes(tmp_path: Path) -> None:
    """What the agent's probes find down gets nothing until they find it well."""
    async with answering() as one, answering() as other:
        async with worker(tmp_path, direct_table([one.port, other.port])) as w:
            await w.send({"type": "health", "down": {"v1": [f"127.0.0.1:{one.port}"]}})
            for _ in range(100):
                seen = len(one.requests)
                for _ in range(4):
                    await ask(w.port, get())
                if len(one.requests) == seen:
                    break
            assert len(one.requests) == seen
            await w.send({"type": "health", "down": {}})
            async with asyncio.timeout(60):
                while len(one.requests) == seen:
                    await ask(w.port, get())


@pytest.mark.parametrize("value", ["alice", "bob"])
async def test_consistent_hash_by_header(tmp_path: Path, value: str) -> None:
    """All requests of one session reach one endpoint, over all connections."""
    async with answering() as one, answering() as other, answering() as third:
        table = direct_table([one.port, other.port, third.port], balance="consistent_hash")
        table["upstreams"][0]["balance_key"] = ["header:x-session", "client_address"]
        async with worker(tmp_path, table) as w:
            for _ in range(9):
                await ask(w.port, get(extra=f"x-session: {value}\r\n"))

            await eventually(lambda: sum(len(s.requests) for s in (one, other, third)) == 9)
            assert sorted(len(server.requests) for server in (one, other, third)) == [0, 0, 9]
