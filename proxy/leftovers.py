"""Boots before this one whose counts nobody has taken over yet: an agent was killed, or its workers live on.

Their pages are read on until no process writes them any more. The totals at that moment are final: control
gets them under the old boot's own name, /metrics adds them to ours, and only then are the files removed.
"""

import contextlib
import logging
from pathlib import Path
from typing import Any

import orjson

from proxy.counters import DIVERT_SCORE, PageError, slot_base
from proxy.pages import PageReader, has_writer
from proxy.processes import ProcessRecord
from proxy.slots import ArmKey
from proxy.state import StateDirectory, write_atomically
from proxy.tally import Tally

log = logging.getLogger("headgate.agent")


class Leftover:
    """One earlier boot. `live` while a process may still write one of its pages."""

    def __init__(self, tally: Tally, files: list[Path], writers: list[ProcessRecord]) -> None:
        self.tally = tally
        self.files = files
        self.live = True
        self._writers = writers

    def look(self) -> bool:
        """Return whether the boot has ended; once it has, its counts do not change any more."""
        if self.live and not self._written():
            for index in self.tally.pages:
                self.tally.writer_died(index)
            self.live = False
        return not self.live

    def _written(self) -> bool:
        # A process that was started and has not opened its page yet holds no lock, so the list counts too.
        return any(writer.alive for writer in self._writers) or any(
            has_writer(page.path) for page in self.tally.pages.values()
        )

    def report(self, *, revision: int) -> dict[str, Any]:
        """Return the boot's next report; the last one says that it is final."""
        return self.tally.report(revision=revision, final=self.look())

    def remove(self) -> None:
        """Remove the boot's files, whose counts are kept elsewhere now."""
        for page in self.tally.pages.values():
            page.close()
        self.tally.pages.clear()
        # The ledger goes last: pages without one could not be told apart any more.
        for file in self.files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def find_leftovers(
    state: StateDirectory, boot: str, records: list[ProcessRecord]
) -> tuple[list[Leftover], int]:
    """Return the earlier boots found in `state`, and how many of their files had to be given up.

    Each one is marked as taken over by this agent, so that its reports replace those of the agent before.
    """
    leftovers, unusable = [], 0
    for ledger in sorted(state.pages.glob("*.json")):
        if ledger.stem == boot:
            continue
        try:
            leftovers.append(_adopt(ledger, [record for record in records if record.boot == ledger.stem]))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            log.error("%s: what its workers counted cannot be told apart (%r); giving it up", ledger, exc)
            unusable += 1
            _discard(ledger)
    known = {leftover.tally.boot for leftover in leftovers} | {boot}
    for page in state.pages.glob("*.page*"):
        if page.name.split("-")[0] not in known and not has_writer(str(page)):
            log.error("%s: a counter page without its list of arms; giving it up", page)
            unusable += 1
            _discard(page)
    return leftovers, unusable


def divert_scores(leftovers: list[Leftover]) -> dict[ArmKey, int]:
    """What the workers of earlier boots knew of failing arms: the divert's score of each, over all workers.

    Without it a canary that is being diverted would get its ten requests anew from each agent that starts.
    """
    scores: dict[ArmKey, int] = {}
    for leftover in leftovers:
        for key, slot in leftover.tally.book.occupied().items():
            score = sum(page.cells[slot_base(slot) + DIVERT_SCORE] for page in leftover.tally.pages.values())
            if score:
                scores[key] = max(score, scores.get(key, 0))
    return scores


def _adopt(ledger: Path, writers: list[ProcessRecord]) -> Leftover:
    tally = Tally.from_json(orjson.loads(ledger.read_bytes()))
    if tally.boot != ledger.stem:
        raise ValueError(f"is the list of boot {tally.boot}")
    tally.generation += 1
    write_atomically(ledger, orjson.dumps(tally.to_json()), durable=False)
    pages = sorted(ledger.parent.glob(f"{tally.boot}-*.page"))
    for path in pages:
        try:
            page = PageReader(str(path))
        except (PageError, OSError) as exc:
            log.error("%s: a worker's counts are lost: %s", path, exc)
            continue
        if page.boot != tally.boot:
            log.error("%s: is a page of boot %s; not counted", path, page.boot)
            page.close()
            continue
        tally.pages[page.index] = page
    return Leftover(tally, [*pages, ledger], writers)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
