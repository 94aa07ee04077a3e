"""How fast a client has to be with its request body."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.relay import Relay

# A body's rate is not judged before: connections begin slowly.
GRACE_SECONDS: Final = 10


def drips(relay: Relay, rate: int) -> bool:
    """Whether the body has come more slowly than ``rate`` bytes a second, after a time of grace."""
    seconds = (perf_counter_ns() - int(relay.started_ns)) / 1e9
    return seconds > GRACE_SECONDS and int(relay.body_bytes) < rate * seconds
