"""The tables and the expressions describe the same alphabet, the one of the RFCs."""

import re

import pytest

from proxy.wire.grammar import (
    SEVERAL,
    SHARED_KINDS,
    TARGET,
    TARGET_RE,
    TOKEN,
    TOKEN_RE,
    VALUE,
    VALUE_RE,
    is_token,
    name_expression,
    name_filter,
    valid_host,
)


@pytest.mark.parametrize(("table", "expression"), [(TOKEN, TOKEN_RE), (VALUE, VALUE_RE), (TARGET, TARGET_RE)])
def test_table_and_expression_hold_the_same_characters(table: bytes, expression: bytes) -> None:
    """Each of the 256 codes is in both or in neither."""
    matches = re.compile(expression).fullmatch

    assert [bool(cell) for cell in table] == [matches(bytes([code])) is not None for code in range(256)]


def test_token_characters_are_those_of_the_rfc() -> None:
    """Letters, digits and the fifteen signs of RFC 9110, 5.6.2."""
    members = {chr(code) for code in range(256) if TOKEN[code]}

    assert members == {c for c in map(chr, range(128)) if c.isalnum()} | set("!#$%&'*+-.^_`|~")
    assert is_token(b"a!")
    assert not is_token(b"")
    assert not is_token(b"a b")


def test_known_names_are_found_by_filter_and_expression() -> None:
    """Every known name passes the filter of first letter and length, and the expression."""
    kinds = {**SHARED_KINDS, b"x" * 100: 9}
    names = [*kinds, b"upgradf"]
    cells = name_filter(names)
    head = b"\n".join([b"", *(name + b": \tV " for name in kinds)]).lower() + b"\r\n"

    found = [cells[((name[0] & 31) << 6) | min(len(name), 63)] for name in names]
    several = [b"x" * 100, b"upgrade", b"upgradf"]
    assert found == [SEVERAL if name in several else number for number, name in enumerate(names, 1)]
    assert len([cell for cell in cells if cell]) < 20
    assert [name for name, _ in name_expression(kinds).findall(head.replace(b"\n", b"\r\n"))] == list(kinds)


@pytest.mark.parametrize(
    "value", [b"a", b"A.b-c_d~", b"127.0.0.1:1", b"[::1]", b"[v1.x]:80", b"a%20b", b"a:"]
)
def test_host_is_valid(value: bytes) -> None:
    """Names, addresses and ports."""
    assert valid_host(value)


@pytest.mark.parametrize(
    "value", [b"", b"a ", b"a\n", b"a:99999", b"[::1", b"u@a", b"a,b", b":1", b"a:b:1", b"[::1]]"]
)
def test_host_is_invalid(value: bytes) -> None:
    """Anything that two parsers could take for two different hosts."""
    assert not valid_host(value)
