"""What a client sees of the proxy, over real sockets against a real worker process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxy import counters, key_times
from proxy.outcomes import Outcome
from tests.helpers.dataplane import direct_table, worker
from tests.helpers.http import (
    Message,
    answering,
    ask,
    connected,
    eventually,
    get,
    ok,
    post,
    read_head,
    read_request,
    read_response,
    upstream,
)


async def test_answer_passes_and_names_arm_and_request(tmp_path: Path) -> None:
    """Status, body and fields of the model server arrive; arm, id and Via are added."""
    async with (
        answering(lambda r: ok(b'{"y": 1}', "x-model: m\r\n")) as server,
        worker(tmp_path, direct_table(server.port)) as w,
    ):
        response = await ask(w.port, post(b"{}", "/v2/models/m/infer"))

        assert response.start_line == "HTTP/1.1 200 OK"
        assert response.body == b'{"y": 1}'
        assert response.get("x-model") == "m"
        assert response.get("x-headgate-variant") == "v1"
        assert response.get("via") == "1.1 headgate"
        assert response.get("x-request-id") == server.requests[0].get("x-request-id")
        assert len(response.get("x-request-id") or "") == 32


async def test_request_passes_with_forwarding_fields(tmp_path: Path) -> None:
    """The model server sees the request as it was, and who sent it."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        await ask(w.port, post(b"payload", "/p?q=1", extra="X-Case: Kept\r\nx-request-id: mine\r\n"))

        seen = server.requests[0]
        assert seen.start_line == "POST /p?q=1 HTTP/1.1"
        assert b"X-Case: Kept\r\n" in seen.raw_head
        assert seen.body == b"payload"
        assert seen.get("host") == "test"
        assert seen.get("x-forwarded-for") == "127.0.0.1"
        assert seen.get("x-forwarded-proto") == "http"
        assert seen.get("x-forwarded-host") == "test"
        assert seen.get("via") == "1.1 headgate"
        assert seen.get("x-request-id") == "mine"


async def test_forwarding_fields_of_earlier_proxies_are_kept_or_replaced(tmp_path: Path) -> None:
    """append continues the list and keeps proto and host; replace states what this proxy saw."""
    extra = "X-Forwarded-For: 10.9.8.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public\r\n"
    async with answering() as server:
        async with worker(tmp_path, direct_table(server.port)) as w:
            await ask(w.port, get(extra=extra))
        async with worker(tmp_path, direct_table(server.port, headers={"forwarded": "replace"})) as w:
            await ask(w.port, get(extra=extra))

        appended, replaced = server.requests
        assert appended.all("x-forwarded-for") == ["10.9.8.7", "127.0.0.1"]
        assert appended.get("x-forwarded-proto") == "https"
        assert appended.get("x-forwarded-host") == "public"
        assert replaced.get("x-forwarded-for") == "127.0.0.1"
        assert replaced.get("x-forwarded-proto") == "http"
        assert replaced.get("x-forwarded-host") == "test"


async def test_hop_by_hop_fields_stay_behind(tmp_path: Path) -> None:
    """Connection, what it nominates and the other fields of one hop reach neither side."""
    extra = "Connection: keep-alive, x-secret\r\nKeep-Alive: timeout=5\r\nX-Secret: 1\r\nTE: trailers\r\n"
    extra += "Proxy-Connection: x\r\n"
    reply = ok(
        extra="Connection: x-internal\r\nX-Internal: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\n"
    )
    async with answering(lambda r: reply) as server, worker(tmp_path, direct_table(server.port)) as w:
        response = await ask(w.port, get(extra=extra))

        for name in ("connection", "keep-alive", "x-secret", "te", "proxy-connection"):
            assert server.requests[0].get(name) is None
        for name in ("connection", "keep-alive", "x-internal", "proxy-authenticate"):
            assert response.get(name) is None


