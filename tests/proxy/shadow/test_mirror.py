"""Copies: what is copied, what is skipped and why, and that every one of them is counted."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from proxy.outcomes import Outcome
from proxy.shadow.cells import Skip, Unpaired
from tests.helpers.dataplane import route, table, worker
from tests.helpers.http import (
    answering,
    ask,
    connected,
    eventually,
    get,
    ok,
    post,
    read_response,
    refusing,
    upstream,
)
from tests.helpers.shadows import ShadowCounts, delayed, hung, shadowed


async def test_copy_is_what_the_primary_got_and_says_so(tmp_path: Path) -> None:
    """Line, fields and body arrive at the shadow as at the primary, with the marker added."""
    async with (
        answering(lambda r: ok(b"one")) as primary,
        answering(lambda r: ok(b"two")) as shadow,
        worker(tmp_path, shadowed(primary.port, shadow.port)) as w,
    ):
        answer = await ask(
            w.port, post(b"payload", "/p?q=1", extra="x-case: Kept\r\nx-headgate-shadow: 0\r\n")
        )

        assert answer.body == b"one"
        await eventually(lambda: len(shadow.requests) == 1)
        original, copy = primary.requests[0], shadow.requests[0]
        assert copy.start_line == original.start_line
        assert copy.body == b"payload"
        assert copy.get("x-headgate-shadow") == "1"
        assert [f for f in copy.fields if f[0] != "x-headgate-shadow"] == [
            f for f in original.fields if f[0] != "x-headgate-shadow"
        ]
        counts = ShadowCounts(w)
        await eventually(lambda: counts.settled)
        counts.check()
        assert counts.mirrored == 1
        assert counts.unpaired(Unpaired.SAMPLED_OUT) == 1
        assert counts.outcome(Outcome.OK) == 1


async def test_credentials_stay_behind_where_that_is_asked_for(tmp_path: Path) -> None:
    """Removed fields reach the primary and not the shadow, in any case; so does Expect."""
    extra = "Authorization: Bearer secret\r\nCookie: a=b\r\nExpect: 100-continue\r\n"
    async with (
        answering() as primary,
        answering() as shadow,
        worker(
            tmp_path,
            shadowed(primary.port, shadow.port, remove=["authorization", "cookie"], marker="x-copied"),
        ) as w,
    ):
        await ask(w.port, post(b"{}", extra=extra))
        await eventually(lambda: len(shadow.requests) == 1)

        assert primary.requests[0].get("authorization") == "Bearer secret"
        assert primary.requests[0].get("cookie") == "a=b"
        copy = shadow.requests[0]
        assert copy.get("x-copied") == "1"
        assert {"authorization", "cookie", "expect"}.isdisjoint(name for name, _ in copy.fields)
        assert copy.body == b"{}"


@pytest.mark.parametrize("size", [70_000, 400_000])
async def test_bodies_that_come_in_pieces_are_copied_whole(tmp_path: Path, size: int) -> None:
    """Sized and chunked bodies larger than one read arrive byte for byte."""
    body = bytes(range(256)) * (size // 256)
    chunked = b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
    chunked += b"%x\r\n%b\r\n" % (len(body), body) + b"0\r\n\r\n"
    async with (
        answering() as primary,
        answering() as shadow,
        worker(tmp_path, shadowed(primary.port, shadow.port)) as w,
    ):
        await ask(w.port, post(body))
        await ask(w.port, chunked)
        await eventually(lambda: len(shadow.requests) == 2)

        assert [r.body == body for r in primary.requests] == [True, True]
        assert [r.body == body for r in shadow.requests] == [True, True]


async def test_what_is_not_copied_is_counted_with_its_reason(tmp_path: Path) -> None:
    """Method, size known and unknown, upgrade: each has its own count, and the sum is exact."""
    big = b"x" * 3000
    chunked = b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
    chunked += b"%x\r\n%b\r\n" % (len(big), big) + b"0\r\n\r\n"
    upgrade = "connection: upgrade\r\nupgrade: websocket\r\n"
    async with (
        answering() as primary,
        answering() as shadow,
        worker(tmp_path, shadowed(primary.port, shadow.port, body=2000)) as w,
    ):
        await ask(w.port, get())
        await ask(w.port, post(big))
        await ask(w.port, chunked)
        await ask(w.port, post(b"", extra=upgrade))
        await ask(w.port, post(b"small"))

        counts = ShadowCounts(w)
        await eventually(lambda: counts.settled)
        counts.check()
        assert counts.eligible == 5
        assert counts.mirrored == len(shadow.requests) == 1
        assert counts.skips(Skip.METHOD) == 1
        assert counts.skips(Skip.TOO_LARGE) == 2
        assert counts.skips(Skip.UPGRADE) == 1


async def test_share_by_key_is_sticky_and_the_rest_is_counted(tmp_path: Path) -> None:
    """One user's requests are copied all or not at all; the share of users is as asked for."""
    async with (
        answering() as primary,
        answering() as shadow,
        worker(
            tmp_path,
            shadowed(primary.port, shadow.port, share=0.3, key=["header:x-user"], salt="s"),
        ) as w,
        connected(w.port) as (reader, writer),
    ):
        for user in range(200):
            for _ in range(2):
                writer.write(post(b"{}", extra=f"x-user: u{user}\r\n"))
                await read_response(reader)
        counts = ShadowCounts(w)
        await eventually(lambda: counts.settled)

        counts.check()
        users = [request.get("x-user") for request in shadow.requests]
        assert all(users.count(user) == 2 for user in set(users))
        # Fixed salt and keys: the count is a constant; a fair 30 % is 60 ± 20 (three standard deviations).
        assert 40 <= len(set(users)) <= 80
        assert counts.skips(Skip.SAMPLED_OUT) == 400 - len(users)


