"""Live state of endpoints, which outlives the tables that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from proxy.admission import Gate
from proxy.arms import EndpointSpec, UpstreamSpec
from proxy.balance import make_balancer
from proxy.balancers.base import Balancer
from proxy.ejection import Aside, Ejector, give_back
from proxy.tls import ClientTls

if TYPE_CHECKING:
    from proxy.pool import Pool
    from proxy.table import RoutingTable


Key: TypeAlias = tuple[str, str, int, ClientTls | None]


class Endpoint:
    """One address in use: its requests in flight, connections and health.

    `available` is False while the endpoint is ejected or down; balancers pass it over then, unless none
    is left.
    """

    __slots__ = (
        "aside",
        "authority",
        "available",
        "credit",
        "doublings",
        "down",
        "ejected",
        "ejected_until",
        "ejections",
        "ejector",
        "failed",
        "failures",
        "host",
        "in_flight",
        "key",
        "pool",
        "port",
        "requests",
        "spec",
        "weight",
    )

    def __init__(self, spec: EndpointSpec) -> None:
        self.spec = spec
        self.host = spec.host
        self.port = spec.port
        self.key = spec.key
        self.authority = spec.authority
        self.weight = spec.weight
        self.available = True
        self.in_flight = 0
        # Put in by `proxy.live` when a table is published; older tables keep using it.
        self.pool: Pool | None = None
        # Attempts it was given, those that failed, and how many of them in a row.
        self.requests = 0
        self.failed = 0
        self.failures = 0
        # What workers and probes make of that (`proxy.ejection`).
        self.ejector: Ejector | None = None
        self.ejected = False
        self.ejected_until = 0.0
        self.ejections = 0
        self.doublings = 0
        # Failed requests of the row it is in, until it is ejected or well.
        self.aside: list[Aside] = []
        self.down = False
        # Turn of this endpoint in a weighted round robin (see `proxy.balance`).
        self.credit = 0


class EndpointRegistry:
    """Keeps one `Endpoint` for each (upstream, address, TLS) over all tables of a worker."""

    __slots__ = ("_balancers", "_endpoints", "_gates", "down", "ejectors", "now")

    def __init__(self) -> None:
        self.ejectors: dict[str, Ejector] = {}
        self.now = 0.0
        # By upstream, the keys of endpoints that probes find down.
        self.down: dict[str, set[bytes]] = {}
        self._gates: dict[str, Gate] = {}
        self._endpoints: dict[Key, Endpoint] = {}
        self._balancers: dict[tuple[str, str], Balancer] = {}

    def probed(self, down: dict[str, set[bytes]]) -> None:
        """Take what the agent's probes found."""
        self.down = down
        for name, ejector in self.ejectors.items():
            ejector.probed(down.get(name, set()))

    def turn(self, now: float) -> None:
        """Let endpoints back whose time is over; called once a second, and first of all."""
        self.now = now
        for ejector in self.ejectors.values():
            ejector.turn(now)

    def report(self) -> list[list[object]]:
        """What is known of all endpoints."""
        return [row for name, ejector in self.ejectors.items() for row in ejector.rows(name)]

    def waiting(self) -> int:
        """How many requests wait for a place at their upstream."""
        return sum(gate.waiting for gate in self._gates.values())

    def adopt(self, table: RoutingTable) -> list[Endpoint]:
        """Give the table's upstreams their live endpoints; call it before the table is published.

        Returns the endpoints no longer named, whose idle connections the caller closes; requests in flight
        on them end as usual, because older tables still hold them.
        """
        before = self._endpoints
        endpoints: dict[Key, Endpoint] = {}
        balancers: dict[tuple[str, str], Balancer] = {}
        gates: dict[str, Gate] = {}
        ejectors: dict[str, Ejector] = {}
        for upstream in table.upstreams:
            upstream.live = [_reuse(upstream, spec, before, endpoints) for spec in upstream.endpoints]
            kind = (upstream.name, upstream.balance)
            balancer = self._balancers.get(kind)
            if balancer is None:
                balancer = make_balancer(upstream.balance)
            balancer.prepare(upstream.live)
            balancers[kind] = balancer
            upstream.balancer = balancer
            ejector = self.ejectors.get(upstream.name)
            if ejector is None:
                ejector = Ejector(upstream.ejection)
                ejector.now = self.now
            ejector.adopt(upstream.ejection, upstream.live)
            ejectors[upstream.name] = ejector
            if upstream.queue is not None:
                gate = self._gates.get(upstream.name)
                if gate is None:
                    gate = Gate(upstream.queue)
                gate.set(upstream.queue)
                gates[upstream.name] = gate
                upstream.gate = gate
        self._gates = gates
        self.ejectors = ejectors
        self.probed(self.down)
        self._endpoints = endpoints
        self._balancers = balancers
        gone = [endpoint for key, endpoint in before.items() if key not in endpoints]
        for endpoint in gone:
            give_back(endpoint)
        return gone


def _reuse(
    upstream: UpstreamSpec,
    spec: EndpointSpec,
    before: dict[Key, Endpoint],
    endpoints: dict[Key, Endpoint],
) -> Endpoint:
    # Spoken to in another way it is another endpoint: its connections are of no use any more.
    key = (upstream.name, spec.path or spec.host, spec.port, spec.tls)
    endpoint = before.get(key)
    if endpoint is None:
        endpoint = Endpoint(spec)
    endpoint.spec = spec
    endpoint.weight = spec.weight
    endpoints[key] = endpoint
    return endpoint
