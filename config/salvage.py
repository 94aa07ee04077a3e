"""What is left of a configuration without its faults, so that later checks can speak at the same time."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from config.problems import Problem
from config.schema import Config

_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
# A key of an upstream or of a route lies this deep; what is above it is named by other parts of the file.
_DEPTH_MIN: Final = 3


def salvage(value: object, problems: Iterable[Problem]) -> Config | None:
    """Return the configuration without the keys that have a problem, or None where that leaves nothing valid.

    Only for further checks: it is never used to route anything. Whole upstreams and routes are not taken out,
    because the checks would then complain about names that are there.
    """
    rest = copy.deepcopy(value)
    for problem in problems:
        if not _remove(rest, [step or int(number) for step, number in _STEP.findall(problem.path)]):
            return None
    try:
        return Config.from_json(rest)
    except ValidationError:
        return None


def _remove(value: Any, path: list[str | int]) -> bool:
    """Take out the deepest key of a mapping on the path; False when there is none, or none deep enough."""
    holder: dict[str, Any] | None = None
    key = ""
    depth = 0
    for position, step in enumerate(path):
        if isinstance(value, dict) and isinstance(step, str):
            if step not in value:
                # A key that is missing, or that an earlier problem took out: only the latter is no harm.
                return False
            holder, key, depth = value, step, position + 1
            value = value[step]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            break
    if holder is None or depth < _DEPTH_MIN:
        return False
    del holder[key]
    return True
