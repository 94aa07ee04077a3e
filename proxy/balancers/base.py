"""What a way of choosing an endpoint has to offer, and the draw when luck did not find one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from itertools import accumulate
from random import random, randrange
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from proxy.endpoint import Endpoint


class Balancer(ABC):
    """Picks an endpoint for each request; one object for one upstream of one worker."""

    keyed: ClassVar[bool] = False
    """Whether it wants to know a key of the request."""

    @abstractmethod
    def prepare(self, endpoints: list[Endpoint]) -> None:
        """Take note of the endpoints and weights of a new table."""

    @abstractmethod
    def pick(self, endpoints: list[Endpoint], avoid: Endpoint | None = None, key: int = 0) -> Endpoint:
        """Pick an available endpoint other than `avoid`; when there is none, any endpoint will do.

        `key` is a hash of 64 bits of the request's key, 0 without one.
        `avoid` is where a retry comes from. If every endpoint is ejected the upstream is tried all the same:
        being wrong about health must not turn one bad minute into an outage of our own making.
        """


def search(endpoints: list[Endpoint], avoid: Endpoint | None, taken: Endpoint | None) -> Endpoint | None:
    """The draw when luck did not find one: builds the list of those that fit."""
    fit = [e for e in endpoints if e.available and e is not avoid and e is not taken]
    if not fit:
        return None
    sums = list(accumulate(endpoint.weight for endpoint in fit))
    return fit[bisect_right(sums, int(random() * sums[-1]))]


def any_of(endpoints: list[Endpoint], avoid: Endpoint | None) -> Endpoint:
    """Nothing is both available and wanted: an available one, then anyone but `avoid`, then anyone."""
    others = [endpoint for endpoint in endpoints if endpoint is not avoid] or endpoints
    usable = [endpoint for endpoint in endpoints if endpoint.available]
    choice = usable or others
    return choice[randrange(len(choice))]
