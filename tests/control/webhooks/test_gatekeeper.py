"""Gates over real sockets: a rollout waits for them, without its loop ever waiting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from control.plans.conditions import Answer
from control.rollout.commands import Verb
from control.rollout.machine import State
from control.webhooks.gatekeeper import read_answer
from control.webhooks.sender import DeliveryError
from tests.helpers.control import ALICE, FakeClock, Proxies, configuration, configure, plane_on, run
from tests.helpers.receiver import Receiver, receiver
from tests.helpers.waiting import until

APPROVE = {"answer": "approve", "reason": "tests are green"}


def gated(told: Receiver, **more: Any) -> dict[str, Any]:
    gate = {"name": "ci", "url": told.url, "interval": "3s", "timeout": "2s", "attempts": 2, **more}
    return {"preset": "aggressive", "webhooks": [gate]}


async def test_a_step_waits_for_approval_and_says_whom_it_waits_for(tmp_path: Path) -> None:
    """Asked only when everything else is met, with the figures; asked again after `wait`; then it goes on."""
    clock = FakeClock()
    async with (
        receiver({"answer": "wait", "reason": "still testing"}) as told,
        plane_on(tmp_path / "db", clock) as plane,
    ):
        await configure(plane, configuration(steps=["10%", "100%"], rollout=gated(told, before=["advance"])))
        proxies = Proxies()
        gatekeeper = plane.loop.gatekeeper
        while not gatekeeper.asked:
            assert not told.got
            await run(plane, clock, proxies, seconds=1)
        await until(lambda: told.got)
        record = plane.ledger.records["fraud"]
        await until(lambda: gatekeeper.replies(record)["ci"].answer is Answer.WAIT)
        for _ in range(8):
            await run(plane, clock, proxies, seconds=1)

        assert plane.ledger.records["fraud"].rollout.step == 0
        assert told.bodies[0]["question"] == "advance"
        assert told.bodies[0]["analysis"]["verdict"] == "pass"
        told.answers = [APPROVE]
        before = len(told.got)
        while len(told.got) == before:
            await run(plane, clock, proxies, seconds=1)
        await until(lambda: gatekeeper.replies(record)["ci"].answer is Answer.APPROVE)
        await run(plane, clock, proxies, seconds=1)

        assert plane.ledger.records["fraud"].rollout.step == 1
        identifiers = {headers["webhook-id"] for headers, _ in told.got}
        assert len(identifiers) == 1
        await run(plane, clock, proxies, seconds=60, stop="promoted")
        assert plane.ledger.records["fraud"].rollout.state is State.PROMOTED
        await gatekeeper.close()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([{"answer": "refuse", "reason": "load test failed"}], "ci refuses: load test failed"),
        ([500], "ci gave no answer in 2 attempts: answered 500"),
        (
            [{"answer": "perhaps"}],
            "ci gave no answer in 2 attempts: the answer is none of approve, wait, refuse",
        ),
    ],
)
async def test_a_refusal_or_silence_pauses_for_a_person(
    tmp_path: Path, answers: list[Any], said: str
) -> None:
    """Never forward without a word of approval; a person who resumes has it asked again."""
    clock = FakeClock()
    async with receiver(*answers) as told, plane_on(tmp_path / "db", clock) as plane:
        await configure(plane, configuration(steps=["10%", "100%"], rollout=gated(told)))
        proxies = Proxies()
        gatekeeper = plane.loop.gatekeeper
        for _ in range(100):
            await run(plane, clock, proxies, seconds=1)
            await until(lambda: not gatekeeper.busy)
            if plane.ledger.records["fraud"].rollout.state is State.PAUSED:
                break

        rollout = plane.ledger.records["fraud"].rollout
        assert (rollout.state, rollout.paused_by, rollout.reason) == (State.PAUSED, "webhook ci", said)
        told.answers = [APPROVE]
        await plane.controller.command("fraud", Verb.RESUME, "fixed", ALICE)
        for _ in range(100):
            await run(plane, clock, proxies, seconds=1)
            await until(lambda: not gatekeeper.busy)
            if plane.ledger.records["fraud"].rollout.state is State.PROMOTED:
                break
        assert plane.ledger.records["fraud"].rollout.state is State.PROMOTED


async def test_a_gate_that_hangs_holds_up_nothing_but_its_step(tmp_path: Path) -> None:
    """Ticks go on meanwhile, and a rollback is not kept waiting by anybody's approval."""
    clock = FakeClock()
    async with receiver(APPROVE) as told, plane_on(tmp_path / "db", clock) as plane:
        told.seconds = 3600.0
        await configure(plane, configuration(steps=["10%", "100%"], rollout=gated(told, timeout="1h")))
        proxies = Proxies()
        while not plane.loop.gatekeeper.asked:
            await run(plane, clock, proxies, seconds=1)
        await until(lambda: told.got)
        proxies.failing = {"v2": 0.9}

        await run(plane, clock, proxies, seconds=120, stop="rolled_back")

        assert plane.ledger.records["fraud"].rollout.state is State.ROLLED_BACK
        assert plane.loop.gatekeeper.busy, "it still has no answer"
        await plane.loop.gatekeeper.close()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"answer": 1}', b'{"answer": "APPROVE"}', b"\xff"])
def test_only_a_clear_answer_is_one(body: bytes) -> None:
    """An empty 200 of some default page approves nothing."""
    with pytest.raises(DeliveryError):
        read_answer(body)
