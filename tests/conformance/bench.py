"""Headgate under test: one worker process, one scripted model server, and the counters of both."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy import counters
from proxy.outcomes import DEFAULT_FAILURES, OUTCOME_NAMES
from tests.conformance.case import End, RequestCase, ResponseCase
from tests.conformance.client import DEADLINE_SECONDS, Conversation, Line
from tests.conformance.script import ModelConnection, Script, Seen
from tests.helpers.dataplane import WorkerProcess, direct_table, worker

SLOT: Final = 1
CASE_SECONDS: Final = 240.0
HEADER_CELLS: Final = {
    "malformed": counters.REQUESTS_MALFORMED,
    "unmatched": counters.REQUESTS_UNMATCHED,
    "refused": counters.REQUESTS_REFUSED,
    "head_timed_out": counters.REQUESTS_TIMED_OUT_HEAD,
    "body_timed_out": counters.REQUESTS_TIMED_OUT_BODY,
    "internal_errors": counters.INTERNAL_ERRORS,
}
SLOT_CELLS: Final = {
    "started": counters.STARTED,
    "attempts": counters.ATTEMPTS,
    "retries": counters.RETRIES,
    "failed": counters.FAILED,
    **{name: counters.OUTCOME_0 + number for number, name in enumerate(OUTCOME_NAMES)},
}
FAILURES: Final = frozenset(outcome.name.lower() for outcome in DEFAULT_FAILURES)
# What Headgate adds to a request and to an answer, in one block each. HTTP/1.0 without Host gets one.
ADDED_UP: Final = re.compile(
    rb"(?:host: 127\.0\.0\.1:[0-9]+\r\n)?x-forwarded-for: 127\.0\.0\.1\r\n"
    rb"via: 1\.1 headgate\r\nx-forwarded-proto: http\r\n"
    rb"(?:x-forwarded-host: [^\r\n]+\r\n)?(?:x-request-id: [0-9a-f]{32}\r\n)?"
)
ADDED_DOWN: Final = re.compile(
    rb"via: 1\.1 headgate\r\nx-headgate-variant: v1\r\n"
    rb"(?:connection: (?:close|keep-alive)\r\n)?(?:x-request-id: [^\r\n]+\r\n)?"
)
OWN_ERROR: Final = b"x-headgate-error: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """What came of three requests of one client; the second met the rest of the first one's answer."""

    got: Conversation
    own: list[bytes]
    """Bodies of the right answers to the second and the third."""
    connections: list[int]
    """By which each of the three reached the model server."""
    counted: dict[str, int]


