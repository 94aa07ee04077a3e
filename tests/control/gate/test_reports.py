"""JUnit XML and Markdown of a gate, read back by independent parsers."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring, parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.gate.junit import junit, write_junit
from control.gate.markdown import append_markdown, markdown
from control.gate.verdict import GateCode, GateResult
from tests.control.cli import samples


def result(code: GateCode = GateCode.ROLLED_BACK, **changes: Any) -> GateResult:
    state = {GateCode.PROMOTED: "promoted", GateCode.ROLLED_BACK: "rolled_back"}.get(code, "progressing")
    values: dict[str, Any] = {
        "code": code,
        "route": "fraud",
        "release": "fraud:v2",
        "reason": "error_rate_rise: 5.2 % against 0 %",
        "rollout": samples.rollout(state),
        "decision": samples.decision(),
        "seconds": 75.25,
    }
    return GateResult(**{**values, **changes})


def test_a_rollback_is_a_failed_case_with_its_figures(tmp_path: Path) -> None:
    """The decision failed, and so did each guardrail that found harm; counts add up."""
    path = tmp_path / "reports" / "gate.xml"

    write_junit(result(), path)

    suite = parse(path).getroot()[0]
    cases = {case.get("name"): case for case in suite}
    assert int(suite.get("tests", "")) == len(cases) == 1 + len(samples.analysis().to_json()["findings"])
    assert int(suite.get("failures", "")) == sum(case.find("failure") is not None for case in suite) >= 2
    failure = cases["decision"].find("failure")
    assert failure is not None
    assert failure.get("message") == "fraud: fraud:v2 did not make it"
    harm = cases["guardrail error_rate_rise"].find("failure")
    assert harm is not None
    assert harm.text is not None
    assert "46/880" in harm.text


def test_a_guardrail_without_a_verdict_is_skipped_not_passed() -> None:
    """Too little data is no success in anybody's test report."""
    suite = junit(result(GateCode.UNDECIDED, decision=None))[0]

    verdicts = {
        finding["name"]: finding["verdict"] for finding in samples.analysis(bad=False).to_json()["findings"]
    }
    assert set(verdicts.values()) & {"inconclusive", "no_data"}
    for name, verdict in verdicts.items():
        (case,) = [case for case in suite if case.get("name") == f"guardrail {name}"]
        assert (case.find("skipped") is None) is (verdict == "pass")


@pytest.mark.parametrize("code", [GateCode.PROMOTED, GateCode.UNREACHABLE])
def test_a_result_without_a_rollout_can_be_reported(code: GateCode) -> None:
    """Nobody answered: an error, no failure of the release."""
    suite = junit(result(code, rollout=None, decision=None))[0]

    assert len(suite) == 1
    assert (suite[0].find("error") is None) is (code is GateCode.PROMOTED)
    assert "decision" not in markdown(result(code, rollout=None, decision=None))


def test_the_summary_has_the_figures_and_is_appended(tmp_path: Path) -> None:
    """Steps of one run share the file."""
    path = tmp_path / "summary.md"
    path.write_text("# Before\n")

    append_markdown(result(), path)

    text = path.read_text()
    assert text.startswith("# Before\n## fraud: fraud:v2 did not make it\n")
    assert "| guardrail | verdict | canary | control | limit | evidence of harm |" in text
    assert "46/880" in text
    assert f"`headgate why {samples.DECISION_ID}`" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}


@given(text=st.text(max_size=60))
def test_no_text_breaks_the_documents(text: str) -> None:
    """Reasons hold what operators and models wrote: markup, control characters, half surrogates."""
    from xml.etree.ElementTree import tostring

    found = result(reason=text, release=text, route=text)

    assert fromstring(tostring(junit(found))).find("testsuite") is not None
    lines = markdown(found).splitlines()
    assert sum(line.startswith("## ") for line in lines) == 1
    assert not any("<" in line.replace("\\<", "") for line in lines)
