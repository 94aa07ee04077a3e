"""Comparing two answers: properties over any bytes, and the cases that a person would look for."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.compare.bodies import Answer
from proxy.compare.findings import KINDS
from proxy.compare.pairs import compare_answers
from proxy.compare.rules import Rules
from tests.proxy.compare.strategies import as_json, as_stream, given_rules, heads, rules, values

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def kinds(primary: Answer, shadow: Answer, **given_: Any) -> list[tuple[str, str]]:
    """Path and kind of each finding."""
    return [(found.path, found.kind) for found in compare_answers(primary, shadow, Rules(given_))]


@given(heads, st.binary(max_size=200), st.integers(100, 599), rules)
def test_an_answer_agrees_with_itself(head: bytes, body: bytes, status: int, some: Rules) -> None:
    """Reflexive, for any bytes under any rules."""
    assert compare_answers(Answer(status, head, body), Answer(status, head, body), some) == []


@given(values, rules)
def test_a_value_agrees_with_itself_however_it_is_written(value: Any, some: Rules) -> None:
    """Reflexive also where the bytes differ: indented on one side."""
    import orjson

    indented = Answer(200, JSON, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b" ")
    assert compare_answers(as_json(value), indented, some) == []


@given(heads, st.binary(max_size=200), heads, st.binary(max_size=200), rules)
def test_no_pair_of_bytes_raises(first: bytes, a: bytes, second: bytes, b: bytes, some: Rules) -> None:
    """Whatever servers send, there is a verdict, in words that are known."""
    found = compare_answers(Answer(200, first, a), Answer(200, second, b), some)

    assert all(finding.kind in KINDS for finding in found)


@given(values, values, rules)
def test_agreement_is_symmetric(a: Any, b: Any, some: Rules) -> None:
    """Who is the primary does not matter to whether they agree."""
    there = compare_answers(as_json(a), as_json(b), some)
    back = compare_answers(as_json(b), as_json(a), some)

    assert bool(there) == bool(back)


@given(values, values, given_rules, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e3), st.floats(0, 1e3))
def test_tolerance_is_monotone(
    a: Any, b: Any, some: dict[str, Any], r1: float, r2: float, a1: float, a2: float
) -> None:
    """What agrees under a tolerance agrees under every wider one."""
    own = some.get("json", {})
    tight = Rules(some | {"json": own | {"tolerance": min(r1, r2), "absolute": min(a1, a2)}})
    wide = Rules(some | {"json": own | {"tolerance": max(r1, r2), "absolute": max(a1, a2)}})

    if not compare_answers(as_json(a), as_json(b), tight):
        assert not compare_answers(as_json(a), as_json(b), wide)


vectors = st.lists(st.floats(-10, 10), min_size=1, max_size=4)
words = st.lists(st.sampled_from(["a", "b", "cat", "dog", "."]), max_size=6).map(" ".join)
limits = st.floats(0.01, 1.0)


@given(vectors, vectors, limits, limits)
def test_a_lower_cosine_never_finds_more(a: list[float], b: list[float], one: float, other: float) -> None:
    """And two vectors are as alike from either side."""
    low, high = (Rules({"embeddings": [{"path": "/v", "cosine": limit}]}) for limit in sorted((one, other)))
    first, second = as_json({"v": a}), as_json({"v": b})

    if not compare_answers(first, second, high):
        assert not compare_answers(first, second, low)
    assert bool(compare_answers(first, second, low)) == bool(compare_answers(second, first, low))


@given(words, words, limits, limits)
def test_a_lower_similarity_never_finds_more(a: str, b: str, one: float, other: float) -> None:
    """And two texts are as alike from either side."""
    low, high = (Rules({"texts": [{"path": "/t", "similarity": limit}]}) for limit in sorted((one, other)))
    first, second = as_json({"t": a}), as_json({"t": b})

    if not compare_answers(first, second, high):
        assert not compare_answers(first, second, low)
    assert bool(compare_answers(first, second, low)) == bool(compare_answers(second, first, low))


def test_every_difference_is_named_with_its_place() -> None:
    """Missing, extra, type, number, value and length, each at its path."""
    primary = as_json({"a": 1, "b": {"c": [1, 2, 3]}, "d": "x", "e": True, "f": [1]})
    shadow = as_json({"b": {"c": [1, 2.5, 3]}, "d": "y", "e": 1, "f": [1, 2], "g": None})

    assert kinds(primary, shadow) == [
        ("/a", "missing"),
        ("/b/c/*", "number"),
        ("/d", "value"),
        ("/e", "type"),
        ("/f", "length"),
        ("/g", "extra"),
    ]


def test_what_servers_never_repeat_is_left_out_by_default() -> None:
    """Ids, versions, times and usage of KServe v2 and OpenAI answers; not with `defaults: false`."""
    kserve = [
        {"id": i, "model_name": "m", "model_version": v, "outputs": [{"name": "p", "data": [0.5]}]}
        for i, v in (("a", "1"), ("b", "2"))
    ]
    openai = [
        {
            "id": i,
            "created": t,
            "system_fingerprint": i,
            "usage": {"total_tokens": t},
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}}],
        }
        for i, t in (("x", 1), ("y", 2))
    ]
    for first, second in (kserve, openai):
        assert kinds(as_json(first), as_json(second)) == []
        assert kinds(as_json(first), as_json(second), json={"defaults": False}) != []


def test_ignored_paths_are_left_out_on_either_side() -> None:
    """With * for any step, and where only one side has the field."""
    first = as_json({"rows": [{"t": 1, "v": 5}, {"v": 6, "t": 2}]})
    second = as_json({"rows": [{"t": 7, "v": 5}, {"v": 6}]})

    assert kinds(first, second) == [("/rows/*/t", "number"), ("/rows/*/t", "missing")]
    assert kinds(first, second, json={"ignore": ["/rows/*/t"]}) == []
    assert kinds(second, first, json={"ignore": ["/rows/*/t"]}) == []


def test_lists_without_order_agree_as_sets_of_alike_entries() -> None:
    """Entries find their partners within the tolerance, whatever greedy pairing would do."""
    first, second = as_json({"x": [1.0, 1.2, 5]}), as_json({"x": [5, 1.1, 0.95]})

    assert kinds(first, second) != []
    assert kinds(first, second, json={"unordered": ["/x"], "tolerance": 0.12}) == []
    assert kinds(first, second, json={"unordered": ["/x"]}) == [("/x/*", "number"), ("/x/*", "number")]


def test_renamed_fields_are_compared_under_their_new_name() -> None:
    """The shadow's old name would be an extra field."""
    first, second = as_json({"out": {"label": 1}}), as_json({"out": {"class": 1}})

    assert kinds(first, second, json={"renamed": {"/out/label": "class"}}) == []
    assert kinds(first, as_json({"out": {"class": 2}}), json={"renamed": {"/out/label": "class"}}) == [
        ("/out/label", "number")
    ]


