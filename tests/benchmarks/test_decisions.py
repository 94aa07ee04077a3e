"""The report about decisions says what the simulations found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import decisions
from control.stats.power import rollback_limit


def test_the_report_has_a_row_for_each_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Few and short runs: identical versions stay, a canary that always fails is found in all of them."""
    monkeypatch.setattr(decisions, "BASELINES", (0.01,))
    monkeypatch.setattr(decisions, "WEIGHTS", (0.1,))
    monkeypatch.setattr(decisions, "EFFECTS", ((0.01, 1.0),))
    out = tmp_path / "figures.json"

    assert decisions.main(["--runs", "10", "--seconds", "60", "--out", str(out)]) == 0

    figures = json.loads(out.read_text())
    assert [row["rolled_back"] for row in figures["false_rollbacks"]] == [0, 0]
    assert [row["detected"] for row in figures["detections"]] == [10, 10]
    assert all(1 < row["median_requests"] < 60 for row in figures["detections"])
    assert figures["detections"][0]["least_requests"] == rollback_limit(0.01, 1.0, 0.5, 0.05)
    shown = capsys.readouterr().out
    assert "10 of 10" in shown
    assert "0 of 10" in shown
