"""The ways of choosing an endpoint by the names they have in the configuration."""

from __future__ import annotations

from typing import Final

from proxy.balancers.base import Balancer
from proxy.balancers.consistent_hash import ConsistentHash
from proxy.balancers.least_in_flight import LeastInFlight
from proxy.balancers.round_robin import RoundRobin

BALANCERS: Final[dict[str, type[Balancer]]] = {
    "round_robin": RoundRobin,
    "least_in_flight": LeastInFlight,
    "consistent_hash": ConsistentHash,
}


def make_balancer(name: str) -> Balancer:
    """A new balancer by its name in the configuration."""
    return BALANCERS[name]()
