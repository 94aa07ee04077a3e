"""Custom metrics read by a real worker: from headers and bodies, without touching what the client gets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxy import counters
from proxy.meters import LOOK_BYTES_MAX, number, read_metrics
from proxy.metric_counts import FIRST_BUCKET, UNREADABLE, VALUES
from proxy.plain import PlainError
from proxy.tokens import arm_id, read_token
from tests.helpers.dataplane import WorkerProcess, direct_table, worker
from tests.helpers.http import Message, answering, ask, post
from tests.helpers.waiting import until

SCORE = {"name": "score", "source": "json:/outputs/0/score", "low": 0.0, "high": 1.0, "log": False}
TOKENS = {"name": "tokens", "source": "header:x-tokens", "low": 1.0, "high": 1000.0, "log": True}
LATER = {"name": "label", "source": "feedback", "low": 0.0, "high": 1.0, "log": False}


def metric(worker: WorkerProcess, place: int, cell: int) -> int:
    return worker.cell(1, counters.METRICS + place * counters.METRIC_CELLS + cell)


async def values(worker: WorkerProcess, place: int, cell: int, expected: int) -> None:
    """Wait until a count is there; bodies are read after the answer is out."""
    await until(
        lambda: metric(worker, place, cell) == expected, what=lambda: (metric(worker, place, cell), expected)
    )


def answer(body: bytes, *, extra: bytes = b"", chunked: bool = False, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\n" + extra
    if chunked:
        half = len(body) // 2
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
        return head + b"transfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


def table(port: int, *metrics: dict[str, Any]) -> dict[str, Any]:
    found = direct_table(port)
    found["routes"][0]["metrics"] = list(metrics)
    return found


@pytest.mark.parametrize("chunked", [False, True])
async def test_values_of_headers_and_bodies_are_counted(tmp_path: Path, chunked: bool) -> None:
    """Framed either way; what the client gets is what the server sent."""
    body = b'{"outputs": [{"score": 0.25}], "pad": "' + b"x" * 20_000 + b'"}'

    def reply(_: Message) -> bytes:
        return answer(body, extra=b"X-Tokens: 31.5\r\n", chunked=chunked)

    async with answering(reply) as server, worker(tmp_path, table(server.port, TOKENS, SCORE)) as w:
        for _ in range(3):
            assert (await ask(w.port, post(b"{}"))).body == body
        await values(w, 0, VALUES, 3)
        await values(w, 1, VALUES, 3)
        await values(w, 1, FIRST_BUCKET + 31, 3)
        assert metric(w, 0, UNREADABLE) == metric(w, 1, UNREADABLE) == 0


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"{}"),
        answer(b"not json"),
        answer(b'{"outputs": [{"score": "NaN"}]}'),
        answer(b'{"outputs": [{"score": 0.5}]}', extra=b"content-encoding: gzip\r\n"),
        answer(b'{"outputs": [{"score": 0.5}], "pad": "' + b"x" * LOOK_BYTES_MAX + b'"}'),
        answer(b'{"outputs": [{"score": 0.5}], "pad": "' + b"x" * LOOK_BYTES_MAX + b'"}', chunked=True),
    ],
)
async def test_an_answer_without_a_readable_value_is_not_a_zero(tmp_path: Path, reply: bytes) -> None:
    async with answering(lambda _: reply) as server, worker(tmp_path, table(server.port, SCORE)) as w:
        await ask(w.port, post(b"{}"))
        await values(w, 0, UNREADABLE, 1)
        assert metric(w, 0, VALUES) == 0


async def test_failures_have_no_values(tmp_path: Path) -> None:
    """What a broken version says about itself is counted as a failure, and only as that."""
    reply = answer(b'{"outputs": [{"score": 0.5}]}', status=b"500 Oops")
    async with answering(lambda _: reply) as server, worker(tmp_path, table(server.port, SCORE)) as w:
        await ask(w.port, post(b"{}"))
        assert w.cell(1, counters.FAILED) == 1
        await asyncio.sleep(0.05)
        assert metric(w, 0, VALUES) == metric(w, 0, UNREADABLE) == 0


async def test_request_ids_are_signed_where_feedback_is_taken(tmp_path: Path) -> None:
    """Towards both sides; a client's own id stays and the token has its own field."""
    key = bytes(32)
    seen: list[Message] = []

    def reply(request: Message) -> bytes:
        seen.append(request)
        return answer(b"{}")

    async with (
        answering(reply) as server,
        worker(tmp_path, table(server.port, LATER), feedback_key=key.hex()) as w,
    ):
        fresh = await ask(w.port, post(b"{}"))
        own = await ask(w.port, post(b"{}", extra="x-request-id: mine\r\n"))
    expected = arm_id("all", "v1", "stable", "s")
    for response, request, name in ((fresh, seen[0], "x-request-id"), (own, seen[1], "x-headgate-feedback")):
        text = response.get(name)
        assert text is not None
        token = read_token(key, text)
        assert token is not None
        assert token.arm == expected
        assert request.get(name) == text
    assert own.get("x-request-id") == seen[1].get("x-request-id") == "mine"
    assert fresh.get("x-headgate-feedback") is None


async def test_without_feedback_ids_are_what_they_were(tmp_path: Path) -> None:
    async with (
        answering(lambda _: answer(b"{}")) as server,
        worker(tmp_path, table(server.port, SCORE), feedback_key=bytes(32).hex()) as w,
    ):
        assert len((await ask(w.port, post(b"{}"))).get("x-request-id") or "") == 32


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"1e3", 1000.0), (b"true", 1.0), (b"false", 0.0), (b"inf", None), (b"", None), (None, None)],
)
def test_numbers(text: bytes | None, value: float | None) -> None:
    assert number(text) == value


def test_a_table_with_an_unusable_metric_is_refused() -> None:
    for broken in (SCORE | {"high": 0.0}, SCORE | {"source": "body"}, SCORE | {"low": "a"}):
        with pytest.raises(PlainError, match="metrics"):
            read_metrics([broken], "routes[0].metrics")
    with pytest.raises(PlainError, match="at most 4"):
        read_metrics([SCORE] * 5, "routes[0].metrics")
