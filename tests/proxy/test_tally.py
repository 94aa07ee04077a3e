"""Tests of the totals of a boot."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy import counters, tally
from proxy.counters import CounterPage
from proxy.counts import ArmCounts, dense, sparse
from proxy.outcomes import Outcome
from proxy.slots import ArmKey, SlotBook, Table
from proxy.tally import Tally
from tests.helpers.pages import begin, count, end

BOOT = "00000000000000aa"


def key(variant: str, stage: str = "s0") -> ArmKey:
    """An arm of route r."""
    return ArmKey("r", variant, "variant", stage)


def table(revision: int, *keys: ArmKey) -> Table:
    """A table of these arms."""
    return {"revision": revision, "arms": [{**k._asdict(), "slot": 0} for k in keys]}


class Boot:
    """A boot of some workers that live in this process."""

    def __init__(self, directory: Path, workers: int = 2, slots: int = 8) -> None:
        self.directory = directory
        self.tally = Tally(node="n", boot=BOOT, book=SlotBook(slots))
        self.writers: list[CounterPage] = []
        self.revision = 0
        for index in range(workers):
            CounterPage.create(str(self.path(index)), boot=BOOT, index=index, slots=slots)
            self.writers.append(CounterPage.open_for_writing(str(self.path(index))))
            self.tally.add_page(self.path(index))

    def path(self, index: int) -> Path:
        return self.directory / f"{BOOT}-{index}.page"

    def publish(self, *keys: ArmKey) -> dict[ArmKey, int]:
        """Publish a table; return the slots of its arms."""
        self.revision += 1
        self.tally.book.allot(table(self.revision, *keys))
        return self.tally.book.current

    def kill(self, index: int) -> int:
        """End a worker as SIGKILL would, let the agent know, and start the next one in its page."""
        self.writers[index].close()
        lost = self.tally.writer_died(index)
        self.writers[index] = CounterPage.open_for_writing(str(self.path(index)))
        return lost

    def cells(self, index: int) -> memoryview:
        return self.writers[index].cells

    def close(self) -> None:
        for page in self.tally.pages.values():
            page.close()
        for writer in self.writers:
            writer.close()


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Boot]:
    """Two workers."""
    boot = Boot(tmp_path)
    yield boot
    boot.close()


def test_counts_of_workers_add_up(boot: Boot) -> None:
    """One merged view: an arm's counts are the sum over the workers."""
    slot = boot.publish(key("v1"))[key("v1")]

    count(boot.cells(0), slot, 3)
    count(boot.cells(1), slot, 4, Outcome.UPSTREAM_5XX)
    begin(boot.cells(1), slot)

    arm = boot.tally.arms()[key("v1")]
    assert (arm.started, arm.finished, arm.in_flight, arm.lost) == (8, 7, 1, 0)
    assert arm.outcomes[Outcome.OK] == 3
    assert arm.cells[counters.FAILED] == 4


def test_dead_worker_loses_only_what_was_in_flight(boot: Boot) -> None:
    """Requests of a killed worker are lost, once, and its counts stay through any number of deaths."""
    slot = boot.publish(key("v1"))[key("v1")]
    count(boot.cells(0), slot, 10)
    begin(boot.cells(0), slot)
    begin(boot.cells(0), slot)

    assert boot.kill(0) == 2
    begin(boot.cells(0), slot)
    count(boot.cells(0), slot, 5)
    assert boot.kill(0) == 1

    arm = boot.tally.arms()[key("v1")]
    assert (arm.started, arm.finished, arm.lost, arm.in_flight) == (18, 15, 3, 0)


def test_worker_that_died_between_outcome_and_finish_counts_the_request(boot: Boot) -> None:
    """A request whose outcome was stored is counted, not lost, and does not hold its slot for ever."""
    slot = boot.publish(key("v1"))[key("v1")]
    begin(boot.cells(0), slot)
    boot.cells(0)[counters.slot_base(slot) + counters.OUTCOME_0] += 1

    assert boot.kill(0) == 0

    boot.publish(key("v2"))
    assert boot.tally.recycle(2) == [key("v1")]
    arm = boot.tally.arms()[key("v1")]
    assert (arm.started, arm.finished, arm.lost, arm.in_flight) == (1, 1, 0, 0)


def test_recycled_slot_starts_at_zero_and_loses_nothing(boot: Boot) -> None:
    """The next arm of a slot does not see what the last one counted, and that is still reported."""
    first = boot.publish(key("v1"))[key("v1")]
    count(boot.cells(0), first, 6)
    begin(boot.cells(1), first)
    boot.kill(1)
    stages = [key("v1", f"s{n}") for n in range(1, 8)]

    for stage in stages:
        slot = boot.publish(stage)[stage]
        count(boot.cells(1), slot, 2)
        boot.tally.recycle(boot.revision)

    arms = boot.tally.arms()
    assert (arms[key("v1")].finished, arms[key("v1")].lost) == (6, 1)
    assert [arms[stage].finished for stage in stages] == [2] * 7
    assert all(arms[stage].lost == 0 for stage in stages)
    assert boot.tally.totals()["r", "v1", "variant"].started == 6 + 1 + 14


