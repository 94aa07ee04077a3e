"""The managers against a whole running Headgate: what a notebook does, and the errors it catches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from control.errors import ConflictError, InvalidError, NotFoundError, TransitionError
from control.library.ab_tests import ABTestManager
from control.library.deployments import DeploymentManager
from control.library.running import UnavailableError
from tests.helpers.headgate import headgate
from tests.helpers.model_server import ModelServer


async def test_a_deployment_and_a_test_from_a_notebook(tmp_path: Path) -> None:
    """Created, waited for, compared, ended; each refusal has its type."""
    servers = {name: ModelServer(name) for name in ("v1", "v2")}
    for server in servers.values():
        await server.start()
    config = {
        "upstreams": {name: {"endpoints": [server.url]} for name, server in servers.items()},
        "routes": [{"name": "main", "upstream": "v1"}],
    }
    try:
        async with headgate(tmp_path, config) as gate:
            await gate.control_back()

            async def call(method: Callable[..., Any], *given: Any, **named: Any) -> Any:
                return await asyncio.to_thread(method, *given, **named)

            deployments, tests = DeploymentManager(gate.admin), ABTestManager(gate.admin)
            made = await call(
                deployments.create, "main", strategy="blue_green", upstream="v2", settings={"expiry": "60s"}
            )
            assert made.status == "pending"
            with pytest.raises(ConflictError):
                await call(deployments.create, "main", strategy="direct", upstream="v2")
            with pytest.raises(InvalidError, match="there is no route"):
                await call(deployments.create, "nowhere", strategy="direct", upstream="v2")
            ended = await call(deployments.cancel, made.id, reason="another day")
            assert (ended.status, ended.reason) == ("cancelled", "another day")
            with pytest.raises(TransitionError):
                await call(deployments.resume, made.id)
            with pytest.raises(NotFoundError):
                await call(deployments.get, "p-unknown")
            assert [each.id for each in await call(deployments.list, status="cancelled")] == [made.id]

            test = await call(tests.create, "ranker", route="main", variants={"v1": 1, "v2": 1})
            assert (test.status, test.variants, test.analysis) == ("draft", {"v1": 0.5, "v2": 0.5}, None)
            running = await call(tests.start, test.id)
            assert (running.status, running.winner) == ("running", "")
            with pytest.raises(TransitionError):
                await call(tests.start, test.id)
            done = await call(tests.complete, "main", reason="enough")
            assert done.status == "completed"
            assert [each.id for each in await call(tests.list, route="main")] == [test.id]
    finally:
        for server in servers.values():
            await server.stop()


def test_nobody_there_is_an_error_of_its_own() -> None:
    """Not a traceback from a socket."""
    with pytest.raises(UnavailableError):
        ABTestManager("http://127.0.0.1:1").list()
