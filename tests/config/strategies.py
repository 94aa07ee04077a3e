"""Hypothesis strategies for configurations that are valid, in the forms that people write."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from config.routes import DEFAULT_FAILURE
from config.schema import Config

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
# Nothing that YAML cannot hold: no surrogates, no control characters.
texts = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cn"]), max_size=20)
durations = st.one_of(
    st.integers(0, 1000),
    st.floats(0, 1e6),
    st.builds(
        lambda count, unit: f"{count}{unit}",
        st.integers(1, 300),
        st.sampled_from(["us", "ms", "s", "m", "h"]),
    ),
)
positive_durations = durations.filter(lambda value: value not in (0, 0.0) and value != 0)
shares = st.one_of(
    st.floats(0.0001, 1.0),
    st.integers(1, 10000).map(lambda hundredths: f"{hundredths // 100}.{hundredths % 100:02d}%"),
)
sizes = st.one_of(
    st.integers(0, 2**40), st.builds(lambda n: f"{n}KiB", st.integers(0, 2**20)), st.just("1.5MB")
)
urls = st.builds(
    lambda host, port: f"http://{host}:{port}",
    st.sampled_from(["127.0.0.1", "[::1]", "model.example", "LOCALHOST"]),
    st.integers(1, 65535),
)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def optional(**entries: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any part of the entries."""
    return st.fixed_dictionaries({}, optional=entries)


endpoints = st.lists(
    st.one_of(urls, st.fixed_dictionaries({"url": urls}, optional={"weight": st.integers(1, 1000)})),
    min_size=1,
    max_size=3,
    unique_by=lambda entry: str(entry if isinstance(entry, str) else entry["url"]).lower(),
)
upstreams = st.fixed_dictionaries(
    {"endpoints": endpoints},
    optional={
        "release": texts,
        "balance": st.sampled_from(["round_robin", "least_in_flight"]),
        "timeouts": optional(
            connect=positive_durations,
            first_byte=durations,
            stream_idle=durations,
            total=durations,
            upstream_idle=positive_durations,
        ),
    },
)
matches = st.one_of(
    optional(host=st.sampled_from(["a.example", "*.b.example", "[::1]"]), path=st.just("/exact")),
    optional(path_regex=st.just("^/v[12]/"), methods=st.just(["GET", "POST"])),
    optional(
        path_prefix=st.sampled_from(["/", "/v2", "/a%20b"]),
        headers=st.dictionaries(
            st.sampled_from(["x-a", "x-b"]), st.one_of(texts, st.just(True), st.just({"regex": "^g"}))
        ),
    ),
)
steps = st.lists(shares, min_size=1, max_size=5).map(
    lambda weights: sorted({_as_number(weight) for weight in weights})
)
rollouts = optional(
    enabled=st.booleans(),
    preset=st.sampled_from(["conservative", "balanced", "aggressive"]),
    steps=st.one_of(
        steps,
        st.just([{"weight": "5%", "duration": "1m", "requests": 10, "approval": "manual"}, "50%"]),
        st.just([{"linear": {"from": "10%", "to": "100%", "count": 4}}]),
        st.just([{"geometric": {"from": "1%", "to": "30%", "factor": 2.5}, "requests": 5}]),
    ),
    guardrails=st.lists(
        st.fixed_dictionaries({"kind": names}, optional={"max": plain_values, "mode": st.just("warn")}),
        max_size=2,
    ),
    alpha=st.floats(0.001, 0.5),
    interval=positive_durations,
    duration=durations,
    requests=st.integers(0, 10**9),
    expiry=durations,
    on_expiry=st.sampled_from(["hold", "rollback"]),
    error_rate_threshold=shares,
    latency_threshold_multiplier=st.floats(1, 1000),
)
own_keys = st.dictionaries(
    st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda key: key != "kind"), plain_values, max_size=3
)
splits = st.builds(lambda kind, own: {"kind": kind, **own}, names, own_keys)


@st.composite
def routes(draw: st.DrawFn, known: list[str]) -> list[dict[str, Any]]:
    """Routes whose names differ; the last may take everything."""
    found = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        route = draw(
            optional(
                failure=st.lists(st.sampled_from(DEFAULT_FAILURE), unique=True).map(list),
                divert=optional(failures=st.integers(1, 100), probe_interval=positive_durations),
                timeouts=optional(connect=positive_durations, request_body_idle=durations),
                retries=optional(attempts=st.integers(0, 10)),
                override=st.fixed_dictionaries(
                    {"allow": st.lists(names, min_size=1, max_size=2, unique=True)}
                ),
            )
        )
        route["name"] = name
        route["match"] = {**draw(matches), "methods": ["PUT"]}
        if draw(st.booleans()):
            route["upstream"] = draw(st.sampled_from(known))
        else:
            route["split"] = draw(splits)
            if draw(st.booleans()):
                route["rollout"] = draw(rollouts)
        found.append(route)
    if draw(st.booleans()):
        del found[-1]["match"]
    return found


@st.composite
def plain_configs(draw: st.DrawFn) -> dict[str, Any]:
    """Plain values that make a valid configuration."""
    found = draw(
        optional(
            workers=st.one_of(st.integers(1, 256), st.just("auto")),
            state=st.builds(lambda text: {"directory": text}, texts.filter(bool)),
            timeouts=optional(connect=positive_durations, total=durations, drain=durations),
            limits=optional(body_bytes=sizes, headers=st.integers(1, 10000)),
            headers=optional(variant=st.sampled_from(["", "x-arm"]), forwarded=st.just("replace")),
            startup=optional(upstream_wait=durations, require_upstreams=st.booleans()),
        )
    )
    ports = draw(st.lists(st.integers(1, 65535), min_size=2, max_size=3, unique=True))
    hosts = st.sampled_from(["127.0.0.1", "0.0.0.0", "[::1]", ""])
    found["listeners"] = [{"bind": f"{draw(hosts)}:{port}"} for port in ports[1:]]
    found["admin"] = {"bind": f"127.0.0.1:{ports[0]}"}
    if draw(st.booleans()):
        found["admin"]["tokens"] = [{"name": "alice", "sha256": "ab" * 32, "role": "admin"}]
    found["upstreams"] = draw(st.dictionaries(names, upstreams, min_size=1, max_size=3))
    found["routes"] = draw(routes(list(found["upstreams"])))
    return found


configs = plain_configs().map(Config.from_json)


def _as_number(share: float | str) -> float:
    return float(share.removesuffix("%")) / 100 if isinstance(share, str) else share
