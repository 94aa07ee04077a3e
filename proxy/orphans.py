"""Workers whose agent died: they serve on until ours accept connections, and are ended then."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from typing import Final

from proxy.processes import ProcessRecord
from proxy.waiting import happens

log = logging.getLogger("headgate.workers")

LOOK_SECONDS: Final = 0.05


class Orphans:
    """The workers of earlier boots that still live. `changed` is called whenever one of them has gone."""

    def __init__(self, records: list[ProcessRecord], changed: Callable[[], None]) -> None:
        self.records = records
        self._changed = changed

    def drain(self) -> None:
        """Ask them to finish what is in flight and to exit; nobody takes over."""
        for record in self.records:
            record.send(signal.SIGINT)

    async def hand_over(self, seconds: float | None, draining: asyncio.Event) -> None:
        """Let them finish in their own time, at most `seconds`, until they are gone or we drain ourselves."""
        for record in self.records:
            # Those that have been replaced before know already, and take no notice.
            record.send(signal.SIGTERM)
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.records and not draining.is_set():
            await happens(draining, LOOK_SECONDS)
            if deadline is not None and time.monotonic() > deadline:
                self._kill()
                deadline = None
            self._look()

    async def end(self, seconds: float | None) -> None:
        """Drain them, and kill what still lives after `seconds`; without a limit wait as long as it takes."""
        self.drain()
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.records:
            await asyncio.sleep(LOOK_SECONDS)
            if deadline is not None and time.monotonic() > deadline:
                self._kill()
                deadline = None
            self._look()

    def _kill(self) -> None:
        for record in self.records:
            log.error("process %d of an earlier agent did not drain; killing it", record.pid)
            record.send(signal.SIGKILL)

    def _look(self) -> None:
        alive = [record for record in self.records if record.alive]
        if alive != self.records:
            self.records = alive
            self._changed()
