"""Ready-made plans."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from control.plans.presets import PRESETS

DOCS = (Path(__file__).parents[3] / "docs" / "rollouts.md").read_text(encoding="utf-8")


def documented(row: str) -> list[str]:
    """The three cells of a row of the table of presets."""
    line = next(line for line in DOCS.splitlines() if line.startswith(f"| {row}"))
    return [cell.strip() for cell in line.split("|")[2:5]]


@pytest.mark.parametrize(("index", "name"), list(enumerate(["conservative", "balanced", "aggressive"])))
def test_the_documented_budgets_are_the_presets(index: int, name: str) -> None:
    """What a person reads is what is used."""
    preset = PRESETS[name]

    assert _percent(documented("false rollback")[index]) == preset.alpha
    assert _percent(documented("promotion of one")[index]) == preset.alpha_promote
    ratio, rise = documented("margin for errors")[index].split(",")
    assert (float(ratio), _percent(rise)) == (preset.margins.promote_ratio, preset.margins.promote_rise)
    assert float(documented("tolerated factor")[index]) == preset.margins.latency_ratio
    assert documented("trouble of one arm")[index] == f"{preset.burst_s:.0f} s"
    steps = [float(part) / 100 for part in re.findall(r"\d+", documented("steps")[index])]
    assert tuple(steps) == preset.weights


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_ramp_to_everything(name: str) -> None:
    weights = PRESETS[name].weights

    assert list(weights) == sorted(set(weights))
    assert weights[0] < 0.5
    assert weights[-1] == 1.0


def _percent(text: str) -> float:
    found = re.search(r"([\d.]+) %", text)
    assert found is not None
    return round(float(found[1]) / 100, 9)