async def test_keep_alive_on_both_sides(tmp_path: Path) -> None:
    """Requests one after the other use one connection on each side."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            for _ in range(20):
                writer.write(post(b"x"))
                assert (await read_response(reader)).status == 200

        assert server.connections == 1
        assert w.cells[counters.CONNECTIONS_ACCEPTED] == 1
        assert w.outcome(1, Outcome.OK) == 20


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    """Many requests in one write are answered one by one, in their order."""
    async with (
        answering(lambda r: ok(r.start_line.split(" ")[1].encode())) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(b"".join(post(b"b" * n, f"/{n}") for n in range(50)))

        bodies = [(await read_response(reader)).body for _ in range(50)]

        assert bodies == [f"/{n}".encode() for n in range(50)]
        assert [len(r.body) for r in server.requests] == list(range(50))


async def test_good_request_before_a_bad_one_keeps_its_answer(tmp_path: Path) -> None:
    """A bad request behind a good pipelined one is refused alone, and nothing behind it is read."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(get("/good") + b"GET /bad HTTP/1.1\r\nhost : x\r\n\r\n" + get("/never"))

            first = await read_response(reader)
            second = await read_response(reader)
            rest = await asyncio.wait_for(reader.read(), 60)

        assert (first.status, second.status, rest) == (200, 400, b"")
        assert second.get("connection") == "close"
        assert [r.start_line for r in server.requests] == ["GET /good HTTP/1.1"]
        assert w.cells[counters.REQUESTS_MALFORMED] == 1
        assert w.cell(1, counters.STARTED) == 1


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 50])
async def test_request_in_any_pieces_is_one_request(tmp_path: Path, pieces: int) -> None:
    """How the bytes were cut on the way changes nothing."""
    request = post(b"0123456789" * 30, "/cut")
    size = max(1, len(request) // pieces)
    async with (
        answering(lambda r: ok(r.body)) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        for start in range(0, len(request), size):
            writer.write(request[start : start + size])
            await writer.drain()
            await asyncio.sleep(0.001)

        assert (await read_response(reader)).body == b"0123456789" * 30


async def test_chunked_bodies_and_trailers_pass_both_ways(tmp_path: Path) -> None:
    """Chunks, their extensions and trailers arrive as they were sent."""
    reply = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 9\r\n\r\n"
    )
    request = (
        b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
        b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nx-check: 1\r\n\r\n"
    )
    async with answering(lambda r: reply) as server, worker(tmp_path, direct_table(server.port)) as w:
        response = await ask(w.port, request)

        assert (response.body, response.trailers) == (b"abcde", b"x-sum: 9\r\n")
        assert (server.requests[0].body, server.requests[0].trailers) == (b"hello world", b"x-check: 1\r\n")


async def test_head_has_no_body_and_keeps_the_length(tmp_path: Path) -> None:
    """The answer to HEAD announces a length and carries nothing; the connection goes on."""
    async with (
        answering(lambda r: ok(b"12345")[:-5] if r.start_line.startswith("HEAD") else ok(b"next")) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(b"HEAD / HTTP/1.1\r\nhost: t\r\n\r\n" + get())

        first = await read_response(reader, to_head=True)
        second = await read_response(reader)

        assert first.get("content-length") == "5"
        assert second.body == b"next"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_statuses_without_body(tmp_path: Path, status: str) -> None:
    """204 and 304 end with their head, whatever they announce."""
    reply = f"HTTP/1.1 {status}\r\netag: x\r\n\r\n".encode()
    async with (
        answering(lambda r: reply) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        for _ in range(2):
            writer.write(get())
            assert (await read_response(reader)).get("etag") == "x"
        assert server.connections == 1


async def test_expect_continue_is_the_upstreams_to_answer(tmp_path: Path) -> None:
    """100 comes from the model server, and the body follows it."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        assert head.get("expect") == "100-continue"
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(4)
        writer.write(ok(body))

    async with (
        upstream(handler) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
        assert (await read_response(reader)).status == 100
        writer.write(b"body")
        assert (await read_response(reader)).body == b"body"


async def test_informational_responses_pass_to_http_1_1_only(tmp_path: Path) -> None:
    """103 reaches a client of HTTP/1.1; one of HTTP/1.0 gets the final answer alone."""
    reply = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + ok()
    async with answering(lambda r: reply) as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(get())
            hints = await read_response(reader)
            final = await read_response(reader)
        old = await ask(w.port, b"GET / HTTP/1.0\r\n\r\n")

        assert (hints.status, hints.get("link"), final.status) == (103, "</x>", 200)
        assert old.status == 200


async def test_http_1_0_client(tmp_path: Path) -> None:
    """An old client gets plain bytes and a closed connection; the upstream sees HTTP/1.1 with a Host."""
    reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with answering(lambda r: reply) as server, worker(tmp_path, direct_table(server.port)) as w:
        response = await ask(w.port, b"GET /old HTTP/1.0\r\n\r\n")

        assert response.get("transfer-encoding") is None
        assert response.get("connection") == "close"
        assert response.body == b"abc"
        assert server.requests[0].start_line == "GET /old HTTP/1.1"
        assert server.requests[0].get("host") == f"127.0.0.1:{server.port}"


async def test_http_1_0_keep_alive(tmp_path: Path) -> None:
    """An old client may ask for the connection to stay, and is told so."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            for _ in range(3):
                writer.write(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
                response = await read_response(reader)
                assert response.get("connection") == "keep-alive"
        assert server.connections == 1


async def test_connection_close_is_honoured(tmp_path: Path) -> None:
    """A client that wants the connection closed gets it closed after the answer."""
    async with (
        answering() as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(get(extra="Connection: close\r\n"))
        response = await read_response(reader)

        assert response.get("connection") == "close"
        assert await asyncio.wait_for(reader.read(), 60) == b""


async def test_absolute_form_is_forwarded_in_origin_form(tmp_path: Path) -> None:
    """A proxy-style request line reaches the model server as an ordinary one."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        await ask(w.port, b"GET http://test/a?b HTTP/1.1\r\nhost: test\r\n\r\n")

        assert server.requests[0].start_line == "GET /a?b HTTP/1.1"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 70000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
    ],
)
async def test_malformed_request_is_answered_and_charged_to_no_arm(
    tmp_path: Path, request_bytes: bytes, status: int
) -> None:
    """What is malformed never reaches a model server, and no client can spoil an arm's figures."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        response = await ask(w.port, request_bytes)

        assert response.status == status
        assert response.get("x-headgate-error") == "malformed_request"
        assert server.requests == []
        assert w.cells[counters.REQUESTS_MALFORMED] == 1
        assert w.cell(1, counters.STARTED) == 0


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HTTP/1.1\nhost: t\n\n",
        b"GET /\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\nGET",
    ],
)
async def test_hopeless_beginning_is_answered_at_once(tmp_path: Path, beginning: bytes) -> None:
    """What cannot become a request any more need not wait for its time-out."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(beginning)

            assert (await asyncio.wait_for(read_response(reader), 60)).status in (400, 505)


async def test_one_empty_line_before_a_request_is_tolerated(tmp_path: Path) -> None:
    """RFC 9112, section 2.2, asks for it; a client that sends empty lines only is not entertained."""
    async with (
        answering() as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        for _ in range(2):
            writer.write(b"\r\n" + get())
            assert (await read_response(reader)).status == 200


async def test_bad_chunk_is_the_clients_fault(tmp_path: Path) -> None:
    """A broken request body cancels the upstream request and is charged to nobody."""
    async with answering() as server, worker(tmp_path, direct_table(server.port)) as w:
        response = await ask(
            w.port, b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcX\r\n"
        )

        assert response.status == 400
        assert w.outcome(1, Outcome.CLIENT_ABORT) == w.cell(1, counters.FINISHED) == 1
        assert w.cell(1, counters.FAILED) == 0
        assert server.requests == []


async def test_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    """Announced or chunked, a body over the limit is answered 413."""
    async with (
        answering() as server,
        worker(tmp_path, direct_table(server.port, limits={"body_bytes": 10})) as w,
    ):
        announced = await ask(w.port, post(b"x" * 11))
        chunked = await ask(
            w.port,
            b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\nb\r\n"
            + b"x" * 11
            + b"\r\n0\r\n\r\n",
        )
        small = await ask(w.port, post(b"x" * 10))

        assert (announced.status, chunked.status, small.status) == (413, 413, 200)
        assert [len(r.body) for r in server.requests] == [10]


async def test_client_gone_cancels_the_upstream_at_once(tmp_path: Path) -> None:
    """The model server sees the close, and not because of a time-out; the arm is not blamed."""
    closed = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        assert await reader.read() == b""
        closed.set()

    timeouts = {"first_byte": 600.0}
    async with (
        upstream(handler) as server,
        worker(tmp_path, direct_table(server.port, timeouts=timeouts)) as w,
    ):
        async with connected(w.port) as (_, writer):
            writer.write(post(b"work"))
            await eventually(lambda: w.in_flight(1) == 1)
        await asyncio.wait_for(closed.wait(), 60)

        await eventually(lambda: w.in_flight(1) == 0)
        assert w.outcome(1, Outcome.CLIENT_ABORT) == 1
        assert w.cell(1, counters.FAILED) == 0


async def test_slow_head_and_slow_body_time_out(tmp_path: Path) -> None:
    """A client that drips its head or stops in its body is answered 408, charged to no arm."""
    slow = {"request_head": 0.3, "request_body_idle": 0.3}
    async with answering() as server, worker(tmp_path, direct_table(server.port, timeouts=slow)) as w:
        async with connected(w.port) as (reader, writer):
            writer.write(b"GET / HT")
            head = await read_response(reader)
        body = await ask(w.port, post(b"12345")[:-1])

        assert (head.status, body.status) == (408, 408)
        assert w.cells[counters.REQUESTS_TIMED_OUT_HEAD] == 1
        assert w.cells[counters.REQUESTS_TIMED_OUT_BODY] == 1
        assert w.cell(1, counters.FAILED) == 0
        assert server.requests == []


async def test_idle_connection_is_closed_silently(tmp_path: Path) -> None:
    """A connection without a request ends after its idle time, without an answer nobody asked for."""
    async with (
        answering() as server,
        worker(tmp_path, direct_table(server.port, timeouts={"keepalive_idle": 0.3})) as w,
    ):
        async with connected(w.port) as (reader, writer):
            writer.write(get())
            await read_response(reader)
            assert await asyncio.wait_for(reader.read(), 60) == b""


async def test_connection_limit_refuses_and_counts(tmp_path: Path) -> None:
    """Connections over the limit are told so and closed; the others go on."""
    async with (
        answering() as server,
        worker(tmp_path, direct_table(server.port, limits={"connections": 2})) as w,
    ):
        async with connected(w.port) as (first, one), connected(w.port) as (second, two):
            for reader, writer in ((first, one), (second, two)):
                writer.write(get())
                assert (await read_response(reader)).status == 200
            async with connected(w.port) as (third, _):
                refused = await read_response(third)

        assert (refused.status, refused.get("retry-after")) == (503, "1")
        assert w.cells[counters.CONNECTIONS_REFUSED] == 1


async def test_unknown_route_is_answered_404_and_keeps_the_connection(tmp_path: Path) -> None:
    """A request that no route takes gets our own 404."""
    async with answering() as server:
        table = direct_table(server.port)
        table["routes"][0]["match"] = {"path_prefix": "/known"}
        async with worker(tmp_path, table) as w, connected(w.port) as (reader, writer):
            writer.write(post(b"abc", "/unknown") + post(b"abc", "/known/x"))

            missing = await read_response(reader)
            found = await read_response(reader)

            assert (missing.status, missing.get("x-headgate-error"), found.status) == (404, "no_route", 200)
            assert w.cells[counters.REQUESTS_UNMATCHED] == 1


async def test_tunnel_after_an_upgrade(tmp_path: Path) -> None:
    """A 101 that was asked for joins both sides; bytes pass unread until one side closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        assert (head.get("upgrade"), head.get("connection")) == ("echo", "upgrade")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\nhi")
        while data := await reader.read(1000):
            writer.write(data.upper())

    async with (
        upstream(handler) as server,
        worker(tmp_path, direct_table(server.port)) as w,
        connected(w.port) as (reader, writer),
    ):
        writer.write(get(extra="Connection: Upgrade\r\nUpgrade: echo\r\n"))
        response = await read_head(reader)
        assert (response.status, response.get("upgrade"), response.get("connection")) == (
            101,
            "echo",
            "upgrade",
        )
        assert await reader.readexactly(2) == b"hi"
        for word in (b"one", b"two"):
            writer.write(word)
            assert await asyncio.wait_for(reader.readexactly(3), 60) == word.upper()
        assert w.cells[counters.TUNNELS_OPEN] == 1
        writer.close()
        await eventually(lambda: w.cells[counters.TUNNELS_OPEN] == 0)
        await eventually(lambda: server.open == 0)
        assert w.outcome(1, Outcome.OK) == 1


async def test_json_key_splits_by_body_and_streams_what_is_too_large(tmp_path: Path) -> None:
    """A key inside the body decides, in one piece or many; over the limit the request still arrives whole."""

    def echo(request: Message) -> bytes:
        return ok(str(len(request.body)).encode())

    async with answering(echo) as server:
        table = direct_table(server.port, limits={"inspect_bytes": 1000})
        table["arms"].append(dict(table["arms"][0], variant="v2", role="variant", slot=2))
        table["routes"][0]["split"] = {
            "kind": "hash",
            "arms": [0, 1],
            "weights": [0.5, 0.5],
            "salt": "s",
            "epoch": 1,
            "key": ["json:/user"],
            "default_key": "absent",
        }
        async with worker(tmp_path, table) as w:
            variants = {}
            for user in range(20):
                body = b'{"user": "u%d"}' % user
                chunked = b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
                chunked += b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
                first = await ask(w.port, post(body))
                second = await ask(w.port, chunked)
                assert first.get("x-headgate-variant") == second.get("x-headgate-variant")
                variants[user] = first.get("x-headgate-variant")
            assert set(variants.values()) == {"v1", "v2"}
            for slot in (1, 2):
                started = w.cell(slot, counters.STARTED)
                groups = [w.cell(slot, counters.GROUPS_STARTED + group) for group in range(counters.GROUPS)]
                # Every user sent two requests, which are in the same group.
                assert sum(groups) == started
                assert all(count % 2 == 0 for count in groups)
                times = [w.cell(slot, counters.GROUP_TIMES + cell) for cell in range(key_times.CELLS)]
                assert [sum(times[group :: counters.GROUPS]) for group in range(counters.GROUPS)] == groups
            large = b'{"user": "u1", "pad": "' + b"x" * 300_000 + b'"}'
            response = await ask(w.port, post(large))
            assert response.body == str(len(large)).encode()
            expecting = post(b'{"user": "u1"}', extra="expect: 100-continue\r\n")
            head, _, body = expecting.partition(b"\r\n\r\n")
            async with connected(w.port) as (reader, writer):
                writer.write(head + b"\r\n\r\n")
                assert (await read_response(reader)).status == 100
                writer.write(body)
                final = await read_response(reader)
                assert final.get("x-headgate-variant") == variants[1]
