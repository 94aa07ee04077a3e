"""The guardrails of a rollout that names none, and those of the older flat form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Path = tuple[str | int, ...]

DEFAULT_GUARDRAILS: Final[tuple[Mapping[str, Any], ...]] = (
    {"kind": "error_rate_rise"},
    {"kind": "latency_ratio"},
    {"kind": "sample_ratio"},
    {"kind": "retry_share"},
    {"kind": "client_abort_share"},
)
"""What must hold when a rollout names no guardrail."""


def flat_guardrails(given: Mapping[str, Any]) -> list[tuple[Path, Mapping[str, Any]]]:
    """The guardrails that the older flat form names, each with the key it comes from."""
    found: list[tuple[Path, Mapping[str, Any]]] = []
    if (limit := given.get("error_rate_threshold")) is not None:
        path: Path = ("error_rate_threshold",)
        found.append((path, {"kind": "error_rate", "name": "error_rate_threshold", "max": limit}))
        found.append((path, {"kind": "error_rate_rise", "name": "error_rate_above_stable"}))
    if (factor := given.get("latency_threshold_multiplier")) is not None:
        path = ("latency_threshold_multiplier",)
        for quantile in ("p95", "p99"):
            found.append(
                (
                    path,
                    {
                        "kind": "latency_ratio",
                        "name": f"latency_{quantile}",
                        "quantiles": [quantile],
                        "max": factor,
                    },
                )
            )
    return found
