"""The agent's beat: recycles counter slots, takes earlier boots over and sends statistics to control."""

import asyncio
import logging
from typing import Final

from proxy.control_link import ControlAwayError, ControlLink
from proxy.fleet import Fleet
from proxy.keeper import TableKeeper
from proxy.leftovers import Leftover
from proxy.shadow.comparer import ComparerKeeper
from proxy.tally import Tally

log = logging.getLogger("headgate.agent")

BEAT_SECONDS: Final = 0.25
# Earlier boots that wait for control to come back; each holds its pages on disk, 6 MiB a worker.
LEFTOVERS_MAX: Final = 64


class Uplink:
    """Sends what was counted, and forgets it only when it has arrived. `link` is None without control."""

    def __init__(
        self,
        *,
        tally: Tally,
        keeper: TableKeeper,
        leftovers: list[Leftover],
        link: ControlLink | None,
        comparer: ComparerKeeper | None = None,
    ) -> None:
        self.tally = tally
        self.leftovers = leftovers
        self.posts = {"stored": 0, "failed": 0}
        self.boots_given_up = 0
        self._keeper = keeper
        self._link = link
        self._comparer = comparer

    async def run(self, fleet: Fleet) -> None:
        """Beat for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._recycle(fleet)
            await self._send(fleet.revision_applied)
            # Missed beats are not made up: reports are cumulative.
            due = max(due + BEAT_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())

    async def finish(self) -> bool:
        """Send the last report of a boot whose workers have all ended; return whether it has arrived."""
        await self._send_leftovers()
        report = self._report(self._keeper.revision, final=True)
        return self._link is None or await self._post(report)

    def _recycle(self, fleet: Fleet) -> None:
        if self.tally.recycle(fleet.revision_oldest):
            self._keeper.save_ledger()
            self._keeper.retry()

    async def _send(self, revision: int) -> None:
        # Before control has the configuration it could not tell what the arms are.
        connected = self._link is not None and self._link.connected
        if connected and await self._post(self._report(revision)):
            self.tally.acknowledged()
        await self._send_leftovers()

    def _report(self, revision: int, *, final: bool = False) -> dict[str, object]:
        report = self.tally.report(revision=revision, final=final)
        return report if self._comparer is None else report | {"comparisons": self._comparer.results()}

    async def _send_leftovers(self) -> None:
        for leftover in list(self.leftovers):
            ended = leftover.look()
            if self._link is not None:
                if not self._link.connected:
                    continue
                if not await self._post(leftover.report(revision=0)):
                    return
                leftover.tally.acknowledged()
            if ended:
                self._take_over(leftover)
        for leftover in self.leftovers[:-LEFTOVERS_MAX]:
            if leftover.look():
                log.error("control never took the counts of boot %s; giving it up", leftover.tally.boot)
                self.boots_given_up += 1
                self._take_over(leftover)

    def _take_over(self, leftover: Leftover) -> None:
        self.tally.fold(leftover.tally)
        self._keeper.save_ledger()
        leftover.remove()
        self.leftovers.remove(leftover)

    async def _post(self, report: dict[str, object]) -> bool:
        assert self._link is not None
        try:
            await self._link.post_statistics(report)
        except ControlAwayError as exc:
            self.posts["failed"] += 1
            log.debug("statistics: %s", exc)
            return False
        self.posts["stored"] += 1
        return True
