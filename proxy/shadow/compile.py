"""Shadows of a route in the plain form of a routing table, and what is wrong with them in a configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from xxhash import xxh3_64_hexdigest

from config.checks import suggest
from config.load import Loaded
from config.problems import Path, Problem
from config.rollouts import ShadowStep
from config.routes import Route
from config.schema import Config
from config.shadows import Shadow
from proxy.keys import KeySpecError, parse_key

SHADOW: Final = "shadow"
NOISE: Final = "noise"
# What a shadow's answers are compared with: the version in production.
REFERENCE_ROLES: Final = ("stable", "control")
# Where answers, and events of streams, say the name that is put right on the way to clients.
MODEL_NAMES: Final = tuple(
    f"{event}{holder}/model" for event in ("", "/*") for holder in ("", "/response", "/message")
)


def shadow_parts(
    config: Config,
    route: Route,
    written: Mapping[str, Any],
    numbers: Mapping[str, int],
    arms: Sequence[Mapping[str, Any]],
    first: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The arms by which a route's shadows are counted, and their entries.

    Args:
        written: the route, plain. numbers: upstreams by name.
        arms: those of the route's split; `first` is the number of the first of them.
    """
    found: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    reference = [i for i, arm in enumerate(arms) if arm["role"] in REFERENCE_ROLES] or list(range(len(arms)))
    for shadow, plain in zip(route.shadows, written["shadows"], strict=True):
        own = arms[reference[0]]["variant"]
        same = [i for i in reference if arms[i]["variant"] == own]
        jobs = [(SHADOW, shadow.upstream, shadow.share, reference)]
        if shadow.noise > 0:
            jobs.append((NOISE, own, shadow.noise, same))
        for role, upstream, share, compared in jobs:
            versions = sorted({arms[i]["variant"] for i in compared})
            renamed = any(_model(config, name) for name in (upstream, *versions))
            found.append(
                {
                    "route": route.name,
                    "variant": shadow.label,
                    "role": role,
                    "upstream": numbers[upstream],
                    "stage": _stage(config, upstream, versions, plain["compare"]),
                }
            )
            number = first + len(arms) + len(found) - 1
            entries.append(
                _entry(
                    *(route.name, shadow, _ignoring_names(plain) if renamed else plain, role, number),
                    *([first + i for i in compared], share),
                )
            )
    return found, entries


def _entry(
    route: str,
    shadow: Shadow,
    plain: Mapping[str, Any],
    role: str,
    arm: int,
    reference: list[int],
    share: float,
) -> dict[str, Any]:
    limits = plain["limits"]
    rules = {key: value for key, value in plain["compare"].items() if key not in ("share", "capture")}
    return {
        "name": shadow.label,
        "arm": arm,
        "reference": reference,
        "share": share,
        "key": list(shadow.key),
        # The noise floor is drawn apart from the shadow: they need not be the same requests.
        "salt": (shadow.salt or f"{route}/{shadow.label}") + ("" if role == SHADOW else "/noise"),
        "methods": list(shadow.methods),
        "marker": shadow.headers.marker,
        "remove": list(shadow.headers.remove),
        **{key: limits[key] for key in ("memory", "in_flight", "deadline", "body", "answer", "lag")},
        "compare": {"share": shadow.compare.share, "capture": shadow.compare.capture, "rules": rules},
    }


def _model(config: Config, upstream: str) -> str | None:
    """What an upstream calls the model, where that is not what clients say."""
    rewrite = config.upstreams[upstream].rewrite
    return None if rewrite is None else rewrite.model


def _ignoring_names(shadow: Mapping[str, Any]) -> dict[str, Any]:
    """A shadow whose answers, or the primary's, have another name of the model than clients see."""
    compare = shadow["compare"]
    rules = compare["json"]
    ignore = list(dict.fromkeys([*rules["ignore"], *MODEL_NAMES]))
    return {**shadow, "compare": {**compare, "json": {**rules, "ignore": ignore}}}


def _stage(config: Config, upstream: str, versions: list[str], compare: Mapping[str, Any]) -> str:
    """Another version on either side, or another comparison, is counted anew."""

    def version(name: str) -> list[object]:
        found = config.upstreams[name]
        about: list[object] = [name, found.release, [endpoint.url for endpoint in found.endpoints]]
        model = _model(config, name)
        return [*about, model] if model else about

    rules = {key: value for key, value in compare.items() if key not in ("share", "capture", "samples")}
    about = [version(upstream), [version(name) for name in versions], rules]
    return f"shadow-{xxh3_64_hexdigest(json.dumps(about, sort_keys=True).encode())[:12]}"


def check_shadows(loaded: Loaded, place: Path, route: Route) -> Iterator[Problem]:
    """What is wrong with a route's shadows although the schema holds."""
    known = list(loaded.config.upstreams)
    first: dict[str, int] = {}
    for number, shadow in enumerate(route.shadows):
        path: Path = (*place, "shadows", number)
        if shadow.upstream not in known:
            problem = f"there is no upstream {shadow.upstream!r}"
            yield loaded.problem((*path, "upstream"), problem, suggest(shadow.upstream, known))
        if shadow.label in first:
            problem = f"has the name of shadows[{first[shadow.label]}], {shadow.label}"
            yield loaded.problem(path, problem, "give each shadow of a route a name of its own")
        first.setdefault(shadow.label, number)
        for i, spec in enumerate(shadow.key):
            try:
                source = parse_key(spec)
            except KeySpecError as error:
                yield loaded.problem((*path, "key", i), error.problem, error.remedy)
                continue
            if source.needs_body:
                problem = f"{spec} would hold every request back until its body is there"
                yield loaded.problem((*path, "key", i), problem, "use a key from the header of the request")
    yield from _check_steps(loaded, place, route)


def _check_steps(loaded: Loaded, place: Path, route: Route) -> Iterator[Problem]:
    """A step that judges a shadow needs one that copies to the canary."""
    steps = () if route.rollout is None else route.rollout.steps or ()
    by_label = {shadow.label: shadow for shadow in route.shadows}
    canary = None if route.split is None else route.split.parameters.get("canary")
    for number, step in enumerate(steps):
        if not isinstance(step, ShadowStep):
            continue
        path: Path = (*place, "rollout", "steps", number, "shadow")
        shadow = by_label.get(step.shadow)
        if shadow is None:
            problem = f"the route has no shadow {step.shadow!r}"
            remedy = suggest(step.shadow, list(by_label)) if by_label else "add shadows to the route"
            yield loaded.problem(path, problem, remedy)
        elif canary is not None and shadow.upstream != canary:
            problem = f"the shadow {step.shadow} copies to {shadow.upstream}, not to the canary {canary}"
            yield loaded.problem(path, problem, f"name a shadow whose upstream is {canary}")
        elif shadow.compare.share == 0:
            problem = f"the answers of the shadow {step.shadow} are not compared"
            yield loaded.problem(path, problem, "raise its compare.share above 0%")
