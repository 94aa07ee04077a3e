"""Guardrail: the canary's error rate must stay below a fixed limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from control.guardrails.base import Defaults, Guardrail, GuardrailConfigError, View, verdict_of
from control.guardrails.figures import measure, remaining
from control.guardrails.finding import Family, Finding, Mode, Verdict
from control.guardrails.parameters import SHARE, refuse_unknown, share
from control.guardrails.words import e_value, percent, rate
from control.stats.events import FAILURE, Tally
from control.stats.looseness import limits
from control.stats.mixture import ODDS
from control.stats.one_sample import Above, Below
from control.stats.power import below_requests
from control.stats.process import HarmProcess, Process, SafeProcess

RELATIVE: Final = HarmProcess(event=FAILURE, bet=ODDS)


class ErrorRate(Guardrail):
    """Holds the canary's failure rate against `max`.

    While control gets requests too, breaking the limit is not enough: the canary must also fail more often
    than control, since a fault that both share (a database, the network) says nothing about the canary.
    The smaller of the two e-values is one against "within the limit, or no worse than control", so nothing
    is lost in rigour.
    """

    kind: ClassVar[str] = "error_rate"
    family: ClassVar[Family] = Family.ERRORS
    schema: ClassVar[Mapping[str, Any]] = {"max": SHARE}
    compares: ClassVar[bool] = False

    def __init__(self, *, name: str, mode: Mode, maximum: float) -> None:
        super().__init__(name=name, mode=mode)
        self.maximum = maximum
        self._below = Below(limits(maximum))
        self._harm = HarmProcess(event=FAILURE, bet=Above(maximum))
        self._absence = SafeProcess(event=FAILURE, bet=self._below)

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
        maximum = share(parameters, "max", None)
        if not 0 < maximum < 0.9:
            raise GuardrailConfigError(
                ("max",), f"{percent(maximum)} is no limit that can be tested", "write a share such as 2%"
            )
        return cls(name=name, mode=mode, maximum=maximum)

    def processes(self) -> Sequence[Process]:
        return (self._harm, self._absence, RELATIVE)

    def log_e(self, view: View) -> float:
        above = view.harm(self._harm)
        return min(above, view.harm(RELATIVE)) if view.has_control else above

    def judge(self, view: View, weight: float) -> Finding:
        tally = view.tally(FAILURE)
        log_e = self.log_e(view)
        log_e_safe = view.safe(self._absence)
        verdict = verdict_of(view, log_e=log_e, weight=weight, log_e_safe=log_e_safe, data=tally.n_canary > 0)
        shared = verdict is not Verdict.FAIL and self._shared(view, tally)
        return Finding(
            name=self.name,
            kind=self.kind,
            mode=self.mode,
            family=self.family,
            verdict=verdict,
            unit="share",
            canary=measure(tally.x_canary, tally.n_canary),
            control=measure(tally.x_control, tally.n_control),
            threshold=self.maximum,
            log_e=log_e,
            log_e_safe=log_e_safe,
            weight=weight,
            needed=self._needed(view, tally, log_e_safe),
            blamed=verdict is Verdict.FAIL,
            holds=shared,
            reason=self._reason(view, tally, verdict, log_e, log_e_safe, shared=shared),
        )

    def _shared(self, view: View, tally: Tally) -> bool:
        """Whether the limit is broken by a fault that control has as well."""
        return (
            view.has_control
            and tally.x_control > self.maximum * tally.n_control
            and view.harm(self._harm) >= math.log(1.0 / view.alpha)
        )

    def _needed(self, view: View, tally: Tally, log_e_safe: float) -> int | None:
        if not tally.n_canary:
            return None
        p = (tally.x_canary + 0.5) / (tally.n_canary + 1.0)
        limit = self._below.limits[view.level]
        return remaining(below_requests(p, limit, view.alpha_promote), log_e_safe, view)

    def _reason(
        self,
        view: View,
        tally: Tally,
        verdict: Verdict,
        log_e: float,
        log_e_safe: float,
        *,
        shared: bool,
    ) -> str:
        if verdict is Verdict.NO_DATA:
            return f"{self.name}: no canary request has been counted"
        figures = f"{self.name}: canary failed {rate(tally.x_canary, tally.n_canary)}"
        if shared:
            control = rate(tally.x_control, tally.n_control)
            return (
                f"{figures}, above the limit of {percent(self.maximum)}, but control failed {control}:"
                " a fault both share, so the rollout waits"
            )
        limit = percent(self._below.limits[view.level])
        match verdict:
            case Verdict.FAIL:
                return f"{figures}, above the limit of {percent(self.maximum)}; e-value {e_value(log_e)}"
            case Verdict.PASS:
                return f"{figures}; shown to be below {limit} (e-value {e_value(log_e_safe)})"
            case _:
                return (
                    f"{figures}; not yet shown to be below {limit}"
                    f" (e-value {e_value(log_e_safe)} of {1 / view.alpha_promote:.3g})"
                )
