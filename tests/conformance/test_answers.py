"""Every answer of a model server: what the client gets, what is counted, and who uses the connection next."""

import pytest

from tests.conformance.answers import ENDS, STATUSES, heads
from tests.conformance.bench import Bench
from tests.conformance.case import ResponseCase
from tests.conformance.faults import BAD_CHUNKS, EARLY, FAULTS, SILENCES

ANSWERS = [*heads(), *ENDS, *STATUSES, *BAD_CHUNKS, *FAULTS, *EARLY]


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.name)
def test_answer(bench: Bench, case: ResponseCase) -> None:
    """The case comes out as it says, at both ends and in the counters."""
    problems = bench.response(case)

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("case", SILENCES, ids=lambda case: case.name)
def test_silence(hasty: Bench, case: ResponseCase) -> None:
    """The same for model servers that stop."""
    problems = hasty.response(case)

    assert not problems, "\n".join(problems)


def test_there_are_enough_cases() -> None:
    """Names are distinct, so that the table in the documentation names each of them."""
    names = [case.name for case in ANSWERS + SILENCES]

    assert len(set(names)) == len(names) >= 60
