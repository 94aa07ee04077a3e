"""Reports of counts as an agent sends them, without an agent."""

from collections.abc import Mapping
from typing import Any

from control.counts import Counts, make_counts
from proxy.histogram import bucket_index
from proxy.outcomes import OUTCOMES, Outcome


def outcomes(ok: int, failed: int = 0, overridden: int = 0) -> list[int]:
    """How requests ended, by outcome."""
    found = [0] * OUTCOMES
    found[Outcome.OK] = ok
    found[Outcome.UPSTREAM_5XX] = failed
    found[Outcome.OVERRIDE] = overridden
    return found


def arm(
    variant: str,
    role: str,
    stage: str,
    *,
    ok: int = 0,
    failed: int = 0,
    overridden: int = 0,
    in_flight: int = 0,
    milliseconds: float = 20.0,
    route: str = "fraud",
    **more: int,
) -> dict[str, Any]:
    """One arm of a report: so many requests that ended well, and badly, all equally slow."""
    finished = ok + failed + overridden
    bucket = bucket_index(int(milliseconds * 1000))
    return {
        "route": route,
        "variant": variant,
        "role": role,
        "stage": stage,
        "started": finished + in_flight,
        "finished": finished,
        "failed": failed,
        "outcomes": outcomes(ok, failed, overridden),
        "total": [[bucket, ok]] if ok else [],
        "first_byte": [[bucket, ok]] if ok else [],
        "sum_total_us": int(ok * milliseconds * 1000),
        "sum_first_byte_us": int(ok * milliseconds * 1000),
        "attempts": finished,
        "bytes_in": finished * 100,
        "bytes_out": finished * 200,
        **more,
    }


def report(
    *arms: Mapping[str, Any],
    node: str = "node",
    boot: str = "boot",
    sequence: int = 1,
    final: bool = False,
    revision: int = 1,
) -> dict[str, Any]:
    """A report as JSON."""
    return {
        "node": node,
        "boot": boot,
        "sequence": sequence,
        "revision": revision,
        "arms": [dict(one) for one in arms],
        "final": final,
    }


def plain_counts(ok: int, failed: int = 0) -> Counts:
    """Counts of so many requests, without latencies."""
    return make_counts(
        {"started": ok + failed, "finished": ok + failed, "failed": failed}, outcomes(ok, failed), [], []
    )
