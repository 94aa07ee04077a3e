"""Approvals: who may decide, what a request is bound to, what ends it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.errors import ConflictError, ForbiddenError, InvalidError, NotApprovedError, TransitionError
from control.registry.approval import TRANSITIONS, ApprovalEvent, ApprovalState
from control.registry.plans import plan_of
from control.store import registry_schema
from tests.helpers.registry import Bench, People, draft, in_production

TWO_OF_THREE: dict[str, Any] = {
    "registry": {
        "stages": {
            "staging": {"to": ["production", "archived"]},
            "production": {
                "to": ["archived"],
                "single": True,
                "alias": "prod",
                "approval": {"quorum": 2, "reviewers": ["bob", "carol", "dave"], "expires": 3600},
            },
            "archived": {"to": ["staging"]},
        }
    }
}


async def _asked(shelf: Bench, people: People, version: str = "1.0.0", **more: Any) -> str:
    await shelf.registry.register(draft(version), people.alice)
    more.setdefault("justification", "AUC 0.91, was 0.87")
    asked = await shelf.approvals.request(f"fraud:{version}", "production", people.alice, **more)
    return asked.id


def test_every_state_has_a_row_and_the_final_ones_refuse_everything() -> None:
    """The machine is one table."""
    assert set(TRANSITIONS) == set(ApprovalState)
    for state in (ApprovalState.REJECTED, ApprovalState.EXPIRED):
        assert TRANSITIONS[state] == {}
    assert {event for row in TRANSITIONS.values() for event in row} == set(ApprovalEvent)


async def test_the_quorum_grants_and_the_promotion_uses_it(shelf: Bench, people: People) -> None:
    """Two of three approve; the promotion names the request, which serves once."""
    await shelf.configure(TWO_OF_THREE)
    request = await _asked(shelf, people)
    with pytest.raises(NotApprovedError, match=r"0 of 2 approvals; it waits for bob, carol, dave"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)

    await shelf.approvals.vote(request, people.bob, approves=True)
    with pytest.raises(NotApprovedError, match=r"1 of 2 approvals; it waits for carol, dave"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)
    await shelf.approvals.vote(request, people.dave, approves=True, reason="checked the data")
    assert (await shelf.approvals.get(request))["status"] == "approved"
    assert (await shelf.registry.latest("fraud", approved=True)).release.version == "1.0.0"

    await shelf.registry.promote("fraud:1.0.0", "production", people.alice)

    found = (await shelf.registry.get("fraud:1.0.0")).to_json()
    assert found["history"][-1]["approval"] == request
    assert (found["approval_status"], found["approved_by"]) == ("approved", ["bob", "dave"])
    assert [event[0] for event in await shelf.told()] == [
        "model_registered",
        "approval_requested",
        "approval_granted",
        "approval_granted",
        "alias_moved",
        "model_promoted",
    ]
    await shelf.registry.archive("fraud:1.0.0", people.alice)
    await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)
    # It was there before, so coming back is going back; another one would have to ask.
    await shelf.registry.promote("fraud:1.0.0", "production", people.alice)


async def test_known_defect_anyone_approved_their_own_request(shelf: Bench, people: People) -> None:
    """Whoever asks never decides, also not by renewing what another one asked for."""
    request = await _asked(shelf, people)

    with pytest.raises(ForbiddenError, match="alice asked for it and cannot decide it"):
        await shelf.approvals.vote(request, people.alice, approves=True)
    with pytest.raises(ForbiddenError):
        await shelf.approvals.vote(request, people.alice, approves=False, reason="changed my mind")
    assert (await shelf.approvals.get(request))["votes"] == []


async def test_only_named_reviewers_decide_and_each_once(shelf: Bench, people: People) -> None:
    """Two votes of one person are one."""
    await shelf.configure(TWO_OF_THREE)
    request = await _asked(shelf, people)
    stranger = people.bob.__class__(actor="mallory")

    with pytest.raises(ForbiddenError, match=r"mallory is no reviewer.*ask bob, carol, dave"):
        await shelf.approvals.vote(request, stranger, approves=True)
    await shelf.approvals.vote(request, people.bob, approves=True)
    with pytest.raises(TransitionError, match="bob has approved"):
        await shelf.approvals.vote(request, people.bob, approves=True)


async def test_a_rejection_closes(shelf: Bench, people: People) -> None:
    """It takes a reason; nobody can approve after it, and the votes before it stay readable."""
    await shelf.configure(TWO_OF_THREE)
    request = await _asked(shelf, people)
    await shelf.approvals.vote(request, people.bob, approves=True)

    with pytest.raises(InvalidError, match="reason: is empty"):
        await shelf.approvals.vote(request, people.carol, approves=False)
    await shelf.approvals.vote(request, people.carol, approves=False, reason="no fairness report")

    found = await shelf.approvals.get(request)
    assert (found["status"], found["reason"], found["closed_by"]) == (
        "rejected",
        "no fairness report",
        "carol",
    )
    assert [(vote["reviewer"], vote["vote"]) for vote in found["votes"]] == [
        ("bob", "approve"),
        ("carol", "reject"),
    ]
    with pytest.raises(TransitionError, match="is rejected"):
        await shelf.approvals.vote(request, people.dave, approves=True)
    with pytest.raises(NotApprovedError, match=r"is rejected; headgate approvals request fraud:1\.0\.0"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)
    # Another one can be asked for; the first stays as it was.
    again = await shelf.approvals.request("fraud:1.0.0", "production", people.alice, justification="report")
    assert again.id != request


async def test_what_was_granted_can_be_objected_to_until_it_is_used(shelf: Bench, people: People) -> None:
    """A late objection counts."""
    request = await _asked(shelf, people)
    await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)
    await shelf.approvals.vote(request, people.bob, approves=True)

    await shelf.approvals.vote(request, people.carol, approves=False, reason="found a leak")

    with pytest.raises(NotApprovedError, match="is rejected"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)


async def test_a_request_expires_granted_or_not(shelf: Bench, people: People) -> None:
    """Checked again when it is applied, not only when it was granted."""
    request = await _asked(shelf, people)
    await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)
    await shelf.approvals.vote(request, people.bob, approves=True)
    shelf.clock.now += 7 * 86400

    assert (await shelf.approvals.get(request))["status"] == "expired"
    with pytest.raises(NotApprovedError, match="is expired"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)
    assert await shelf.approvals.settle(people.alice) == 1
    assert await shelf.approvals.settle(people.alice) == 0
    assert (await shelf.told())[-1][0] == "approval_lapsed"


async def test_another_rollout_plan_requires_another_look(shelf: Bench, people: People) -> None:
    """A grant is bound to how the release will be rolled out; a renewal begins a new round without votes."""

    await shelf.configure(_protected("5%"))
    request = await _asked(shelf, people)
    await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)
    await shelf.approvals.vote(request, people.bob, approves=True)

    await shelf.configure(_protected("50%"))

    with pytest.raises(NotApprovedError, match=r"the rollout plan changed since .* headgate approvals renew"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)
    assert (await shelf.approvals.get(request))["status"] == "requires_review"
    with pytest.raises(TransitionError, match="requires review: the rollout plan changed"):
        await shelf.approvals.vote(request, people.carol, approves=True)
    assert (await shelf.told())[-1][0] == "approval_lapsed"

    renewed = await shelf.approvals.renew(request, people.carol)
    assert (renewed.round, renewed.approvers, renewed.requested_by) == (2, (), "carol")
    with pytest.raises(ForbiddenError):
        await shelf.approvals.vote(request, people.carol, approves=True)
    await shelf.approvals.vote(request, people.bob, approves=True)
    await shelf.registry.promote("fraud:1.0.0", "production", people.alice)
    assert len((await shelf.approvals.get(request))["votes"]) == 2


def _protected(step: str, canary: str = "fraud:1") -> dict[str, Any]:
    """A configuration with a ramp to *step*."""
    route = {"name": "fraud", "protected": "production", "rollout": {"steps": [step]}}
    route["split"] = {"kind": "canary", "stable": "v1", "canary": "v2"}
    return {"upstreams": {"v1": {"release": "fraud:1"}, "v2": {"release": canary}}, "routes": [route]}


async def test_a_plan_can_be_approved_before_it_is_in_force(shelf: Bench, people: People) -> None:
    """It waits for its configuration; once that was in force, another plan requires another look."""
    ahead = plan_of(_protected("5%"), "fraud", "production")
    request = await _asked(shelf, people, plan=ahead)
    await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)
    await shelf.approvals.vote(request, people.bob, approves=True)

    # Whatever is in force meanwhile is not what was asked for, and nobody has to look again.
    await shelf.configure(_protected("50%"))
    assert await shelf.approvals.settle(people.alice) == 0
    waiting = await shelf.approvals.get(request)
    assert (waiting["status"], waiting["plan_proposed"], waiting["plan"]) == ("approved", True, ahead)
    with pytest.raises(NotApprovedError, match="the rollout plan changed since"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)

    await shelf.configure(_protected("5%"))
    assert await shelf.approvals.settle(people.alice) == 1
    assert (await shelf.approvals.get(request))["plan_proposed"] is False
    await shelf.configure(_protected("7%"))
    assert (await shelf.approvals.get(request))["status"] == "requires_review"


async def test_a_plan_that_never_came_into_force_is_asked_for_anew(shelf: Bench, people: People) -> None:
    """Votes for the one plan are none for the other."""
    plans = [plan_of(_protected(step), "fraud", "production") for step in ("5%", "50%")]
    request = await _asked(shelf, people, plan=plans[0])
    await shelf.approvals.vote(request, people.bob, approves=True)

    renewed = await shelf.approvals.renew(request, people.alice, plan=plans[1])

    assert (renewed.state, renewed.proposed, renewed.approvers) == (ApprovalState.PENDING, True, ())
    back = await shelf.approvals.renew(request, people.alice)
    assert (back.proposed, back.plan, back.round) == (False, {}, 3)


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"fraud": {"kind": "canary"}},
        {"fraud": {"kind": "canary", "weight": None, "rollout": None, "more": 1}},
        {"fraud": {"kind": "x" * 300_000, "weight": None, "rollout": None}},
        {"fraud": ["kind", "weight", "rollout"]},
    ],
)
async def test_what_is_no_plan_cannot_be_asked_for(
    shelf: Bench, people: People, plan: dict[str, Any]
) -> None:
    """Nothing is written."""
    with pytest.raises(InvalidError, match="plan: is not"):
        await _asked(shelf, people, plan=plan)
    assert await shelf.approvals.page() == []


async def test_a_request_may_be_stricter_than_the_stage_and_never_weaker(
    shelf: Bench, people: People
) -> None:
    """Reviewers come from those the stage allows, and must be able to reach the quorum."""
    await shelf.configure(TWO_OF_THREE)
    await shelf.registry.register(draft(), people.alice)

    async def ask(**more: Any) -> None:
        await shelf.approvals.request("fraud:1.0.0", "production", people.alice, justification="x", **more)

    with pytest.raises(InvalidError, match="production takes 2 approvals"):
        await ask(quorum=1)
    with pytest.raises(InvalidError, match="mallory may not approve for production"):
        await ask(reviewers=["bob", "mallory"])
    with pytest.raises(InvalidError, match="can never be 2 approvals"):
        await ask(reviewers=["bob"])
    with pytest.raises(InvalidError, match="justification: is empty"):
        await shelf.approvals.request("fraud:1.0.0", "production", people.alice, justification=" ")
    with pytest.raises(InvalidError, match="nobody has to agree"):
        await shelf.approvals.request("fraud:1.0.0", "staging", people.alice, justification="x")
    await ask(quorum=3)
    with pytest.raises(ConflictError, match=r"asks for fraud:1\.0\.0 in production already and is pending"):
        await ask()


async def test_comments_form_threads(shelf: Bench, people: People) -> None:
    """An answer belongs to what it answers; nothing said is ever changed."""
    request = await _asked(shelf, people)
    other = await _asked(shelf, people, "2.0.0")

    question = await shelf.approvals.comment(request, people.bob, "Which data?")
    await shelf.approvals.comment(request, people.alice, "May.", reply_to=question.id)

    said = (await shelf.approvals.get(request))["comments"]
    assert [(each["author"], each["text"], each["reply_to"]) for each in said] == [
        ("bob", "Which data?", None),
        ("alice", "May.", question.id),
    ]
    with pytest.raises(Exception, match="no comment"):
        await shelf.approvals.comment(other, people.bob, "?", reply_to=question.id)


async def test_breaking_the_glass_lets_in_and_leaves_a_task(shelf: Bench, people: People) -> None:
    """It takes a reason, raises a critical event, and somebody else must look at it."""
    await shelf.registry.register(draft(), people.alice)
    await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)

    with pytest.raises(InvalidError, match="reason: is empty"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice, break_glass=True)
    await shelf.registry.promote(
        "fraud:1.0.0", "production", people.alice, break_glass=True, reason="stable is down"
    )

    event = next(each for each in await shelf.events() if each["type"] == "break_glass_used")
    assert event["severity"] == "critical"
    assert event["details"]["reason"] == "stable is down"
    assert "nobody has asked" in event["details"]["missing"][0]
    [task] = await shelf.tasks.all()
    with pytest.raises(ForbiddenError, match="alice broke the glass"):
        await shelf.tasks.review(task["id"], people.alice, accept=True, reason="fine")
    await shelf.tasks.review(task["id"], people.bob, accept=False, reason="could have waited")
    assert await shelf.tasks.all() == []
    assert (await shelf.tasks.all(open_only=False))[0]["finding"] == "objected: could have waited"
    with pytest.raises(TransitionError, match="bob has looked at"):
        await shelf.tasks.review(task["id"], people.carol, accept=True, reason="fine")


async def test_pending_requests_are_listed(shelf: Bench, people: People) -> None:
    """By state and model, newest first, page by page."""
    first = await _asked(shelf, people)
    second = await _asked(shelf, people, "2.0.0")
    await shelf.approvals.vote(first, people.bob, approves=True)

    pending = await shelf.approvals.page(state=ApprovalState.PENDING)
    assert [each["id"] for each in pending] == [second]
    assert [each["id"] for each in await shelf.approvals.page(limit=1)] == [second]
    assert [each["id"] for each in await shelf.approvals.page(limit=1, before=second)] == [first]
    assert await shelf.approvals.page(name="other") == []


async def test_tampering_with_a_bound_digest_is_noticed(shelf: Bench, people: People) -> None:
    """A request whose digest is not the release's grants nothing."""
    request = await _asked(shelf, people)
    await shelf.registry.promote("fraud:1.0.0", "staging", people.alice)
    await shelf.approvals.vote(request, people.bob, approves=True)
    async with shelf.store.write() as connection:
        await connection.execute(
            registry_schema.approvals.update().values(release_digest="sha256:" + "0" * 64)
        )

    with pytest.raises(NotApprovedError, match="the artifact or its configuration changed"):
        await shelf.registry.promote("fraud:1.0.0", "production", people.alice)


