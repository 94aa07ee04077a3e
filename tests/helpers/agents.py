"""A real agent process under test, with an admin address that it inherits as from a supervisor."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from proxy.agent import run_agent
from proxy.launch import ADMIN_FD_VARIABLE, PARENT_FD_VARIABLE, child_environment, python_command
from proxy.options import Options, parse_options
from proxy.processes import ProcessRecord, read_records
from proxy.state import StateDirectory
from tests.helpers.metrics import samples
from tests.helpers.waiting import until, until_async

SCRIPTED = "tests.helpers.scripted_worker"


class UnansweredError(ConnectionError):
    """The worker took the connection and closed it without a word."""


class AgentProcess:
    """Starts agents on one state directory, one after the other, and asks them things."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.config = folder / "headgate.yaml"
        self.config.write_text(config)
        self.state = StateDirectory(folder / "state")
        self.log = folder / "agent.log"
        self.process: asyncio.subprocess.Process | None = None
        # The agent of this process, for those that live in it.
        self.handle: asyncio.Task[int] | None = None
        self.parent_write = -1
        self._admin = socket.socket()
        self._admin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._admin.bind(("127.0.0.1", 0))
        self._admin.listen()
        self.admin = f"http://127.0.0.1:{self._admin.getsockname()[1]}"
        self._session: aiohttp.ClientSession | None = None
        self._seen: dict[int, ProcessRecord] = {}

    async def start(
        self,
        *,
        worker: str = SCRIPTED,
        control: Path | None = None,
        control_wait: float = 20.0,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start an agent."""
        read, self.parent_write = os.pipe()
        admin = os.dup(self._admin.fileno())
        arguments = [
            *("--config", str(self.config), "--state", str(self.state.root), "--worker", worker),
            *("--control", str(control or "none"), "--control-wait", str(control_wait)),
            *options,
        ]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *python_command("proxy.agent", *arguments),
                pass_fds=(read, admin),
                env=child_environment(
                    {PARENT_FD_VARIABLE: str(read), ADMIN_FD_VARIABLE: str(admin), **(environment or {})}
                ),
                stderr=log,
            )
        os.close(read)
        os.close(admin)

    async def ready(self) -> dict[str, Any]:
        """Wait until /readyz says yes; return what it says."""
        answer: dict[str, Any] = {}

        async def is_ready() -> bool:
            nonlocal answer
            self._check_running()
            status, answer = await self.get("/readyz")
            return status == 200

        await until_async(is_ready, what=lambda: (answer, self.said()))
        self._see()
        return answer

    def swap(self, other: tuple[asyncio.Task[int] | None, int]) -> tuple[asyncio.Task[int] | None, int]:
        """Put another agent of this process in the place of the current one, which is returned."""
        current = (self.handle, self.parent_write)
        self.handle, self.parent_write = other
        return current

    @property
    def running(self) -> bool:
        """Whether the agent has not ended."""
        return self.process is not None and self.process.returncode is None

    def _check_running(self) -> None:
        if self.process is not None and self.process.returncode is not None:
            raise AssertionError(f"the agent ended with {self.process.returncode}: {self.said()}")

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Ask the admin address; returns status and JSON or text."""
        return await self.call("GET", path, headers)

    async def call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, data: bytes = b""
    ) -> tuple[int, Any]:
        """Send a request to the admin address; returns status and JSON or text, or 0 and why not."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        timeout = aiohttp.ClientTimeout(total=60)
        url = URL(self.admin + path, encoded=True)
        try:
            async with self._session.request(
                method, url, data=BytesIO(data), headers=headers, timeout=timeout
            ) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as exc:
            return 0, repr(exc)
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(text)
        return answer.status, text

    async def metrics(self) -> dict[str, float]:
        """All samples of /metrics."""
        status, text = await self.get("/metrics")
        return samples(text) if status == 200 else {}

    def workers(self) -> list[ProcessRecord]:
        """The workers that the agent has written down and that live."""
        return [record for record in read_records(self.state.workers) if record.alive]

    async def tell(self, command: str, *, port: int = 0, seconds: float = 30.0) -> dict[str, Any]:
        """Give a scripted worker a command; return its answer.

        Raises TimeoutError after `seconds`, and UnansweredError when the worker closes the connection.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
        writer.write(f"{command}\n".encode())
        try:
            async with asyncio.timeout(seconds):
                line = await reader.readline()
        finally:
            writer.close()
        if not line:
            raise UnansweredError(f"the worker closed the connection instead of answering {command!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def port(self) -> int:
        """The first listener's port; ConnectionRefusedError when no worker is on record just now."""
        for record in self.workers():
            if record.addresses:
                return int(record.addresses[0][1])
        raise ConnectionRefusedError("no worker is on record just now")

    def said(self) -> str:
        """What the agents have logged."""
        return self.log.read_text()

    async def kill(self) -> None:
        """End the agent, and only it, as nothing else can."""
        assert self.process is not None
        self._see()
        self.process.kill()
        await self.process.wait()
        self.close_parent()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the agent to finish; return its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the agent's end; return its exit code."""
        assert self.process is not None
        async with asyncio.timeout(60):
            code = await self.process.wait()
        self.close_parent()
        return code

    def close_parent(self) -> None:
        """Let the agent see that its supervisor is gone."""
        if self.parent_write >= 0:
            os.close(self.parent_write)
            self.parent_write = -1

    async def close(self) -> None:
        """End everything that was started, whatever state it is in."""
        if self._session is not None:
            await self._session.close()
        self._see()
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self.close_parent()
        self._admin.close()
        self._see()
        for record in self._seen.values():
            record.send(signal.SIGKILL)
        await until(lambda: not any(record.alive for record in self._seen.values()))

    def _see(self) -> None:
        """Remember the workers there are, so that none is forgotten at the end."""
        self._seen |= {record.pid: record for record in self.workers()}


class AgentTask(AgentProcess):
    """The same agent inside the test's own process, for tests that need not kill it: it starts at once."""

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder, config)
        self._log_stream = self.log.open("a", buffering=1)
        self._handler = logging.StreamHandler(self._log_stream)
        logging.getLogger("headgate").addHandler(self._handler)
        logging.getLogger("headgate").setLevel(logging.INFO)

    async def start(
        self,
        *,
        worker: str = SCRIPTED,
        control: Path | None = None,
        control_wait: float = 20.0,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        read, self.parent_write = os.pipe()
        given = parse_options(
            [
                *("--config", str(self.config), "--state", str(self.state.root), "--worker", worker),
                *("--control", str(control or "none"), "--control-wait", str(control_wait)),
                *options,
            ],
            {PARENT_FD_VARIABLE: str(read), ADMIN_FD_VARIABLE: str(os.dup(self._admin.fileno()))},
        )
        self.handle = asyncio.ensure_future(self._run(given, read, environment or {}))
        # The workers' environment is read as they start.
        await asyncio.sleep(0)

    async def _run(self, options: Options, read: int, environment: Mapping[str, str]) -> int:
        before = dict(os.environ)
        os.environ.update(environment)
        try:
            with contextlib.redirect_stderr(self._log_stream):
                return await run_agent(dataclasses.replace(options, signals=False))
        finally:
            os.environ.clear()
            os.environ.update(before)
            os.close(read)

    @property
    def running(self) -> bool:
        return self.handle is not None and not self.handle.done()

    def _check_running(self) -> None:
        if self.handle is not None and self.handle.done() and not self.handle.exception():
            raise AssertionError(f"the agent ended with {self.handle.result()}: {self.said()}")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        await self.call("POST", "/-/drain")
        return await self.ended()

    async def ended(self) -> int:
        assert self.handle is not None
        async with asyncio.timeout(60):
            code = await asyncio.shield(self.handle)
        self.close_parent()
        return code

    async def close(self) -> None:
        self._see()
        for record in self._seen.values():
            record.send(signal.SIGCONT)
        if self.handle is not None and not self.handle.done():
            self.close_parent()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.shield(self.handle)
            self._see()
            for record in self._seen.values():
                record.send(signal.SIGKILL)
            await self.ended()
        await super().close()
        logging.getLogger("headgate").removeHandler(self._handler)
        self._log_stream.close()


@contextlib.asynccontextmanager
async def agent_task(folder: Path, config: str) -> AsyncIterator[AgentProcess]:
    """An agent of this process that is not started yet, and is surely ended."""
    agent = AgentTask(folder, config)
    try:
        yield agent
    finally:
        await agent.close()


@contextlib.asynccontextmanager
async def agent_process(folder: Path, config: str) -> AsyncIterator[AgentProcess]:
    """An agent that is not started yet, and is surely ended."""
    agent = AgentProcess(folder, config)
    try:
        yield agent
    except BaseException:
        if agent.log.exists():
            sys.stderr.write(agent.said())
        raise
    finally:
        await agent.close()
