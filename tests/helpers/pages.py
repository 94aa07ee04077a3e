"""Writing counter pages in tests as a worker does."""

from proxy.counters import (
    BYTES_IN,
    FAILED,
    FINISHED,
    HIST_FIRST_BYTE,
    HIST_TOTAL,
    OUTCOME_0,
    STARTED,
    SUM_FIRST_BYTE_US,
    SUM_TOTAL_US,
    bucket_index,
    slot_base,
)
from proxy.outcomes import DEFAULT_FAILURES, Outcome


def begin(cells: memoryview, slot: int) -> None:
    """Count a request as begun."""
    cells[slot_base(slot) + STARTED] += 1


def end(cells: memoryview, slot: int, outcome: Outcome = Outcome.OK, microseconds: int = 1000) -> None:
    """Count a begun request as ended, in the order that a worker keeps."""
    base = slot_base(slot)
    cells[base + BYTES_IN] += 10
    cells[base + OUTCOME_0 + outcome] += 1
    if outcome in DEFAULT_FAILURES:
        cells[base + FAILED] += 1
    if outcome is Outcome.OK:
        cells[base + HIST_TOTAL + bucket_index(microseconds)] += 1
        cells[base + HIST_FIRST_BYTE + bucket_index(microseconds // 2)] += 1
        cells[base + SUM_TOTAL_US] += microseconds
        cells[base + SUM_FIRST_BYTE_US] += microseconds // 2
    cells[base + FINISHED] += 1


def count(cells: memoryview, slot: int, requests: int, outcome: Outcome = Outcome.OK) -> None:
    """Count whole requests."""
    for _ in range(requests):
        begin(cells, slot)
        end(cells, slot, outcome)
