"""Guardrail: the canary's error rate must stay below a fixed limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Final

from control.guardrails.base import View, verdict_of
from control.guardrails.figures import measure
from control.guardrails.finding import Family, Finding, Verdict
from control.guardrails.share_limit import ShareLimit
from control.guardrails.words import percent, rate
from control.stats.events import FAILURE, Event, Tally
from control.stats.mixture import ODDS
from control.stats.process import HarmProcess, Process

RELATIVE: Final = HarmProcess(event=FAILURE, bet=ODDS)


class ErrorRate(ShareLimit):
    """Holds the canary's failure rate against `max`.

    While control gets requests too, breaking the limit is not enough: the canary must also fail more often
    than control, since a fault that both share (a database, the network) says nothing about the canary.
    The smaller of the two e-values is one against "within the limit, or no worse than control", so nothing
    is lost in rigour.
    """

    kind: ClassVar[str] = "error_rate"
    family: ClassVar[Family] = Family.ERRORS
    event: ClassVar[Event] = FAILURE

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
        return self._concluded(figures, view, verdict, log_e, log_e_safe)
