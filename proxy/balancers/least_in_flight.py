"""The less busy of two endpoints drawn by weight."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from random import random
from typing import TYPE_CHECKING, Final

from proxy.balancers.base import Balancer, any_of, search

if TYPE_CHECKING:
    from proxy.endpoint import Endpoint

# Draws before a list of those that fit is made; with half of them unfit, four fail one time in sixteen.
TRIES: Final = 4


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

    def pick(self, endpoints: list[Endpoint], avoid: Endpoint | None = None, key: int = 0) -> Endpoint:
        del key
        if len(endpoints) == 1:
            return endpoints[0]
        first = self._draw(endpoints, avoid, None)
        if first is None:
            return any_of(endpoints, avoid)
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
        return search(endpoints, avoid, taken)
