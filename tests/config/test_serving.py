"""Listeners, admin tokens and the number of workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.serving import read_workers
from config.values import InvalidValueError
from tests.config.text import SMALL, load, problems


def test_a_listener_has_an_address_and_a_backlog() -> None:
    """Host and port are apart, as the socket needs them."""
    listener = load(SMALL.replace('"127.0.0.1:8080"', '"[::1]:80"\n    backlog: 16')).config.listeners[0]

    assert (listener.bind.host, listener.bind.port, listener.backlog) == ("::1", 80, 16)


def test_a_digest_is_kept_in_lower_case() -> None:
    """It is compared with what hashlib prints."""
    text = SMALL + f"admin: {{tokens: [{{name: a, sha256: {'AB' * 32}, role: operator}}]}}\n"
    token = load(text).config.admin.tokens[0]

    assert (token.sha256, token.role) == ("ab" * 32, "operator")


def test_timeouts_of_a_level_know_only_what_applies_there() -> None:
    """A head has been read before a route is known, so a route has no say in it."""
    text = SMALL.replace("    endpoints", "    timeouts: {request_head: 1s}\n    endpoints").replace(
        "upstream: v1", "upstream: v1\n    timeouts: {keepalive_idle: 1s}"
    )

    assert problems(text) == [
        "h.yaml:5:16: upstreams.v1.timeouts.request_head: there is no such key; use one of: connect,"
        " first_byte,"
        " stream_idle, total, upstream_idle",
        "h.yaml:10:16: routes[0].timeouts.keepalive_idle: there is no such key; use one of: connect,"
        " request_body_idle, first_byte, stream_idle, total",
    ]


@pytest.mark.parametrize("value", [1, 256, "auto"])
def test_numbers_of_workers(value: object) -> None:
    """A number, or as many as there are processors."""
    assert read_workers(value) == value


@pytest.mark.parametrize("value", [0, -1, 257, 1.5, "2", True, None])
def test_what_is_no_number_of_workers(value: object) -> None:
    """A quoted number is not silently a number."""
    with pytest.raises(InvalidValueError, match="is not a number of workers; write 1 to 256, or auto"):
        read_workers(value)


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ("database: postgresql://me:hush@db/x", "must not hold its password"),
        ("database: 'postgresql://db/x?password=hush'", "must not hold its password"),
        ("database: mysql://db/x", "no URL of a database that can be used"),
        ("database: 7", "must be a URL"),
        ("{database: postgresql://db/x, database_env: URL}", "says the same as database"),
        ("{database_env: URL, database_file: url.txt}", "says the same as database_env"),
    ],
)
def test_a_database_is_named_once_and_without_its_password(state: str, problem: str) -> None:
    section = state if state.startswith("{") else f"{{{state}}}"
    found = problems(SMALL + f"state: {section}\n")

    assert any(problem in each for each in found), found
    assert "hush" not in " ".join(found)


def test_the_control_process_is_told_where_the_database_is() -> None:
    """A file is next to the configuration; a secret is in no argument."""
    for section, arguments in (
        ("{}", ()),
        ("{database: postgresql://me@db/x}", ("--database", "postgresql://me@db/x")),
        ("{database_env: URL}", ("--database-env", "URL")),
        ("{database_file: url.txt}", ("--database-file", "/etc/headgate/url.txt")),
    ):
        state = load(SMALL + f"state: {section}\n").config.state
        assert state.control_arguments(Path("/etc/headgate")) == arguments
