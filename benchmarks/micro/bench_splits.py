"""Time to find a route, an arm and an endpoint: `python -m benchmarks.micro.bench_splits`; prints JSON.

Each split is asked through `Route.assign` with views made beforehand, on heads of ten header lines; making a
view is timed apart. The least time over the rounds counts.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from config.load import load_text
from proxy import table as table_module
from proxy.balance import make_balancer
from proxy.balancers.base import Balancer
from proxy.compile import compile_table
from proxy.endpoint import Endpoint, EndpointRegistry
from proxy.request import RequestView
from proxy.table import Route, RoutingTable

HEADS = 256
BODY = b'{"id": "x", "user": {"id": "u%d"}, "inputs": [{"name": "a", "data": [1, 2, 3, 4, 5, 6, 7, 8]}]}'
CONFIG = """
listeners: [{bind: "127.0.0.1:0"}]
upstreams:
  v1: {endpoints: ["http://127.0.0.1:9001", "http://127.0.0.1:9002", "http://127.0.0.1:9003"]}
  v2:
    endpoints: [{url: "http://127.0.0.1:9004", weight: 2}, "http://127.0.0.1:9005"]
    balance: least_in_flight
routes:
  - {name: direct, match: {host: a.example}, upstream: v1}
  - {name: random, match: {host: b.example}, split: {kind: random, variants: {v1: 9, v2: 91}}}
  - {name: percentage, match: {host: c.example}, split: {kind: percentage, variants: {v1: 95, v2: 5}}}
  - {name: hash-header, match: {path: /a}, split: {kind: hash, variants: {v1: 9, v2: 91}, key: header:x-user}}
  - {name: hash-cookie, match: {path: /b}, split: {kind: hash, variants: {v1: 9, v2: 91}, key: "cookie:uid"}}
  - {name: hash-query, match: {path: /c}, split: {kind: hash, variants: {v1: 9, v2: 91}, key: "query:user"}}
  - {name: hash-path, match: {path: /d}, split: {kind: hash, variants: {v1: 9, v2: 91}, key: "path:2"}}
  - {name: hash-json, match: {path: /e}, split: {kind: hash, variants: {v1: 5, v2: 95}, key: "json:/user/id"}}
  - name: canary-header
    match: {path_prefix: /v1, headers: {x-tenant: gold}}
    split: {kind: canary, stable: v1, canary: v2, weight: 5%, key: header:x-user}
  - name: canary-header-and-override
    match: {path_regex: "^/v3/"}
    split: {kind: canary, stable: v1, canary: v2, weight: 5%, key: header:x-user}
    override: {allow: [v1, v2]}
  - name: canary-address
    match: {path_prefix: /v2}
    split: {kind: canary, stable: v1, canary: v2, weight: 5%}
"""


def head(number: int) -> tuple[bytes, int]:
    """A POST as of a model client, and where its header lines begin."""
    line = b"POST /v2/models/m%d/infer?user=%d HTTP/1.1\r\n" % (number % 9, number)
    fields = [
        b"Host: 127.0.0.1:8080",
        b"User-Agent: bench/%d" % number,
        b"Accept: application/json",
        b"Content-Type: application/json",
        b"Content-Length: 512",
        b"X-Trace: %032x" % (number * 7919),
        b"X-Session: %016x" % (number * 104729),
        b"Authorization: Bearer %064x" % number,
        b"Cookie: a=b; uid=%09d" % number,
        b"X-User: u%08d" % number,
    ]
    return line + b"\r\n".join(fields) + b"\r\n\r\n", len(line)


def view(number: int) -> RequestView:
    """A view on such a request, of which nothing has been looked at."""
    data, start = head(number)
    target = data[5 : start - 11]
    body = BODY % number
    return RequestView(data, start, len(data) - 2, b"POST", target, b"127.0.0.1:8080", b"192.0.2.7", body)


def best(function: Callable[[Any], object], make: Callable[[], Sequence[Any]], rounds: int) -> int:
    """Nanoseconds per call, the least over the rounds: what neighbours on a shared core took is not ours."""
    least = float("inf")
    for _ in range(rounds):
        inputs = make()
        start = time.perf_counter_ns()
        for value in inputs:
            function(value)
        least = min(least, time.perf_counter_ns() - start)
    return round(least / HEADS)


def cases(table: RoutingTable) -> Iterator[tuple[str, Callable[[Any], object], Callable[[], Sequence[Any]]]]:
    """What is timed: a name, a function, and its inputs."""
    numbers = list(range(HEADS))
    fresh = [view(number) for number in numbers]
    fields = [(v.method, v.target, v.host, v.data, v.line_end, v.end) for v in fresh]

    def views() -> list[RequestView]:
        return [RequestView(d, s, e, m, t, h, b"192.0.2.7", BODY) for m, t, h, d, s, e in fields]

    def assign(route: Route) -> Callable[[RequestView], object]:
        return route.assign

    yield "nothing (the cost of the loop)", len, lambda: [f[3] for f in fields]
    yield "new view", lambda f: RequestView(f[3], f[4], f[5], f[0], f[1], f[2], b"192.0.2.7"), lambda: fields
    yield "match, the last of 11 routes", lambda f: table.match(*f), lambda: fields
    for route in table.routes:
        yield f"assign, {route.name}", assign(route), views
    for name, upstream in (("round_robin", table.upstreams[0]), ("least_in_flight", table.upstreams[1])):
        balancer = make_balancer(name)
        balancer.prepare(upstream.live)
        live = upstream.live
        yield f"pick, {name}", partial(pick, balancer, live), lambda: numbers


def pick(balancer: Balancer, endpoints: list[Endpoint], _: int) -> Endpoint:
    """An endpoint for one request."""
    return balancer.pick(endpoints)


def main() -> int:
    """Time every case and print nanoseconds per call."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro.bench_splits", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="rounds per case, the least time counts")
    options = parser.parse_args()
    config = load_text(CONFIG, file="bench.yaml", environ={}).config
    table = RoutingTable.from_json(compile_table(config, revision=1, states={}))
    EndpointRegistry().adopt(table)
    results = {name: best(function, make, options.rounds) for name, function, make in cases(table)}
    compiled = not str(table_module.__file__).endswith(".py")
    report = {"compiled": compiled, "python": sys.version.split()[0], "nanoseconds": results}
    json.dump(report, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
