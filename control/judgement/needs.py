"""About how many more requests each undecided guardrail needs: one value for every place that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from control.guardrails.finding import Family, Mode, Verdict
from control.judgement.analysis import Analysis


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What an enforced guardrail still waits for."""

    guardrail: str
    verdict: Verdict
    requests: int | None
    """More canary requests, if the canary is as good as control; None = that cannot be said yet."""
    seconds: float | None = None
    """How long that takes at the canary's present pace; None = it has none, or the number is unknown."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "guardrail": self.guardrail,
            "verdict": self.verdict.name.lower(),
            "requests": self.requests,
            "seconds": self.seconds,
        }


def needs(analysis: Analysis, *, requests_per_second: float | None = None) -> tuple[Need, ...]:
    """What each enforced guardrail of an analysis that does not pass still needs, the largest number first.

    A guardrail that fails needs nothing any more; checks of the comparison itself never need requests.
    """
    pace = requests_per_second if requests_per_second and requests_per_second > 0 else None
    found = [
        Need(
            guardrail=finding.name,
            verdict=finding.verdict,
            requests=finding.needed,
            seconds=None if finding.needed is None or pace is None else finding.needed / pace,
        )
        for finding in analysis.findings
        if finding.mode is Mode.ENFORCE
        and finding.family is not Family.PLUMBING
        and finding.verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
    ]
    return tuple(sorted(found, key=lambda need: -1 if need.requests is None else -need.requests))
