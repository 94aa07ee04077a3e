"""What a changed configuration does to the rollouts that are there."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from config.schema import Config
from control.audit.events import RolloutCreated, RolloutPlanChanged, RolloutReinstated
from control.change import Change
from control.configuration import read_configuration
from control.rollout.identity import canary_routes
from control.rollout.machine import DecisionKind, State
from control.rollout.reconcile import Past, Wanted, reconcile
from control.rollout.records import Record
from tests.helpers.control import AGENT, config_body, configuration

NOW = 1_000.0
NONE = Past(newest=None, epoch=0)


def wanted(config: Config) -> dict[str, Wanted]:
    body = config_body(config)
    return read_configuration(body["config"], digest=body["digest"], source="s", at=NOW).wanted


def apply(
    config: Config, current: Mapping[str, Record] | None = None, past: Past = NONE
) -> tuple[Change, dict[str, Record]]:
    change = Change(origin=AGENT, wall=NOW, steady=NOW)
    after = reconcile(
        change,
        wanted=wanted(config),
        current=current or {},
        past={"fraud": past},
        config_digest="sha256:new",
    )
    return change, after


def running(config: Config, state: State = State.PROGRESSING, *, step: int = 0) -> Record:
    _, after = apply(config)
    record = after["fraud"]
    rollout = replace(
        record.rollout,
        state=state,
        step=step,
        stage=step + 1,
        started_at=NOW - 60,
        step_started_at=NOW - 30,
        reason="so far",
    )
    return replace(record, rollout=rollout)


def test_a_new_canary_begins_pending_in_a_new_epoch() -> None:
    """Nobody who was on an earlier canary is on this one by an old assignment."""
    change, after = apply(configuration(), past=Past(newest=None, epoch=7))

    record = after["fraud"]
    (event,) = change.events
    assert record.rollout.state is State.PENDING
    assert record.rollout.epoch == 8
    assert record.weight == 0.0
    assert isinstance(event, RolloutCreated)
    assert (event.stable, event.canary, event.release) == ("v1", "v2", "fraud:v2")


def test_a_route_without_a_rollout_has_none() -> None:
    """Its canary keeps the configured weight."""
    assert apply(configuration(ramped=False))[1] == {}
    assert apply(configuration(rollout={"enabled": False}))[1] == {}


@pytest.mark.parametrize("state", [state for state in State if state is not State.SUPERSEDED])
def test_the_same_upstreams_keep_their_rollout(state: State) -> None:
    """A reload moves nothing: above all, a rolled-back canary stays rolled back."""
    before = running(configuration(), state)

    change, after = apply(configuration(), {"fraud": before})

    assert after["fraud"] is before
    assert change.empty


@pytest.mark.parametrize("other", [{"release": "fraud:v2.1"}, {"port": 9102}, {"canary": "v3"}])
def test_other_upstreams_supersede_the_rollout(other: dict[str, Any]) -> None:
    """Another release, address or name is another canary."""
    before = running(configuration())

    change, after = apply(configuration(**other), {"fraud": before}, Past(newest=None, epoch=4))

    (decided,) = change.decided
    assert decided.decision.kind is DecisionKind.SUPERSEDED
    assert not change.records[before.rollout.id].current
    assert after["fraud"].rollout.id != before.rollout.id
    assert after["fraud"].rollout.state is State.PENDING
    assert after["fraud"].rollout.epoch == 5


def test_a_finished_rollout_makes_room_without_a_decision() -> None:
    """It was decided long ago."""
    before = running(configuration(), State.PROMOTED)

    change, after = apply(configuration(canary="v3"), {"fraud": before})

    assert change.decided == []
    assert not change.records[before.rollout.id].current
    assert change.records[before.rollout.id].rollout.state is State.PROMOTED
    assert after["fraud"].rollout.canary == "v3"


def test_removing_the_rollout_supersedes_it() -> None:
    """The split's own weight is in force again."""
    before = running(configuration())

    change, after = apply(configuration(ramped=False), {"fraud": before})

    assert after == {}
    assert change.decided[0].decision.kind is DecisionKind.SUPERSEDED


