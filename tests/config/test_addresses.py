"""Addresses are read strictly, because a slip in one sends traffic to the wrong place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.addresses import Bind, parse_bind, parse_endpoint_url, parse_host_pattern
from config.values import InvalidValueError


@pytest.mark.parametrize(
    ("written", "host", "port", "text"),
    [
        ("0.0.0.0:8080", "0.0.0.0", 8080, "0.0.0.0:8080"),
        (":8080", "0.0.0.0", 8080, "0.0.0.0:8080"),
        ("[::1]:80", "::1", 80, "[::1]:80"),
        ("[0:0:0:0:0:0:0:1]:80", "::1", 80, "[::1]:80"),
        ("localhost:0", "localhost", 0, "localhost:0"),
        ("my-host.example:65535", "my-host.example", 65535, "my-host.example:65535"),
    ],
)
def test_binds(written: str, host: str, port: int, text: str) -> None:
    """Host and port come apart, and go back together."""
    bind = parse_bind(written)

    assert (bind.host, bind.port) == (host, port)
    assert str(bind) == text
    assert parse_bind(str(bind)) == bind


REMEDY = "write host:port, for example 127.0.0.1:8080, [::1]:8080 or :8080"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("127.0.0.1", f"'127.0.0.1' has no port; {REMEDY}"),
        ("127.0.0.1:", "'port' is left out after the colon; use a number from 0 to 65535"),
        (":65536", "'65536' is not a port; use a number from 0 to 65535"),
        (":-1", "'-1' is not a port; use"),
        (":٣", "'٣' is not a port; use"),
        (
            "::1:80",
            "'::1:80' has more than one colon; put an IPv6 address in brackets, for example [::1]:8080",
        ),
        ("[::1:80", f"'[::1:80' is not host:port; {REMEDY}"),
        ("[::1]80", f"'[::1]80' is not host:port; {REMEDY}"),
        ("[1.2.3.4]:80", f"'1.2.3.4' is not an IPv6 address; {REMEDY}"),
        ("[fe80::1%eth0]:80", "'fe80::1%eth0' names an interface; leave out what follows %"),
        ("256.1.1.1:80", f"'256.1.1.1' is not an IPv4 address; {REMEDY}"),
        ("1.2.3:80", f"'1.2.3' is not an IPv4 address; {REMEDY}"),
        ("a b:80", f"'a b' is not a host name or address; {REMEDY}"),
        ("-a:80", f"'-a' is not a host name or address; {REMEDY}"),
        ("http://a:80", f"'http://a:80' is not host:port; {REMEDY}"),
        ("unix:/run/x", f"'unix:/run/x' is not host:port; {REMEDY}"),
        (8080, "8080 has no host; write 127.0.0.1:8080, or :8080 for every one"),
        ("8080", "'8080' has no host; write 127.0.0.1:8080, or :8080 for every one"),
        (True, f"true is not host:port; {REMEDY}"),
    ],
)
def test_what_cannot_be_listened_on_is_refused(written: object, message: str) -> None:
    """The message names the part that is wrong."""
    with pytest.raises(InvalidValueError) as caught:
        parse_bind(written)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("host.example", False),
    ],
)
def test_loopback_is_only_what_stays_on_the_machine(host: str, loopback: bool) -> None:
    """A name that is not localhost may resolve to anything, so it is not trusted."""
    assert Bind(host=host, port=1).loopback is loopback


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (":80", "127.0.0.1:80", True),
        ("[::]:80", "127.0.0.1:80", True),
        ("localhost:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_addresses_overlap_when_both_cannot_be_had(one: str, other: str, overlap: bool) -> None:
    """Every interface includes each, and port 0 is always another."""
    assert parse_bind(one).overlaps(parse_bind(other)) is overlap
    assert parse_bind(other).overlaps(parse_bind(one)) is overlap


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("http://a", "http://a:80"),
        ("HTTP://A.Example:8000/", "http://a.example:8000"),
        ("http://[::1]:9", "http://[::1]:9"),
        ("http://10.0.0.1:1", "http://10.0.0.1:1"),
    ],
)
def test_endpoint_urls(written: str, text: str) -> None:
    """The port is written out, so that equal endpoints look equal."""
    assert str(parse_endpoint_url(written)) == text


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("ftp://a:21", "'ftp://a:21' is not an http:// URL; write http://host:port"),
        (
            "unix:run/x.sock",
            "'unix:run/x.sock' is not the path of a Unix socket; write unix: and an absolute",
        ),
        ("grpc://a:1", "'grpc://a:1' is not an http:// URL; write http://host:port"),
        ("10.0.0.1:80", "'10.0.0.1:80' is not an http:// URL; write http://host:port"),
        ("http://a:1/v2", "'http://a:1/v2' has a path or query; write http://host:port alone; requests keep"),
        ("http://a?x", "'http://a?x' has a path or query; write"),
        ("http://:80", "'http://:80' has no host; write"),
        ("http://", "'http://' has no host; write"),
        ("http://a:0", "'http://a:0' has port 0; write"),
        ("http://a:x", "'x' is not a port; use"),
        (9, "9 is not a URL; write"),
    ],
)
def test_what_is_no_endpoint_is_refused(written: object, message: str) -> None:
    """What is not supported is said to be so, and nothing is guessed."""
    with pytest.raises(InvalidValueError) as caught:
        parse_endpoint_url(written)

    assert str(caught.value).startswith(message)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    """A password in a URL would end up in logs and metrics."""
    with pytest.raises(InvalidValueError) as caught:
        parse_endpoint_url("http://bob:hunter2@a:1")

    assert str(caught.value) == "the URL carries a user name or password; write http://host:port without them"


@pytest.mark.parametrize(
    ("written", "host"),
    [("API.Example", "api.example"), ("*.b.example", "*.b.example"), ("a.", "a"), ("[::0001]", "[::1]")],
)
def test_hosts_are_compared_in_one_form(written: str, host: str) -> None:
    """Case, a final dot and leading zeros make no difference."""
    assert parse_host_pattern(written) == host


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("a:80", "'a:80' has a port; leave the port out"),
        ("[::1]:80", "'[::1]:80' has a port; leave the port out"),
        ("a.*.b", "'a.*.b' is not a host name or address; write a host such as api.example.com, or *."),
        ("*", "'*' is not a host name or address; write"),
        ("", "'' is not a host name or address; write"),
        ("1.2.3", "'1.2.3' is not an IPv4 address; write"),
        (3, "3 is not a host; write"),
    ],
)
def test_what_is_no_host_is_refused(written: object, message: str) -> None:
    """A pattern that could never match is an error, not a route that is never taken."""
    with pytest.raises(InvalidValueError) as caught:
        parse_host_pattern(written)

    assert str(caught.value).startswith(message)


@given(st.text(alphabet="a1.-_:[]%/@?# *\u00e4", max_size=12))
def test_readers_raise_nothing_else(text: str) -> None:
    """Whatever stands in a file, the answer is an address or an InvalidValueError."""
    for read in (parse_bind, parse_host_pattern, parse_endpoint_url):
        for prefix in ("", "http://"):
            try:
                found = str(read(prefix + text))
            except InvalidValueError:
                continue
            assert str(read(found)) == found
