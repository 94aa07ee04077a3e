"""What a step of a rollout waits for, met or not, in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from config.counted import counted
from control.guardrails.finding import Family, Mode, Verdict
from control.judgement.analysis import Analysis
from control.plans.conditions import CALM, Answer, Outside, Reply, WebhookGate
from control.plans.plan import RolloutPlan, Step
from control.shadows.gate import ShadowGate

if TYPE_CHECKING:
    from control.rollout.machine import Rollout

FREEZE: Final = "freeze"
"""The gate, and the hold, of a freeze window."""
ALARM_ENDS: Final = "an alarm does not end by itself: when its cause is gone, restart compares anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One thing a step waits for."""

    name: str
    met: bool
    text: str
    """How far it is, in plain words."""


def gates(
    rollout: Rollout, plan: RolloutPlan, analysis: Analysis | None, now: float, outside: Outside = CALM
) -> tuple[Gate, ...]:
    """What the current step waits for, met or not, in the order in which a person would ask."""
    found = [*own_gates(rollout, plan, analysis, now, outside)]
    for webhook in asked(rollout, plan):
        reply = outside.reply(webhook)
        found.append(Gate(name=webhook.name, met=reply.answer is Answer.APPROVE, text=_said(webhook, reply)))
    return tuple(found)


def said(rollout: Rollout, plan: RolloutPlan, outside: Outside) -> tuple[str, ...]:
    """What the services have said that were asked."""
    return tuple(_said(webhook, outside.reply(webhook)) for webhook in asked(rollout, plan))


def own_gates(
    rollout: Rollout, plan: RolloutPlan, analysis: Analysis | None, now: float, outside: Outside = CALM
) -> tuple[Gate, ...]:
    """The gates that nobody outside has to be asked about."""
    step = plan.step(rollout.step)
    found = [_time(rollout, step, now)]
    if step.shadow is not None:
        return (*found, _shadow(step.shadow, outside), *_freeze(plan, outside))
    answered = 0 if analysis is None else analysis.step_requests
    if step.requests > 0:
        found.append(
            Gate(
                name="requests",
                met=answered >= step.requests,
                text=f"{answered} of {step.requests} canary requests answered at this step",
            )
        )
    if analysis is None:
        found.append(Gate(name="evidence", met=False, text="nothing has been counted yet"))
    else:
        met = analysis.verdict is Verdict.PASS or analysis.unjudged or _stands(rollout, plan, analysis)
        found.append(Gate(name="evidence", met=met, text=evidence_text(rollout, plan, analysis)))
        if analysis.hold:
            found.append(Gate(name="hold", met=False, text=hold_text(analysis)))
    if outside.ailing:
        found.append(Gate(name="endpoints", met=False, text=outside.ailing))
    return (*found, *_freeze(plan, outside))


def gates_to_begin(plan: RolloutPlan, outside: Outside) -> tuple[Gate, ...]:
    """What a rollout that is still pending waits for; nothing where the next tick begins it."""
    if plan.auto_start:
        return _freeze(plan, outside)
    return (*_freeze(plan, outside), Gate(name="start", met=False, text="a person has to start it (promote)"))


def _freeze(plan: RolloutPlan, outside: Outside) -> tuple[Gate, ...]:
    window = outside.frozen(plan.freezes)
    return () if window is None else (Gate(name=FREEZE, met=False, text=window.text),)


def _shadow(gate: ShadowGate, outside: Outside) -> Gate:
    finding = outside.shadow
    if finding is None:
        return Gate(name="shadow", met=False, text=f"nothing is known of the shadow {gate.shadow} yet")
    return Gate(
        name="shadow",
        met=finding.verdict is Verdict.PASS,
        text=f"shadow {gate.shadow}: {finding.reason}",
    )


