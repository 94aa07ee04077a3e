"""The report about decisions says what the simulations found, and holds its goals in a quick part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.decisions.__main__ import main
from benchmarks.decisions.cells import cells
from benchmarks.decisions.report import markdown, missed

QUICK = {
    "identical": "1.0% fail, 10% against 90%, alpha 0.05",
    "detection": "1.0% to 5.0%, weight 10%, alpha 0.05",
    "bursts": "one burst an hour on each arm, 1.0% fail, 5/s an arm, alpha 0.01",
    "condemned": "1.0% to 100% after 5 min, 5/s an arm, alpha 0.01",
    "promotion": "as good: 0.1% fail, weight 5%, margin x 1 + 0.5%",
    "gross": "0.1% to 100.0%, 5% against 95%, 20/s, alpha 0.05",
    "together": "1.0% to 5.0% with latency watched, 5% against 95%, alpha 0.05",
    "latency": "median +50%, 5% against 95%, alpha 0.05",
    "disturbed": "a probe that always fails, alpha 0.05",
}
RUNS = {
    "identical": 30,
    "detection": 150,
    "bursts": 60,
    "condemned": 20,
    "promotion": 100,
    "gross": 100,
    "together": 100,
    "latency": 100,
    "disturbed": 20,
}


def test_cells_have_names_of_their_own_and_enough_runs() -> None:
    found = list(cells())

    assert len({cell.name for cell in found}) == len(found)
    assert {cell.group for cell in found} == {*QUICK, "late", "margin"}
    assert all(cell.runs >= 2000 for cell in found if cell.group == "identical")


@pytest.mark.parametrize(
    "group",
    # An hour of seconds takes its time with few runs, too; `tests.control.test_calibration` has ten minutes.
    [pytest.param(group, marks=pytest.mark.slow) if group == "identical" else group for group in QUICK],
)
def test_goals_hold_in_a_quick_part(group: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One cell of each group with so few runs that it takes seconds."""
    out = tmp_path / "report.json"
    runs = RUNS[group]

    assert main(["--only", QUICK[group], "--runs", str(runs), "--out", str(out)]) == 0

    figures = json.loads(out.read_text())
    assert list(figures) == [QUICK[group]]
    assert figures[QUICK[group]]["runs"] == runs
    assert QUICK[group] in capsys.readouterr().out
    assert QUICK[group] in out.with_suffix(".md").read_text()


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    """An interrupted report goes on; a cell with enough runs keeps its figures to the last digit."""
    out = tmp_path / "report.json"
    arguments = ["--only", QUICK["condemned"], "--out", str(out)]
    main([*arguments, "--runs", "4"])
    first = out.read_text()
    main([*arguments, "--runs", "3"])
    assert out.read_text() == first

    main([*arguments, "--runs", "5"])
    assert json.loads(out.read_text())[QUICK["condemned"]]["runs"] == 5


def test_a_missed_goal_is_named() -> None:
    row = {"group": "identical", "runs": 100, "rolled_back": 9, "rate": 0.09, "low": 0.048, "high": 0.16}

    assert missed({"a": row | {"goal": 0.01}, "b": row | {"goal": 0.05}, "c": row | {"goal": None}}) == ["a"]
    assert "| a | 0.01 | 9 of 100 | 9.00% |" in markdown({"a": row | {"goal": 0.01}})
