"""A client and a model server that call the model by different names, over a worker that knows both."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from config.load import load_text
from proxy import counters
from proxy.compile import check_config
from tests.helpers.dataplane import WorkerProcess, direct_table, worker
from tests.helpers.http import (
    Message,
    answering,
    connected,
    get,
    post,
    read_head,
    read_request,
    read_response,
    upstream,
)

BODY = b'{"model": "fraud", "n": 1}'
ANSWER = b'{"id": 1, "model": "fraud-v2", "text": "\\"model\\": \\"fraud-v2\\""}'
EXPECTED = ANSWER.replace(b'"model": "fraud-v2"', b'"model": "fraud"', 1)
JSON = b"content-type: application/json\r\n"
EVENTS = b"content-type: text/event-stream; charset=utf-8\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


def renaming(port: int, **more: Any) -> dict[str, Any]:
    """A table for one upstream that calls the model fraud-v2."""
    table = direct_table(port, **more)
    table["upstreams"][0]["rewrite"] = {"model": "fraud-v2"}
    return table


def answer(fields: bytes, body: bytes, *, sized: bool = True) -> bytes:
    length = b"content-length: %d\r\n" % len(body) if sized else b""
    return b"HTTP/1.1 200 OK\r\n" + fields + length + b"\r\n" + body


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces,)) + b"0\r\n\r\n"


async def exchange(w: WorkerProcess, request: bytes) -> Message:
    """Ask on a connection that has to serve a second request afterwards, if it stays."""
    async with connected(w.port) as (reader, writer):
        writer.write(request)
        response = await read_response(reader)
        if response.get("connection") != "close":
            writer.write(get())
            assert (await read_response(reader)).status == 200
    return response


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(JSON, ANSWER), EXPECTED),
        (answer(JSON + CHUNKED, chunks(ANSWER[:20], ANSWER[20:21], ANSWER[21:]), sized=False), EXPECTED),
        (answer(EVENTS, b"data: " + ANSWER + b"\n\n"), b"data: " + EXPECTED + b"\n\n"),
        (answer(b"content-type: text/plain\r\n", ANSWER), ANSWER),
        (answer(JSON + b"content-encoding: gzip\r\n", ANSWER), ANSWER),
        (answer(JSON, b"{}"), b"{}"),
        (answer(JSON, b""), b""),
    ],
)
async def test_client_sees_the_name_that_it_said(tmp_path: Path, reply: bytes, expected: bytes) -> None:
    """The server sees its own; lengths are right on both sides, however the answer is framed."""

    def respond(request: Message) -> bytes:
        return reply if request.body else answer(b"", b"ok")

    async with answering(respond) as server, worker(tmp_path, renaming(server.port)) as w:
        response = await exchange(w, post(BODY, extra="accept-encoding: gzip\r\n"))
        sent = server.requests[0]

    assert response.body == expected
    assert response.get("transfer-encoding") is None
    assert sent.body == b'{"model": "fraud-v2", "n": 1}'
    assert sent.get("content-length") == str(len(sent.body))
    assert sent.get("accept-encoding") is None


async def test_a_chunked_request_stays_one(tmp_path: Path) -> None:
    """However it came."""
    head = b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
    async with answering(lambda _: answer(JSON, ANSWER)) as server:
        async with worker(tmp_path, renaming(server.port)) as w:
            response = await exchange(w, head + chunks(BODY[:5], BODY[5:]))
        sent = server.requests[0]

    assert (sent.body, response.body) == (b'{"model": "fraud-v2", "n": 1}', EXPECTED)
    assert (sent.get("transfer-encoding"), sent.get("content-length")) == ("chunked", None)


@pytest.mark.parametrize("framed", [True, False])
async def test_a_stream_goes_on_line_by_line(tmp_path: Path, framed: bool) -> None:
    """Each event leaves as it comes, and one that has no end yet at the stream's end."""
    seen = asyncio.Event()
    event = b"data: " + ANSWER + b"\n\n"

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n" + EVENTS + (CHUNKED if framed else b"") + b"\r\n")
        for piece in (event, event[:17], event[17:], b"data: " + ANSWER):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framed else piece)
            await asyncio.sleep(0)
            if piece is event:
                await asyncio.wait_for(seen.wait(), 60)
        writer.write(b"0\r\n\r\n" if framed else b"")
        writer.close()

    expected = b"data: " + EXPECTED + b"\n\n"
    async with upstream(stream) as server, worker(tmp_path, renaming(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(post(BODY))
            head = await read_head(reader)
            if framed:
                assert int(await reader.readline(), 16) == len(expected)
            assert await reader.readexactly(len(expected)) == expected
            seen.set()
            if framed:
                await reader.readline()
                rest = b""
                while size := int(await reader.readline(), 16):
                    rest += await reader.readexactly(size)
                    await reader.readline()
            else:
                rest = await reader.read()
    assert head.get("transfer-encoding") == ("chunked" if framed else None)
    assert rest == expected + b"data: " + EXPECTED


async def test_what_is_too_large_goes_on_as_it_came(tmp_path: Path) -> None:
    """In both directions, counted, and whole."""
    large = ANSWER[:-1] + b', "pad": "' + b"x" * 3000 + b'"}'
    replies = {
        "/sized": answer(JSON, large),
        "/chunked": answer(JSON + CHUNKED, chunks(large[:900], large[900:]), sized=False),
        "/": answer(JSON, ANSWER),
    }
    async with (
        answering(lambda request: replies[request.start_line.split(" ")[1]]) as server,
        worker(tmp_path, renaming(server.port, limits={"inspect_bytes": 1000})) as w,
    ):
        assert (await exchange(w, post(BODY, "/sized"))).body == large
        assert (await exchange(w, post(BODY, "/chunked"))).body == large
        assert w.cells[counters.MODEL_NAMES_KEPT] == 2
        body = BODY[:-1] + b', "pad": "' + b"x" * 3000 + b'"}'
        assert (await exchange(w, post(body))).body == ANSWER
        assert server.requests[-2].body == body
        assert w.cells[counters.MODEL_NAMES_KEPT] == 3


async def test_old_clients_get_it_too(tmp_path: Path) -> None:
    """HTTP/1.0, whose answers end with the connection."""
    reply = answer(JSON + CHUNKED, chunks(ANSWER), sized=False)
    async with answering(lambda _: reply) as server, worker(tmp_path, renaming(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(b"POST / HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY)
            response = await read_response(reader)
            assert await reader.read() == b""
    assert response.body == EXPECTED


async def test_pipelined_answers_do_not_mix(tmp_path: Path) -> None:
    """Each client's name goes into its own answer, and into no other."""

    def respond(request: Message) -> bytes:
        return answer(JSON, json.dumps({"model": "x", "n": json.loads(request.body or b"{}")}).encode())

    async with answering(respond) as server, worker(tmp_path, renaming(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(post(b'{"model": "a"}') + post(b"{}") + get() + post(b'{"model": "b"}'))
            names = [json.loads((await read_response(reader)).body)["model"] for _ in range(4)]

    assert names == ["a", "x", "x", "b"]


async def test_an_answer_that_is_cut_off_is_no_answer(tmp_path: Path) -> None:
    """Nothing of what was collected is given away."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(JSON, ANSWER)[:-4])
        writer.close()

    async with upstream(cut) as server, worker(tmp_path, renaming(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(post(BODY))
            try:
                got = await reader.read()
            except ConnectionError:
                got = b""
    assert got == b""


def test_it_takes_leave_to_look_into_bodies() -> None:
    """Else it is refused at load, with its place."""
    loaded = load_text(
        "listeners: [{bind: ':1'}]\nlimits: {inspect_bytes: 0}\nroutes: [{name: r, upstream: v1}]\n"
        "upstreams: {v1: {endpoints: ['http://127.0.0.1:9'], rewrite: {model: b}}}\n",
        file="h.yaml",
        environ={},
    )
    (problem,) = check_config(loaded)

    assert problem.path == "upstreams.v1.rewrite.model"
    assert problem.line == 4
