"""What the demonstration runs: the configuration file of each act, and how fast it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from control.demo.server import MODEL

ROUTE = "fraud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the demonstration goes: made for two cores and two minutes."""

    rate: float = 300.0
    """Requests per second."""
    duration_s: float = 110.0
    """The most that the story may take once requests flow."""


def configuration(*, listen: int, admin: int, urls: Mapping[str, str], stable: str, canary: str) -> str:
    """The file as a person would write it, for `headgate run`."""
    head = "# Written by the demonstration. Edit it while it runs: a change of this file is noticed.\n"
    return head + yaml.safe_dump(
        {
            "listeners": [{"bind": f"127.0.0.1:{listen}"}],
            "admin": {"bind": f"127.0.0.1:{admin}"},
            "upstreams": {
                name: {"endpoints": [urls[name]], "release": f"{MODEL}:{name}"} for name in (stable, canary)
            },
            "routes": [
                {
                    "name": ROUTE,
                    "match": {"path_prefix": f"/v2/models/{MODEL}"},
                    "split": {
                        "kind": "canary",
                        "key": ["header:x-user-id", "client_address"],
                        "stable": stable,
                        "canary": canary,
                    },
                    "rollout": {
                        "preset": "aggressive",
                        "alpha": 0.01,
                        "steps": ["10%", "25%", "50%", "100%"],
                        "interval": "500ms",
                        "duration": "3s",
                        "requests": 100,
                    },
                }
            ],
        },
        sort_keys=False,
    )
