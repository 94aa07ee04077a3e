"""The part of the schema that says which requests go where, and how they are divided."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from config.base import Fault, Model, as_tuple, refuse, repeated
from config.fields import (
    HeaderName,
    HostPattern,
    Method,
    Name,
    OptionalCookieName,
    OptionalHeaderName,
    PositiveDuration,
    Regex,
    Text,
    UrlPath,
)
from config.metrics import METRICS_MAX, Metric
from config.overload import Retries
from config.rollouts import Rollout
from config.serving import RouteTimeouts
from config.shadows import Shadows
from config.streams import Streams
from config.values import InvalidValueError, shown

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


class HeaderRegex(Model):
    """A header value that must match."""

    regex: Regex
    """Searched for in the value; anchor it with ^ and $ to match the whole."""


HeaderCondition = str | Literal[True] | HeaderRegex


def _one_condition(value: object) -> HeaderCondition:
    if value is True or isinstance(value, (str, HeaderRegex)):
        return value
    if isinstance(value, dict):
        return HeaderRegex.model_validate(value)
    quoted = isinstance(value, (int, float)) and not isinstance(value, bool)
    raise InvalidValueError.about(
        value,
        "is not a condition on a header",
        "put it in quotes" if quoted else "write the value, true for any value, or {regex: ...}",
    )


_CONDITIONS: TypeAdapter[dict[str, HeaderCondition]] = TypeAdapter(
    dict[
        HeaderName,
        Annotated[HeaderCondition, BeforeValidator(_one_condition, json_schema_input_type=HeaderCondition)],
    ]
)


def _read_conditions(value: object) -> object:
    conditions = _CONDITIONS.validate_python(value, strict=True)
    if isinstance(value, dict) and len(conditions) != len(value):
        seen: dict[str, object] = {}
        faults: list[Fault] = []
        for key in value:
            if key.lower() in seen:
                problem = f"the same header as {seen[key.lower()]}"
                faults.append(Fault(path=(key,), problem=problem, remedy="keep one; names have no case"))
            seen.setdefault(key.lower(), key)
        refuse("headers", faults)
    return conditions


class Match(Model):
    """Which requests a route takes; all that is given must hold, nothing given takes every request."""

    host: HostPattern | None = None
    """Host of the request, without port and case; `*.example.com` takes every name below example.com."""
    path_prefix: UrlPath | None = None
    """What the path starts with, by whole segments: `/v2` takes /v2 and /v2/x, not /v20."""
    path: UrlPath | None = None
    """The whole path, without the query."""
    path_regex: Regex | None = None
    """Searched for in the path; anchor it with ^ and $ to match the whole."""
    methods: Annotated[tuple[Method, ...], BeforeValidator(as_tuple), Field(max_length=32)] = ()
    """Methods in capitals; none = every one."""
    headers: Annotated[
        dict[HeaderName, HeaderCondition], BeforeValidator(_read_conditions), Field(max_length=32)
    ] = Field(default_factory=dict)
    """Header values: text must be equal, `true` takes any value, `{regex: ...}` must match."""

    @property
    def everything(self) -> bool:
        """Whether there is no condition at all."""
        return self == Match()

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        given = [key for key in ("path_prefix", "path", "path_regex") if getattr(self, key) is not None]
        problem = f"{' and '.join(given)} are given together"
        refuse(
            "match",
            [Fault(path=(key,), problem=problem, remedy="keep one of them") for key in given[1:2]]
            + repeated("methods", self.methods),
        )
        return self


class Split(Model):
    """How the requests of a route are divided; every kind brings keys of its own."""

    model_config = ConfigDict(extra="allow")

    kind: Annotated[Text, Field(min_length=1, max_length=64)]
    """Way of dividing: `direct`, `random`, `percentage`, `hash`, `canary`, `rolling` or `blue_green`."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The kind's own keys, as they were written."""
        return dict(self.__pydantic_extra__ or {})


class Override(Model):
    """Lets a request name its variant; such requests are left out of every statistic."""

    header: OptionalHeaderName = "x-headgate-override"
    """Header that names the variant; empty = none."""
    cookie: OptionalCookieName = "headgate_override"
    """Cookie that names the variant; empty = none."""
    allow: Annotated[tuple[Name, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=100)]
    """Variants that may be asked for."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        fault = Fault(path=(), problem="neither header nor cookie can name a variant", remedy="name one")
        named = [] if self.header or self.cookie else [fault]
        refuse("override", named + repeated("allow", self.allow))
        return self


class Divert(Model):
    """When a worker sends a canary's requests to stable by itself, without waiting for a verdict."""

    enabled: bool = True
    """Whether it may."""
    failures: Annotated[int, Field(ge=1, le=10000)] = 6
    """How far failures must outweigh good answers before it does."""
    probe_interval: PositiveDuration = 1.0
    """Time between two requests that try the canary again."""
    recover: Annotated[int, Field(ge=1, le=10000)] = 3
    """Good answers in a row that end it."""


def _one_failure(value: object) -> object:
    if value in ("ok", "client_abort", "override"):
        raise InvalidValueError(f"{shown(value)} can never be a failure of the variant", "remove it")
    return value


class Route(Model):
    """A set of requests and where they go; the first route that matches is taken."""

    name: Name
    """Names the route in commands, metrics and records."""
    match: Match = Match()
    """Which requests."""
    upstream: Name | None = None
    """Sends everything to one upstream; short for `split: {kind: direct, upstream: ...}`."""
    split: Split | None = None
    """Divides the requests among variants; a route has either this or `upstream`."""
    override: Override | None = None
    """Lets requests name their variant; left out = not possible."""
    failure: Annotated[
        tuple[Annotated[FailureName, BeforeValidator(_one_failure)], ...], BeforeValidator(as_tuple)
    ] = DEFAULT_FAILURE
    """Outcomes that count as a failure of the variant."""
    divert: Divert = Divert()
    """Instant, reversible protection from a canary that fails grossly."""
    timeouts: RouteTimeouts = RouteTimeouts()
    """Timeouts of this route."""
    retries: Retries = Retries()
    """Attempts after the first."""
    protected: Name | None = None
    """A stage: only releases in it, or approved for it, get requests of this route; left out = any."""
    shadows: Shadows = ()
    """Versions that get copies of the requests, and whose answers are only compared."""
    metrics: Annotated[tuple[Metric, ...], BeforeValidator(as_tuple), Field(max_length=METRICS_MAX)] = ()
    """Numbers that are counted of each arm's answers besides failures and latency."""
    streams: Streams | None = None
    """Looks into the event streams of the answers: first token, pace, stalls, errors; left out = not."""
    rollout: Rollout | None = None
    """How the canary is ramped; left out = the split's weight stays."""

    @property
    def effective_split(self) -> Split:
        """The split, with the upstream shorthand written out."""
        if self.split is not None:
            return self.split
        return Split.model_validate({"kind": "direct", "upstream": self.upstream})

    @model_validator(mode="after")
    def _one_destination(self) -> Self:
        faults = repeated("failure", self.failure)
        faults += repeated("metrics", [metric.name for metric in self.metrics])
        if self.upstream is None and self.split is None:
            faults.append(Fault(path=(), problem="has no destination", remedy="add upstream or split"))
        if self.upstream is not None and self.split is not None:
            problem = "upstream and split are given together"
            faults.append(Fault(path=("upstream",), problem=problem, remedy="keep one of them"))
        if self.split is None and self.rollout is not None:
            remedy = "use a split of kind canary, or remove rollout"
            faults.append(Fault(path=("rollout",), problem="there is no split to ramp", remedy=remedy))
        refuse("route", faults)
        return self