def test_request_in_flight_holds_its_slot(boot: Boot) -> None:
    """A stream that outlives its table is counted in its own arm when it ends."""
    slot = boot.publish(key("v1"))[key("v1")]
    begin(boot.cells(0), slot)
    boot.publish(key("v2"))

    assert boot.tally.recycle(2) == []
    end(boot.cells(0), slot, Outcome.STREAM_TRUNCATED)

    assert boot.tally.recycle(2) == [key("v1")]
    assert boot.tally.arms()[key("v1")].outcomes[Outcome.STREAM_TRUNCATED] == 1


def test_arm_that_comes_back_goes_on_counting(boot: Boot) -> None:
    """Cumulative counts of an arm never go down, even when its slot was given away meanwhile."""
    one, other = key("v1"), key("v2")
    count(boot.cells(0), boot.publish(one)[one], 5)
    boot.publish(other)
    boot.tally.recycle(2)

    count(boot.cells(0), boot.publish(one)[one], 2)
    boot.publish(other)
    boot.tally.recycle(4)
    count(boot.cells(1), boot.publish(one)[one], 1)

    assert boot.tally.arms()[one].finished == 8


def test_report_is_cumulative_and_numbered(boot: Boot) -> None:
    """Each report has a higher number and whole sums, so that the last one alone is enough."""
    slot = boot.publish(key("v1"))[key("v1")]
    count(boot.cells(0), slot, 1)
    first = boot.tally.report(revision=1)
    count(boot.cells(1), slot, 1)

    second = boot.tally.report(revision=1)

    assert second["sequence"] > first["sequence"]
    assert (first["node"], first["boot"], first["final"]) == ("n", BOOT, False)
    (arm,) = second["arms"]
    assert arm["started"] == arm["finished"] == arm["outcomes"][0] == 2
    assert (arm["bytes_in"], arm["sum_total_us"], arm["diverted_now"]) == (20, 2000, 0)
    assert arm["total"] == [[counters.bucket_index(1000), 2]]
    assert arm["first_byte"] == [[counters.bucket_index(500), 2]]
    assert json.loads(json.dumps(second)) == second


def test_settled_arm_is_sent_until_it_arrived(boot: Boot) -> None:
    """An arm that ended is reported until control has it, and not after that."""
    boot.publish(key("v1"))
    boot.publish(key("v2"))
    boot.tally.recycle(2)

    def reported() -> set[str]:
        return {arm["variant"] for arm in boot.tally.report(revision=2)["arms"]}

    assert reported() == {"v1", "v2"}
    assert reported() == {"v1", "v2"}
    boot.tally.acknowledged()
    assert reported() == {"v2"}


def test_arm_that_comes_back_after_its_last_report_is_reported_again(boot: Boot) -> None:
    """An experiment that was paused goes on, or a route is as it was before: the same arm counts on."""
    one = key("v1")
    count(boot.cells(0), boot.publish(one)[one], 2)
    boot.publish(key("v2"))
    boot.tally.recycle(2)
    boot.tally.report(revision=2)
    boot.tally.acknowledged()
    count(boot.cells(0), boot.publish(one)[one], 3)

    arms = {arm["variant"]: arm["finished"] for arm in boot.tally.report(revision=3)["arms"]}
    assert arms["v1"] == 5


def test_arm_recycled_while_a_report_travels_is_sent_again(boot: Boot) -> None:
    """An answer to a report says nothing about what was counted after it was made."""
    one, other = key("v1"), key("v2")
    boot.publish(one)
    boot.publish(other)
    boot.tally.recycle(2)
    boot.tally.report(revision=2)
    count(boot.cells(0), boot.publish(one)[one], 3)
    boot.publish(other)
    boot.tally.recycle(4)

    boot.tally.acknowledged()

    arms = {arm["variant"]: arm["finished"] for arm in boot.tally.report(revision=4)["arms"]}
    assert arms == {"v1": 3, "v2": 0}


def test_ledger_and_pages_are_enough_to_go_on(boot: Boot) -> None:
    """A later agent reads the ledger and the pages and finds every count."""
    slot = boot.publish(key("v1"))[key("v1")]
    count(boot.cells(0), slot, 6)
    begin(boot.cells(0), slot)
    boot.kill(0)
    boot.publish(key("v1", "s1"))
    boot.tally.recycle(2)
    for stage in range(2, 9):
        slot = boot.publish(key("v1", f"s{stage}"))[key("v1", f"s{stage}")]
        boot.tally.recycle(boot.revision)
    count(boot.cells(1), slot, 9)
    begin(boot.cells(1), slot)
    ledger = json.loads(json.dumps(boot.tally.to_json()))

    later = Tally.from_json(ledger)
    for index in range(2):
        later.add_page(boot.path(index))
        later.writer_died(index)

    arms = later.arms()
    assert (arms[key("v1")].finished, arms[key("v1")].lost) == (6, 1)
    assert (arms[key("v1", "s8")].finished, arms[key("v1", "s8")].lost) == (9, 1)
    for page in later.pages.values():
        page.close()


