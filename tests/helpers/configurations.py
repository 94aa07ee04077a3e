"""Configurations for tests of processes."""

from typing import Any

import yaml


def configuration(**changes: Any) -> str:
    """A small canary configuration on chance ports of loopback, in YAML; `changes` replace whole parts."""
    value: dict[str, Any] = {
        "listeners": [{"bind": "127.0.0.1:0"}],
        "admin": {"bind": "127.0.0.1:0"},
        "workers": 1,
        "timeouts": {"drain": 5},
        "upstreams": {
            "v1": {"endpoints": ["http://127.0.0.1:9"]},
            "v2": {"endpoints": ["http://127.0.0.1:19"]},
        },
        "routes": [
            {
                "name": "fraud",
                "split": {
                    "kind": "canary",
                    "key": ["header:x-user-id"],
                    "stable": "v1",
                    "canary": "v2",
                    "weight": 0.05,
                },
            }
        ],
    }
    return yaml.safe_dump({**value, **changes}, sort_keys=False)
