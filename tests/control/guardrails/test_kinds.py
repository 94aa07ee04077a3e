"""Every kind: found by its name, one a module, documented, with a schema of its own parameters."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from control.guardrails.base import Defaults, Guardrail
from control.guardrails.finding import Family, Mode
from control.guardrails.load import kind_modules, load_all
from control.metrics import RouteMetric
from control.plans.plan import RolloutPlan

load_all()
DOCS = Path(__file__).parents[3] / "docs" / "rollouts.md"
NEEDED: dict[str, dict[str, object]] = {
    "error_rate": {"max": "2%"},
    "shadow_agreement": {"max": "2%"},
    "metric": {"metric": "label_error", "direction": "higher_is_worse"},
    "feedback_share": {"metric": "label_error"},
}
METRICS = (RouteMetric(name="label_error", place=0, source="feedback", low=0.0, high=1.0, log=False),)


def test_one_kind_a_module() -> None:
    """The module is named like the kind it defines."""
    assert kind_modules() == sorted(Guardrail.kinds)
    for kind, guardrail in Guardrail.kinds.items():
        assert guardrail.__module__ == f"control.guardrails.{kind}"
        assert import_module(guardrail.__module__).__doc__


@pytest.mark.parametrize("kind", sorted(Guardrail.kinds))
def test_kinds_are_documented_and_have_a_schema(kind: str) -> None:
    """A person finds the kind and each of its parameters in the documentation."""
    guardrail, text = Guardrail.kinds[kind], DOCS.read_text(encoding="utf-8")

    assert guardrail.__doc__
    assert f"`{kind}`" in text
    for parameter, schema in guardrail.schema.items():
        assert f"`{parameter}`" in text
        json.dumps(schema)


@pytest.mark.parametrize("kind", sorted(Guardrail.kinds))
def test_kinds_can_be_made_with_what_they_need(kind: str) -> None:
    """Name, mode and family arrive, and evidence has names."""
    made = Guardrail.kinds[kind].from_config(
        NEEDED.get(kind, {}), name="mine", mode=Mode.WARN, defaults=Defaults(metrics=METRICS)
    )

    assert (made.name, made.mode) == ("mine", Mode.WARN)
    assert made.family in Family
    assert len({process.key for process in made.processes()}) == len(made.processes())


def test_a_kind_cannot_be_registered_twice() -> None:
    """A second class of the same kind is a programming error."""
    with pytest.raises(TypeError, match="registered twice"):
        type("Again", (Guardrail,), {"kind": "error_rate"})


def test_equal_evidence_of_two_guardrails_is_kept_once() -> None:
    """An absolute and a relative error guardrail share the relative process."""
    plan = RolloutPlan.from_config(
        {"guardrails": [{"kind": "error_rate", "max": "2%"}, {"kind": "error_rate_rise"}]}
    )

    keys = [process.key for process in plan.processes]

    assert len(keys) == len(set(keys))
    assert sum("odds" in key for key in keys) == 1
