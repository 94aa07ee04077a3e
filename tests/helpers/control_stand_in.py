"""A small live server on control's socket: takes configurations and statistics, publishes what it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

Table = dict[str, Any]


class ControlStandIn:
    """What came in, and what to answer. `stop` and `start` make it go away and come back."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.configs: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.violations: list[dict[str, Any]] = []
        self.forwarded: list[tuple[str, str, dict[str, str], bytes]] = []
        self.table: Table | None = None
        # Set, these are answered instead of success.
        self.config_errors: list[Any] | None = None
        self.statistics_status = 200
        self.metrics = b"# HELP control_x X.\n# TYPE control_x gauge\ncontrol_x 1.0\n"
        self.metrics_type = "text/plain; version=0.0.4; charset=utf-8"
        self.watches = 0
        self.silent = False
        # Published by the next order, whose answer names it.
        self.ordered: Table | None = None
        # Sent in the place of a table.
        self.payload: bytes | None = None
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None

    def publish(self, table: Table) -> None:
        """Make `table` the newest one."""
        self.table = table
        self._changed.set()

    def counted(self, boot: str, variant: str) -> dict[str, Any] | None:
        """The last thing that was said about a variant in a boot."""
        for report in reversed(self.reports):
            for arm in report["arms"]:
                if report["boot"] == boot and arm["variant"] == variant:
                    return dict(arm)
        return None

    async def start(self) -> None:
        """Listen."""
        application = web.Application()
        application.add_routes(
            [
                web.put("/v1/config", self._config),
                web.get("/v1/watch", self._watch),
                web.post("/v1/statistics", self._statistics),
                web.post("/v1/violations", self._violations),
                web.get("/metrics", self._metrics),
                web.route("*", "/{path:.*}", self._any),
            ]
        )
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        self.socket.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        """Go away."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.socket.unlink(missing_ok=True)

    async def _config(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.config_errors is not None:
            return web.json_response({"errors": self.config_errors}, status=422)
        self.configs.append(body)
        return web.json_response({"revision": self.table["revision"] if self.table else 0})

    async def _statistics(self, request: web.Request) -> web.Response:
        if self.statistics_status == 200:
            self.reports.append(await request.json())
        return web.json_response({}, status=self.statistics_status)

    async def _violations(self, request: web.Request) -> web.Response:
        self.violations += (await request.json())["violations"]
        return web.json_response({"written": 1})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        known = int(request.query["revision"])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                if self.silent:
                    await asyncio.sleep(0.05)
                    continue
                self._changed.clear()
                if self.table is not None and self.table["revision"] != known:
                    known = self.table["revision"]
                    data = self.payload or orjson.dumps(self.table)
                    await response.write(b"event: table\nid: %d\ndata: %b\n\n" % (known, data))
                await response.write(b": heartbeat\n\n")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self._changed.wait()
        return response

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.metrics, headers={"Content-Type": self.metrics_type})

    async def _any(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.forwarded.append((request.method, request.raw_path, dict(request.headers), body))
        if self.ordered is not None:
            self.publish(self.ordered)
            return web.json_response({}, headers={"X-Headgate-Revision": str(self.ordered["revision"])})
        if request.path == "/v1/cut":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.abort()
            return response
        if request.path == "/v1/missing":
            raise web.HTTPNotFound
        return web.json_response({"path": request.raw_path}, headers={"X-From": "control"})


@contextlib.asynccontextmanager
async def control_stand_in(socket: Path) -> AsyncIterator[ControlStandIn]:
    """A running stand-in."""
    stand_in = ControlStandIn(socket)
    await stand_in.start()
    try:
        yield stand_in
    finally:
        await stand_in.stop()
