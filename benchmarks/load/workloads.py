"""What is sent in a slice of time."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """What the load source counts."""

    REQUESTS = "requests"
    EVENTS = "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of load. `rate` 0 is a closed loop, otherwise requests a second over all connections."""

    name: str
    title: str
    target: str
    connections: int
    body_bytes: int = 0
    rate: float = 0.0
    mode: Mode = Mode.REQUESTS
    headers: tuple[str, ...] = ()

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
    )
}
