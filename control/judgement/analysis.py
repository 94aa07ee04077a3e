"""What the evidence of a rollout says at one moment: a verdict, with its reason and everything behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from control.guardrails.finding import Family, Finding, Mode, Verdict
from control.guardrails.words import e_value, percent, rate
from control.judgement.evidence import ArmCounts, Evidence
from control.judgement.keys import NO_KEYS
from control.judgement.observation import RECENT_SECONDS, observe
from control.judgement.view import EvidenceView
from control.judgement.warming import warming
from control.plans.plan import BREAKER, RolloutPlan
from control.stats.events import FAILURE
from control.stats.intervals import one_look
from control.stats.latency import quantile_name
from control.stats.one_sample import BROKEN, LOG_BROKEN
from control.stats.sr import TICKS_TO_FALSE_ALARM, Watch
from proxy.key_times import LEVELS

__all__ = ["Analysis", "ArmCounts", "Evidence", "analyse", "observe"]

# An arm is as broken as the canary from this failure rate on: then the fault is shared.
_SHARED_FROM: Final = 0.25
# So many recent control requests are enough to say that it fails.
_TROUBLE_REQUESTS: Final = 5.0
# How many more canary requests may be in flight than control's pace explains, in standard deviations.
_DEVIATIONS: Final = 3.0
# Half of the evidence, and less, is left.
_UNLIKE_FROM: Final = 2.0
# After the workers diverted a canary request, widening waits for this long.
_DIVERTED_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What the evidence says at one moment. Plain values, so it can be stored, shown and compared."""

    at: float
    verdict: Verdict
    """PASS: the margins of this step are met. FAIL: roll back. The rest: wait."""
    reason: str
    """One or two sentences with the numbers."""
    culprits: tuple[str, ...] = ()
    """Names of the guardrails to blame, or "combined", or "breaker"; empty unless the verdict is FAIL."""
    hold: str = ""
    """Why nothing may widen although no harm is shown (a broken comparison, a fault both arms share)."""
    hold_code: str = ""
    """The names of the guardrails behind it, "control" or "baseline", for comparing two holds."""
    log_e: float = 0.0
    """Natural logarithm of the combined e-value of the enforced guardrails."""
    threshold: float
    """The combined e-value at which the canary is rolled back: 1 / alpha."""
    anytime_p: float = 1.0
    """min(1, 1 / largest combined e-value): valid however often it is looked at."""
    level: int = 0
    """How loose the margins of the step were; 0 is final."""
    findings: tuple[Finding, ...] = ()
    warming: bool = False
    """Whether the step is still warming up, so that nothing of it is judged."""
    step_requests: int = 0
    """Canary requests answered in the current stage."""
    in_flight: tuple[int, int] = (0, 0)
    """Requests not yet answered in the current stage: canary, control."""
    diverted: int = 0
    """Canary requests the workers sent to stable in the current stage."""
    needed: int | None = None
    """About how many more canary requests this step needs if the canary is as good as control."""
    overdispersion: float = 1.0
    """phi: how much more keys differ from each other than chance would have it; evidence is divided by it."""
    overdispersion_latency: Mapping[str, float] = field(default_factory=dict)
    """The same of how slow their answers are, by quantile: evidence of latency is divided by it."""
    note: str = ""
    """What makes the evidence count less than its number of requests; empty when nothing does."""
    sample_ratio_log_e: float = 0.0
    one_look: Mapping[str, Any] | None = None
    """z-test, Wald, Newcombe and Wilson intervals of the current stage: valid for one look only."""
    latency: Mapping[str, Any] | None = None
    """Quantiles of both arms in the current stage with intervals, in seconds."""
    outcomes: Mapping[str, Mapping[str, int]] | None = None
    """How requests of the current stage have ended, by arm and outcome."""
    reach: int | None = None
    """At a step paced by evidence: the furthest step that the same evidence suffices for."""
    unjudged: bool = False
    """Whether no guardrail that judges is enforced, and the step waits for its other gates alone."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; enumerations by name."""
        data: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        data["verdict"] = self.verdict.name.lower()
        data["findings"] = [finding.to_json() for finding in self.findings]
        data["culprits"] = list(self.culprits)
        data["in_flight"] = list(self.in_flight)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        # What was stored before a field existed has its default.
        plain = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        plain["verdict"] = Verdict[data["verdict"].upper()]
        plain["findings"] = tuple(Finding.from_json(finding) for finding in data["findings"])
        plain["culprits"] = tuple(data["culprits"])
        plain["in_flight"] = (int(data["in_flight"][0]), int(data["in_flight"][1]))
        return cls(**plain)


