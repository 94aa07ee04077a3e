"""What guardrails have in common that hold a share of the canary's events against a fixed limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from control.guardrails.base import Defaults, Guardrail, GuardrailConfigError, View
from control.guardrails.figures import remaining
from control.guardrails.finding import Mode, Verdict
from control.guardrails.parameters import SHARE, refuse_unknown, share
from control.guardrails.words import e_value, percent
from control.stats.events import Event, Tally
from control.stats.looseness import limits
from control.stats.one_sample import Above, Below
from control.stats.power import below_requests
from control.stats.process import HarmProcess, SafeProcess


class ShareLimit(Guardrail):
    """Tests of one rate against `max`: that it is above, and that it is below, loosely at first."""

    schema: ClassVar[Mapping[str, Any]] = {"max": SHARE}
    compares: ClassVar[bool] = False
    event: ClassVar[Event]
    """What is counted."""

    def __init__(self, *, name: str, mode: Mode, maximum: float) -> None:
        super().__init__(name=name, mode=mode)
        self.maximum = maximum
        self._below = Below(limits(maximum))
        self._harm = HarmProcess(event=self.event, bet=Above(maximum))
        self._absence = SafeProcess(event=self.event, bet=self._below)

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

    def _needed(self, view: View, tally: Tally, log_e_safe: float) -> int | None:
        """About how many more of the canary's events would show that it is below."""
        if not tally.n_canary:
            return None
        p = (tally.x_canary + 0.5) / (tally.n_canary + 1.0)
        limit = self._below.limits[view.level]
        return remaining(below_requests(p, limit, view.alpha_promote), log_e_safe, view, self.event)

    def _concluded(self, figures: str, view: View, verdict: Verdict, log_e: float, log_e_safe: float) -> str:
        """*figures*, and what follows from them."""
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
