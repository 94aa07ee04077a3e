"""The rollout plan of a configuration file, which an approval may be bound to before it is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from control.cli.configuration import load
from control.cli.failure import CommandError


def plan_in(path: Path, release: str, stage: str) -> dict[str, Any]:
    """By route, how the configuration at *path* would divide and ramp requests for the model of *release*.

    Raises:
        ProblemsError: the file is no configuration.
        CommandError: none of its routes is protected for *stage* and serves the model.
    """
    from control.errors import InvalidError
    from control.registry.plans import proposal

    name = release.partition(":")[0].partition("@")[0]
    try:
        return proposal(load(str(path)).config.to_json(), name, stage, str(path))
    except InvalidError as error:
        raise CommandError(error.message, error.remedy) from error
