"""Streams of tokens through a real worker: every byte passes as it came, and what it says is counted."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy import counters
from proxy.counters import slot_base
from proxy.histogram import BUCKETS, bucket_index
from proxy.outcomes import OUTCOME_NAMES
from proxy.plain import PlainError
from proxy.streams.spec import read_streams
from tests.helpers.dataplane import WorkerProcess, direct_table, worker
from tests.helpers.http import Message, ask, connected, get, post, read_head, read_request
from tests.helpers.http import upstream as scripted
from tests.helpers.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
ROLE = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'
STOP = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error": {"message": "out of memory"}}\n\n'
PING = b": ping\n\n"
ASK = post(b'{"stream": true}', "/v1/chat/completions")
CELLS = {
    "failed": counters.FAILED,
    "streams": counters.STREAMS,
    "unread": counters.STREAMS_UNREAD,
    "stalled": counters.STREAMS_STALLED,
    "truncated": counters.STREAMS_TRUNCATED,
    "broken": counters.STREAMS_BROKEN,
    "tokens": counters.STREAM_TOKENS,
}
HISTOGRAMS = {
    "first": counters.HIST_FIRST_TOKEN,
    "gaps": counters.HIST_TOKEN_GAP,
    "times": counters.HIST_TOKEN_TIME,
}

Step = bytes | float | None
"""Bytes to write, seconds to wait, or None to reset the connection."""
Found = Counter[str]


def token(text: str = "a") -> bytes:
    return b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % text.encode()


def usage(tokens: int) -> bytes:
    return b'data: {"choices": [], "usage": {"completion_tokens": %d}}\n\n' % tokens


def chunked(*events: bytes) -> bytes:
    """A whole answer, every event a chunk."""
    return CHUNKED + b"".join(chunk(event) for event in events) + b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def until_close(*events: bytes) -> bytes:
    return HEAD + b"\r\n" + b"".join(events)


def fixed(*events: bytes) -> bytes:
    body = b"".join(events)
    return HEAD + b"content-length: %d\r\n\r\n" % len(body) + body


class Scripted:
    """A model server that answers the next request by `steps`, and then closes; and a worker before it."""

    def __init__(self) -> None:
        self.steps: tuple[Step, ...] = ()
        self.worker: WorkerProcess

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for step in self.steps:
            if step is None:
                writer.transport.abort()
                return
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            else:
                await asyncio.sleep(step)

    async def asked(self, *steps: Step, request: bytes = ASK) -> tuple[Message, Found]:
        """One answer by these steps, and what was counted of it."""
        self.steps = steps
        before = self.counted()
        answer = await ask(self.worker.port, request)
        return answer, await self.since(before)

    async def since(self, before: Found) -> Found:
        """What has been counted of a request, when it has ended."""
        ended = sum(before[name] for name in OUTCOME_NAMES)
        # The client may have its answer a moment before the counts are stored.
        await until(lambda: sum(self.counted()[name] for name in OUTCOME_NAMES) > ended)
        await until(lambda: not self.worker.in_flight(1))
        return self.counted() - before

    def cell(self, offset: int) -> int:
        """A count as it stands, be something in flight or not: those of streams are stored at once."""
        return int(self.worker.cells[slot_base(1) + offset])

    def buckets(self, histogram: int) -> list[int]:
        return [self.cell(histogram + i) for i in range(BUCKETS)]

    def counted(self) -> Found:
        """Outcomes, and the figures of streams."""
        found = {name: self.cell(cell) for name, cell in CELLS.items()}
        found |= {name: sum(self.buckets(cell)) for name, cell in HISTOGRAMS.items()}
        return Counter({n: self.cell(counters.OUTCOME_0 + o) for o, n in enumerate(OUTCOME_NAMES)} | found)


@contextlib.asynccontextmanager
async def watching(folder: Path, stall: float = 60.0, **more: Any) -> AsyncIterator[Scripted]:
    """Both, on a route that looks at streams."""
    model = Scripted()
    async with scripted(model.serve) as server:
        table = direct_table(server.port)
        about = {"format": "openai", "stall": stall, "stall_fails": more.pop("stall_fails", False)}
        table["routes"][0].update(streams=about, **more)
        async with worker(folder, table) as model.worker:
            yield model


def cut(whole: bytes, pieces: int) -> list[Step]:
    """The same in pieces that come one after the other."""
    size = -(-len(whole) // pieces)
    return [step for i in range(0, len(whole), size) for step in (whole[i : i + size], 0.005)]


async def test_streams_pass_as_they_came_and_are_counted(tmp_path: Path) -> None:
    """However they are framed and cut; what is wrong inside makes a failure of a whole answer."""
    good = (ROLE, PING, token("Hello"), token(" there"), token("."), STOP, usage(3), DONE)
    cases: list[tuple[tuple[bytes, ...], dict[str, int]]] = [
        (good, {"ok": 1, "tokens": 3, "first": 1, "gaps": 2, "times": 1}),
        (
            (ROLE, token(), ERROR, DONE),
            {"stream_error": 1, "failed": 1, "broken": 1, "tokens": 1, "first": 1},
        ),
        (
            (ROLE, token(), token()),
            {"stream_truncated": 1, "failed": 1, "truncated": 1, "tokens": 2, "first": 1, "gaps": 1},
        ),
        ((ROLE,), {"stream_truncated": 1, "failed": 1, "truncated": 1}),
        ((PING,), {"stream_truncated": 1, "failed": 1, "truncated": 1}),
        ((token(), STOP), {"ok": 1, "tokens": 1, "first": 1}),
        ((token(), DONE.rstrip()), {"ok": 1, "tokens": 1, "first": 1}),
        ((token(), DONE.replace(b"\n", b"\r\n")), {"ok": 1, "tokens": 1, "first": 1}),
        # Of another kind: nobody can tell, so nobody is blamed.
        ((b"event: message_start\ndata: {}\n\n", b"data: hello\n\n"), {"ok": 1, "unread": 1}),
    ]
    async with watching(tmp_path) as model:
        for frame in (chunked, until_close, fixed):
            for events, expected in cases:
                for pieces in (1, 7):
                    answer, found = await model.asked(*cut(frame(*events), pieces))
                    assert answer.body == b"".join(events)
                    assert found == Counter(streams=1, **expected), (frame, events, pieces)
        answer, found = await model.asked(chunked(*good), request=b"GET / HTTP/1.0\r\nhost: test\r\n\r\n")
        # Without its chunks, for an old client.
        assert (answer.body, found["tokens"]) == (b"".join(good), 3)


async def test_other_answers_are_not_looked_into(tmp_path: Path) -> None:
    """No event stream, no good answer, nothing to read, or not in plain text."""
    json = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    sick = HEAD.replace(b"200 OK", b"500 Oops") + b"content-length: 4\r\n\r\noops"
    packed = HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(token() + DONE)
    async with watching(tmp_path, override={"header": "x-variant", "values": {"v1": 0}}) as model:
        assert (await model.asked(json))[1] == Counter(ok=1)
        assert (await model.asked(fixed()))[1] == Counter(ok=1)
        assert (await model.asked(sick))[1] == Counter(upstream_5xx=1, failed=1)
        assert (await model.asked(packed))[1] == Counter(ok=1, streams=1, unread=1)
        # Who chose the variant is in no statistics, so not in these.
        chosen = get(extra="x-variant: v1\r\n")
        assert (await model.asked(chunked(token(), DONE), request=chosen))[1] == Counter(override=1)


async def test_the_first_token_is_content_and_counts_at_once(tmp_path: Path) -> None:
    """Neither the head, nor a role, nor a comment; and while the stream still goes on."""
    async with watching(tmp_path) as model, connected(model.worker.port) as (reader, writer):
        model.steps = (CHUNKED + chunk(ROLE) + chunk(PING), 0.4, chunk(token()), chunk(token()), 60.0)
        writer.write(ASK)
        await read_head(reader)
        await until(lambda: model.counted()["first"])

        assert model.worker.in_flight(1) == 1
        assert model.cell(counters.SUM_FIRST_TOKEN_US) >= 390_000
        assert sum(model.buckets(counters.HIST_FIRST_TOKEN)[: bucket_index(390_000)]) == 0


async def test_tokens_that_come_several_to_a_piece_are_counted_by_usage(tmp_path: Path) -> None:
    rest = b"".join(map(chunk, (token("three four"), STOP, usage(40), DONE)))
    async with watching(tmp_path) as model:
        _, found = await model.asked(CHUNKED + chunk(token("one two")), 0.4, rest + b"0\r\n\r\n")

        assert (found["tokens"], found["times"]) == (40, 1)
        mean, gap = model.cell(counters.SUM_TOKEN_TIME_US), model.cell(counters.SUM_TOKEN_GAP_US)
        assert gap >= 390_000
        assert mean == pytest.approx(gap / 39, rel=0.01)


@pytest.mark.parametrize(("fails", "outcome"), [(False, "ok"), (True, "timeout_idle")])
async def test_a_pause_between_tokens_is_a_stall(tmp_path: Path, fails: bool, outcome: str) -> None:
    """Comments that keep the connection alive do not hide it."""
    async with watching(tmp_path, stall=0.2, stall_fails=fails) as model:
        rest = chunk(token()) + chunk(DONE) + b"0\r\n\r\n"
        _, found = await model.asked(CHUNKED + chunk(token()), 0.15, chunk(PING), 0.15, rest)

        assert (found[outcome], found["stalled"], found["failed"]) == (1, 1, int(fails))


async def test_a_stream_that_breaks_off(tmp_path: Path) -> None:
    """By a reset, or because its client leaves: on reading an error that is the server's doing, behind the
    last token it has been served, in a stall it is charged to nobody, and seen."""
    cases = [
        (chunk(token()) + chunk(ERROR), {"stream_error": 1, "failed": 1, "broken": 1}),
        (chunk(token()) + chunk(STOP), {"ok": 1}),
        (chunk(token()), {"client_abort": 1, "stalled": 1}),
    ]
    async with watching(tmp_path, stall=0.1) as model:
        before = model.counted()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await model.asked(CHUNKED + chunk(token()), 0.02, None)
        found = await model.since(before)
        assert (found["stream_truncated"], found["failed"], found["truncated"]) == (1, 1, 1)
        for sent, expected in cases:
            before = model.counted()
            model.steps = (CHUNKED + sent, 60.0)
            async with connected(model.worker.port) as (reader, writer):
                writer.write(ASK)
                await read_head(reader)
                for _ in range(sent.count(b"\n\n")):
                    await reader.readuntil(b"\n\n\r\n")
                await until(lambda before=before: (model.counted() - before)["first"])  # type: ignore[misc]
                await asyncio.sleep(0.15)
            assert await model.since(before) == Counter(streams=1, tokens=1, first=1, **expected)


async def test_metrics_are_read_beside_streams_and_of_good_ones_only(tmp_path: Path) -> None:
    head = HEAD.replace(b"\r\n", b"\r\nx-score: 0.5\r\n", 1) + b"\r\n"
    metric = {"name": "score", "source": "header:x-score", "low": 0.0, "high": 1.0}
    async with watching(tmp_path, metrics=[metric]) as model:
        for end, values in ((ERROR, 0), (DONE, 1)):
            _, found = await model.asked(head + token() + end)
            assert found["tokens"] == 1
            assert model.cell(counters.METRICS) == values


@pytest.mark.parametrize(
    "wrong",
    [{"format": "anthropic", "stall": 1.0}, {"format": "openai"}, {"format": "openai", "stall": -1}, []],
)
def test_a_table_that_asks_for_something_else_is_refused(wrong: object) -> None:
    with pytest.raises(PlainError):
        read_streams(wrong, "routes[0].streams")
