"""Which endpoints of an upstream are used: those that answer, unless so few do that all have to be tried.

An endpoint that fails several times in a row, at what only a sick server does (no connection, no answer, a
broken one, 502 to 504), is left out for a while, each time for twice as long. A plain 500 is the release's
own doing and would come from every endpoint: that is for guardrails to judge. Active probes, made by the
agent, have their say beside that. At most a share of the endpoints is ejected, and when too few are left all
are used again.

What fails at one endpoint while the others are well is no verdict on a release. So requests that fail in such
a row are set aside in the counters of their arm. If the row ends in an ejection they stay there. They count
like any other if it ends with a success, if it lasts for too long, or if there are so many sick endpoints
that no other may be ejected: then it is not one endpoint that is sick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.counters import ASIDE_0, RETURNED_0

if TYPE_CHECKING:
    from proxy.arms import EjectionSpec
    from proxy.endpoint import Endpoint
    from proxy.relay import Relay
    from proxy.slot_counts import SlotCounts

# What a gateway or an overloaded server says (RFC 9110, 15.6.3 to 15.6.5).
SICK_FROM: Final = 502
SICK_TO: Final = 504
DOUBLINGS_MAX: Final = 16
# Seconds for which a row may go on before its failures count; where requests are rare, a canary that fails
# altogether is not to be missed for long.
ASIDE_SECONDS: Final = 30.0
# Failures set aside while it is open whether their endpoint is ejected; further ones count at once.
ASIDE_MAX: Final = 64


class Aside:
    """A failed request that is set aside: who counted it, how it ended, of which group of keys, and when."""

    __slots__ = ("at", "counts", "group", "outcome")

    def __init__(self, counts: SlotCounts, outcome: int, group: int, at: float) -> None:
        self.counts = counts
        self.outcome = outcome
        self.group = group
        self.at = at


def lose(endpoint: Endpoint, relay: Relay, outcome: int) -> None:
    """A request fails at this endpoint, and is about to be counted with this outcome."""
    ejector = endpoint.ejector
    if ejector is not None:
        ejector.failed(endpoint)
        if (
            relay.arm.failure[outcome]
            and not relay.overridden
            and ejector.charge(endpoint, relay.arm.counts, outcome, relay.group)
        ):
            # Its keys have not failed by it either, unless it is given back.
            relay.group = -1


def recover(endpoint: Endpoint) -> None:
    """A request has succeeded at this endpoint: its row of failures is over."""
    endpoint.failures = 0
    if endpoint.aside:
        give_back(endpoint)


def give_back(endpoint: Endpoint) -> None:
    """Let what was set aside at this endpoint count after all."""
    for one in endpoint.aside:
        one.counts.cells[one.counts.base + RETURNED_0 + one.outcome] += 1
        if one.group >= 0:
            one.counts.fail_in(one.group)
    endpoint.aside.clear()


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
        # Before a counter can belong to another arm.
        for endpoint in self.endpoints:
            give_back(endpoint)
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
        if not self._may_eject():
            give_back(endpoint)
            return
        seconds = min(spec.longest, spec.base * 2.0 ** min(endpoint.doublings, DOUBLINGS_MAX))
        endpoint.ejected = True
        endpoint.ejected_until = self.now + seconds
        endpoint.doublings += 1
        endpoint.ejections += 1
        self.judge()
        if self.panic:
            give_back(endpoint)
        else:
            endpoint.aside.clear()

    def charge(self, endpoint: Endpoint, counts: SlotCounts, outcome: int, group: int) -> bool:
        """Say that the failure just told of has cost a request of this arm, which is about to be counted.

        Returns whether it is set aside; ``group`` is that of its key, -1 without one.
        """
        if endpoint.ejected:
            if self.panic:
                return False
        elif self.spec.failures and len(endpoint.aside) < ASIDE_MAX and self._may_eject():
            endpoint.aside.append(Aside(counts, outcome, group, self.now))
        else:
            return False
        counts.cells[counts.base + ASIDE_0 + outcome] += 1
        return True

    def _may_eject(self) -> bool:
        """Whether one more endpoint may be left out."""
        ejected = 0
        for one in self.endpoints:
            ejected += one.ejected
        return ejected < int(self.spec.share * len(self.endpoints))

    def turn(self, now: float) -> None:
        """Let back what has been out for long enough; ``now`` is in seconds of any clock that only grows."""
        self.now = now
        back = False
        for endpoint in self.endpoints:
            if endpoint.aside and now - endpoint.aside[0].at > ASIDE_SECONDS:
                give_back(endpoint)
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