async def test_rolling_back_never_asks(shelf: Bench, people: People) -> None:
    """With every approval used and the glass whole, going back works."""
    await shelf.configure(TWO_OF_THREE)
    for version in ("1.0.0", "2.0.0"):
        request = await _asked(shelf, people, version)
        for reviewer in (people.bob, people.carol):
            await shelf.approvals.vote(request, reviewer, approves=True)
        await shelf.registry.promote(f"fraud:{version}", "production", people.alice)

    assert (await shelf.registry.rollback("fraud", people.alice)).version == "1.0.0"


@given(st.lists(st.sampled_from(list(ApprovalEvent)), max_size=8))
def test_no_path_leads_out_of_a_final_state(events: list[ApprovalEvent]) -> None:
    """And only a quorum leads to approved."""
    state = ApprovalState.PENDING
    for event in events:
        following = TRANSITIONS[state].get(event)
        if following is ApprovalState.APPROVED:
            assert event is ApprovalEvent.QUORUM
        assert not (state in (ApprovalState.REJECTED, ApprovalState.EXPIRED) and following)
        state = state if following is None else following


async def test_history_is_never_overwritten(shelf: Bench, people: People) -> None:
    """Votes and comments are rows that a trigger keeps."""
    await in_production(shelf, "1.0.0", people)

    with pytest.raises(Exception, match="never changes"):
        async with shelf.store.write() as connection:
            await connection.execute(registry_schema.approval_votes.update().values(approves=False))
