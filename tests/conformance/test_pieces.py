"""However the bytes of a conversation are cut up, the same comes of it, at both ends and in the counts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.conformance.bench import Bench
from tests.conformance.case import Close, End, RequestCase, ResponseCase
from tests.conformance.test_answers import ANSWERS
from tests.conformance.test_requests import CASES

# Between two pieces of an answer: longer than the worker takes to read the one before.
GAP_SECONDS = 0.02
CUTS_MAX = 4
ROUNDS = 3
# Enough for every test run; all of them, in several rounds, are for the slow ones.
SAMPLE = 14


# More than was announced. All of it comes before the client asks again; what if not is in `test_surplus.py`.
SURPLUS = ("more than announced", "two answers at once", "bytes behind the last chunk")


def cut(data: bytes, rng: random.Random) -> list[bytes]:
    """`data` in pieces, with some of them a single byte."""
    places: set[int] = set()
    for _ in range(rng.randint(1, CUTS_MAX)):
        place = rng.randrange(len(data) + 1)
        places |= {place, place + 1} if rng.random() < 0.3 else {place}
    at = [0, *sorted(place for place in places if 0 < place < len(data)), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(at) if stop > start]


def cut_request(case: RequestCase, number: int) -> RequestCase:
    """The same bytes in more pieces."""
    rng = random.Random(f"{case.name} {number}")
    return replace(case, send=tuple(piece for part in case.send for piece in cut(part, rng)))


def cut_answer(case: ResponseCase, number: int) -> ResponseCase:
    """The same bytes in more pieces, with time between them."""
    rng = random.Random(f"{case.name} {number}")
    reply: list[bytes | Close | float] = []
    for step in case.reply:
        pieces: Sequence[bytes | Close | float] = cut(step, rng) if isinstance(step, bytes) else [step]
        for piece in pieces:
            reply += [piece] if not reply or not isinstance(piece, bytes) else [GAP_SECONDS, piece]
    # What is cut off behind an answer has to come before the client asks again, see test_surplus.py.
    return replace(case, reply=tuple(reply), dropped=not case.reused and case.end == End.STAYS)


@pytest.mark.parametrize("case", CASES[::SAMPLE], ids=lambda case: case.name)
def test_pieces_of_a_request(bench: Bench, case: RequestCase) -> None:
    """For some of the cases."""
    assert not bench.request(cut_request(case, 0))


@pytest.mark.parametrize("case", ANSWERS[::SAMPLE], ids=lambda case: case.name)
def test_pieces_of_an_answer(bench: Bench, case: ResponseCase) -> None:
    """For some of the cases."""
    assert not bench.response(cut_answer(case, 0))


@pytest.mark.parametrize("name", SURPLUS)
def test_pieces_of_more_than_announced(bench: Bench, name: str) -> None:
    """At each place: within what was announced, at its end, and behind it."""
    case = next(case for case in ANSWERS if case.name == name)
    data = b"".join(step for step in case.reply if isinstance(step, bytes))
    end = len(case.got or b"")
    for place in sorted({*range(1, len(data), 9), *range(end - 1, min(end + 12, len(data)))}):
        pieces = replace(case, reply=(data[:place], GAP_SECONDS, data[place:]), dropped=True)
        assert not bench.response(pieces), place


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 1 + ROUNDS))
def test_pieces_of_every_request(bench: Bench, number: int) -> None:
    """For all of them, cut differently in each round."""
    cases = [cut_request(case, number) for case in CASES]
    problems = {case.name: (case.send, found) for case in cases if (found := bench.request(case))}

    assert not problems, problems


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 1 + ROUNDS))
def test_pieces_of_every_answer(bench: Bench, number: int) -> None:
    """For all of them, cut differently in each round."""
    cases = [cut_answer(case, number) for case in ANSWERS]
    problems = {case.name: (case.reply, found) for case in cases if (found := bench.response(case))}

    assert not problems, problems
