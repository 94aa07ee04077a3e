"""Guardrail: the arms must get the share of requests that was set, else nothing else can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from control.guardrails.base import Defaults, Guardrail, View
from control.guardrails.finding import Family, Finding, Measure, Mode, Verdict
from control.guardrails.parameters import refuse_unknown
from control.guardrails.words import e_value, percent
from control.stats.process import Process
from control.stats.sample_ratio import LOG_MISMATCH

# Below this many units a mismatch cannot reach the threshold unless one arm gets nothing at all.
UNITS_MIN: Final = 20


class SampleRatio(Guardrail):
    """Compares the canary's share in the requests of both arms with the share that was set.

    A mismatch means that the comparison is broken (requests lost, misrouted or counted twice), not that the
    canary is bad: the rollout waits and says why. Requests that were diverted away from the canary are
    left out; under sticky routing users are counted, and without a count of users there is no data.
    """

    kind: ClassVar[str] = "sample_ratio"
    family: ClassVar[Family] = Family.PLUMBING
    schema: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def from_config(
        cls,
        parameters: Mapping[str, Any],
        *,
        name: str,
        mode: Mode,
        defaults: Defaults,  # noqa: ARG003 - the interface of all kinds
    ) -> Self:
        refuse_unknown(parameters, cls.schema)
        return cls(name=name, mode=mode)

    def processes(self) -> Sequence[Process]:
        return ()

    def log_e(self, view: View) -> float:  # noqa: ARG002 - the interface of all kinds
        """Always 0: a broken comparison is no evidence against the canary."""
        return 0.0

    def judge(self, view: View, weight: float) -> Finding:  # noqa: ARG002 - the interface of all kinds
        ratio = view.sample_ratio
        n = ratio.n_canary + ratio.n_control
        verdict = Verdict.PASS
        if ratio.log_e >= LOG_MISMATCH:
            verdict = Verdict.FAIL
        elif ratio.share is None or n < UNITS_MIN:
            verdict = Verdict.NO_DATA
        observed = Measure(value=ratio.n_canary / n if n else None, n=n, events=ratio.n_canary)
        return Finding(
            name=self.name,
            kind=self.kind,
            mode=self.mode,
            family=self.family,
            verdict=verdict,
            unit="share",
            canary=observed,
            threshold=ratio.share,
            log_e=ratio.log_e,
            weight=0.0,
            holds=verdict is Verdict.FAIL,
            reason=self._reason(verdict, observed, ratio.share, ratio.log_e),
        )

    def _reason(self, verdict: Verdict, observed: Measure, share: float | None, log_e: float) -> str:
        if verdict is Verdict.NO_DATA:
            return f"{self.name}: too few units to compare with the share that was set"
        figures = (
            f"{self.name}: the canary got {observed.events} of {observed.n} ({percent(observed.value)})"
            f" where {percent(share)} was set"
        )
        if verdict is Verdict.FAIL:
            return f"{figures} (e-value {e_value(log_e)}): the comparison is broken, so the rollout waits"
        return figures
