"""Chooses the table that the workers start with, so that a restart never brings back what was rolled back."""

import asyncio
import logging
from typing import Final

from proxy.control_link import ControlLink
from proxy.fleet import StartError
from proxy.keeper import SLOTS, TableKeeper
from proxy.reloader import Reloader
from proxy.slots import Table
from proxy.snapshot import SnapshotError, read_snapshot
from proxy.state import StateDirectory

log = logging.getLogger("headgate.agent")

# Control imports its numerics in about 4 s on a slow machine, and may have migrations to run.
CONTROL_WAIT_SECONDS: Final = 30.0
START: Final = "start"


class FirstTable:
    """The choice at the start of an agent.

    1. The snapshot, if it is whole and was made from the very configuration we start with: also while control
       is not there yet, since it holds the last word control had.
    2. Without control, the table of the configuration as it stands.
    3. Else what control publishes for this configuration, for which we wait.
    4. If control stays away, or refuses the configuration: the snapshot of an earlier one, and we say so.
    5. Else nothing: the start fails.
    """

    def __init__(
        self,
        state: StateDirectory,
        keeper: TableKeeper,
        reloader: Reloader,
        link: ControlLink | None,
        *,
        wait: float,
    ) -> None:
        self._state = state
        self._keeper = keeper
        self._reloader = reloader
        self._link = link
        self._wait = wait

    async def choose(self) -> None:
        """Apply the first table; StartError when there is none."""
        snapshot = self._read_snapshot()
        if snapshot is not None and snapshot["config_digest"] == self._reloader.loaded.digest:
            self._take(snapshot)
        elif self._link is None:
            self._take(self._reloader.compile(snapshot))
        elif not await self._from_control(self._link):
            self._earlier(self._link, snapshot)

    def _read_snapshot(self) -> Table | None:
        try:
            return read_snapshot(self._state.table)
        except SnapshotError as exc:
            self._keeper.troubles[START] = f"not started from the last table: {exc}"
            log.error("%s", self._keeper.troubles[START])
            return None

    def _take(self, table: Table) -> None:
        if not self._keeper.apply(table):
            raise StartError(self._keeper.troubles.get(SLOTS, f"table {table['revision']} is no table"))

    async def _from_control(self, link: ControlLink) -> bool:
        """Wait for control's table; return whether it came. A refusal ends the wait."""
        try:
            async with asyncio.timeout(self._wait):
                while self._keeper.table is None:
                    if link.refused:
                        return False
                    self._keeper.news.clear()
                    await self._keeper.news.wait()
        except TimeoutError:
            return False
        return True

    def _earlier(self, link: ControlLink, snapshot: Table | None) -> None:
        what = "gave no table for this configuration" if link.connected else "did not answer"
        why = f"control {what} within {self._wait:g} s"
        if snapshot is None:
            no_table = f"{why}, and there is no earlier table to start from; see its log above"
            raise StartError("\n".join(link.refused) or no_table)
        if link.refused:
            why = "control refuses the configuration"
        self._keeper.troubles[START] = (
            f"{why}; serving table {snapshot['revision']}, made from an earlier configuration"
        )
        log.error("%s", self._keeper.troubles[START])
        self._take(snapshot)
