"""The byte loop and the regular expressions find the same in whatever comes."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.wire.head import find_head_end
from tests.proxy.wire.cases import REQUESTS, RESPONSES, Case
from tests.proxy.wire.forms import request_outcomes, response_outcomes

# Names and values that mean something to a proxy, nearly do, or are none.
NAMES = (
    b"Host|Content-Length|Transfer-Encoding|Connection|Keep-Alive|Proxy-Connection|TE|Upgrade|Expect|X-Request-Id|"
    b"X-A|Trailer|HTTP2-Settings|hoST|content-length|X|Content-Length |\xe9|"
).split(b"|")
VALUES = (
    b"a|5|5|chunked|Chunked|gzip, chunked|keep-alive|close|upgrade|x-a, te|close,x-request-id|100-continue|"
    b"websocket|a:80|-1|a b|\0|\x7f|\xff|999999999999999999|host|\t|"
).split(b"|")
STARTS = (
    b"GET / HTTP/1.1|GET / HTTP/1.1|GET / HTTP/1.0|HEAD http://a/x HTTP/1.1|OPTIONS * HTTP/1.1|"
    b"GET  / HTTP/1.1|CONNECT a:1 HTTP/1.1|GET /# HTTP/1.1|GET / HTTP/2.0|G\0 / HTTP/1.1|"
    b"HTTP/1.1 200 OK|HTTP/1.0 204|HTTP/1.1 101 x|HTTP/1.1 99 |"
).split(b"|")
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b"\r\r\n"]

field_lines = st.builds(
    lambda name, colon, value, end: name + colon + value + end,
    st.sampled_from(NAMES),
    st.sampled_from([b":", b": ", b":\t ", b""]),
    st.sampled_from(VALUES),
    st.sampled_from(ENDS),
)
heads = st.builds(
    lambda start, end, lines, rest: start + end + b"".join(lines) + b"\r\n" + rest,
    st.sampled_from(STARTS),
    st.sampled_from(ENDS),
    st.lists(field_lines, max_size=8),
    st.binary(max_size=8),
)
# The alphabet is small, so that the structure of a head is hit by chance.
noise = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b":", b" ", b"a", b"GET / HTTP/1.1\r\n", b"\0", b"HTTP/1.1 200"])
).map(lambda parts: b"".join(parts) + b"\r\n\r\n")


def assert_agreement(data: bytes) -> None:
    end = find_head_end(data, 0)
    if end < 0:
        return
    for outcomes in (request_outcomes(data, end, 6), response_outcomes(data, end, 6)):
        assert outcomes[0] == outcomes[1] == outcomes[2]
        # Every refusal has a reason of its own: neither scanner is stricter than the explanation.
        assert outcomes[0]["error"] == 0 or outcomes[0]["reason"]


@given(heads)
@settings(max_examples=1500, deadline=None)
def test_scanners_agree_on_heads(data: bytes) -> None:
    """Heads made of what matters to a proxy have the same outcome in both forms."""
    assert_agreement(data)


@given(noise | st.binary(max_size=200).map(lambda data: data + b"\r\n\r\n"))
@settings(max_examples=500, deadline=None)
@example(b"\r\n\r\n")
@example(b"HTTP/1.1 200\r\n\r\n")
@example(b"G / HTTP/1.\r\n\r\n")
def test_scanners_agree_on_noise(data: bytes) -> None:
    """Random bytes never raise and have the same outcome in both forms."""
    assert_agreement(data)


@given(st.sampled_from(REQUESTS + RESPONSES), st.data())
@settings(max_examples=1500, deadline=None)
def test_scanners_agree_on_damaged_cases(case: Case, draw: st.DataObject) -> None:
    """A head of the table with one byte changed, added or lost has the same outcome in both forms."""
    data = case.data
    position = draw.draw(st.integers(0, len(data) - 1))
    byte = bytes([draw.draw(st.sampled_from(b"\r\n\t :,;/aA0\0\x7f\xff") | st.integers(0, 255))])
    lost = draw.draw(st.integers(0, 1))

    assert_agreement(data[:position] + byte + data[position + lost :])