async def test_only_requests_that_the_reference_answers_are_copied(tmp_path: Path) -> None:
    """What the canary answers is skipped as `variant`, what the client chose itself as `override`."""
    entry = {"name": "v2", "arm": 2, "reference": [0], "methods": [], "lag": 0.0}
    routes = [
        route(
            "all",
            {"kind": "random", "arms": [0, 1], "weights": [1.0, 0.0]},
            override={"header": "x-variant", "cookie": "", "values": {"v1": 0, "c": 1}},
            shadows=[entry],
        )
    ]
    arms = [("all", "v1", "variant", "v1"), ("all", "c", "variant", "v1"), ("all", "v2", "shadow", "v2")]
    async with answering() as primary, answering() as shadow:
        content = table({"v1": [primary.port], "v2": [shadow.port]}, routes, arms=arms)
        async with worker(tmp_path, content) as w:
            await ask(w.port, get())
            await ask(w.port, get(extra="x-variant: v1\r\n"))
            content["routes"][0]["split"]["weights"] = [0.0, 1.0]
            content["revision"] += 1000
            assert (await w.publish(content))["type"] == "ack"
            await ask(w.port, get())

            counts = ShadowCounts(w, 3)
            await eventually(lambda: counts.settled)
            counts.check()
            assert counts.mirrored == 1
            assert counts.skips(Skip.OVERRIDE) == 1
            assert counts.skips(Skip.VARIANT) == 1


async def test_several_shadows_get_their_own_copies(tmp_path: Path) -> None:
    """Each shadow of a route has its own share, budget and counts; a hung one does not hold up another."""
    routes = [
        route(
            "all",
            {"kind": "direct", "arms": [0]},
            shadows=[
                {"name": "a", "arm": 1, "reference": [0], "in_flight": 2, "lag": 0.0},
                {"name": "b", "arm": 2, "reference": [0], "lag": 0.0},
            ],
        )
    ]
    arms = [("all", "v1", "stable", "v1"), ("all", "a", "shadow", "a"), ("all", "b", "shadow", "b")]
    async with answering() as primary, upstream(hung) as bad, answering() as good:
        content = table({"v1": [primary.port], "a": [bad.port], "b": [good.port]}, routes, arms=arms)
        async with worker(tmp_path, content) as w, connected(w.port) as (reader, writer):
            for _ in range(10):
                writer.write(post(b"{}"))
                assert (await read_response(reader)).status == 200

            first, second = ShadowCounts(w, 2), ShadowCounts(w, 3)
            await eventually(lambda: second.settled)
            second.check()
            assert second.mirrored == len(good.requests) == 10
            assert first.mirrored == first.in_flight == 2
            assert first.skips(Skip.IN_FLIGHT) == 8


