"""A shadow's report, read when it says all that was counted."""

from __future__ import annotations

from typing import Any

from tests.helpers.headgate import Headgate
from tests.helpers.waiting import until_async

SECONDS = 120.0


async def settled(gate: Headgate, which: str, *, compared: bool = False) -> Any:
    """The report of ROUTE/SHADOW once no copy is under way and control has heard of all that workers count.

    `compared`: and all pairs that were handed over have been compared; for whoever kills no comparer.
    """
    last: Any = None

    async def calm() -> bool:
        nonlocal last
        counted = await gate.metrics()
        last = await gate.get(f"/v1/shadows/{which}")
        floor = last["noise_floor"]
        ended = sum(last["answers"].values()) + last["lost"]
        views = [last["agreement"], *([floor["agreement"]] if floor else [])]
        paired = [total(counted, "paired_answers", role) for role in ("shadow", "noise")]
        return bool(
            total(counted, "eligible_requests", "shadow") == last["requests"]["eligible"]
            and total(counted, "lost_copies", "shadow") == last["lost"]
            and last["requests"]["mirrored"] == ended
            and paired[0] == last["pairs"]["handed_over"]
            and not any(value for key, value in counted.items() if key.startswith(IN_FLIGHT))
            and (not compared or [view["compared"] for view in views] == paired[: len(views)])
        )

    await until_async(calm, seconds=SECONDS, what=lambda: (last, gate.said()))
    return last


IN_FLIGHT = "headgate_shadow_in_flight_copies{"


def total(counted: dict[str, float], name: str, role: str) -> float:
    """The sum of a family of shadows' metrics, for one role."""
    start = f"headgate_shadow_{name}_total{{"
    return sum(value for key, value in counted.items() if key.startswith(start) and f'role="{role}"' in key)
