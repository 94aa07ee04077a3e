"""All shadows of one worker: sends copies after the primary's bytes have left, and steps back under load."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from proxy.outcomes import CLIENT_ABORT
from proxy.shadow.copy_counts import CopyCounts
from proxy.shadow.feed import Feed
from proxy.shadow.mirror import Mirror
from proxy.shadow.straight import send
from proxy.shadow.tap import COLLECTING
from proxy.wire.grammar import MARKED
from proxy.wire.head import ResponseHead

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.shadow.connection import ShadowConnection
    from proxy.shadow.spec import ShadowSpec
    from proxy.shadow.tap import Tap
    from proxy.slot_counts import SlotCounts
    from proxy.table import Route

# Ticks without lag before copies are made again.
CALM_TICKS: Final = 10
# Bytes of answers that nobody compares, read in a tick: 10 MiB a second. Reading them takes the loop's time.
VAIN_BYTES_PER_TICK: Final = 1048576
# One of them reads at most a quarter of that at once.
RESUMED_PER_TICK: Final = 4


class Shadows:
    """What the shadows of a worker share."""

    __slots__ = (
        "calm_at",
        "closing",
        "connections",
        "counts",
        "feed",
        "late",
        "mirrors",
        "outbox",
        "paused",
        "ready",
        "response_head",
        "send_soon",
        "vain_left",
        "wheel",
        "worker",
    )

    def __init__(self, worker: WorkerContext, compare: str = "") -> None:
        self.worker = worker
        self.wheel = worker.wheel
        self.feed = Feed(worker, compare)
        self.mirrors: dict[tuple[str, str, str], Mirror] = {}
        self.connections: set[ShadowConnection] = set()
        # By the place of their slot in the page: tables that name the same shadow share one writer.
        self.counts: dict[int, CopyCounts] = {}
        # What goes out at the next turn: requests with all that is kept of them, and on the straight way the
        # shadows that have copies.
        self.outbox: list[Tap] = []
        self.ready: list[Mirror] = []
        self.send_soon: Callable[[], None] = self.send
        self.response_head = ResponseHead()
        self.closing = False
        # What may still be read in vain in this tick, and who waits for the next.
        self.vain_left: int = VAIN_BYTES_PER_TICK
        self.paused: list[ShadowConnection] = []
        # The worst lateness of the loop since it was calm, seconds, and when calm is assumed again.
        self.late = 0.0
        self.calm_at = 0

    def adopt(
        self, routes: list[tuple[Route, list[tuple[ShadowSpec, SlotCounts]]]]
    ) -> dict[str, list[Mirror]]:
        """Follow another table; returns each shadowed route's mirrors by its name."""
        before = self.mirrors
        self.mirrors = {}
        found: dict[str, list[Mirror]] = {}
        for route, shadows in routes:
            mirrors: list[Mirror] = []
            for spec, counts in shadows:
                key = (route.name, spec.name, spec.arm.role)
                mirror = before.pop(key, None)
                if mirror is None:
                    mirror = Mirror(self)
                number = self.feed.define(route.name, spec)
                own = self.counts.get(counts.base)
                if own is None:
                    own = self.counts[counts.base] = CopyCounts(counts)
                mirror.adopt(spec, own, spec.arm.upstream.live, number)
                self.mirrors[key] = mirror
                mirrors.append(mirror)
            found[route.name] = mirrors
        for gone in before.values():
            gone.retire()
        return found

    def field_names(self) -> tuple[bytes, ...]:
        """Lower-case names of the fields that copies must not have: the scan of a request tells of them."""
        names: dict[bytes, None] = {}
        for mirror in self.mirrors.values():
            for name in mirror.dropped:
                names[name[:-1]] = None
        return tuple(names)

    def look_for(self, kinds: dict[bytes, int]) -> None:
        """Take note of what the scan of a request does not tell: names that mean something else to it."""
        for mirror in self.mirrors.values():
            mirror.judge([name for name in mirror.dropped if kinds.get(name[:-1]) != MARKED])

    def offer(self, tap: Tap) -> None:
        """Send the copies of a whole request at the next turn of the loop."""
        if not (self.outbox or self.ready):
            self.worker.loop.call_soon(self.send_soon)
        self.outbox.append(tap)

    def send(self) -> None:
        """Send what was offered in the last turn."""
        now_ns = perf_counter_ns()
        if self.ready:
            mirrors = self.ready
            self.ready = []
            for mirror in mirrors:
                send(mirror, now_ns)
        taps = self.outbox
        if not taps:
            return
        self.outbox = []
        for tap in taps:
            tap.started_ns = now_ns
            for copy in tap.copies:
                if copy.state == COLLECTING:
                    copy.started_ns = now_ns
                    copy.mirror.send(copy)
            tap.first = b""
            tap.pieces = None

    def read_in_vain(self, connection: ShadowConnection, size: int) -> None:
        """Bytes that nobody compares were read; beyond the pace their connection waits for a tick."""
        self.vain_left -= size
        if self.vain_left <= 0:
            connection.transport.pause_reading()
            self.paused.append(connection)

    def tick(self, late: float) -> None:
        """Called ten times a second with the loop's lateness in seconds."""
        self.vain_left = VAIN_BYTES_PER_TICK
        if self.paused:
            for connection in self.paused[:RESUMED_PER_TICK]:
                connection.transport.resume_reading()
            self.paused = [one for one in self.paused[RESUMED_PER_TICK:] if one.copy is not None]
        if late > self.late:
            self.late = late
            self.calm_at = self.wheel.now + CALM_TICKS
        elif self.late and self.wheel.now >= self.calm_at:
            self.late = late
        if self.mirrors or self.feed.pending:
            self.feed.tick()

    def close(self) -> None:
        """The worker ends: copies under way are given up, and counted as such."""
        self.closing = True
        for connection in list(self.connections):
            connection.cut(CLIENT_ABORT)
        self.feed.close()
