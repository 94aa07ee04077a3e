"""Tables with shadows, what a worker counts about them, and shadows that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from proxy import counters
from proxy.shadow.cells import (
    ELIGIBLE,
    MIRRORED_0,
    PAIRED,
    SIZE_CLASSES,
    SKIPPED,
    SKIPPED_0,
    SKIPS,
    UNPAIRED_0,
    Skip,
    Unpaired,
)
from tests.helpers.dataplane import WorkerProcess, route, table
from tests.helpers.http import Handler, Message, ok, read_request

SHADOW_SLOT = 2


def shadowed(primary: int, shadow: int, *, more: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A table that answers from `primary`, counted in slot 1, and copies to `shadow`, counted in slot 2."""
    entry = {"name": "v2", "arm": 1, "reference": [0], "methods": ["POST"], "lag": 0.0} | spec
    routes = [route("all", {"kind": "direct", "arms": [0]}, shadows=[entry])]
    arms = [("all", "v1", "stable", "v1"), ("all", "v2", "shadow", "v2")]
    return table({"v1": [primary], "v2": [shadow]}, routes, arms=arms, **(more or {}))


def shadowed_by(primary: dict[str, int], shadows: dict[str, int], **spec: Any) -> dict[str, Any]:
    """A table that answers from `primary` (slot 1) and copies to every shadow (slots 2 and on)."""
    (name, port), *_ = primary.items()
    entries = [
        {"name": shadow, "arm": arm, "reference": [0], "methods": ["POST"], "lag": 0.0} | spec
        for arm, shadow in enumerate(shadows, start=1)
    ]
    routes = [route("all", {"kind": "direct", "arms": [0]}, shadows=entries)]
    arms = [("all", name, "stable", name), *(("all", shadow, "shadow", shadow) for shadow in shadows)]
    return table({name: [port]} | {shadow: [at] for shadow, at in shadows.items()}, routes, arms=arms)


class ShadowCounts:
    """What one slot of a worker's page says about a shadow."""

    def __init__(self, worker: WorkerProcess, slot: int = SHADOW_SLOT) -> None:
        self._cells = worker.cells
        self._base = counters.slot_base(slot)

    def cell(self, offset: int) -> int:
        """One count."""
        return int(self._cells[self._base + offset])

    @property
    def eligible(self) -> int:
        return self.cell(ELIGIBLE)

    @property
    def mirrored(self) -> int:
        return sum(self.cell(MIRRORED_0 + size) for size in range(SIZE_CLASSES))

    @property
    def skipped(self) -> int:
        return self.cell(SKIPPED)

    @property
    def paired(self) -> int:
        return self.cell(PAIRED)

    @property
    def in_flight(self) -> int:
        return self.cell(counters.STARTED) - self.cell(counters.FINISHED)

    @property
    def settled(self) -> bool:
        """Whether every eligible request was copied or skipped, and every copy has ended."""
        return self.eligible == self.mirrored + self.skipped and self.in_flight == 0

    def skips(self, reason: Skip) -> int:
        """Requests skipped for a reason, of all sizes."""
        return sum(self.cell(SKIPPED_0 + reason * SIZE_CLASSES + size) for size in range(SIZE_CLASSES))

    def unpaired(self, reason: Unpaired) -> int:
        """Copies not compared for a reason, of all sizes."""
        return sum(self.cell(UNPAIRED_0 + reason * SIZE_CLASSES + size) for size in range(SIZE_CLASSES))

    def outcome(self, outcome: int) -> int:
        return self.cell(counters.OUTCOME_0 + outcome)

    def check(self) -> None:
        """The counts add up."""
        assert self.eligible == self.mirrored + self.skipped
        assert self.skipped == sum(self.skips(reason) for reason in Skip)
        assert len(Skip) == SKIPS
        assert self.mirrored == self.cell(counters.STARTED) == self.cell(counters.FINISHED)
        assert self.mirrored == self.paired + sum(self.unpaired(reason) for reason in Unpaired)


def delayed(seconds: float) -> Handler:
    """A server that answers every request, late."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await asyncio.sleep(seconds)
            writer.write(ok(b"late"))
            await writer.drain()

    return handler


async def hung(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, and neither reads nor writes."""
    del reader, writer
    await asyncio.sleep(3600)


async def hung_in_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends half an answer and stops."""
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await asyncio.sleep(3600)


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Resets the connection once the request is there."""
    await read_request(reader)
    writer.transport.abort()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with bytes that are no HTTP."""
    await read_request(reader)
    writer.write(b"\x00\xff\r\n\r\nSSH-2.0-OpenSSH\r\n\r\n" * 3)
    await writer.drain()
    await asyncio.sleep(3600)


def enormous(size: int) -> Handler:
    """Answers with `size` bytes, as fast as they are taken."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        block = b"x" * 65536
        with contextlib.suppress(ConnectionError):
            for _ in range(size // len(block) + 1):
                writer.write(block)
                await writer.drain()

    return handler


def seen(message: Message) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What a client sees of an answer, without the fields that differ from request to request."""
    kept = [(name, value) for name, value in message.fields if name not in ("x-request-id", "date")]
    return message.status, message.body, kept
