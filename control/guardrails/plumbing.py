"""What alarms about the comparison itself share: they hold a rollout while they ring and roll nothing
back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

from control.guardrails.base import Defaults, Guardrail, View
from control.guardrails.figures import measure
from control.guardrails.finding import Family, Finding, Mode, Verdict
from control.guardrails.parameters import refuse_unknown
from control.guardrails.words import e_value, rate
from control.stats.events import Event
from control.stats.logspace import log_sum_exp_of
from control.stats.mixture import ODDS
from control.stats.process import HarmProcess, Process, Reversed
from control.stats.sample_ratio import LOG_MISMATCH

# Of two bets, one on each direction, half of the money is on each.
_LOG_HALF: Final = math.log(0.5)


class SameShare(Guardrail):
    """Something that should not depend on the version happens equally often to both arms.

    Tested in both directions by the bets of the error guardrail, looked at as often as one likes. A
    difference makes the rollout wait and say why: the arms do not see the same requests, so nothing else can
    be trusted.
    """

    family: ClassVar[Family] = Family.PLUMBING
    schema: ClassVar[Mapping[str, Any]] = {}
    what: ClassVar[str]
    """What happens to a request, as in "were retried"."""

    def __init__(self, *, name: str, mode: Mode, event: Event) -> None:
        super().__init__(name=name, mode=mode)
        self.event = event
        self._more = HarmProcess(event=event, bet=ODDS)
        self._fewer = HarmProcess(event=event, bet=Reversed(ODDS))

    @classmethod
    def event_of(cls) -> Event:
        """The event of a kind without parameters."""
        raise NotImplementedError

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
        return cls(name=name, mode=mode, event=cls.event_of())

    def processes(self) -> Sequence[Process]:
        return (self._more, self._fewer)

    def log_e(self, view: View) -> float:  # noqa: ARG002 - the interface of all kinds
        """Always 0: a broken comparison is no evidence against the canary."""
        return 0.0

    def judge(self, view: View, weight: float) -> Finding:  # noqa: ARG002 - the interface of all kinds
        tally = view.tally(self.event)
        log_e = _LOG_HALF + log_sum_exp_of([view.harm(self._more), view.harm(self._fewer)])
        verdict = Verdict.PASS
        if not (tally.n_canary and tally.n_control):
            verdict = Verdict.NO_DATA
        elif log_e >= LOG_MISMATCH:
            verdict = Verdict.FAIL
        figures = (
            f"{self.name}: {rate(tally.x_canary, tally.n_canary)} of the canary's requests {self.what},"
            f" {rate(tally.x_control, tally.n_control)} of control's"
        )
        reason = figures
        if verdict is Verdict.NO_DATA:
            reason = f"{self.name}: not counted in both arms yet"
        elif verdict is Verdict.FAIL:
            reason = f"{figures} (e-value {e_value(log_e)}): the comparison is broken, so the rollout waits"
        return Finding(
            name=self.name,
            kind=self.kind,
            mode=self.mode,
            family=self.family,
            verdict=verdict,
            unit="share",
            canary=measure(tally.x_canary, tally.n_canary),
            control=measure(tally.x_control, tally.n_control),
            log_e=log_e,
            holds=verdict is Verdict.FAIL,
            reason=reason,
        )
