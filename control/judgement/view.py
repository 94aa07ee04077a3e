"""The evidence as guardrails see it, and what their e-values are together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from control.guardrails.base import Guardrail, SampleRatio
from control.guardrails.finding import FAMILY_WEIGHTS, Mode
from control.judgement.evidence import Evidence
from control.metrics import RouteMetric
from control.plans.plan import RolloutPlan
from control.stats.events import Event, Tally
from control.stats.latency import UPPER_EDGES, quantile_name
from control.stats.layout import NO_CAUTION
from control.stats.logspace import log_sum_exp_of
from control.stats.overdispersion import phi_at
from control.stats.process import LOG_FIRST_START, HarmProcess, Process, SafeProcess

Floats = npt.NDArray[np.float64]

# With so many canary requests in a stage and none to control, control gets no traffic at all.
ALONE_FROM: Final = 50


class EvidenceView:
    """Implements `control.guardrails.base.View` over the evidence of one rollout."""

    def __init__(self, evidence: Evidence, plan: RolloutPlan, step: int | None = None) -> None:
        self.evidence = evidence
        self.plan = plan
        self.level = 0 if step is None else plan.level(step)
        self.alpha = plan.alpha
        self.alpha_promote = plan.alpha_promote
        self.has_control = self._has_control(step)
        self._harm: dict[str, float] = {}
        self._safe: dict[str, list[float]] = {}
        share, log_e, earlier = evidence.sample_ratio
        units = evidence.stages[-1].units if evidence.stages else (0, 0)
        self.sample_ratio = SampleRatio(
            n_canary=units[0], n_control=units[1], share=share, log_e=log_e + earlier
        )

    def _has_control(self, step: int | None) -> bool:
        if step is not None and self.plan.step(step).weight >= 1:
            return False
        ledger = self.evidence.current
        return ledger is None or ledger.n[1] > 0 or ledger.n[0] < ALONE_FROM

    def values(self, process: Process) -> Floats:
        """What each member of the process' bet has won, as logarithms, shape (size,)."""
        return self._undivided(process) / self.overdispersion(process.event)

    def overdispersion(self, event: Event) -> float:
        """How much more keys differ in an event than requests would; at least 1."""
        return phi_at(self.evidence.phi, event)

    def _undivided(self, process: Process) -> Floats:
        held = self.evidence.wealth.get(process.key)
        if held is None:
            return np.full(process.bet.size, LOG_FIRST_START if process.harm else 0.0)
        caution = self.plan.caution if process.harm else NO_CAUTION
        return held.values(caution, self.overdispersion(process.event))

    def know(self, harm: Mapping[str, float]) -> None:
        """Take what processes on harm are worth from one who has worked it out already."""
        self._harm |= harm

    def harm(self, process: HarmProcess) -> float:
        """Logarithm of a bet on harm."""
        if process.key not in self._harm:
            alike, values, phi = self._alike(process)
            log_e = process.bet.log_e_of(values) / phi
            self._harm |= zip(alike, log_e.tolist(), strict=True)
        return self._harm[process.key]

    def safe(self, process: SafeProcess) -> float:
        """Logarithm of a bet on the absence of harm, at the margin of the current step."""
        if process.key not in self._safe:
            alike, values, phi = self._alike(process)
            log_e = process.bet.log_e_of(values) / phi[:, None]
            self._safe |= zip(alike, log_e.tolist(), strict=True)
        return self._safe[process.key][self.level]

    def _alike(self, process: Process) -> tuple[list[str], Floats, Floats]:
        """Of all processes with the same bet the keys, undivided values and overdispersion.

        Together they cost little more than one. Shapes (P,), (P, size), (P,).
        """
        layout, purse = self.plan.layout, self.evidence.wealth
        if purse.layout is not layout or process.key not in layout.places:
            phi = np.array([self.overdispersion(process.event)])
            return [process.key], self._undivided(process)[None], phi
        number, _ = layout.places[process.key]
        group = layout.groups[number]
        phi = layout.phi([self.evidence.phi])[0, group.members]
        return [other.key for other in group.processes], purse.worth(number, phi), phi

    def tally(self, event: Event) -> Tally:
        """What has been counted of an event since the rollout began."""
        return self.evidence.tally(event.key)

    def answered(self) -> tuple[int, int]:
        """Requests answered in the current stage, by the canary and by control."""
        ledger = self.evidence.current
        return (0, 0) if ledger is None else ledger.raw.answered

    def threshold_s(self, event: Event) -> float | None:
        """Control's own threshold of a latency event in seconds; None while there is none."""
        bucket = self.evidence.thresholds.get(event.threshold)
        return None if bucket is None else float(UPPER_EDGES[bucket])

    def quantile_s(self, event: Event, arm: str) -> tuple[float | None, float | None, float | None]:
        """The event's quantile of an arm in the current stage in seconds, with an interval."""
        source = self.evidence.latency.get(event.source.name.lower(), {})
        value, low, high = source.get(arm, {}).get(quantile_name(event.quantile), (None, None, None))
        return value, low, high

    def metric_sums(self, metric: RouteMetric) -> tuple[int, ...]:
        """Of canary, then control: values of a metric in the current stage, sums of places and squares."""
        return tuple(self.evidence.metrics.get(metric.label, (0,) * 6))

    def threshold_bucket(self, event: Event) -> int | None:
        """Control's own threshold as a bucket; None while there is none."""
        return self.evidence.thresholds.get(event.threshold)

    def weights(self) -> list[float]:
        """The share of each of the plan's guardrails in the combined e-value."""
        return shares(self.plan.guardrails)

    def combined_log_e(self) -> float:
        """Logarithm of the weighted mean of the enforced guardrails' e-values.

        A mean of e-values is an e-value, whatever their dependence (Vovk and Wang 2021), so the threshold
        of the rollout is that of a single one.
        """
        parts = [
            math.log(weight) + guardrail.log_e(self)
            for guardrail, weight in zip(self.plan.guardrails, self.weights(), strict=True)
            if weight > 0
        ]
        return log_sum_exp_of(parts) if parts else 0.0


def shares(guardrails: Sequence[Guardrail]) -> list[float]:
    """Weights of enforced guardrails: by family, equal within a family, with a sum of one; 0 for the
    others."""
    members = [
        guardrail.family
        for guardrail in guardrails
        if guardrail.mode is Mode.ENFORCE and FAMILY_WEIGHTS[guardrail.family] > 0
    ]
    total = sum(FAMILY_WEIGHTS[family] for family in set(members))
    return [
        FAMILY_WEIGHTS[guardrail.family] / total / members.count(guardrail.family)
        if guardrail.mode is Mode.ENFORCE and guardrail.family in members
        else 0.0
        for guardrail in guardrails
    ]
