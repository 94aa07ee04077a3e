"""Canaries whose streams of tokens are bad behind a quick 200 are rolled back, and it is said why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.headgate import canary_route, headgate
from tests.helpers.llm_server import Manner, llm_servers
from tests.helpers.load import load

pytestmark = pytest.mark.slow

VERDICT_SECONDS = 240.0
BAD = {
    # Long beside what a busy machine adds to both arms.
    "late": Manner(first_token=3.0),
    "broken": Manner(fault="error"),
    "short": Manner(fault="truncated"),
    "slow": Manner(gap=0.6),
}
PACE = {"quantiles": ["p50"], "max": 2, "rise": "10%"}
GUARDRAILS = [
    {"kind": "error_rate_rise", "promote_rise": "5%"},
    {"kind": "first_token_ratio", **PACE},
    {"kind": "token_time_ratio", **PACE},
]


def route(name: str) -> dict[str, Any]:
    """A route at 50 % that ends by a verdict only. The divert would take the failures away from it."""
    found = canary_route(name, steps=["50%", "100%"], duration="1h", guardrails=GUARDRAILS)
    return found | {"streams": {"format": "openai", "stall": "5s"}, "divert": {"enabled": False}}


async def test_a_canary_with_bad_streams_is_rolled_back(tmp_path: Path) -> None:
    """A late first token, an error inside, an early end, slow words; each route names its own."""
    async with llm_servers("v1", "v2") as servers:
        # Where answers fail a third does: a canary that fails altogether is out before it is judged.
        servers["v2"].manner = lambda place, number: (
            BAD[place] if place in ("late", "slow") or number % 3 == 0 else Manner()
        )
        upstreams = {name: {"endpoints": [server.url]} for name, server in servers.items()}
        config = {"workers": 1, "upstreams": upstreams, "routes": [route(name) for name in BAD]}
        async with headgate(tmp_path, config) as gate:
            await gate.control_back()
            async with load(gate.port, *BAD, rate=40, clients=60):
                ends = dict(
                    zip(
                        BAD,
                        await asyncio.gather(
                            *(
                                gate.reached(n, "rolled_back", "promoted", seconds=VERDICT_SECONDS)
                                for n in BAD
                            )
                        ),
                        strict=True,
                    )
                )

    told = {name: (end["state"], end["reason"]) for name, end in ends.items()}
    assert {state for state, _ in told.values()} == {"rolled_back"}, told
    for name, words in (
        ("late", "time to the first token"),
        ("broken", "error_rate_rise"),
        ("short", "error_rate_rise"),
        ("slow", "time for a token"),
    ):
        assert words in told[name][1], told
