"""The worker's line to the comparing process: written in batches, bounded, never waited for."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, cast

from proxy.shadow.frames import (
    DEFINITION,
    KIND_DEFINITION,
    KIND_PAIR,
    LENGTH,
    LENGTH_AND_PAIR,
    LENGTH_BYTES,
    PAIR_BYTES,
    PRIMARY_DECHUNKED,
)
from proxy.timers import TICKS_PER_SECOND

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.shadow.spec import ShadowSpec
    from proxy.shadow.tap import Copy

# What may wait for a comparing process that is slower than the traffic; beyond it pairs are dropped, until a
# quarter of it has gone out.
FEED_BYTES_MAX: Final = 4 * 1024 * 1024
FEED_BYTES_LOW: Final = 3 * 1024 * 1024
# Written at once when this much has gathered; otherwise ten times a second.
BATCH_BYTES: Final = 64 * 1024
RETRY_TICKS: Final = TICKS_PER_SECOND // 2
DEFINITIONS_MAX: Final = 4096

pack_pair: Final = LENGTH_AND_PAIR.pack


def bytes_of(pieces: list[bytes]) -> int:
    """How many bytes the pieces have together."""
    size = 0
    for piece in pieces:
        size += len(piece)
    return size


class Feed:
    """One worker's pairs on their way. Serves as the protocol of its connection."""

    __slots__ = (
        "connecting",
        "definitions",
        "full",
        "numbers",
        "path",
        "pending",
        "pending_bytes",
        "retry_at",
        "transport",
        "worker",
    )

    def __init__(self, worker: WorkerContext, path: str) -> None:
        self.worker = worker
        # The socket of the comparing process; empty = there is none.
        self.path = path
        self.transport: asyncio.Transport | None = None
        self.connecting = False
        # Whether more waits on the line than may.
        self.full = False
        self.retry_at = 0
        self.pending: list[bytes] = []
        self.pending_bytes = 0
        self.numbers: dict[str, int] = {}
        self.definitions: list[bytes] = []

    def define(self, route: str, spec: ShadowSpec) -> int:
        """The number of a comparison; the same rules for the same shadow keep theirs."""
        arm = spec.arm
        about = {
            "route": route,
            "shadow": spec.name,
            "role": arm.role,
            "stage": arm.stage,
            "rules": spec.rules,
        }
        text = json.dumps(about, sort_keys=True)
        number = self.numbers.get(text)
        if number is None:
            if len(self.numbers) >= DEFINITIONS_MAX:
                # Numbers of comparisons long gone are void on a new connection.
                self.numbers = {}
                self.definitions = []
                self.drop_connection()
            number = len(self.definitions)
            self.numbers[text] = number
            body = DEFINITION.pack(KIND_DEFINITION, number) + text.encode()
            frame = LENGTH.pack(len(body)) + body
            self.definitions.append(frame)
            if self.transport is not None:
                self.pending.append(frame)
        return number

    def pair(self, copy: Copy) -> bool:
        """Hand a pair on; False when it has to be dropped."""
        if self.transport is None or self.full:
            return False
        tap = copy.tap
        shadow = copy.answer
        if tap is None or tap.answer is None or shadow is None:
            return False
        primary = tap.answer
        request_id = tap.id_line
        primary_size = bytes_of(primary)
        shadow_size = bytes_of(shadow)
        size = PAIR_BYTES + primary_size + shadow_size + len(request_id)
        # Whoever reads it wants heads and bodies apart; here they are as they came.
        head = pack_pair(
            size,
            KIND_PAIR,
            copy.number,
            tap.primary_us,
            copy.shadow_us,
            tap.status,
            copy.status,
            PRIMARY_DECHUNKED if tap.dechunked else 0,
            tap.head_bytes,
            primary_size - tap.head_bytes,
            copy.head_bytes,
            shadow_size - copy.head_bytes,
            len(request_id),
        )
        pending = self.pending
        pending.append(head)
        pending += primary
        pending += shadow
        pending.append(request_id)
        self.pending_bytes += size + LENGTH_BYTES
        if self.pending_bytes > BATCH_BYTES:
            self.flush()
        return True

    def flush(self) -> None:
        """Write what has gathered."""
        transport = self.transport
        if transport is not None and self.pending:
            pending = self.pending
            self.pending = []
            self.pending_bytes = 0
            transport.write(b"".join(pending))

    def tick(self) -> None:
        """Called ten times a second while there are shadows."""
        if self.transport is not None:
            self.flush()
        elif self.path and not self.connecting and self.definitions:
            now: int = self.worker.wheel.now
            if now >= self.retry_at:
                self.retry_at = now + RETRY_TICKS
                self.connecting = True
                self.worker.spawn(self._connect())

    async def _connect(self) -> None:
        try:
            await self.worker.loop.create_unix_connection(self._protocol, self.path)
        except OSError:
            # Away; tried again, and what is dropped meanwhile is counted.
            pass
        finally:
            self.connecting = False

    def _protocol(self) -> asyncio.BaseProtocol:
        return cast(asyncio.BaseProtocol, self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(FEED_BYTES_MAX, FEED_BYTES_LOW)
        self.full = False
        self.pending = list(self.definitions)
        self.pending_bytes = 0

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self.pending = []
        self.pending_bytes = 0

    def data_received(self, data: bytes) -> None:
        """The comparing process says nothing on this line."""

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        """The comparing process is behind: pairs are dropped, and counted, until it has caught up."""
        self.full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self.full = False

    def drop_connection(self) -> None:
        """Close the line; it is opened again at a later tick."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = None

    def close(self) -> None:
        """Write what has gathered and close the line."""
        self.flush()
        if self.transport is not None:
            self.transport.close()
