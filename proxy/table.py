"""The routing table: everything a worker needs to send a request on, built once and never changed."""

from __future__ import annotations

from proxy import plain
from proxy.arms import Arm, EndpointSpec, UpstreamSpec
from proxy.balance import BALANCERS
from proxy.match import Matcher, bare_host, read_matcher
from proxy.outcomes import NEUTRAL, Outcome, parse_outcome
from proxy.override import Override, read_override
from proxy.request import RequestView
from proxy.settings import (
    TIMEOUTS,
    HeaderNames,
    Limits,
    Timeouts,
    read_header_names,
    read_limits,
    read_timeouts,
)
from proxy.splits.base import Split, read_split
from proxy.splits.load import load_all
from proxy.target import routing_path, split_target


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
    """

    __slots__ = (
        "arms",
        "direct",
        "divert",
        "failure",
        "index",
        "matcher",
        "name",
        "needs_body",
        "needs_view",
        "override",
        "retries",
        "split",
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
        retries: int,
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
        self.arms = split.arms
        self.needs_body = split.needs_body
        self.needs_view = split.needs_view or override is not None
        self.direct = split.arms[0] if len(split.arms) == 1 and override is None else None

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
        "_everything",
        "_needs_host",
        "_needs_path",
        "arms",
        "config_digest",
        "headers",
        "limits",
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
    ) -> None:
        self.revision = revision
        self.config_digest = config_digest
        self.timeouts = timeouts
        self.limits = limits
        self.headers = headers
        self.upstreams = upstreams
        self.arms = arms
        self.routes = routes
        self._everything = routes[0] if routes and routes[0].matcher.anything else None
        self._needs_host = any(route.matcher.needs_host for route in routes)
        self._needs_path = any(route.matcher.needs_path for route in routes)

    def match(
        self, method: bytes, target: bytes, host: bytes, data: bytes, start: int, end: int
    ) -> Route | None:
        """The first route that takes a request, or None.

        `data[start:end]` are the header lines; an absolute target's authority goes before `host` (RFC 9112,
        3.2.2). Where a view is at hand, `match_view` saves making another.
        """
        if self._everything is not None:
            return self._everything
        return self.match_view(RequestView(data, start, end, method, target, host, b""))

    def match_view(self, request: RequestView) -> Route | None:
        """`match` for a request of which there is already a view."""
        if self._everything is not None:
            return self._everything
        target = request.target
        path: bytes | None = None
        if self._needs_path:
            path = routing_path(target)
        host = b""
        if self._needs_host:
            authority = b"" if target[:1] == b"/" else split_target(target)[0]
            host = bare_host(authority or request.host)
        for route in self.routes:
            if route.matcher.matches(request, host, path):
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
        self._upstreams: list[UpstreamSpec] = []
        self._arms: list[Arm] = []

    def read(self, previous: RoutingTable | None) -> RoutingTable:
        entry = self._entry
        for index, value in enumerate(self._items("upstreams")):
            self._upstreams.append(self._read_upstream(index, value, f"upstreams[{index}]"))
        route_values = self._items("routes")
        route_timeouts = self._route_timeouts(route_values)
        for index, value in enumerate(self._items("arms")):
            self._arms.append(self._read_arm(index, value, route_timeouts, f"arms[{index}]"))
        routes = [self._read_route(i, value, f"routes[{i}]") for i, value in enumerate(route_values)]
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
            self._upstreams,
            self._arms,
            routes,
        )

    def _items(self, name: str) -> list[object]:
        return plain.items(plain.required(self._entry, name, "table"), name)

    def _read_upstream(self, index: int, value: object, place: str) -> UpstreamSpec:
        entry = plain.mapping(value, place)
        name = plain.text(plain.required(entry, "name", place), f"{place}.name")
        if any(upstream.name == name for upstream in self._upstreams):
            raise plain.PlainError(f"{place}.name", f"{name!r} is defined twice")
        balance = plain.text(entry.get("balance", "round_robin"), f"{place}.balance")
        if balance not in BALANCERS:
            raise plain.PlainError(
                f"{place}.balance", f"there is no {balance!r}; use {' or '.join(BALANCERS)}"
            )
        values = plain.items(plain.required(entry, "endpoints", place), f"{place}.endpoints")
        endpoints = [_read_endpoint(item, f"{place}.endpoints[{i}]") for i, item in enumerate(values)]
        if not endpoints:
            raise plain.PlainError(f"{place}.endpoints", "must name at least one")
        if len({endpoint.key for endpoint in endpoints}) != len(endpoints):
            raise plain.PlainError(f"{place}.endpoints", "names an address twice")
        return UpstreamSpec(
            index,
            name,
            plain.text(entry.get("release", ""), f"{place}.release"),
            balance,
            endpoints,
            read_timeouts(entry.get("timeouts", {}), f"{place}.timeouts"),
        )

    def _route_timeouts(self, values: list[object]) -> dict[str, dict[str, float]]:
        """Time-outs by route, which arms need before their routes can be built."""
        found: dict[str, dict[str, float]] = {}
        for index, value in enumerate(values):
            place = f"routes[{index}]"
            entry = plain.mapping(value, place)
            name = plain.text(plain.required(entry, "name", place), f"{place}.name")
            if name in found:
                raise plain.PlainError(f"{place}.name", f"{name!r} is defined twice")
            found[name] = read_timeouts(entry.get("timeouts", {}), f"{place}.timeouts")
        return found

    def _read_arm(
        self, index: int, value: object, route_timeouts: dict[str, dict[str, float]], place: str
    ) -> Arm:
        entry = plain.mapping(value, place)
        number = plain.integer(plain.required(entry, "upstream", place), f"{place}.upstream")
        if number >= len(self._upstreams):
            raise plain.PlainError(f"{place}.upstream", f"there is no upstream {number}")
        route = plain.text(plain.required(entry, "route", place), f"{place}.route")
        if route not in route_timeouts:
            raise plain.PlainError(f"{place}.route", f"there is no route {route!r}")
        upstream = self._upstreams[number]
        return Arm(
            index,
            plain.integer(entry.get("slot", 0), f"{place}.slot"),
            route,
            plain.text(plain.required(entry, "variant", place), f"{place}.variant"),
            plain.text(plain.required(entry, "role", place), f"{place}.role"),
            upstream,
            plain.text(entry.get("stage", ""), f"{place}.stage"),
            Timeouts(self._timeouts | upstream.timeouts | route_timeouts[route]),
        )

    def _read_route(self, index: int, value: object, place: str) -> Route:
        entry = plain.mapping(value, place)
        own = read_timeouts(entry.get("timeouts", {}), f"{place}.timeouts")
        return Route(
            index,
            plain.text(entry["name"], f"{place}.name"),
            read_matcher(entry.get("match", {}), f"{place}.match"),
            read_split(plain.required(entry, "split", place), self._arms, f"{place}.split"),
            read_override(entry.get("override"), self._arms, f"{place}.override"),
            _read_failure(entry.get("failure", []), f"{place}.failure"),
            self._read_divert(entry.get("divert"), f"{place}.divert"),
            Timeouts(self._timeouts | own),
            plain.integer(entry.get("retries", 0), f"{place}.retries"),
        )

    def _read_divert(self, value: object, place: str) -> DivertSpec | None:
        if value is None:
            return None
        entry = plain.mapping(value, place)
        return DivertSpec(
            self._arm(plain.required(entry, "arm", place), f"{place}.arm"),
            self._arm(plain.required(entry, "fallback", place), f"{place}.fallback"),
            plain.integer(plain.required(entry, "failures", place), f"{place}.failures", least=1),
            plain.number(plain.required(entry, "probe_interval", place), f"{place}.probe_interval"),
            plain.integer(plain.required(entry, "recover", place), f"{place}.recover", least=1),
        )

    def _arm(self, value: object, place: str) -> Arm:
        index = plain.integer(value, place)
        if index >= len(self._arms):
            raise plain.PlainError(place, f"there is no arm {index}")
        return self._arms[index]


def _read_endpoint(value: object, place: str) -> EndpointSpec:
    entry = plain.mapping(value, place)
    url = plain.text(plain.required(entry, "url", place), f"{place}.url")
    authority = url.removeprefix("http://").rstrip("/")
    host, colon, port = authority.rpartition(":")
    if authority == url or not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise plain.PlainError(f"{place}.url", f"{url!r} is not http://host:port")
    weight = plain.integer(entry.get("weight", 1), f"{place}.weight", least=1)
    return EndpointSpec(host.removeprefix("[").removesuffix("]"), int(port), weight)


def _read_failure(value: object, place: str) -> tuple[bool, ...]:
    """Which outcomes count as failures; aborts by the client and overrides never do."""
    failures: set[Outcome] = set()
    for index, name in enumerate(plain.texts(value, place)):
        try:
            outcome = parse_outcome(name)
        except ValueError as error:
            raise plain.PlainError(f"{place}[{index}]", f"{error}") from error
        if outcome in NEUTRAL:
            raise plain.PlainError(f"{place}[{index}]", f"{name} is neither success nor failure")
        failures.add(outcome)
    return tuple(outcome in failures for outcome in Outcome)
