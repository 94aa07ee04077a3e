"""The byte loop and the regular expressions find the same in whatever comes."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.wire.head import find_head_end
from tests.proxy.wire.cases import REQUESTS, RESPONSES, Case
from tests.proxy.wire.forms import request_outcomes, response_outcomes
from tests.proxy.wire.strategies import heads, noise


def assert_agreement(data: bytes) -> None:
    end = find_head_end(data, 0)
    if end < 0:
        return
    for outcomes in (request_outcomes(data, end, 6), response_outcomes(data, end, 6)):
        assert outcomes[0] == outcomes[1] == outcomes[2]
        # Every refusal has a reason of its own: neither scanner is stricter than the explanation.
        assert outcomes[0]["error"] == 0 or outcomes[0]["reason"]


@given(heads)
@settings(max_examples=250, deadline=None)
def test_scanners_agree_on_heads(data: bytes) -> None:
    """Heads made of what matters to a proxy have the same outcome in both forms."""
    assert_agreement(data)


@given(noise | st.binary(max_size=200).map(lambda data: data + b"\r\n\r\n"))
@settings(max_examples=200, deadline=None)
@example(b"\r\n\r\n")
@example(b"HTTP/1.1 200\r\n\r\n")
@example(b"G / HTTP/1.\r\n\r\n")
def test_scanners_agree_on_noise(data: bytes) -> None:
    """Random bytes never raise and have the same outcome in both forms."""
    assert_agreement(data)


@given(st.sampled_from(REQUESTS + RESPONSES), st.data())
@settings(max_examples=250, deadline=None)
def test_scanners_agree_on_damaged_cases(case: Case, draw: st.DataObject) -> None:
    """A head of the table with one byte changed, added or lost has the same outcome in both forms."""
    data = case.data
    position = draw.draw(st.integers(0, len(data) - 1))
    byte = bytes([draw.draw(st.sampled_from(b"\r\n\t :,;/aA0\0\x7f\xff") | st.integers(0, 255))])
    lost = draw.draw(st.integers(0, 1))

    assert_agreement(data[:position] + byte + data[position + lost :])