def analyse(evidence: Evidence, plan: RolloutPlan, now: float, *, step: int | None = None) -> Analysis:
    """Judge what has been observed.

    Args:
        now: seconds on the scale that `observe` was given.
        step: index of the rollout's current step, which decides how loose the margins are; None = final.
    """
    view = EvidenceView(evidence, plan, step)
    weights = view.weights()
    findings = tuple(
        # One that decides nothing is judged as if it were alone.
        guardrail.judge(view, weight or 1.0)
        for guardrail, weight in zip(plan.guardrails, weights, strict=True)
    )
    enforced = [
        finding
        for finding in findings
        if finding.mode is Mode.ENFORCE and finding.family is not Family.PLUMBING
    ]
    holding = {f.name: f.reason for f in findings if f.holds and f.mode is Mode.ENFORCE}
    if trouble := _trouble(evidence, now):
        holding["control"] = trouble
    if risen := _risen(evidence):
        holding["baseline"] = risen
    log_e = view.combined_log_e()
    raw = evidence.stages[-1].raw if evidence.stages else None
    needed = [finding.needed for finding in enforced if finding.verdict is not Verdict.PASS]
    verdict, reason, culprits = _verdict(view, enforced, log_e, now)
    unjudged = verdict is Verdict.PASS and not enforced
    if unjudged:
        # What nobody has looked at has not passed.
        verdict, reason = Verdict.NO_DATA, "; ".join([reason, *_unheeded(findings)])
    ledger = evidence.current
    warm = ledger is not None and warming(plan, ledger, now) != ""
    return Analysis(
        at=now,
        verdict=verdict,
        reason=reason,
        culprits=culprits,
        hold="; ".join(holding.values()),
        hold_code=",".join(holding),
        log_e=log_e,
        threshold=1.0 / plan.alpha,
        anytime_p=min(1.0, math.exp(-max(evidence.log_peak, log_e))),
        level=view.level,
        findings=findings,
        warming=warm,
        step_requests=0 if raw is None else raw.answered[0],
        in_flight=(0, 0) if raw is None else raw.in_flight,
        diverted=0 if raw is None else raw.diverted,
        needed=None if None in needed else max((n for n in needed if n is not None), default=0),
        overdispersion=evidence.phi[0],
        overdispersion_latency={}
        if evidence.keys is NO_KEYS
        else dict(zip(map(quantile_name, LEVELS), evidence.phi[1:], strict=True)),
        note=_unlike_keys(evidence),
        sample_ratio_log_e=view.sample_ratio.log_e,
        one_look=None
        if ledger is None
        else one_look(
            *(ledger.x.get(FAILURE.key, (0, 0))[0], ledger.n[0]),
            *(ledger.x.get(FAILURE.key, (0, 0))[1], ledger.n[1]),
        ),
        latency=evidence.latency or None,
        outcomes=evidence.outcomes or None,
        unjudged=unjudged,
    )


