"""A gate's result as Markdown, for the summary page of a pipeline's run."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Final

from control.cli.explain import findings_grid
from control.cli.figures import duration, evidence, probability
from control.cli.output import Grid
from control.gate.verdict import GateResult

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")


def markdown(result: GateResult) -> str:
    """A heading, the reason, the figures behind the decision and where to read more."""
    parts = [f"## {_plain(result.title)}", _plain(result.reason) or "No reason was given."]
    analysis = result.analysis
    if analysis is not None:
        parts.append(_table(findings_grid(analysis)))
        parts += [f"- {_plain(finding['reason'])}" for finding in analysis["findings"]]
        found = f"Evidence of harm, all guardrails together: {evidence(analysis['log_e'])}; "
        found += f"the canary is rolled back at {analysis['threshold']:.4g}."
        if analysis["anytime_p"] < 1:
            found += f" Anytime-valid p: {probability(analysis['anytime_p'])}."
        parts.append(found)
    facts = [f"waited {duration(result.seconds)}"]
    if result.rollout is not None:
        facts.append(f"rollout `{result.rollout['id']}`")
    if result.decision is not None:
        facts.append(f"`headgate why {result.decision['id']}` explains the decision")
    parts.append(_sentence(facts))
    return _joined(parts) + "\n"


def append_markdown(result: GateResult, path: Path) -> None:
    """Add it to the end of a file: a run's summary is shared by all of its steps.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(markdown(result))


def _table(grid: Grid) -> str:
    rows = [list(grid.headings), ["---"] * len(grid.headings)]
    rows += [[_plain(cell) for cell in row] for row in grid.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(text: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _sentence(facts: list[str]) -> str:
    text = ", ".join(facts)
    return f"{text[0].upper()}{text[1:]}."


def _joined(parts: list[str]) -> str:
    """Parts with a blank line between them, but none between the items of a list."""
    text = parts[0]
    for before, part in pairwise(parts):
        text += ("\n" if before.startswith("- ") and part.startswith("- ") else "\n\n") + part
    return text
