"""Takes routing tables in, in order, and makes each one durable before the workers get it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import orjson

from proxy.fleet import Fleet
from proxy.slots import SlotsExhaustedError, Table
from proxy.snapshot import write_snapshot
from proxy.state import StateDirectory, write_atomically
from proxy.tally import Tally

log = logging.getLogger("headgate.agent")

# How a table can be turned down, as shown on /metrics.
STALE: Final = "stale"
SLOTS: Final = "slots"


class TableKeeper:
    """The table in use and how it got there."""

    def __init__(self, state: StateDirectory, tally: Tally) -> None:
        self.table: Table | None = None
        self.refused = {STALE: 0, SLOTS: 0}
        self.write_failures = 0
        # What is wrong at this moment, by kind; shown by /readyz until it is over.
        self.troubles: dict[str, str] = {}
        # Set, and never cleared by us, whenever something here or in the configuration has changed.
        self.news = asyncio.Event()
        # Told of each table that is in use from now on.
        self.on_use: Callable[[Table], None] = lambda _: None
        self._state = state
        self._tally = tally
        self._fleet: Fleet | None = None
        self._waiting: Table | None = None

    @property
    def revision(self) -> int:
        """The revision of the table in use; 0 before the first."""
        return 0 if self.table is None else int(self.table["revision"])

    @property
    def config_digest(self) -> str:
        """The digest of the configuration that the table in use was made from; empty before the first."""
        return "" if self.table is None else str(self.table["config_digest"])

    def serve_with(self, fleet: Fleet) -> None:
        """Hand every table from now on to these workers."""
        self._fleet = fleet

    def apply(self, table: Table) -> bool:
        """Make `table` the one in use; False, with the old one serving on, when it cannot be.

        A table that found no free counter slots is tried again as slots become free, unless a newer one
        comes first.
        """
        if table["revision"] <= self.revision:
            return self._stale(table)
        try:
            slotted = self._tally.book.allot(table)
        except SlotsExhaustedError as exc:
            if self._waiting is None or self._waiting["revision"] != table["revision"]:
                self.refused[SLOTS] += 1
                log.error("%s", exc)
            self._waiting = table
            self.troubles[SLOTS] = str(exc)
            return False
        self._waiting = None
        self.troubles.pop(SLOTS, None)
        self.troubles.pop(STALE, None)
        # Slots first: what a worker counts in a new slot must be attributable if we die at this very point.
        # Then the snapshot: a canary that is rolled back now must not come back with the next start.
        self.save_ledger()
        self._save_snapshot(table)
        self.table = slotted
        if self._fleet is not None:
            self._fleet.publish(slotted)
        self.on_use(table)
        self.news.set()
        log.info("table %d is in use", table["revision"])
        return True

    def retry(self) -> None:
        """Try the table that waits for slots again."""
        if self._waiting is not None:
            self.apply(self._waiting)

    def save_ledger(self) -> None:
        """Write down which slot counts what; a failure costs counts if we are killed before a success."""
        if not self._state.ours:
            return
        data = orjson.dumps(self._tally.to_json())
        try:
            write_atomically(self._state.ledger(self._tally.boot), data, durable=False)
        except OSError as exc:
            self.write_failed("ledger", exc)
        else:
            self.troubles.pop("ledger", None)

    def _save_snapshot(self, table: Table) -> None:
        if not self._state.ours:
            return
        try:
            write_snapshot(self._state.table, table)
        except OSError as exc:
            self.write_failed("snapshot", exc)
        else:
            self.troubles.pop("snapshot", None)

    def write_failed(self, what: str, exc: OSError) -> None:
        """Count and show that a file of the state directory could not be written."""
        self.write_failures += 1
        self.troubles[what] = f"the {what} cannot be written to {self._state.root}: {exc.strerror}"
        log.error("%s", self.troubles[what])

    def _stale(self, table: Table) -> bool:
        if table["revision"] < self.revision:
            self.refused[STALE] += 1
            self.troubles[STALE] = (
                f"control offers table {table['revision']}, older than table {self.revision} in use; its"
                " store was replaced or set back: give it its store again, or stop Headgate and remove"
                f" {self._state.table}"
            )
            log.error("%s", self.troubles[STALE])
        return False
