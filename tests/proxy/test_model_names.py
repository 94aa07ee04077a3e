"""The name of the model in a request, and in its answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model_names import TOKENS_MAX, model_spans, restored, restored_events, with_length


def found(text: bytes, *, deep: bool = False) -> list[bytes]:
    """The values that would be replaced."""
    return [text[start:end] for start, end in model_spans(text, deep=deep)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b'{"model": "a", "messages": []}', [b'"a"']),
        (b'{"messages": [{"model": "no"}], "model" :\n "a"}', [b'"a"']),
        (b'{"a": {"model": "no"}, "model": "a\\"b"}', [b'"a\\"b"']),
        (b'{"text": "\\"model\\": \\"no\\"", "model": "a"}', [b'"a"']),
        (b'{"\\u006dodel": "a"}', [b'"a"']),
        # Parsers differ in which one they take.
        (b'{"model": "a", "model": "b"}', [b'"a"', b'"b"']),
        (b'{"model": null}', []),
        (b'{"model": ["a"]}', []),
        (b'{"x": "model", "y": "a"}', []),
        (b'[{"model": "a"}]', []),
        (b'"model"', []),
        (b'{"model": "a', []),
        (b"", []),
        (b"\xff\x00{", []),
        (b'{"response": {"model": "a"}}', []),
    ],
)
def test_only_the_objects_own_name_is_found(text: bytes, values: list[bytes]) -> None:
    """Not in what it contains, nor in its texts; and only where it is a text itself."""
    assert found(text) == values


def test_answers_in_events_are_looked_into() -> None:
    """One level deeper, in the objects that hold an answer."""
    assert found(b'{"response": {"a": {"model": "no"}, "model": "a"}, "x": {"model": "no"}}', deep=True) == [
        b'"a"'
    ]
    assert found(b'{"response": [{"model": "no"}]}', deep=True) == []


def test_a_body_of_many_parts_is_left_alone() -> None:
    """It would hold up everybody else."""
    assert found(b'{"a": [' + b"[]," * TOKENS_MAX + b'[]], "model": "a"}') == []


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text() | st.just("model"), parts),
    max_leaves=12,
)


@given(st.dictionaries(st.text() | st.sampled_from(["model", "response"]), JSON), st.text())
def test_nothing_else_changes(value: dict[str, object], name: str) -> None:
    """Whatever an answer says."""
    expected = dict(value)
    if isinstance(value.get("model"), str):
        expected["model"] = name
    held = value.get("response")
    if isinstance(held, dict) and isinstance(held.get("model"), str):
        expected["response"] = {**held, "model": name}

    assert json.loads(restored(json.dumps(value).encode(), json.dumps(name).encode())) == expected


def test_lines_of_events() -> None:
    """Those that hold data; not their ends, nor what is no JSON."""
    lines = b'data: {"model":"b"}\r\nevent: x\ndata:{"model": "b"}\n\ndata: [DONE]\n: {"model":"b"}\n'

    assert restored_events(lines, b'"a"') == (
        b'data: {"model":"a"}\r\nevent: x\ndata:{"model": "a"}\n\ndata: [DONE]\n: {"model":"b"}\n'
    )


def test_a_head_says_the_length_once() -> None:
    """And nothing about the bytes of the body that was."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\ndigest: x\r\ntrailer: y\r\na: b\r\n"

    assert with_length(head, 7) == b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 7\r\n"