class Bench:
    """Runs cases one after the other; `problems` of each say all that is not as the case tells."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self._directory = directory
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = contextlib.AsyncExitStack()
        self._probes = itertools.count(1)
        self.script = Script()
        self.worker: WorkerProcess

    def start(self) -> None:
        """Start the model server and the worker."""
        self._thread.start()
        self._call(self._start())

    def stop(self) -> None:
        """End both; the worker's own errors are found here."""
        try:
            self._call(self._stack.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def request(self, case: RequestCase) -> list[str]:
        """Play a client's part; what is not as it should be."""
        problems: list[str] = self._call(self._request(case))
        return problems

    def response(self, case: ResponseCase) -> list[str]:
        """Play a model server's part; what is not as it should be."""
        problems: list[str] = self._call(self._response(case))
        return problems

    def late(self, case: ResponseCase, late: bytes) -> Late:
        """Answer by the case, and write `late` when the next request has come by the same connection."""
        found: Late = self._call(self._late(case, late))
        return found

    def count(self) -> dict[str, int]:
        """All counters now."""
        base = counters.slot_base(SLOT)
        cells = self.worker.cells
        found = {name: int(cells[cell]) for name, cell in HEADER_CELLS.items()} | {
            name: int(cells[base + cell]) for name, cell in SLOT_CELLS.items()
        }
        return found | {"finished": sum(found[name] for name in OUTCOME_NAMES)}

    def requests(self) -> int:
        """Heads that the worker has taken, as its page says a beat later."""
        return int(self.worker.cells[counters.REQUESTS])

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CASE_SECONDS)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: ModelConnection(self.script), "127.0.0.1", 0)
        self._stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        table = direct_table(port, **self._settings)
        self.worker = await self._stack.enter_async_context(worker(self._directory, table))

    async def _request(self, case: RequestCase) -> list[str]:
        self.script.reset()
        before = await self._quiet()
        line = await Line.open(self.worker.port)
        try:
            await line.send(case.send)
            if case.leaves:
                await line.close()
            else:
                await line.read_answers(len(case.answers), case.heads)
            probes = await self._after(line, case.end, len(case.answers), case.heads, leaves=case.leaves)
            got = line.conversation(case.heads)
        finally:
            await line.close()
        # Whatever the worker has sent upstream goes before this.
        probes += await self._barrier()
        counted = expected(case.counted, probes)
        after = await self._settled(before, counted)
        seen = self.script.everything()
        return [
            *_judge_answers(case, got, probes),
            *_judge_seen(case, seen),
            *_judge_counts(counted, before, after),
            *_judge_attempts(len(seen), probes, before, after),
        ]

    async def _response(self, case: ResponseCase) -> list[str]:
        probes = await self._barrier()
        self.script.reset(case)
        before = await self._quiet()
        heads = (0,) if case.to_head else ()
        line = await Line.open(self.worker.port)
        try:
            await line.send(case.request)
            if case.end == End.RESETS:
                await line.read_to_end()
            else:
                await line.read_answers(1, heads)
            await asyncio.sleep(case.pause)
            if case.dropped:
                await self._gone(self.script.everything()[0].connection)
            probes = await self._after(line, case.end, 1, heads)
            got = line.conversation(heads)
        finally:
            await line.close()
        seen = self.script.everything()
        used = seen[0].connection if seen else 0
        next_by = self.script.probes.get(probes[-1]) if probes else None
        probes += await self._barrier()
        if next_by is None:
            next_by = self.script.probes[probes[-1]]
        counted = expected(case.counted, probes)
        after = await self._settled(before, counted)
        problems = _judge_response(case, got, probes)
        if case.seen != b"":
            sent = b"".join(case.request) if case.seen is None else case.seen
            problems += _differs("the model server read", plain_up(seen), sent)
        if (next_by == used) != case.reused:
            problems.append(f"the next request came by connection {next_by}, this one by {used}")
        return [*problems, *_judge_counts(counted, before, after)]

    async def _after(
        self, line: Line, end: End, answers: int, heads: tuple[int, ...], *, leaves: bool = False
    ) -> list[int]:
        """See what becomes of the client's connection; the number of the probe that it carried, if any."""
        if leaves:
            return []
        if end != End.STAYS:
            await line.read_to_end()
            return []
        # A probe is answered with its own target only if both sides agree where the request before ended.
        number = next(self._probes)
        await line.send((b"GET /probe/%d HTTP/1.1\r\nHost: probe\r\n\r\n" % number,))
        await line.read_answers(answers + 1, heads)
        return [number]

    async def _barrier(self) -> list[int]:
        """Ask by another connection, and wait for the answer; nothing is on its way to anybody then."""
        line = await Line.open(self.worker.port)
        try:
            number = next(self._probes)
            await line.send((b"GET /probe/%d HTTP/1.1\r\nHost: probe\r\n\r\n" % number,))
            await line.read_answers(1, ())
            answers = line.conversation(()).answers
        finally:
            await line.close()
        assert [answer.body for answer in answers] == [b"GET /probe/%d HTTP/1.1" % number], line.data
        return [number]

    async def _gone(self, connection: int) -> None:
        """Wait until the worker has closed a connection to the model server."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while any(line.number == connection for line in self.script.lines):
            assert time.monotonic() < deadline, f"connection {connection} is still kept"
            await asyncio.sleep(0.002)

    async def _late(self, case: ResponseCase, late: bytes) -> Late:
        await self._barrier()
        self.script.reset(case)
        before = await self._quiet()
        line, numbers = await Line.open(self.worker.port), [next(self._probes), next(self._probes)]
        try:
            await line.send(case.request)
            await line.read_answers(1, ())
            self.script.late = late
            for number in numbers:
                await line.send((b"GET /probe/%d HTTP/1.1\r\nHost: probe\r\n\r\n" % number,))
                await line.read_answers(len(line.conversation(()).answers) + 1, ())
            got = line.conversation(())
        finally:
            await line.close()
        after = await self._quiet()
        return Late(
            got=got,
            own=[b"GET /probe/%d HTTP/1.1" % number for number in numbers],
            connections=[self.script.seen[0].connection, *(self.script.probes[number] for number in numbers)],
            counted=_moved(before, after),
        )

    async def _quiet(self) -> dict[str, int]:
        """The counters when nothing is in flight: an answer goes out before it is counted."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (count := self.count())["started"] != count["finished"]:
            assert time.monotonic() < deadline, count
            await asyncio.sleep(0.001)
        return count

    async def _settled(self, before: dict[str, int], counted: dict[str, int]) -> dict[str, int]:
        """The counters, as soon as they are as they should be, or have had the time for it."""
        deadline = time.monotonic() + DEADLINE_SECONDS / 2
        while True:
            after = self.count()
            if _moved(before, after) == counted or time.monotonic() > deadline:
                return after
            await asyncio.sleep(0.002)