def test_reports_of_a_later_agent_have_higher_numbers(boot: Boot) -> None:
    """What a new agent says about an old boot replaces all that the old agent said."""
    boot.publish(key("v1"))
    last = [boot.tally.report(revision=1)["sequence"] for _ in range(100)][-1]
    later = Tally.from_json(boot.tally.to_json())
    later.generation += 1

    assert later.report(revision=1, final=True)["sequence"] > last


def test_earlier_boot_is_folded_in_once(boot: Boot, tmp_path: Path) -> None:
    """Totals on /metrics go on over a restart of the agent, and a boot is added once only."""
    count(boot.cells(0), boot.publish(key("v1"))[key("v1")], 5)
    new = Tally(node="n", boot="00000000000000bb", book=SlotBook())

    new.fold(boot.tally)
    new.fold(boot.tally)

    assert new.totals()["r", "v1", "variant"].finished == 5
    assert Tally.from_json(new.to_json()).inherited_boots == [BOOT]
    assert Tally.from_json(new.to_json()).totals()["r", "v1", "variant"].finished == 5
    assert new.arms() == {}


def test_labels_are_bounded(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless renaming in the configuration cannot grow /metrics without end, and loses no request."""
    monkeypatch.setattr(tally, "LABELS_MAX", 3)
    monkeypatch.setattr(tally, "CARRIED_MAX", 2)
    for name in range(10):
        arm = key(f"v{name}")
        count(boot.cells(0), boot.publish(arm)[arm], 1)
        boot.tally.recycle(boot.revision)

    totals = boot.tally.totals()

    assert len(totals) == 4
    assert sum(counts.finished for counts in totals.values()) == 10


cells_strategy = st.dictionaries(
    st.integers(0, counters.SLOT_CELLS - 1), st.integers(1, 2**40), max_size=20
).map(lambda pairs: dense([[position, value] for position, value in pairs.items()]))


@given(cells_strategy, cells_strategy, cells_strategy)
def test_merging_has_no_order(a: list[int], b: list[int], c: list[int]) -> None:
    """Counts add cell by cell: in any order and grouping the sum is the same."""

    def merged(*parts: list[int]) -> list[int]:
        total = ArmCounts()
        for part in parts:
            total.add(ArmCounts(part))
        return total.cells

    assert merged(a, b, c) == merged(c, a, b) == merged(merged(a, b), c) == merged(a, merged(b, c))
    assert dense(sparse(a)) == a


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.integers(0, 1), st.sampled_from(list(Outcome))),
        st.tuples(st.just("begin"), st.integers(0, 1), st.just(None)),
        st.tuples(st.just("kill"), st.integers(0, 1), st.just(None)),
        st.tuples(st.just("publish"), st.integers(0, 3), st.just(None)),
        st.tuples(st.just("recycle"), st.just(0), st.just(None)),
        st.tuples(st.just("restart"), st.just(0), st.just(None)),
    ),
    max_size=60,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(ACTIONS)
def test_no_history_changes_what_was_counted(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int, Outcome | None]]
) -> None:
    """Kills, stages, recycling and a ledger read back leave every arm's exact sums as they were."""
    boot = Boot(tmp_path_factory.mktemp("boot"))
    expected: dict[ArmKey, list[int]] = {}
    current = key("v", "0")
    slot = boot.publish(current)[current]
    open_requests: dict[int, list[ArmKey]] = {0: [], 1: []}
    for action, number, outcome in actions:
        started = expected.setdefault(current, [0, 0, 0])
        if action == "request":
            assert outcome is not None
            count(boot.cells(number), slot, 1, outcome)
            started[0] += 1
            started[1] += 1
        elif action == "begin":
            begin(boot.cells(number), slot)
            started[0] += 1
            open_requests[number].append(current)
        elif action == "kill":
            boot.kill(number)
            for lost in open_requests[number]:
                expected[lost][2] += 1
            open_requests[number] = []
        elif action == "publish":
            current = key("v", str(number))
            slot = boot.publish(current)[current]
        elif action == "recycle":
            boot.tally.recycle(boot.revision)
        else:
            again = Tally.from_json(json.loads(json.dumps(boot.tally.to_json())))
            again.book = boot.tally.book
            again.pages = boot.tally.pages
            boot.tally = again

    arms = boot.tally.arms()
    for arm, (begun, finished, lost_count) in expected.items():
        counts = arms[arm]
        assert (counts.started, counts.finished, counts.lost) == (begun, finished, lost_count)
    boot.close()
