"""Heads of messages: what a message says about itself, strictly checked and ready to be forwarded."""

import re
from typing import Final

from mypy_extensions import i64

from proxy.wire import explain, scan_bytes, scan_regex
from proxy.wire.fields import Fields
from proxy.wire.grammar import (
    COMPILED,
    EXPECT,
    FORWARDED_HOST,
    FORWARDED_PROTO,
    HOST,
    MARKED,
    NOTED,
    REQUEST_ID,
    SHARED_KINDS,
    valid_host,
)

# All registered methods, and all that anybody is known to have made up.
_METHOD: Final = re.compile(rb"[A-Z_-]+").fullmatch
# A query right behind the authority belongs to it for some parsers.
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]++)(?!\?)([^?]*+)", re.IGNORECASE).match


class RequestHead(Fields):
    """A request head; one object serves a worker, filled by each `scan_request`.

    Attributes:
        error: 0 when valid, else the status to answer: 400, 431, 501, 505; `reason` says why in a few words.
        method, target: as to be forwarded; the target of an absolute form is reduced to its path and query.
        line_end: offset of the first header line. minor: 0 or 1, of HTTP/1.x.
        host: lower-case, with its port; empty only for HTTP/1.0 without Host.
        content_length: bytes, -1 when not stated. chunked: the body comes in chunks.
        keep_alive: the client wants the connection to stay.
        ordinary: HTTP/1.1, the origin form, no HEAD, no body in chunks, and nothing that changes what is
            passed on but for one line that stays behind: what `proxy.straight` takes.
        upgrade: Connection asks for it and an Upgrade field names `upgrade_protocol`; HTTP/1.1 only.
        expect: the client waits for 100 (Continue) before it sends the body.
        request_id_start, request_id_end: offsets of the request-id field's value, -1 without one.
        forwarded_proto, forwarded_host: an X-Forwarded-Proto or -Host field is there (and not in `drop`).
        noted: the field that the scan finds on its way, for a split that goes by it; empty without one.
        noted_value: its first value, without white space around it; None when the request has none.
        marked: one of the fields `marks` is there.
        lowered: the head in lower case if the scanner made it, else empty.
        cuts: ascending offsets [start, end, start, end, ...] of what stays behind when it is forwarded.
    """

    __slots__ = ("is_head", "noted", "noted_needle", "plain", "shapes")

    def __init__(
        self,
        request_id: bytes = b"x-request-id",
        drop: tuple[bytes, ...] = (),
        noted: bytes = b"",
        marks: tuple[bytes, ...] = (),
    ) -> None:
        """`request_id`, `drop` (names of fields always left out), `noted` and `marks` are lower-case.

        Of `marks`, those that mean something else to the scanner are not looked for: see `kinds`.
        """
        kinds = {b"host": HOST, b"expect": EXPECT}
        if request_id:
            kinds[request_id] = REQUEST_ID
        for name, kind in ((b"x-forwarded-proto", FORWARDED_PROTO), (b"x-forwarded-host", FORWARDED_HOST)):
            if name not in drop:
                kinds.setdefault(name, kind)
        self.noted = b""
        self.noted_needle = b"\r\n" + noted + b":"  # see `proxy.request`
        if noted and noted not in kinds and noted not in drop and noted not in SHARED_KINDS:
            self.noted = noted
            kinds[noted] = NOTED
        for name in marks:
            if name not in drop and name not in SHARED_KINDS:
                kinds.setdefault(name, MARKED)
        self.is_head: bool = False
        super().__init__(kinds, drop)
        # Matches most heads whole, and what they have to say; used where nothing is compiled.
        self.plain: scan_regex.Match = self._first_plain
        self.shapes = scan_regex.request_shapes(self.noted)

    def prepare(self) -> None:
        """Make the expressions now, so that the first request need not wait for them."""
        if not COMPILED:
            self.plain(b"", 0, 0)
            self.find_known(b"")

    def _first_plain(self, data: bytes, start: int, end: int) -> re.Match[bytes] | None:
        self.plain = scan_regex.plain_expression(self.kinds, self.noted)
        return self.plain(data, start, end)

    def complete(self, data: bytes, end: int) -> bool:
        """Judge the whole, once the lines are known."""
        minor = self.minor
        if minor == 1:
            if not self.host:
                return self.fail(400, "no Host")
            self.keep_alive = not self.close
            if self.upgrade and not self.upgrade_protocol:
                self.upgrade = False
        else:
            if self.chunked:
                return self.fail(400, "Transfer-Encoding in HTTP/1.0")
            self.keep_alive = self.keep_alive and not self.close
            # RFC 9110 has both ignored in HTTP/1.0 (7.8 and 10.1.1).
            self.upgrade = False
            self.expect = False
        if self.nominated:
            self.leave_out_nominated(data, end)
        method = self.method
        if method == b"POST" or method == b"GET":
            self.is_head = False
        else:
            self.is_head = method == b"HEAD"
            if method == b"CONNECT" or method == b"TRACE" or _METHOD(method) is None:
                return self.fail(501, "method not served by a reverse proxy")
        if self.target[0] == 47:
            self.ordinary = (
                minor == 1
                and self.keep_alive
                and not self.is_head
                and not (self.touched and self._asks_for_more())
                and len(self.cuts) <= 2
            )
            return True
        if self.target == b"*":
            if method == b"OPTIONS":
                # It asks about a server as a whole, and there are several behind us.
                return self.fail(501, "asterisk target not served by a reverse proxy")
            return self.fail(400, "asterisk target of a method other than OPTIONS")
        return self._absolute()

    def _asks_for_more(self) -> bool:
        return (
            self.chunked
            or self.upgrade
            or self.expect
            or self.request_id_start >= 0
            or self.forwarded_proto
            or self.forwarded_host
        )

    def _absolute(self) -> bool:
        """Make the absolute form the origin form by cutting scheme and authority out of the line."""
        match = _ABSOLUTE(self.target)
        if match is None or not valid_host(match[1]):
            return self.fail(400, "invalid target")
        if not self.host:
            return self.fail(400, "no Host")
        if self.host != match[1].lower():
            return self.fail(400, "Host differs from the target's authority")
        self.touched = True
        # Between the target and the first line stand a space, the version and CRLF.
        start = self.line_end - 11 - len(self.target)
        path = start + match.start(2)
        if match[2]:
            self.cuts[:0] = [start, path]
            self.target = self.target[match.start(2) :]
        else:
            # An empty path is "/": the second slash before the authority stays in its place.
            slash = start + match.start(1) - 1
            self.cuts[:0] = [start, slash, slash + 1, path]
            self.target = b"/" + self.target[match.end(1) :]
        return True


