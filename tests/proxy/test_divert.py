"""The divert in a real worker: quick for gross failure, reversible, blind to nothing it should see."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from proxy import counters
from proxy.divert import UNIT
from proxy.outcomes import Outcome
from tests.helpers.dataplane import route, table, worker
from tests.helpers.http import (
    ScriptedUpstream,
    answering,
    ask,
    connected,
    eventually,
    get,
    ok,
    read_request,
    upstream,
)

STABLE, CONTROL, CANARY = 1, 2, 3


def canary_table(
    stable: ScriptedUpstream, canary: ScriptedUpstream, weight: float = 0.1, probe: float = 0.3
) -> dict[str, Any]:
    """Return a route with a canary of the given weight and its control slice, guarded."""
    split = {
        "kind": "canary",
        "arms": [2, 0, 1],
        "weights": [weight, 1 - 2 * weight, weight],
        "salt": "s",
        "epoch": 1,
        "key": ["header:x-user-id"],
        "default_key": None,
    }
    divert = {"arm": 2, "fallback": 0, "failures": 6, "probe_interval": probe, "recover": 3}
    return table(
        {"v1": stable.port, "v2": canary.port},
        [route("r", split, divert=divert)],
        arms=[("r", "v1", "stable", "v1"), ("r", "v1", "control", "v1"), ("r", "v2", "canary", "v2")],
    )


def user(n: int) -> bytes:
    """Return a request of user ``n``."""
    return get(extra=f"x-user-id: u{n}\r\n")


async def test_failing_canary_is_diverted_within_ten_of_its_requests(tmp_path: Path) -> None:
    """After at most ten failures nobody is sent to a canary that answers 500 every time."""
    async with (
        answering(lambda r: ok(b"stable")) as stable,
        answering(lambda r: b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n") as canary,
        worker(tmp_path, canary_table(stable, canary, probe=60.0)) as w,
    ):
        answers = [await ask(w.port, user(n)) for n in range(400)]

        failed = [n for n, answer in enumerate(answers) if answer.status == 500]
        assert 1 <= len(failed) <= 10
        assert w.cell(CANARY, counters.FAILED) == len(failed) == len(canary.requests)
        diverted = w.cell(CANARY, counters.DIVERTED)
        assert diverted > 10
        assert (
            w.cell(CANARY, counters.STARTED)
            + diverted
            + w.cell(STABLE, counters.STARTED)
            - diverted
            + (w.cell(CONTROL, counters.STARTED))
            == 400
        )
        assert w.cell(CANARY, counters.DIVERTED_FLAG) == 1
        assert {answer.body for answer in answers[failed[-1] + 1 :]} == {b"stable"}


async def test_recovered_canary_comes_back_by_its_probes(tmp_path: Path) -> None:
    """A bad minute ends: probes succeed and the canary gets its share again, without anybody's help."""
    broken = True

    def respond(_: object) -> bytes:
        return b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n" if broken else ok(b"canary")

    async with (
        answering(lambda r: ok(b"stable")) as stable,
        answering(respond) as canary,
        worker(tmp_path, canary_table(stable, canary, weight=0.5, probe=0.1)) as w,
    ):
        for n in range(60):
            await ask(w.port, user(n))
        assert w.cell(CANARY, counters.DIVERTED_FLAG) == 1
        broken = False

        async def healthy_again() -> bool:
            await ask(w.port, user(1000))
            for n in range(20):
                await ask(w.port, user(n))
            return w.cell(CANARY, counters.DIVERTED_FLAG) == 0

        for _ in range(100):
            if await healthy_again():
                break
        assert w.cell(CANARY, counters.PROBES) >= 1
        diverted = w.cell(CANARY, counters.DIVERTED)
        for n in range(40):
            await ask(w.port, user(n))
        assert w.outcome(CANARY, Outcome.OK) > 5
        assert w.cell(CANARY, counters.DIVERTED) == diverted
        assert w.cell(CANARY, counters.DIVERT_SCORE) == 0


