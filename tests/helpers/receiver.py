"""A service that is posted to: remembers what came and answers as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web


@dataclass(slots=True)
class Receiver:
    """`answers` are given in turn, the last one for ever: a status, or a JSON body with status 200."""

    url: str = ""
    answers: list[int | dict[str, Any]] = field(default_factory=lambda: [200])
    seconds: float = 0.0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        """What came, as JSON."""
        return [orjson.loads(body) for _, body in self.got]

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, body))
        await asyncio.sleep(self.seconds)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return web.Response(
                status=answer, headers={"location": self.url} if 300 <= answer < 400 else None
            )
        return web.json_response(answer)


@asynccontextmanager
async def receiver(*answers: int | dict[str, Any]) -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    made = Receiver()
    if answers:
        made.answers = list(answers)
    application = web.Application()
    application.router.add_post("/hook", made.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield made
    finally:
        await runner.cleanup()
