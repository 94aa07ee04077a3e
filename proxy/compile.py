"""Makes routing tables from a configuration, and finds what is wrong with its routes and splits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from xxhash import xxh3_64_hexdigest

from config.load import Loaded, config_digest
from config.problems import Path, Problem
from config.rollouts import Step
from config.routes import Route
from config.schema import Config
from proxy import plain
from proxy.check_bodies import check_body
from proxy.check_layers import check_layers
from proxy.match import read_matcher
from proxy.shadow.compile import check_shadows, shadow_parts
from proxy.splits.base import Before, Split
from proxy.splits.load import load_all
from proxy.splits.spec import SplitConfigError, SplitFault, SplitSpec
from proxy.walk import walked_upstreams

# Arms in the order of a table: what others are compared with comes first.
ROLES: Final = ("stable", "control", "canary", "variant")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteState:
    """What the control loop says about a route: how far its canary is, and what voids earlier assignments."""

    canary_weight: float | None = None
    """Share of the canary, from 0 to 1; None leaves the configured one."""
    stage: str = ""
    """Changes whenever the weights do; empty = made from the weights."""
    epoch: int = 1
    """A higher one assigns every key anew."""
    rolled_back: bool = False
    """Nothing may reach the canary any more, overrides included."""
    salt: str | None = None
    """Seeds the assignment where the configuration does not; None = made from names and releases."""


UNTOUCHED: Final = RouteState()


def compile_table(
    config: Config,
    *,
    revision: int,
    states: Mapping[str, RouteState],
    digest: str | None = None,
    previous: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The routing table of a configuration, in its plain form.

    Args:
        config: a configuration in which `check_config` found nothing.
        revision: number of the table; higher than that of every table before.
        states: by name of the route; a route without one is served with its configured weights.
        digest: digest of the configuration, if it is at hand; otherwise it is worked out.
        previous: the table before this one, plain. `hash` splits whose weights changed then move only the
            keys that have to move; without it they start from the layout of a split that has no past.

    Raises:
        SplitConfigError: a split cannot be used.
    """
    load_all()
    values = config.to_json()
    numbers = {name: index for index, name in enumerate(config.upstreams)}
    table: dict[str, Any] = {
        "revision": revision,
        "config_digest": config_digest(config) if digest is None else digest,
        "timeouts": values["timeouts"],
        "limits": values["limits"],
        "overload": values["overload"],
        "headers": values["headers"],
        "upstreams": [
            {
                "name": name,
                "release": upstream["release"],
                "balance": upstream["balance"],
                "endpoints": upstream["endpoints"],
                "timeouts": upstream["timeouts"],
                **({"tls": upstream["tls"]} if upstream.get("tls") else {}),
                **({"rewrite": upstream["rewrite"]} if upstream.get("rewrite") else {}),
                "concurrency": upstream["concurrency"],
                "queue": upstream["queue"],
                "balance_key": upstream["balance_key"],
                "ejection": upstream["ejection"],
            }
            for name, upstream in values["upstreams"].items()
        ],
        "arms": [],
        "routes": [],
    }
    for route, written in zip(config.routes, values["routes"], strict=True):
        state = states.get(route.name, UNTOUCHED)
        compiler = _RouteCompiler(config, route, written, state, len(table["arms"]))
        walked = compiler.walked(table["upstreams"], numbers)
        first, arms = len(table["arms"]), compiler.arms(numbers | walked)
        shadow_arms, shadows = shadow_parts(config, route, written, numbers, arms, first)
        table["arms"] += arms + shadow_arms
        entry = compiler.entry(_before(previous, route.name))
        table["routes"].append(entry | {"shadows": shadows} if shadows else entry)
    return table


def check_config(loaded: Loaded) -> list[Problem]:
    """What is wrong with the routes of a configuration although the schema holds; empty = it compiles."""
    load_all()
    problems = [
        problem
        for index, route in enumerate(loaded.config.routes)
        for problem in _check_route(loaded, index, route)
    ]
    return sorted([*problems, *check_layers(loaded)])


def needs_control(loaded: Loaded) -> list[Problem]:
    """What only a control process with its registry can serve; a proxy on its own must not pretend to."""
    remedy = "use headgate run, with headgate[control] installed"
    aliases = [
        loaded.problem(
            ("upstreams", name, "release"), f"{upstream.release} is for the registry to say", remedy
        )
        for name, upstream in loaded.config.upstreams.items()
        if upstream.by_alias and not upstream.endpoints
    ]
    protected = [
        loaded.problem(("routes", index, "protected"), "nobody could say what is approved", remedy)
        for index, route in enumerate(loaded.config.routes)
        if route.protected is not None
    ]
    return sorted([*aliases, *protected])


