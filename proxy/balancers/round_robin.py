"""Each endpoint in turn, by weight."""

from __future__ import annotations

from random import randrange
from typing import TYPE_CHECKING

from proxy.balancers.base import Balancer, any_of

if TYPE_CHECKING:
    from proxy.endpoint import Endpoint


class RoundRobin(Balancer):
    """Each endpoint in turn, as often as its weight says, spread evenly over the cycle.

    The smooth weighted form: everyone earns its weight, the richest is picked and pays what all earned.
    """

    __slots__ = ("_equal", "_next")

    def __init__(self) -> None:
        self._equal = True
        # A random start, so that several workers do not all begin with the first endpoint.
        self._next = randrange(1 << 16)

    def prepare(self, endpoints: list[Endpoint]) -> None:
        self._equal = all(endpoint.weight == endpoints[0].weight for endpoint in endpoints)

    def pick(self, endpoints: list[Endpoint], avoid: Endpoint | None = None, key: int = 0) -> Endpoint:
        del key
        count = len(endpoints)
        if count == 1:
            return endpoints[0]
        if self._equal:
            for _ in range(count):
                turn = self._next + 1
                if turn >= count:
                    turn %= count
                self._next = turn
                endpoint = endpoints[turn]
                if endpoint.available and endpoint is not avoid:
                    return endpoint
            return any_of(endpoints, avoid)
        best: Endpoint | None = None
        earned = 0
        for endpoint in endpoints:
            if endpoint.available and endpoint is not avoid:
                endpoint.credit += endpoint.weight
                earned += endpoint.weight
                if best is None or endpoint.credit > best.credit:
                    best = endpoint
        if best is None:
            return any_of(endpoints, avoid)
        best.credit -= earned
        return best