def _unlike_keys(evidence: Evidence) -> str:
    """That keys differ, which makes requests worth less; empty while it matters little."""
    failing, *slow = evidence.phi
    differ = [
        f"{phi:.1f} times as much as by chance in {what}"
        for phi, what in ((failing, "failures"), (max(slow), "how slow they are"))
        if phi >= _UNLIKE_FROM
    ]
    if not differ:
        return ""
    return (
        f"keys differ {', '.join(differ)}: evidence of that counts as much less, and more keys would help,"
        " more requests of the same ones hardly"
    )


def urgent(evidence: Evidence, plan: RolloutPlan, now: float, *, step: int) -> bool:
    """Whether `analyse` might roll back now: never no when it would, for a fraction of its time."""
    if plan.step(step).weight >= 1:
        # Without control limits count by themselves, which the largest value so far knows nothing of.
        return True
    return evidence.log_peak >= math.log(1.0 / plan.alpha) or bool(
        _broken(EvidenceView(evidence, plan, step), now)
    )


def _verdict(
    view: EvidenceView, enforced: Sequence[Finding], log_e: float, now: float
) -> tuple[Verdict, str, tuple[str, ...]]:
    """The overall verdict, its reason and whom to blame."""
    plan = view.plan
    if broken := _broken(view, now):
        return Verdict.FAIL, broken, ("breaker",)
    seen = view.tally(FAILURE).n_canary
    if seen < plan.min_requests:
        return (
            Verdict.INCONCLUSIVE if seen else Verdict.NO_DATA,
            f"{seen} of at least {plan.min_requests} canary requests have been counted",
            (),
        )
    if log_e >= math.log(1.0 / plan.alpha):
        return Verdict.FAIL, *_blame(enforced, log_e, plan)
    ledger = view.evidence.current
    if ledger is not None and (warm := warming(plan, ledger, now)):
        # What earlier steps have shown must not carry the canary over a step that nobody has judged.
        return Verdict.INCONCLUSIVE if ledger.raw.answered[0] else Verdict.NO_DATA, warm, ()
    found = {verdict: [f.reason for f in enforced if f.verdict is verdict] for verdict in Verdict}
    if found[Verdict.FAIL]:
        return Verdict.FAIL, "; ".join(found[Verdict.FAIL]), ()
    if undecided := found[Verdict.INCONCLUSIVE] + found[Verdict.NO_DATA]:
        # That there is nothing to judge by is true only where no guardrail that is waited for has anything.
        verdict = Verdict.INCONCLUSIVE if found[Verdict.INCONCLUSIVE] else Verdict.NO_DATA
        return verdict, "; ".join(undecided), ()
    if ledger is None or not ledger.raw.answered[0]:
        # What earlier steps have shown says nothing about a step that nobody has used.
        return Verdict.NO_DATA, "no canary request has been answered at this step", ()
    if waiting := _unsettled(view, log_e if enforced else -math.inf, now):
        return Verdict.INCONCLUSIVE, waiting, ()
    if not enforced:
        nothing = "nothing is judged, as no guardrail that judges the canary is enforced"
        return Verdict.PASS, f"{nothing}; {seen} canary requests have been counted", ()
    return Verdict.PASS, "; ".join(finding.reason for finding in enforced), ()


def _unheeded(findings: Sequence[Finding]) -> list[str]:
    """What guardrails that are not enforced have found, where they would have condemned the canary."""
    return [
        f"not enforced: {finding.reason}"
        for finding in findings
        if finding.verdict is Verdict.FAIL and finding.family is not Family.PLUMBING
    ]


def _blame(enforced: Sequence[Finding], log_e: float, plan: RolloutPlan) -> tuple[str, tuple[str, ...]]:
    """The reason of a rollback and its culprits.

    A guardrail is blamed when its weighted e-value reaches the threshold without the others: the closed test
    that belongs to a weighted mean (e-Holm; Vovk and Wang 2021), so blaming is wrong with chance alpha at
    most.
    """
    blamed = [finding for finding in enforced if finding.blamed]
    limit = f"combined e-value {e_value(log_e)}, limit {1 / plan.alpha:.4g}"
    if blamed:
        return (
            f"{'; '.join(finding.reason for finding in blamed)} ({limit})",
            tuple(finding.name for finding in blamed),
        )
    leading = sorted(enforced, key=lambda finding: finding.log_e, reverse=True)[:2]
    return (
        f"no guardrail alone, but all together show harm ({limit}): "
        + ", ".join(f"{finding.name} has e-value {e_value(finding.log_e)}" for finding in leading),
        ("combined",),
    )