class ResponseHead(Fields):
    """A response head; one object serves a worker, filled by each `scan_response`.

    Attributes as in `RequestHead`, and status: 100 to 599. An invalid head has the error 502. Framing fields
    that a response without content must not have (1xx, 204) are cut and not reported.
    """

    __slots__ = ("_last", "plain", "shapes")

    def __init__(self, drop: tuple[bytes, ...] = ()) -> None:
        """`drop`: lower-case names of fields always left out."""
        super().__init__({}, drop)
        self._last: bytes = b""
        self.plain: scan_regex.Match = self._first_plain
        self.shapes = scan_regex.response_shapes()

    def prepare(self) -> None:
        """As that of a `RequestHead`."""
        if not COMPILED:
            self.plain(b"", 0, 0)
            self.find_known(b"")

    def _first_plain(self, data: bytes, start: int, end: int) -> re.Match[bytes] | None:
        self.plain = scan_regex.plain_response_expression(self.kinds)
        return self.plain(data, start, end)

    def remember(self, data: bytes, end: int) -> None:
        """Keep the head `data[:end]`, which has just been read, until the next one is."""
        self._last = data[: end + 2]

    def recall(self, data: bytes) -> i64:
        """The end of the head of `data` when it is, byte for byte, the remembered one; otherwise -1.

        What it says is then still here. A server's answers of one second often differ in their bodies only;
        benchmarks/micro/bench_exchange.py shows both cases.
        """
        last = self._last
        size: i64 = len(last)
        return size - 2 if size > 0 and data[:size] == last else -1

    def forget(self) -> None:
        """Remember no head: another one is about to be read."""
        self._last = b""

    def complete(self, data: bytes, end: int) -> bool:
        """Judge the whole, once the lines are known."""
        if self.minor == 1:
            self.keep_alive = not self.close
            if self.upgrade and not self.upgrade_protocol:
                self.upgrade = False
        else:
            if self.chunked:
                return self.fail(502, "Transfer-Encoding in HTTP/1.0")
            self.keep_alive = self.keep_alive and not self.close
            self.upgrade = False
        status = self.status
        if (status < 200 or status == 204) and (self.chunked or self.content_length >= 0):
            # RFC 9110, 8.6 and RFC 9112, 6.1: neither field may be sent with these.
            self.chunked = False
            self.content_length = -1
            self.nominated += [b"content-length", b"transfer-encoding"]
        if self.nominated:
            self.leave_out_nominated(data, end)
        return True


