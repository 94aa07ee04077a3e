"""What a request can be sent to: endpoints, upstreams, and the arms that are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy import plain

if TYPE_CHECKING:
    from proxy.admission import Gate
    from proxy.balancers.base import Balancer
    from proxy.endpoint import Endpoint
    from proxy.keys import KeyReader
    from proxy.rewriting import Rewrite
    from proxy.settings import Timeouts
    from proxy.tls import ClientTls


class EndpointSpec:
    """One address of an upstream, as configured."""

    __slots__ = ("authority", "host", "key", "path", "port", "tls", "weight")

    def __init__(
        self,
        host: str,
        port: int,
        weight: int,
        tls: ClientTls | None = None,
        path: str = "",
    ) -> None:
        self.host = host
        self.port = port
        self.weight = weight
        # How it is spoken to (`proxy.dial`): settings of TLS, or the path of a Unix socket.
        self.tls = tls
        self.path = path
        if path:
            self.key = path.encode()
            self.authority = b"localhost"
            return
        bracketed = f"[{host}]" if ":" in host else host
        # For the access log and for pools: always with its port.
        self.key = f"{bracketed}:{port}".encode("ascii")
        # For a Host header: the default port is left out (RFC 9110, 7.2).
        self.authority = bracketed.encode("ascii") if port == (80 if tls is None else 443) else self.key


class QueueSpec:
    """How many requests an upstream takes at once from one worker, and how many wait for how many seconds."""

    __slots__ = ("concurrency", "length", "seconds")

    def __init__(self, concurrency: int, length: int, seconds: float) -> None:
        self.concurrency = concurrency
        self.length = length
        self.seconds = seconds


class EjectionSpec:
    """When an endpoint is left out: failures in a row, seconds at first and at most, shares (0 to 1)."""

    __slots__ = ("base", "failures", "longest", "panic", "share")

    def __init__(self, failures: int, base: float, longest: float, share: float, panic: float) -> None:
        self.failures = failures
        self.base = base
        self.longest = longest
        self.share = share
        self.panic = panic


NO_EJECTION: Final = EjectionSpec(0, 1.0, 1.0, 0.0, 0.0)


class UpstreamSpec:
    """A named set of endpoints that serve one release.

    `queue` is None where nothing limits it. `live`, `balancer` and `gate` are put in by
    `EndpointRegistry.adopt` before the table is published; they are shared with earlier tables, so that a
    reload keeps connections and the turn of each endpoint.
    """

    __slots__ = (
        "balance",
        "balancer",
        "ejection",
        "endpoints",
        "gate",
        "index",
        "keys",
        "live",
        "name",
        "queue",
        "release",
        "rewrite",
        "timeouts",
    )

    def __init__(
        self,
        index: int,
        name: str,
        release: str,
        balance: str,
        endpoints: list[EndpointSpec],
        timeouts: dict[str, float],
        queue: QueueSpec | None = None,
        ejection: EjectionSpec = NO_EJECTION,
        keys: KeyReader | None = None,
    ) -> None:
        self.index = index
        self.ejection = ejection
        self.keys = keys
        self.queue = queue
        # Put in by `proxy.read_arms`, where there is one.
        self.rewrite: Rewrite | None = None
        self.name = name
        self.release = release
        self.balance = balance
        self.endpoints = endpoints
        self.timeouts = timeouts
        self.live: list[Endpoint] = []
        self.balancer: Balancer | None = None
        self.gate: Gate | None = None


class Arm:
    """One variant of one route in one stage: what is counted and judged.

    `slot` is the arm's row in a worker's counter page, 0 when it has none. `timeouts` are those of the
    table, changed by the upstream's, changed by the route's.
    """

    __slots__ = (
        "index",
        "role",
        "route",
        "slot",
        "stage",
        "timeouts",
        "upstream",
        "variant",
        "variant_bytes",
    )

    def __init__(
        self,
        index: int,
        slot: int,
        route: str,
        variant: str,
        role: str,
        upstream: UpstreamSpec,
        stage: str,
        timeouts: Timeouts,
    ) -> None:
        self.index = index
        self.slot = slot
        self.route = route
        self.variant = variant
        self.variant_bytes = variant.encode("utf-8")
        self.role = role
        self.upstream = upstream
        self.stage = stage
        self.timeouts = timeouts


def arm_at(value: object, arms: list[Arm], place: str) -> Arm:
    """The arm that a plain table names by its number.

    Raises:
        PlainError: there is none.
    """
    index = plain.integer(value, place)
    if index >= len(arms):
        raise plain.PlainError(place, f"there is no arm {index}")
    return arms[index]
