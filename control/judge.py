"""From collected counts to an analysis of one rollout: which arms, which stages, in which order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from control.counts import NOTHING, SCALARS, ArmKey, Counts
from control.guardrails.finding import Verdict
from control.judgement.analysis import Analysis, ArmCounts, Evidence, analyse
from control.judgement.observation import Look, observe_all
from control.judgement.shown import with_quantiles
from control.plans.plan import RolloutPlan
from control.rollout.records import Record, Stage, parse_stage
from control.stats.events import Source

_LOST: Final = SCALARS.index("lost")
_RETRIES: Final = SCALARS.index("retries")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCounts:
    """What was counted in one stage of a rollout."""

    stage: Stage
    canary: Counts
    control: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A record with the evidence and analysis of one look. `fresh` says that the evidence must be stored."""

    before: Record
    evidence: Evidence
    analysis: Analysis | None
    """None when the counts were taken in and the analysis was put off: the last one stands, nothing is
    decided."""
    fresh: bool

    @property
    def record(self) -> Record:
        return replace(self.before, evidence=self.evidence, analysis=self.analysis or self.before.analysis)


def by_route(totals: Mapping[ArmKey, Counts]) -> dict[str, dict[ArmKey, Counts]]:
    """The counts of each route, so that nobody has to look through those of all."""
    found: dict[str, dict[ArmKey, Counts]] = {}
    for key, counts in totals.items():
        found.setdefault(key.route, {})[key] = counts
    return found


def stages_of(record: Record, totals: Mapping[ArmKey, Counts]) -> list[StageCounts]:
    """The stages of *record* that its evidence covers, oldest first; the current one is always the last.

    Earlier stages are among them because their last requests may end long after the weights have changed.
    """
    rollout = record.rollout
    current = parse_stage(record.stage)
    found: dict[Stage, dict[str, Counts]] = {current: {}}
    for key, counts in totals.items():
        stage = parse_stage(key.stage)
        if key.route != rollout.route or stage.rollout != current.rollout:
            continue
        if record.evidence_from <= stage.number <= current.number and key.role in ("canary", record.control):
            found.setdefault(stage, {})[key.role] = counts
    return [
        StageCounts(
            stage=stage, canary=arms.get("canary", NOTHING), control=arms.get(record.control, NOTHING)
        )
        for stage, arms in sorted(found.items(), key=lambda item: item[0].number)
    ]


def paired(plan: RolloutPlan) -> bool:
    """Whether a guardrail of the plan asks how often a shadow disagrees."""
    return any(event.source is Source.SHADOW for event in plan.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A rollout to be looked at: its stages as `stages_of` gives them, and those that have changed."""

    record: Record
    stages: Sequence[StageCounts]
    changed: Collection[Stage]
    pairs: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Answers of the canary's shadows that were compared, and those that disagreed, by role."""


def judge(record: Record, stages: list[StageCounts], *, changed: Collection[Stage], now: float) -> Judged:
    """Take in the stages that have changed, always the current one, and analyse; *now* in steady seconds."""
    case = Case(record=record, stages=stages, changed=changed)
    return judged(case, take_in([case], now)[0], now)


def take_in(cases: Sequence[Case], now: float) -> list[Evidence]:
    """The evidence of each rollout with what has come in; all of them together, a stage at a time."""
    found = [case.record.evidence for case in cases]
    waiting = [(i, _to_observe(case)) for i, case in enumerate(cases)]
    while waiting:
        looks = [_look(cases[i], found[i], stages[0], now) for i, stages in waiting]
        for (i, _), evidence in zip(waiting, observe_all(looks), strict=True):
            found[i] = evidence
        waiting = [(i, stages[1:]) for i, stages in waiting if len(stages) > 1]
    return found


def judged(case: Case, evidence: Evidence, now: float) -> Judged:
    """Analyse a rollout whose counts have been taken in."""
    record, counts = case.record, case.stages[-1]
    arms = (arm_counts(counts.canary, None), arm_counts(counts.control, None))
    evidence = with_quantiles(evidence, record.plan, *arms, now)
    analysis = analyse(evidence, record.plan, now, step=record.rollout.step)
    analysis = replace(analysis, reach=reach(evidence, record.plan, analysis, record.rollout.step))
    return Judged(before=record, evidence=evidence, analysis=analysis, fresh=bool(case.changed))


def _to_observe(case: Case) -> list[StageCounts]:
    known = {ledger.stage for ledger in case.record.evidence.stages}
    # An earlier stage that was never looked at would be taken for a new one.
    earlier = (s for s in case.stages[:-1] if s.stage in case.changed and str(s.stage) in known)
    return [*earlier, case.stages[-1]]


def _look(case: Case, evidence: Evidence, stage: StageCounts, now: float) -> Look:
    # Pairs belong to no stage: whatever has come is taken in with the current one.
    pairs = case.pairs if stage is case.stages[-1] else {}
    return Look(
        evidence=evidence,
        plan=case.record.plan,
        stage=str(stage.stage),
        canary=arm_counts(stage.canary, pairs.get("shadow")),
        control=arm_counts(stage.control, pairs.get("noise")),
        now=now,
        share=_share(case.record, stage.stage),
    )


def reach(evidence: Evidence, plan: RolloutPlan, analysis: Analysis, step: int) -> int | None:
    """How far the evidence carries from a step that is paced by it; None for any other step.

    Margins of later steps read the same data and hold at every look, so asking for several costs nothing.
    """
    if not plan.step(step).paced or analysis.verdict is not Verdict.PASS:
        return None
    further = step + 1
    while further + 1 < len(plan.steps) and plan.steps[further].paced and plan.steps[further].weight < 1:
        if analyse(evidence, plan, analysis.at, step=further).verdict is not Verdict.PASS:
            break
        further += 1
    return further


def _share(record: Record, stage: Stage) -> float | None:
    """The canary's expected share of the requests of both arms that are compared."""
    weight = record.plan.steps[min(stage.step, len(record.plan.steps) - 1)].weight
    control = 1.0 - weight if record.control == "stable" else min(weight, 1.0 - weight)
    return None if control <= 0 else weight / (weight + control)


def arm_counts(counts: Counts, pairs: tuple[int, int] | None = None) -> ArmCounts:
    """What a set of counts says to those who judge it."""
    keyed = bool(counts.groups[0].any())
    started, finished, failed, diverted, *_ = scalars = counts.cells[: len(SCALARS)].tolist()
    aside = counts.aside
    left_out = sum(aside)
    return ArmCounts(
        started=started,
        finished=finished,
        failed=max(0, failed - left_out),
        aside=aside if left_out else (),
        outcomes=counts.outcomes,
        total=counts.total,
        first_byte=counts.first_byte,
        diverted=diverted,
        lost=scalars[_LOST],
        retries=scalars[_RETRIES],
        groups=counts.groups if keyed else None,
        metrics=counts.metrics,
        first_token=counts.first_token,
        token_time=counts.token_time,
        pairs=pairs,
    )
