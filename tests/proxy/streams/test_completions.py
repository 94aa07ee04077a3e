"""What events of OpenAI-compatible servers say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.streams.completions import CONTENT, DONE, ERROR, FINISHED, KNOWN, read_event


def delta(text: str, more: str = "") -> bytes:
    return b'{"choices": [{"index": 0, "delta": {%s}%s}]}' % (text.encode(), more.encode())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (delta('"role": "assistant", "content": ""'), 0),
        (delta('"role": "assistant"'), 0),
        (delta(""), 0),
        (delta('"content": null, "tool_calls": []'), 0),
        (delta('"content": " "'), CONTENT),
        (delta('"content": "Hello"'), CONTENT),
        (delta('"reasoning_content": "Let me"'), CONTENT),
        (delta('"reasoning": "Let me"'), CONTENT),
        (delta('"refusal": "No"'), CONTENT),
        (delta('"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]'), CONTENT),
        (delta('"function_call": {"name": "f"}'), CONTENT),
        (delta('"content": "."', ', "finish_reason": "length"'), CONTENT | FINISHED),
        (delta("", ', "finish_reason": "tool_calls"'), FINISHED),
        (delta("", ', "finish_reason": "error"'), ERROR),
        (b'{"choices": [{"text": "Once"}]}', CONTENT),
        (b'{"choices": [{"text": "", "finish_reason": "stop"}]}', FINISHED),
        (b'{"choices": [{"text": ""}]}', 0),
        (b'{"choices": [], "prompt_filter_results": [{}]}', 0),
        (b'{"choices": [{"delta": {"content": "a"}}], "error": null}', CONTENT),
        (b'{"choices": [7, null]}', 0),
        (b'{"choices": [{"delta": {"content": ""}}, {"delta": {"content": "b"}}]}', CONTENT),
        (b"[DONE]", DONE),
        (b" [DONE] ", DONE),
        (b'{"error": {"message": "out of memory", "code": 500}}', ERROR),
        (b'{"error": "overloaded", "error_type": "overloaded"}', ERROR),
        (b'{"object": "error", "message": "no"}', ERROR),
    ],
)
def test_events_of_this_kind(data: bytes, said: int) -> None:
    assert read_event(b"", data) == (said | KNOWN, 0)


@pytest.mark.parametrize(
    "data",
    [b"", b"17", b"[1]", b"null", b"not json", b"{", b"{}", b'{"type": "message_start"}', b'{"choices": 1}'],
)
def test_events_of_another_kind(data: bytes) -> None:
    assert read_event(b"", data) == (0, 0)


@pytest.mark.parametrize("data", [b"", b"broken", b"{}", b'{"type": "overloaded_error"}'])
def test_an_event_that_calls_itself_an_error_is_one(data: bytes) -> None:
    assert read_event(b"error", data) == (ERROR | KNOWN, 0)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ('{"completion_tokens": 12}', 12),
        ('{"completion_tokens": 0}', 0),
        ('{"completion_tokens": -3}', 0),
        ('{"completion_tokens": true}', 0),
        ('{"completion_tokens": 1e3}', 0),
        ('{"completion_tokens": 100000000000}', 0),
        ("{}", 0),
        ("null", 0),
    ],
)
def test_a_chunk_with_usage_only_is_no_content(usage: str, tokens: int) -> None:
    assert read_event(b"", f'{{"choices": [], "usage": {usage}}}'.encode()) == (KNOWN, tokens)


@given(st.binary(max_size=40), st.sampled_from([b"", b"error", b"ping"]))
def test_anything_can_be_read(data: bytes, name: bytes) -> None:
    """A model server may send what it likes."""
    said, tokens = read_event(name, data)
    assert 0 <= said < 32
    assert tokens >= 0
