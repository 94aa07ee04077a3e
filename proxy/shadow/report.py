"""A shadow's counts in the agent's report to control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from proxy.counters import SHADOW_0, SHADOW_CELLS
from proxy.counts import ArmCounts, sparse
from proxy.shadow.cells import PAIRED

if TYPE_CHECKING:
    from proxy.slots import ArmKey

SHADOW_ROLES: Final = frozenset({"shadow", "noise"})


def shadow_reports(arms: Mapping[ArmKey, ArmCounts]) -> list[dict[str, Any]]:
    """The shadows among arms, each with its cumulative counts; cells are numbered from `SHADOW_0`."""
    return [
        {
            "route": key.route,
            "shadow": key.variant,
            "role": key.role,
            "stage": key.stage,
            "started": counts.started,
            "lost": counts.lost,
            "outcomes": counts.outcomes,
            "total": sparse(counts.total),
            "cells": sparse(counts.cells[SHADOW_0 : SHADOW_0 + SHADOW_CELLS]),
        }
        for key, counts in arms.items()
        if key.role in SHADOW_ROLES
    ]


def handed_over(arms: Mapping[ArmKey, ArmCounts]) -> dict[tuple[str, str, str, str], int]:
    """How many pairs were handed over for comparing, by route, shadow, role and stage."""
    return {(*key,): counts.cells[PAIRED] for key, counts in arms.items() if key.role in SHADOW_ROLES}


def arms_only(arms: Mapping[ArmKey, ArmCounts]) -> dict[ArmKey, ArmCounts]:
    """What is no shadow: the arms whose answers reach clients."""
    return {key: counts for key, counts in arms.items() if key.role not in SHADOW_ROLES}
