"""What a tick over many rollouts costs: a thousand arms with ten guardrails, all of whose counts have grown.

Prints seconds of CPU time as JSON: taking in all counts with every bet on harm compared with its threshold, a
whole tick with its share of analyses, and for comparison looks one by one.

    python -m benchmarks.micro.bench_tick [ROLLOUTS]
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import Any, Final

import numpy as np

from control.counts import CELLS, SCALARS, ArmKey, Counts
from control.evidence import Evidence
from control.judge import Case, by_route, judge, stages_of, take_in
from control.looks import Looks
from control.plan import RolloutPlan
from control.records import Record
from control.rollout import Rollout, State
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES, Outcome

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
        outcomes, total = len(SCALARS), len(SCALARS) + OUTCOMES
        for name, value in (("started", n), ("finished", n), ("failed", failed)):
            cells[..., SCALARS.index(name)] += value
        cells[..., outcomes + Outcome.OK] += n - failed
        cells[..., outcomes + Outcome.UPSTREAM_5XX] += failed
        for at, centre, width, last in (
            (total, 140, 10, BUCKETS - 1),
            (total + BUCKETS, 130, 10, BUCKETS - 1),
            (CELLS - 4 * 128 + 4, 60, 15, 123),
        ):
            places = np.clip(rng.normal(centre, width, (*shape, REQUESTS)), 0, last).astype(np.int64)
            for request in range(REQUESTS):
                np.add.at(cells, (*np.indices(shape), at + places[..., request]), 1)
        cells[..., CELLS - 4 * 128] += REQUESTS

    def totals(self, records: list[Record]) -> dict[ArmKey, Counts]:
        """As the collector gives them."""
        return {
            ArmKey(record.rollout.route, role, role, record.stage): Counts(cells=self._cells[i, arm].copy())
            for i, record in enumerate(records)
            for arm, role in enumerate(("canary", "control"))
        }


def main() -> None:
    """Measure and print."""
    rollouts = int(sys.argv[1]) if len(sys.argv) > 1 else ROLLOUTS
    plan = RolloutPlan.from_config({"guardrails": GUARDRAILS}, metrics=[METRIC])
    records = [_record(i, plan) for i in range(rollouts)]
    traffic, looks = Traffic(rollouts), Looks()
    counting: list[float] = []
    ticks: list[float] = []
    for second in range(WARM + MEASURED):
        now = float(second)
        traffic.second()
        totals = traffic.totals(records)
        if second < WARM:
            found = take_in(_cases(records, totals), now)
            records = [replace(record, evidence=one) for record, one in zip(records, found, strict=True)]
            continue
        began = time.process_time()
        take_in(_cases(records, totals), now)
        counting.append(time.process_time() - began)
        in_force = {record.rollout.route: record for record in records}
        began = time.process_time()
        looked = looks.look(looks.take_due(in_force, now), totals, now)
        ticks.append(time.process_time() - began)
        in_force |= {record.rollout.route: judged.record for record, _, judged in looked if judged}
        looks.note(looked, in_force)
        records = list(in_force.values())
    began = time.process_time()
    for record in records[:ONE_BY_ONE]:
        stages = stages_of(record, by_route(totals)[record.rollout.route])
        judge(record, stages, changed={stages[-1].stage}, now=now + 1.0)
    alone = (time.process_time() - began) / ONE_BY_ONE
    print(
        json.dumps(
            {
                "unit": "seconds of CPU time",
                "rollouts": rollouts,
                "guardrails": len(plan.guardrails),
                "bets": len(plan.processes),
                "taking_in": round(float(np.median(counting)), 3),
                "taking_in_longest": round(max(counting), 3),
                "tick": round(float(np.median(ticks)), 3),
                "tick_longest": round(max(ticks), 3),
                "one_by_one": round(alone * rollouts, 3),
                "looks_postponed": looks.postponed,
                "analyses_a_tick": rollouts - round((looks.put_off + looks.postponed) / MEASURED),
            },
            indent=2,
        )
    )


def _cases(records: list[Record], totals: dict[ArmKey, Counts]) -> list[Case]:
    found, counted = [], by_route(totals)
    for record in records:
        stages = stages_of(record, counted[record.rollout.route])
        found.append(Case(record=record, stages=stages, changed={stages[-1].stage}))
    return found


def _record(number: int, plan: RolloutPlan) -> Record:
    route = f"route-{number}"
    return Record(
        rollout=Rollout(
            id=f"{route}-{number:08d}",
            route=route,
            stable="stable",
            canary="canary",
            created_at=0.0,
            state=State.PROGRESSING,
        ),
        plan=plan,
        evidence=Evidence.empty(),
        evidence_from=0,
        identity="",
        subject="",
        release="",
        config_digest="",
        control="control",
    )


if __name__ == "__main__":
    main()
