"""A small live server that stands in for the admin address, with answers that a test chooses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Reply = tuple[int, Any]


@dataclass(slots=True)
class AdminStandIn:
    """Replies by method and path; a list of replies is given out one by one, the last one for ever."""

    url: str = ""
    replies: dict[tuple[str, str], list[Reply]] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def on(self, method: str, path: str, *replies: Reply) -> None:
        """Choose what a path answers, as (status, JSON value)."""
        self.replies[method, path] = list(replies)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.seen.append(
            (
                request.method,
                request.path_qs,
                {name.lower(): value for name, value in request.headers.items()},
                body,
            )
        )
        replies = self.replies.get((request.method, request.path))
        if not replies:
            return web.json_response(
                {"error": {"code": "not_found", "message": "there is nothing here"}}, status=404
            )
        status, value = replies.pop(0) if len(replies) > 1 else replies[0]
        return web.json_response(value, status=status)


@contextmanager
def admin_stand_in() -> Iterator[AdminStandIn]:
    """Serve on a free port of 127.0.0.1 from a thread of its own, as commands are not asynchronous."""
    stand_in = AdminStandIn()
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", stand_in.handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            stand_in.url = "http://{}:{}".format(*runner.addresses[0][:2])
            ready.set()
            await stop.wait()
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=_run, args=(loop, serve), daemon=True)
    thread.start()
    try:
        assert ready.wait(60), "the stand-in did not start"
        yield stand_in
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, serve: Callable[[], Any]) -> None:
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve())
    loop.run_until_complete(loop.shutdown_asyncgens())