async def test_an_unreachable_shadow_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """After one failure to connect requests are skipped, not tried; then it is tried again."""
    async with answering() as primary:
        async with contextlib.AsyncExitStack() as stack:
            port = stack.enter_context(refusing())
            w = await stack.enter_async_context(worker(tmp_path, shadowed(primary.port, port)))
            reader, writer = await stack.enter_async_context(connected(w.port))
            counts = ShadowCounts(w)
            for _ in range(20):
                writer.write(post(b"{}"))
                await read_response(reader)
                await eventually(lambda: counts.settled)

            counts.check()
            assert counts.outcome(Outcome.CONNECT_FAILED) == counts.mirrored <= 3
            assert counts.skips(Skip.UNREACHABLE) >= 17
            tried = counts.mirrored

            async def again() -> None:
                while counts.mirrored == tried:
                    writer.write(post(b"{}"))
                    await read_response(reader)

            await asyncio.wait_for(again(), 60)


async def test_deadline_ends_a_copy_and_frees_its_place(tmp_path: Path) -> None:
    """A shadow that is too slow costs its copies, never the primary's answers."""
    async with (
        answering() as primary,
        upstream(delayed(3600)) as shadow,
        worker(tmp_path, shadowed(primary.port, shadow.port, deadline=0.2, in_flight=1)) as w,
    ):
        assert (await ask(w.port, post(b"{}"))).status == 200
        counts = ShadowCounts(w)
        await eventually(lambda: counts.outcome(Outcome.TIMEOUT_TOTAL) == 1)

        counts.check()
        assert (await ask(w.port, post(b"{}"))).status == 200
        await eventually(lambda: counts.outcome(Outcome.TIMEOUT_TOTAL) == 2)


async def test_a_request_that_never_became_whole_is_not_copied(tmp_path: Path) -> None:
    """A client that leaves in the middle of its body: skipped as unfinished."""
    async with (
        answering() as primary,
        answering() as shadow,
        worker(tmp_path, shadowed(primary.port, shadow.port)) as w,
    ):
        async with connected(w.port) as (_, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\nhalf")
            counts = ShadowCounts(w)
            await eventually(lambda: counts.eligible == 1)
        await eventually(lambda: counts.settled)

        counts.check()
        assert counts.skips(Skip.UNFINISHED) == 1
        assert shadow.requests == []


async def test_draining_gives_copies_up_and_counts_them(tmp_path: Path) -> None:
    """A worker that stops does not wait for shadows."""
    async with answering() as primary, upstream(hung) as shadow:
        async with worker(tmp_path, shadowed(primary.port, shadow.port)) as w:
            await ask(w.port, post(b"{}"))
            counts = ShadowCounts(w)
            await eventually(lambda: counts.in_flight == 1)
            await w.send({"type": "drain"})
            await asyncio.wait_for(w.process.wait(), 60)

            counts.check()
            assert counts.outcome(Outcome.CLIENT_ABORT) == 1


async def test_counts_of_a_killed_worker_add_up_but_for_what_it_held(tmp_path: Path) -> None:
    """kill -9 under load: eligible = mirrored + skipped + held, and held is at most what was in flight."""
    async with (
        answering() as primary,
        answering() as shadow,
        worker(tmp_path, shadowed(primary.port, shadow.port, share=0.5)) as w,
    ):
        stop = asyncio.Event()

        async def client() -> None:
            async with connected(w.port) as (reader, writer):
                while not stop.is_set():
                    writer.write(post(b"{}"))
                    await read_response(reader)

        clients = [asyncio.create_task(client()) for _ in range(8)]
        counts = ShadowCounts(w)
        await eventually(lambda: counts.mirrored > 200)
        w.process.kill()
        await w.process.wait()
        stop.set()
        await asyncio.gather(*clients, return_exceptions=True)

        held = counts.eligible - counts.mirrored - counts.skipped
        assert 0 <= held <= 8
        assert counts.skipped == sum(counts.skips(reason) for reason in Skip)
        # A copy may be under way for a turn longer than its request.
        assert 0 <= counts.mirrored - counts.outcome(Outcome.OK) <= 16
        assert counts.mirrored == pytest.approx(counts.eligible / 2, rel=0.5)
