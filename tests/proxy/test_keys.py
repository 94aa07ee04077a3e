"""Where keys come from, and that nothing a client sends makes reading them fail."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.keys import JWT_BYTES_MAX, KeyReader, KeySpecError, parse_key
from proxy.request import RequestView
from tests.helpers.routing import view


def token(payload: object) -> bytes:
    """An Authorization line with a token of this payload; nobody looks at its other parts."""
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=")
    return b"Authorization: Bearer e30." + body + b".c2ln"


def json_view(body: object) -> RequestView:
    """A request with a JSON body."""
    return view(method=b"POST", body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("spec", "request_", "key"),
    [
        ("header:X-User", view(b"x-user: ann"), b"ann"),
        ("header:x-user", view(), None),
        ("cookie:uid", view(b"Cookie: uid=7"), b"7"),
        ("cookie:uid", view(), None),
        ("query:user", view(target=b"/?user=a+b"), b"a b"),
        ("query:user", view(), None),
        ("path:1", view(target=b"/tenants/ann/x"), b"ann"),
        ("path:7", view(target=b"/tenants/ann/x"), None),
        ("client_address", view(client=b"192.0.2.9"), b"192.0.2.9"),
        ("json:/user", json_view({"user": "ann"}), b"ann"),
        ("jwt:sub", view(token({"sub": "ann"})), b"ann"),
    ],
)
def test_each_place(spec: str, request_: RequestView, key: bytes | None) -> None:
    """Every place gives what stands there, or None."""
    assert parse_key(spec).read(request_) == key


@pytest.mark.parametrize(
    ("pointer", "key"),
    [
        ("/user/id", b"7"),
        ("/list/1", b"b"),
        ("/list/01", None),
        ("/list/-", None),
        ("/list/9", None),
        ("/list/99999999999999999999", None),
        ("/a~1b", b"slash"),
        ("/m~0n", b"tilde"),
        ("/~01", b"order"),
        ("/", b"empty"),
        ("/flag", b"true"),
        ("/half", b"0.5"),
        ("/none", None),
        ("/user", None),
        ("/list", None),
        ("/user/id/x", None),
        ("/nothing", None),
    ],
)
def test_json_pointer(pointer: str, key: bytes | None) -> None:
    """A pointer is followed as RFC 6901 says, to a text, number or boolean."""
    body = {
        "user": {"id": 7},
        "list": ["a", "b"],
        "a/b": "slash",
        "m~n": "tilde",
        "~1": "order",
        "": "empty",
        "flag": True,
        "half": 0.5,
        "none": None,
    }

    assert parse_key(f"json:{pointer}").read(json_view(body)) == key


@pytest.mark.parametrize("body", [None, b"", b"{", b"\xff", b"[" * 100_000, b"\x1f\x8b\x08\x00", b"3"])
def test_body_that_is_no_json_has_no_key(body: bytes | None) -> None:
    """A body that is missing, broken, too deep or compressed counts as one without the field."""
    assert parse_key("json:/a").read(view(body=body)) is None


def test_only_a_body_key_needs_the_body() -> None:
    """Bodies are held back for a pointer, and for nothing else."""
    others = ["header:a", "cookie:a", "query:a", "path:0", "jwt:a", "client_address"]

    assert parse_key("json:/a").needs_body
    assert not any(parse_key(spec).needs_body for spec in others)
    assert KeyReader([parse_key("header:a"), parse_key("json:/a")]).needs_body
    assert not KeyReader([parse_key("header:a")]).needs_body


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (token({"sub": 7}), b"7"),
        (token({"sub": "ü"}), "ü".encode()),
        (token({"sub": "a" * 50}), b"a" * 50),
        (token({"sub": {"x": 1}}), None),
        (token({"other": 1}), None),
        (token(["sub"]), None),
        (b"authorization: bearer e30.eyJzdWIiOiJhIn0.", b"a"),
        (b"Authorization: Basic e30.eyJzdWIiOiJhIn0.x", None),
        (b"Authorization: Bearer eyJzdWIiOiJhIn0", None),
        (b"Authorization: Bearer a.b.c.d", None),
        (b"Authorization: Bearer ..", None),
        (b"Authorization: Bearer a.!!!!.c", None),
        (b"Authorization: Bearer a.AAAAA.c", None),
        (b"Authorization: Bearer", None),
        (token({"sub": "x" * JWT_BYTES_MAX}), None),
    ],
)
def test_jwt_claim(line: bytes, key: bytes | None) -> None:
    """A claim is read from a bearer token that is not too large, without looking at its signature."""
    assert parse_key("jwt:sub").read(view(line)) == key


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_odd_tokens_and_bodies_never_raise(value: bytes) -> None:
    """A key is read from any bytes, or there is none."""
    line = b"Authorization: Bearer a." + value.translate(None, b"\r\n") + b".c"
    request = view(line, body=value)

    for spec in ("jwt:sub", "json:/a/0"):
        found = parse_key(spec).read(request)
        assert found is None or isinstance(found, bytes)


def test_places_are_tried_in_order_and_empty_ones_passed_over() -> None:
    """The first key that is there and not empty is taken, then the default, then none."""
    reader = KeyReader([parse_key("header:a"), parse_key("cookie:b"), parse_key("query:c")], b"default")

    assert reader.read(view(b"a: 1", b"cookie: b=2", target=b"/?c=3")) == b"1"
    assert reader.read(view(b"a:", b"cookie: b=2", target=b"/?c=3")) == b"2"
    assert reader.read(view(b"a:", b"cookie: b=", target=b"/?c=3")) == b"3"
    assert reader.read(view()) == b"default"
    assert KeyReader([parse_key("header:a")]).read(view(b"a: ")) is None


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "'' is not a key"),
        ("header", "'header' is not a key"),
        ("header:", "'' is not the name of a header"),
        ("header:a b", "'a b' is not the name of a header"),
        ("header:\u00fc", "is not the name of a header"),
        ("cookie:a;b", "'a;b' is not the name of a cookie"),
        ("query:", "has no name"),
        ("path:x", "'x' is not the number of a path segment"),
        ("path:-1", "'-1' is not the number of a path segment"),
        ("path:256", "'256' is not the number of a path segment"),
        ("json:user", "'user' is not a JSON pointer"),
        ("json:", "'' is not a JSON pointer"),
        ("json:/a~2", "'/a~2' is not a JSON pointer"),
        ("jwt:", "has no name"),
        ("ip:1", "'ip' is not a place"),
        ("client_address:x", "'client_address' is not a place"),
    ],
)
def test_bad_specifications_are_refused(spec: str, text: str) -> None:
    """A specification that cannot be used is refused with what would do."""
    with pytest.raises(KeySpecError) as caught:
        parse_key(spec)

    assert text in caught.value.problem
    assert caught.value.remedy
