"""What a view finds in a checked head."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.request import RequestView, needle
from tests.helpers.routing import view

NAMES = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=8).map(str.encode)
VALUES = st.binary(max_size=12).map(lambda value: bytes(octet for octet in value if octet not in b"\r\n\0"))


def test_header_is_found_without_regard_to_case() -> None:
    """A header is known by its name in any case, and its value keeps its own."""
    request = view(b"Host: h", b"X-User-ID: Ann", b"x-other: 1")

    assert request.header(b"x-user-id") == b"Ann"
    assert request.field(needle("X-User-Id")) == b"Ann"
    assert request.header(b"x-user") is None


def test_first_of_several_headers_counts() -> None:
    """A second header of the same name changes nothing."""
    assert view(b"a: 1", b"A: 2").header(b"a") == b"1"


@pytest.mark.parametrize(
    ("line", "value"),
    [(b"a:1", b"1"), (b"a: \t 1 2 \t", b"1 2"), (b"a:", b""), (b"a:  ", b""), (b"a: b: c", b"b: c")],
)
def test_space_around_a_value_is_not_part_of_it(line: bytes, value: bytes) -> None:
    """Spaces and tabs before and after a value go, those inside stay; an empty value is not an absent one."""
    assert view(line).header(b"a") == value


def test_head_without_headers_has_none() -> None:
    """An HTTP/1.0 request may have no header at all."""
    request = view()

    assert request.header(b"host") is None
    assert request.cookie(b"a") is None


def test_nothing_outside_the_head_is_found() -> None:
    """Neither the request line nor a body that follows in the same buffer is taken for a header."""
    first = b"GET /a:b HTTP/1.1\r\n"
    data = first + b"x: 1\r\n\r\ny: 2\r\n"
    request = RequestView(data, len(first), len(first) + 6, b"GET", b"/a:b", b"", b"")

    assert request.header(b"x") == b"1"
    assert request.header(b"y") is None
    assert request.header(b"get /a") is None


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_every_header_is_found(headers: list[tuple[bytes, bytes]]) -> None:
    """Each name gives the first value that was sent under it."""
    request = view(*[name + b": " + value for name, value in headers])
    first: dict[bytes, bytes] = {}
    for name, value in headers:
        first.setdefault(name.lower(), value.strip(b" \t"))

    assert {name: request.header(name) for name in first} == first


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([b"Cookie: uid=7"], b"7"),
        ([b"cookie: a=1; uid=7; b=2"], b"7"),
        ([b"Cookie: a=1;uid=7"], b"7"),
        ([b"Cookie: a=1", b"Cookie: uid=7"], b"7"),
        ([b"Cookie: uid=7; uid=8"], b"7"),
        ([b'Cookie: uid="7"'], b"7"),
        ([b"Cookie: uid= 7 "], b"7"),
        ([b"Cookie: uid=a=b"], b"a=b"),
        ([b"Cookie: uid="], b""),
        ([b"Cookie: xuid=7; uidx=8"], None),
        ([b"Cookie: UID=7"], None),
        ([b"Cookie: uid"], None),
        ([b"Cookie: a=uid=7"], None),
        ([b"Set-Cookie: uid=7"], None),
        ([], None),
    ],
)
def test_cookie(lines: list[bytes], value: bytes | None) -> None:
    """A cookie is found by its exact name over all Cookie lines; the first one counts."""
    assert view(*lines).cookie(b"uid") == value


@pytest.mark.parametrize(
    ("target", "value"),
    [
        (b"/?user=7", b"7"),
        (b"/?a=1&user=7&user=8", b"7"),
        (b"/?user=a%20b+c%2B", b"a b c+"),
        (b"/?%75ser=7", b"7"),
        (b"/?user", b""),
        (b"/?user=", b""),
        (b"/?user=a=b", b"a=b"),
        (b"/?xuser=7", None),
        (b"/", None),
        (b"/?", None),
        (b"/user=7", None),
        (b"http://h/?user=7#user=8", b"7"),
    ],
)
def test_query(target: bytes, value: bytes | None) -> None:
    """A query parameter is found by its decoded name, and its value is decoded."""
    assert view(target=target).query(b"user") == value


@pytest.mark.parametrize(
    ("target", "index", "value"),
    [
        (b"/tenants/ann/x", 1, b"ann"),
        (b"/tenants/a%2Fb?c", 1, b"a/b"),
        (b"http://h/tenants/ann", 0, b"tenants"),
        (b"/tenants/", 1, b""),
        (b"/tenants", 1, None),
        (b"*", 0, None),
    ],
)
def test_path_segment(target: bytes, index: int, value: bytes | None) -> None:
    """Segments count from 0 and are decoded; one that is not there is None."""
    assert view(target=target).path_segment(index) == value


@settings(deadline=None)
@given(st.binary(max_size=30), st.binary(max_size=30), st.integers(0, 5))
def test_odd_bytes_never_raise(target: bytes, cookie: bytes, index: int) -> None:
    """Whatever a client writes into target and cookies is read or passed over."""
    request = view(b"Cookie: " + cookie.translate(None, b"\r\n"), target=b"/" + target)

    request.query(b"a")
    request.cookie(b"a")
    request.path_segment(index)
