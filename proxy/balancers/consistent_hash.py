"""The same endpoint for the same key, for as long as it is there (rendezvous hashing)."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, ClassVar, Final

from xxhash import xxh3_64_intdigest

from proxy.balancers.base import Balancer, any_of

if TYPE_CHECKING:
    from proxy.endpoint import Endpoint

SCALE: Final = 2.0**-64


def key_hash(key: bytes | None) -> int:
    """The number that stands for a request's key; 0 without one."""
    return int(xxh3_64_intdigest(key)) | 1 if key else 0


class ConsistentHash(Balancer):
    """The endpoint whose score for the key is highest: an endpoint that goes takes only its own keys along.

    Scores are ``-weight / ln(u)`` with u uniform from endpoint and key, which gives each endpoint its share
    by weight (Wang & Ravishankar, Using name-based mappings to increase hit rates, 1998). Keys of an endpoint
    that is not available go to their second choice, and come back with it. Requests without a key are spread
    by the number of picks, evenly.
    """

    keyed: ClassVar[bool] = True

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = 0

    def prepare(self, endpoints: list[Endpoint]) -> None:
        """Nothing is to be prepared: the choice depends on the endpoints that are there."""

    def pick(self, endpoints: list[Endpoint], avoid: Endpoint | None = None, key: int = 0) -> Endpoint:
        if key == 0:
            self._turn += 1
            key = self._turn
        best: Endpoint | None = None
        highest = -1.0
        for endpoint in endpoints:
            if endpoint.available and endpoint is not avoid:
                uniform = (xxh3_64_intdigest(endpoint.key, key) + 0.5) * SCALE
                score = endpoint.weight / -log(uniform) if uniform < 1.0 else float("inf")
                if score > highest:
                    highest = score
                    best = endpoint
        return any_of(endpoints, avoid) if best is None else best
