"""Guardrail: a shadow of the canary must not answer otherwise than the primary more often than a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from control.guardrails.base import Defaults, Guardrail, GuardrailConfigError, View, verdict_of
from control.guardrails.figures import measure, remaining
from control.guardrails.finding import Family, Finding, Mode, Verdict
from control.guardrails.parameters import SHARE, refuse_unknown, share
from control.guardrails.words import e_value, percent, rate
from control.stats.events import Event, Source, Tally
from control.stats.looseness import limits
from control.stats.mixture import ODDS
from control.stats.one_sample import Above, Below
from control.stats.power import below_requests
from control.stats.process import HarmProcess, Process, SafeProcess

PAIRS: Final = Event(source=Source.SHADOW)
NOISE: Final = HarmProcess(event=PAIRS, bet=ODDS)


class ShadowAgreement(Guardrail):
    """Holds the share of pairs in which the canary's shadow disagrees with the primary against `max`.

    Both answers belong to one request, so no assumption about routing is needed. Where copies to the
    primary's own version show how often it disagrees with itself, breaking the limit is not enough: the
    shadow must also disagree more often than that. The smaller of two e-values is one against either of both.
    """

    kind: ClassVar[str] = "shadow_agreement"
    family: ClassVar[Family] = Family.SHADOW
    schema: ClassVar[Mapping[str, Any]] = {"max": SHARE}
    compares: ClassVar[bool] = False

    def __init__(self, *, name: str, mode: Mode, maximum: float) -> None:
        super().__init__(name=name, mode=mode)
        self.maximum = maximum
        self._below = Below(limits(maximum))
        self._harm = HarmProcess(event=PAIRS, bet=Above(maximum))
        self._absence = SafeProcess(event=PAIRS, bet=self._below)

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
        return (self._harm, self._absence, NOISE)

    def log_e(self, view: View) -> float:
        above = view.harm(self._harm)
        return min(above, view.harm(NOISE)) if view.tally(PAIRS).n_control else above

    def judge(self, view: View, weight: float) -> Finding:
        tally = view.tally(PAIRS)
        log_e = self.log_e(view)
        log_e_safe = view.safe(self._absence)
        verdict = verdict_of(view, log_e=log_e, weight=weight, log_e_safe=log_e_safe, data=tally.n_canary > 0)
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
            reason=self._reason(view, tally, verdict, log_e, log_e_safe),
        )

    def _needed(self, view: View, tally: Tally, log_e_safe: float) -> int | None:
        if not tally.n_canary:
            return None
        p = (tally.x_canary + 0.5) / (tally.n_canary + 1.0)
        limit = self._below.limits[view.level]
        return remaining(below_requests(p, limit, view.alpha_promote), log_e_safe, view)

    def _reason(self, view: View, tally: Tally, verdict: Verdict, log_e: float, log_e_safe: float) -> str:
        if verdict is Verdict.NO_DATA:
            return f"{self.name}: no pair of answers has been compared"
        figures = f"{self.name}: the shadow disagreed in {rate(tally.x_canary, tally.n_canary)} pairs"
        if tally.n_control:
            figures += f", the primary with itself in {rate(tally.x_control, tally.n_control)}"
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
