"""What hypothesis makes heads of."""

from hypothesis import strategies as st

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

# Nearly all of these are accepted, so that what is framed by them can be compared.
sound_lines = st.sampled_from(
    [
        *[
            b"X-A: 1",
            b"x-b:",
            b"Accept: */*",
            b"Cookie: a=b; c",
            b"TE: trailers",
            b"Keep-Alive: 5",
            b"X: \xe9\t",
        ],
        *[b"Connection: keep-alive", b"Connection: close", b"Connection: x-a", b"Expect: 100-continue"],
        *[b"Upgrade: websocket", b"Connection: upgrade", b"Content-Length: 0", b"Content-Length:  7 "],
        *[b"content-length:19", b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED ", b"Trailer: X"],
    ]
)
sound_requests = st.builds(
    lambda method, target, version, lines, place: (
        b"%s %s HTTP/%s\r\n" % (method, target, version)
        + b"".join(line + b"\r\n" for line in (*lines[:place], b"Host: a", *lines[place:]))
        + b"\r\n"
    ),
    st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"]),
    st.sampled_from([b"/", b"/a?b=%20", b"http://a/x", b"/~:@!$&'()*+,;="]),
    st.sampled_from([b"1.1", b"1.1", b"1.0"]),
    st.lists(sound_lines, max_size=6),
    st.integers(0, 6),
)
