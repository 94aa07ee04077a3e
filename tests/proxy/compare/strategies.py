"""Hypothesis strategies for answers and rules."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st

from proxy.compare.bodies import Answer
from proxy.compare.rules import Rules

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
names = st.sampled_from(["id", "outputs", "data", "usage", "choices", "a", "b", "text"]) | texts
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
steps = st.sampled_from(["*", "0", "1", "id", "outputs", "data", "a", "b"])
paths = st.lists(steps, min_size=1, max_size=3).map(lambda found: "/" + "/".join(found))
given_rules = st.fixed_dictionaries(
    {},
    optional={
        "headers": st.lists(st.sampled_from(["content-type", "x-a"]), max_size=2),
        "json": st.fixed_dictionaries(
            {},
            optional={
                "ignore": st.lists(paths, max_size=3),
                "unordered": st.lists(paths, max_size=3),
                "tolerance": st.floats(0, 1),
                "absolute": st.floats(0, 1e6),
                "defaults": st.booleans(),
            },
        ),
        "labels": st.lists(st.builds(lambda path: {"path": path}, paths), max_size=2),
        "embeddings": st.lists(st.builds(lambda path: {"path": path, "cosine": 0.99}, paths), max_size=2),
        "texts": st.lists(st.builds(lambda path: {"path": path, "similarity": 0.8}, paths), max_size=2),
    },
)
rules = given_rules.map(Rules)

heads = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ]
)


def as_json(value: Any, **fields: str) -> Answer:
    """A JSON answer."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    head += b"".join(f"{name}: {text}\r\n".encode() for name, text in fields.items())
    return Answer(200, head, orjson.dumps(value))


def as_stream(*events: object, name: str = "") -> Answer:
    """An event stream of JSON data, one event each, with the usual end mark."""
    lines = [f"event: {name}\n" if name else ""]
    body = "".join(f"{lines[0]}data: {orjson.dumps(event).decode()}\n\n" for event in events)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    return Answer(200, head, (body + "data: [DONE]\n\n").encode())
