"""Choice of an endpoint inside an upstream: round robin or least in flight, both by weight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from itertools import accumulate
from random import random, randrange
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.endpoint import Endpoint


# Draws before a list of those that fit is made; with half of them unfit, four fail one time in sixteen.
TRIES: Final = 4


class Balancer(ABC):
    """Picks an endpoint for each request; one object for one upstream of one worker."""

    @abstractmethod
    def prepare(self, endpoints: list[Endpoint]) -> None:
        """Take note of the endpoints and weights of a new table."""

    @abstractmethod
    def pick(self, endpoints: list[Endpoint], avoid: Endpoint | None = None) -> Endpoint:
        """Pick an available endpoint other than `avoid`; when there is none, any endpoint will do.

        `avoid` is where a retry comes from. If every endpoint is ejected the upstream is tried all the same:
        being wrong about health must not turn one bad minute into an outage of our own making.
        """


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

    def pick(self, endpoints: list[Endpoint], avoid: Endpoint | None = None) -> Endpoint:
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
            return _any(endpoints, avoid)
        best: Endpoint | None = None
        earned = 0
        for endpoint in endpoints:
            if endpoint.available and endpoint is not avoid:
                endpoint.credit += endpoint.weight
                earned += endpoint.weight
                if best is None or endpoint.credit > best.credit:
                    best = endpoint
        if best is None:
            return _any(endpoints, avoid)
        best.credit -= earned
        return best


class LeastInFlight(Balancer):
    """The less busy of two endpoints drawn by weight ("power of two choices").

    Busy means requests in flight for each unit of weight. On a tie the first drawn wins, so that an idle
    upstream is used in the proportions of its weights.
    """

    __slots__ = ("_prepared", "_sums")

    def __init__(self) -> None:
        self._prepared: list[Endpoint] = []
        self._sums: list[int] = []

    def prepare(self, endpoints: list[Endpoint]) -> None:
        self._prepared = endpoints
        self._sums = list(accumulate(endpoint.weight for endpoint in endpoints))

    def pick(self, endpoints: list[Endpoint], avoid: Endpoint | None = None) -> Endpoint:
        if len(endpoints) == 1:
            return endpoints[0]
        first = self._draw(endpoints, avoid, None)
        if first is None:
            return _any(endpoints, avoid)
        second = self._draw(endpoints, avoid, first)
        if second is None or first.in_flight * second.weight <= second.in_flight * first.weight:
            return first
        return second

    def _draw(
        self, endpoints: list[Endpoint], avoid: Endpoint | None, taken: Endpoint | None
    ) -> Endpoint | None:
        """One endpoint by weight among those that are available and neither `avoid` nor `taken`."""
        # A request of an earlier table may still ask with that table's endpoints.
        if endpoints is self._prepared:
            sums = self._sums
            for _ in range(TRIES):
                endpoint = endpoints[bisect_right(sums, int(random() * sums[-1]))]
                if endpoint.available and endpoint is not avoid and endpoint is not taken:
                    return endpoint
        return _search(endpoints, avoid, taken)


BALANCERS: Final[dict[str, type[Balancer]]] = {"round_robin": RoundRobin, "least_in_flight": LeastInFlight}


def make_balancer(name: str) -> Balancer:
    """A new balancer by its name in the configuration."""
    return BALANCERS[name]()


def _search(endpoints: list[Endpoint], avoid: Endpoint | None, taken: Endpoint | None) -> Endpoint | None:
    """The draw when luck did not find one: builds the list of those that fit."""
    fit = [e for e in endpoints if e.available and e is not avoid and e is not taken]
    if not fit:
        return None
    sums = list(accumulate(endpoint.weight for endpoint in fit))
    return fit[bisect_right(sums, int(random() * sums[-1]))]


def _any(endpoints: list[Endpoint], avoid: Endpoint | None) -> Endpoint:
    """Nothing is both available and wanted: an available one, then anyone but `avoid`, then anyone."""
    others = [endpoint for endpoint in endpoints if endpoint is not avoid] or endpoints
    usable = [endpoint for endpoint in endpoints if endpoint.available]
    choice = usable or others
    return choice[randrange(len(choice))]
