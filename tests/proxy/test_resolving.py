"""Kept connections follow the name of their endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from proxy.resolving import ANSWERS, Resolver
from tests.helpers.waiting import until

OLD, NEW, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Pool:
    """Remembers which addresses are not to be used."""

    def __init__(self) -> None:
        self.gone: set[str] = set()

    def leave(self, addresses: Iterable[str]) -> None:
        self.gone |= set(addresses)

    def back(self, addresses: Iterable[str]) -> None:
        self.gone -= set(addresses)


class World:
    """One endpoint, servers of names that give these answers (the last again and again), and a clock."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.silent = False
        self.pool = Pool()
        self.task: asyncio.Task[None] | None = None
        self.resolver = Resolver(cast(Any, self), lambda: {"models.test": [self.pool]}, self.spawn)
        self.now = 0.0

    async def getaddrinfo(self, name: str, port: None, **_: object) -> list[Any]:
        """The next answer; an empty one is an error."""
        assert (name, port) == ("models.test", None)
        self.asked += 1
        if self.silent:
            await asyncio.sleep(60)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("no such name")
        return [(2, 1, 6, "", (address, 0)) for address in found]

    def spawn(self, work: Any) -> None:
        self.task = asyncio.ensure_future(work)

    async def look(self, times: int = 1) -> None:
        """Let the name be looked up so often."""
        for _ in range(times):
            self.now += 10
            self.resolver.turn(self.now)
            # Nothing is asked twice at a time, nor more often than every few seconds.
            self.resolver.turn(self.now + 0.1)
            await until(lambda: self.task is not None and self.task.done())


async def test_connections_leave_an_address_that_is_gone() -> None:
    """Not before three answers lack it."""
    world = World([OLD], [NEW])
    await world.look(ANSWERS)
    assert world.pool.gone == set()
    await world.look()

    assert world.pool.gone == {OLD}
    assert world.asked == ANSWERS + 1


async def test_parts_of_an_answer_close_nothing() -> None:
    """Some servers of names give two of three addresses, others each time."""
    world = World([OLD, NEW], [NEW, OTHER], [OTHER, OLD], [OLD, NEW], [NEW, OTHER], [OTHER, OLD])
    await world.look(6)

    assert world.pool.gone == set()


async def test_an_address_may_come_back() -> None:
    """Then its connections are kept again."""
    world = World([OLD], [NEW], [NEW], [NEW], [OLD])
    await world.look(4)
    assert world.pool.gone == {OLD}
    await world.look()

    assert world.pool.gone == set()


@pytest.mark.parametrize("silent", [True, False])
async def test_no_answer_is_no_news(monkeypatch: pytest.MonkeyPatch, silent: bool) -> None:
    """Neither an error nor silence."""
    monkeypatch.setattr("proxy.resolving.ANSWER_SECONDS", 0.01)
    world = World([OLD], [])
    await world.look()
    world.silent = silent
    await world.look(5)

    assert world.pool.gone == set()
