"""The real control process, to be stopped and killed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.launch import child_environment, python_command
from tests.helpers.control_server import Client, client_of
from tests.helpers.waiting import until_async


class ControlProcess:
    """One life of ``python -m control.app`` on the state directory *state*."""

    def __init__(self, state: Path, *, tick: float = 1.0, database: str = "") -> None:
        self.state = state
        self._database = ["--database", database] if database else []
        self.socket = state / "control.sock"
        self._tick = tick
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, **environment: str) -> None:
        """Start it and wait until it listens."""
        log = (self.state.parent / "control.log").open("ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *python_command("control.app", "--state", str(self.state), "--socket", str(self.socket)),
                *("--tick", str(self._tick)),
                *self._database,
                env=child_environment(environment),
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[int(fd) for fd in environment.values() if fd.isdigit()],
            )
        await until_async(self._listens, seconds=60, what=self._log)

    async def kill(self) -> None:
        """kill -9, whatever it is doing."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended by itself; returns the exit status."""
        assert self._process is not None
        async with asyncio.timeout(60):
            return await self._process.wait()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client of its socket."""
        async with client_of(self.socket) as client:
            yield client

    def database(self) -> sqlite3.Connection:
        """Its database, as somebody else sees it."""
        return sqlite3.connect(f"file:{self.state}/headgate.db?mode=ro", uri=True)

    async def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, self._log()
        try:
            _, writer = await asyncio.open_unix_connection(self.socket)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def _log(self) -> str:
        return (self.state.parent / "control.log").read_text()
