"""What latency guardrails share: quantiles of canary and control compared by counting slow requests.

A ratio of two quantiles cannot be tested directly. Whether more of the canary's requests than of control's
are slower than a threshold can, with the bets of the error guardrails; the threshold is control's own
quantile in earlier data, and for the canary it is moved up by the tolerated factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from control.guardrails.base import Defaults, Guardrail, View, verdict_of
from control.guardrails.figures import remaining
from control.guardrails.finding import Family, Finding, Measure, Mode, Verdict
from control.guardrails.parameters import FACTOR, QUANTILES, SHARE, factor, quantiles, refuse_unknown, share
from control.guardrails.words import about, e_value, rate, seconds
from control.stats.affine import Safe
from control.stats.events import STREAM_LATENCIES, Event, Source, Tally
from control.stats.latency import quantile_name, shift, threshold_requests
from control.stats.logspace import log_sum_exp_of
from control.stats.looseness import FACTORS
from control.stats.mixture import ODDS
from control.stats.power import safe_requests
from control.stats.process import HarmProcess, Process, SafeProcess

DEFAULT_QUANTILES: Final = (0.25, 0.5, 0.75, 0.9, 0.99)
EARLY_UP_TO: Final = 0.9
# Fewer answers do not tell how many of the canary's come for one of control's.
PACE_FROM: Final = 10


class Slowness(Guardrail):
    """Compares latency quantiles of successes; a subclass says which latency.

    Harm is shown when more canary requests than control's are slower than control's quantiles times `max`, by
    the mean of the e-values over the quantiles; its absence when for every quantile fewer of them are,
    give or take `rise` of all requests.
    """

    source: ClassVar[Source]
    what: ClassVar[str]
    family: ClassVar[Family] = Family.LATENCY
    schema: ClassVar[Mapping[str, Any]] = {"quantiles": QUANTILES, "max": FACTOR, "rise": SHARE}

    def __init__(
        self,
        *,
        name: str,
        mode: Mode,
        maximum: float,
        levels: Sequence[float] = DEFAULT_QUANTILES,
        rise: float = 0.005,
    ) -> None:
        super().__init__(name=name, mode=mode)
        self.maximum = maximum
        self.levels = tuple(levels)
        # With control's own rate tolerated in full (m = 1), looser steps tolerate more slow requests
        # beyond it.
        self._safe = Safe([(1.0, rise * looseness) for looseness in FACTORS])
        self.events = tuple(
            Event(source=self.source, quantile=level, shift=shift(maximum)) for level in self.levels
        )
        self._harm = tuple(HarmProcess(event=event, bet=ODDS) for event in self.events)
        self._absence = tuple(SafeProcess(event=event, bet=self._safe) for event in self.events)

    @classmethod
    def from_config(cls, parameters: Mapping[str, Any], *, name: str, mode: Mode, defaults: Defaults) -> Self:
        refuse_unknown(parameters, cls.schema)
        return cls(
            name=name,
            mode=mode,
            maximum=factor(parameters, "max", defaults.latency_ratio),
            levels=quantiles(parameters, "quantiles", DEFAULT_QUANTILES),
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
        asked = self._asked(view.level)
        safe = [view.safe(process) for process in self._absence]
        weakest = min(asked, key=safe.__getitem__)
        worst = max(range(len(safe)), key=lambda i: view.harm(self._harm[i]))
        tallies = [view.tally(self.events[i]) for i in asked]
        data = all(tally.n_canary > 0 and tally.n_control > 0 for tally in tallies)
        verdict = verdict_of(view, log_e=log_e, weight=weight, log_e_safe=safe[weakest], data=data)
        told = worst if verdict is Verdict.FAIL else weakest
        if verdict is Verdict.NO_DATA:
            # What takes longest to know.
            missing = [i for i, of in zip(asked, tallies, strict=True) if not (of.n_canary and of.n_control)]
            told = max(missing, key=lambda i: threshold_requests(self.levels[i]))
        event = self.events[told]
        tally = view.tally(event)
        canary, control = (
            Measure(value=value, low=low, high=high, n=n)
            for (value, low, high), n in (
                (view.quantile_s(event, "canary"), tally.n_canary),
                (view.quantile_s(event, "control"), tally.n_control),
            )
        )
        needed = self._needed(view, event, safe[told])
        return Finding(
            name=self.name,
            kind=self.kind,
            mode=self.mode,
            family=self.family,
            verdict=verdict,
            unit="seconds",
            canary=canary,
            control=control,
            ratio=_quotient(canary, control),
            threshold=self.maximum,
            log_e=log_e,
            log_e_safe=safe[weakest],
            weight=weight,
            needed=needed,
            blamed=verdict is Verdict.FAIL,
            reason=self._reason(view, event, tally, verdict, log_e, safe[weakest], needed),
        )

    def _asked(self, level: int) -> list[int]:
        """Which quantiles must be shown to be no worse: at looser steps not the tail.

        There are five hundred answers to a p99 before its threshold is known; early steps, with little
        traffic at risk, should not wait for them. The last comparison does.
        """
        early = [i for i, quantile in enumerate(self.levels) if quantile <= EARLY_UP_TO]
        return early if level > 0 and early else list(range(len(self.levels)))

    def _needed(self, view: View, event: Event, log_e_safe: float) -> int | None:
        tally = view.tally(event)
        if not (tally.n_canary and tally.n_control):
            return self._needed_from_nothing(view, event)
        p_c = (tally.x_canary + 0.5) / (tally.n_canary + 1.0)
        p_t = (tally.x_control + 0.5) / (tally.n_control + 1.0)
        rho = tally.n_canary / (tally.n_canary + tally.n_control)
        m, delta = self._safe.margins[view.level]
        total = safe_requests(p_c, p_t, rho, m, delta, view.alpha_promote)
        return remaining(total, log_e_safe, view, event)

    def _needed_from_nothing(self, view: View, event: Event) -> int | None:
        """The same while control's quantile is not known: first come the answers that tell it."""
        n_c, n_t = view.answered()
        # Which of the requests are streams cannot be said beforehand.
        if min(n_c, n_t) < PACE_FROM or event.source in STREAM_LATENCIES:
            return None
        first = max(0, threshold_requests(event.quantile) - n_t) * n_c / n_t
        p, rho = 1.0 - event.quantile, n_c / (n_c + n_t)
        m, delta = self._safe.margins[view.level]
        return about(first + safe_requests(p, p, rho, m, delta, view.alpha_promote))

    def _reason(
        self,
        view: View,
        event: Event,
        tally: Tally,
        verdict: Verdict,
        log_e: float,
        log_e_safe: float,
        needed: int | None,
    ) -> str:
        if verdict is Verdict.NO_DATA:
            more = "" if needed is None else f"; about {needed} more canary requests if it is no worse"
            return (
                f"{self.name}: too few answers yet to know control's {quantile_name(event.quantile)} of"
                f" {self.what}: it takes {threshold_requests(event.quantile)}{more}"
            )
        threshold = view.threshold_s(event)
        times = "" if self.maximum == 1 else f" x {self.maximum:g}"
        figures = (
            f"{self.name}: canary slower than control's p{event.quantile * 100:g}"
            f" ({seconds(threshold)}{times}) in {rate(tally.x_canary, tally.n_canary)},"
            f" control slower than {seconds(threshold)} in {rate(tally.x_control, tally.n_control)}"
        )
        match verdict:
            case Verdict.FAIL:
                return f"{figures}; e-value {e_value(log_e)} for higher {self.what}"
            case Verdict.PASS:
                return f"{figures}; shown to be within x {self.maximum:g} (e-value {e_value(log_e_safe)})"
            case _:
                more = "" if needed is None else f"; about {needed} more canary requests if it stays so"
                return (
                    f"{figures}; not yet shown to be within x {self.maximum:g}"
                    f" (e-value {e_value(log_e_safe)} of {1 / view.alpha_promote:.3g}){more}"
                )


def _quotient(canary: Measure, control: Measure) -> Measure:
    """Canary over control; its interval from the ends of both, each at half the level (Bonferroni)."""
    if not canary.value or not control.value:
        return Measure(value=None)
    low = canary.low / control.high if canary.low is not None and control.high else None
    high = canary.high / control.low if canary.high is not None and control.low else None
    return Measure(value=canary.value / control.value, low=low, high=high, n=canary.n)