def test_only_the_chosen_class_matters_where_that_is_asked_for() -> None:
    """Scores may move as long as the winner stays."""
    first = as_json({"outputs": [{"data": [0.1, 0.7, 0.2]}]})
    same = as_json({"outputs": [{"data": [0.3, 0.4, 0.3]}]})
    other = as_json({"outputs": [{"data": [0.5, 0.4, 0.1]}]})
    rule: list[dict[str, Any]] = [{"path": "/outputs/0/data"}]

    assert kinds(first, same, labels=rule) == []
    assert kinds(first, other, labels=rule) == [("/outputs/*/data", "label")]


def test_vectors_are_compared_by_cosine() -> None:
    """Length does not matter, direction does; another dimension is another model."""
    rule: list[dict[str, Any]] = [{"path": "/data/*/embedding", "cosine": 0.99}]
    first = as_json({"data": [{"embedding": [1.0, 2.0, 3.0]}]})

    assert kinds(first, as_json({"data": [{"embedding": [10.0, 20.0, 30.1]}]}), embeddings=rule) == []
    turned = kinds(first, as_json({"data": [{"embedding": [3.0, 2.0, 1.0]}]}), embeddings=rule)
    assert turned == [("/data/*/embedding", "embedding")]
    shorter = kinds(first, as_json({"data": [{"embedding": [1.0, 2.0]}]}), embeddings=rule)
    assert shorter == [("/data/*/embedding", "length")]


