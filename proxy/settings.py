"""Time-outs, limits and header names, resolved when a table is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy import plain

TIMEOUTS: Final[dict[str, float]] = {
    "connect": 5.0,
    "request_head": 10.0,
    "request_body_idle": 60.0,
    "first_byte": 60.0,
    "stream_idle": 300.0,
    "total": 0.0,
    "keepalive_idle": 75.0,
    "upstream_idle": 55.0,
    "drain": 30.0,
    "drain_delay": 0.0,
    "handover": 0.0,
}
LIMITS: Final[dict[str, int]] = {
    "head_bytes": 65536,
    "headers": 128,
    "body_bytes": 0,
    "inspect_bytes": 1048576,
    "connections": 10000,
    "upstream_connections": 1024,
    "pool_idle": 64,
    "body_rate": 0,
    "read_rate": 0,
}


class Timeouts:
    """Seconds; 0 means no limit."""

    __slots__ = (
        "connect",
        "drain",
        "first_byte",
        "handover",
        "keepalive_idle",
        "request_body_idle",
        "request_head",
        "stream_idle",
        "total",
        "upstream_idle",
    )

    def __init__(self, values: Mapping[str, float]) -> None:
        self.connect = values["connect"]
        self.request_head = values["request_head"]
        self.request_body_idle = values["request_body_idle"]
        self.first_byte = values["first_byte"]
        self.stream_idle = values["stream_idle"]
        self.total = values["total"]
        self.keepalive_idle = values["keepalive_idle"]
        self.upstream_idle = values["upstream_idle"]
        self.drain = values["drain"]
        self.handover = values["handover"]


class Limits:
    """Bytes, bytes a second and counts for one worker; 0 of bytes and rates means no limit."""

    __slots__ = (
        "body_bytes",
        "body_rate",
        "connections",
        "head_bytes",
        "headers",
        "inspect_bytes",
        "pool_idle",
        "read_rate",
        "upstream_connections",
    )

    def __init__(self, values: Mapping[str, int]) -> None:
        self.head_bytes = values["head_bytes"]
        self.headers = values["headers"]
        self.body_bytes = values["body_bytes"]
        self.inspect_bytes = values["inspect_bytes"]
        self.connections = values["connections"]
        self.upstream_connections = values["upstream_connections"]
        self.pool_idle = values["pool_idle"]
        self.body_rate = values["body_rate"]
        self.read_rate = values["read_rate"]


class Retries:
    """Attempts after the first; the share of requests and the number a second that pay for them."""

    __slots__ = ("attempts", "minimum", "share")

    def __init__(self, attempts: int, share: float, minimum: float) -> None:
        self.attempts = attempts
        self.share = share
        self.minimum = minimum


class HeaderNames:
    """Lower-case names of the headers we add; an empty one is switched off."""

    __slots__ = ("append_forwarded", "request_id", "variant")

    def __init__(self, request_id: bytes, variant: bytes, *, append_forwarded: bool) -> None:
        self.request_id = request_id
        self.variant = variant
        self.append_forwarded = append_forwarded


def read_timeouts(value: object, place: str) -> dict[str, float]:
    """Read a partial set of time-outs; an unknown name is an error."""
    values: dict[str, float] = {}
    for name, seconds in plain.mapping(value, place).items():
        if name not in TIMEOUTS:
            raise plain.PlainError(f"{place}.{name}", f"is not a time-out; use one of {', '.join(TIMEOUTS)}")
        values[name] = plain.number(seconds, f"{place}.{name}")
    return values


def read_limits(value: object, place: str) -> Limits:
    """Read the limits; those not given keep their default."""
    values = dict(LIMITS)
    for name, amount in plain.mapping(value, place).items():
        if name not in LIMITS:
            raise plain.PlainError(f"{place}.{name}", f"is not a limit; use one of {', '.join(LIMITS)}")
        values[name] = plain.integer(amount, f"{place}.{name}")
    return Limits(values)


def read_retries(value: object, place: str) -> Retries:
    """Read what a route says about retries; a number alone is that of the attempts."""
    if not isinstance(value, dict):
        value = {"attempts": plain.integer(value, place)}
    values = plain.mapping(value, place)
    return Retries(
        plain.integer(values.get("attempts", 0), f"{place}.attempts"),
        plain.number(values.get("share", 0.2), f"{place}.share", most=1.0),
        plain.number(values.get("minimum", 5.0), f"{place}.minimum"),
    )


def read_loop_lag(value: object, place: str) -> float:
    """Read the lateness of the event loop, in seconds, that counts as overload; 0 = none does."""
    return plain.number(plain.mapping(value, place).get("loop_lag", 0.0), f"{place}.loop_lag")


def read_header_names(value: object, place: str) -> HeaderNames:
    """Read the names of the headers that are added to requests and answers."""
    values = plain.mapping(value, place)
    forwarded = plain.text(values.get("forwarded", "append"), f"{place}.forwarded")
    if forwarded not in ("append", "replace"):
        raise plain.PlainError(f"{place}.forwarded", f"must be append or replace, not {forwarded!r}")
    return HeaderNames(
        plain.text(values.get("request_id", "x-request-id"), f"{place}.request_id").lower().encode("ascii"),
        plain.text(values.get("variant", "x-headgate-variant"), f"{place}.variant").lower().encode("ascii"),
        append_forwarded=forwarded == "append",
    )
