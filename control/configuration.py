"""Takes in a configuration: the values, the plans of its rollouts, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from config.freezes import plain_freezes
from config.routes import Route
from config.schema import Config
from control.overlay import Overlay, OverlayError, overlaid
from control.plans.plan import PlanError, RolloutPlan
from control.plans.stream_guardrails import stream_problems
from control.plans.unjudged import unjudged_problems
from control.registry.resolve import Place, substituted
from control.rollout.identity import CanaryRoute, canary_routes
from control.rollout.reconcile import Wanted
from proxy.compile import compile_table
from proxy.splits.spec import SplitConfigError


class ConfigurationError(ValueError):
    """A configuration that cannot come into force; `errors` are plain: path, problem, remedy."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{error['path']}: {error['problem']}" for error in errors))


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """A configuration in force, with what is read off it once."""

    config: Config
    """What is served: with all that was put over it, and releases in the place of aliases."""
    unplaced: Config
    """The same with aliases as they are written."""
    base: Config
    """As the agent sent it."""
    digest: str
    source: str
    accepted_at: float
    canaries: dict[str, CanaryRoute]
    wanted: dict[str, Wanted]
    overlays: tuple[Overlay, ...] = ()
    """What was put over it."""
    stale: frozenset[str] = frozenset()
    """Ids of deployments and experiments that no longer fit it."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """By upstream, what its alias stands for."""

    @property
    def body(self) -> str:
        """Its JSON as it is stored: without the part that names who may ask for what."""
        return orjson.dumps(_without_admin(self.base.to_json())).decode()

    def with_places(self, places: Mapping[str, Place]) -> Active:
        """The same with aliases as what they stand for.

        Raises:
            ConfigurationError: what they stand for cannot be used.
        """
        return with_overlays(
            self.base,
            digest=self.digest,
            source=self.source,
            at=self.accepted_at,
            overlays=self.overlays,
            places=places,
        )


def read_configuration(
    value: object, *, digest: str, source: str, at: float, overlays: Iterable[Overlay] = ()
) -> Active:
    """Check the plain JSON of a configuration, and put *overlays* on it; aliases stay as they are written.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    try:
        config = Config.from_json(value)
    except ValidationError as error:
        raise ConfigurationError(
            [
                _error(".".join(map(str, detail["loc"])), detail["msg"], "send what the agent has checked")
                for detail in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from error
    return with_overlays(config, digest=digest, source=source, at=at, overlays=overlays)


def with_overlays(
    base: Config,
    *,
    digest: str,
    source: str,
    at: float,
    overlays: Iterable[Overlay],
    places: Mapping[str, Place] | None = None,
) -> Active:
    """A configuration that holds with *overlays* on it, and with *places* for aliases.

    Raises:
        ConfigurationError: with everything that is wrong with the two together.
    """
    overlays = tuple(overlays)
    try:
        unplaced, stale = overlaid(base, overlays)
    except OverlayError as error:
        raise ConfigurationError([_error("routes", str(error), "end what was put over it")]) from error
    config = substituted(unplaced, places or {})
    try:
        # A trial: what does not compile must not replace what is served.
        compile_table(config, revision=0, states={}, digest=digest)
    except SplitConfigError as error:
        raise ConfigurationError([_error("routes", str(error), "correct the split")]) from error
    canaries = canary_routes(config)
    return Active(
        config=config,
        unplaced=unplaced,
        base=base,
        overlays=overlays,
        stale=stale,
        places=dict(places or {}),
        digest=digest,
        source=source,
        accepted_at=at,
        canaries=canaries,
        wanted=_wanted(config, canaries),
    )


def read_stored(
    body: str, *, digest: str, source: str, at: float, overlays: Iterable[Overlay] = ()
) -> Active:
    """The same for what `Active.body` gave.

    Raises:
        ConfigurationError: this version does not accept what another one stored.
    """
    return read_configuration(orjson.loads(body), digest=digest, source=source, at=at, overlays=overlays)


def _wanted(config: Config, canaries: dict[str, CanaryRoute]) -> dict[str, Wanted]:
    wanted: dict[str, Wanted] = {}
    errors: list[dict[str, str]] = []
    for index, route in enumerate(config.routes):
        canary = canaries.get(route.name)
        if canary is None or not canary.ramped:
            continue
        try:
            # The canary split always assigns by a key, so requests of one key are not independent.
            metrics = [metric.model_dump(mode="json") for metric in route.metrics]
            plan = RolloutPlan.from_config(_section(config, route), sticky=True, metrics=metrics)
            if faults := [*stream_problems(route), *unjudged_problems(route.rollout)]:
                raise PlanError(faults)
        except PlanError as error:
            place = f"routes.{index}.rollout"
            errors += [
                _error(".".join([place, *map(str, problem.path)]), problem.problem, problem.remedy)
                for problem in error.problems
            ]
            continue
        wanted[route.name] = Wanted(canary=canary, plan=plan)
    if errors:
        raise ConfigurationError(errors)
    return wanted


def _section(config: Config, route: Route) -> dict[str, Any]:
    """A route's rollout section with the freezes of the whole configuration in it."""
    assert route.rollout is not None
    section: dict[str, Any] = route.rollout.model_dump(mode="json", by_alias=True)
    freezes = plain_freezes((*config.freezes, *(route.rollout.freezes or ())))
    return section | ({"freezes": freezes} if freezes else {})


def _error(path: str, problem: str, remedy: str) -> dict[str, str]:
    return {"path": path, "problem": problem, "remedy": remedy}


def _without_admin(value: dict[str, Any]) -> dict[str, Any]:
    return {key: part for key, part in value.items() if key != "admin"}
