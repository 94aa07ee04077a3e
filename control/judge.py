"""From collected counts to an analysis of one rollout: which arms, which stages, in which order."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from control.analysis import Analysis, ArmCounts, Evidence, analyse, observe
from control.counts import NOTHING, ArmKey, Counts
from control.guardrails.finding import Verdict
from control.plan import RolloutPlan
from control.records import Record, Stage, parse_stage


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
    analysis: Analysis
    fresh: bool

    @property
    def record(self) -> Record:
        return replace(self.before, evidence=self.evidence, analysis=self.analysis)


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


def judge(record: Record, stages: list[StageCounts], *, changed: Collection[Stage], now: float) -> Judged:
    """Take in the stages that have changed, always the current one, and analyse; *now* in steady seconds."""
    evidence = record.evidence
    known = {ledger.stage for ledger in evidence.stages}
    for stage in stages:
        # An earlier stage that was never looked at would be taken for a new one.
        if stage is not stages[-1] and (stage.stage not in changed or str(stage.stage) not in known):
            continue
        evidence = observe(
            evidence,
            record.plan,
            stage=str(stage.stage),
            canary=_arm(stage.canary),
            control=_arm(stage.control),
            now=now,
            share=_share(record, stage.stage),
        )
    analysis = analyse(evidence, record.plan, now, step=record.rollout.step)
    analysis = replace(analysis, reach=reach(evidence, record.plan, analysis, record.rollout.step))
    return Judged(before=record, evidence=evidence, analysis=analysis, fresh=bool(changed))


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


def _arm(counts: Counts) -> ArmCounts:
    keyed = bool(counts.group_requests.any())
    return ArmCounts(
        started=counts.started,
        finished=counts.finished,
        failed=counts.failed,
        outcomes=counts.outcomes,
        total=counts.total,
        first_byte=counts.first_byte,
        diverted=counts.scalar("diverted"),
        lost=counts.scalar("lost"),
        retries=counts.scalar("retries"),
        group_requests=counts.group_requests if keyed else None,
        group_failures=counts.group_failures if keyed else None,
        metrics=counts.metrics,
    )