def expected(counted: Any, probes: list[int]) -> dict[str, int]:
    """All counters that must move, the derived ones and those of the probes included."""
    wanted: dict[str, int] = dict(counted)
    if probes:
        wanted["ok"] = wanted.get("ok", 0) + len(probes)
        if "attempts" in wanted:
            wanted["attempts"] += len(probes)
    ended = sum(wanted.get(name, 0) for name in OUTCOME_NAMES)
    failed = sum(wanted.get(name, 0) for name in FAILURES)
    wanted = {"started": ended, "finished": ended, "attempts": ended, "failed": failed} | wanted
    return {name: number for name, number in wanted.items() if number}


def plain_up(seen: list[Seen]) -> bytes:
    """What the model server read, without the lines that Headgate adds."""
    return b"".join(ADDED_UP.sub(b"", one.data, count=1) for one in seen)


def plain_down(data: bytes) -> bytes:
    """What the client got, without the lines that Headgate adds."""
    return ADDED_DOWN.sub(b"", data)


def _judge_answers(case: RequestCase, got: Conversation, probes: list[int]) -> Iterator[str]:
    if case.leaves:
        return
    own = len(got.answers) - (1 if case.end == End.STAYS else 0)
    statuses = tuple(answer.status for answer in got.answers[:own])
    if statuses != case.answers:
        yield f"statuses are {statuses}, not {case.answers}: {got.data!r}"
    if got.end != case.end:
        yield f"the connection {got.end.name}, but it {case.end.name} in the case"
    if len(got.informational) != case.informational:
        yield f"{len(got.informational)} informational answers, not {case.informational}"
    for answer in got.answers[:own]:
        # The model server of these cases says nothing but 200.
        if (OWN_ERROR in answer.head) != (answer.status != 200):
            yield f"the answer {answer.status} does not say whose it is: {answer.head!r}"
    if case.end == End.STAYS:
        body = got.answers[-1].body if got.answers else b""
        if body != b"GET /probe/%d HTTP/1.1" % probes[0]:
            yield f"the next request of the connection was answered {body!r}"


def _judge_seen(case: RequestCase, seen: list[Seen]) -> Iterator[str]:
    data = plain_up(seen)
    if not case.cut_short:
        yield from _differs("the model server read", data, case.seen)
    elif any(one.whole for one in seen) or not case.seen.startswith(data):
        yield f"the model server read {data!r}, which is more than a beginning of {case.seen!r}"


def _judge_response(case: ResponseCase, got: Conversation, probes: list[int]) -> list[str]:
    problems = []
    status = got.answers[0].status if got.answers else int(got.data[9:12] or 0)
    if status != case.status:
        problems.append(f"the status is {status}, not {case.status}: {got.data!r}")
    if got.end != case.end:
        problems.append(f"the connection {got.end.name}, but it {case.end.name} in the case: {got.data!r}")
    data = got.data
    if case.end == End.STAYS:
        body = got.answers[-1].body if len(got.answers) == 2 else b""
        if not probes or body != b"GET /probe/%d HTTP/1.1" % probes[0]:
            problems.append(f"the next request of the connection was answered {body!r}: {got.data!r}")
        elif len(got.answers) == 2:
            data = data[: -len(got.answers[1].head + got.answers[1].body)]
    if case.got is None:
        if not got.answers or OWN_ERROR not in got.answers[0].head:
            problems.append(f"the answer is not Headgate's own: {got.data!r}")
    elif case.end == End.RESETS:
        # How much of what had come is still delivered is not ours to say; nothing may be added to it.
        if not case.got.startswith(plain_down(data)):
            problems.append(f"the client got {data!r}, which is no beginning of {case.got!r}")
    else:
        problems += _differs("the client got", plain_down(data), case.got)
    return problems


def _judge_counts(counted: dict[str, int], before: dict[str, int], after: dict[str, int]) -> Iterator[str]:
    moved = _moved(before, after)
    if moved != counted:
        yield f"counted {moved}, not {counted}"


def _judge_attempts(
    seen: int, probes: list[int], before: dict[str, int], after: dict[str, int]
) -> Iterator[str]:
    """The model server never sees a request that was not counted."""
    attempts = after["attempts"] - before["attempts"]
    if seen + len(probes) > attempts:
        yield f"the model server saw {seen + len(probes)} requests, {attempts} attempts were counted"


def _moved(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - count for name, count in before.items() if after[name] != count}


def _differs(what: str, data: bytes, wanted: bytes) -> list[str]:
    return [] if data == wanted else [f"{what} {data!r}, not {wanted!r}"]
