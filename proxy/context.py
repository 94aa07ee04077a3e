"""What the connections of one worker share, as a compiled class: the hot path reads nothing by name."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

from proxy.counters import slot_base
from proxy.dial import Dialer
from proxy.endpoint import EndpointRegistry
from proxy.forwarding import RequestIds
from proxy.retrying import RetryBudget
from proxy.shadow.shadows import Shadows
from proxy.slot_counts import SlotCounts
from proxy.timers import TimerWheel

if TYPE_CHECKING:
    from proxy.arms import Arm
    from proxy.client import ClientConnection
    from proxy.live import LiveTable
    from proxy.wire.head import RequestHead, ResponseHead


@mypyc_attr(allow_interpreted_subclasses=True)
class WorkerContext:
    """The state of a worker as far as requests see it; `proxy.worker` adds sockets, signals and the link.

    Used on one event loop only, so nothing is locked. `live` and both heads come with a table, before the
    first connection is accepted. `requests` and `reused` are written into the page by the worker's beat, not
    once per request.
    """

    __slots__ = (
        "budgets",
        "cells",
        "clients",
        "counts",
        "dialer",
        "draining",
        "ending",
        "endpoints",
        "feedback_key",
        "holders",
        "live",
        "loop",
        "overload",
        "pages",
        "request_head",
        "request_ids",
        "requests",
        "response_head",
        "reused",
        "shadows",
        "wheel",
    )

    live: LiveTable
    request_head: RequestHead
    response_head: ResponseHead

    def __init__(self, loop: asyncio.AbstractEventLoop, cells: memoryview) -> None:
        self.loop = loop
        self.cells = cells
        # The pages of all workers of this machine, our own first: the divert looks at what siblings saw.
        self.pages: list[memoryview] = [cells]
        self.counts: dict[int, SlotCounts] = {}
        self.wheel = TimerWheel()
        self.endpoints = EndpointRegistry()
        self.dialer = Dialer(loop)
        self.request_ids = RequestIds()
        # Signs request ids of routes that take feedback; empty where nothing may.
        self.feedback_key = b""
        self.clients: set[ClientConnection] = set()
        # Another worker has taken over; `ending`: nobody has, so whoever is left has to hurry.
        self.draining = False
        self.ending = False
        # Degree of overload, see `proxy.admission`; 0 while all is well.
        self.overload = 0
        # Of each route by name, over all its tables.
        self.budgets: dict[str, RetryBudget] = {}
        self.requests = 0
        self.holders: dict[int, tuple[str, str, str, str]] = {}
        self.reused = 0
        self.shadows = Shadows(self)

    def slot_counts(self, arm: Arm) -> SlotCounts:
        """Return the one writer of an arm's slot; tables that name the same arm share it.

        A slot that was given to another arm forgets what the divert knew: the new arm has failed nobody yet.
        """
        slot = arm.slot
        holder = (arm.route, arm.variant, arm.role, arm.stage)
        counts = self.counts.get(slot)
        if counts is None:
            counts = SlotCounts(self.cells, slot_base(slot))
            self.counts[slot] = counts
        elif self.holders.get(slot) != holder:
            counts.rate(0)
            counts.divert(0)
        self.holders[slot] = holder
        return counts

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` as a task that this worker owns until it ends."""
        raise NotImplementedError

    def drained_one(self) -> None:
        """A connection closed while draining."""
        raise NotImplementedError
