"""Starts the demonstration's processes and ends every one of them, whatever happens."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from proxy.launch import child_environment, python_command

_START_S = 90.0
_STOP_S = 15.0
_LOG_LINES = 30


class StartError(Exception):
    """A process of the demonstration did not start; the text ends with its last words."""


class Child:
    """One process and the last lines it wrote."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._process = process
        self._reader = asyncio.get_running_loop().create_task(self._read_log())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    def last_words(self) -> str:
        """The end of what it wrote on standard error."""
        return "\n".join(f"  {self.name}: {line}" for line in self.log)

    async def first_line(self) -> str:
        """The first line of standard output.

        Raises:
            StartError: The process ended or said nothing in time.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_START_S):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise StartError(f"{self.name} said nothing for {_START_S:g} s\n{self.last_words()}") from error
        if not line:
            await self._process.wait()
            raise StartError(f"{self.name} ended with {self._process.returncode}\n{self.last_words()}")
        return line.decode()

    async def stop(self) -> None:
        """Ask it to end, wait, and kill it when it does not."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.log.append(line.decode("utf-8", "replace").rstrip())


async def start(stack: AsyncExitStack, name: str, module: str, *arguments: str) -> Child:
    """Run `python -m module`; it is stopped when `stack` closes."""
    process = await asyncio.create_subprocess_exec(
        *python_command(module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C reaches this process alone, which then ends the others in order.
        start_new_session=True,
        env=child_environment({"PYTHONUNBUFFERED": "1"}),
    )
    child = Child(name, process)
    stack.push_async_callback(child.stop)
    return child


async def start_model_server(stack: AsyncExitStack, release: str) -> str:
    """A model server with one release; returns its URL once it answers."""
    child = await start(stack, f"model {release}", "control.demo.server", "--release", release)
    announced: dict[str, Any] = json.loads(await child.first_line())
    return str(announced["url"])


async def output_of(module: str, *arguments: str, environ: Mapping[str, str]) -> tuple[int, str]:
    """Run `python -m module` to its end; exit code, and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *python_command(module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=child_environment(dict(environ)),
    )
    try:
        text, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, text.decode("utf-8", "replace")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now; held all at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once, as an editor does that saves safely."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
