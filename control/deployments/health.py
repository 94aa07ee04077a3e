"""How fit a release is, from probes of its endpoints and from how its requests ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any, Final, Self

from config.counted import counted
from control.stats.sequences import proportion_interval

HISTORY_MAX: Final = 100
# A probe may be lost; so many in a row are no accident.
PROBES_DOWN: Final = 3
PROBES_UP: Final = 3
_ALPHA: Final = 0.01
_REQUESTS: Final = "requests"


class Health(IntEnum):
    """How fit a release is, from best to worst."""

    HEALTHY = 0
    UNKNOWN = 1
    """No probe has been answered or missed yet, and no request either."""
    DEGRADED = 2
    """Some endpoints do not answer, or requests fail more than the limit, not yet surely so."""
    UNHEALTHY = 3
    """No endpoint answers, or requests surely fail more than the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """The last probes of one endpoint: how many in a row went well, or badly; one of both is 0."""

    up: int = 0
    down: int = 0
    text: str = ""
    """What the last one said."""

    def after(self, *, good: bool, text: str) -> Probes:
        """With one more."""
        return Probes(up=self.up + 1 if good else 0, down=0 if good else self.down + 1, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of a release since a moment; latencies in seconds. None is "no data", never zero."""

    requests: int = 0
    failures: int = 0
    failure_rate: float | None = None
    requests_per_second: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    cpu_cores: float | None = None
    """Processor seconds a second of all its endpoints, as they tell themselves."""
    memory_bytes: int | None = None
    """Resident memory of all its endpoints, as they tell themselves."""
    endpoints_told: int = 0
    """How many endpoints the two figures are from."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The health at a moment, with why. `at` in Unix seconds."""

    at: float
    health: Health
    text: str
    cause: str = ""
    """What it comes from, without figures that move with each request."""

    @property
    def probed(self) -> str:
        """The same where it comes from probes, else empty."""
        return "" if self.cause == _REQUESTS else self.cause

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"at": self.at, "health": self.health.name.lower(), "text": self.text, "cause": self.cause}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            at=data["at"],
            health=Health[data["health"].upper()],
            text=data["text"],
            # What was stored before it had a cause.
            cause=data.get("cause", ""),
        )


def check(probes: Mapping[str, Probes], metrics: Metrics, *, limit: float, at: float) -> Checked:
    """The health that probes (by endpoint) and requests give; *limit* is the highest failure rate.

    Requests count as surely failing when a confidence sequence at 1 % lies above the limit, so looking every
    second condemns nobody by chance.
    """
    down = sorted(url for url, each in probes.items() if each.down >= PROBES_DOWN)
    ailing = sorted(url for url, each in probes.items() if 0 < each.down < PROBES_DOWN)
    tried = [each for each in probes.values() if each.up or each.down]
    rate = metrics.failure_rate
    if probes and len(down) == len(probes):
        text = f"no endpoint answers: {probes[down[0]].text}"
        return Checked(at=at, health=Health.UNHEALTHY, text=text, cause=text)
    if rate is not None and proportion_interval(metrics.failures, metrics.requests, _ALPHA)[0] > limit:
        return Checked(at=at, health=Health.UNHEALTHY, text=_failing(metrics, limit), cause=_REQUESTS)
    if down or ailing:
        url = (down or ailing)[0]
        text = f"{url} does not answer: {probes[url].text}"
        return Checked(at=at, health=Health.DEGRADED, text=text, cause=text)
    if rate is not None and rate > limit:
        return Checked(at=at, health=Health.DEGRADED, text=_failing(metrics, limit), cause=_REQUESTS)
    if not tried and not metrics.requests:
        text = "neither a probe nor a request so far"
        return Checked(at=at, health=Health.UNKNOWN, text=text, cause=text)
    waiting = sum(1 for each in probes.values() if not each.up)
    if waiting:
        text = f"not probed yet: {counted(waiting, 'endpoint')}"
        return Checked(at=at, health=Health.UNKNOWN, text=text, cause=text)
    verb = "answers" if len(probes) == 1 else "answer"
    said = f"{len(tried)} of {counted(len(probes), 'endpoint')} {verb} probes"
    return Checked(
        at=at,
        health=Health.HEALTHY,
        text=said if rate is None else f"{said}, {metrics.failures} of {metrics.requests} requests failed",
    )


def ready(probes: Mapping[str, Probes]) -> bool:
    """Whether every endpoint has answered often enough to be given requests."""
    return bool(probes) and all(each.up >= PROBES_UP for each in probes.values())


def remembered(history: tuple[Checked, ...], latest: Checked) -> tuple[Checked, ...]:
    """The history with *latest* at its end, if it says something new; bounded."""
    if history and (history[-1].health, history[-1].cause) == (latest.health, latest.cause):
        # Only the figures moved on: a minute of trouble must not push out all that went before it.
        return (*history[:-1], replace(latest, at=history[-1].at))
    return (*history, latest)[-HISTORY_MAX:]


def _failing(metrics: Metrics, limit: float) -> str:
    return (
        f"{metrics.failures} of {metrics.requests} requests failed, "
        f"{(metrics.failure_rate or 0.0) * 100:.3g} % where {limit * 100:.3g} % is the limit"
    )
