"""What a route does not ask for costs its requests no call, and the path of a plain request stays short."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from benchmarks.micro.bench_exchange import SAME, first_table, make_worker, run
from proxy.splits.load import load_all
from proxy.wire.grammar import COMPILED

pytestmark = pytest.mark.skipif(COMPILED, reason="calls of compiled code are not seen by a profile function")

PROXY = Path(__file__).resolve().parents[2] / "proxy"
EXCHANGES = 20
# Of Python functions, from the first byte of a request on a pooled connection to the last of its answer.
CALLS_MAX = 21
# What no module of may be called for a route that does not ask for it, and a change of the table that asks.
FEATURES: dict[str, Callable[[dict[str, Any]], object]] = {
    "admission.py": lambda table: [
        upstream.update(concurrency=9, queue={"length": 9, "time": 1.0}) for upstream in table["upstreams"]
    ],
    "rewriting.py": lambda table: [
        upstream.update(rewrite={"add": {"x-a": "b"}}) for upstream in table["upstreams"]
    ],
    "override.py": lambda table: table["routes"][0].update(
        override={"header": "x-variant", "values": {"canary": 2}}
    ),
    "request.py": lambda table: table["routes"][0].update(
        override={"header": "x-variant", "values": {"canary": 2}}
    ),
    "keys.py": lambda table: table["routes"][0]["split"].update(key=["cookie:a"]),
    "meters.py": lambda table: table["routes"][0].update(
        metrics=[{"name": "score", "source": "header:x-score", "low": 0.0, "high": 1.0}]
    ),
    "streams/watch.py": lambda table: table["routes"][0].update(streams={"format": "openai", "stall": 9.0}),
    "shadow/mirror.py": lambda table: table["routes"][0].update(
        # Looks at each request and copies none: no loop runs here that could connect.
        shadows=[{"name": "next", "arm": 1, "reference": [0], "methods": ["PUT"]}]
    ),
    # By path alone the route of a target is remembered.
    "match.py": lambda table: table["routes"][0].update(match={"headers": {"x-tenant": "gold"}}),
    "target.py": lambda table: table["routes"][0].update(
        match={"path_prefix": "/v2", "headers": {"x-tenant": "gold"}}
    ),
    "splits/layers.py": lambda table: table["routes"][0]["split"].update(
        layer={"name": "all", "from": 0.0, "to": 1.0}
    ),
    "divert.py": lambda table: table["routes"][0].update(
        divert={"arm": 2, "fallback": 0, "failures": 6, "probe_interval": 1.0, "recover": 3}
    ),
}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that never runs: an exchange needs none."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


def called(folder: Path, loop: asyncio.AbstractEventLoop, table: dict[str, Any]) -> Counter[str]:
    """How often a function of each module was called for one exchange by this table, on the average."""
    load_all()
    worker = make_worker(folder, loop, table)
    run(worker, EXCHANGES, SAME)
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: object) -> None:
        del argument
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(f"{PROXY}/"):
            calls[path.removeprefix(f"{PROXY}/")] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run(worker, EXCHANGES, SAME)
    finally:
        sys.setprofile(before)
    return calls


def plain_table() -> dict[str, Any]:
    """A sticky canary split and counters, and nothing else."""
    table = first_table()
    table["routes"][0]["divert"] = None
    return table


def test_a_plain_route_calls_no_module_of_what_it_does_not_use(
    tmp_path: Path, loop: asyncio.AbstractEventLoop
) -> None:
    """None of the features is called, nor anything else that only failures or few routes need."""
    calls = called(tmp_path, loop, plain_table())

    assert not set(calls) & set(FEATURES), calls
    assert not set(calls) & {"retrying.py", "ejection.py", "pace.py", "tokens.py", "held.py", "answers.py"}
    assert not [path for path in calls if path.startswith(("shadow/", "streams/", "balancers/"))]
    assert sum(calls.values()) <= (CALLS_MAX + 1) * EXCHANGES, calls


@pytest.mark.parametrize("module", FEATURES)
def test_a_feature_that_is_asked_for_is_seen(
    tmp_path: Path, loop: asyncio.AbstractEventLoop, module: str
) -> None:
    """The same look finds the feature's module as soon as a route has use for it."""
    table = plain_table()
    FEATURES[module](table)

    assert called(tmp_path, loop, table)[module] > 0
