"""A/B tests for scripts and notebooks, on a running Headgate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from control.library.running import Manager


@dataclass(frozen=True, slots=True, kw_only=True)
class ABTest:
    """A test as it stands; `raw` is everything that `GET /v1/experiments/{id}` says."""

    id: str
    name: str
    route: str
    status: str
    """draft, running, paused, completed or cancelled."""
    variants: Mapping[str, float]
    control: str
    analysis: Mapping[str, Any] | None
    """None before the start; its fields are those of docs/experiments.md."""
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def winner(self) -> str:
        """The variant that is better than control, "control" when all are worse, or nothing yet."""
        return "" if self.analysis is None else str(self.analysis["winner"])

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The test that an answer describes."""
        names = ("id", "name", "route", "status", "variants", "control", "analysis")
        return cls(raw=raw, **{name: raw[name] for name in names})


class ABTestManager(Manager[ABTest]):
    """Creates, starts, pauses, completes and cancels A/B tests.

    ::

        tests = ABTestManager("http://127.0.0.1:9901")
        test = tests.create("ranker", route="search", variants={"v1": 50, "v2": 50}, key="header:x-user-id")
        tests.start(test.id)
        print(tests.get(test.id).analysis["reason"])
        tests.complete(test.id, reason="v2 is better")

    Raises (every method):
        InvalidError, NotFoundError, ConflictError, TransitionError, ForbiddenError: as `control.errors` says.
        UnavailableError: Headgate does not answer.
    """

    kind = "experiments"

    def _value(self, raw: Any) -> ABTest:
        return ABTest.of(raw)

    def create(
        self,
        name: str,
        *,
        route: str,
        variants: Mapping[str, float],
        control: str | None = None,
        key: str | Sequence[str] = "client_address",
        layer: str = "",
        share: float = 1.0,
        alpha: float = 0.05,
        metric: str = "failures",
        direction: str = "",
        margin: float | None = None,
        description: str = "",
    ) -> ABTest:
        """Describe a test: a draft. Weights are relative; the first variant is control if none is named.

        Args:
            metric: `failures`, a quantile such as `latency:p95` or `first_byte:p50`, or `metric:NAME`.
            direction: of a metric of the route, `higher_is_worse` or `lower_is_worse`.
            margin: a difference that does not matter: of failures a share of requests, of a latency a share
                of control's, of a metric in its own unit.
        """
        body: dict[str, Any] = {
            "name": name,
            "route": route,
            "variants": dict(variants),
            "control": next(iter(variants), "") if control is None else control,
            "key": key if isinstance(key, str) else list(key),
            "share": share,
            "alpha": alpha,
            "description": description,
            "metric": metric,
        }
        if direction:
            body["direction"] = direction
        if layer:
            body["layer"] = layer
        if margin is not None:
            body["margin"] = margin
        return self._create(body)

    def list(self, *, status: str = "", route: str = "", layer: str = "", limit: int = 50) -> list[ABTest]:
        """Newest first."""
        return self._found(status=status, route=route, layer=layer, limit=str(limit))

    def start(self, identifier: str, *, reason: str = "") -> ABTest:
        """Divide requests among the variants; also lets a paused test go on."""
        return self._act(identifier, "start", reason)

    def pause(self, identifier: str, *, reason: str = "") -> ABTest:
        """Give everybody control for a while."""
        return self._act(identifier, "pause", reason)

    def complete(self, identifier: str, *, reason: str = "") -> ABTest:
        """End it with its result."""
        return self._act(identifier, "complete", reason)

    def cancel(self, identifier: str, *, reason: str = "") -> ABTest:
        """End it without one."""
        return self._act(identifier, "cancel", reason)