async def test_shared_failure_diverts_nobody(tmp_path: Path) -> None:
    """When stable fails as badly, moving the canary's requests there would help no one."""
    bad = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"
    async with (
        answering(lambda r: bad) as stable,
        answering(lambda r: bad) as canary,
        worker(tmp_path, canary_table(stable, canary, weight=0.3)) as w,
    ):
        for n in range(100):
            await ask(w.port, user(n))

        # Until stable's own score is full, a few may have been diverted.
        before = w.cell(CANARY, counters.DIVERTED)
        for n in range(100):
            await ask(w.port, user(n))
        assert w.cell(CANARY, counters.DIVERTED) == before


async def test_moderate_failures_are_left_to_the_tests(tmp_path: Path) -> None:
    """One failure in five is for the statistics to judge; the divert keeps out of it."""
    served = 0

    def respond(_: object) -> bytes:
        nonlocal served
        served += 1
        return b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n" if served % 5 == 0 else ok()

    async with (
        answering() as stable,
        answering(respond) as canary,
        worker(tmp_path, canary_table(stable, canary, weight=0.5)) as w,
    ):
        for n in range(200):
            await ask(w.port, user(n))

        assert w.cell(CANARY, counters.DIVERTED) == 0
        assert w.cell(CANARY, counters.FAILED) > 10


async def test_vanished_clients_never_divert(tmp_path: Path) -> None:
    """Clients that go away are neither failures nor successes of an arm."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await reader.read()

    async with answering() as stable, upstream(silent) as canary:
        async with worker(tmp_path, canary_table(stable, canary, weight=0.5)) as w:
            for n in range(40):
                async with connected(w.port) as (_, writer):
                    writer.write(user(n))
                    await writer.drain()
                    await eventually(lambda seen=n: w.cells[counters.REQUESTS] > seen)  # type: ignore[misc]
            await eventually(lambda: w.in_flight(CANARY) == 0)
            assert w.outcome(CANARY, Outcome.CLIENT_ABORT) > 5
            assert w.cell(CANARY, counters.DIVERTED) == 0
            assert w.cell(CANARY, counters.FAILED) == 0


async def test_slot_of_a_diverted_arm_starts_afresh_with_another(tmp_path: Path) -> None:
    """A canary that takes over the slot of a diverted one is not diverted for what it never did."""
    async with (
        answering(lambda r: ok(b"stable")) as stable,
        answering(lambda r: b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n") as canary,
        answering(lambda r: ok(b"next")) as following,
        worker(tmp_path, canary_table(stable, canary, weight=0.5, probe=60.0)) as w,
    ):
        for n in range(40):
            await ask(w.port, user(n))
        assert w.cell(CANARY, counters.DIVERTED_FLAG) == 1
        replaced = canary_table(stable, following, weight=0.5, probe=60.0)
        replaced["arms"][2]["stage"] = "another"

        assert (await w.publish(replaced))["type"] == "ack"

        assert w.cell(CANARY, counters.DIVERTED_FLAG) == w.cell(CANARY, counters.DIVERT_SCORE) == 0
        assert {(await ask(w.port, user(n))).body for n in range(40)} == {b"stable", b"next"}


async def test_what_earlier_workers_knew_is_not_learned_anew(tmp_path: Path) -> None:
    """A worker that begins with the score of a failing arm spares its users, and finds out how it is."""
    async with (
        answering(lambda r: ok(b"stable")) as stable,
        answering(lambda r: ok(b"canary")) as canary,
        worker(tmp_path, canary_table(stable, canary, weight=0.5), scores=[[CANARY, 6 * UNIT]]) as w,
    ):
        first = [await ask(w.port, user(n)) for n in range(20)]
        # Only probes go there, one each interval.
        assert sum(answer.body == b"canary" for answer in first) <= w.cell(CANARY, counters.PROBES)
        assert w.cell(CANARY, counters.DIVERTED) > 0
        for n in range(20, 2000):
            answer = await ask(w.port, user(n))
            if answer.body == b"canary" and not w.cell(CANARY, counters.DIVERTED_FLAG):
                break
            await asyncio.sleep(0.005)
        assert w.cell(CANARY, counters.DIVERTED_FLAG) == 0
        assert w.cell(CANARY, counters.PROBES) >= 1
