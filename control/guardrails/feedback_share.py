"""Guardrail: feedback must come for both arms' requests equally often, else what it says is not
comparable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from control.guardrails.base import Defaults, GuardrailConfigError
from control.guardrails.finding import Mode
from control.guardrails.parameters import METRIC_NAME, metric, refuse_unknown
from control.guardrails.plumbing import SameShare
from control.metrics import FEEDBACK
from control.stats.events import Event, Source


class FeedbackShare(SameShare):
    """Compares for how many requests a metric has been reported.

    Where the outcomes of one arm are reported more rarely, those that are reported are no fair sample of it.
    """

    kind: ClassVar[str] = "feedback_share"
    what: ClassVar[str] = "have been reported on"
    schema: ClassVar[Mapping[str, Any]] = {"metric": METRIC_NAME}

    @classmethod
    def from_config(cls, parameters: Mapping[str, Any], *, name: str, mode: Mode, defaults: Defaults) -> Self:
        refuse_unknown(parameters, cls.schema)
        found = metric(parameters, "metric", defaults.metrics)
        if found.source != FEEDBACK:
            raise GuardrailConfigError(
                ("metric",),
                f"{found.name} does not come by feedback",
                "name a metric whose source is feedback",
            )
        return cls(
            name=name,
            mode=mode,
            event=Event(source=Source.REPORTED, metric=found.label, place=found.place, delayed=True),
        )
