"""What one event of an OpenAI-compatible stream says: content, an end, an error, or nothing of these.

Chat completions (also tool calls and reasoning) and completions, as vLLM, SGLang, llama.cpp, TGI and LiteLLM
send them.
"""

from __future__ import annotations

from typing import Final

import orjson

CONTENT: Final = 1
"""Something that the reader of the answer sees: text, reasoning, a piece of a tool call."""
FINISHED: Final = 2
"""The model says why it stopped."""
DONE: Final = 4
"""The mark behind the last event."""
ERROR: Final = 8
"""The server gave up in the middle of its answer."""
KNOWN: Final = 16
"""An event of this kind of stream at all."""

TOKENS_MAX: Final = 10**7
_DONE: Final = b"[DONE]"
# Of a `delta`; what is not here (role, ids, fingerprints) is no content.
_FIELDS: Final = (
    "content",
    "tool_calls",
    "reasoning_content",
    "reasoning",
    "refusal",
    "function_call",
    "thinking",
    "audio",
)


def read_event(name: bytes, data: bytes) -> tuple[int, int]:
    """What an event says, as a sum of the numbers above, and how many tokens the answer has; 0 = not said."""
    if data.strip() == _DONE:
        return DONE | KNOWN, 0
    is_error = name == b"error"
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        return (ERROR | KNOWN if is_error else 0), 0
    if is_error or value.get("error") or value.get("object") == "error":
        return ERROR | KNOWN, 0
    choices = value.get("choices")
    if not isinstance(choices, list):
        return 0, 0
    said = KNOWN
    for choice in choices:
        if isinstance(choice, dict):
            said |= _read_choice(choice)
    usage = value.get("usage")
    return said, _tokens(usage) if isinstance(usage, dict) else 0


def _read_choice(choice: dict[str, object]) -> int:
    said = 0
    reason = choice.get("finish_reason")
    if reason:
        said = ERROR if reason == "error" else FINISHED
    delta = choice.get("delta")
    if isinstance(delta, dict):
        for field in _FIELDS:
            if delta.get(field):
                return said | CONTENT
    elif choice.get("text"):
        said |= CONTENT
    return said


def _tokens(usage: dict[str, object]) -> int:
    tokens = usage.get("completion_tokens")
    return tokens if type(tokens) is int and 0 < tokens <= TOKENS_MAX else 0
