"""Tables as control would publish them."""

import os
from pathlib import Path
from typing import Any

from config.load import load_file
from proxy.compile import RouteState, compile_table


def table_for(config: Path, revision: int, *, weight: float = 0.05, stage: str = "s0") -> dict[str, Any]:
    """The table of the configuration at `config`, whose route is called fraud."""
    loaded = load_file(config, os.environ)
    states = {"fraud": RouteState(canary_weight=weight, stage=stage)}
    return compile_table(loaded.config, revision=revision, states=states, digest=loaded.digest)
