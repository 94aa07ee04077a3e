"""The part of the schema that says where requests go: upstreams, routes and their splits."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from config.base import (
    EndpointUrl,
    Fault,
    HeaderName,
    Model,
    Name,
    OptionalHeaderName,
    PositiveDuration,
    as_tuple,
    refuse,
)
from config.rollouts import Rollout
from config.serving import RouteTimeouts, UpstreamTimeouts
from config.values import InvalidValueError, parse_endpoint_url

FailureName = Literal[
    "upstream_4xx",
    "upstream_429",
    "upstream_5xx",
    "connect_failed",
    "timeout_connect",
    "timeout_first_byte",
    "timeout_idle",
    "timeout_total",
    "reset",
    "stream_truncated",
    "stream_error",
    "invalid_response",
    "shed",
]
DEFAULT_FAILURE: tuple[FailureName, ...] = (
    "upstream_5xx",
    "connect_failed",
    "timeout_connect",
    "timeout_first_byte",
    "timeout_idle",
    "timeout_total",
    "reset",
    "stream_truncated",
    "stream_error",
    "invalid_response",
)


class Endpoint(Model):
    """One address of an upstream."""

    url: EndpointUrl
    """http://host:port; the port is 80 when left out."""
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Share of the upstream's requests, relative to its other endpoints."""

    @property
    def host(self) -> str:
        """Host name or address, without brackets."""
        return parse_endpoint_url(self.url).host

    @property
    def port(self) -> int:
        """TCP port."""
        return parse_endpoint_url(self.url).port


def _one_endpoint(value: object) -> object:
    return value if isinstance(value, (dict, Endpoint)) else {"url": value}


EndpointEntry = Annotated[
    Endpoint, BeforeValidator(_one_endpoint, json_schema_input_type=EndpointUrl | Endpoint)
]


class Upstream(Model):
    """A named set of endpoints that serve the same thing."""

    endpoints: Annotated[
        tuple[EndpointEntry, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=1000)
    ]
    """Addresses, each a URL or {url, weight}."""
    release: Annotated[str, Field(max_length=256)] = ""
    """What runs there, for example fraud:v1.0.0; shown in status, metrics and decisions."""
    balance: Literal["round_robin", "least_in_flight"] = "round_robin"
    """How one endpoint is picked."""
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    """Timeouts of this upstream."""

    @model_validator(mode="after")
    def _distinct(self) -> Upstream:
        seen: dict[str, int] = {}
        faults: list[Fault] = []
        for i, endpoint in enumerate(self.endpoints):
            if endpoint.url in seen:
                faults.append(
                    Fault(
                        path=("endpoints", i),
                        problem=f"{endpoint.url} is already endpoints[{seen[endpoint.url]}]",
                        remedy="list it once and give it a weight",
                    )
                )
            seen.setdefault(endpoint.url, i)
        refuse("upstream", faults)
        return self


def _parse_regex(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidValueError("not a regular expression", "write one in quotes, for example '^/v[12]/'")
    try:
        re.compile(value.encode())
    except re.error as error:
        raise InvalidValueError(
            f"the regular expression does not compile: {error}", "escape or complete it"
        ) from None
    return value


Regex = Annotated[str, BeforeValidator(_parse_regex)]


class HeaderRegex(Model):
    """A header value that must match."""

    regex: Regex
    """Searched for in the value; anchor it with ^ and $ to match the whole."""


class Match(Model):
    """Which requests a route takes; all that is given must hold, nothing given takes every request."""

    host: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Host of the request, without port and case; *.example.com takes every name below example.com."""
    path_prefix: Annotated[str, Field(pattern=r"^/", max_length=2048)] | None = None
    """What the path starts with, by whole segments: /v2 takes /v2 and /v2/x, not /v20."""
    path: Annotated[str, Field(pattern=r"^/", max_length=2048)] | None = None
    """The whole path, without the query."""
    path_regex: Regex | None = None
    """Searched for in the path; anchor it with ^ and $ to match the whole."""
    methods: Annotated[tuple[Annotated[str, Field(pattern="^[A-Z]+$")], ...], BeforeValidator(as_tuple)] = ()
    """Methods in capitals; none = every one."""
    headers: dict[HeaderName, str | Literal[True] | HeaderRegex] = Field(default_factory=dict)
    """Header values: a string must be equal, true means present, {regex: ...} must match."""


class Split(Model):
    """How the requests of a route are divided; every kind brings keys of its own."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[str, Field(min_length=1, max_length=64)]
    """Which way of dividing; the kinds are listed under Splits."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The kind's own keys, as they were written."""
        return dict(self.__pydantic_extra__ or {})


class Override(Model):
    """Lets a request name its variant; such requests are left out of every statistic."""

    header: OptionalHeaderName = "x-headgate-override"
    """Header that names the variant; empty = none."""
    cookie: OptionalHeaderName = "headgate_override"
    """Cookie that names the variant; empty = none."""
    allow: Annotated[tuple[Name, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    """Variants that may be asked for."""


class Divert(Model):
    """When a worker sends a canary's requests to stable by itself, without waiting for a verdict."""

    enabled: bool = True
    """Whether it may."""
    failures: Annotated[int, Field(ge=1, le=10000)] = 6
    """How far failures must outweigh successes before it does."""
    probe_interval: PositiveDuration = 1.0
    """Time between two requests that try the canary again."""
    recover: Annotated[int, Field(ge=1, le=10000)] = 3
    """Good answers in a row that end it."""


class Retries(Model):
    """Attempts after the first, only where nothing can have been done twice."""

    attempts: Annotated[int, Field(ge=0, le=10)] = 1
    """Extra attempts; 0 = none."""


class Route(Model):
    """A set of requests and where they go; the first route that matches is taken."""

    name: Name
    """Names the route in commands, metrics and records."""
    match: Match = Match()
    """Which requests."""
    upstream: Name | None = None
    """Sends everything to one upstream; short for split: {kind: direct, upstream: ...}."""
    split: Split | None = None
    """Divides the requests among variants."""
    override: Override | None = None
    """Lets requests name their variant; left out = not possible."""
    failure: Annotated[tuple[FailureName, ...], BeforeValidator(as_tuple)] = DEFAULT_FAILURE
    """Outcomes that count as a failure of the variant."""
    divert: Divert = Divert()
    """Instant, reversible protection from a canary that fails grossly."""
    timeouts: RouteTimeouts = RouteTimeouts()
    """Timeouts of this route."""
    retries: Retries = Retries()
    """Attempts after the first."""
    rollout: Rollout | None = None
    """How the canary is ramped; left out = the split's weight stays."""

    @property
    def effective_split(self) -> Split:
        """The split, with the upstream shorthand written out."""
        if self.split is not None:
            return self.split
        return Split.model_validate({"kind": "direct", "upstream": self.upstream})

    @model_validator(mode="after")
    def _one_destination(self) -> Route:
        faults: list[Fault] = []
        if self.upstream is None and self.split is None:
            faults.append(
                Fault(path=(), problem="has no destination", remedy="give it an upstream or a split")
            )
        if self.upstream is not None and self.split is not None:
            faults.append(
                Fault(
                    path=("upstream",), problem="upstream and split are both given", remedy="keep one of them"
                )
            )
        refuse("route", faults)
        return self
