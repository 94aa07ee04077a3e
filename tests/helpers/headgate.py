"""A whole Headgate under test: `headgate run CONFIG` as an operator starts it, its admin API, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from proxy.launch import child_environment, python_command
from proxy.processes import read_records, resident_bytes
from proxy.state import StateDirectory
from tests.helpers.metrics import samples
from tests.helpers.processes import session_members
from tests.helpers.waiting import until, until_async

START_SECONDS = 90.0
STOP_SECONDS = 60.0
CALL_SECONDS = 60.0
# Below the range that the kernel takes the ports of connections from, so that none of them gets in the way.
PORTS = range(12_000, 32_000)
# Each of the processes that run tests side by side has its own; none is given out twice.
PROCESSES_MAX = 16
_given: set[int] = set()

ROLES = {"agent": "proxy.agent", "control": "control.app", "worker": "proxy.worker"}


def free_port() -> int:
    """A port below the ephemeral ones that nobody listens on now."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES_MAX
    for port in random.sample(PORTS[number::PROCESSES_MAX], 200):
        with socket.socket() as trial:
            with contextlib.suppress(OSError):
                trial.bind(("127.0.0.1", port))
                if port not in _given:
                    _given.add(port)
                    return port
    raise AssertionError("no free port found")


class Headgate:
    """One program after the other on one configuration file and one state directory."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.port = free_port()
        self.admin_port = free_port()
        self.admin = f"http://127.0.0.1:{self.admin_port}"
        self.config = folder / "headgate.yaml"
        self.state = StateDirectory(folder / ".headgate")
        self.log = folder / "headgate.log"
        self.process: asyncio.subprocess.Process | None = None
        self.settings: dict[str, Any] = {
            "listeners": [{"bind": f"127.0.0.1:{self.port}"}],
            "admin": {"bind": f"127.0.0.1:{self.admin_port}"},
            **config,
        }
        self.write()
        self._session: aiohttp.ClientSession | None = None
        self._sessions: set[int] = set()

    # The file.

    def write(self, path: Path | None = None, **changes: Any) -> None:
        """Write the configuration file, whole at once, with these parts changed for good."""
        self.settings |= changes
        path = path or self.config
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        temporary.replace(path)

    # The process.

    async def start(self) -> None:
        """Start it and wait until it takes requests."""
        await self.launch()
        await self.ready()

    async def launch(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *python_command("control.cli", "run", str(self.config)),
                cwd=self.folder,
                env=child_environment({"NO_COLOR": "1"}),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._sessions.add(self.process.pid)

    async def ready(self) -> None:
        """Wait until /readyz says yes."""

        async def is_ready() -> bool:
            self.check_running()
            return (await self.call("GET", "/readyz"))[0] == 200

        await until_async(is_ready, seconds=START_SECONDS, what=self.said)

    def check_running(self) -> None:
        """Fail when the program has ended by itself."""
        assert self.process is not None
        assert self.process.returncode is None, f"ended with {self.process.returncode}: {self.said()}"

    def said(self) -> str:
        """The end of what the processes logged."""
        return self.log.read_text(errors="replace")[-6000:]

    def members(self) -> dict[int, str]:
        """Command lines by process id of all that was ever started here and lives."""
        found: dict[int, str] = {}
        for session in self._sessions:
            found |= session_members(session)
        return found

    def pids(self, role: str) -> list[int]:
        """The living processes of a role: agent, control or worker."""
        return sorted(pid for pid, line in self.members().items() if f"-m {ROLES[role]} " in f"{line} ")

    def kill(self, pid: int) -> bool:
        """End a process of ours as nothing else can; False when it is gone already."""
        assert pid in self.members() or not Path(f"/proc/{pid}").exists()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def workers(self) -> list[int]:
        """The workers that the agent has written down and that live."""
        return [record.pid for record in read_records(self.state.workers) if record.alive]

    def worker_bytes(self) -> int:
        """Resident memory of all workers."""
        return sum(resident_bytes(pid) for pid in self.workers())

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program, as an operator would."""
        assert self.process is not None
        self.process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; return its exit code. Nothing of it is left then."""
        assert self.process is not None
        if self.process.returncode is None:
            self.send(number)
        async with asyncio.timeout(STOP_SECONDS):
            code = await self.process.wait()
        await until(lambda: not self.members(), seconds=60, what=lambda: (self.members(), self.said()))
        return code

    async def close(self) -> None:
        """End everything, whatever state it is in; complain about what should not have been left."""
        left: dict[int, str] = {}
        try:
            if self.process is not None and self.process.returncode is None:
                await self.stop()
        finally:
            left = self.members()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self._session is not None:
                await self._session.close()
        assert not left, f"left behind: {left}\n{self.said()}"

    # The admin address.

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float = CALL_SECONDS
    ) -> tuple[int, Any]:
        """Ask the admin address; returns status and JSON or text, or 0 and why not."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.request(method, self.admin + path, json=body, timeout=timeout) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            return 0, repr(exc)
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(text)
        return answer.status, text

    async def get(self, path: str) -> Any:
        """The JSON of a path that has to answer."""
        status, value = await self.call("GET", path)
        assert status == 200, (path, status, value)
        return value

    async def reload(self) -> Any:
        """Order a reload; returns what became of it."""
        status, value = await self.call("POST", "/-/reload")
        assert status in (200, 202), (status, value)
        return value

    async def command(self, route: str, verb: str, reason: str = "because of a test") -> Any:
        """Give a rollout a command that must be accepted; returns the rollout after it."""
        status, value = await self.call("POST", f"/v1/rollouts/{route}/{verb}", {"reason": reason})
        assert status == 200, (verb, status, value)
        return value

    async def rollout(self, route: str) -> Any:
        """One rollout with its last decisions."""
        return await self.get(f"/v1/rollouts/{route}")

    async def reached(self, route: str, *states: str, seconds: float = 120.0) -> Any:
        """Wait until a rollout is in one of the states; return it."""
        last: Any = None

        async def there() -> bool:
            nonlocal last
            self.check_running()
            status, value = await self.call("GET", f"/v1/rollouts/{route}")
            if status == 200:
                last = value
            return status == 200 and value["state"] in states

        await until_async(there, seconds=seconds, what=lambda: (states, standing(last), self.said()[-1500:]))
        return last

    async def control_back(self, seconds: float = 60.0) -> Any:
        """Wait until control answers; return its status."""
        answer: tuple[int, Any] = (0, None)

        async def back() -> bool:
            nonlocal answer
            answer = await self.call("GET", "/v1/status")
            return answer[0] == 200

        await until_async(back, seconds=seconds, what=lambda: (answer, self.said()[-1500:]))
        return answer[1]

    async def metrics(self) -> dict[str, float]:
        """All samples of /metrics; none while nobody answers."""
        status, text = await self.call("GET", "/metrics")
        return samples(text) if status == 200 else {}

    # What is on disk.

    def table(self) -> Any:
        """The routing table in use, from its snapshot."""
        return json.loads(self.state.table.read_bytes())["table"]

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the store, read beside whoever writes it."""
        connection = sqlite3.connect(self.state.root / "headgate.db", timeout=60)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]
        finally:
            connection.close()


def canary_route(name: str, split: Mapping[str, Any] | None = None, **rollout: Any) -> dict[str, Any]:
    """A route `/<name>` that splits v1 and v2 by user, judged by errors alone; steps without a least time."""
    return {
        "name": name,
        "match": {"path_prefix": f"/{name}"},
        "split": {
            "kind": "canary",
            "key": ["header:x-user-id", "client_address"],
            "stable": "v1",
            "canary": "v2",
            **(split or {}),
        },
        "override": {"header": "x-variant", "cookie": "variant", "allow": ["v1", "v2"]},
        "rollout": {
            "preset": "aggressive",
            "steps": ["10%", "50%", "100%"],
            "duration": "0s",
            "interval": "250ms",
            "burst": "0s",
            "guardrails": [{"kind": "error_rate_rise", "promote_rise": "3%"}],
            **rollout,
        },
    }


def standing(rollout: Any) -> Any:
    """Where a rollout stands, briefly; for messages."""
    if not isinstance(rollout, dict):
        return rollout
    analysis = rollout.get("analysis") or {}
    names = ("state", "reason", "step", "weight", "verdict", "gates", "problem")
    return {name: rollout.get(name) for name in names} | {"analysis": analysis.get("reason")}


@contextlib.asynccontextmanager
async def headgate(folder: Path, config: Mapping[str, Any]) -> AsyncIterator[Headgate]:
    """A Headgate that takes requests; at the end it is asked to stop, and no process may be left."""
    gate = Headgate(folder, config)
    try:
        await gate.start()
        yield gate
    finally:
        await gate.close()
