"""One exchange without a kernel, whose request is copied to a shadow or not: see `bench_exchange`.

`python -m benchmarks.micro.bench_copies [none|copied|compared]`; all three without an argument.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from benchmarks.micro.bench_exchange import BODY, REQUEST, RESPONSE, Sink, make_worker
from proxy.downstream import Downstream
from proxy.shadow.connection import ShadowConnection
from proxy.splits.load import load_all
from proxy.upstream import UpstreamConnection
from proxy.wire.grammar import COMPILED
from proxy.worker import Worker
from tests.helpers.dataplane import route, table

# As many requests as come in one turn of a busy loop; their copies go out together in the next one.
TURN = 16
TURNS = 1_250
ROUNDS = 5
ANSWER = RESPONSE % 0
FORMS = ("none", "copied", "compared")


def table_of(form: str) -> dict[str, Any]:
    """A sticky canary split whose requests are all copied, or none of them."""
    split = {"kind": "canary", "arms": [1, 0], "weights": [0.1, 0.9], "salt": "s", "epoch": 1}
    split |= {"key": ["header:x-user-id"], "default_key": None}
    arms = [("r", "v1", "stable", "v1"), ("r", "v2", "canary", "v2"), ("r", "next", "shadow", "next")]
    compare = {"share": 1.0 if form == "compared" else 0.0, "capture": 65536, "rules": {}}
    entry = {"name": "next", "arm": 2, "reference": [0, 1], "lag": 0.0, "compare": compare}
    shadows = [] if form == "none" else [entry]
    return table({"v1": 9, "v2": 10, "next": 11}, [route("r", split, shadows=shadows)], arms=arms)


def run(worker: Worker, turns: int) -> float:
    """Push requests through one turn after the other; return seconds of CPU time per request."""
    downstreams = [Downstream(worker) for _ in range(TURN)]
    for downstream in downstreams:
        downstream.connection_made(cast(asyncio.Transport, Sink()))
    for upstream in worker.live.table.upstreams[:2]:
        pool = upstream.live[0].pool
        assert pool is not None
        pool.idle.clear()
        for _ in range(TURN):
            connection = UpstreamConnection(worker, pool)
            connection.connection_made(cast(asyncio.Transport, Sink()))
            pool.idle.append(connection)
    shadows = worker.shadows
    mirrored: list[ShadowConnection] = []
    for mirror in shadows.mirrors.values():
        lane = mirror.lanes[0]
        lane.idle.clear()
        for _ in range(TURN):
            copying = ShadowConnection(lane)
            copying.connection_made(cast(asyncio.Transport, Sink()))
            lane.give_back(copying)
            mirrored.append(copying)
    heads = [REQUEST % (n, n) + BODY for n in range(TURN)]
    begin = time.process_time()
    for _ in range(turns):
        for downstream, head in zip(downstreams, heads, strict=True):
            downstream.data_received(head)
        if mirrored:
            shadows.send()
        for downstream in downstreams:
            relay = downstream.relay
            assert relay is not None
            relay.connection.data_received(ANSWER)  # type: ignore[union-attr]
        for copying in mirrored:
            copying.data_received(ANSWER)
    taken = (time.process_time() - begin) / (turns * TURN)
    for mirror in shadows.mirrors.values():
        assert mirror.in_flight == mirror.memory == 0
    return taken


def main(forms: list[str]) -> None:
    """Print the best of a few rounds of each form as JSON."""
    load_all()
    loop = asyncio.new_event_loop()
    figures: dict[str, Any] = {"compiled": COMPILED}
    with tempfile.TemporaryDirectory() as folder:
        for form in forms or FORMS:
            place = Path(folder, form)
            place.mkdir()
            worker = make_worker(place, loop, table_of(form))
            figures[form] = round(min(run(worker, TURNS) for _ in range(ROUNDS)) * 1e6, 2)
    loop.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
