"""Which releases stand behind a configuration's upstreams, and whether its protected routes may have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.schema import Config
from control.errors import HeadgateError
from control.registry.admission import serving
from control.registry.names import alias_of, parse_reference
from control.registry.plans import plan_of, upstreams_on
from control.registry.policy import Policy
from control.registry.registry import find
from control.registry.release import Release
from control.registry.turn import Desk, Rules
from control.store import releases
from control.store.engine import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What an upstream by alias stands for: a release's label, and where it answers."""

    release: str
    endpoints: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Resolution:
    """What the registry says about one configuration, as of its `revision`.

    `problems` are by path; a configuration with any of them cannot come into force.
    """

    revision: int
    places: dict[str, Place] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)

    def problem(self, path: str, problem: str, remedy: str) -> None:
        """Note what is wrong, and what would do."""
        self.problems.append({"path": path, "problem": problem, "remedy": remedy})


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What is in force already, as route, stage, plan and release. It need not be approved again."""

    known: frozenset[tuple[str, str, str, str]]


def substituted(config: Config, places: Mapping[str, Place]) -> Config:
    """*config* with upstreams by alias as what they stand for."""
    if not places:
        return config
    upstreams = {}
    for name, upstream in config.upstreams.items():
        place = places.get(name)
        if place is not None:
            fresh = upstream.model_validate({"endpoints": list(place.endpoints), "release": place.release})
            upstream = upstream.model_copy(update={"endpoints": fresh.endpoints, "release": fresh.release})
        upstreams[name] = upstream
    return config.model_copy(update={"upstreams": upstreams})


def places_in(config: Config, table: Mapping[str, Any]) -> dict[str, Place]:
    """What the aliases of *config* stood for when *table* was made."""
    written = {upstream["name"]: upstream for upstream in table["upstreams"]}
    return {
        name: Place(
            release=written[name]["release"],
            endpoints=tuple(endpoint["url"] for endpoint in written[name]["endpoints"]),
        )
        for name, upstream in config.upstreams.items()
        if upstream.by_alias and name in written and written[name]["endpoints"]
    }


def admitted(*configs: Config) -> Admitted:
    """What configurations in force have let in."""
    known = set()
    for config in configs:
        plain = config.to_json()
        for route in plain["routes"]:
            stage, plan = route.get("protected") or "", _plan(plain, route)
            for name in upstreams_on(plain, route):
                known.add((route["name"], stage, plan, plain["upstreams"][name]["release"]))
    return Admitted(known=frozenset(known))


async def look_up(desk: Desk, connection: Connection, config: Config) -> Resolution:
    """What every alias of *config* stands for, in one view of the store."""
    resolution = Resolution(revision=await releases.revision(connection))
    for name, upstream in config.upstreams.items():
        if upstream.by_alias:
            await _place(desk, connection, config, name, resolution)
    return resolution


async def check_routes(
    desk: Desk,
    connection: Connection,
    config: Config,
    resolution: Resolution,
    *,
    before: Admitted | None,
    proposed: bool = False,
) -> None:
    """Note in *resolution* which releases the protected routes of *config* may not have.

    *config* has releases where aliases were. Its own rules hold, which may not be in force yet; *proposed*
    when it has just been written and may need an approval of its own.
    """
    plain = config.to_json()
    rules = Rules(policy=Policy.of(plain.get("registry")), config=plain, config_digest="")
    for index, route in enumerate(plain["routes"]):
        if route.get("protected"):
            await _check(desk, connection, rules, index, route, before, resolution, proposed=proposed)


async def _place(
    desk: Desk, connection: Connection, config: Config, name: str, resolution: Resolution
) -> None:
    upstream = config.upstreams[name]
    path = f"upstreams.{name}.release"
    reference = alias_of(upstream.release)
    if reference is None:
        resolution.problem(path, f"{upstream.release!r} is no alias", "write MODEL@ALIAS")
        return
    try:
        release = await find(desk, connection, reference)
    except HeadgateError:
        stage = Policy(rules=config.registry).aliases.get(reference.alias)
        command = f"headgate registry alias {reference.name} {reference.alias} VERSION"
        if stage is not None:
            command = f"headgate registry promote {reference.name}:VERSION {stage}"
        resolution.problem(path, f"{reference} stands for no release", f"set it: {command}")
        return
    urls = release.endpoints or _elsewhere(config, release) or tuple(each.url for each in upstream.endpoints)
    if not urls:
        resolution.problem(
            path,
            f"nobody knows where {release.label} answers",
            f"give an upstream with release {release.label}, or register releases with --endpoint",
        )
        return
    resolution.places[name] = Place(release=release.label, endpoints=urls)


def _elsewhere(config: Config, release: Release) -> tuple[str, ...]:
    """The endpoints of an upstream that says it is this release."""
    for upstream in config.upstreams.values():
        if upstream.release in (release.label, f"{release.name}:{release.version_key}"):
            return tuple(endpoint.url for endpoint in upstream.endpoints)
    return ()


async def _check(
    desk: Desk,
    connection: Connection,
    rules: Rules,
    index: int,
    route: Mapping[str, Any],
    before: Admitted | None,
    resolution: Resolution,
    *,
    proposed: bool,
) -> None:
    stage = route["protected"]
    plan = _plan(rules.config, route)
    for name in sorted(upstreams_on(rules.config, route)):
        label = rules.config["upstreams"][name]["release"]
        path = f"routes.{index}.protected"
        if before is not None and (route["name"], stage, plan, label) in before.known:
            continue
        if "@" in label:
            # That it stands for nothing is said where it is written.
            continue
        try:
            parse_reference(label)
            release = await find(desk, connection, label)
        except HeadgateError:
            remedy = f"headgate registry register {label or 'NAME:VERSION'}"
            what = f"upstream {name} runs {label or 'no release'}, which is not registered"
            resolution.problem(path, what, remedy)
            continue
        found = await serving(connection, rules, release, stage, now=desk.now(), proposed=proposed)
        if found.problem:
            resolution.problem(path, f"upstream {name}: {found.problem}", found.remedy)


def _plan(config: Mapping[str, Any], route: Mapping[str, Any]) -> str:
    stage = route.get("protected") or ""
    models = sorted(
        {config["upstreams"][name]["release"].partition(":")[0] for name in upstreams_on(config, route)}
    )
    return repr([plan_of(config, model, stage).get(route["name"]) for model in models if stage])