def split_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of each kind's `split` object, for editors."""
    load_all()
    schemas: dict[str, dict[str, Any]] = {}
    for kind, split in sorted(Split.kinds.items()):
        own = split.schema
        schemas[kind] = {
            **own,
            "properties": {"kind": {"const": kind}, **own["properties"]},
            "required": ["kind", *own["required"]],
        }
    return schemas


class _RouteCompiler:
    """Compiles one route; `first` is the number of its first arm."""

    def __init__(
        self, config: Config, route: Route, written: Mapping[str, Any], state: RouteState, first: int
    ) -> None:
        split = route.effective_split
        self._kind = _kind_of(split.kind)
        self._route = route
        self._written = written
        self._state = state
        self._first = first
        spec = self._kind.from_config(split.parameters, list(config.upstreams))
        self._salt = spec.salt or state.salt or self._default_salt(spec, config)
        if not has_canary(spec):
            self._spec = spec
        elif state.rolled_back:
            self._spec = self._kind.condemn(spec)
        elif state.canary_weight is not None:
            self._spec = self._kind.reweigh(spec, state.canary_weight)
        else:
            self._spec = spec
        variants = self._spec.variants
        # Positions in the spec, in the order of the table's arms.
        self._order = sorted(range(len(variants)), key=lambda index: ROLES.index(variants[index].role))

    def _default_salt(self, spec: SplitSpec, config: Config) -> str:
        releases = {name: upstream.release for name, upstream in config.upstreams.items()}
        return self._kind.default_salt(spec, self._route.name, releases)

    def walked(self, upstreams: list[dict[str, Any]], numbers: Mapping[str, int]) -> dict[str, int]:
        """Add the upstreams of a rolling split as this route sees them; return their numbers by name."""
        if not self._kind.walks:
            return {}
        role = {variant.role: variant for variant in self._spec.variants}
        names = (role["stable"].upstream, role["canary"].upstream)
        stable, canary = (upstreams[numbers[name]] for name in names)
        first = len(upstreams)
        upstreams += walked_upstreams(self._route.name, role["canary"].weight, stable, canary)
        return {names[0]: first, names[1]: first + 1}

    def arms(self, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
        """The arms of the route, without slots: those are given out where the counts are kept."""
        stage = self._state.stage or self._stage()
        return [
            {
                "route": self._route.name,
                "variant": variant.upstream,
                "role": variant.role,
                "upstream": numbers[variant.upstream],
                "stage": stage,
            }
            for variant in (self._spec.variants[index] for index in self._order)
        ]

    def entry(self, before: Before | None) -> dict[str, Any]:
        """The route itself."""
        numbers = [self._first + self._order.index(index) for index in range(len(self._order))]
        entry: dict[str, Any] = {
            "name": self._route.name,
            "match": self._written["match"],
            "failure": list(self._route.failure),
            "timeouts": self._written["timeouts"],
            "retries": self._written["retries"],
            "split": self._kind.compile(self._spec, numbers, self._salt, self._state.epoch, before),
        }
        if self._route.metrics:
            entry["metrics"] = [
                {
                    "name": metric.name,
                    "source": metric.source,
                    "low": metric.range[0],
                    "high": metric.range[1],
                    "log": metric.scale == "log",
                }
                for metric in self._route.metrics
            ]
        if self._route.streams is not None:
            entry["streams"] = self._written["streams"]
        override = self._override(numbers)
        if override is not None:
            entry["override"] = override
        divert = self._divert(numbers)
        if divert is not None:
            entry["divert"] = divert
        return entry

    def _stage(self) -> str:
        shares = [[v.upstream, v.role, v.weight] for v in self._spec.variants]
        return f"static-{xxh3_64_hexdigest(json.dumps(shares).encode())[:8]}"

    def _override(self, numbers: list[int]) -> dict[str, Any] | None:
        override = self._route.override
        if override is None:
            return None
        values: dict[str, int] = {}
        for number, variant in zip(numbers, self._spec.variants, strict=True):
            gone = variant.role == "canary" and self._state.rolled_back
            # Who asks for the stable variant is not part of the slice that is compared.
            if variant.upstream in override.allow and variant.role != "control" and not gone:
                values[variant.upstream] = number
        return {"header": override.header, "cookie": override.cookie, "values": values}

    def _divert(self, numbers: list[int]) -> dict[str, Any] | None:
        divert = self._route.divert
        roles = {variant.role: number for number, variant in zip(numbers, self._spec.variants, strict=True)}
        if not divert.enabled or self._state.rolled_back or "canary" not in roles:
            return None
        return {
            "arm": roles["canary"],
            "fallback": roles["stable"],
            "failures": divert.failures,
            "probe_interval": divert.probe_interval,
            "recover": divert.recover,
        }


def split_roles(config: Config, route: Route) -> dict[str, str]:
    """The upstream of each role in a route's split; of several variants one stands for them.

    Raises:
        SplitConfigError: the split cannot be used.
    """
    load_all()
    split = route.effective_split
    spec = _kind_of(split.kind).from_config(split.parameters, list(config.upstreams))
    return {variant.role: variant.upstream for variant in spec.variants}


def only_shadows(config: Config) -> list[str]:
    """The upstreams that get copies and nothing else.

    Raises:
        SplitConfigError: a split cannot be used.
    """
    load_all()
    answering: set[str] = set()
    for route in config.routes:
        split = route.effective_split
        spec = _kind_of(split.kind).from_config(split.parameters, list(config.upstreams))
        answering |= {variant.upstream for variant in spec.variants}
    copied = {shadow.upstream for route in config.routes for shadow in route.shadows}
    return [name for name in config.upstreams if name in copied - answering]


def has_canary(spec: SplitSpec) -> bool:
    """Whether a split has a variant that a controller can bring in."""
    return any(variant.role == "canary" for variant in spec.variants)


def _kind_of(name: str) -> type[Split]:
    kind = Split.kinds.get(name)
    if kind is None:
        remedy = f"use one of: {', '.join(sorted(Split.kinds))}"
        raise SplitConfigError(
            [SplitFault(path=("kind",), problem=f"there is no kind {name!r}", remedy=remedy)]
        )
    return kind


def _before(previous: Mapping[str, Any] | None, route: str) -> Before | None:
    """The split that a route had in the table before."""
    if previous is None:
        return None
    for entry in previous["routes"]:
        if entry["name"] == route:
            arms = previous["arms"]
            return Before(entry["split"], [arms[number]["variant"] for number in entry["split"]["arms"]])
    return None


def _check_route(loaded: Loaded, index: int, route: Route) -> Iterator[Problem]:
    config = loaded.config
    place: Path = ("routes", index)
    try:
        read_matcher(route.match.model_dump(mode="json"), "match")
    except plain.PlainError as error:
        # A header's name may hold dots itself.
        below = tuple(error.place.removesuffix(".regex").split(".", 2))
        yield loaded.problem((*place, *below), error.problem, "correct the condition")
    split = route.effective_split
    try:
        spec = _kind_of(split.kind).from_config(split.parameters, list(config.upstreams))
    except SplitConfigError as error:
        # An unknown upstream in the short form is found by the schema already.
        if route.split is not None:
            for fault in error.faults:
                path = (*place, "split", *fault.path)
                yield loaded.problem(path, fault.problem, fault.remedy, key=fault.at_key)
        return
    yield from _check_override(loaded, (*place, "override", "allow"), route, spec)
    yield from check_shadows(loaded, place, route)
    yield from check_body(loaded, (*place, "split", "key"), spec)
    if split.kind == "blue_green":
        yield from _check_whole(loaded, (*place, "rollout"), route)
    if route.rollout is not None and route.rollout.enabled and not has_canary(spec):
        yield loaded.problem(
            (*place, "rollout"),
            f"a {split.kind} split has no canary to ramp",
            "use a split of kind canary, or remove rollout",
            key=True,
        )


def _check_whole(loaded: Loaded, place: Path, route: Route) -> Iterator[Problem]:
    """A rollout of a split that knows all or nothing: with a part of the requests its canary has none."""
    rollout = route.rollout
    if rollout is None or not rollout.enabled:
        return
    parts = [step.weight for step in rollout.steps or () if isinstance(step, Step) and step.weight < 1.0]
    if rollout.steps is None or parts:
        yield loaded.problem(
            (*place, "steps") if parts else place,
            "blue_green swaps all requests or none, so with a part its canary has nothing to be judged by",
            "write steps: [100%], or use a split of kind canary",
            key=not parts,
        )
    if rollout.bake is not None and rollout.bake.holdback > 0:
        yield loaded.problem(
            (*place, "bake", "holdback"),
            "blue_green swaps all requests or none, so holding some back would swap all of them back",
            "write holdback: 0, or leave bake out",
        )


def _check_override(loaded: Loaded, path: Path, route: Route, spec: SplitSpec) -> Iterator[Problem]:
    if route.override is None:
        return
    for number, name in enumerate(route.override.allow):
        if name not in spec.upstreams:
            yield loaded.problem(
                (*path, number),
                f"{name!r} is not a variant of this route",
                f"use: {', '.join(spec.upstreams)}",
            )
