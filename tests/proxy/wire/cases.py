"""Heads of requests and responses, and what must be made of each: the table for both scanners."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One head with its blank line; `error` 0 to accept it; `expected`: attributes of the outcome."""

    name: str
    data: bytes
    error: int = 0
    expected: dict[str, object] = field(default_factory=dict)
    reason: str | None = None
    forwarded: bytes | None = None

    @property
    def end(self) -> int:
        """The offset of the blank line."""
        return self.data.index(b"\r\n\r\n") + 2


def good(name: str, data: bytes, forwarded: bytes | None = None, **expected: object) -> Case:
    """A head to accept; `forwarded` is what remains of it without the cuts, all of it by default."""
    return Case(name=name, data=data, expected=expected, forwarded=forwarded)


def bad(name: str, data: bytes, error: int = 400, reason: str | None = None) -> Case:
    """A head to refuse."""
    return Case(name=name, data=data, error=error, reason=reason)


def post(*lines: bytes, version: bytes = b"1.1", host: bytes = b"Host: a\r\n") -> bytes:
    """A POST with these further header lines."""
    return b"POST /p HTTP/" + version + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def line(start: bytes, host: bytes = b"Host: a\r\n") -> bytes:
    """A request with this start line and a Host."""
    return start + b"\r\n" + host + b"\r\n"


