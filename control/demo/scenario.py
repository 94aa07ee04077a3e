"""What the demonstration runs: the configuration file of each act, and how fast it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from control.demo.server import MODEL

ROUTE: Final = "fraud"
STAFF_ROUTE: Final = "fraud-staff"
STAFF: Final = {"x-audience": "staff"}
"""The header of requests that the company's own people make."""
REVIEWERS: Final = ("bob", "carol", "dave")

_PREFIX: Final = {"path_prefix": f"/v2/models/{MODEL}"}
_HEAD: Final = "# Written by the demonstration. Edit it while it runs: a change of this file is noticed.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the demonstration goes: made for two cores and two and a half minutes."""

    rate: float = 300.0
    """Requests per second."""
    duration_s: float = 130.0
    """The most that the story may take once requests flow."""
    pairs: int = 400
    """Compared answers of a shadow before its report is read out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Who serves customers: `stable`, and a `canary` on a ramp if there is one; `shadow` gets copies."""

    stable: str
    canary: str = ""
    shadow: str = ""


def configuration(scene: Scene, *, listen: int, admin: int, urls: Mapping[str, str]) -> str:
    """The file as a person would write it, for `headgate run`."""
    served = [name for name in urls if name in (scene.stable, scene.canary, scene.shadow)]
    return _HEAD + yaml.safe_dump(
        {
            "listeners": [{"bind": f"127.0.0.1:{listen}"}],
            "admin": {"bind": f"127.0.0.1:{admin}"},
            "upstreams": {name: {"endpoints": [urls[name]], "release": f"{MODEL}:{name}"} for name in served},
            "routes": [
                {"name": STAFF_ROUTE, "match": _PREFIX | {"headers": STAFF}, "upstream": scene.stable},
                _customers(scene),
            ],
            "registry": {"stages": _stages()},
        },
        sort_keys=False,
    )


def _customers(scene: Scene) -> dict[str, Any]:
    route: dict[str, Any] = {"name": ROUTE, "match": _PREFIX, "protected": "production"}
    if scene.canary:
        route["split"] = {
            "kind": "canary",
            "key": ["header:x-user-id", "client_address"],
            "stable": scene.stable,
            "canary": scene.canary,
        }
        route["rollout"] = _rollout(scene)
    else:
        route["upstream"] = scene.stable
    if scene.shadow:
        # Two models need not give the same score, but they should mostly come to the same decision.
        compare = {"json": {"ignore": ["/model_version", "/outputs/0"]}}
        route["shadows"] = [{"upstream": scene.shadow, "share": "50%", "compare": compare}]
    return route


def _rollout(scene: Scene) -> dict[str, Any]:
    steps: list[Any] = ["10%", "25%", "50%", "100%"]
    if scene.shadow:
        steps.insert(0, {"shadow": scene.shadow, "agreement": "85%", "latency_ratio": 1.5, "requests": 300})
    return {
        "preset": "aggressive",
        "alpha": 0.01,
        "steps": steps,
        "interval": "500ms",
        "duration": "3s",
        "requests": 100,
    }


def _stages() -> dict[str, Any]:
    return {
        "development": {"to": ["staging", "archived"]},
        "staging": {"to": ["production", "archived"]},
        "production": {
            "to": ["staging", "archived"],
            "single": True,
            "alias": "prod",
            "approval": {"quorum": 2, "reviewers": list(REVIEWERS), "expires": "24h"},
        },
        "archived": {"to": ["development"]},
    }
