"""What evidence costs: one bet on one block, one metric and block, one whole look at a rollout.

Prints microseconds of CPU time as JSON; the best of several rounds, as the others measure the neighbours.

    python -m benchmarks.micro.bench_stats
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from control.judgement.analysis import analyse
from control.judgement.evidence import Evidence
from control.plans.plan import RolloutPlan
from control.stats.affine import Safe
from control.stats.events import FAILURE
from control.stats.hypergeometric import log_mgf_exact
from control.stats.logspace import log_sum_exp
from control.stats.looseness import margins
from control.stats.mixture import ODDS, PSI
from control.stats.process import HarmProcess
from control.stats.wealth import Caution, Wealth
from tests.control.feeding import Feeder

ROUNDS = 7
DEFAULT_PLAN = RolloutPlan.from_config()


def microseconds(work: Callable[[], object], times: int = 300) -> float:
    """CPU time of one call in the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - began) / times)
    return round(best * 1e6, 2)


def look(plan: RolloutPlan) -> dict[str, float]:
    """Observation and analysis of a rollout in its middle, a hundred requests a second."""
    rng = np.random.default_rng(1)
    watched = Feeder(plan)
    for _ in range(700):
        n = rng.poisson(50, 2)
        watched.tick(int(n[0]), int(n[1]), int(rng.binomial(n[0], 0.01)), int(rng.binomial(n[1], 0.01)))
    watched.canary.serve(50, 1)
    watched.control.serve(50, 1)
    canary, control = watched.canary.counts(), watched.control.counts()
    before = watched.evidence

    def observed() -> Evidence:
        from control.judgement.observation import observe

        return observe(
            before,
            plan,
            stage=watched.stage,
            canary=canary,
            control=control,
            now=watched.now + 1.0,
            share=0.5,
        )

    after = observed()
    return {
        "observe": microseconds(observed, 50),
        "analyse": microseconds(lambda: analyse(after, plan, watched.now + 1.0), 50),
        "evidence_to_json": microseconds(after.to_json, 50),
        "evidence_bytes": float(len(json.dumps(after.to_json()))),
        "processes": float(len(plan.processes)),
    }


def main() -> None:
    """Measure and print."""
    caution = Caution.of(60.0, 0.01)
    wealth = Wealth.begin(HarmProcess(event=FAILURE, bet=ODDS), caution)
    safe = Safe(margins(1.2, 0.005))
    values = np.zeros(16)

    def metric_and_block() -> float:
        grown = wealth.absorb(ODDS.log_increments(50, 950, 3, 20))
        return ODDS.log_e(grown.values(caution))

    print(
        json.dumps(
            {
                "unit": "microseconds of CPU time",
                "bet_bound_5_percent_share": microseconds(lambda: ODDS.log_increments(50, 950, 3, 20)),
                "bet_bound_half_share": microseconds(lambda: ODDS.log_increments(50, 50, 1, 1)),
                "bet_exact_20_failures": microseconds(lambda: ODDS.log_increments(50, 50, 12, 8)),
                "bet_exact_1000_failures": microseconds(lambda: ODDS.log_increments(1000, 1000, 550, 450)),
                "bet_exact_largest": microseconds(lambda: log_mgf_exact(10_000, 10_000, 10_000, PSI), 50),
                "safe_four_margins": microseconds(lambda: safe.log_increments(50, 50, 1, 1)),
                "metric_and_block": microseconds(metric_and_block),
                "log_sum_exp": microseconds(lambda: log_sum_exp(values)),
                "scipy_logsumexp": microseconds(lambda: logsumexp(values)),
                "look_default_guardrails": look(DEFAULT_PLAN),
                "look_errors_only": look(
                    RolloutPlan.from_config({"guardrails": [{"kind": "error_rate_rise"}]})
                ),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
