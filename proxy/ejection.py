"""Which endpoints of an upstream are used: those that answer, unless so few do that all have to be tried.

An endpoint that fails several times in a row, at what only a sick server does (no connection, no answer, a
broken one, 502 to 504), is left out for a while, each time for twice as long. A plain 500 is the release's
own doing and would come from every endpoint: that is for guardrails to judge. Active probes, made by the
agent, have their say beside that. At most a share of the endpoints is ejected, and when too few are left all
are used again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.arms import EjectionSpec
    from proxy.endpoint import Endpoint

# What a gateway or an overloaded server says (RFC 9110, 15.6.3 to 15.6.5).
SICK_FROM: Final = 502
SICK_TO: Final = 504
DOUBLINGS_MAX: Final = 16


class Ejector:
    """The endpoints of one upstream in one worker; kept over tables. `turn` is called once a second."""

    __slots__ = ("endpoints", "now", "panic", "spec")

    def __init__(self, spec: EjectionSpec) -> None:
        self.spec = spec
        self.endpoints: list[Endpoint] = []
        self.now = 0.0
        # Whether so few are left that all are used.
        self.panic = False

    def adopt(self, spec: EjectionSpec, endpoints: list[Endpoint]) -> None:
        """Take the endpoints and settings of a new table."""
        self.spec = spec
        self.endpoints = endpoints
        for endpoint in endpoints:
            endpoint.ejector = self
        self.judge()

    def failed(self, endpoint: Endpoint) -> None:
        """An exchange failed at this endpoint."""
        endpoint.failed += 1
        endpoint.failures += 1
        spec = self.spec
        if not spec.failures or endpoint.failures < spec.failures or endpoint.ejected:
            return
        if sum(one.ejected for one in self.endpoints) >= int(spec.share * len(self.endpoints)):
            return
        seconds = min(spec.longest, spec.base * 2.0 ** min(endpoint.doublings, DOUBLINGS_MAX))
        endpoint.ejected = True
        endpoint.ejected_until = self.now + seconds
        endpoint.doublings += 1
        endpoint.ejections += 1
        self.judge()

    def turn(self, now: float) -> None:
        """Let back what has been out for long enough; ``now`` is in seconds of any clock that only grows."""
        self.now = now
        back = False
        for endpoint in self.endpoints:
            if endpoint.ejected and endpoint.ejected_until <= now:
                endpoint.ejected = False
                # One more failure, and it is out again.
                endpoint.failures = max(0, self.spec.failures - 1)
                back = True
            elif (
                endpoint.doublings
                and not endpoint.ejected
                and now - endpoint.ejected_until > self.spec.longest
            ):
                endpoint.doublings = 0
        if back:
            self.judge()

    def probed(self, down: set[bytes]) -> None:
        """Take what the agent's probes found: the keys of endpoints that are down."""
        for endpoint in self.endpoints:
            endpoint.down = endpoint.key in down
        self.judge()

    def judge(self) -> None:
        """Work out which endpoints are available."""
        well = sum(not (one.ejected or one.down) for one in self.endpoints)
        self.panic = well < self.spec.panic * len(self.endpoints)
        for endpoint in self.endpoints:
            endpoint.available = self.panic or not (endpoint.ejected or endpoint.down)

    def rows(self, upstream: str) -> list[list[object]]:
        """What is known of each endpoint, for the agent; see `proxy.endpoint_report`."""
        return [
            [
                upstream,
                one.key.decode("ascii"),
                one.requests,
                one.failed,
                one.ejections,
                int(one.ejected),
                int(one.down),
                one.in_flight,
            ]
            for one in self.endpoints
        ]
