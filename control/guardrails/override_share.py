"""Guardrail: not too many of the canary's requests may be such as chose it themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from control.guardrails.base import Defaults, Guardrail, GuardrailConfigError, View
from control.guardrails.figures import measure
from control.guardrails.finding import Family, Finding, Mode, Verdict
from control.guardrails.parameters import SHARE, refuse_unknown, share
from control.guardrails.words import e_value, percent, rate
from control.stats.events import Event, Source
from control.stats.one_sample import Above
from control.stats.process import HarmProcess, Process
from control.stats.sample_ratio import LOG_MISMATCH


class OverrideShare(Guardrail):
    """Tests that at most `max` of what the canary serves are overrides.

    Overrides are in no statistic. A canary that mostly serves them is hardly seen by anybody else, and a
    client that sets the override by mistake would keep it so; the rollout then waits and says why.
    """

    kind: ClassVar[str] = "override_share"
    family: ClassVar[Family] = Family.PLUMBING
    schema: ClassVar[Mapping[str, Any]] = {"max": SHARE}
    compares: ClassVar[bool] = False

    def __init__(self, *, name: str, mode: Mode, maximum: float) -> None:
        super().__init__(name=name, mode=mode)
        self.maximum = maximum
        self.event = Event(source=Source.OVERRIDE)
        self._above = HarmProcess(event=self.event, bet=Above(maximum))

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
        maximum = share(parameters, "max", 0.2)
        if not 0 < maximum < 1:
            raise GuardrailConfigError(("max",), f"{maximum:g} limits nothing", "write a share such as 20%")
        return cls(name=name, mode=mode, maximum=maximum)

    def processes(self) -> Sequence[Process]:
        return (self._above,)

    def log_e(self, view: View) -> float:  # noqa: ARG002 - the interface of all kinds
        """Always 0: who asks for the canary says nothing about it."""
        return 0.0

    def judge(self, view: View, weight: float) -> Finding:  # noqa: ARG002 - the interface of all kinds
        tally, log_e = view.tally(self.event), view.harm(self._above)
        verdict = Verdict.PASS
        if not tally.n_canary:
            verdict = Verdict.NO_DATA
        elif log_e >= LOG_MISMATCH:
            verdict = Verdict.FAIL
        asked = rate(tally.x_canary, tally.n_canary)
        reason = f"{self.name}: {asked} of the canary's requests chose it themselves"
        if verdict is Verdict.NO_DATA:
            reason = f"{self.name}: the canary has had no request yet"
        elif verdict is Verdict.FAIL:
            reason += f", more than {percent(self.maximum)} (e-value {e_value(log_e)}): the rollout waits"
        return Finding(
            name=self.name,
            kind=self.kind,
            mode=self.mode,
            family=self.family,
            verdict=verdict,
            unit="share",
            canary=measure(tally.x_canary, tally.n_canary),
            threshold=self.maximum,
            log_e=log_e,
            holds=verdict is Verdict.FAIL,
            reason=reason,
        )
