"""The parts of the schema that concern the process: listeners, admin, state, time and size limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.addresses import Bind
from config.base import Fault, Model, as_tuple, refuse
from config.fields import (
    BindAddress,
    Duration,
    HeaderName,
    Name,
    OptionalHeaderName,
    PositiveDuration,
    Role,
    Sha256,
    Size,
)
from config.tls import AdminTls, ListenerTls
from config.values import InvalidValueError

# Overwriting one of these would change how the message is framed or where it goes.
_RESERVED_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "host",
        "keep-alive",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }
)


class Listener(Model):
    """An address where requests are accepted."""

    bind: BindAddress
    """host:port to accept on; `:8080` stands for every IPv4 interface, port 0 for any free port."""
    backlog: Annotated[int, Field(ge=1, le=65535)] = 2048
    """Connections that may wait in the kernel to be accepted, for each worker."""
    tls: ListenerTls | None = None
    """TLS to clients; left out = plain HTTP."""


class Token(Model):
    """A bearer token for the admin address, known here by its digest only."""

    name: Name
    """Who holds it; stands as the actor in every record of what was done with it."""
    sha256: Sha256
    """SHA-256 of the token in hexadecimal."""
    role: Role = "viewer"
    """`viewer` reads; `operator` also steers rollouts; `approver` also approves; `admin` does everything."""


class Admin(Model):
    """The address for metrics, probes, commands and the status page."""

    bind: BindAddress = Bind(host="127.0.0.1", port=9901)
    """host:port of the admin server; anything but loopback needs tokens."""
    tokens: Annotated[tuple[Token, ...], BeforeValidator(as_tuple), Field(max_length=1000)] = ()
    """Bearer tokens that are accepted; none means that everyone on this machine may do everything."""
    tls: AdminTls | None = None
    """TLS on the admin address; left out = plain HTTP."""


class Timeouts(Model):
    """How long each part of an exchange may take; 0 switches off those that say so."""

    connect: PositiveDuration = 5.0
    """Opening a connection to an endpoint."""
    request_head: PositiveDuration = 10.0
    """From the first byte of a request to the end of its head."""
    request_body_idle: Duration = 60.0
    """The longest silence inside a request body; 0 = no limit."""
    first_byte: Duration = 60.0
    """From the whole request sent to the first byte of the answer; 0 = no limit."""
    stream_idle: Duration = 300.0
    """The longest silence inside an answer; 0 = no limit."""
    total: Duration = 0.0
    """The whole exchange; 0 = no limit."""
    keepalive_idle: PositiveDuration = 75.0
    """How long a client's connection may wait for its next request."""
    upstream_idle: PositiveDuration = 55.0
    """How long an unused connection to an endpoint is kept; keep it below the model server's own."""
    drain: Duration = 30.0
    """How long exchanges in flight may go on when a worker stops for good."""
    drain_delay: Duration = 0.0
    """How long requests are still taken after /readyz has gone to 503, for load balancers to notice first."""
    handover: Duration = 0.0
    """How long exchanges in flight may go on in a worker that was replaced by another; 0 = no limit."""


class UpstreamTimeouts(Model):
    """Timeouts of one upstream; what is left out comes from the top level."""

    connect: PositiveDuration | None = None
    """Opening a connection to an endpoint."""
    first_byte: Duration | None = None
    """From the whole request sent to the first byte of the answer; 0 = no limit."""
    stream_idle: Duration | None = None
    """The longest silence inside an answer; 0 = no limit."""
    total: Duration | None = None
    """The whole exchange; 0 = no limit."""
    upstream_idle: PositiveDuration | None = None
    """How long an unused connection to an endpoint is kept."""


class RouteTimeouts(Model):
    """Timeouts of one route; what is left out comes from the upstream, then from the top level."""

    connect: PositiveDuration | None = None
    """Opening a connection to an endpoint."""
    request_body_idle: Duration | None = None
    """The longest silence inside a request body; 0 = no limit."""
    first_byte: Duration | None = None
    """From the whole request sent to the first byte of the answer; 0 = no limit."""
    stream_idle: Duration | None = None
    """The longest silence inside an answer; 0 = no limit."""
    total: Duration | None = None
    """The whole exchange; 0 = no limit."""


class Limits(Model):
    """The most that one worker takes on."""

    head_bytes: Annotated[Size, Field(ge=1024, le=1048576)] = 65536
    """Request line and headers together; more is answered 431."""
    headers: Annotated[int, Field(ge=1, le=10000)] = 128
    """Header lines of a request; more is answered 431."""
    body_bytes: Size = 0
    """Request body; more is answered 413. 0 = no limit."""
    inspect_bytes: Annotated[Size, Field(le=268435456)] = 1048576
    """The most of a body that is held back to be looked into; a larger one streams without the look."""
    connections: Annotated[int, Field(ge=1, le=1000000)] = 10000
    """Client connections open at once; more are refused."""
    upstream_connections: Annotated[int, Field(ge=1, le=1000000)] = 1024
    """Connections to one endpoint open at once; more requests are answered 503."""
    body_rate: Size = 0
    """Bytes a second that a request body must bring on average after its first ten seconds; 0 = any."""
    read_rate: Size = 0
    """Bytes a second at which a client must take an answer that waits for it; 0 = any."""
    pool_idle: Annotated[int, Field(ge=0, le=100000)] = 64
    """Unused connections kept for one endpoint."""


class Headers(Model):
    """Headers that Headgate itself writes."""

    request_id: HeaderName = "x-request-id"
    """Carries the request id; one that came with the request is kept."""
    variant: OptionalHeaderName = "x-headgate-variant"
    """Tells the client which variant answered; empty = not sent."""
    forwarded: Literal["append", "replace"] = "append"
    """Whether x-forwarded-for that came in is added to, or replaced because clients are not trusted."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        faults = [
            Fault(path=(key,), problem=f"{name} has a meaning of its own", remedy="choose another name")
            for key, name in (("request_id", self.request_id), ("variant", self.variant))
            if name in _RESERVED_HEADERS
        ]
        if self.request_id == self.variant:
            problem = f"{self.variant} already carries the request id"
            faults.append(Fault(path=("variant",), problem=problem, remedy="choose another name"))
        refuse("headers", faults)
        return self


class Startup(Model):
    """What must be true before traffic is accepted."""

    upstream_wait: Duration = 10.0
    """How long to wait for every upstream to accept a connection, but those that only get copies."""
    require_upstreams: bool = True
    """Whether to give up when one does not; `false` only warns."""


def read_workers(value: Any) -> int | Literal["auto"]:
    """A number of processes, or ``auto``."""
    if value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 256:
        raise InvalidValueError.about(value, "is not a number of workers", "write 1 to 256, or auto")
    return value
