"""Tests of taking over the counts of earlier boots, in the uplink as in the files."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from proxy import uplink as uplink_module
from proxy.control_link import ControlAwayError, ControlLink
from proxy.counters import DIVERT_SCORE, CounterPage, slot_base
from proxy.keeper import TableKeeper
from proxy.leftovers import divert_scores, find_leftovers
from proxy.processes import ProcessRecord, start_ticks
from proxy.slots import SlotBook
from proxy.state import StateDirectory
from proxy.tally import Tally
from proxy.uplink import Uplink
from tests.helpers.pages import begin, count

OWN = "00000000000000ff"
LABELS = ("r", "v1", "variant")
TABLE: dict[str, Any] = {
    "revision": 1,
    "config_digest": "sha256:x",
    "arms": [{"route": "r", "variant": "v1", "role": "variant", "stage": "s0", "slot": 0}],
}


class Link:
    """Stands in for the line to control: keeps reports, or fails."""

    def __init__(self) -> None:
        self.connected = True
        self.fails = False
        self.reports: list[dict[str, Any]] = []

    async def post_statistics(self, report: dict[str, Any]) -> None:
        if self.fails:
            raise ControlAwayError("away")
        self.reports.append(json.loads(json.dumps(report)))


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    """An empty state directory."""
    state = StateDirectory(tmp_path)
    state.make()
    return state


def earlier_boot(state: StateDirectory, boot: str, requests: int, *, unfinished: int = 0) -> CounterPage:
    """Leave what an agent leaves that is killed; the worker's page is open until it is closed."""
    tally = Tally(node="n", boot=boot, book=SlotBook())
    tally.book.allot(TABLE)
    CounterPage.create(str(state.page(boot, 0)), boot=boot, index=0)
    page = CounterPage.open_for_writing(str(state.page(boot, 0)))
    count(page.cells, 1, requests)
    for _ in range(unfinished):
        begin(page.cells, 1)
    state.ledger(boot).write_text(json.dumps(tally.to_json()))
    return page


def own_agent(
    state: StateDirectory, link: Link | None = None, records: list[ProcessRecord] | None = None
) -> Uplink:
    """The parts of an agent that take over, on the state as it is."""
    tally = Tally(node="n", boot=OWN, book=SlotBook())
    leftovers, _ = find_leftovers(state, OWN, records or [])
    for leftover in leftovers:
        tally.inherit(leftover.tally.inherited_boots)
    return Uplink(
        tally=tally,
        keeper=TableKeeper(state, tally),
        leftovers=leftovers,
        link=cast(ControlLink, link) if link is not None else None,
    )


def files(state: StateDirectory) -> list[str]:
    """What is left of earlier boots."""
    return sorted(path.name for path in state.pages.iterdir() if not path.name.startswith(OWN))


async def test_without_control_totals_are_taken_over(state: StateDirectory) -> None:
    """An ended boot's totals go into ours, what it had in flight as lost, and its files go."""
    earlier_boot(state, "0" * 15 + "1", 5, unfinished=2).close()
    uplink = own_agent(state)

    await uplink.finish()

    total = uplink.tally.totals()[LABELS]
    assert (total.finished, total.lost) == (5, 2)
    assert (uplink.leftovers, files(state)) == ([], [])


async def test_living_boot_is_left_alone(state: StateDirectory) -> None:
    """While a worker of the earlier boot lives, its page is read on and nothing is final."""
    page = earlier_boot(state, "0" * 15 + "1", 5)
    link = Link()
    uplink = own_agent(state, link)

    await uplink._send_leftovers()
    count(page.cells, 1, 3)
    await uplink._send_leftovers()
    page.close()
    await uplink._send_leftovers()

    finished = [(report["arms"][0]["finished"], report["final"]) for report in link.reports]
    assert finished == [(5, False), (8, False), (8, True)]
    assert files(state) == []


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that goes on."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


async def test_process_that_has_not_begun_counts_as_alive(
    state: StateDirectory, process: subprocess.Popen[bytes]
) -> None:
    """A worker that was started and has not opened its page yet still keeps its boot from being final."""
    boot = "0" * 15 + "1"
    earlier_boot(state, boot, 5).close()
    record = ProcessRecord(
        pid=process.pid,
        start_ticks=start_ticks(process.pid) or 0,
        boot=boot,
        worker=0,
        page=str(state.page(boot, 0)),
        addresses=[],
    )
    uplink = own_agent(state, Link(), [record])

    await uplink._send_leftovers()
    before = files(state)
    process.kill()
    process.wait()
    await uplink._send_leftovers()

    assert len(before) == 2
    assert files(state) == []


