"""Bytes behind an answer that come so late that the next request is on the connection already.

No proxy can tell them from the beginning of an answer to that request, so here the result depends on
when they come. What holds nevertheless: the answer before them is whole and nothing else; a request that
meets what is no answer is refused as a bad gateway; and the harm ends there, for the connection carries
nothing after it.
"""

import pytest

from tests.conformance.bench import Bench, Late, plain_down
from tests.conformance.case import Close, ResponseCase
from tests.conformance.replies import HI, IN_CHUNKS

CHUNKS = IN_CHUNKS + b"0\r\n\r\n"


def late(bench: Bench, first: bytes, rest: bytes) -> Late:
    """What comes of it; the answer before it is as it was sent."""
    reply: tuple[bytes | Close | float, ...] = (first,)
    found = bench.late(ResponseCase(name="", rule="", reply=reply, status=200, got=first), rest)
    before = found.got.answers[0]
    assert plain_down(before.head + before.body) == first
    return found


@pytest.mark.parametrize("first", [HI, CHUNKS], ids=["sized", "chunked"])
@pytest.mark.parametrize("rest", [b"more", b"m", b"0\r\n\r\n", b"\x00", b"HTTP/1.1 2000 OK\r\n"])
def test_what_is_no_answer_is_nobodys(bench: Bench, first: bytes, rest: bytes) -> None:
    """The next request gets 502 and not a byte of it; the one after that its own answer, by another line."""
    found = late(bench, first, rest)

    _, second, third = found.got.answers
    assert second.status == 502
    assert b"x-headgate-error: " in second.head
    assert rest not in second.body or len(rest) == 1
    assert third.body == found.own[1]
    one, two, three = found.connections
    assert one == two != three
    assert found.counted["invalid_response"] == 1
    assert (found.counted["ok"], found.counted["started"], found.counted["finished"]) == (2, 3, 3)


@pytest.mark.parametrize("first", [HI, CHUNKS], ids=["sized", "chunked"])
def test_a_second_answer_costs_one_request_and_no_more(bench: Bench, first: bytes) -> None:
    """It passes for the next request's; that one's own answer is surplus then, and ends the connection."""
    found = late(bench, first, HI)

    _, second, third = found.got.answers
    assert plain_down(second.head + second.body) == HI
    assert third.body == found.own[1]
    one, two, three = found.connections
    assert one == two != three
    assert (found.counted["ok"], found.counted["started"], found.counted["finished"]) == (3, 3, 3)
