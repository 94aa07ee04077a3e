"""A Headgate with a shadow before servers that others wrote, and what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.helpers.headgate import headgate
from tests.helpers.shadow_reports import settled
from tests.helpers.waiting import until_async
from tests.real.exchanges import Ask

AT_ONCE = 8
SECONDS = 120.0
WHICH = "all/v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The last report, and how many pairs of the requests have agreed: with the shadow, and of the noise."""

    report: Any
    agreed: list[int]


async def shadow_report(folder: Path, primary: str, shadow: str, asks: Sequence[Ask], **more: Any) -> Shown:
    """Send every request through a Headgate that copies each, and wait until all pairs are compared."""
    config = {
        "upstreams": {
            "v1": {"endpoints": [primary]},
            "v2": {"endpoints": [shadow]},
        },
        "routes": [
            {
                "name": "all",
                "split": {"kind": "direct", "upstream": "v1"},
                "shadows": [{"upstream": "v2", "limits": {"lag": "0s", "in_flight": 1024}, **more}],
            }
        ],
    }
    async with headgate(folder, config) as gate, aiohttp.ClientSession() as session:

        async def send(ask: Ask) -> None:
            url = f"http://127.0.0.1:{gate.port}{ask.path}"
            async with session.request(ask.method, url, data=ask.body, headers=ask.headers) as answer:
                await answer.read()

        async def warm() -> bool:
            await send(asks[0])
            return bool((await gate.get(f"/v1/shadows/{WHICH}"))["pairs"]["handed_over"])

        # Until the comparing process is there, pairs are dropped and counted.
        await until_async(warm, seconds=SECONDS, what=gate.said)
        before = _agreed(await settled(gate, WHICH, compared=True))
        waiting = list(asks)

        async def client() -> None:
            while waiting:
                await send(waiting.pop())

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        report = await settled(gate, WHICH, compared=True)
        agreed = [now - then for now, then in zip(_agreed(report), before, strict=True)]
        return Shown(report=report, agreed=agreed)


def _agreed(report: Any) -> list[int]:
    floor = report["noise_floor"]
    return [view["agreed"] for view in (report["agreement"], *([floor["agreement"]] if floor else []))]