async def test_nothing_goes_before_control_has_it(state: StateDirectory) -> None:
    """As long as control does not take the last counts, they stay on disk for this agent and the next."""
    earlier_boot(state, "0" * 15 + "1", 5).close()
    link = Link()
    link.fails = True
    uplink = own_agent(state, link)

    await uplink._send_leftovers()
    link.connected = False
    await uplink._send_leftovers()

    assert len(files(state)) == 2
    assert uplink.posts == {"stored": 0, "failed": 1}
    again = own_agent(state, link)
    link.fails, link.connected = False, True
    await again._send_leftovers()
    assert link.reports[-1]["arms"][0]["finished"] == 5
    assert files(state) == []


async def test_chain_of_crashes_counts_each_boot_once(state: StateDirectory) -> None:
    """An agent that dies between taking over and removing leaves nothing to be counted twice."""
    first, second = "0" * 15 + "1", "0" * 15 + "2"
    earlier_boot(state, first, 5).close()
    earlier_boot(state, second, 7).close()
    # The second boot had taken the first one over, and its agent died before it removed the files.
    ledger = json.loads(state.ledger(second).read_text())
    folded = Tally.from_json(json.loads(state.ledger(first).read_text()))
    folded.add_page(state.page(first, 0))
    merged = Tally.from_json(ledger)
    merged.fold(folded)
    state.ledger(second).write_text(json.dumps(merged.to_json()))
    folded.pages[0].close()

    uplink = own_agent(state)
    await uplink._send_leftovers()

    assert uplink.tally.totals()[LABELS].finished == 12
    assert files(state) == []


async def test_generations_grow(state: StateDirectory) -> None:
    """Each agent that reports for an old boot outnumbers the one before it."""
    page = earlier_boot(state, "0" * 15 + "1", 5)
    link = Link()

    for _ in range(3):
        await own_agent(state, link)._send_leftovers()

    sequences = [report["sequence"] for report in link.reports]
    assert sequences == sorted(set(sequences))
    assert sequences[-1] < 2**53
    page.close()


async def test_too_many_waiting_boots_are_given_up(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If control never comes back, the disk does not fill: the oldest are only added up here."""
    monkeypatch.setattr(uplink_module, "LEFTOVERS_MAX", 2)
    for number in range(1, 6):
        earlier_boot(state, f"{number:016x}", number).close()
    link = Link()
    link.connected = False
    uplink = own_agent(state, link)

    await uplink._send_leftovers()

    assert uplink.boots_given_up == 3
    assert len(files(state)) == 4
    assert uplink.tally.totals()[LABELS].finished == 1 + 2 + 3


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": 99}', "null"])
def test_damaged_ledger_is_given_up_aloud(
    state: StateDirectory, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Pages whose arms are not known cannot be counted; that is said, counted, and cleaned up."""
    boot = "0" * 15 + "1"
    earlier_boot(state, boot, 5).close()
    state.ledger(boot).write_text(content)

    leftovers, given_up = find_leftovers(state, OWN, [])

    assert (leftovers, given_up, files(state)) == ([], 2, [])
    assert "cannot be told apart" in caplog.text


def test_damaged_page_costs_only_itself(state: StateDirectory, caplog: pytest.LogCaptureFixture) -> None:
    """Of two workers' pages, one that is cut short is lost and the other one is counted."""
    boot = "0" * 15 + "1"
    earlier_boot(state, boot, 5).close()
    CounterPage.create(str(state.page(boot, 1)), boot=boot, index=1)
    os.truncate(state.page(boot, 1), 1000)

    (leftover,), given_up = find_leftovers(state, OWN, [])

    assert leftover.look()
    assert leftover.tally.totals()[LABELS].finished == 5
    assert "a worker's counts are lost" in caplog.text
    assert given_up == 0
    leftover.remove()
    assert files(state) == []


def test_page_that_is_written_is_never_removed(state: StateDirectory) -> None:
    """A page without a ledger stays while a process writes it."""
    boot = "0" * 15 + "1"
    page = earlier_boot(state, boot, 5)
    state.ledger(boot).unlink()

    assert find_leftovers(state, OWN, []) == ([], 0)
    assert files(state) == [f"{boot}-0.page"]
    page.close()
    assert find_leftovers(state, OWN, []) == ([], 1)
    assert files(state) == []


def test_the_scores_of_failing_arms_are_found(state: StateDirectory) -> None:
    """What a worker that was killed knew of an arm is still in its page, whoever counts there now."""
    page = earlier_boot(state, "00000000000000b1", 3)
    page.cells[slot_base(1) + DIVERT_SCORE] = 5000
    (key,) = [
        key
        for key, slot in Tally.from_json(json.loads(state.ledger("00000000000000b1").read_text()))
        .book.occupied()
        .items()
        if slot == 1
    ]
    page.close()

    leftovers, _ = find_leftovers(state, OWN, [])

    assert divert_scores(leftovers) == {key: 5000}
