"""What a tick over many rollouts costs: a thousand arms with ten guardrails, all of whose counts have grown.

Prints seconds of CPU time as JSON: merging a report of all counts, taking them in with every bet on harm
compared with its threshold, a whole tick of the control loop with its analyses and its transaction on SQLite,
and for comparison looks one by one.

    python -m benchmarks.micro.bench_tick [ROLLOUTS]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from config.schema import Config
from control.counts import CELLS, SCALARS, ArmKey, Counts
from control.garbage import collect_seldom
from control.judge import Case, by_route, judge, stages_of, take_in
from control.reports import Report, ReportedArm
from control.rollout.records import Record
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES, Outcome
from tests.helpers.control import FakeClock, configure, plane_on

ROLLOUTS: Final = 1000
WARM: Final = 70
MEASURED: Final = 11
REQUESTS: Final = 50
ONE_BY_ONE: Final = 20
METRIC: Final = {"name": "score", "source": "json:/score", "range": [0, 1]}
GUARDRAILS: Final[list[dict[str, Any]]] = [
    {"kind": "error_rate_rise"},
    {"kind": "error_rate", "max": "5%"},
    {"kind": "latency_ratio"},
    {"kind": "first_byte_ratio"},
    {"kind": "latency_ratio", "name": "tail", "max": 2, "quantiles": ["p99"]},
    {"kind": "metric", "metric": "score", "direction": "lower_is_worse", "tolerance": 0.02},
    {"kind": "sample_ratio"},
    {"kind": "retry_share"},
    {"kind": "client_abort_share"},
    {"kind": "override_share"},
]


class Traffic:
    """Counts of both arms of many rollouts that grow by about fifty requests a second each."""

    def __init__(self, rollouts: int) -> None:
        self._rng = np.random.default_rng(1)
        self._cells = np.zeros((rollouts, 2, CELLS), dtype=np.int64)

    def second(self) -> None:
        """Let one more second pass."""
        rng, cells = self._rng, self._cells
        shape = cells.shape[:2]
        n = rng.poisson(REQUESTS, shape)
        failed = rng.binomial(n, 0.01)
        metric = int(Counts(cells=np.arange(CELLS)).metrics[0, 0])
        outcomes, total = len(SCALARS), len(SCALARS) + OUTCOMES
        for name, value in (("started", n), ("finished", n), ("failed", failed)):
            cells[..., SCALARS.index(name)] += value
        cells[..., outcomes + Outcome.OK] += n - failed
        cells[..., outcomes + Outcome.UPSTREAM_5XX] += failed
        for at, centre, width, last in (
            (total, 140, 10, BUCKETS - 1),
            (total + BUCKETS, 130, 10, BUCKETS - 1),
            (metric + 4, 60, 15, 123),
        ):
            places = np.clip(rng.normal(centre, width, (*shape, REQUESTS)), 0, last).astype(np.int64)
            for request in range(REQUESTS):
                np.add.at(cells, (*np.indices(shape), at + places[..., request]), 1)
        cells[..., metric] += REQUESTS

    def report(self, records: Sequence[Record], sequence: int) -> Report:
        """As a node sends it."""
        arms = tuple(
            ReportedArm(
                key=ArmKey(record.rollout.route, variant, role, record.stage),
                counts=Counts(cells=self._cells[i, arm].copy()),
                diverted_now=False,
            )
            for i, record in enumerate(records)
            for arm, (variant, role) in enumerate((("v2", "canary"), ("v1", record.control)))
        )
        return Report(node="node", boot="boot", sequence=sequence, revision=1, arms=arms, final=False)


async def measure(rollouts: int, folder: Path) -> dict[str, Any]:
    """Seconds of CPU time of the parts of a tick."""
    clock = FakeClock()
    seconds: dict[str, list[float]] = {"collecting": [], "taking_in": [], "tick": []}
    async with plane_on(folder / "db", clock) as plane:
        await configure(plane, _configuration(rollouts))
        await plane.loop.tick()
        traffic, looks = Traffic(rollouts), plane.loop.looks
        waited = (0, 0)
        for second in range(WARM + MEASURED):
            clock.now += 1.0
            traffic.second()
            records = list(plane.ledger.records.values())
            report = traffic.report(records, second)
            if second == WARM:
                waited = (looks.postponed, looks.put_off)
            spent = dict.fromkeys(seconds, 0.0)
            began = time.process_time()
            await plane.controller.take(report)
            spent["collecting"] = time.process_time() - began
            began = time.process_time()
            if second >= WARM:
                take_in(_cases(records, plane.ledger.collector.totals()), clock.now)
            spent["taking_in"] = time.process_time() - began
            began = time.process_time()
            await plane.loop.tick()
            spent["tick"] = time.process_time() - began
            if second >= WARM:
                for name, value in spent.items():
                    seconds[name].append(value)
        plan = records[0].plan
        found: dict[str, Any] = {
            "rollouts": rollouts,
            "guardrails": len(plan.guardrails),
            "bets": len(plan.processes),
        }
        for name, each in seconds.items():
            found |= {name: round(float(np.median(each)), 3), f"{name}_longest": round(max(each), 3)}
        began = time.process_time()
        for record in records[:ONE_BY_ONE]:
            stages = stages_of(record, by_route(plane.ledger.collector.totals())[record.rollout.route])
            judge(record, stages, changed={stages[-1].stage}, now=clock.now + 1.0)
        alone = (time.process_time() - began) / ONE_BY_ONE
        postponed, put_off = looks.postponed - waited[0], looks.put_off - waited[1]
        return found | {
            "one_by_one": round(alone * rollouts, 3),
            "taken_in_a_tick": rollouts - round(postponed / MEASURED),
            "analyses_a_tick": rollouts - round((put_off + postponed) / MEASURED),
        }


def main() -> None:
    """Measure and print."""
    rollouts = int(sys.argv[1]) if len(sys.argv) > 1 else ROLLOUTS
    collect_seldom()
    with TemporaryDirectory() as folder:
        found = asyncio.run(measure(rollouts, Path(folder)))
    print(json.dumps({"unit": "seconds of CPU time"} | found, indent=2))


def _cases(records: Sequence[Record], totals: dict[ArmKey, Counts]) -> list[Case]:
    found, counted = [], by_route(totals)
    for record in records:
        stages = stages_of(record, counted[record.rollout.route])
        found.append(Case(record=record, stages=stages, changed={stages[-1].stage}))
    return found


def _configuration(rollouts: int) -> Config:
    # One long step, so that nothing is decided while it is measured.
    rollout = {"steps": ["30%", "60%"], "duration": "24h", "expiry": 0, "guardrails": GUARDRAILS}
    split = {"kind": "canary", "stable": "v1", "canary": "v2"}
    return Config.from_json(
        {
            "listeners": [{"bind": "127.0.0.1:0"}],
            "upstreams": {
                "v1": {"endpoints": ["http://127.0.0.1:9001"]},
                "v2": {"endpoints": ["http://127.0.0.1:9002"]},
            },
            "routes": [
                {
                    "name": f"route-{number}",
                    "match": {"path_prefix": f"/{number}/"},
                    "split": split,
                    "metrics": [METRIC],
                    "rollout": rollout,
                }
                for number in range(rollouts)
            ],
        }
    )


if __name__ == "__main__":
    main()
