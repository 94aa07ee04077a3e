"""Guardrail: a custom metric of the canary's answers must not be worse than control's by more than a
tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from control.guardrails.base import Defaults, Guardrail, GuardrailConfigError, View, verdict_of
from control.guardrails.figures import SHOWN_ALPHA, remaining
from control.guardrails.finding import NOTHING, Family, Finding, Measure, Mode, Verdict
from control.guardrails.parameters import (
    METRIC_NAME,
    QUANTILES,
    SHARE,
    metric,
    quantiles,
    refuse_unknown,
    share,
)
from control.guardrails.words import e_value, rate
from control.metrics import FEEDBACK, RouteMetric
from control.stats.affine import Safe
from control.stats.events import Event, Source
from control.stats.logspace import log_sum_exp_of
from control.stats.looseness import FACTORS
from control.stats.means import mean_difference
from control.stats.mixture import ODDS
from control.stats.power import safe_requests
from control.stats.process import HarmProcess, Process, SafeProcess
from proxy.metric_counts import UNIT

HIGHER: Final = "higher_is_worse"
LOWER: Final = "lower_is_worse"
_TAIL: Final = 0.1
LEVELS: Final = {HIGHER: (0.25, 0.5, 0.75, 0.9, 0.99), LOWER: (0.01, 0.1, 0.25, 0.5, 0.75)}


class MetricGuardrail(Guardrail):
    """Compares how many values lie beyond control's quantiles, as latency guardrails do.

    Means of skewed metrics mislead (a small arm has not seen the tail yet), so they are shown, with a
    variance pooled over both arms, and decide nothing.
    """

    kind: ClassVar[str] = "metric"
    family: ClassVar[Family] = Family.CUSTOM
    schema: ClassVar[Mapping[str, Any]] = {
        "metric": METRIC_NAME,
        "direction": {"enum": [HIGHER, LOWER]},
        "tolerance": {"type": "number", "minimum": 0},
        "quantiles": QUANTILES,
        "rise": SHARE,
    }

    def __init__(
        self,
        *,
        name: str,
        mode: Mode,
        metric: RouteMetric,
        direction: str,
        tolerance: float,
        levels: Sequence[float],
        rise: float,
    ) -> None:
        super().__init__(name=name, mode=mode)
        self.metric = metric
        self.direction = direction
        self.tolerance = tolerance
        self._safe = Safe([(1.0, rise * looseness) for looseness in FACTORS])
        below = direction == LOWER
        shift = metric.scale.shift(tolerance)
        self.events = tuple(
            Event(
                source=Source.METRIC,
                quantile=level,
                shift=-shift if below else shift,
                metric=metric.label,
                place=metric.place,
                below=below,
                delayed=metric.source == FEEDBACK,
            )
            for level in levels
        )
        self._harm = tuple(HarmProcess(event=event, bet=ODDS) for event in self.events)
        self._absence = tuple(SafeProcess(event=event, bet=self._safe) for event in self.events)

    @classmethod
    def from_config(cls, parameters: Mapping[str, Any], *, name: str, mode: Mode, defaults: Defaults) -> Self:
        refuse_unknown(parameters, cls.schema)
        direction = parameters.get("direction")
        if direction not in (HIGHER, LOWER):
            problem = "missing" if direction is None else f"{direction!r} is not a direction"
            raise GuardrailConfigError(("direction",), problem, f"write {HIGHER} or {LOWER}")
        tolerance = parameters.get("tolerance", 0.0)
        if (
            isinstance(tolerance, bool)
            or not isinstance(tolerance, (int, float))
            or not 0 <= tolerance < 1e12
        ):
            raise GuardrailConfigError(
                ("tolerance",),
                f"{tolerance!r} is not a difference",
                "write it in the metric's unit, or with scale: log as a share such as 0.1",
            )
        return cls(
            name=name,
            mode=mode,
            metric=metric(parameters, "metric", defaults.metrics),
            direction=direction,
            tolerance=float(tolerance),
            levels=quantiles(parameters, "quantiles", LEVELS[direction]),
            rise=share(parameters, "rise", defaults.promote_rise),
        )

    def processes(self) -> Sequence[Process]:
        return (*self._harm, *self._absence)

    def log_e(self, view: View) -> float:
        each = [view.harm(process) for process in self._harm]
        # The mean of e-values is one, whatever their dependence (Vovk and Wang 2021).
        return log_sum_exp_of(each) - math.log(len(each))

    def judge(self, view: View, weight: float) -> Finding:
        log_e = self.log_e(view)
        safe = [view.safe(process) for process in self._absence]
        asked = self._asked(view.level)
        weakest = min(asked, key=safe.__getitem__)
        worst = max(range(len(safe)), key=lambda i: view.harm(self._harm[i]))
        tallies = [view.tally(self.events[i]) for i in asked]
        data = all(tally.n_canary > 0 and tally.n_control > 0 for tally in tallies)
        verdict = verdict_of(view, log_e=log_e, weight=weight, log_e_safe=safe[weakest], data=data)
        told = worst if verdict is Verdict.FAIL else weakest
        needed = self._needed(view, weakest, safe[weakest]) if data else None
        canary, control, difference = self._means(view)
        return Finding(
            name=self.name,
            kind=self.kind,
            mode=self.mode,
            family=self.family,
            verdict=verdict,
            unit="value",
            canary=canary,
            control=control,
            difference=difference,
            threshold=self.tolerance,
            log_e=log_e,
            log_e_safe=safe[weakest],
            weight=weight,
            needed=needed,
            blamed=verdict is Verdict.FAIL,
            reason=self._reason(view, told, verdict, log_e, safe[weakest], needed),
        )

    def _asked(self, level: int) -> list[int]:
        """Which quantiles must be shown to be no worse: at looser steps not the tails, which take long."""
        inner = [i for i, event in enumerate(self.events) if _TAIL <= event.quantile <= 1.0 - _TAIL]
        return inner if level > 0 and inner else list(range(len(self.events)))

    def _means(self, view: View) -> tuple[Measure, Measure, Measure]:
        """Means of both arms in the current stage, and their difference with an interval."""
        n_c, sum_c, square_c, n_t, sum_t, square_t = view.metric_sums(self.metric)
        low, width = self.metric.low, self.metric.high - self.metric.low
        canary, control = (
            Measure(value=low + width * total / UNIT / n, n=n) if n else NOTHING
            for n, total in ((n_c, sum_c), (n_t, sum_t))
        )
        if not (n_c and n_t):
            return canary, control, NOTHING
        found = mean_difference(
            (n_c, sum_c / UNIT, square_c / UNIT), (n_t, sum_t / UNIT, square_t / UNIT), SHOWN_ALPHA
        )
        if found is None:
            return canary, control, Measure(value=width * (sum_c / n_c - sum_t / n_t) / UNIT, n=n_c)
        value, least, most = (width * figure for figure in found)
        return canary, control, Measure(value=value, low=least, high=most, n=n_c)

    def _needed(self, view: View, i: int, log_e_safe: float) -> int | None:
        """About how many more requests; for each there are as many values as there have been so far."""
        tally = view.tally(self.events[i])
        p_c = (tally.x_canary + 0.5) / (tally.n_canary + 1.0)
        p_t = (tally.x_control + 0.5) / (tally.n_control + 1.0)
        rho = tally.n_canary / (tally.n_canary + tally.n_control)
        m, delta = self._safe.margins[view.level]
        total = safe_requests(p_c, p_t, rho, m, delta, view.alpha_promote)
        return remaining(total, log_e_safe, view, self.events[i])

    def _reason(
        self, view: View, i: int, verdict: Verdict, log_e: float, log_e_safe: float, needed: int | None
    ) -> str:
        if verdict is Verdict.NO_DATA:
            return f"{self.name}: too few values yet to know control's {self.metric.name}"
        event = self.events[i]
        tally, bucket = view.tally(event), view.threshold_bucket(event)
        scale = self.metric.scale
        side = "at most" if event.below else "above"
        edges = (
            ("?", "?")
            if bucket is None
            else (
                f"{scale.edge(bucket + event.shift):.4g}",
                f"{scale.edge(bucket):.4g}",
            )
        )
        figures = (
            f"{self.name}: {self.metric.name} of the canary {side} {edges[0]}"
            f" in {rate(tally.x_canary, tally.n_canary)}, of control {side} {edges[1]}"
            f" in {rate(tally.x_control, tally.n_control)}"
        )
        if verdict is Verdict.FAIL:
            return f"{figures}; e-value {e_value(log_e)} for a worse {self.metric.name}"
        if verdict is Verdict.PASS:
            return f"{figures}; shown to be no worse (e-value {e_value(log_e_safe)})"
        more = "" if needed is None else f"; about {needed} more values of the canary if it stays so"
        return (
            f"{figures}; not yet shown to be no worse"
            f" (e-value {e_value(log_e_safe)} of {1 / view.alpha_promote:.3g}){more}"
        )
