"""Following a rollout against a live stand-in of the admin address, with a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from control.cli.client import AdminClient
from control.cli.failure import CommandError
from control.gate.follow import Gate, Undecided, Wish
from control.gate.verdict import GateCode, GateResult, Until
from tests.control.cli import samples
from tests.helpers.admin import AdminStandIn, admin_stand_in

DECISION = {"id": samples.DECISION_ID}


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 0.0
    said: list[str] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)


@pytest.fixture
def admin() -> Iterator[AdminStandIn]:
    with admin_stand_in() as stand_in:
        yield stand_in


def follow(admin: AdminStandIn | str, clock: Clock, **wish: Any) -> GateResult:
    url = admin if isinstance(admin, str) else admin.url
    wished = Wish(**{"route": "fraud", "timeout_s": 60.0, **wish})
    return Gate(AdminClient(url), wished, clock.said.append, clock=lambda: clock.now, sleep=clock.sleep).run()


def on_rollout(admin: AdminStandIn, *states: dict[str, Any]) -> None:
    admin.on("GET", "/v1/rollouts/fraud", (200, states[0]))
    admin.on("GET", "/v1/rollouts/r-1", *((200, state) for state in states[1:] or states))
    admin.on("GET", f"/v1/decisions/{samples.DECISION_ID}", (200, samples.decision()))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("promoted", GateCode.PROMOTED),
        ("rolled_back", GateCode.ROLLED_BACK),
        ("aborted", GateCode.ROLLED_BACK),
        ("superseded", GateCode.ROLLED_BACK),
        ("expired", GateCode.UNDECIDED),
    ],
)
def test_every_end_has_its_code(admin: AdminStandIn, state: str, code: GateCode) -> None:
    """Nothing but a promotion is a yes."""
    on_rollout(admin, samples.rollout(), samples.rollout(state, reason="so it was", decisions=[DECISION]))

    result = follow(admin, Clock())

    assert (result.code, result.reason, result.release) == (code, "so it was", "fraud:v2")
    assert result.decision is not None
    assert result.analysis == result.decision["analysis"]


def test_an_idle_rollout_is_undecided_and_says_what_is_missing(admin: AdminStandIn) -> None:
    """No data is no pass; the rollout is left as it is."""
    on_rollout(admin, samples.rollout())
    clock = Clock()

    result = follow(admin, clock)

    assert result.code is GateCode.UNDECIDED
    assert "120 more canary requests" in result.reason
    assert 60 <= clock.now < 62
    assert [method for method, *_ in admin.seen if method != "GET"] == []


@pytest.mark.parametrize("wish", [Undecided.ABORT, Undecided.ROLLBACK])
def test_an_undecided_rollout_can_be_ended(admin: AdminStandIn, wish: Undecided) -> None:
    """The command is sent for the rollout that was followed, with a reason; the code stays 'undecided'."""
    on_rollout(admin, samples.rollout())
    admin.on("POST", f"/v1/rollouts/r-1/{wish}", (200, samples.rollout("aborted")))

    result = follow(admin, Clock(), undecided=wish)

    assert result.code is GateCode.UNDECIDED
    (sent,) = [body for method, _, _, body in admin.seen if method == "POST"]
    assert "undecided after 60 s" in sent["reason"]


def test_a_decision_in_the_last_moment_stands(admin: AdminStandIn) -> None:
    """The abort is refused because the rollout has just been promoted: promoted it is."""
    waiting = [samples.rollout()] * 125
    on_rollout(admin, *waiting)
    admin.on("POST", "/v1/rollouts/r-1/abort", (409, {"error": {"message": "it is promoted"}}))
    clock = Clock()

    class Late(Clock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if self.now >= 60:
                admin.on("GET", "/v1/rollouts/r-1", (200, samples.rollout("promoted")))
                # What was read at the deadline was still undecided.
                admin.replies["GET", "/v1/rollouts/r-1"].insert(0, (200, samples.rollout()))

    clock = Late()

    assert follow(admin, clock, undecided=Undecided.ABORT).code is GateCode.PROMOTED


def test_another_release_on_the_route_is_never_taken_for_ours(admin: AdminStandIn) -> None:
    """Promoted it may be, but it is not what the pipeline built."""
    on_rollout(admin, samples.rollout("promoted"))
    clock = Clock()

    with pytest.raises(CommandError, match=r"is about fraud:v2, not about fraud:v3") as refused:
        follow(admin, clock, release="fraud:v3", appear_s=10)

    assert "--appear" in str(refused.value)
    assert 10 <= clock.now < 12


def test_a_rollout_may_appear_late(admin: AdminStandIn) -> None:
    """A new configuration takes a moment; until then the route has the old rollout or none."""
    old = samples.rollout("promoted", release="fraud:v1", canary="v1", id="r-0")
    nothing = (404, {"error": {"message": "there is no rollout 'fraud'"}})
    admin.on("GET", "/v1/rollouts/fraud", nothing, (200, old), (200, samples.rollout()))
    admin.on("GET", "/v1/rollouts/r-1", (200, samples.rollout("promoted")))

    result = follow(admin, Clock(), release="fraud:v2")

    assert (result.code, result.release) == (GateCode.PROMOTED, "fraud:v2")


def test_a_route_that_never_gets_a_rollout_is_an_error(admin: AdminStandIn) -> None:
    """What the server says of it reaches the user."""
    with pytest.raises(CommandError, match="there is nothing here"):
        follow(admin, Clock())


def test_a_restart_of_headgate_is_waited_for(admin: AdminStandIn) -> None:
    """503 while control is away, then it is back."""
    away = (503, {"error": {"message": "control is away", "remedy": "wait"}})
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout()))
    admin.on("GET", "/v1/rollouts/r-1", *[away] * 20, (200, samples.rollout("promoted")))
    clock = Clock()

    assert follow(admin, clock).code is GateCode.PROMOTED
    assert "fraud: nobody answers; trying again" in clock.said


def test_nobody_there_ends_before_the_time_is_up() -> None:
    """Half an hour of waiting for a wrong address helps nobody."""
    clock = Clock()

    result = follow("127.0.0.1:9", clock, timeout_s=1800, unreachable_s=30)

    assert result.code is GateCode.UNREACHABLE
    assert "nobody answers" in result.reason
    assert 30 <= clock.now < 32


def test_a_rollback_while_watching_on_counts(admin: AdminStandIn) -> None:
    """Promoted, and ten seconds later rolled back: the pipeline must not go on."""
    promoted = [samples.rollout("promoted")] * 20
    on_rollout(admin, samples.rollout(), *promoted, samples.rollout("rolled_back", reason="worse"))

    assert follow(admin, Clock(), watch_s=30).code is GateCode.ROLLED_BACK
    on_rollout(admin, samples.rollout(), *promoted, samples.rollout("rolled_back", reason="worse"))
    assert follow(admin, Clock(), watch_s=3).code is GateCode.PROMOTED


def test_something_is_said_once_a_minute_and_when_anything_changes(admin: AdminStandIn) -> None:
    """A job that says nothing is ended by its runner; one that talks all the time is read by nobody."""
    later = samples.rollout(step=2)
    on_rollout(admin, *[samples.rollout()] * 400, *[later] * 40, samples.rollout("promoted"))
    clock = Clock()

    follow(admin, clock, timeout_s=600)

    steps = [line.split(", ")[1].split(" for ")[0] for line in clock.said if "step" in line]
    assert steps == ["step 2 of 3"] * steps.count("step 2 of 3") + ["step 3 of 3"]
    assert 5 <= len(clock.said) <= 7, clock.said
    assert clock.said[-1].startswith("fraud: v2 is promoted")


SHADOWED = [{"weight": 0.0, "shadow": {"shadow": "next"}}, {"weight": 0.1, "shadow": None}, {"weight": 1.0}]


def test_a_shadow_gate_is_passed_when_its_step_is_left(admin: AdminStandIn) -> None:
    """The rollout goes on, and the pipeline's first part is done."""
    before = samples.rollout(steps=SHADOWED, step=0)
    on_rollout(admin, before, before, samples.rollout(steps=SHADOWED, step=1))

    result = follow(admin, Clock(), until=Until.SHADOW)

    assert result.code is GateCode.PROMOTED
    assert result.title == "fraud: fraud:v2 passed its shadow gate"


def test_a_release_that_failed_in_the_shadow_did_not_pass(admin: AdminStandIn) -> None:
    """It is ended without having had a request; one that never began has passed nothing either."""
    on_rollout(
        admin, samples.rollout(steps=SHADOWED, step=0), samples.rollout("aborted", steps=SHADOWED, step=0)
    )
    assert follow(admin, Clock(), until=Until.SHADOW).code is GateCode.ROLLED_BACK

    on_rollout(admin, samples.rollout("pending", steps=SHADOWED, step=0))
    assert follow(admin, Clock(), until=Until.SHADOW).code is GateCode.UNDECIDED


def test_without_a_shadow_there_is_nothing_to_pass(admin: AdminStandIn) -> None:
    """A gate that is always open would be worse than none."""
    on_rollout(admin, samples.rollout())

    with pytest.raises(CommandError, match="compares no shadow"):
        follow(admin, Clock(), until=Until.SHADOW)
