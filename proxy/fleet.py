"""Keeps the workers of one boot running, hands them tables and takes over from a boot before."""

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from config.counted import counted
from proxy.beats import HUNG_SECONDS, BeatWatch
from proxy.certificates import Certificates
from proxy.child import WorkerChild
from proxy.counters import HEARTBEAT_NS
from proxy.listeners import Listening
from proxy.orphans import Orphans
from proxy.processes import ProcessRecord, exit_text, write_records
from proxy.slots import ArmKey, Table
from proxy.state import StateDirectory
from proxy.tally import Tally
from proxy.waiting import either, happens

log = logging.getLogger("headgate.workers")

RESTART_DELAY_FIRST: Final = 0.05
RESTART_DELAY_MAX: Final = 10.0
# A worker that served this long is no part of a crash loop.
STEADY_SECONDS: Final = 10.0
START_TRIES: Final = 3
KILL_GRACE_SECONDS: Final = 5.0
# After this much of a drain no client is left waiting for a worker that does not come.
END_SECONDS: Final = 1.0


class StartError(Exception):
    """The workers did not start; says why in the words of the one that failed."""


class Fleet:
    """The workers of this boot, by index."""

    def __init__(
        self,
        *,
        state: StateDirectory,
        tally: Tally,
        count: int,
        listening: Listening,
        certificates: Certificates,
        command: Sequence[str],
        orphans: list[ProcessRecord],
        save_ledger: Callable[[], None],
        hung_seconds: int = HUNG_SECONDS,
        feedback_key: bytes = b"",
        scores: Mapping[ArmKey, int] | None = None,
    ) -> None:
        self.count = count
        self.orphans = Orphans(orphans, self._save_records)
        self.children: dict[int, WorkerChild] = {}
        self.restarts = [0] * count
        self.hung_kills = 0
        self.requests_lost = 0
        self.last_exit: dict[int, str] = {}
        self.table: Table | None = None
        self.down: dict[str, list[str]] = {}
        self._state = state
        self._tally = tally
        self._listening = listening
        self._certificates = certificates
        certificates.changed.append(self._hand_out)
        self._command = command
        self._save_ledger = save_ledger
        self._feedback_key = feedback_key
        self._scores = dict(scores or {})
        self._draining = asyncio.Event()
        self._started = asyncio.Event()
        self._failed = False
        self._recorded_ready = 0
        self._beats = BeatWatch(hung_seconds)

    @property
    def all_ready(self) -> bool:
        """Whether every worker accepts connections."""
        return len(self.children) == self.count and all(child.ready for child in self.children.values())

    @property
    def ready_count(self) -> int:
        """How many workers accept connections."""
        return sum(child.ready for child in self.children.values())

    @property
    def revision_applied(self) -> int:
        """The revision that every worker routes by at least; 0 while one has none."""
        acked = [child.revision_acked for child in self.children.values()]
        return min(acked) if len(acked) == self.count else 0

    @property
    def revision_oldest(self) -> int:
        """The oldest revision that any worker of this boot may still begin a request by."""
        assert self.table is not None
        return min(
            (child.revision_oldest for child in self.children.values()), default=self.table["revision"]
        )

    @property
    def draining(self) -> bool:
        """Whether the workers were told to finish and exit."""
        return self._draining.is_set()

    @property
    def problems(self) -> list[str]:
        """What is wrong with workers now, in words."""
        problems = []
        for index in range(self.count):
            child = self.children.get(index)
            if child is None or not child.ready:
                problems.append(f"worker {index} is not ready: {self.last_exit.get(index, 'it is starting')}")
            elif child.message:
                problems.append(f"worker {index}: {child.message}")
        return problems

    async def run(self, table: Table) -> None:
        """Keep all workers running until they have drained. Cancelled, it leaves them serving.

        Raises StartError when one of them cannot start, before all of them were ready for the first time;
        none of them runs on then.
        """
        self.table = table
        refused: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._watch_beats())
                take_over = tasks.create_task(self._take_over())
                keepers = [tasks.create_task(self._keep(index)) for index in range(self.count)]
                await asyncio.wait([*keepers, take_over])
                watch.cancel()
        except* StartError as group:
            # Not raised in here: Python 3.11.2 would wrap it into a group again.
            refused = group.exceptions[0]
        if refused is not None:
            raise refused

    def publish(self, table: Table) -> None:
        """Hand a table with slots to every worker; those that are busy with an earlier one get it next."""
        self.table = table
        for child in self.children.values():
            child.offer(table)

    def tell_health(self, down: dict[str, list[str]]) -> None:
        """Tell every worker, those that start later too, which endpoints are down."""
        self.down = down
        for child in self.children.values():
            child.tell_health(down)

    @property
    def endpoints(self) -> dict[int, list[list[Any]]]:
        """What each worker has told of its endpoints (`proxy.ejection`)."""
        return {index: child.endpoints for index, child in self.children.items()}

    def drain(self) -> None:
        """Let every worker, orphans too, finish what is in flight and exit."""
        self._draining.set()
        for child in self.children.values():
            child.drain()
        self.orphans.drain()
        # Workers do so as well, each for its own slot and as soon as its queue is empty.
        asyncio.get_running_loop().call_later(END_SECONDS, self._listening.end)

    async def drain_ordered(self) -> None:
        """Wait until the workers are told to finish."""
        await self._draining.wait()

    async def _keep(self, index: int) -> None:
        failures = 0
        while not self.draining:
            began = time.monotonic()
            was_ready = await self._live(index)
            if self.draining:
                return
            steady = was_ready and time.monotonic() - began >= STEADY_SECONDS
            failures = 0 if steady else failures + 1
            if failures >= START_TRIES and not self._started.is_set():
                self._failed = True
                raise StartError(f"worker {index} does not start: {self.last_exit[index]}")
            self.restarts[index] += 1
            delay = min(RESTART_DELAY_MAX, RESTART_DELAY_FIRST * 2 ** max(0, failures - 1))
            # Workers that die together shall not come back in step.
            await happens(self._draining, delay * random.uniform(0.75, 1.25))

    async def _live(self, index: int) -> bool:
        """Run one worker from its start to its end; return whether it ever was ready."""
        try:
            child = await WorkerChild.spawn(
                self._command, index, self._on_change, self._listening.descriptors
            )
        except OSError as exc:
            self.last_exit[index] = f"cannot run {self._command[0]}: {exc.strerror}"
            log.error("worker %d: %s", index, self.last_exit[index])
            return False
        self.children[index] = child
        # Written down before it is told to serve: whoever finds it later can end it.
        self._save_records()
        child.start(self._start_message(index))
        child.tell_health(self.down)
        if self.draining:
            child.drain()
        try:
            await self._wait(child)
        except asyncio.CancelledError:
            if self._failed:
                child.signal(signal.SIGKILL)
                await child.exited.wait()
                self._ended(child)
            raise
        self._ended(child)
        return child.ready

    async def _wait(self, child: WorkerChild) -> None:
        """Wait for a worker's end; one that was asked to drain is killed when it takes too long."""
        while not self.draining:
            await either(child.exited, self._draining)
            if child.exited.is_set():
                return
        limit = self._drain_seconds()
        if not await happens(child.exited, limit):
            log.error("worker %d (process %d) did not drain in %s s", child.index, child.pid, limit)
            child.signal(signal.SIGKILL)
            await child.exited.wait()

    def _ended(self, child: WorkerChild) -> None:
        child.close()
        del self.children[child.index]
        self._beats.forget(child.index)
        lost = self._tally.writer_died(child.index)
        self.requests_lost += lost
        self._save_ledger()
        self._save_records()
        self.last_exit[child.index] = child.message or exit_text(child.process.returncode)
        self._cover()
        if not (self.draining or self._failed):
            log.error(
                "worker %d (process %d) ended: %s; %d requests in flight lost; starting another",
                child.index,
                child.pid,
                self.last_exit[child.index],
                lost,
            )

    def _on_change(self) -> None:
        if self.ready_count != self._recorded_ready:
            # Now with the addresses, which the next agent asks for again when the port was left to chance.
            self._save_records()
        assert self.table is not None
        for child in self.children.values():
            child.offer(self.table)
        self._cover()
        if self.all_ready and not self._started.is_set():
            self._started.set()
            places = ", ".join(f"{entry['host']}:{entry['port']}" for entry in self._listening.listeners)
            log.info("requests are accepted on %s by %s", places, counted(self.count, "worker"))

    def _hand_out(self, files: Mapping[str, str]) -> None:
        for child in self.children.values():
            child.certificates(files)

    def _cover(self) -> None:
        """Let one worker accept for those that are away; the first start is no absence."""
        if self.draining or not self._started.is_set():
            return
        away = [index for index in range(self.count) if not self._accepts(index)]
        stand_in = next((index for index in range(self.count) if self._accepts(index)), None)
        for index, child in self.children.items():
            child.cover(away if index == stand_in else [])

    def _accepts(self, index: int) -> bool:
        child = self.children.get(index)
        return child is not None and child.ready and not (child.draining or child.exited.is_set())

    def _start_message(self, index: int) -> dict[str, Any]:
        boot = self._tally.boot
        pages = {number: str(self._state.page(boot, number)) for number in range(self.count)}
        return {
            "type": "start",
            "index": index,
            "boot": boot,
            "page": pages.pop(index),
            "siblings": list(pages.values()),
            "listeners": self._listening.listeners,
            "compare": str(self._state.compare_socket),
            "files": dict(self._certificates.files),
            "table": self.table,
            "feedback_key": self._feedback_key.hex(),
            # Only to the first of each place: its successors find what it has seen since.
            "scores": [] if self.restarts[index] else self._inherited_scores(),
        }

    def _inherited_scores(self) -> list[tuple[int, int]]:
        """By slot, each worker's part of what earlier workers knew of failing arms."""
        slots = self._tally.book.occupied()
        return [(slots[key], -(-score // self.count)) for key, score in self._scores.items() if key in slots]

    async def _take_over(self) -> None:
        """End the workers of earlier boots, but only once ours accept connections."""
        if self.orphans.records:
            log.info(
                "%d workers of an earlier agent serve on until ours are ready", len(self.orphans.records)
            )
            await either(self._started, self._draining)
            await self.orphans.hand_over(self._handover_seconds(), self._draining)
            await self.orphans.end(self._drain_seconds())

    async def _watch_beats(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            for index, child in list(self.children.items()):
                if self._beats.look(index, self._tally.pages[index].cells[HEARTBEAT_NS]):
                    log.error("worker %d (process %d) is hung; killing it", index, child.pid)
                    self.hung_kills += 1
                    child.signal(signal.SIGKILL)

    def _drain_seconds(self) -> float | None:
        assert self.table is not None
        seconds = float(self.table["timeouts"]["drain"])
        return seconds + KILL_GRACE_SECONDS if seconds > 0 else None

    def _handover_seconds(self) -> float | None:
        assert self.table is not None
        seconds = float(self.table["timeouts"].get("handover", 0.0))
        return seconds + KILL_GRACE_SECONDS if seconds > 0 else None

    def _save_records(self) -> None:
        if not self._state.ours:
            return
        self._recorded_ready = self.ready_count
        boot = self._tally.boot
        records = [
            child.record(boot, str(self._state.page(boot, child.index))) for child in self.children.values()
        ]
        try:
            write_records(self._state.workers, [*records, *self.orphans.records])
        except OSError as exc:
            log.error("%s: cannot be written: %s", self._state.workers, exc.strerror)


def worker_count(configured: int | str) -> int:
    """Return how many workers `workers:` asks for; `auto` is one for each processor we may use."""
    return len(os.sched_getaffinity(0)) if configured == "auto" else int(configured)
