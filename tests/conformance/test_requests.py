"""Every request case: what the model server reads, what the client gets, what is counted."""

import time

import pytest

from proxy import counters
from tests.conformance.bench import Bench
from tests.conformance.bodies import BODIES
from tests.conformance.case import RequestCase
from tests.conformance.conversations import CONVERSATIONS, SLOW
from tests.conformance.heads import heads

CASES = [*heads(), *BODIES, *CONVERSATIONS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_request(bench: Bench, case: RequestCase) -> None:
    """The case comes out as it says, at both ends and in the counters."""
    problems = bench.request(case)

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.name)
def test_slow_request(hasty: Bench, case: RequestCase) -> None:
    """The same for clients that take too long."""
    problems = hasty.request(case)

    assert not problems, "\n".join(problems)


def test_every_head_is_accounted_for(bench: Bench) -> None:
    """Requests taken are those that were refused and those that an arm was charged with."""
    deadline = time.monotonic() + 60
    while True:
        count = bench.count()
        accounted = count["started"] + count["refused"] + count["unmatched"]
        taken = bench.requests()
        # Some are malformed before their head is whole, some after.
        if accounted <= taken <= accounted + count["malformed"] or time.monotonic() > deadline:
            break
        time.sleep(0.05)

    assert accounted <= taken <= accounted + count["malformed"]
    assert count["started"] == count["finished"]
    assert bench.worker.cells[counters.CONNECTIONS_OPEN] == 0


def test_there_are_enough_cases() -> None:
    """Names are distinct, so that the table in the documentation names each of them."""
    names = [case.name for case in CASES + SLOW]

    assert len(set(names)) == len(names) >= 150
