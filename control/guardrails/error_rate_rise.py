"""Guardrail: the canary must not fail more often than concurrent control does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from control.guardrails.base import Defaults, Guardrail, GuardrailConfigError, View, verdict_of
from control.guardrails.figures import SHOWN_ALPHA, measure, remaining
from control.guardrails.finding import Family, Finding, Measure, Mode, Verdict
from control.guardrails.parameters import FACTOR, SHARE, factor, refuse_unknown, share
from control.guardrails.words import e_value, percent, rate
from control.stats.affine import Differences, Harm, Ratios, Safe
from control.stats.events import FAILURE, Tally
from control.stats.looseness import margins
from control.stats.mixture import ODDS
from control.stats.power import safe_requests
from control.stats.process import HarmProcess, Process, SafeProcess
from control.stats.sequences import difference_interval, ratio_interval

RATIOS: Final = Process(event=FAILURE, bet=Ratios())
DIFFERENCES: Final = Process(event=FAILURE, bet=Differences())
# So many requests of one arm alone are no chance any more, where both have a share.
_ONE_WAY: Final = 50


class ErrorRateRise(Guardrail):
    """Compares failure rates of canary and control, block by block.

    Harm is shown when the canary fails more often (beyond `rollback_ratio` times control's rate plus
    `rollback_rise`, if given); its absence when the canary's rate is below `promote_ratio` times control's
    plus `promote_rise`. A difference below `notable_ratio` or `notable_rise` never rolls back, however
    sure it is.
    """

    kind: ClassVar[str] = "error_rate_rise"
    family: ClassVar[Family] = Family.ERRORS
    schema: ClassVar[Mapping[str, Any]] = {
        "promote_ratio": FACTOR,
        "promote_rise": SHARE,
        "rollback_ratio": FACTOR,
        "rollback_rise": SHARE,
        "notable_ratio": FACTOR,
        "notable_rise": SHARE,
    }

    def __init__(
        self,
        *,
        name: str,
        mode: Mode,
        promote: tuple[float, float],
        rollback: tuple[float, float] = (1.0, 0.0),
        notable: tuple[float, float] = (1.1, 0.0005),
    ) -> None:
        super().__init__(name=name, mode=mode)
        self.promote, self.rollback, self.notable = promote, rollback, notable
        self._safe = Safe(margins(*promote))
        self._harm = HarmProcess(event=FAILURE, bet=ODDS if rollback == (1.0, 0.0) else Harm(*rollback))
        self._absence = SafeProcess(event=FAILURE, bet=self._safe)

    @classmethod
    def from_config(cls, parameters: Mapping[str, Any], *, name: str, mode: Mode, defaults: Defaults) -> Self:
        refuse_unknown(parameters, cls.schema)
        promote = (
            factor(parameters, "promote_ratio", defaults.promote_ratio),
            share(parameters, "promote_rise", defaults.promote_rise),
        )
        if promote == (1.0, 0.0):
            raise GuardrailConfigError(
                ("promote_ratio",),
                "with promote_rise 0 leaves a canary that equals control undecided for ever",
                "tolerate something, for example promote_rise: 0.5%",
            )
        return cls(
            name=name,
            mode=mode,
            promote=promote,
            rollback=(factor(parameters, "rollback_ratio", 1.0), share(parameters, "rollback_rise", 0.0)),
            notable=(factor(parameters, "notable_ratio", 1.1), share(parameters, "notable_rise", 0.0005)),
        )

    def processes(self) -> Sequence[Process]:
        return (self._harm, self._absence, RATIOS, DIFFERENCES)

    def log_e(self, view: View) -> float:
        log_e = view.harm(self._harm)
        tally = view.tally(FAILURE)
        ratio, difference = tally.ratio, tally.difference
        notable = (
            ratio is not None
            and difference is not None
            and ratio >= self.notable[0]
            and difference >= self.notable[1]
        )
        # Capping an e-value at one is always allowed, and means: no evidence.
        return log_e if notable else min(log_e, 0.0)

    def judge(self, view: View, weight: float) -> Finding:
        tally = view.tally(FAILURE)
        log_e = self.log_e(view)
        log_e_safe = view.safe(self._absence)
        data = tally.n_canary > 0 and tally.n_control > 0
        verdict = verdict_of(view, log_e=log_e, weight=weight, log_e_safe=log_e_safe, data=data)
        needed = self._needed(view, tally, log_e_safe)
        ratio_low, ratio_high = ratio_interval(view.values(RATIOS), SHOWN_ALPHA)
        low, high = difference_interval(view.values(DIFFERENCES), SHOWN_ALPHA)
        return Finding(
            name=self.name,
            kind=self.kind,
            mode=self.mode,
            family=self.family,
            verdict=verdict,
            unit="share",
            canary=measure(tally.x_canary, tally.n_canary),
            control=measure(tally.x_control, tally.n_control),
            # Infinity is no JSON; without a control failure there is only a lower end.
            ratio=Measure(value=_finite(tally.ratio), low=ratio_low, high=ratio_high, n=tally.n_canary),
            difference=Measure(value=tally.difference, low=low, high=high, n=tally.n_canary),
            threshold=self.promote[1],
            log_e=log_e,
            log_e_safe=log_e_safe,
            weight=weight,
            needed=needed,
            blamed=verdict is Verdict.FAIL,
            reason=self._reason(view, tally, verdict, log_e, log_e_safe, needed),
        )

    def _needed(self, view: View, tally: Tally, log_e_safe: float) -> int | None:
        if not (tally.n_canary and tally.n_control):
            return None
        p = (tally.x_control + 0.5) / (tally.n_control + 1.0)
        rho = tally.n_canary / (tally.n_canary + tally.n_control)
        m, delta = self._safe.margins[view.level]
        return remaining(safe_requests(p, p, rho, m, delta, view.alpha_promote), log_e_safe, view, FAILURE)

    def _reason(
        self,
        view: View,
        tally: Tally,
        verdict: Verdict,
        log_e: float,
        log_e_safe: float,
        needed: int | None,
    ) -> str:
        if verdict is Verdict.NO_DATA:
            missing, other = ("control", "the canary") if tally.n_canary else ("canary", "control")
            text, n = f"{self.name}: no {missing} request has been counted", tally.n_canary + tally.n_control
            # As a rule: all clients come by one address, and that is the key.
            one_way = f", and {n} of {other}: do all requests have the same key?"
            return text + one_way if view.sample_ratio.share is not None and n >= _ONE_WAY else text
        figures = (
            f"{self.name}: canary failed {rate(tally.x_canary, tally.n_canary)},"
            f" control {rate(tally.x_control, tally.n_control)}"
        )
        m, delta = self._safe.margins[view.level]
        margin = f"control x {m:g} + {percent(delta)}"
        match verdict:
            case Verdict.FAIL:
                return f"{figures}; e-value {e_value(log_e)} for more failures"
            case Verdict.PASS:
                return f"{figures}; shown to be below {margin} (e-value {e_value(log_e_safe)})"
            case _:
                more = "" if needed is None else f"; about {needed} more canary requests if it is no worse"
                return (
                    f"{figures}; not yet shown to be below {margin}"
                    f" (e-value {e_value(log_e_safe)} of {1 / view.alpha_promote:.3g}){more}"
                )


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value
