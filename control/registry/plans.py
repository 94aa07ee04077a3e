"""How the configuration would roll a model out: what an approval is bound to besides the release. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from control.audit.canonical import canonical, digest
from control.errors import InvalidError

Json = Mapping[str, Any]

_PARTS: Final = {"kind", "weight", "rollout"}
_ROUTES_MAX: Final = 1000
_BYTES_MAX: Final = 256 * 1024


def plan_of(config: Json, name: str, stage: str) -> dict[str, Any]:
    """By route, how it divides requests and ramps: of the routes protected for *stage* that serve *name*.

    Which of the route's upstreams is stable and which the canary is left out: that is what changes when the
    approved release is put there.
    """
    plan = {}
    for route in config.get("routes", ()):
        if route.get("protected") == stage and any(model == name for model, _ in models_on(config, route)):
            split = route.get("split") or {}
            plan[route["name"]] = {
                "kind": split.get("kind", "direct"),
                "weight": split.get("weight"),
                "rollout": route.get("rollout"),
            }
    return plan


def proposal(config: Json, name: str, stage: str, source: str) -> dict[str, Any]:
    """The plan of a configuration that shall come into force; *source* says which one it is.

    Raises:
        InvalidError: there is none in it.
    """
    plan = plan_of(config, name, stage)
    if not plan:
        raise InvalidError(
            f"{source}: no route that is protected for {stage} serves {name}",
            f"write `protected: {stage}` into the route, and `release: {name}:VERSION` into its upstreams",
        )
    return plan


def check_plan(plan: object) -> dict[str, Any]:
    """A plan that somebody proposes, in the form of `plan_of`.

    Raises:
        InvalidError: it has another form, no route, or too much in it.
    """
    whole = (
        isinstance(plan, dict)
        and 0 < len(plan) <= _ROUTES_MAX
        and all(isinstance(part, dict) and part.keys() == _PARTS for part in plan.values())
    )
    try:
        if whole and len(canonical(plan)) <= _BYTES_MAX:
            return cast("dict[str, Any]", plan)
    except (TypeError, ValueError):
        pass
    raise InvalidError(
        "plan: is not, by route, an object of kind, weight and rollout",
        "let headgate approvals request --config FILE make it",
    )


def plan_digest(plan: Json) -> str:
    """``sha256:<hex>`` of a plan."""
    return digest(plan)


def models_on(config: Json, route: Json) -> Iterator[tuple[str, str]]:
    """Model and release, as it is written, of each upstream a route sends requests to."""
    upstreams = config.get("upstreams", {})
    for upstream in sorted(upstreams_on(config, route)):
        release = upstreams[upstream].get("release", "")
        if release:
            yield release.partition(":")[0].partition("@")[0], release


def upstreams_on(config: Json, route: Json) -> set[str]:
    """The upstreams that a route's answers may come from, whatever its kind of split."""
    known = config.get("upstreams", {})
    named = {route["upstream"]} if route.get("upstream") else set(_words(route.get("split") or {}))
    return {name for name in named if name in known}


def protected_aliases(config: Json, name: str) -> dict[str, set[str]]:
    """By alias of *name*, the stages that routes which use it are protected for."""
    found: dict[str, set[str]] = {}
    for route in config.get("routes", ()):
        stage = route.get("protected")
        for model, release in models_on(config, route) if stage else ():
            if model == name and "@" in release:
                found.setdefault(release.partition("@")[2], set()).add(stage)
    return found


def _words(value: Any) -> Iterator[str]:
    """Every text in a split's parameters: kinds name their upstreams in ways of their own."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _words(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _words(inner)
