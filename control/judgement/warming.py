"""The beginning of a stage that is not judged: which blocks are left out, and how far it is."""

from __future__ import annotations

from typing import Final

from control.judgement.evidence import Raw, StageLedger
from control.plans.plan import RolloutPlan

_FAILING_FROM: Final = 0.5
# Also without patience for bursts a canary may fail its first requests, which is what a warm-up is for.
_PATIENCE_SECONDS: Final = 10.0


def begun_cold(plan: RolloutPlan, ledger: StageLedger, raw: Raw, now: float) -> bool:
    """Whether the open block began during the warm-up, so that nothing is bet on it.

    Args:
        raw: what the stage has counted by *now*, which the ledger has not taken in yet.
    """
    began = ledger.opened_at - ledger.begun_at
    return plan.warm_up.covers(ledger.answered[0], began) and not _failing(plan, ledger, raw, now)


def warming(plan: RolloutPlan, ledger: StageLedger, now: float) -> str:
    """How far the warm-up of the stage is, in words; empty when it is over, or there is none."""
    given, answered, seconds = plan.warm_up, ledger.raw.answered[0], now - ledger.begun_at
    if not given.covers(answered, seconds) or _failing(plan, ledger, ledger.raw, now):
        return ""
    missing = []
    if answered < given.requests:
        missing.append(f"{answered} of {given.requests} requests answered")
    if seconds < given.seconds:
        missing.append(f"{seconds:.0f} of {given.seconds:g} s gone")
    return f"the canary is warming up at this step: {', '.join(missing)}"


def _failing(plan: RolloutPlan, ledger: StageLedger, raw: Raw, now: float) -> bool:
    """Whether the canary fails for too long to be warming up.

    When most of its requests fail it is diverted and gets a probe a second: it would take hours to answer
    enough of them. So it is judged when trouble of this length would condemn any other.
    """
    long = now - ledger.begun_at >= max(plan.warm_up.seconds, plan.burst_s, _PATIENCE_SECONDS)
    return long and raw.failed[0] > _FAILING_FROM * raw.answered[0]
