"""Guardrail: a shadow of the canary must not answer otherwise than the primary more often than a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from control.guardrails.base import View, verdict_of
from control.guardrails.figures import measure
from control.guardrails.finding import Family, Finding, Verdict
from control.guardrails.share_limit import ShareLimit
from control.guardrails.words import rate
from control.stats.events import Event, Source, Tally
from control.stats.mixture import ODDS
from control.stats.process import HarmProcess, Process

PAIRS: Final = Event(source=Source.SHADOW)
NOISE: Final = HarmProcess(event=PAIRS, bet=ODDS)


class ShadowAgreement(ShareLimit):
    """Holds the share of pairs in which the canary's shadow disagrees with the primary against `max`.

    Both answers belong to one request, so no assumption about routing is needed. Where copies to the
    primary's own version show how often it disagrees with itself, breaking the limit is not enough: the
    shadow must also disagree more often than that. The smaller of two e-values is one against either of both.
    """

    kind: ClassVar[str] = "shadow_agreement"
    family: ClassVar[Family] = Family.SHADOW
    event: ClassVar[Event] = PAIRS

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

    def _reason(self, view: View, tally: Tally, verdict: Verdict, log_e: float, log_e_safe: float) -> str:
        if verdict is Verdict.NO_DATA:
            return f"{self.name}: no pair of answers has been compared"
        figures = f"{self.name}: the shadow disagreed in {rate(tally.x_canary, tally.n_canary)} pairs"
        if tally.n_control:
            figures += f", the primary with itself in {rate(tally.x_control, tally.n_control)}"
        return self._concluded(figures, view, verdict, log_e, log_e_safe)
