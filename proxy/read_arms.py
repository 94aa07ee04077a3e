"""Reads upstreams, arms and outcomes from a plain routing table."""

from __future__ import annotations

from collections.abc import Mapping

from proxy import plain
from proxy.arms import NO_EJECTION, Arm, EjectionSpec, EndpointSpec, QueueSpec, UpstreamSpec
from proxy.balance import BALANCERS
from proxy.keys import KeyReader, KeySource, KeySpecError, parse_key
from proxy.outcomes import NEUTRAL, Outcome, parse_outcome
from proxy.rewriting import read_rewrite
from proxy.settings import Timeouts, read_timeouts
from proxy.tls import ClientTls, client_tls


def read_upstreams(values: list[object]) -> list[UpstreamSpec]:
    """The upstreams of a table.

    Raises:
        PlainError: one is malformed, or two have the same name.
    """
    upstreams: list[UpstreamSpec] = []
    for index, value in enumerate(values):
        upstream = _read_upstream(index, value, f"upstreams[{index}]")
        if any(other.name == upstream.name for other in upstreams):
            raise plain.PlainError(f"upstreams[{index}].name", f"{upstream.name!r} is defined twice")
        upstreams.append(upstream)
    return upstreams


def read_arms(
    values: list[object],
    upstreams: list[UpstreamSpec],
    timeouts: dict[str, float],
    route_timeouts: dict[str, dict[str, float]],
) -> list[Arm]:
    """The arms of a table.

    Args:
        values: their plain form.
        upstreams: what they can send to.
        timeouts, route_timeouts: those of the table, and what each route changes, by its name.

    Raises:
        PlainError: one is malformed, or names an upstream or route that is not there.
    """
    arms: list[Arm] = []
    for index, value in enumerate(values):
        place = f"arms[{index}]"
        entry = plain.mapping(value, place)
        number = plain.integer(plain.required(entry, "upstream", place), f"{place}.upstream")
        if number >= len(upstreams):
            raise plain.PlainError(f"{place}.upstream", f"there is no upstream {number}")
        route = plain.text(plain.required(entry, "route", place), f"{place}.route")
        if route not in route_timeouts:
            raise plain.PlainError(f"{place}.route", f"there is no route {route!r}")
        arms.append(
            Arm(
                index,
                plain.integer(entry.get("slot", 0), f"{place}.slot"),
                route,
                plain.text(plain.required(entry, "variant", place), f"{place}.variant"),
                plain.text(plain.required(entry, "role", place), f"{place}.role"),
                upstreams[number],
                plain.text(entry.get("stage", ""), f"{place}.stage"),
                Timeouts(timeouts | upstreams[number].timeouts | route_timeouts[route]),
            )
        )
    return arms


def read_failure(value: object, place: str) -> tuple[bool, ...]:
    """Which outcomes count as failures, by number; aborts by the client and overrides never do.

    Raises:
        PlainError: a name is unknown or can never be a failure.
    """
    failures: set[Outcome] = set()
    for index, name in enumerate(plain.texts(value, place)):
        try:
            outcome = parse_outcome(name)
        except ValueError as error:
            raise plain.PlainError(f"{place}[{index}]", str(error)) from error
        if outcome in NEUTRAL:
            raise plain.PlainError(f"{place}[{index}]", f"{name} is neither success nor failure")
        failures.add(outcome)
    return tuple(outcome in failures for outcome in Outcome)


def _read_upstream(index: int, value: object, place: str) -> UpstreamSpec:
    entry = plain.mapping(value, place)
    balance = plain.text(entry.get("balance", "round_robin"), f"{place}.balance")
    if balance not in BALANCERS:
        raise plain.PlainError(f"{place}.balance", f"there is no {balance!r}; use {' or '.join(BALANCERS)}")
    values = plain.items(plain.required(entry, "endpoints", place), f"{place}.endpoints")
    tls = client_tls(plain.mapping(entry.get("tls", {}), f"{place}.tls"))
    endpoints = [_read_endpoint(item, f"{place}.endpoints[{i}]", tls) for i, item in enumerate(values)]
    if not endpoints:
        raise plain.PlainError(f"{place}.endpoints", "must name at least one")
    if len({endpoint.key for endpoint in endpoints}) != len(endpoints):
        raise plain.PlainError(f"{place}.endpoints", "names an address twice")
    upstream = UpstreamSpec(
        index,
        plain.text(plain.required(entry, "name", place), f"{place}.name"),
        plain.text(entry.get("release", ""), f"{place}.release"),
        balance,
        endpoints,
        read_timeouts(entry.get("timeouts", {}), f"{place}.timeouts"),
        _read_queue(entry, place),
        _read_ejection(entry.get("ejection"), f"{place}.ejection"),
        _read_keys(entry, place),
    )
    upstream.rewrite = read_rewrite(entry.get("rewrite"), f"{place}.rewrite")
    return upstream


def _read_keys(entry: Mapping[str, object], place: str) -> KeyReader | None:
    sources: list[KeySource] = []
    for index, spec in enumerate(plain.texts(entry.get("balance_key", []), f"{place}.balance_key")):
        try:
            sources.append(parse_key(spec))
        except KeySpecError as error:
            raise plain.PlainError(f"{place}.balance_key[{index}]", f"{error}") from error
        if sources[-1].needs_body:
            raise plain.PlainError(f"{place}.balance_key[{index}]", "looks into the body")
    return KeyReader(sources) if sources else None


def _read_ejection(value: object, place: str) -> EjectionSpec:
    if value is None:
        return NO_EJECTION
    entry = plain.mapping(value, place)
    return EjectionSpec(
        plain.integer(entry.get("failures", 0), f"{place}.failures"),
        plain.number(entry.get("base", 5.0), f"{place}.base"),
        plain.number(entry.get("longest", 300.0), f"{place}.longest"),
        plain.number(entry.get("share", 0.5), f"{place}.share", most=1.0),
        plain.number(entry.get("panic", 0.0), f"{place}.panic", most=1.0),
    )


def _read_queue(entry: Mapping[str, object], place: str) -> QueueSpec | None:
    concurrency = plain.integer(entry.get("concurrency", 0), f"{place}.concurrency")
    if not concurrency:
        return None
    queue = plain.mapping(entry.get("queue", {}), f"{place}.queue")
    return QueueSpec(
        concurrency,
        plain.integer(queue.get("length", 0), f"{place}.queue.length"),
        plain.number(queue.get("time", 1.0), f"{place}.queue.time"),
    )


def _read_endpoint(value: object, place: str, tls: ClientTls) -> EndpointSpec:
    entry = plain.mapping(value, place)
    url = plain.text(plain.required(entry, "url", place), f"{place}.url")
    weight = plain.integer(entry.get("weight", 1), f"{place}.weight", least=1)
    if url.startswith("unix:/"):
        return EndpointSpec("", 0, weight, None, url.removeprefix("unix:"))
    secure = url.startswith("https://")
    authority = url.removeprefix("https://" if secure else "http://").removesuffix("/")
    host, colon, port = authority.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    if authority == url or not (colon and host) or not 0 < number < 65536:
        raise plain.PlainError(f"{place}.url", f"{url!r} is not http://host:port")
    host = host.removeprefix("[").removesuffix("]")
    return EndpointSpec(host, number, weight, tls if secure else None)
