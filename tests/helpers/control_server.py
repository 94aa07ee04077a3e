"""A control plane behind its real socket, and a client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from control.api.server import build_application
from control.plane import Plane
from tests.helpers.control import FakeClock, config_body, configuration, plane_on

FORWARDED = {"X-Headgate-Actor": "alice", "X-Headgate-Role": "operator", "X-Headgate-Address": "192.0.2.7"}
"""What the agent adds to a request that came to its admin address."""


class Client:
    """Speaks to a socket; `json` checks the status and returns the body."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def json(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Any:
        async with self.session.request(
            method, f"http://control{path}", json=body, headers=headers
        ) as response:
            text = await response.text()
            assert response.status == status, f"{response.status}: {text}"
            assert response.content_type == "application/json"
            return await response.json()

    async def send(self, method: str, path: str, data: Any) -> tuple[int, Any]:
        """Send bytes, or pieces of them; status and JSON of the answer."""
        async with self.session.request(method, f"http://control{path}", data=data) as response:
            return response.status, await response.json()

    async def bytes(self, path: str) -> bytes:
        """The body of a path that answers with something other than text."""
        async with self.session.get(f"http://control{path}") as response:
            assert response.status == 200
            return await response.read()

    async def text(
        self, path: str, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> tuple[str, aiohttp.ClientResponse]:
        async with self.session.get(f"http://control{path}", headers=headers) as response:
            text = await response.text()
            assert response.status == status, f"{response.status}: {text}"
            return text, response


@asynccontextmanager
async def client_of(socket: Path) -> AsyncIterator[Client]:
    """A client of the socket."""
    connector = aiohttp.UnixConnector(path=str(socket))
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Client(session)


@asynccontextmanager
async def client_over(plane: Plane, folder: Path) -> AsyncIterator[Client]:
    """A client of *plane*, over a socket in *folder*."""
    runner = web.AppRunner(build_application(plane), access_log=None, shutdown_timeout=1)
    await runner.setup()
    socket = folder / "headgate.sock"
    socket.unlink(missing_ok=True)
    await web.UnixSite(runner, socket).start()
    try:
        async with client_of(socket) as client:
            yield client
    finally:
        plane.ledger.publisher.close()
        await runner.cleanup()


@asynccontextmanager
async def served(path: Path, clock: FakeClock | None = None) -> AsyncIterator[tuple[Plane, Client]]:
    """A plane on the database *path* behind a socket beside it; nothing ticks by itself."""
    async with plane_on(path, clock or FakeClock()) as plane, client_over(plane, path.parent) as client:
        yield plane, client


async def put_config(client: Client, **changes: Any) -> int:
    """Bring the usual configuration into force over the wire."""
    answer = await client.json("PUT", "/v1/config", config_body(configuration(**changes)))
    return int(answer["revision"])
