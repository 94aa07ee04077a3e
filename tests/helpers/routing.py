"""Requests, arms and splits for tests of routing, built without sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.load import Loaded, load_text
from proxy.arms import Arm, EndpointSpec, UpstreamSpec
from proxy.request import RequestView
from proxy.settings import TIMEOUTS, Timeouts
from proxy.splits.base import Before, Split
from proxy.splits.load import load_all
from proxy.splits.spec import SplitSpec

UPSTREAMS = ["v1", "v2", "v3", "v4", "v5"]


def view(
    *lines: bytes,
    method: bytes = b"GET",
    target: bytes = b"/",
    host: bytes = b"example.org",
    client: bytes = b"192.0.2.1",
    body: bytes | None = None,
) -> RequestView:
    """A request with these header lines, as the scan of a head leaves it."""
    first = b"%b %b HTTP/1.1\r\n" % (method, target)
    data = first + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    return RequestView(data, len(first), len(data) - 2, method, target, host, client, body)


def user(name: str | int) -> RequestView:
    """A request of one user, named in a header."""
    return view(b"X-User: %b" % str(name).encode())


def arms_of(spec: SplitSpec) -> list[Arm]:
    """An arm for each variant of a split."""
    return [
        Arm(
            index,
            index + 1,
            "route",
            variant.upstream,
            variant.role,
            UpstreamSpec(index, variant.upstream, "", "round_robin", [EndpointSpec("127.0.0.1", 1, 1)], {}),
            "stage",
            Timeouts(TIMEOUTS),
        )
        for index, variant in enumerate(spec.variants)
    ]


def spec_of(kind: str, /, **params: object) -> SplitSpec:
    """A checked split of this kind."""
    load_all()
    return Split.kinds[kind].from_config(params, UPSTREAMS)


def split_of(
    kind: str,
    /,
    *,
    epoch: int = 1,
    at: float | None = None,
    before: Before | None = None,
    **params: Any,
) -> Split:
    """A split ready to choose, through the form it has in a table; `at` is the weight of its canary."""
    spec = spec_of(kind, **params)
    split = Split.kinds[kind]
    if at is not None:
        spec = split.reweigh(spec, at)
    salt = spec.salt or split.default_salt(spec, "route", {})
    entry = split.compile(spec, range(len(spec.variants)), salt, epoch, before)
    return split.from_table(entry, arms_of(spec), "split")


def entry_of(kind: str, /, *, before: Before | None = None, **params: object) -> Before:
    """The table entry of a split, as its successor gets to see it."""
    spec = spec_of(kind, **params)
    salt = spec.salt or "salt"
    entry = Split.kinds[kind].compile(spec, range(len(spec.variants)), salt, 1, before)
    return Before(entry, [variant.upstream for variant in spec.variants])


def chosen(split: Split, keys: Sequence[str | int]) -> list[str]:
    """Who gets each key: the upstream's name, with the role where two arms share an upstream."""
    return [name_of(split.choose(user(key))) for key in keys]


def name_of(arm: Arm) -> str:
    """`v1` for most arms, `v1/control` for the slice that is cut from stable."""
    return f"{arm.variant}/control" if arm.role == "control" else arm.variant


def load_routes(routes: str, *, upstreams: Mapping[str, str] | None = None, top: str = "") -> Loaded:
    """A configuration with these routes (YAML, indented by two) and upstreams v1 to v5."""
    lines = ["listeners: [{bind: '127.0.0.1:0'}]", "upstreams:"]
    for number, name in enumerate(UPSTREAMS):
        extra = (upstreams or {}).get(name, "")
        lines.append(
            f"  {name}: {{endpoints: ['http://127.0.0.1:{9001 + number}'], release: 'm:{name}'{extra}}}"
        )
    text = "\n".join([*lines, top, "routes:", routes])
    return load_text(text, file="headgate.yaml", environ={})


def plain_table(**changes: Any) -> dict[str, Any]:
    """A small plain table: one route, one arm."""
    table: dict[str, Any] = {
        "revision": 1,
        "config_digest": "sha256:0",
        "timeouts": {},
        "limits": {},
        "headers": {},
        "upstreams": [{"name": "v1", "endpoints": [{"url": "http://127.0.0.1:9001"}]}],
        "arms": [
            {"route": "all", "variant": "v1", "role": "stable", "upstream": 0, "stage": "s0", "slot": 1}
        ],
        "routes": [
            {"name": "all", "match": {}, "failure": ["reset"], "split": {"kind": "direct", "arms": [0]}}
        ],
    }
    return table | changes
