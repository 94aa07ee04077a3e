"""The agent's side of the comparing process: kept running while a shadow needs it, and its results kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from proxy.compare.tallies import Comparisons, merged
from proxy.launch import child_environment, python_command

log = logging.getLogger("headgate.comparer")

RESTART_DELAY_FIRST: Final = 0.2
RESTART_DELAY_MAX: Final = 10.0
STEADY_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.25
END_SECONDS: Final = 5.0
LINE_BYTES_MAX: Final = 64 * 1024 * 1024
# Comparisons of earlier tables are reported until they are this many.
RESULTS_MAX: Final = 256

Key = tuple[str, str, str, str]


class ComparerKeeper:
    """Runs the comparing process; `wanted` is set by whoever puts a table into use.

    `handed_over` tells how many pairs workers have handed over, by comparison: what a process that has ended
    did not tell of is lost, and named before another one listens.
    """

    def __init__(self, socket: Path, handed_over: Callable[[], Mapping[Key, int]]) -> None:
        self.socket = socket
        self._handed_over = handed_over
        self.wanted = False
        self.pid = 0
        self.restarts = 0
        self.unreadable = 0
        # Of the process that runs, and of those before it.
        self._now: dict[Key, dict[str, Any]] = {}
        self._before: dict[Key, dict[str, Any]] = {}
        self._lost: dict[Key, int] = {}
        self._unreadable_before = 0
        self._process: asyncio.subprocess.Process | None = None
        self._closing = False
        self._ended = asyncio.Event()

    def follow(self, table: Mapping[str, Any]) -> None:
        """Note whether a table has shadows whose answers are compared."""
        self.wanted = any(
            (shadow.get("compare") or {}).get("share", 0) > 0
            for route in table["routes"]
            for shadow in route.get("shadows", ())
        )

    def results(self) -> list[dict[str, Any]]:
        """What was found in this life of the agent, for the report to control."""
        keys = list(dict.fromkeys([*self._lost, *self._before, *self._now]))[-RESULTS_MAX:]
        return [
            {"route": key[0], "shadow": key[1], "role": key[2], "stage": key[3]}
            | self._total(key)
            | {"lost": self._lost.get(key, 0)}
            for key in keys
        ]

    def _total(self, key: Key) -> dict[str, Any]:
        now, before = self._now.get(key), self._before.get(key)
        if now is None or before is None:
            return now or before or Comparisons().to_json()
        return merged(before, now)

    def _name_losses(self) -> None:
        """No process runs: whatever was handed over and not compared is lost."""
        for key, count in self._handed_over().items():
            lost = count - self._total(key)["compared"]
            if lost > self._lost.get(key, 0):
                self._lost[key] = lost
        while len(self._lost) > RESULTS_MAX:
            del self._lost[next(iter(self._lost))]

    async def run(self) -> None:
        """Keep the process running while it is wanted; for ever, or until `close`."""
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._closing:
            if not self.wanted:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            began = loop.time()
            await self._live()
            if self._closing:
                break
            failures = 0 if loop.time() - began >= STEADY_SECONDS else failures + 1
            self.restarts += 1
            # Long enough for workers to see that their lines have ended.
            await asyncio.sleep(min(RESTART_DELAY_MAX, RESTART_DELAY_FIRST * 2.0 ** max(0, failures - 1)))
            self._name_losses()
        self._name_losses()
        self._ended.set()

    async def close(self) -> None:
        """Let the process finish what it has got, and take its last word."""
        self._closing = True
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._ended.wait()

    async def _live(self) -> None:
        """Run one process from its start to its end."""
        command = python_command("proxy.compare.process", str(self.socket))
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_BYTES_MAX,
                env=child_environment({}),
            )
        except OSError as exc:
            log.error("cannot run the comparing process: %s", exc.strerror)
            return
        self._process, self.pid = process, process.pid
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._read(line)
        except ValueError as exc:
            log.error("the comparing process said what cannot be read: %s", exc)
        finally:
            if not self._closing and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await asyncio.shield(process.wait())
            self._process, self.pid = None, 0
            self._settle()
        if not self._closing:
            log.error("the comparing process ended (%s); starting another", process.returncode)

    def _read(self, line: bytes) -> None:
        value = orjson.loads(line)
        self.unreadable = self._unreadable_before + value["unreadable"]
        for entry in value["comparisons"]:
            route, shadow, role, stage = entry.pop("key")
            self._now.pop((route, shadow, role, stage), None)
            self._now[route, shadow, role, stage] = entry

    def _settle(self) -> None:
        self._unreadable_before = self.unreadable
        for key in self._now:
            total = self._total(key)
            self._before.pop(key, None)
            self._before[key] = total
        self._now = {}
        while len(self._before) > RESULTS_MAX:
            del self._before[next(iter(self._before))]
