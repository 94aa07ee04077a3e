"""Two releases side by side: which metrics are better, by how much, and what was seen of them live. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from control.registry.policy import Policy
from control.registry.release import Release


def compare(
    policy: Policy,
    old: Release,
    new: Release,
    *,
    live: Sequence[Mapping[str, Any]],
    experiments: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What changes from *old* to *new*.

    *live* are the decisions in which either was a canary, *experiments* those in which either was compared.
    """
    metrics = sorted({*old.metrics, *new.metrics})
    return {
        "from": _side(old),
        "to": _side(new),
        "metrics": [_metric(policy, new.name, metric, old, new) for metric in metrics],
        "same_artifact": old.artifact_digest == new.artifact_digest,
        "config": _differences(old.config, new.config),
        "live": list(live),
        "experiments": list(experiments),
    }


def _side(release: Release) -> dict[str, Any]:
    return {
        "release": release.label,
        "stage": release.stage,
        "artifact": release.artifact_digest,
        "dataset": release.dataset,
        "commit": release.commit,
    }


def _metric(policy: Policy, name: str, metric: str, old: Release, new: Release) -> dict[str, Any]:
    """`change` is new minus old, `relative` that by the size of old; null where one of them is missing."""
    before, after = old.metrics.get(metric), new.metrics.get(metric)
    direction = policy.direction(name, metric)
    change = None if before is None or after is None else after - before
    relative = None if change is None or not before else change / abs(before)
    verdict = "missing"
    if change is not None:
        verdict = "equal" if change == 0 else "better" if (change > 0) == (direction == "higher") else "worse"
    return {
        "metric": metric,
        "from": before,
        "to": after,
        "change": change,
        "relative": relative,
        "direction": direction,
        "verdict": verdict,
    }


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "from": old.get(key), "to": new.get(key)}
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
