"""The routing table: everything a worker needs to send a request on, built once and never changed."""

from __future__ import annotations

from typing import Final

from proxy import plain
from proxy.arms import Arm, UpstreamSpec, arm_at
from proxy.match import Matcher, bare_host, read_matcher
from proxy.meters import Metric, read_metrics
from proxy.override import Override, read_override
from proxy.read_arms import read_arms, read_failure, read_upstreams
from proxy.request import RequestView
from proxy.settings import (
    TIMEOUTS,
    HeaderNames,
    Limits,
    Retries,
    Timeouts,
    read_header_names,
    read_limits,
    read_loop_lag,
    read_retries,
    read_timeouts,
)
from proxy.shadow.spec import ShadowSpec, read_shadows
from proxy.splits.base import Split, read_split
from proxy.splits.load import load_all
from proxy.streams.spec import StreamSpec, read_streams
from proxy.target import routing_path, split_target

# Of the request lines whose route a table remembers: how many, and how long.
KNOWN_MAX: Final = 1024
KNOWN_BYTES_MAX: Final = 256


class DivertSpec:
    """When the requests of `arm` go to `fallback` without waiting for a verdict; times in seconds."""

    __slots__ = ("arm", "failures", "fallback", "probe_interval", "recover")

    def __init__(self, arm: Arm, fallback: Arm, failures: int, probe_interval: float, recover: int) -> None:
        self.arm = arm
        self.fallback = fallback
        self.failures = failures
        self.probe_interval = probe_interval
        self.recover = recover


class Route:
    """Which requests, and where they go.

    `failure[outcome]` says whether an outcome counts against the arm. `direct` is the arm when every request
    gets the same one, so that a caller need not build a view; `needs_view` is False when `assign` ignores it.
    `keyed` is the split where the value of its header `noted` decides, if a request has one. `renames` is
    True when an upstream calls the model by another name, so that bodies have to be changed.
    """

    __slots__ = (
        "arms",
        "direct",
        "divert",
        "failure",
        "index",
        "keyed",
        "matcher",
        "metrics",
        "name",
        "needs_body",
        "needs_view",
        "override",
        "renames",
        "retries",
        "shadows",
        "split",
        "streams",
        "timeouts",
    )

    def __init__(
        self,
        index: int,
        name: str,
        matcher: Matcher,
        split: Split,
        override: Override | None,
        failure: tuple[bool, ...],
        divert: DivertSpec | None,
        timeouts: Timeouts,
        retries: Retries,
        shadows: list[ShadowSpec],
        metrics: list[Metric],
        streams: StreamSpec | None,
    ) -> None:
        self.index = index
        self.name = name
        self.matcher = matcher
        self.split = split
        self.override = override
        self.failure = failure
        self.divert = divert
        self.timeouts = timeouts
        self.retries = retries
        self.shadows = shadows
        self.metrics = metrics
        self.streams = streams
        self.arms = split.arms
        renames = any(arm.upstream.rewrite is not None and arm.upstream.rewrite.model for arm in split.arms)
        self.needs_body = split.needs_body or renames
        self.needs_view = split.needs_view or override is not None
        self.renames = renames
        alone = len(split.arms) == 1 and override is None and not renames
        self.keyed = split if split.noted and override is None and not renames and not alone else None
        self.direct = split.arms[0] if alone else None

    def assign(self, request: RequestView) -> Arm:
        """The arm of a request; `request.overridden` tells whether the client asked for it."""
        override = self.override
        if override is not None:
            arm = override.find(request)
            if arm is not None:
                request.overridden = True
                return arm
        return self.split.choose(request)


class RoutingTable:
    """One revision of all routes, upstreams and settings."""

    __slots__ = (
        "_known",
        "_needs_headers",
        "_needs_host",
        "_needs_path",
        "arms",
        "config_digest",
        "everything",
        "headers",
        "limits",
        "loop_lag",
        "revision",
        "routes",
        "timeouts",
        "upstreams",
    )

    def __init__(
        self,
        revision: int,
        config_digest: str,
        timeouts: Timeouts,
        limits: Limits,
        headers: HeaderNames,
        upstreams: list[UpstreamSpec],
        arms: list[Arm],
        routes: list[Route],
        loop_lag: float = 0.0,
    ) -> None:
        self.revision = revision
        self.loop_lag = loop_lag
        self.config_digest = config_digest
        self.timeouts = timeouts
        self.limits = limits
        self.headers = headers
        self.upstreams = upstreams
        self.arms = arms
        self.routes = routes
        self.everything = routes[0] if routes and routes[0].matcher.anything else None
        self._needs_host = any(route.matcher.needs_host for route in routes)
        self._needs_path = any(route.matcher.needs_path for route in routes)
        self._needs_headers = any(route.matcher.needs_headers for route in routes)
        # What was found for the request lines and hosts of late: a service has few of them.
        self._known: dict[bytes, Route] = {}

    def match(
        self, method: bytes, target: bytes, host: bytes, data: bytes, start: int, end: int
    ) -> Route | None:
        """The first route that takes a request, or None.

        `data[start:end]` are the header lines, as in `RequestView`, and `host` is the Host header. The
        authority of an absolute target goes before it (RFC 9112, 3.2.2).
        """
        if self.everything is not None:
            return self.everything
        if self._needs_headers:
            return self._search(method, target, host, data, start, end)
        # Neither a method nor a host has a space in it.
        line = b"%b %b %b" % (method, host, target)
        known = self._known.get(line)
        if known is None:
            known = self._search(method, target, host, data, start, end)
            if known is not None and len(line) <= KNOWN_BYTES_MAX:
                if len(self._known) >= KNOWN_MAX:
                    self._known.clear()
                self._known[line] = known
        return known

    def _search(
        self, method: bytes, target: bytes, host: bytes, data: bytes, start: int, end: int
    ) -> Route | None:
        path: bytes | None = None
        if self._needs_path:
            path = routing_path(target)
        if self._needs_host:
            authority = b"" if target[:1] == b"/" else split_target(target)[0]
            host = bare_host(authority or host)
        view: RequestView | None = None
        for route in self.routes:
            matcher = route.matcher
            if matcher.matches(method, host, path):
                if not matcher.needs_headers:
                    return route
                if view is None:
                    view = RequestView(data, start, end, method, target, host, b"")
                if matcher.headers_match(view):
                    return route
        return None

    @classmethod
    def from_json(cls, value: object, previous: RoutingTable | None = None) -> RoutingTable:
        """Build a table from its plain form; running state of unchanged splits is taken from `previous`.

        Raises:
            ValueError: something in it is malformed; the text says where. Nothing has been changed then.
        """
        load_all()
        return _TableReader(value).read(previous)


