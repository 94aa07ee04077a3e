"""A sample model server: one release of the classifier behind the KServe v2 (open inference) protocol."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

from control.demo.classifier import Classifier
from control.demo.releases import RELEASES, Release
from control.demo.transactions import Transaction

MODEL = "fraud"
_ROWS_MAX = 1000
# A stand-in for the time that a larger model would compute.
_WORK_S_MEAN = 0.003


class ModelServer:
    """Answers health, metadata and inference requests for one release."""

    def __init__(self, release: Release, model: Classifier, *, work_s: float = _WORK_S_MEAN) -> None:
        self._release = release
        self._model = model
        self._work_s = work_s
        self._random = random.Random()

    def application(self) -> web.Application:
        """The routes of the protocol that the demonstration needs."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/v2", self._server),
                web.get("/v2/health/live", self._healthy),
                web.get("/v2/health/ready", self._healthy),
                web.get(f"/v2/models/{MODEL}", self._metadata),
                web.get(f"/v2/models/{MODEL}/ready", self._healthy),
                web.post(f"/v2/models/{MODEL}/infer", self._infer),
            ]
        )
        return application

    async def _server(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "headgate-sample", "version": "1", "extensions": []})

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.json_response({"ready": True})

    async def _metadata(self, _: web.Request) -> web.Response:
        width = len(Transaction._fields)
        return web.json_response(
            {
                "name": MODEL,
                "versions": [self._release.version],
                "platform": "headgate-sample",
                "inputs": [{"name": "transactions", "datatype": "FP64", "shape": [-1, width]}],
                "outputs": [
                    {"name": "fraud_probability", "datatype": "FP64", "shape": [-1]},
                    {"name": "fraud", "datatype": "BOOL", "shape": [-1]},
                ],
            }
        )

    async def _infer(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            rows = list(_rows(body))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return web.json_response({"error": f"not an inference request: {error}"}, status=400)
        await asyncio.sleep(self._random.expovariate(1 / self._work_s) if self._work_s else 0)
        try:
            scores = [self._model.probability(self._release.features(row)) for row in rows]
        except ValueError as error:
            # What a framework makes of an exception in a model's own code.
            return web.json_response({"error": f"{self._release.version}: {error}"}, status=500)
        return web.json_response(
            {
                "model_name": MODEL,
                "model_version": self._release.version,
                "id": body.get("id"),
                "outputs": [
                    {"name": "fraud_probability", "datatype": "FP64", "shape": [len(scores)], "data": scores},
                    {
                        "name": "fraud",
                        "datatype": "BOOL",
                        "shape": [len(scores)],
                        "data": [score > 0.5 for score in scores],
                    },
                ],
            }
        )


def _rows(body: Any) -> Iterator[Transaction]:
    tensor = body["inputs"][0]
    count, width = tensor["shape"]
    if width != len(Transaction._fields) or not 0 < count <= _ROWS_MAX:
        raise ValueError(f"the shape must be [1 to {_ROWS_MAX}, {len(Transaction._fields)}]")
    flat = [float(value) for value in _flatten(tensor["data"])]
    if len(flat) != count * width:
        raise ValueError(f"{len(flat)} values do not fill the shape {[count, width]}")
    for start in range(0, len(flat), width):
        yield Transaction(*flat[start : start + width])


def _flatten(data: Sequence[Any]) -> Iterator[Any]:
    for value in data:
        if isinstance(value, list):
            yield from value
        else:
            yield value


async def serve(release: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; prints `{"url": ...}` on one line when it accepts connections."""
    server = ModelServer(RELEASES[release], RELEASES[release].model())
    # The proxy in front keeps connections for 55 s by default; a server has to keep them longer.
    runner = web.AppRunner(server.application(), access_log=None, keepalive_timeout=120)
    await runner.setup()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, bound = runner.addresses[0][:2]
        print(json.dumps({"url": f"http://{host}:{bound}"}), flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m control.demo.server --release v1 [--port 0]`."""
    parser = argparse.ArgumentParser(prog="python -m control.demo.server", description=__doc__)
    parser.add_argument("--release", choices=sorted(RELEASES), required=True)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    given = parser.parse_args(arguments)
    try:
        asyncio.run(serve(given.release, given.port))
    except OSError as error:
        sys.exit(f"cannot listen on 127.0.0.1:{given.port}: {error.strerror}; choose another --port")


if __name__ == "__main__":
    main()
