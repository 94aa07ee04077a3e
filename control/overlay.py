"""What deployments and experiments put over a configuration: another split on a route."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.schema import Config
from control.audit.canonical import digest

_OVERLAID = ("upstream", "split", "rollout", "shadows")


class OverlayError(ValueError):
    """Something that cannot be put over the configuration in force; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """What takes the place of a route's own split. Sections are plain, as in `Config.to_json`."""

    route: str
    base: str
    """`base_digest` of what it was made for: another configuration of the route wins."""
    owner: str
    """The id of the deployment or experiment."""
    split: Mapping[str, Any]
    rollout: Mapping[str, Any] | None = None
    shadows: tuple[Mapping[str, Any], ...] = ()
    upstreams: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Those that the configuration need not have."""


def base_digest(config: Config, route: str) -> str | None:
    """What a configuration says about where a route's requests go; None when there is no such route."""
    for entry in config.to_json()["routes"]:
        if entry["name"] == route:
            return digest({key: entry[key] for key in _OVERLAID if key in entry})
    return None


def overlaid(config: Config, overlays: Iterable[Overlay]) -> tuple[Config, frozenset[str]]:
    """The configuration with *overlays* on it, and the owners of those that fit it no more.

    Raises:
        OverlayError: the result is no configuration.
    """
    plain = config.to_json()
    routes = {entry["name"]: entry for entry in plain["routes"]}
    stale, changed = set(), False
    for overlay in overlays:
        if base_digest(config, overlay.route) != overlay.base:
            stale.add(overlay.owner)
            continue
        entry = routes[overlay.route]
        for key in _OVERLAID:
            entry.pop(key, None)
        entry["split"] = dict(overlay.split)
        if overlay.rollout is not None:
            entry["rollout"] = dict(overlay.rollout)
        if overlay.shadows:
            entry["shadows"] = [dict(shadow) for shadow in overlay.shadows]
        for name, upstream in overlay.upstreams.items():
            plain["upstreams"].setdefault(name, dict(upstream))
        changed = True
    if not changed:
        return config, frozenset(stale)
    try:
        return Config.from_json(plain), frozenset(stale)
    except ValueError as error:
        raise OverlayError(" ".join(str(error).split())) from error