def shadow_failed(step: Step, outside: Outside) -> str | None:
    """Why a shadow has failed the step's gate; None while it has not."""
    finding = outside.shadow
    if step.shadow is None or finding is None or finding.verdict is not Verdict.FAIL:
        return None
    return f"shadow {step.shadow.shadow}: {finding.reason}"


def shadow_shown(step: Step, outside: Outside) -> str:
    """What a shadow has shown at the step's gate; empty where the step has none."""
    finding = outside.shadow
    return "" if step.shadow is None or finding is None else f"shadow {step.shadow.shadow}: {finding.reason}"


def evidence_text(rollout: Rollout, plan: RolloutPlan, analysis: Analysis) -> str:
    """What the evidence says, as far as the step depends on it."""
    if analysis.verdict is Verdict.PASS or not _stands(rollout, plan, analysis):
        return analysis.reason
    return f"what was shown before stands, as there is no control any more; {analysis.reason}"


def hold_text(analysis: Analysis) -> str:
    """Why a rollout is held, and how a person gets on where it does not end by itself."""
    rings = any(
        finding.holds and finding.family is Family.PLUMBING and finding.mode is Mode.ENFORCE
        for finding in analysis.findings
    )
    # What has been proved of the requests so far stays proved, whatever comes after them.
    return f"{analysis.hold} ({ALARM_ENDS})" if rings else analysis.hold


def _stands(rollout: Rollout, plan: RolloutPlan, analysis: Analysis) -> bool:
    """Whether a step without control may be left although its comparison does not pass at this moment.

    The last requests of earlier steps end in it, and nothing is compared any more that would answer them:
    it would wait for ever. An e-process that has reached its threshold once has shown what it says (Ville):
    what was shown when the step began stands, unless the evidence of harm has come to what promoting would
    need. Guardrails that need no control go on as ever.
    """
    doubtful = analysis.verdict is Verdict.INCONCLUSIVE
    if plan.step(rollout.step).weight < 1 or not rollout.shown or not doubtful or analysis.warming:
        return False
    alone = {guardrail.name for guardrail in plan.guardrails if not guardrail.compares}
    return (
        analysis.log_e < math.log(1.0 / plan.alpha_promote)
        and analysis.step_requests > 0
        and not analysis.diverted
        and all(
            finding.verdict is Verdict.PASS
            for finding in analysis.findings
            if finding.name in alone and finding.mode is Mode.ENFORCE
        )
    )


def asked(rollout: Rollout, plan: RolloutPlan) -> tuple[WebhookGate, ...]:
    """The services that have to approve what comes after the current step."""
    ahead = "promote" if rollout.step + 1 >= len(plan.steps) else "advance"
    return tuple(webhook for webhook in plan.webhooks if ahead in webhook.before)


def _time(rollout: Rollout, step: Step, now: float) -> Gate:
    since = rollout.step_started_at if rollout.step_started_at is not None else now
    # A paused rollout does not age.
    elapsed = (rollout.paused_at if rollout.paused_at is not None else now) - since
    least = f" of {step.duration_s:g} s" if step.duration_s > 0 else ""
    share = "with copies alone" if step.shadow is not None else f"at {step.weight:.4g} of requests"
    text = f"{max(0.0, elapsed):.0f} s{least} {share}"
    return Gate(name="time", met=elapsed >= step.duration_s, text=f"baking for {text}" if step.bake else text)


def _said(webhook: WebhookGate, reply: Reply) -> str:
    match reply.answer:
        case Answer.APPROVE:
            text = f"{webhook.name} approves"
        case Answer.REFUSE:
            text = f"{webhook.name} refuses"
        case Answer.WAIT:
            text = f"{webhook.name} says wait"
        case Answer.LOST:
            return f"{webhook.name} gave no answer in {counted(webhook.attempts, 'attempt')}: {reply.text}"
        case Answer.NONE:
            return f"no answer from {webhook.name} yet" + (f": {reply.text}" if reply.text else "")
    return f"{text}: {reply.text}" if reply.text else text