def test_texts_may_differ_by_a_share_of_their_letters() -> None:
    """Case and spaces never count."""
    rule: list[dict[str, Any]] = [{"path": "/t", "similarity": 0.9}]
    first = as_json({"t": "The quick brown fox jumps over the dog"})

    assert kinds(first, as_json({"t": "the quick  brown fox jumped over the dog\n"}), texts=rule) == []
    assert kinds(first, as_json({"t": "A slow cat"}), texts=rule) == [("/t", "text")]


def test_streams_are_compared_by_what_they_add_up_to() -> None:
    """Cut into other pieces it is the same answer; another word is another one."""

    def chunk(i: str, content: str | None = None, **more: Any) -> dict[str, Any]:
        delta = {} if content is None else {"content": content}
        return {"id": i, "created": len(i), "choices": [{"index": 0, "delta": delta, **more}]}

    first = as_stream(chunk("a", ""), chunk("a", "Hel"), chunk("a", "lo"), chunk("a", finish_reason="stop"))
    second = as_stream(chunk("bb", "Hello"), chunk("bb", finish_reason="stop"))
    other = as_stream(chunk("c", "Hel"), chunk("c", "p"), chunk("c", finish_reason="stop"))

    assert kinds(first, second) == []
    assert kinds(first, other) == [("/choices/*/delta/content", "value")]


def test_codings_are_undone_before_comparing() -> None:
    """gzip and chunks on one side only."""
    body = b'{"a": 1}'
    packed = gzip.compress(body)
    zipped = Answer(200, JSON + b"content-encoding: gzip\r\n", packed)
    pieces = b"3\r\n" + packed[:3] + b"\r\n%x\r\n" % (len(packed) - 3) + packed[3:] + b"\r\n0\r\n\r\n"
    both = Answer(200, JSON + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", pieces)

    assert kinds(Answer(200, JSON, body), zipped) == []
    assert kinds(zipped, both) == []
    assert kinds(Answer(200, JSON, body), Answer(200, JSON + b"content-encoding: gzip\r\n", b"no")) == [
        ("", "bad_encoding")
    ]


def test_bad_json_has_a_name_of_its_own() -> None:
    """It is the server that is broken, not a field that differs."""
    assert kinds(as_json({}), Answer(200, JSON, b'{"a": ')) == [("", "bad_json")]
    assert kinds(Answer(200, JSON, b"NaN"), as_json([1])) == [("", "bad_json")]


def test_status_and_chosen_headers_must_be_equal() -> None:
    """An error's body is not compared with an answer's."""
    head = JSON + b"x-a: 1\r\n"
    first, second = Answer(200, head, b"{}"), Answer(500, JSON, b'{"error": 1}')

    assert kinds(first, second, headers=["x-a"]) == [("", "status"), ("/x-a", "header")]
    assert kinds(first, second, status=False) == [("", "body")]


@pytest.mark.parametrize("depth", [90, 110, 900])
def test_deep_values_are_compared_to_their_ground(depth: int) -> None:
    """Nesting is no way to crash the process or to slip through."""

    def nested(inner: bytes) -> Answer:
        return Answer(200, JSON, b"[" * depth + inner + b"]" * depth)

    assert kinds(nested(b"1"), nested(b" 1")) == []
    assert len(kinds(nested(b"1"), nested(b"2"))) == 1


def test_a_bomb_is_not_decompressed() -> None:
    """A gigabyte of zeros in a megabyte: named, and not unpacked."""
    import zlib

    machine = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(machine.compress(bytes(1 << 20)) for _ in range(80)) + machine.flush()

    assert kinds(Answer(200, JSON + b"content-encoding: gzip\r\n", bomb), as_json({})) == [
        ("", "bad_encoding")
    ]
