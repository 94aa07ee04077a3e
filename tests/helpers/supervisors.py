"""A whole Headgate under test: supervisor, agent, workers and, if asked, control, as people start it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from proxy.launch import child_environment
from proxy.processes import ProcessRecord, read_records, start_ticks
from proxy.state import StateDirectory
from tests.helpers.metrics import samples
from tests.helpers.waiting import until, until_async

RUN = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "from config.load import load_file\n"
    "from proxy.supervisor import run\n"
    "sys.exit(run(load_file(sys.argv[1], os.environ), control=sys.argv[2] == 'control'))\n"
)


class Supervised:
    """One configuration file, its state directory, and the Headgate that runs on them."""

    def __init__(self, folder: Path, config: str) -> None:
        self.config = folder / "headgate.yaml"
        self.config.write_text(config)
        self.state = StateDirectory(folder / ".headgate")
        self.log = folder / "headgate.log"
        self.process: asyncio.subprocess.Process | None = None
        self._seen: dict[int, int] = {}
        self._session = aiohttp.ClientSession()

    async def start(self, *, control: bool = False) -> None:
        """Start it in a terminal's place: a process group of its own."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", RUN, str(self.config), "control" if control else "alone"),
                env=child_environment({}),
                stderr=log,
                process_group=0,
            )

    async def ready(self) -> dict[str, Any]:
        """Wait until /readyz says yes; return what it says."""
        answer: dict[str, Any] = {}

        async def is_ready() -> bool:
            nonlocal answer
            assert self.process is not None
            if self.process.returncode is not None:
                raise AssertionError(f"headgate ended with {self.process.returncode}: {self.said()}")
            status, text = await self.get("/readyz")
            answer = json.loads(text) if status else {}
            return status == 200

        await until_async(is_ready, seconds=60, what=lambda: (answer, self.said()))
        self.see()
        return answer

    def admin(self) -> str:
        """The admin address."""
        address: str = json.loads(self.state.supervisor.read_text())["admin"]
        return address

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the admin address; status 0 while nobody answers."""
        try:
            admin = self.admin()
            timeout = aiohttp.ClientTimeout(total=10)
            async with self._session.get(admin + path, timeout=timeout) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return 0, ""

    async def metrics(self) -> dict[str, float]:
        """All samples of /metrics."""
        status, text = await self.get("/metrics")
        return samples(text) if status == 200 else {}

    def workers(self) -> list[ProcessRecord]:
        """The workers that live."""
        return [record for record in read_records(self.state.workers) if record.alive]

    def child(self, module: str) -> int:
        """The process number of a child of the supervisor, 0 without one."""
        assert self.process is not None
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().split(b"\0")
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if parent == str(self.process.pid) and module.encode() in command:
                    return int(entry.name)
        return 0

    def see(self) -> None:
        """Remember all processes there are, so that none is forgotten at the end."""
        pids = [record.pid for record in self.workers()]
        pids += [self.child("proxy.agent"), self.child("control.app")]
        self._seen |= {pid: start_ticks(pid) or 0 for pid in pids if pid}

    def left(self) -> list[int]:
        """The processes seen so far that still live."""
        return [pid for pid, ticks in self._seen.items() if start_ticks(pid) == ticks]

    def said(self) -> str:
        """What has been logged."""
        return self.log.read_text()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        assert self.process is not None
        self.see()
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the end; return the exit code."""
        assert self.process is not None
        async with asyncio.timeout(60):
            return await self.process.wait()

    async def close(self) -> None:
        """End everything that was started, whatever state it is in."""
        await self._session.close()
        if self.process is not None:
            self.see()
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
            await asyncio.sleep(0.1)
            for record in self.workers():
                self._seen[record.pid] = record.start_ticks
            for pid in self.left():
                os.kill(pid, signal.SIGKILL)
            await until(lambda: not self.left())


@contextlib.asynccontextmanager
async def supervised(folder: Path, config: str) -> AsyncIterator[Supervised]:
    """A Headgate that is not started yet, and is surely ended."""
    headgate = Supervised(folder, config)
    try:
        yield headgate
    except BaseException:
        if headgate.log.exists():
            sys.stderr.write(headgate.said())
        raise
    finally:
        await headgate.close()
