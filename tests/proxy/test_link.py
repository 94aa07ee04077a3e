"""Tests of the link between agent and worker, over a real socket pair."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import link as link_module
from proxy.link import Lines, LinkError, WorkerLink, encode_message
from tests.helpers.waiting import until

START = {
    "type": "start",
    "index": 1,
    "boot": "00ff",
    "page": "/p/1",
    "siblings": ["/p/0"],
    "listeners": [{"host": "127.0.0.1", "port": 8080, "backlog": 5, "given": False, "fds": [7, 8]}],
    "table": {"revision": 7},
}


@dataclass
class Side:
    """A worker's link, the agent's end of it, and what the worker was told."""

    link: WorkerLink
    agent: socket.socket
    tables: list[dict[str, Any]] = field(default_factory=list)
    drains: int = 0
    losses: int = 0

    def tell(self, *messages: dict[str, Any]) -> None:
        self.agent.sendall(b"".join(encode_message(message) for message in messages))

    async def hear(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self.agent.setblocking(False)
        async with asyncio.timeout(60):
            line = await loop.sock_recv(self.agent, 65536)
        value: dict[str, Any] = json.loads(line)
        return value

    async def until(self, name: str, value: object) -> None:
        await until(lambda: getattr(self, name) == value)


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    """Both ends of a link."""
    agent, worker = socket.socketpair()
    side: Side

    def drained() -> None:
        side.drains += 1

    def lost() -> None:
        side.losses += 1

    side = Side(WorkerLink(worker.detach(), lambda table: side.tables.append(table), drained, lost), agent)
    yield side
    agent.close()
    side.link.close()
    # A transport closes its socket in a later turn of the loop.
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_start_tells_everything(side: Side) -> None:
    """The first message holds all that a worker needs to begin."""
    side.tell(START)

    start = side.link.read_start(timeout=60)

    assert (start.index, start.boot, start.page, start.siblings) == (1, "00ff", "/p/1", ["/p/0"])
    (listener,) = start.listeners
    assert (listener.host, listener.port, listener.backlog) == ("127.0.0.1", 8080, 5)
    assert listener.fds == [7, 8]
    assert start.table == {"revision": 7}


def test_start_must_come_in_time(side: Side) -> None:
    """A worker whose agent says nothing gives up."""
    with pytest.raises(LinkError, match=r"no start message within 0\.05 s"):
        side.link.read_start(timeout=0.05)


def test_lost_agent_ends_the_start(side: Side) -> None:
    """A worker whose agent dies before the start message does not begin."""
    side.agent.close()

    with pytest.raises(LinkError, match="closed the link before"):
        side.link.read_start(timeout=60)


def test_first_message_must_be_the_start(side: Side) -> None:
    """Anything else first is an error, not a start with half of it."""
    side.tell({"type": "table", "table": {}})

    with pytest.raises(LinkError, match="the first message is 'table', not 'start'"):
        side.link.read_start(timeout=60)


async def test_tables_come_in_order_also_early_ones(side: Side) -> None:
    """A table sent right behind the start is not lost while the loop does not run yet."""
    side.tell(START, {"type": "table", "table": {"revision": 8}})
    side.link.read_start(timeout=60)

    await side.link.connect()
    side.tell({"type": "table", "table": {"revision": 9}})

    await side.until("tables", [{"revision": 8}, {"revision": 9}])


async def test_worker_answers(side: Side) -> None:
    """What a worker says arrives as one message a line."""
    side.tell(START)
    side.link.read_start(timeout=60)
    side.link.failed("too early")
    assert await side.hear() == {"type": "error", "message": "too early"}

    await side.link.connect()
    side.link.ready([("127.0.0.1", 80)])
    assert await side.hear() == {"type": "ready", "addresses": [["127.0.0.1", 80]]}
    side.link.ack(9)
    assert await side.hear() == {"type": "ack", "revision": 9}
    side.link.drained()
    assert await side.hear() == {"type": "drained"}


async def test_drain_and_loss_are_told_once(side: Side) -> None:
    """An order to drain and the end of the agent each reach the worker once."""
    side.tell(START)
    side.link.read_start(timeout=60)
    await side.link.connect()

    side.tell({"type": "drain"})
    await side.until("drains", 1)
    side.agent.close()
    await side.until("losses", 1)

    # Speaking into a lost link is no error: the worker serves on without an agent.
    side.link.ack(3)
    assert (side.drains, side.losses, side.link.lost) == (1, 1, True)


async def test_unknown_message_is_reported(side: Side) -> None:
    """A newer agent learns that this worker does not understand it."""
    side.tell(START)
    side.link.read_start(timeout=60)
    await side.link.connect()

    side.tell({"type": "dance"})

    message = await side.hear()
    assert message["type"] == "error"
    assert "'dance'" in message["message"]


async def test_nonsense_ends_the_link(side: Side) -> None:
    """A stream out of step is not followed further; the worker goes on as if the agent were gone."""
    side.tell(START)
    side.link.read_start(timeout=60)
    await side.link.connect()

    side.agent.sendall(b"not json\n")

    assert (await side.hear())["type"] == "error"
    await side.until("losses", 1)


messages = st.lists(
    st.fixed_dictionaries({"type": st.text(max_size=8)}, optional={"table": st.text(max_size=200)}),
    min_size=1,
    max_size=10,
)


@given(messages, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_any_chunking_gives_the_same_messages(sent: list[dict[str, Any]], sizes: list[int]) -> None:
    """Where the kernel cuts the stream makes no difference."""
    stream = b"".join(encode_message(message) for message in sent)
    lines, received, place, turn = Lines(), list[dict[str, Any]](), 0, 0
    while place < len(stream):
        size = sizes[turn % len(sizes)]
        received += lines.feed(stream[place : place + size])
        place, turn = place + size, turn + 1

    assert received == sent


@pytest.mark.parametrize("line", [b"{", b"[]\n", b'"x"\n', b'{"type":3}\n', b"\n", b"\xff\n"])
def test_what_is_no_message_is_an_error(line: bytes) -> None:
    """Only JSON objects with a type are messages."""
    with pytest.raises(LinkError):
        Lines().feed(line if line.endswith(b"\n") else line + b"\n")


def test_endless_message_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer cannot fill our memory with one line."""
    monkeypatch.setattr(link_module, "MESSAGE_BYTES_MAX", 100)
    lines = Lines()
    for _ in range(10):
        lines.feed(b" " * 10)

    with pytest.raises(LinkError, match="longer than 100 bytes"):
        lines.feed(b" ")
