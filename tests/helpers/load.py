"""Clients at a steady rate, and an honest account of what each of their requests came to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

ANSWER_SECONDS = 60.0
GAP_SECONDS = 0.1


@dataclass(slots=True)
class Account:
    """What became of requests. Every one of them is in exactly one of the first five."""

    answered: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """By place, variant and status: a whole answer came."""
    refused: int = 0
    """Nobody accepted the connection, so nothing was sent."""
    stale: int = 0
    """A kept connection was closed as a request went out on it; clients send such a request again."""
    broken: int = 0
    """A new connection, or one in the middle of an answer, was closed."""
    silent: int = 0
    """No answer within the time."""
    gaps: list[tuple[float, float]] = field(default_factory=list)
    """Times without an answer, from `GAP_SECONDS` on: when they ended, by the loop's clock, and how long."""
    errors: list[str] = field(default_factory=list)
    """The first of what was not as it should be; connections that were refused are only counted."""
    last_answer: float = 0.0

    @property
    def gap_seconds(self) -> float:
        """The longest time without an answer; 0 when none was worth noting."""
        return max((length for _, length in self.gaps), default=0.0)

    def gap_since(self, at: float) -> float:
        """The longest of those that ended after a time of the loop's clock."""
        return max((length for ended, length in self.gaps if ended > at), default=0.0)

    @property
    def total_answered(self) -> int:
        return self.answered.total()

    @property
    def total(self) -> int:
        """All requests that were begun, those nobody accepted included."""
        return self.total_answered + self.refused + self.stale + self.broken + self.silent

    @property
    def unanswered(self) -> int:
        """Requests that were sent, or might have been, and have no whole answer."""
        return self.stale + self.broken + self.silent

    def count(self, *, place: str = "", variant: str = "", status: int = 0) -> int:
        """Answers with these marks; an empty mark matches all."""
        return sum(
            number
            for (where, who, what), number in self.answered.items()
            if place in ("", where) and variant in ("", who) and status in (0, what)
        )

    @property
    def not_ok(self) -> int:
        """Answers other than 200."""
        return sum(number for (_, _, status), number in self.answered.items() if status != 200)


class Load:
    """`clients` connections that send `rate` requests a second to `places`, in turn, until stopped."""

    def __init__(
        self,
        port: int,
        places: Sequence[str],
        *,
        rate: float,
        clients: int = 4,
        keep_alive: bool = True,
        headers: Mapping[str, str] | None = None,
        users: int = 1_000_000,
    ) -> None:
        self.port = port
        self.account = Account()
        self._places = places
        self._rate = rate
        self._clients = clients
        self._keep_alive = keep_alive
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._users = users
        self._numbers = itertools.count()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Send until stopped."""
        async with asyncio.TaskGroup() as tasks:
            for index in range(self._clients):
                tasks.create_task(self._client(index))

    def stop(self) -> None:
        """Finish what is in flight and end."""
        self._stopped.set()

    async def _client(self, index: int) -> None:
        loop = asyncio.get_running_loop()
        period = self._clients / self._rate
        due = loop.time() + period * index / self._clients
        stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while not self._stopped.is_set():
                await asyncio.sleep(max(0.0, due - loop.time()))
                # What was late is not made up in a burst.
                due = max(due + period, loop.time())
                stream = await self._one(stream)
                if not self._keep_alive and stream is not None:
                    stream[1].close()
                    stream = None
        finally:
            if stream is not None:
                stream[1].close()

    async def _one(
        self, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Send one request; return the connection if it may be used again."""
        account = self.account
        number = next(self._numbers)
        place = self._places[number % len(self._places)]
        if stream is not None and stream[0].at_eof():
            # Closed while it was idle; nothing is lost by opening another one.
            stream[1].close()
            stream = None
        kept = stream is not None
        if stream is None:
            try:
                stream = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                account.refused += 1
                return None
        reader, writer = stream
        got = b""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                user = f"x-user-id: u{number % self._users}"
                writer.write(f"GET /{place} HTTP/1.1\r\nhost: test\r\n{user}\r\n{self._lines}\r\n".encode())
                try:
                    got = await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError as exc:
                    got = exc.partial
                    raise
                status, variant, length, close = _read_head(got)
                await reader.readexactly(length)
        except TimeoutError:
            account.silent += 1
            self._note(f"{place}: no answer in {ANSWER_SECONDS:g} s")
        except (OSError, asyncio.IncompleteReadError) as exc:
            if kept and not got:
                account.stale += 1
            else:
                account.broken += 1
            self._note(f"{place}: {exc!r} on a {'kept' if kept else 'new'} connection after {len(got)} bytes")
        else:
            account.answered[place, variant, status] += 1
            now = asyncio.get_running_loop().time()
            if account.last_answer and now - account.last_answer > GAP_SECONDS:
                account.gaps.append((now, now - account.last_answer))
            account.last_answer = now
            if status != 200:
                self._note(f"{place}: {status} of {variant}")
            if not close:
                return stream
        writer.close()
        return None

    def _note(self, text: str) -> None:
        if len(self.account.errors) < 50:
            self.account.errors.append(text)


def _read_head(head: bytes) -> tuple[int, str, int, bool]:
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:-2])
    return (
        int(lines[0].split(" ")[1]),
        fields.get("x-headgate-variant", ""),
        int(fields["content-length"]),
        fields.get("connection") == "close",
    )


@contextlib.asynccontextmanager
async def load(
    port: int,
    *places: str,
    rate: float = 200.0,
    clients: int = 4,
    keep_alive: bool = True,
    headers: Mapping[str, str] | None = None,
    users: int = 1_000_000,
) -> AsyncIterator[Load]:
    """Load in the background; every request of it has come to something at the end."""
    running = Load(
        port, places, rate=rate, clients=clients, keep_alive=keep_alive, headers=headers, users=users
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        try:
            yield running
        finally:
            running.stop()


async def send(port: int, place: str, count: int, *, headers: Mapping[str, str] | None = None) -> Account:
    """Send `count` requests one after the other; return what they came to."""
    sender = Load(port, [place], rate=1.0, headers=headers)
    stream = None
    for _ in range(count):
        stream = await sender._one(stream)
    if stream is not None:
        stream[1].close()
    return sender.account
