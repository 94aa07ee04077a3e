"""The path that routes are matched on cannot be bent by its spelling."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.target import path_of, percent_decode, query_of, routing_path, split_target


@pytest.mark.parametrize(
    ("target", "authority", "rest"),
    [
        (b"/x?y", b"", b"/x?y"),
        (b"http://a.example:80/x?y", b"a.example:80", b"/x?y"),
        (b"HTTPS://a.example", b"a.example", b"/"),
        (b"http://a.example?x=/", b"a.example", b"/?x=/"),
        (b"http://user:pw@a.example/x", b"a.example", b"/x"),
        (b"http://[::1]:8080/x", b"[::1]:8080", b"/x"),
        (b"*", b"", b"*"),
        (b"/x?u=http://b/", b"", b"/x?u=http://b/"),
        (b"://x", b"", b"://x"),
    ],
)
def test_absolute_target_is_split(target: bytes, authority: bytes, rest: bytes) -> None:
    """An absolute target falls into its authority and what an ordinary target would be."""
    assert split_target(target) == (authority, rest)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a/b?c=d?e", b"/a/b", b"c=d?e"),
        (b"/a#f", b"/a", b""),
        (b"/a?b#f", b"/a", b"b"),
        (b"http://h/a?b", b"/a", b"b"),
        (b"/", b"/", b""),
    ],
)
def test_path_and_query_are_parted(target: bytes, path: bytes, query: bytes) -> None:
    """Path and query come without their marks, and without a fragment."""
    assert (path_of(target), query_of(target)) == (path, query)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/v2/models", b"/v2/models"),
        (b"/v2/models?x=/../y", b"/v2/models"),
        (b"http://h/v2", b"/v2"),
        (b"/%76%32", b"/v2"),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%2Fb", b"/a%2Fb"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/a/.%2e/b", b"/b"),
        (b"/../../etc", b"/etc"),
        (b"/a/..", b"/"),
        (b"/a/.", b"/a/"),
        (b"/a/b/", b"/a/b/"),
        (b"//a///b", b"/a/b"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/a..b/.c/...", b"/a..b/.c/..."),
        (b"/caf\xc3\xa9", b"/caf%C3%A9"),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
        (b"/100%", b"/100%"),
        (b"/%zz%4", b"/%zz%4"),
        (b"/%252e%252e/x", b"/%252e%252e/x"),
        (b"*", b"*"),
    ],
)
def test_spellings_of_a_path_become_one(target: bytes, path: bytes) -> None:
    """Escapes, dot segments and runs of slashes do not make another path."""
    assert routing_path(target) == path


@pytest.mark.parametrize(
    "target",
    [
        b"/public%2f..%2fadmin",
        b"/public/..%2fadmin",
        b"/public%2F../admin",
        b"/public/x%5c..%5c..%5cadmin",
        b"/public\\..\\admin",
        b"/public//../admin",
        b"/public/..;/admin",
        b"/public/..;x=y/admin",
        b"/public/.;/admin",
        b"/public/..%3b/admin",
        b"/public/%2e%2e;/admin",
        b"/public/%2e%2e%2fadmin",
    ],
)
def test_path_that_servers_read_differently_has_no_spelling(target: bytes) -> None:
    """Dot segments beside an encoded slash, a backslash, an empty segment or a parameter fit no path."""
    assert routing_path(target) is None


SEGMENTS = st.sampled_from(
    [b"a", b"..", b".", b"", b"%2e%2e", b"%2E.", b"%2f", b"%5c", b"\\", b"..;", b"..%3b", b"%61", b"b;c"]
)
ENDS = st.lists(st.tuples(SEGMENTS, st.sampled_from([b"/", b"%2f", b"\\", b"//"])), max_size=6)


@settings(deadline=None)
@given(ENDS)
def test_no_spelling_leaves_the_prefix_it_is_matched_under(pieces: list[tuple[bytes, bytes]]) -> None:
    """If a path is matched under /public, then so is what any of four ways of reading it makes of it."""
    target = b"/public/" + b"".join(part for pair in pieces for part in pair)

    path = routing_path(target)

    if path is not None and (path == b"/public" or path.startswith(b"/public/")):
        for reading in readings(target):
            assert reading == b"/public" or reading.startswith(b"/public/"), (target, path, reading)


def readings(target: bytes) -> list[bytes]:
    """What servers make of a path: decoded before or after it is split, slashes merged or not."""
    decoded = percent_decode(target)
    variants = [target, decoded, decoded.replace(b"\\", b"/"), re.sub(b"/+", b"/", decoded)]
    variants += [re.sub(b"/+", b"/", target), re.sub(b";[^/]*", b"", decoded)]
    return [resolve(variant) for variant in variants]


def resolve(path: bytes) -> bytes:
    """Dot segments removed segment by segment, independently of the code under test."""
    out: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        name = percent_decode(segment)
        if name == b"..":
            del out[-1:]
        elif name != b".":
            out.append(segment)
    return b"/" + b"/".join(out)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_target_has_a_path_or_none(target: bytes) -> None:
    """Whatever comes, spelling a path twice changes nothing, and nothing is raised."""
    path = routing_path(b"/" + target.replace(b"?", b"").replace(b"#", b""))

    assert path is None or routing_path(path) == path


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_percent_decoding_undoes_encoding(value: bytes) -> None:
    """Every octet survives being escaped."""
    assert percent_decode(b"".join(b"%%%02x" % octet for octet in value)) == value
