"""A deployment: which release, on which route, by which strategy, how far, why, and who said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final, Self

from control.deployments.health import Checked, Health, Metrics, remembered
from control.deployments.states import FINISHED, Event, Status, after

TRANSITIONS_MAX: Final = 100


class Strategy(StrEnum):
    """How a release gets its requests."""

    DIRECT = "direct"
    BLUE_GREEN = "blue_green"
    CANARY = "canary"
    SHADOW = "shadow"
    ROLLING = "rolling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a strategy may be told. Times in seconds."""

    duration_s: float = 30.0
    """How long it is observed with its requests before it is active."""
    expiry_s: float = 900.0
    """How long it may stay undecided."""
    max_failure_rate: float = 0.1
    """The highest share of failed requests of a healthy release."""
    probe_path: str = ""
    """Where endpoints are asked how they are, by GET; empty = whether they accept connections."""
    probe_interval_s: float = 2.0
    metrics_path: str = ""
    """Where an endpoint's own metrics are, as Prometheus text; empty = it is not asked for them."""
    key: tuple[str, ...] = ("client_address",)
    """What canary and rolling divide requests by."""
    preview: str = "x-headgate-preview"
    """Header that leads to the dark colour of blue_green."""
    rollout: Mapping[str, Any] = field(default_factory=dict)
    """The rollout section of canary and rolling."""
    share: float = 1.0
    """Share of requests that a shadow gets a copy of."""
    noise: float = 0.0
    """Share of requests also copied to the version that answers them."""
    agreement: float = 0.0
    """Share of pairs that must agree for a shadow to be done; 0 = its health alone decides."""
    latency_ratio: float = 0.0
    """The median of shadow / primary must be below it; 0 = not asked."""
    pairs: int = 0
    """The least pairs compared."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"key": list(self.key)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; what is left out has its default."""
        plain = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        if "key" in plain:
            plain["key"] = tuple(plain["key"])
        return cls(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One transition, as it is remembered. `at` in Unix seconds."""

    at: float
    status: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One attempt to bring a release to a route. Times are Unix seconds, unless they are called steady."""

    id: str
    route: str
    strategy: Strategy
    target: str
    """Name of the upstream that is brought in."""
    baseline: str
    """Name of the upstream that served before."""
    release: str
    environment: str
    endpoints: tuple[str, ...]
    base: str
    """What the configuration said about the route."""
    upstreams: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Plain sections of both upstreams, as the configuration need not have them."""
    settings: Settings = field(default_factory=Settings)
    status: Status = Status.PENDING
    phase: str = ""
    """The strategy's own word for how far it is."""
    phase_since: float = 0.0
    """Steady seconds."""
    rollout: str = ""
    """Id of the rollout that drives it."""
    current: bool = True
    """Whether it decides where the route's requests go."""
    created_at: float
    created_by: str
    reason: str = ""
    """Why it is in the status it is in."""
    rollback_reason: str = ""
    rollback_trigger: str = ""
    """Who or what rolled it back: a person's name, "health" or "rollout"."""
    finished_at: float | None = None
    health: Health = Health.UNKNOWN
    health_text: str = ""
    history: tuple[Checked, ...] = ()
    before: Metrics | None = None
    """Figures of the baseline when it began."""
    now: Metrics | None = None
    """Figures of the release since its phase began."""
    mark: Metrics | None = None
    """What it had counted by then."""
    moves: tuple[Moved, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether no event is accepted any more."""
        return self.status in FINISHED

    @property
    def ailing(self) -> str:
        """What its probes have against more requests at the latest look; empty where they have nothing."""
        return self.history[-1].probed if self.health is not Health.HEALTHY and self.history else ""

    def moved(self, event: Event, *, actor: str, reason: str, at: float, trigger: str = "") -> Deployment:
        """The deployment after an event at *at* (Unix seconds).

        Raises:
            TransitionError: its status does not know the event.
        """
        status = after(self.status, event)
        move = Moved(at=at, status=status.name.lower(), actor=actor, reason=reason)
        changed = replace(self, status=status, reason=reason, moves=(*self.moves, move)[-TRANSITIONS_MAX:])
        if event is Event.ROLL_BACK:
            changed = replace(changed, rollback_reason=reason, rollback_trigger=trigger or actor)
        if status in FINISHED or status is Status.ACTIVE:
            changed = replace(changed, finished_at=at)
        return changed

    def checked(self, found: Checked, now: Metrics) -> Deployment:
        """With the health found at a look."""
        history = remembered(self.history, found)
        return replace(self, health=found.health, health_text=found.text, history=history, now=now)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; enumerations by name."""
        data: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return data | {
            "strategy": str(self.strategy),
            "status": self.status.name.lower(),
            "health": self.health.name.lower(),
            "settings": self.settings.to_json(),
            "endpoints": list(self.endpoints),
            "upstreams": {name: dict(section) for name, section in self.upstreams.items()},
            "history": [one.to_json() for one in self.history],
            "before": None if self.before is None else self.before.to_json(),
            "now": None if self.now is None else self.now.to_json(),
            "mark": None if self.mark is None else self.mark.to_json(),
            "moves": [{each.name: getattr(move, each.name) for each in fields(move)} for move in self.moves],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        plain = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        plain |= {
            "strategy": Strategy(data["strategy"]),
            "status": Status[data["status"].upper()],
            "health": Health[data["health"].upper()],
            "settings": Settings.from_json(data["settings"]),
            "endpoints": tuple(data["endpoints"]),
            "history": tuple(Checked.from_json(one) for one in data["history"]),
            "before": None if data["before"] is None else Metrics.from_json(data["before"]),
            "now": None if data["now"] is None else Metrics.from_json(data["now"]),
            "mark": None if data["mark"] is None else Metrics.from_json(data["mark"]),
            "moves": tuple(Moved(**move) for move in data["moves"]),
        }
        return cls(**plain)
