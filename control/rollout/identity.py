"""What a rollout is about: which upstreams of which route, so that a reload can tell one from another."""

from dataclasses import dataclass
from typing import Any

from config.routes import Route
from config.schema import Config
from config.upstreams import Upstream
from control.audit.canonical import digest
from proxy.compile import split_roles


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRoute:
    """A route with a canary.

    `identity` changes when either upstream does: another one is another rollout. `subject` stands for the
    canary's release alone, which is what a rollback condemns: its name where it has one, else where it runs.
    """

    route: Route
    stable: str
    canary: str
    release: str
    control: str
    """The role the canary is compared with."""
    identity: str
    subject: str

    @property
    def ramped(self) -> bool:
        """Whether a rollout drives the weight."""
        return self.route.rollout is not None and self.route.rollout.enabled


def canary_routes(config: Config) -> dict[str, CanaryRoute]:
    """By name, the routes of *config* whose split has a canary."""
    found = {}
    for route in config.routes:
        roles = split_roles(config, route)
        if "canary" in roles:
            found[route.name] = _canary_route(config, route, roles)
    return found


def _canary_route(config: Config, route: Route, roles: dict[str, str]) -> CanaryRoute:
    stable, canary = roles["stable"], roles["canary"]
    old, new = config.upstreams[stable], config.upstreams[canary]
    return CanaryRoute(
        route=route,
        stable=stable,
        canary=canary,
        release=new.release,
        control="control" if "control" in roles else "stable",
        identity=digest(
            {"route": route.name, "stable": _described(stable, old), "canary": _described(canary, new)}
        ),
        subject=subject_of(route.name, canary, new),
    )


def subject_of(route: str, name: str, upstream: Upstream) -> str:
    """What a rollback on *route* condemns: a release by its name where it has one, else where it runs."""
    condemned = {"release": upstream.release} if upstream.release else _described(name, upstream)
    return digest({"route": route, **condemned})


def _described(name: str, upstream: Upstream) -> dict[str, Any]:
    # Weights and the order of endpoints say how requests are spread, not what serves them.
    return {
        "name": name,
        "release": upstream.release,
        "endpoints": sorted(endpoint.url for endpoint in upstream.endpoints),
    }
