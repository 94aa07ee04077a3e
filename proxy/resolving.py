"""Looks up the names of endpoints again and again, so that kept connections follow a name that moves.

A new connection looks its name up by itself. But one that is never idle for long is never opened anew, and
would go on to where the name pointed when it was.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from proxy.context import WorkerContext
    from proxy.pool import Pool

LOOK_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 5.0
# Servers of names give changing parts of what they know: an address is gone when so many answers lack it.
ANSWERS: Final = 3

Addresses = frozenset[str]


class Followed(Protocol):
    """A pool of connections, as the resolver sees it."""

    def leave(self, addresses: Iterable[str]) -> None:
        """Use no connection to these addresses any more."""

    def back(self, addresses: Iterable[str]) -> None:
        """Use connections to these addresses again."""


Pools = Mapping[str, Sequence[Followed]]
"""By name."""


class Resolver:
    """Follows the names of one worker's endpoints, one question at a time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pools: Callable[[], Pools],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._loop = loop
        self._pools = pools
        self._spawn = spawn
        self._answers: dict[str, list[Addresses]] = {}
        self._next = 0.0
        self._busy = False

    def turn(self, now: float) -> None:
        """Begin to look the names up, if it is time to; called once a second."""
        if now >= self._next and not self._busy:
            self._next = now + LOOK_SECONDS
            pools = self._pools()
            if pools:
                self._busy = True
                self._spawn(self._look(pools))

    async def _look(self, pools: Pools) -> None:
        try:
            self._answers = {name: self._answers.get(name, []) for name in pools}
            for name, its in pools.items():
                addresses = await self._ask(name)
                if addresses:
                    self.answered(name, addresses, its)
        finally:
            self._busy = False

    async def _ask(self, name: str) -> Addresses:
        """The addresses of a name; none when there is no answer, which is no news."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await self._loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError):
            return frozenset()
        return frozenset(str(place[0]) for *_, place in found)

    def answered(self, name: str, addresses: Addresses, pools: Iterable[Followed]) -> None:
        """Take an answer, and let connections to addresses that are gone end with their requests."""
        answers = self._answers.setdefault(name, [])
        known = frozenset().union(*answers)
        answers.append(addresses)
        del answers[:-ANSWERS]
        still = frozenset().union(*answers)
        if known - still:
            for pool in pools:
                pool.leave(known - still)
        else:
            for pool in pools:
                pool.back(still)


def named(worker: WorkerContext) -> dict[str, list[Pool]]:
    """The pools of endpoints that are known by a name, by that name."""
    found: dict[str, list[Pool]] = {}
    for upstream in worker.live.table.upstreams:
        for endpoint in upstream.live:
            if endpoint.pool is not None and not endpoint.spec.path and not _is_address(endpoint.host):
                found.setdefault(endpoint.host, []).append(endpoint.pool)
    return found


def _is_address(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return False
    return True