def _broken(view: EvidenceView, now: float) -> str:
    """Why the canary is broken whatever the guardrails say, or an empty text."""
    evidence, ledger = view.evidence, view.evidence.current
    if ledger is None or evidence.first_failure_at is None:
        return ""
    answered, failed = ledger.raw.answered, ledger.raw.failed
    first = evidence.stages[0] is ledger
    if first and failed[0] == answered[0] and now - evidence.first_failure_at >= view.plan.caution.slice_s:
        # It has never worked. A burst on a sound canary would have to begin with its very first request.
        log_e = BROKEN.log_e(BROKEN.log_increments(failed[0], 0, failed[0], 0))
        if log_e >= LOG_BROKEN and not _shared(failed[1], answered[1]):
            return (
                "breaker: the canary has answered none of its requests well:"
                f" {rate(failed[0], answered[0])} failed"
            )
    if not view.has_control and view.harm(BREAKER) >= LOG_BROKEN:
        return (
            f"breaker: there is no control traffic to compare with, and more than half of the canary's"
            f" requests fail: {rate(failed[0], answered[0])} at this step"
        )
    return ""


def _trouble(evidence: Evidence, now: float) -> str:
    """Why nothing should be decided on what happens now, or an empty text: control itself fails."""
    n, x = evidence.recent
    n *= math.exp((evidence.recent_at - now) / RECENT_SECONDS)
    x *= math.exp((evidence.recent_at - now) / RECENT_SECONDS)
    if n < _TROUBLE_REQUESTS or x < _SHARED_FROM * n:
        return ""
    return f"control itself fails now ({percent(x / n)} of its last requests), so the rollout waits"


def _risen(evidence: Evidence) -> str:
    """Why a canary that has all requests must not be promoted yet, or an empty text.

    There is no control to tell its fault from everybody's, so this holds and does not condemn.
    """
    baseline = evidence.baseline
    if baseline is None or Watch(baseline.limit).log_value(baseline.log_r) < math.log(TICKS_TO_FALSE_ALARM):
        return ""
    return (
        f"with all requests the canary failed {rate(baseline.x, baseline.n)}, where control's rate before"
        f" and the margin make {percent(baseline.limit)}: it is not promoted"
    )


def _shared(failed: int, answered: int) -> bool:
    return answered > 0 and failed / answered >= _SHARED_FROM


def _unsettled(view: EvidenceView, log_e: float, now: float) -> str:
    """Why the step must not widen yet although every guardrail passes, or an empty text."""
    evidence, ledger = view.evidence, view.evidence.current
    assert ledger is not None
    if log_e >= 0:
        return f"evidence of harm has not gone yet: combined e-value {e_value(log_e)}"
    if evidence.diverted_at is not None and now - evidence.diverted_at < _DIVERTED_SECONDS:
        return f"the workers have just diverted canary requests ({ledger.raw.diverted} at this step)"
    # A request that hangs is no failure until its deadline, so it must not help to promote.
    in_flight, started = ledger.raw.in_flight, ledger.raw.started
    share = started[0] / started[1] if started[1] else 0.0
    usual = 2.0 * (in_flight[1] * share + 1.0)
    if view.has_control and in_flight[0] > usual + _DEVIATIONS * math.sqrt(usual):
        return (
            f"{in_flight[0]} canary requests are in flight where control has {in_flight[1]}: waiting for them"
        )
    return ""
