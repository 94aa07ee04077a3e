"""Both scanners behind one face, and the outcome of a scan as a value to compare."""

from collections.abc import Callable

from proxy.wire import head as head_module
from proxy.wire import scan_bytes, scan_regex
from proxy.wire.fields import Fields
from proxy.wire.head import RequestHead, ResponseHead, refuse_request, refuse_response
from proxy.wire.shapes import LINES_MAX, NAMES_BYTES_MAX

HEADERS_MAX = 100

RequestScan = Callable[[RequestHead, bytes, int, int], bool]
ResponseScan = Callable[[ResponseHead, bytes, int, int], bool]


def _request_by_bytes(head: RequestHead, data: bytes, end: int, headers_max: int) -> bool:
    head.reset()
    if scan_bytes.request(head, data, end, headers_max) and head.complete(data, end):
        return True
    refuse_request(head, data, end, headers_max)
    return False


def _request_by_regex(head: RequestHead, data: bytes, end: int, headers_max: int) -> bool:
    head.reset()
    if scan_regex.request(head, data, end, headers_max) and head.complete(data, end):
        return True
    refuse_request(head, data, end, headers_max)
    return False


def _request_by_plain_regex(head: RequestHead, data: bytes, end: int, headers_max: int) -> bool:
    # No reset: it begins with what it left itself.
    return scan_regex.plain_request(head, data, end, headers_max) or _request_by_regex(
        head, data, end, headers_max
    )


def _long(data: bytes, end: int) -> bool:
    return end > NAMES_BYTES_MAX or data.count(b"\n", 0, end) > LINES_MAX


def _request_by_shape(head: RequestHead, data: bytes, end: int, headers_max: int) -> bool:
    if not scan_regex.plain_request(head, data, end, headers_max):
        return _request_by_regex(head, data, end, headers_max)
    # Once more, by an expression that is made from this very head.
    head.shapes.learn(data[data.index(b"\n") + 1 : end])
    assert _long(data, end) or head.shapes.known[0].match(data, 0, end)
    return scan_regex.plain_request(head, data, end, headers_max)


def _response_by_bytes(head: ResponseHead, data: bytes, end: int, headers_max: int) -> bool:
    head.reset()
    if scan_bytes.response(head, data, end, headers_max) and head.complete(data, end):
        return True
    refuse_response(head, data, end, headers_max)
    return False


def _response_by_regex(head: ResponseHead, data: bytes, end: int, headers_max: int) -> bool:
    head.reset()
    if scan_regex.response(head, data, end, headers_max) and head.complete(data, end):
        return True
    refuse_response(head, data, end, headers_max)
    return False


def _response_by_plain_regex(head: ResponseHead, data: bytes, end: int, headers_max: int) -> bool:
    return scan_regex.plain_response(head, data, end, headers_max) or _response_by_regex(
        head, data, end, headers_max
    )


def _response_by_shape(head: ResponseHead, data: bytes, end: int, headers_max: int) -> bool:
    if not scan_regex.plain_response(head, data, end, headers_max):
        return _response_by_regex(head, data, end, headers_max)
    head.shapes.learn(data[data.index(b"\n") + 1 : end])
    assert _long(data, end) or head.shapes.known[0].match(data, 0, end)
    return scan_regex.plain_response(head, data, end, headers_max)


REQUEST_SCANS: dict[str, RequestScan] = {
    "bytes": _request_by_bytes,
    "regex": _request_by_regex,
    "plain": _request_by_plain_regex,
    "shape": _request_by_shape,
    "chosen": head_module.scan_request,
}
RESPONSE_SCANS: dict[str, ResponseScan] = {
    "bytes": _response_by_bytes,
    "regex": _response_by_regex,
    "plain": _response_by_plain_regex,
    "shape": _response_by_shape,
    "chosen": head_module.scan_response,
}

_COMMON = (
    *("error", "reason", "minor", "line_end", "content_length", "chunked", "keep_alive", "upgrade"),
    *("upgrade_protocol", "cuts"),
)
_REQUEST = (
    *("method", "target", "ordinary", "host", "expect", "is_head", "request_id_start"),
    "request_id_end",
)


# One of each for all heads, as a worker has them: making one compiles expressions, which takes longer than
# a scan, and what one head leaves behind must not change what is found in the next.
_REQUEST_HEADS = {name: RequestHead() for name in REQUEST_SCANS}
_RESPONSE_HEADS = {name: ResponseHead() for name in RESPONSE_SCANS}


def outcome(head: Fields) -> dict[str, object]:
    """What a scan found, comparable; of a refused head only what the caller may read then."""
    if head.error:
        return {"error": head.error, "reason": head.reason}
    names = _COMMON + (_REQUEST if isinstance(head, RequestHead) else ("status",))
    return {name: getattr(head, name) for name in names}


def request_outcomes(data: bytes, end: int, headers_max: int = HEADERS_MAX) -> list[dict[str, object]]:
    """The outcome of each form for one request head."""
    outcomes = []
    for name, scan in REQUEST_SCANS.items():
        head = _REQUEST_HEADS[name]
        assert scan(head, data, end, headers_max) is (head.error == 0)
        outcomes.append(outcome(head))
    return outcomes


def response_outcomes(data: bytes, end: int, headers_max: int = HEADERS_MAX) -> list[dict[str, object]]:
    """The outcome of each form for one response head."""
    outcomes = []
    for name, scan in RESPONSE_SCANS.items():
        head = _RESPONSE_HEADS[name]
        assert scan(head, data, end, headers_max) is (head.error == 0)
        outcomes.append(outcome(head))
    return outcomes