def answer(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A response with these header lines."""
    return start + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


_HEAD_ONLY = b"POST /p HTTP/1.1\r\nHost: a\r\n"

START_LINES = [
    good("get", line(b"GET / HTTP/1.1"), method=b"GET", target=b"/", host=b"a", minor=1, is_head=False),
    good("head", line(b"HEAD /x HTTP/1.1"), method=b"HEAD", is_head=True),
    bad("lower-case method", line(b"get / HTTP/1.1"), 501),
    good("unknown method", line(b"FETCH-IT_ALL / HTTP/1.1"), method=b"FETCH-IT_ALL"),
    bad("method of other characters", line(b"M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1"), 501),
    bad("method with a digit", line(b"GET2 / HTTP/1.1"), 501),
    good("query", line(b"GET /a?b=c&d=%20 HTTP/1.1"), target=b"/a?b=c&d=%20"),
    good("characters outside the URI grammar", line(b'GET /{a}|"<>\\^` HTTP/1.1'), target=b'/{a}|"<>\\^`'),
    good("double slash", line(b"GET //x HTTP/1.1"), target=b"//x", host=b"a"),
    good("no header line but Host", line(b"GET / HTTP/1.1"), line_end=16),
    bad("asterisk", line(b"OPTIONS * HTTP/1.1"), 501),
    good(
        "1.0 without a header line",
        line(b"GET / HTTP/1.0", b""),
        minor=0,
        host=b"",
        keep_alive=False,
        line_end=16,
    ),
    good("1.0 with Host", line(b"GET / HTTP/1.0"), host=b"a"),
    bad("empty line first", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", reason="empty line before the request"),
    bad("asterisk of GET", line(b"GET * HTTP/1.1")),
    bad("asterisk and more", line(b"OPTIONS *x HTTP/1.1"), reason="invalid target"),
    bad("connect", line(b"CONNECT a:443 HTTP/1.1"), 501),
    bad("connect with a path", line(b"CONNECT / HTTP/1.1"), 501),
    bad("trace", line(b"TRACE / HTTP/1.1"), 501),
    bad("authority form of another method", line(b"GET a:443 HTTP/1.1")),
    bad("relative target", line(b"GET x HTTP/1.1")),
    bad("empty target", line(b"GET  HTTP/1.1")),
    bad("two spaces after the method", line(b"GET  / HTTP/1.1")),
    bad("two spaces before the version", line(b"GET /  HTTP/1.1")),
    bad("tab after the method", line(b"GET\t/ HTTP/1.1")),
    bad("tab before the version", line(b"GET /\tHTTP/1.1")),
    bad("space in the target", line(b"GET /a b HTTP/1.1")),
    bad("tab in the target", line(b"GET /a\tb HTTP/1.1")),
    bad("NUL in the target", line(b"GET /a\0b HTTP/1.1")),
    bad("DEL in the target", line(b"GET /a\x7fb HTTP/1.1")),
    bad("escape in the target", line(b"GET /a\x1bb HTTP/1.1")),
    bad("UTF-8 in the target", line(b"GET /\xc3\xa9 HTTP/1.1")),
    bad("Latin-1 in the target", line(b"GET /\xe9 HTTP/1.1")),
    bad("fragment", line(b"GET /a#b HTTP/1.1"), reason="fragment in the target"),
    bad("bare CR in the target", line(b"GET /a\rb HTTP/1.1")),
    bad("bare LF in the target", line(b"GET /a\nb HTTP/1.1")),
    bad("space before the method", line(b" GET / HTTP/1.1")),
    bad("no method", line(b" / HTTP/1.1")),
    bad("method with a colon", line(b"GE:T / HTTP/1.1"), reason="invalid method"),
    bad("method with a bracket", line(b"GE(T / HTTP/1.1")),
    bad("method with a slash", line(b"GE/T / HTTP/1.1")),
    bad("method with a comma", line(b"GE,T / HTTP/1.1")),
    bad("method with NUL", line(b"GE\0T / HTTP/1.1")),
    bad("method in Latin-1", line(b"G\xc9T / HTTP/1.1")),
    bad("only a method", line(b"GET")),
    bad("only a space", line(b" ")),
    bad("HTTP/0.9", line(b"GET /"), reason="HTTP/0.9 is not spoken"),
    bad("HTTP/0.9 by version", line(b"GET / HTTP/0.9"), 505),
    bad("HTTP/1.2", line(b"GET / HTTP/1.2"), 505),
    bad("HTTP/1.9", line(b"GET / HTTP/1.9"), 505),
    bad("HTTP/2.0", line(b"GET / HTTP/2.0"), 505),
    bad("HTTP/3.0", line(b"GET / HTTP/3.0"), 505),
    bad("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\n", 505),
    bad("HTTP/2", line(b"GET / HTTP/2"), reason="invalid version"),
    bad("HTTP/1", line(b"GET / HTTP/1")),
    bad("HTTP/1.", line(b"GET / HTTP/1.")),
    bad("HTTP/1.10", line(b"GET / HTTP/1.10")),
    bad("HTTP/1.01", line(b"GET / HTTP/1.01")),
    bad("HTTP/11.1", line(b"GET / HTTP/11.1")),
    bad("HTTP/1,1", line(b"GET / HTTP/1,1")),
    bad("HTTP/1.x", line(b"GET / HTTP/1.x")),
    bad("lower-case version", line(b"GET / http/1.1")),
    bad("another protocol", line(b"GET / RTSP/1.0")),
    bad("version and space", line(b"GET / HTTP/1.1 ")),
    bad("version and word", line(b"GET / HTTP/1.1 x")),
    bad("version and CR", line(b"GET / HTTP/1.1\r")),
    bad("version and bare LF", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    bad("response", line(b"HTTP/1.1 200 OK")),
]

ABSOLUTE = [
    good(
        "absolute form",
        b"GET http://A.example:80/x?y HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
        b"GET /x?y HTTP/1.1\r\nHost: a.example:80\r\n",
        target=b"/x?y",
        host=b"a.example:80",
    ),
    good(
        "https", b"GET hTTps://a/ HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n", target=b"/"
    ),
    good(
        "without a path",
        b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        target=b"/",
    ),
    bad("query without a path", b"GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", reason="invalid target"),
    good(
        "with other cuts",
        b"GET http://a/b HTTP/1.1\r\nTE: x\r\nHost: a\r\nConnection: c\r\nC: 1\r\n\r\n",
        b"GET /b HTTP/1.1\r\nHost: a\r\n",
    ),
    good(
        "absolute form in 1.0", b"GET http://a/ HTTP/1.0\r\nHost: a\r\n\r\n", b"GET / HTTP/1.0\r\nHost: a\r\n"
    ),
    bad("absolute form in 1.0 without Host", b"GET http://a/ HTTP/1.0\r\n\r\n", reason="no Host"),
    good(
        "address in brackets",
        b"GET http://[::1]:8/ HTTP/1.1\r\nHost: [::1]:8\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]:8\r\n",
    ),
    bad(
        "another Host",
        b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
        reason="Host differs from the target's authority",
    ),
    bad("another port", b"GET http://a:80/ HTTP/1.1\r\nHost: a:81\r\n\r\n"),
    bad("one with port, one without", b"GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("absolute form without Host", b"GET http://a/ HTTP/1.1\r\nAccept: b\r\n\r\n", reason="no Host"),
    bad("user in the authority", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("user in both", b"GET http://u@a/ HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    bad("no authority", b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("only a scheme", b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("no slashes", b"GET http:a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("another scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("scheme in front of a path", b"GET xhttp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    bad("backslash in the authority", b"GET http://a\\b/ HTTP/1.1\r\nHost: a\\b\r\n\r\n"),
]

HOSTS = [
    good("Host with port", post(host=b"Host: A.Example:8080\r\n"), host=b"a.example:8080"),
    good("Host without space", post(host=b"hOsT:a\r\n"), host=b"a"),
    good("Host with spaces around", post(host=b"Host:   a  \r\n"), host=b"a"),
    bad("Host with a tab before", post(host=b"Host: \ta\r\n")),
    bad("Host with a tab behind", post(host=b"Host: a\t\r\n")),
    good("Host at the end", post(b"Host: b", host=b"X: y\r\n"), host=b"b"),
    good("Host with an IPv4 address", post(host=b"Host: 127.0.0.1\r\n"), host=b"127.0.0.1"),
    good("Host with an IPv6 address", post(host=b"Host: [2001:DB8::1]:80\r\n"), host=b"[2001:db8::1]:80"),
    good("Host with an underscore", post(host=b"Host: my_service\r\n"), host=b"my_service"),
    good("Host with an empty port", post(host=b"Host: a:\r\n"), host=b"a:"),
    good("Host with the highest port", post(host=b"Host: a:65535\r\n"), host=b"a:65535"),
    good("X-Host is another field", post(b"X-Host: b"), host=b"a"),
    good("Hosts is another field", post(b"Hosts: b"), host=b"a"),
    bad("no Host", post(host=b""), reason="no Host"),
    bad("empty Host", post(host=b"Host:\r\n"), reason="invalid Host"),
    bad("blank Host", post(host=b"Host:  \r\n")),
    bad("two Hosts", post(b"Host: b"), reason="several Host fields"),
    bad("two equal Hosts", post(b"host: a")),
    bad("two Hosts in 1.0", post(b"Host: a", version=b"1.0")),
    bad("invalid Host in 1.0", post(version=b"1.0", host=b"Host: a b\r\n")),
    bad("list of Hosts", post(host=b"Host: a, b\r\n")),
    bad("list of Hosts without space", post(host=b"Host: a,b\r\n")),
    bad("Host with a path", post(host=b"Host: a/b\r\n")),
    bad("Host with a scheme", post(host=b"Host: http://a\r\n")),
    bad("Host with a user", post(host=b"Host: u@a\r\n")),
    bad("Host with a space", post(host=b"Host: a b\r\n")),
    bad("Host with a fragment", post(host=b"Host: a#b\r\n")),
    bad("Host with a query", post(host=b"Host: a?b\r\n")),
    bad("Host in UTF-8", post(host=b"Host: \xc3\xa9\r\n")),
    bad("only a port", post(host=b"Host: :80\r\n")),
    bad("port with letters", post(host=b"Host: a:8x\r\n")),
    bad("two ports", post(host=b"Host: a:80:80\r\n")),
    bad("port too high", post(host=b"Host: a:65536\r\n")),
    bad("port too long", post(host=b"Host: a:000080\r\n")),
    bad("IPv6 address without brackets", post(host=b"Host: ::1\r\n")),
    bad("bracket not closed", post(host=b"Host: [::1\r\n")),
    bad("bracket without an address", post(host=b"Host: []\r\n")),
    bad("name in brackets", post(host=b"Host: [name]\r\n")),
    bad("text after a bracket", post(host=b"Host: [::1]x\r\n")),
]

FRAMING = [
    good("no body", post(), content_length=-1, chunked=False),
    good("length", post(b"Content-Length: 5"), content_length=5, chunked=False),
    good("length of zero", post(b"Content-Length: 0"), content_length=0),
    good("leading zeros", post(b"Content-Length: 005"), content_length=5),
    good("spaces around a length", post(b"cOnTeNt-LeNgTh:   17  "), content_length=17),
    bad("tab before a length", post(b"Content-Length:\t17")),
    bad("tab behind a length", post(b"Content-Length: 17\t")),
    good("longest length", post(b"Content-Length: 999999999999999999"), content_length=10**18 - 1),
    good("chunked", post(b"Transfer-Encoding: chunked"), content_length=-1, chunked=True),
    good("chunked in capitals", post(b"TRANSFER-ENCODING:  CHUNKED  "), chunked=True),
    bad("chunked with a tab before", post(b"Transfer-Encoding:\tchunked"), 501),
    good("length in 1.0", post(b"Content-Length: 5", version=b"1.0"), content_length=5),
    good(
        "names that look alike",
        post(b"Content_Length: 9", b"Content-Lengths: 9", b"X-Transfer-Encoding: y"),
        content_length=-1,
    ),
    bad("empty length", post(b"Content-Length:"), reason="invalid Content-Length"),
    bad("blank length", post(b"Content-Length:   ")),
    bad("negative length", post(b"Content-Length: -1")),
    bad("signed length", post(b"Content-Length: +1")),
    bad("hexadecimal length", post(b"Content-Length: 0x5")),
    bad("hexadecimal digits", post(b"Content-Length: 1a")),
    bad("length with a space inside", post(b"Content-Length: 1 2")),
    bad("length with an underscore", post(b"Content-Length: 1_0")),
    bad("length with a point", post(b"Content-Length: 5.0")),
    bad("length with an exponent", post(b"Content-Length: 1e3")),
    bad("length in quotes", post(b'Content-Length: "5"')),
    bad("length with a semicolon", post(b"Content-Length: 5;")),
    bad("superscript digit", post(b"Content-Length: \xb2")),
    bad("Arabic digit", post("Content-Length: \u0665".encode())),
    bad("length of 19 digits", post(b"Content-Length: 1000000000000000000")),
    bad("length above 64 bits", post(b"Content-Length: 18446744073709551617")),
    bad("list of lengths", post(b"Content-Length: 5, 5")),
    bad("list of lengths without space", post(b"Content-Length: 5,6")),
    bad(
        "two lengths",
        post(b"Content-Length: 5", b"Content-Length: 6"),
        reason="several Content-Length fields",
    ),
    bad("two equal lengths", post(b"Content-Length: 5", b"content-length: 5")),
    bad("length and chunked", post(b"Content-Length: 5", b"Transfer-Encoding: chunked")),
    bad("chunked and length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5")),
    bad("chunked and zero", post(b"Transfer-Encoding: chunked", b"Content-Length: 0")),
    bad("chunked twice", post(b"Transfer-Encoding: chunked, chunked")),
    bad("chunked on two lines", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    bad(
        "chunked and identity on two lines",
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    ),
    bad("chunked not last", post(b"Transfer-Encoding: chunked, gzip")),
    bad("no chunked", post(b"Transfer-Encoding: gzip")),
    bad("identity", post(b"Transfer-Encoding: identity")),
    bad("empty coding", post(b"Transfer-Encoding:")),
    bad("empty element before", post(b"Transfer-Encoding: , chunked")),
    bad("empty element after", post(b"Transfer-Encoding: chunked,")),
    bad("xchunked", post(b"Transfer-Encoding: xchunked")),
    bad("chunked with a tab behind", post(b"Transfer-Encoding: chunked\t")),
    bad("chunked in quotes", post(b'Transfer-Encoding: "chunked"')),
    bad("chunked with a parameter", post(b"Transfer-Encoding: chunked;a=b")),
    bad("chunked with a vertical tab", post(b"Transfer-Encoding: \x0bchunked")),
    bad("chunked with a no-break space", post(b"Transfer-Encoding: \xa0chunked")),
    bad("chunked by a folded line", post(b"Transfer-Encoding:", b" chunked")),
    bad(
        "chunked in 1.0",
        post(b"Transfer-Encoding: chunked", version=b"1.0"),
        reason="Transfer-Encoding in HTTP/1.0",
    ),
    bad("gzip and chunked", post(b"Transfer-Encoding: gzip, chunked"), 501, "unknown transfer coding"),
    bad("unknown and chunked", post(b"Transfer-Encoding: snappy ,\tchunked"), 501),
    bad("gzip and chunked on two lines", post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked")),
]

FIELD_LINES = [
    good("empty value", post(b"X:")),
    good("blank value", post(b"X:  \t ")),
    good("colons in a value", post(b"X:::")),
    good("tab in a value", post(b"X: a\tb")),
    good("Latin-1 in a value", post(b"X: \xe9\x80\xff")),
    good("all token characters", post(b"!#$%&'*+-.^_`|~09azAZ: y")),
    good("long name", post(b"x" * 5000 + b": y")),
    bad("bare LF", post(b"X: a\nY: b"), reason="bare CR or LF"),
    bad("bare CR", post(b"X: a\rY: b"), reason="bare CR or LF"),
    bad("CR before CRLF", post(b"X: a\r")),
    bad("line of a CR", post(b"\r")),
    bad("NUL in a value", post(b"X: a\0b"), reason="control character in a header value"),
    bad("DEL in a value", post(b"X: a\x7fb")),
    bad("escape in a value", post(b"X: a\x1bb")),
    bad("backspace in a value", post(b"X: a\x08b")),
    bad("vertical tab in a value", post(b"X: a\x0bb")),
    bad("form feed in a value", post(b"X: a\x0cb")),
    bad("space before the colon", post(b"X : y"), reason="space before the colon of a header"),
    bad("tab before the colon", post(b"X\t: y")),
    bad("space before the colon of a length", post(b"Content-Length : 5")),
    bad("space in a name", post(b"X Y: z")),
    bad("space before a name", post(b" X: y"), reason="folded header line"),
    bad("folded line", post(b"X: a", b"\tb"), reason="folded header line"),
    bad("folded first line", post(b"X: a", host=b" Host: a\r\n")),
    bad("empty name", post(b": y"), reason="invalid header name"),
    bad("no colon", post(b"X"), reason="header line without a colon"),
    bad("NUL in a name", post(b"X\0: y")),
    bad("DEL in a name", post(b"X\x7f: y")),
    bad("Latin-1 in a name", post(b"X\xe9: y")),
    bad("bracket in a name", post(b"X(): y")),
    bad("slash in a name", post(b"X/Y: z")),
    bad("quote in a name", post(b'"X": y')),
    bad("comma in a name", post(b"X,Y: z")),
    bad("at sign in a name", post(b"@X: y")),
    bad("LF in a name", post(b"X\nY: z")),
    bad("second request line", post(b"GET / HTTP/1.1")),
]

PERSISTENCE = [
    good("1.1 stays", post(), keep_alive=True, cuts=[]),
    good("close", post(b"Connection: close"), _HEAD_ONLY, keep_alive=False),
    good("keep-alive", post(b"Connection: keep-alive"), _HEAD_ONLY, keep_alive=True, cuts=[27, 51]),
    good("keep-alive in capitals", post(b"CONNECTION:KEEP-ALIVE"), _HEAD_ONLY, keep_alive=True),
    good("close wins", post(b"Connection: keep-alive, Close"), _HEAD_ONLY, keep_alive=False),
    good(
        "close on a second line",
        post(b"Connection: keep-alive", b"Connection: close"),
        _HEAD_ONLY,
        keep_alive=False,
    ),
    good("empty elements", post(b"Connection: , close ,,"), _HEAD_ONLY, keep_alive=False),
    good("empty Connection", post(b"Connection:"), _HEAD_ONLY, keep_alive=True),
    good("1.0 closes", post(version=b"1.0"), keep_alive=False),
    good(
        "1.0 with keep-alive",
        post(b"Connection: Keep-Alive", version=b"1.0"),
        b"POST /p HTTP/1.0\r\nHost: a\r\n",
        keep_alive=True,
    ),
    good(
        "1.0 with both",
        post(b"Connection: close, keep-alive", version=b"1.0"),
        b"POST /p HTTP/1.0\r\nHost: a\r\n",
        keep_alive=False,
    ),
    bad("option with a space", post(b"Connection: keep alive"), reason="invalid Connection option"),
    bad("option with a semicolon", post(b"Connection: close;x")),
    bad("option in quotes", post(b'Connection: "close"')),
]

HOP_BY_HOP = [
    good(
        "nominated",
        post(b"Connection: x-a", b"X-A: 1", b"X-B: 2"),
        _HEAD_ONLY + b"X-B: 2\r\n",
        keep_alive=True,
    ),
    good(
        "nominated before",
        post(b"X-A: 1", b"X-B: 2", b"connection: X-a, close"),
        _HEAD_ONLY + b"X-B: 2\r\n",
        keep_alive=False,
    ),
    good(
        "nominated often",
        post(b"X-A: 1", b"X-a:", b"X-AB: 3", b"Connection: x-a"),
        _HEAD_ONLY + b"X-AB: 3\r\n",
    ),
    good("nominated and absent", post(b"Connection: x-a"), _HEAD_ONLY),
    good(
        "two lines nominate", post(b"Connection: x-a", b"X-B: 1", b"X-A: 2", b"Connection: x-b"), _HEAD_ONLY
    ),
    good("Connection nominates itself", post(b"Connection: connection"), _HEAD_ONLY),
    good("Expect nominated", post(b"Connection: expect", b"Expect: 100-continue"), _HEAD_ONLY, expect=True),
    good("Keep-Alive", post(b"Keep-Alive: timeout=5"), _HEAD_ONLY),
    good("Proxy-Connection", post(b"Proxy-Connection: keep-alive"), _HEAD_ONLY),
    good("Proxy-Authorization", post(b"Proxy-Authorization: Basic eA=="), _HEAD_ONLY),
    good("Proxy-Authenticate", post(b"Proxy-Authenticate: Basic"), _HEAD_ONLY),
    good("TE", post(b"Connection: te", b"TE: trailers"), _HEAD_ONLY),
    good("HTTP2-Settings", post(b"HTTP2-Settings: x"), _HEAD_ONLY),
    good("Trailer stays", post(b"Trailer: X-Sum"), cuts=[]),
    good(
        "all at once",
        post(b"TE: a", b"X: 1", b"Keep-Alive: b", b"Upgrade: c", b"Y: 2", b"Connection: x"),
        _HEAD_ONLY + b"Y: 2\r\n",
    ),
    bad("Content-Length nominated", post(b"Connection: content-length", b"Content-Length: 5")),
    bad("Transfer-Encoding nominated", post(b"Connection: close, Transfer-Encoding")),
    bad(
        "Host nominated",
        post(b"Connection: host"),
        reason="Connection names a field that cannot be hop-by-hop",
    ),
]

UPGRADES = [
    good(
        "websocket",
        post(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        _HEAD_ONLY + b"Sec-WebSocket-Version: 13\r\n",
        upgrade=True,
        upgrade_protocol=b"websocket",
        keep_alive=True,
    ),
    good(
        "upgrade first",
        post(b"Upgrade: WebSocket", b"Connection: keep-alive, upgrade"),
        _HEAD_ONLY,
        upgrade=True,
        upgrade_protocol=b"WebSocket",
    ),
    good(
        "several protocols",
        post(b"Upgrade: a/1", b"Upgrade: b", b"Connection: upgrade"),
        _HEAD_ONLY,
        upgrade=True,
        upgrade_protocol=b"a/1, b",
    ),
    good("upgrade not nominated", post(b"Upgrade: h2c"), _HEAD_ONLY, upgrade=False),
    good("upgrade without the field", post(b"Connection: upgrade"), _HEAD_ONLY, upgrade=False),
    good("upgrade to nothing", post(b"Connection: upgrade", b"Upgrade:"), _HEAD_ONLY, upgrade=False),
    good(
        "upgrade in 1.0",
        post(b"Connection: upgrade", b"Upgrade: websocket", version=b"1.0"),
        b"POST /p HTTP/1.0\r\nHost: a\r\n",
        upgrade=False,
    ),
    good("expect", post(b"Expect: 100-Continue"), expect=True, cuts=[]),
    good("expect in 1.0", post(b"Expect: 100-continue", version=b"1.0"), expect=False),
    good("another expectation", post(b"Expect: cookies"), expect=False),
    good("no expectation", post(), expect=False),
]

REQUEST_IDS = [
    good("request id", post(b"X-Request-ID:  ab c\t"), request_id_start=42, request_id_end=46, cuts=[]),
    good("no request id", post(), request_id_start=-1, request_id_end=-1),
    good(
        "first request id counts",
        post(b"X-Request-ID: a", b"X-Request-ID: b"),
        request_id_start=41,
        request_id_end=42,
    ),
    good("empty request id", post(b"X-Request-Id: "), _HEAD_ONLY, request_id_start=-1),
    good(
        "request id nominated",
        post(b"Connection: x-request-id", b"X-Request-Id: a"),
        _HEAD_ONLY,
        request_id_start=-1,
    ),
]

REQUESTS = (
    START_LINES + ABSOLUTE + HOSTS + FRAMING + FIELD_LINES + PERSISTENCE + HOP_BY_HOP + UPGRADES + REQUEST_IDS
)

_OK = b"HTTP/1.1 200 OK\r\n"

RESPONSES = [
    good(
        "ok",
        answer(),
        status=200,
        minor=1,
        keep_alive=True,
        content_length=-1,
        chunked=False,
        line_end=17,
        cuts=[],
    ),
    good("length", answer(b"Content-Length: 12"), content_length=12),
    good("chunked", answer(b"Transfer-Encoding: chunked"), chunked=True),
    good("1.0", answer(start=b"HTTP/1.0 200 OK"), minor=0, keep_alive=False),
    good(
        "1.0 with keep-alive",
        answer(b"Connection: keep-alive", start=b"HTTP/1.0 200 OK"),
        b"HTTP/1.0 200 OK\r\n",
        keep_alive=True,
    ),
    good("close", answer(b"Connection: close"), _OK, keep_alive=False),
    good("no phrase", answer(start=b"HTTP/1.1 200 "), status=200),
    good("no phrase and no space", answer(start=b"HTTP/1.1 404"), status=404),
    good("phrase of words", answer(start=b"HTTP/1.1 503 Over  the\thill \xe9"), status=503),
    good("lowest status", answer(start=b"HTTP/1.1 100 Continue"), status=100),
    good("highest status", answer(start=b"HTTP/1.1 599 x"), status=599),
    good("empty value", answer(b"X:")),
    good("Latin-1 in a value", answer(b"X: \xe9")),
    good("no Host needed", answer(b"Host: a", b"Host: b")),
    good("hop-by-hop", answer(b"Keep-Alive: x", b"Proxy-Authenticate: Basic", b"X: y"), _OK + b"X: y\r\n"),
    good("nominated", answer(b"X: y", b"Connection: x", b"Z: 1"), _OK + b"Z: 1\r\n"),
    good(
        "switching protocols",
        answer(
            b"Upgrade: websocket", b"Connection: Upgrade", b"X: y", start=b"HTTP/1.1 101 Switching Protocols"
        ),
        b"HTTP/1.1 101 Switching Protocols\r\nX: y\r\n",
        upgrade=True,
        upgrade_protocol=b"websocket",
    ),
    good(
        "upgrade in 1.0",
        answer(b"Upgrade: a", b"Connection: upgrade", start=b"HTTP/1.0 101 x"),
        b"HTTP/1.0 101 x\r\n",
        upgrade=False,
    ),
    good(
        "204 with a length",
        answer(b"Content-Length: 5", b"X: y", start=b"HTTP/1.1 204 x"),
        b"HTTP/1.1 204 x\r\nX: y\r\n",
        content_length=-1,
    ),
    good(
        "204 with chunked",
        answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 204 x"),
        b"HTTP/1.1 204 x\r\n",
        chunked=False,
    ),
    good(
        "103 with a length",
        answer(b"Link: x", b"Content-Length: 0", start=b"HTTP/1.1 103 x"),
        b"HTTP/1.1 103 x\r\nLink: x\r\n",
    ),
    good("304 with a length", answer(b"Content-Length: 5", start=b"HTTP/1.1 304 x"), content_length=5),
    bad("length and chunked", answer(b"Content-Length: 5", b"Transfer-Encoding: chunked")),
    bad("two lengths", answer(b"Content-Length: 5", b"Content-Length: 6")),
    bad("two equal lengths", answer(b"Content-Length: 5", b"Content-Length: 5")),
    bad("list of lengths", answer(b"Content-Length: 5, 5")),
    bad("negative length", answer(b"Content-Length: -5")),
    bad("empty length", answer(b"Content-Length:")),
    bad("length too long", answer(b"Content-Length: 1234567890123456789")),
    bad("gzip and chunked", answer(b"Transfer-Encoding: gzip, chunked")),
    bad("gzip", answer(b"Transfer-Encoding: gzip")),
    bad("identity", answer(b"Transfer-Encoding: identity")),
    bad("chunked twice", answer(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    bad("chunked in 1.0", answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK")),
    bad("folded line", answer(b"X: a", b" b")),
    bad("space before the colon", answer(b"X : a")),
    bad("no colon", answer(b"X")),
    bad("empty name", answer(b": a")),
    bad("NUL", answer(b"X: \0")),
    bad("bare CR", answer(b"X: a\rb")),
    bad("bare LF", answer(b"X: a\nb")),
    bad("control character", answer(b"X: \x01")),
    bad("length nominated", answer(b"Connection: content-length", b"Content-Length: 5")),
    bad("invalid option", answer(b"Connection: a b")),
    bad("status of two digits", answer(start=b"HTTP/1.1 20 OK"), reason="invalid status"),
    bad("status of four digits", answer(start=b"HTTP/1.1 2000 OK")),
    bad("status 000", answer(start=b"HTTP/1.1 000 OK")),
    bad("status 099", answer(start=b"HTTP/1.1 099 OK")),
    bad("status 600", answer(start=b"HTTP/1.1 600 OK")),
    bad("status with a letter", answer(start=b"HTTP/1.1 2O0 OK")),
    bad("signed status", answer(start=b"HTTP/1.1 +20 OK")),
    bad("two spaces before the status", answer(start=b"HTTP/1.1  200 OK")),
    bad("tab after the status", answer(start=b"HTTP/1.1 200\tOK")),
    bad("no status", answer(start=b"HTTP/1.1")),
    bad("NUL in the phrase", answer(start=b"HTTP/1.1 200 O\0K"), reason="invalid reason phrase"),
    bad("CR in the phrase", answer(start=b"HTTP/1.1 200 O\rK")),
    bad("LF in the phrase", answer(start=b"HTTP/1.1 200 O\nK")),
    bad("HTTP/2.0", answer(start=b"HTTP/2.0 200 OK"), reason="unknown version"),
    bad("HTTP/0.9", answer(start=b"HTTP/0.9 200 OK")),
    bad("HTTP/1.2", answer(start=b"HTTP/1.2 200 OK")),
    bad("HTTP/1.10", answer(start=b"HTTP/1.10 200 OK")),
    bad("lower-case version", answer(start=b"http/1.1 200 OK")),
    bad("another protocol", answer(start=b"ICY 200 OK")),
    bad("space first", answer(start=b" HTTP/1.1 200 OK")),
    bad("empty line first", b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
    bad("text", answer(start=b"hello")),
]