@pytest.mark.parametrize("state", [State.ROLLED_BACK, State.ABORTED, State.EXPIRED])
def test_coming_back_to_what_was_ended_does_not_begin_it_again(state: State) -> None:
    """Two edits must not undo what was decided about a canary."""
    ended = replace(running(configuration(), state), current=False)

    change, after = apply(configuration(), {}, Past(newest=ended, epoch=3))

    assert after["fraud"].rollout == ended.rollout
    assert after["fraud"].current
    assert isinstance(change.events[0], RolloutReinstated)


@pytest.mark.parametrize("state", [State.PROMOTED, State.SUPERSEDED])
def test_coming_back_to_what_was_promoted_begins_anew(state: State) -> None:
    """An old promotion must not send everything to a canary at once."""
    ended = replace(running(configuration(), state), current=False)

    _, after = apply(configuration(), {}, Past(newest=ended, epoch=3))

    assert after["fraud"].rollout.id != ended.rollout.id
    assert after["fraud"].rollout.state is State.PENDING


def test_a_changed_plan_applies_to_the_running_rollout() -> None:
    """The next look follows the new plan; the change is on record."""
    before = running(configuration(steps=["10%", "50%", "100%"]), step=1)

    change, after = apply(
        configuration(steps=["10%", "50%", "100%"], rollout={"duration": "60s"}), {"fraud": before}
    )

    (event,) = change.events
    assert isinstance(event, RolloutPlanChanged)
    assert (event.before["duration"], event.after["duration"]) == (5.0, 60.0)
    assert after["fraud"].rollout == before.rollout
    assert after["fraud"].plan.steps[1].duration_s == 60.0


@pytest.mark.parametrize(
    ("steps", "step", "weight"),
    [
        (["5%", "10%", "50%", "100%"], 2, 0.5),
        (["20%", "100%"], 0, 0.2),
        (["60%", "100%"], 0, 0.6),
        (["50%"], 0, 0.5),
        (["1%", "2%", "3%"], 2, 0.03),
    ],
)
def test_a_running_rollout_finds_its_step_in_the_new_plan(steps: list[str], step: int, weight: float) -> None:
    """The highest step not above its weight, so that a plan does not widen unless it has no lower step."""
    before = running(configuration(steps=["10%", "50%", "100%"]), step=1)

    _, after = apply(configuration(steps=steps), {"fraud": before})

    record = after["fraud"]
    assert (record.rollout.step, record.weight) == (step, weight)
    assert record.rollout.stage == before.rollout.stage + 1
    assert record.stage != before.stage
    # The time at a weight goes on while the weight stays.
    assert record.rollout.step_started_at == (NOW - 30 if weight == 0.5 else NOW)


def test_evidence_stays_when_the_guardrails_change_and_goes_when_the_comparison_does() -> None:
    """Counts against stable as a whole are not the counts against a control slice."""
    before = running(configuration())

    _, other_guardrails = apply(
        configuration(rollout={"guardrails": [{"kind": "error_rate", "max": "2%"}]}), {"fraud": before}
    )
    _, other_control = apply(configuration(control=False), {"fraud": before})

    assert other_guardrails["fraud"].evidence is before.evidence
    assert other_guardrails["fraud"].evidence_from == before.evidence_from
    assert other_control["fraud"].control == "stable"
    assert other_control["fraud"].evidence_from == other_control["fraud"].rollout.stage


def test_identity_ignores_how_requests_are_spread_over_endpoints() -> None:
    """Weights and the order of endpoints do not make another release."""

    def identity(endpoints: list[Any]) -> str:
        value = configuration().to_json()
        value["upstreams"]["v2"]["endpoints"] = endpoints
        return canary_routes(Config.from_json(value))["fraud"].identity

    one, two = "http://127.0.0.1:9002", "http://127.0.0.1:9012"

    assert identity([one, two]) == identity([{"url": two, "weight": 5}, one])
    assert identity([one, two]) != identity([one])


def test_a_named_release_is_condemned_wherever_it_runs() -> None:
    """Another port does not make a bad release good; without a name, the address is all there is."""
    named = canary_routes(configuration(port=9002))["fraud"]
    moved = canary_routes(configuration(port=9102))["fraud"]
    unnamed = canary_routes(configuration(release="", port=9002))["fraud"]
    elsewhere = canary_routes(configuration(release="", port=9102))["fraud"]

    assert named.identity != moved.identity
    assert named.subject == moved.subject
    assert unnamed.subject != elsewhere.subject
