"""Reads custom metrics from answers: from a header, or from a place in a JSON body.

Only routes with such metrics have a meter. What is looked at has been sent on already: a body is read from
copies of the pieces that went downstream, up to a bound, and parsed after the answer is out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from proxy import plain
from proxy.counters import METRIC_CELLS, METRICS, METRICS_MAX
from proxy.keys import JsonKey, parse_key
from proxy.looks import CONTENT_TYPE, Look, Looker, header, readable
from proxy.metric_counts import UNREADABLE, MetricScale, count_value
from proxy.outcomes import OK
from proxy.request import needle
from proxy.wire.chunked import ChunkError, ChunkTracker

if TYPE_CHECKING:
    import asyncio

    from proxy.relay import Relay
    from proxy.slot_counts import SlotCounts

FEEDBACK: Final = "feedback"
# Of an answer that is longer, or compressed, the body is not looked into.
LOOK_BYTES_MAX: Final = 64 * 1024
NUMBER_CHARACTERS_MAX: Final = 64


class Metric:
    """One metric of a route; `place` is its number in the route's list, which is where it is counted."""

    __slots__ = ("name", "place", "scale", "source")

    def __init__(self, name: str, place: int, source: str, scale: MetricScale) -> None:
        self.name = name
        self.place = place
        self.source = source
        self.scale = scale


class Meter(Looker):
    """The metrics of a route that are read from its answers."""

    __slots__ = ("_bodies", "_headers", "_loop")

    def __init__(self, metrics: Sequence[Metric], loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._headers: list[tuple[Metric, bytes]] = []
        self._bodies: list[tuple[Metric, JsonKey]] = []
        for metric in metrics:
            kind, _, rest = metric.source.partition(":")
            if kind == "header":
                self._headers.append((metric, needle(rest)))
            elif kind == "json":
                self._bodies.append((metric, JsonKey(rest)))

    def look(self, relay: Relay, data: bytes, end: int, length: int, *, chunked: bool) -> Look:
        lowered = data[:end].lower()
        values = [(metric, header(data, lowered, end, wanted)) for metric, wanted in self._headers]
        looks_into_body = (
            bool(self._bodies)
            and length <= LOOK_BYTES_MAX
            and b"json" in (header(lowered, lowered, end, CONTENT_TYPE) or b"")
            and readable(lowered, end)
        )
        return Values(relay.arm.counts, values, self._bodies, self._loop.call_soon, looks_into_body, chunked)


class Values(Look):
    """What one answer says."""

    __slots__ = ("_bodies", "_chunked", "_counts", "_later", "_pieces", "_size", "_values")

    def __init__(
        self,
        counts: SlotCounts,
        values: list[tuple[Metric, bytes | None]],
        bodies: list[tuple[Metric, JsonKey]],
        later: Callable[..., object],
        looks_into_body: bool,
        chunked: bool,
    ) -> None:
        self._counts = counts
        self._values = values
        self._bodies = bodies
        self._later = later
        self._pieces: list[bytes] | None = [] if looks_into_body else None
        self._size = 0
        self._chunked = chunked

    def add(self, data: bytes | memoryview) -> None:
        """Keep a copy of a piece that went downstream, within the bound."""
        pieces = self._pieces
        if pieces is None:
            return
        self._size += len(data)
        if self._size > LOOK_BYTES_MAX:
            self._pieces = None
        else:
            pieces.append(bytes(data))

    def end(self, outcome: int) -> int:
        """Count what a good answer says. Bodies are parsed in the next turn."""
        if outcome != OK:
            return outcome
        for metric, text in self._values:
            _count(self._counts, metric, text)
        if self._bodies:
            self._later(self._read_body)
        return outcome

    def _read_body(self) -> None:
        body = b"".join(self._pieces or ())
        if self._chunked and body:
            body = _content(body)
        for metric, key in self._bodies:
            _count(self._counts, metric, key.find(body))


def _count(counts: SlotCounts, metric: Metric, text: bytes | None) -> None:
    base = counts.base + METRICS + metric.place * METRIC_CELLS
    value = number(text)
    if value is None:
        counts.cells[base + UNREADABLE] += 1
    else:
        count_value(counts.cells, base, metric.scale, value)


def number(text: bytes | None) -> float | None:
    """The finite number that a text is; true and false are 1 and 0. None when it is none."""
    if text is None or len(text) > NUMBER_CHARACTERS_MAX:
        return None
    if text in (b"true", b"false"):
        return float(text == b"true")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _content(framed: bytes) -> bytes:
    """A chunked body without its framing; empty when it is not whole."""
    tracker = ChunkTracker(collect=True)
    try:
        return b"".join(tracker.payload) if tracker.feed(framed, 0) >= 0 else b""
    except ChunkError:
        return b""


def read_metrics(value: object, place: str) -> list[Metric]:
    """The metrics of a route in a table.

    Raises:
        PlainError: one is malformed, or there are too many.
    """
    entries = plain.items(value, place)
    if len(entries) > METRICS_MAX:
        raise plain.PlainError(place, f"has {len(entries)} metrics, at most {METRICS_MAX} are counted")
    metrics = []
    for index, item in enumerate(entries):
        at = f"{place}[{index}]"
        entry = plain.mapping(item, at)
        low, high = (_end(entry, name, at) for name in ("low", "high"))
        try:
            scale = MetricScale(low, high, log=entry.get("log") is True)
            source = plain.text(plain.required(entry, "source", at), f"{at}.source")
            if source != FEEDBACK:
                parse_key(source)
        except ValueError as error:
            raise plain.PlainError(at, str(error)) from error
        name = plain.text(plain.required(entry, "name", at), f"{at}.name")
        metrics.append(Metric(name, index, source, scale))
    return metrics


def _end(entry: object, name: str, place: str) -> float:
    value = plain.required(plain.mapping(entry, place), name, place)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise plain.PlainError(f"{place}.{name}", "must be a number")
    return float(value)