class _TableReader:
    """Builds one table; holds what its parts refer to."""

    def __init__(self, value: object) -> None:
        self._entry = plain.mapping(value, "table")
        self._timeouts = TIMEOUTS | read_timeouts(self._entry.get("timeouts", {}), "timeouts")
        self._arms: list[Arm] = []

    def read(self, previous: RoutingTable | None) -> RoutingTable:
        entry = self._entry
        upstreams = read_upstreams(self._items("upstreams"))
        values = self._items("routes")
        own = _route_timeouts(values)
        self._arms = read_arms(self._items("arms"), upstreams, self._timeouts, own)
        routes = [self._read_route(index, value, own) for index, value in enumerate(values)]
        if previous is not None:
            before = {route.name: route.split for route in previous.routes}
            for route in routes:
                split = before.get(route.name)
                if split is not None:
                    route.split.adopt(split)
        return RoutingTable(
            plain.integer(plain.required(entry, "revision", "table"), "revision"),
            plain.text(entry.get("config_digest", ""), "config_digest"),
            Timeouts(self._timeouts),
            read_limits(entry.get("limits", {}), "limits"),
            read_header_names(entry.get("headers", {}), "headers"),
            upstreams,
            self._arms,
            routes,
            read_loop_lag(entry.get("overload", {}), "overload"),
        )

    def _items(self, name: str) -> list[object]:
        return plain.items(plain.required(self._entry, name, "table"), name)

    def _read_route(self, index: int, value: object, own: dict[str, dict[str, float]]) -> Route:
        place = f"routes[{index}]"
        entry = plain.mapping(value, place)
        name = plain.text(plain.required(entry, "name", place), f"{place}.name")
        return Route(
            index,
            name,
            read_matcher(entry.get("match", {}), f"{place}.match"),
            read_split(plain.required(entry, "split", place), self._arms, f"{place}.split"),
            read_override(entry.get("override"), self._arms, f"{place}.override"),
            read_failure(entry.get("failure", []), f"{place}.failure"),
            self._read_divert(entry.get("divert"), f"{place}.divert"),
            Timeouts(self._timeouts | own[name]),
            read_retries(entry.get("retries", 0), f"{place}.retries"),
            read_shadows(entry.get("shadows", []), self._arms, f"{place}.shadows"),
            read_metrics(entry.get("metrics", []), f"{place}.metrics"),
            read_streams(entry.get("streams"), f"{place}.streams"),
        )

    def _read_divert(self, value: object, place: str) -> DivertSpec | None:
        if value is None:
            return None
        entry = plain.mapping(value, place)
        return DivertSpec(
            arm_at(plain.required(entry, "arm", place), self._arms, f"{place}.arm"),
            arm_at(plain.required(entry, "fallback", place), self._arms, f"{place}.fallback"),
            plain.integer(plain.required(entry, "failures", place), f"{place}.failures", least=1),
            plain.number(plain.required(entry, "probe_interval", place), f"{place}.probe_interval"),
            plain.integer(plain.required(entry, "recover", place), f"{place}.recover", least=1),
        )


def _route_timeouts(values: list[object]) -> dict[str, dict[str, float]]:
    """Time-outs by name of the route, which arms need before routes can be built."""
    found: dict[str, dict[str, float]] = {}
    for index, value in enumerate(values):
        place = f"routes[{index}]"
        entry = plain.mapping(value, place)
        name = plain.text(plain.required(entry, "name", place), f"{place}.name")
        if name in found:
            raise plain.PlainError(f"{place}.name", f"{name!r} is defined twice")
        found[name] = read_timeouts(entry.get("timeouts", {}), f"{place}.timeouts")
    return found
