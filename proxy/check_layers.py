"""Finds splits of one layer that could take the same request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from config.problems import Problem
from proxy.splits.base import Split
from proxy.splits.layers import conflict
from proxy.splits.spec import SplitConfigError, SplitSpec

if TYPE_CHECKING:
    from config.load import Loaded


def check_layers(loaded: Loaded) -> Iterator[Problem]:
    """Each split that is in the way of one before it; splits that cannot be read are passed over."""
    seen: list[tuple[str, SplitSpec]] = []
    names = list(loaded.config.upstreams)
    for index, route in enumerate(loaded.config.routes):
        split = route.effective_split
        try:
            spec = Split.kinds[split.kind].from_config(split.parameters, names)
        except (KeyError, SplitConfigError):
            continue
        if spec.layer is None:
            continue
        for other, earlier in seen:
            assert earlier.layer is not None
            found = conflict(spec.layer, spec.key, earlier.layer, earlier.key)
            if found is not None:
                problem, remedy = found
                place = ("routes", index, "split", "layer")
                yield loaded.problem(place, f"{problem} (route {other})", remedy)
                break
        seen.append((route.name, spec))
