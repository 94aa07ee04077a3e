"""A gate's result as JUnit XML: one case for the decision and one for each guardrail."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from control.cli.explain import findings_grid
from control.gate.verdict import GateCode, GateResult, Json

# Characters that XML 1.0 cannot carry (Char, section 2.2), not even escaped.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: GateResult) -> Element:
    """The `testsuites` element. A guardrail without a verdict is skipped, never passed."""
    suites = Element("testsuites", name="headgate gate")
    suite = SubElement(suites, "testsuite", name=_clean(f"headgate gate {result.route}"))
    suite.set("time", f"{result.seconds:.3f}")
    cases = [_decision_case(suite, result)]
    analysis = result.analysis
    if analysis is not None:
        details = findings_grid(analysis)
        for finding, row in zip(analysis["findings"], details.rows, strict=True):
            figures = "\n".join(f"{name}: {cell}" for name, cell in zip(details.headings, row, strict=True))
            cases.append(_guardrail_case(suite, result, finding, figures))
    for element in (suites, suite):
        element.set("tests", str(len(cases)))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            element.set(name, str(sum(case.find(tag) is not None for case in cases)))
    return suites


def write_junit(result: GateResult, path: Path) -> None:
    """Write it; folders are made.

    Raises:
        OSError: the file cannot be written.
    """
    tree = ElementTree(junit(result))
    indent(tree)
    path.parent.mkdir(parents=True, exist_ok=True)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _decision_case(suite: Element, result: GateResult) -> Element:
    case = _case(suite, result, "decision", result.seconds)
    if result.code is GateCode.ROLLED_BACK:
        _say(case, "failure", "rolled back", result.title, result.reason)
    elif result.code is GateCode.UNDECIDED:
        _say(case, "failure", "undecided", result.title, result.reason)
    elif result.code is not GateCode.PROMOTED:
        _say(case, "error", "unreachable", result.title, result.reason)
    else:
        SubElement(case, "system-out").text = _clean(f"{result.title}: {result.reason}")
    return case


def _guardrail_case(suite: Element, result: GateResult, finding: Json, figures: str) -> Element:
    case = _case(suite, result, f"guardrail {finding['name']}", 0.0)
    verdict, reason = str(finding["verdict"]), str(finding["reason"])
    if verdict == "fail" and finding.get("mode", "enforce") == "enforce":
        _say(case, "failure", "guardrail", reason, figures)
    elif verdict != "pass":
        SubElement(case, "skipped", message=_clean(f"{verdict.replace('_', ' ')}: {reason}"))
    SubElement(case, "system-out").text = _clean(f"{reason}\n{figures}")
    return case


def _case(suite: Element, result: GateResult, name: str, seconds: float) -> Element:
    classname = f"headgate.{result.route}"
    return SubElement(
        suite, "testcase", classname=_clean(classname), name=_clean(name), time=f"{seconds:.3f}"
    )


def _say(case: Element, tag: str, kind: str, message: str, text: str) -> None:
    SubElement(case, tag, type=kind, message=_clean(message)).text = _clean(text)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