def scan_request(head: RequestHead, data: bytes, end: i64, headers_max: i64) -> bool:
    """Check and read the request head `data[:end]`, which its blank line follows; True if valid."""
    if not COMPILED and scan_regex.plain_request(head, data, end, headers_max):
        return True
    head.reset()
    if COMPILED:
        good = scan_bytes.request(head, data, end, headers_max)
    else:
        good = scan_regex.request(head, data, end, headers_max)
    if good and head.complete(data, end):
        return True
    refuse_request(head, data, end, headers_max)
    return False


def scan_response(head: ResponseHead, data: bytes, end: i64, headers_max: i64) -> bool:
    """Check and read the response head `data[:end]`, which its blank line follows; True if valid."""
    head.forget()
    if not COMPILED and scan_regex.plain_response(head, data, end, headers_max):
        return True
    head.reset()
    if COMPILED:
        good = scan_bytes.response(head, data, end, headers_max)
    else:
        good = scan_regex.response(head, data, end, headers_max)
    if good and head.complete(data, end):
        return True
    refuse_response(head, data, end, headers_max)
    return False


def refuse_request(head: RequestHead, data: bytes, end: int, headers_max: int) -> None:
    """Fill in `error` and `reason` of a head that a scanner refused.

    Faults of grammar go before what the fields mean, so that both scanners give the same reason wherever they
    stopped.
    """
    head.method = head.target = b""
    fault = explain.request(data, end, headers_max)
    if fault is not None:
        head.error, head.reason = fault


def refuse_response(head: ResponseHead, data: bytes, end: int, headers_max: int) -> None:
    """As `refuse_request`; the answer to an invalid response is always 502."""
    fault = explain.response(data, end, headers_max)
    if fault is not None:
        head.reason = fault
    head.error = 502


def scan_beginning(head: RequestHead, data: bytes) -> bool:
    """Whether `data`, the beginning of a request head, may still become valid; if not, as `scan_request`.

    For heads that come in pieces, so that bare line feeds, HTTP/0.9 or a TLS handshake are answered at once.
    """
    head.reset()
    fault = explain.request_beginning(data)
    if fault is None:
        return True
    head.error, head.reason = fault
    return False


def find_head_end(data: bytes, start: i64) -> i64:
    """The offset of the blank line's CR, looked for from `start`; -1 while the head is incomplete.

    A head that grows is searched again from three bytes before its old end. One empty line before a request
    may be dropped by the caller (RFC 9112, 2.2), before searching.
    """
    if COMPILED:
        # benchmarks/micro/bench_exchange.py: a quarter of the time of `find`, called from compiled code.
        end: i64 = scan_bytes.head_end(data, start)
    else:
        end = data.find(b"\r\n\r\n", start) + 2
    return end if end >= 2 else -1
