"""Deployments for scripts and notebooks, on a running Headgate."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from control.library.running import Manager

_LOOK_SECONDS: Final = 0.5
_OPEN: Final = frozenset({"pending", "in_progress"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A deployment as it stands; `raw` is everything that `GET /v1/deployments/{id}` says."""

    id: str
    route: str
    strategy: str
    release: str
    environment: str
    status: str
    """pending, in_progress, active, paused, inconclusive, failed, rolled_back or cancelled."""
    health: str
    """healthy, unknown, degraded or unhealthy."""
    reason: str
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The deployment that an answer describes."""
        names = ("id", "route", "strategy", "release", "environment", "status", "health", "reason")
        return cls(raw=raw, **{name: raw[name] for name in names})


class DeploymentManager(Manager[Deployed]):
    """Makes deployments and looks after them.

    ::

        deployments = DeploymentManager()
        made = deployments.create("fraud", strategy="canary", upstream="v2", settings={"preset": "balanced"})
        ended = deployments.wait(made.id, timeout=1800)
        if ended.status != "active":
            print(ended.reason)

    Raises (every method):
        InvalidError, NotFoundError, ConflictError, TransitionError, ForbiddenError: as `control.errors` says.
        UnavailableError: Headgate does not answer.
    """

    kind = "deployments"

    def _value(self, raw: Any) -> Deployed:
        return Deployed.of(raw)

    def create(
        self,
        route: str,
        *,
        strategy: str,
        upstream: str,
        endpoints: Sequence[str] = (),
        release: str = "",
        environment: str = "production",
        settings: Mapping[str, Any] | None = None,
        reason: str = "",
        lift_quarantine: bool = False,
    ) -> Deployed:
        """Bring a release to a route; *endpoints* describe an upstream that the configuration lacks.

        One that was rolled back there is tried again only with *lift_quarantine* and a reason.
        """
        body: dict[str, Any] = {
            "route": route,
            "strategy": strategy,
            "upstream": upstream,
            "environment": environment,
            "settings": dict(settings or {}),
            "reason": reason,
        }
        if lift_quarantine:
            body["lift_quarantine"] = True
        if endpoints:
            body["endpoints"] = list(endpoints)
        if release:
            body["release"] = release
        return self._create(body)

    def list(
        self, *, status: str = "", environment: str = "", route: str = "", limit: int = 50
    ) -> list[Deployed]:
        """Newest first."""
        return self._found(status=status, environment=environment, route=route, limit=str(limit))

    def wait(self, identifier: str, *, timeout: float = 600.0) -> Deployed:
        """Wait until it is neither pending nor in progress.

        Raises:
            TimeoutError: it still is after *timeout* seconds.
        """
        deadline = time.monotonic() + timeout
        while (found := self.get(identifier)).status in _OPEN:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{identifier} is still {found.status} after {timeout:g} s")
            time.sleep(_LOOK_SECONDS)
        return found

    def promote(self, identifier: str, *, reason: str = "") -> Deployed:
        """Be content with it as it is."""
        return self._act(identifier, "promote", reason)

    def pause(self, identifier: str, *, reason: str = "") -> Deployed:
        """Leave it as it is until it is resumed."""
        return self._act(identifier, "pause", reason)

    def resume(self, identifier: str, *, reason: str = "") -> Deployed:
        """Let it go on."""
        return self._act(identifier, "resume", reason)

    def rollback(self, identifier: str, *, reason: str = "") -> Deployed:
        """Give all requests back to what served before."""
        return self._act(identifier, "rollback", reason)

    def cancel(self, identifier: str, *, reason: str = "") -> Deployed:
        """End it without blame."""
        return self._act(identifier, "cancel", reason)
