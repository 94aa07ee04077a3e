"""What an agent reports about shadows, without an agent."""

from __future__ import annotations

from typing import Any

from proxy.compare.findings import Finding
from proxy.compare.tallies import Comparisons
from proxy.counters import SHADOW_0
from proxy.outcomes import OUTCOMES
from proxy.shadow.cells import ELIGIBLE, MIRRORED_0, PAIRED, SKIPPED, SKIPPED_0

DIFFERENT = [Finding("/outputs/*/data/*", "number", 1, 2)]


def comparison(
    key: tuple[str, str, str, str], *, agree: int, differ: int = 0, ratio: float = 1.0
) -> dict[str, Any]:
    """So many pairs, all of them `ratio` times as slow in the shadow."""
    found = Comparisons()
    for _ in range(agree):
        found.add([], 10_000, int(10_000 * ratio))
    for _ in range(differ):
        found.add(DIFFERENT, 10_000, int(10_000 * ratio))
    if differ:
        found.sample(DIFFERENT, "r1", 10, bodies=False)
    return dict(zip(("route", "shadow", "role", "stage"), key, strict=True)) | found.to_json()


def copies(key: tuple[str, str, str, str], *, sent: int, sampled_out: int = 0) -> dict[str, Any]:
    """So many requests copied, all answered, and so many left out."""
    outcomes = [0] * OUTCOMES
    outcomes[0] = sent
    cells = {
        ELIGIBLE: sent + sampled_out,
        SKIPPED: sampled_out,
        SKIPPED_0: sampled_out,
        MIRRORED_0: sent,
        PAIRED: sent,
    }
    return dict(zip(("route", "shadow", "role", "stage"), key, strict=True)) | {
        "started": sent,
        "lost": 0,
        "outcomes": outcomes,
        "total": [[100, sent]] if sent else [],
        "cells": [[cell - SHADOW_0, count] for cell, count in cells.items() if count],
    }
