"""What is sent in a slice of time."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """What the load source counts."""

    REQUESTS = "requests"
    JSON = "json"
    EVENTS = "events"


class Setup(StrEnum):
    """What the proxies are asked to do; each has its own configuration of those that can do it."""

    PLAIN = "plain"
    JSON_KEY = "json-key"
    """Choose by a field of the JSON body."""
    SHADOW = "shadow"
    """Proxies that copy each request to a second upstream, each beside itself without copies."""
    PAIR = "pair"
    """Two workers, bound to no processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of load. `rate` 0 is a closed loop, otherwise requests a second over all connections.

    `idle` more connections are open all the while, each after one request.
    """

    name: str
    title: str
    target: str
    connections: int
    body_bytes: int = 0
    rate: float = 0.0
    mode: Mode = Mode.REQUESTS
    headers: tuple[str, ...] = ()
    setup: Setup = Setup.PLAIN
    idle: int = 0

    @property
    def unit(self) -> str:
        """What the cost is stated for."""
        return "event" if self.mode is Mode.EVENTS else "request"


# The last letter tells the static upstream what to answer: s 200 bytes, l 64 KiB, e a stream of events.
_INFER = "/v2/models/fraud/infer"

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload(
            name="w1",
            title="W1: POST of 512 B, answer of 200 B, 32 connections",
            target=_INFER + "/s",
            connections=32,
            body_bytes=512,
        ),
        Workload(
            name="w1-keep-alive",
            title="W1 with Connection: keep-alive",
            target=_INFER + "/s",
            connections=32,
            body_bytes=512,
            headers=("Connection: keep-alive",),
        ),
        Workload(
            name="w2",
            title="W2: 64 KiB both ways, 32 connections",
            target=_INFER + "/l",
            connections=32,
            body_bytes=65536,
        ),
        Workload(
            name="one", title="W1 on one connection", target=_INFER + "/s", connections=1, body_bytes=512
        ),
        Workload(
            name="sse",
            title="SSE: 100 streams, an event every 5 ms",
            target="/e",
            connections=100,
            mode=Mode.EVENTS,
        ),
        Workload(
            name="open-2000",
            title="W1 at 2 000 requests a second, open loop",
            target=_INFER + "/s",
            connections=32,
            body_bytes=512,
            rate=2000.0,
        ),
        Workload(
            name="json",
            title="JSON of 512 B, split by a field of it",
            target="/v1/chat/completions",
            connections=32,
            body_bytes=512,
            mode=Mode.JSON,
            setup=Setup.JSON_KEY,
        ),
        Workload(
            name="shadow",
            title="W1, every request copied to a shadow",
            target=_INFER + "/s",
            connections=32,
            body_bytes=512,
            setup=Setup.SHADOW,
        ),
        Workload(
            name="workers-2",
            title="W1 with two workers, 64 connections",
            target=_INFER + "/s",
            connections=64,
            body_bytes=512,
            setup=Setup.PAIR,
        ),
        Workload(
            name="idle-1000",
            title="W1 beside 1 000 idle connections",
            target=_INFER + "/s",
            connections=32,
            body_bytes=512,
            idle=1000,
        ),
    )
}
