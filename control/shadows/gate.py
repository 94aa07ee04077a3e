"""The gate from shadow to canary: agreement and latency, decided by tests that hold at every look.

Agreement is one rate of pairs, and the latency of a pair is one yes or no: was the shadow slower than
`latency_ratio` times the primary? So both are tests of one sample. Both answers belong to one request, which
is why nothing has to be assumed about how requests are divided.

Where copies to the version in production show how often it disagrees with itself, that noise is allowed on
top: the shadow must not disagree more often than noise and limit together. Two intervals that hold at every
look, each with half of the chance of error, bound the difference of the rates at every look (union bound).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from control.guardrails.finding import Verdict
from control.shadows.counts import NOTHING, ShadowTotals
from control.stats.agreement import Agreement, agreement
from control.stats.sequences import proportion_interval
from proxy.compare.tallies import RATIO_ONE, RATIOS, RATIOS_PER_DOUBLING

# Half of the pairs may be slower than the limit when the median ratio is at it.
HALF: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowFinding:
    """What a gate finds: a verdict, why, and the figures behind it."""

    verdict: Verdict
    reason: str
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a gate: answered badly, answered well, or open with so many pairs to go."""

    text: str
    failed: bool
    shown: bool
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowGate:
    """What a shadow must have shown before its version may become a canary."""

    shadow: str
    """Its name on the route."""
    agreement: float = 0.99
    """Share of pairs that must agree, below 1; measured noise is allowed on top."""
    latency_ratio: float = 1.5
    """The median of shadow / primary must be below it; 0 = not asked."""
    requests: int = 0
    """The least pairs compared."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """A gate that the schema has checked."""
        return cls(
            shadow=str(plain["shadow"]),
            agreement=float(plain.get("agreement", 0.99)),
            latency_ratio=float(plain.get("latency_ratio", 1.5)),
            requests=int(plain.get("requests") or 0),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "shadow": self.shadow,
            "agreement": self.agreement,
            "latency_ratio": self.latency_ratio,
            "requests": self.requests,
        }

    def verdict(
        self, totals: ShadowTotals, *, alpha: float, alpha_promote: float, noise: ShadowTotals = NOTHING
    ) -> ShadowFinding:
        """Judge what was counted so far; `noise` is how the version in production compares with itself.

        `alpha` is the chance to fail a shadow that is good enough, `alpha_promote` that to pass one that is
        not: each over all looks at the same counts (Ville 1939).
        """
        noisy = noise.compared > 0
        rate = agreement(totals.compared, totals.disagreed, 1.0 - self.agreement, alpha_promote)
        slow = self._slow(totals, alpha_promote)
        figures = self._figures(totals, noise, rate, slow)
        if totals.compared == 0:
            return ShadowFinding(verdict=Verdict.NO_DATA, reason="no pair was compared yet", figures=figures)
        bad, good = math.log(1.0 / alpha), math.log(1.0 / alpha_promote)
        # With noise there are two ways to show that the excess is allowed: each has half of the chance.
        good_rate = math.log(2.0 / alpha_promote) if noisy else good
        rated = Question(
            text=self._rate_text(rate, noise),
            failed=self._excess(totals, noise, alpha)[0] > 0 if noisy else rate.log_e_above >= bad,
            shown=rate.log_e_below >= good_rate
            or (noisy and self._excess(totals, noise, alpha_promote / 2.0)[1] < 0),
            missing=self._missing(rate, good_rate),
        )
        tests = [rated]
        if slow is not None:
            timed = Question(
                text=self._slow_text(totals),
                failed=slow.log_e_above >= bad,
                shown=slow.log_e_below >= good,
                missing=self._missing(slow, good),
            )
            tests.append(timed)
        failed = [test.text for test in tests if test.failed]
        if failed:
            return ShadowFinding(verdict=Verdict.FAIL, reason="; ".join(failed), figures=figures)
        open_ = [test.text for test in tests if not test.shown]
        texts = "; ".join(test.text for test in tests)
        if open_:
            missing = max(test.missing for test in tests if not test.shown)
            more = f", about {missing} more pairs are needed if they are as good" if missing else ""
            reason = "not shown yet: " + "; ".join(open_) + more
            return ShadowFinding(verdict=Verdict.INCONCLUSIVE, reason=reason, figures=figures)
        if totals.compared < self.requests:
            reason = f"{totals.compared} of {self.requests} pairs compared; {texts}"
            return ShadowFinding(verdict=Verdict.INCONCLUSIVE, reason=reason, figures=figures)
        return ShadowFinding(verdict=Verdict.PASS, reason=texts, figures=figures)

    def _slow(self, totals: ShadowTotals, alpha: float) -> Agreement | None:
        if not self.latency_ratio:
            return None
        ratios = totals.histogram("ratio")
        place = RATIO_ONE + round(RATIOS_PER_DOUBLING * math.log2(self.latency_ratio))
        slower = int(ratios[min(RATIOS, max(0, place) + 1) :].sum())
        return agreement(int(ratios.sum()), slower, HALF, alpha)

    def _excess(self, totals: ShadowTotals, noise: ShadowTotals, alpha: float) -> tuple[float, float]:
        """Bounds of disagreement beyond noise and limit; together they miss with a chance of `alpha`."""
        low, high = proportion_interval(totals.disagreed, totals.compared, alpha / 2.0)
        noise_low, noise_high = proportion_interval(noise.disagreed, noise.compared, alpha / 2.0)
        limit = 1.0 - self.agreement
        return low - noise_high - limit, high - noise_low - limit

    def _rate_text(self, rate: Agreement, noise: ShadowTotals) -> str:
        agreed = 1.0 - rate.disagreed / max(1, rate.compared)
        text = (
            f"{agreed:.2%} of {rate.compared} pairs agree"
            f" ({1 - rate.high:.2%} to {1 - rate.low:.2%}; {self.agreement:.2%} asked for)"
        )
        if noise.compared:
            floor = 1.0 - noise.disagreed / noise.compared
            text += f", of the primary with itself {floor:.2%} of {noise.compared}"
        return text

    def _slow_text(self, totals: ShadowTotals) -> str:
        median = median_ratio(totals)
        return f"the shadow takes {median:.3g} times the primary's time (at most {self.latency_ratio:g})"

    def _missing(self, test: Agreement, good: float) -> int:
        """Pairs that are still needed if they go on like those so far; 0 when that cannot be told."""
        if test.compared == 0 or test.log_e_below <= 0:
            return 0
        return max(0, math.ceil(test.compared * (good / test.log_e_below - 1.0)))

    def _figures(
        self, totals: ShadowTotals, noise: ShadowTotals, rate: Agreement, slow: Agreement | None
    ) -> dict[str, Any]:
        return {
            "shadow": self.shadow,
            "compared": totals.compared,
            "disagreed": totals.disagreed,
            "noise": {"compared": noise.compared, "disagreed": noise.disagreed},
            "agreement": {
                "target": self.agreement,
                "interval": [1.0 - rate.high, 1.0 - rate.low],
                "log_e_fail": rate.log_e_above,
                "log_e_pass": rate.log_e_below,
            },
            "latency_ratio": None
            if slow is None
            else {
                "limit": self.latency_ratio,
                "median": median_ratio(totals),
                "slower": slow.disagreed,
                "log_e_fail": slow.log_e_above,
                "log_e_pass": slow.log_e_below,
            },
        }


def median_ratio(totals: ShadowTotals) -> float | None:
    """The median of shadow / primary over pairs, or None without one; at most 2.2 % off."""
    return quantile_ratio(totals, 0.5)


def quantile_ratio(totals: ShadowTotals, share: float) -> float | None:
    """The ratio that `share` of the pairs stayed below: the middle of its bucket."""
    ratios = totals.histogram("ratio")
    wanted = share * int(ratios.sum())
    seen = 0
    for place, count in enumerate(ratios.tolist()):
        seen += count
        if count and seen >= wanted:
            return float(2.0 ** ((place - 0.5 - RATIO_ONE) / RATIOS_PER_DOUBLING))
    return None
