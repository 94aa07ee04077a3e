"""A traffic source: customers who keep asking through the proxy, and a tally of what they saw."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from control.demo.scenario import STAFF
from control.demo.server import MODEL
from control.demo.transactions import Transaction, draw

_CUSTOMERS = 5000
# Every fifth works for the company.
_STAFF = 1000
_STREAMS = 24
_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Tally:
    """What clients saw: answers by variant and status; 0 stands for no answer."""

    seen: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All requests that ended."""
        return self.seen.total()

    def variant(self, name: str) -> tuple[int, int]:
        """How many requests one variant answered, and how many of them with an error."""
        rows = [(status, count) for (variant, status), count in self.seen.items() if variant == name]
        return sum(count for _, count in rows), sum(
            count for status, count in rows if not 200 <= status < 400
        )

    @property
    def unanswered(self) -> int:
        """Requests that got no answer at all."""
        return sum(count for (_, status), count in self.seen.items() if status == 0)


class Traffic:
    """Sends inference requests at a steady mean rate, each on behalf of a random customer."""

    def __init__(self, url: str, *, rate: float, seed: int = 1) -> None:
        self.tally = Tally()
        self._url = f"{url}/v2/models/{MODEL}/infer"
        self._rate = rate
        self._random = random.Random(seed)
        self._stopped = False

    async def run(self) -> None:
        """Send until `stop`."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(_STREAMS):
                group.create_task(self._stream(session))

    def stop(self) -> None:
        """Let every stream end after its present request."""
        self._stopped = True

    async def _stream(self, session: aiohttp.ClientSession) -> None:
        # Each stream makes its own Poisson arrivals, late ones not made up for: a slow proxy is not flooded.
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopped:
            due = max(due + self._random.expovariate(self._rate / _STREAMS), loop.time() - 1.0)
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._ask(session)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        number = self._random.randrange(_CUSTOMERS)
        headers = {"x-user-id": f"customer-{number}", **(STAFF if number < _STAFF else {})}
        try:
            async with session.post(self._url, json=inference(draw(self._random)), headers=headers) as answer:
                await answer.read()
                self.tally.seen[answer.headers.get("x-headgate-variant", ""), answer.status] += 1
        except (aiohttp.ClientError, TimeoutError):
            self.tally.seen["", 0] += 1


def inference(transaction: Transaction) -> dict[str, object]:
    """The KServe v2 request that scores one transaction."""
    return {
        "inputs": [
            {
                "name": "transactions",
                "datatype": "FP64",
                "shape": [1, len(transaction)],
                "data": list(transaction),
            }
        ]
    }
