"""A worker: one process, one event loop, one counter page. Forwards requests and knows nothing else.

Started by the agent as ``python -m proxy.worker`` with one end of a socket pair; everything it needs to know
arrives over that link, and what it has to say stands in its counter page.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import uvloop

from proxy import counters
from proxy.accepting import Accepting
from proxy.admission import degree
from proxy.compiled import stale_modules
from proxy.context import WorkerContext
from proxy.counters import CounterPage
from proxy.link import LINK_FD_VARIABLE, ORPHAN_SECONDS, LinkError, Message, Start, WorkerLink
from proxy.live import LiveTable
from proxy.resolving import Resolver, named
from proxy.splits.load import load_all
from proxy.table import RoutingTable
from proxy.timers import TICKS_PER_SECOND
from proxy.wire.head import RequestHead, ResponseHead

BEAT_TICKS: Final = 5
EXIT_START_FAILED: Final = 2
# The loop hands a connection to its protocol in a turn after the one in which it took it from the kernel.
ACCEPTED_SECONDS: Final = 0.05


class Worker(WorkerContext):
    """What the connections share, and the process around it: sockets, time, table, end."""

    def __init__(self, start: Start, page: CounterPage, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, page.cells)
        self.feedback_key = start.feedback_key
        self.page = page
        self.siblings = start.siblings
        self.tasks: set[asyncio.Task[None]] = set()
        self.accepting = Accepting(self, start.listeners, start.index, start.files)
        self.dialer.use(start.files)
        self.resolver = Resolver(loop, lambda: named(self), self.spawn)
        self.stopped = asyncio.Event()
        self._published: RoutingTable | None = None
        self.on_endpoints: Callable[[list[list[object]]], None] | None = None
        self.on_draining: Callable[[], None] | None = None
        self._reported: list[list[object]] = []
        # A page outlives its worker; these two counts are kept here between beats.
        self.requests = page.cells[counters.REQUESTS]
        self.reused = page.cells[counters.UPSTREAM_CONNECTIONS_REUSED]
        self.shadows.feed.path = start.compare
        self.endpoints.turn(loop.time())
        self.publish(start.table)
        for slot, score in start.scores:
            if slot in self.counts:
                self.counts[slot].rate(score)

    # The table.

    def publish(self, message: Message) -> None:
        """Route every request from now on by this table; ValueError leaves the one in use untouched."""
        table = RoutingTable.from_json(message, self._published)
        live = LiveTable(self, table)
        names = table.headers
        noted = next((route.split.noted for route in table.routes if route.split.noted), b"")
        self.request_head = RequestHead(
            names.request_id, live.forwarding.drop, noted, self.shadows.field_names()
        )
        self.request_head.prepare()
        self.shadows.look_for(self.request_head.kinds)
        # What an upstream says about request id and variant would contradict us.
        self.response_head = ResponseHead(tuple(name for name in (names.request_id, names.variant) if name))
        self.response_head.prepare()
        self.live = live
        self._published = table
        self.cells[counters.REVISION] = table.revision
        self.cells[counters.RELOADS] += 1

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` as a task that this worker owns until it ends."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.cells[counters.INTERNAL_ERRORS] += 1
            self.loop.call_exception_handler({"message": "task failed", "exception": task.exception()})

    # Time.

    async def tick(self) -> None:
        """Drive the timer wheel and the heartbeat until the worker stops."""
        period = 1 / TICKS_PER_SECOND
        due = self.loop.time() + period
        beats = second = 0
        while not self.stopped.is_set():
            await asyncio.sleep(max(0.0, due - self.loop.time()))
            late = self.loop.time() - due
            # After a stall every missed tick is made up, so that deadlines keep their meaning.
            while due <= self.loop.time():
                due += period
                self.wheel.advance()
            beats += 1
            self.overload = degree(late, self.live.table.loop_lag, self.overload)
            self.count()
            self.shadows.tick(max(0.0, late))
            if self.wheel.now >= second:
                second = self.wheel.now + TICKS_PER_SECOND
                for budget in self.budgets.values():
                    budget.turn()
                self.endpoints.turn(self.loop.time())
                self.resolver.turn(self.loop.time())
                self._report()
            if beats >= BEAT_TICKS:
                beats = 0
                self.page.beat(time.monotonic_ns(), max(0, int(late * 1e6)))
                if len(self.pages) <= len(self.siblings):
                    self._open_siblings()

    def _report(self) -> None:
        """Tell the agent of the endpoints, when there is news."""
        rows = self.endpoints.report()
        if rows != self._reported and self.on_endpoints is not None:
            self._reported = rows
            self.on_endpoints(rows)

    def count(self) -> None:
        """Store what is counted here rather than in the page."""
        for counts in self.counts.values():
            counts.settle()
        self.cells[counters.REQUESTS] = self.requests
        self.cells[counters.UPSTREAM_CONNECTIONS_REUSED] = self.reused
        self.cells[counters.OVERLOAD] = self.overload
        self.cells[counters.QUEUED] = self.endpoints.waiting()

    def _open_siblings(self) -> None:
        """Map the pages of the other workers for reading; one that is not there yet is tried again."""
        pages = [self.cells]
        for path in self.siblings:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                size = os.fstat(descriptor).st_size
                if size == len(self.cells) * counters.CELL_BYTES:
                    mapping = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
                    pages.append(memoryview(mapping).cast("Q"))
            finally:
                os.close(descriptor)
        self.pages = pages

    # The end.

    def drain(self, *, final: bool = False) -> None:
        """Accept nothing new, finish what is in flight, then stop.

        Replaced by another worker, this one takes the time of `timeouts.handover` and leaves idle connections
        to their next request. In a `final` drain there is no other: what is idle closes soon, and what is not
        finished within `timeouts.drain` is cut. Orders may come again, one from each agent that finds us.
        """
        if self.ending or (self.draining and not final):
            return
        self.ending = final
        if not self.draining:
            self.draining = True
            if self.on_draining is not None:
                self.on_draining()
            self.accepting.stop(final=final, adopted=self.drained_one)
            for upstream in self.live.table.upstreams:
                for endpoint in upstream.live:
                    if endpoint.pool is not None:
                        endpoint.pool.close_idle()
        timeouts = self.live.table.timeouts
        if final:
            for client in list(self.clients):
                client.drain()
        self.drained_one()
        seconds = timeouts.drain if final else timeouts.handover
        if seconds > 0:
            self.loop.call_later(seconds, self.stopped.set)

    def drained_one(self) -> None:
        """A connection closed while draining; the last one ends the worker."""
        if not self.clients and not self.accepting.adopting:
            self.loop.call_later(ACCEPTED_SECONDS, self._stop_if_drained)

    def _stop_if_drained(self) -> None:
        if not self.clients and not self.accepting.adopting:
            self.stopped.set()


async def serve(fd: int) -> int:
    """Run a worker until it has drained; return the exit code."""
    loop = asyncio.get_running_loop()
    worker: Worker | None = None

    def on_table(message: Message) -> None:
        assert worker is not None
        try:
            worker.publish(message)
        except ValueError as exc:
            worker.cells[counters.TABLES_REFUSED] += 1
            link.failed(f"table refused: {exc}")
            return
        link.ack(worker.live.table.revision)

    def on_health(message: Message) -> None:
        assert worker is not None
        down = message["down"].items()
        worker.endpoints.probed({name: {key.encode() for key in keys} for name, keys in down})

    def on_drain() -> None:
        assert worker is not None
        worker.drain(final=True)

    def on_cover(message: Message) -> None:
        assert worker is not None
        worker.spawn(worker.accepting.cover(message["slots"]))

    def on_lost() -> None:
        # Serving goes on without an agent: it comes back, takes over, and ends us when its own are ready.
        if worker is not None:
            loop.call_later(ORPHAN_SECONDS, worker.drain)

    def on_certificates(message: Message) -> None:
        assert worker is not None
        try:
            worker.accepting.use(message["files"])
        except (OSError, KeyError) as exc:
            link.failed(f"certificates refused: {exc}")
        worker.dialer.use(message["files"])

    others = {"cover": on_cover, "certificates": on_certificates, "health": on_health}
    link = WorkerLink(fd, on_table, on_drain, on_lost, others)
    try:
        start = link.read_start()
        page = CounterPage.open_for_writing(start.page)
        worker = Worker(start, page, loop)
        addresses = await worker.accepting.start()
    except (LinkError, counters.PageError, OSError, ValueError, KeyError) as exc:
        link.failed(f"worker cannot start: {exc}")
        link.close()
        return EXIT_START_FAILED
    loop.set_exception_handler(worker_exceptions(worker))
    loop.add_signal_handler(signal.SIGTERM, worker.drain)
    loop.add_signal_handler(signal.SIGINT, on_drain)
    await link.connect()
    worker.on_endpoints = link.endpoints
    worker.on_draining = link.draining
    link.ack(worker.live.table.revision)
    link.ready(addresses)
    ticking = loop.create_task(worker.tick())
    await worker.stopped.wait()
    ticking.cancel()
    for task in list(worker.tasks):
        task.cancel()
    for client in list(worker.clients):
        client.cut_off()
    worker.shadows.close()
    # One more turn of the loop, so that every connection_lost has counted what it ends.
    await asyncio.sleep(0.05)
    worker.count()
    link.drained()
    link.close()
    await asyncio.sleep(0)
    return 0


def worker_exceptions(worker: Worker) -> Any:
    """Return an exception handler that counts: an exception on the loop is always a bug of ours."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        worker.cells[counters.INTERNAL_ERRORS] += 1
        loop.default_exception_handler(context)

    return handle


def main() -> int:
    """Entry point of ``python -m proxy.worker``."""
    fd = os.environ.get(LINK_FD_VARIABLE)
    if fd is None:
        sys.stderr.write("a worker is started by the agent; run `headgate run CONFIG`\n")
        return EXIT_START_FAILED
    stale = stale_modules()
    if stale:
        sys.stderr.write(f"compiled from other source than is here: {', '.join(stale)}; run `make build`\n")
        return EXIT_START_FAILED
    load_all()
    return uvloop.run(serve(int(fd)))


if __name__ == "__main__":
    sys.exit(main())
