"""One shadow of one route in a worker: decides which requests are copied, sends them, counts every end."""

from __future__ import annotations

from random import random
from typing import TYPE_CHECKING, Final

from proxy.model_names import json_name, renamed_copy
from proxy.outcomes import OK, UPSTREAM_5XX, outcome_of_status
from proxy.request import RequestView
from proxy.shadow.cells import ELIGIBLE, MIRRORED_0, PAIRED, SKIPPED, SKIPPED_0, UNPAIRED_0, size_class
from proxy.shadow.heads import names_field
from proxy.shadow.lane import Lane
from proxy.shadow.tap import ANSWERED, COLLECTING, GONE, PAIRABLE, SENT, SKIP_TOO_LARGE, Copy
from proxy.splits.sticky import fraction_of
from proxy.timers import ticks

if TYPE_CHECKING:
    from proxy.endpoint import Endpoint
    from proxy.keys import KeyReader
    from proxy.rewriting import Rewrite
    from proxy.shadow.copy_counts import CopyCounts
    from proxy.shadow.shadows import Shadows
    from proxy.shadow.spec import ShadowSpec
    from proxy.shadow.tap import Tap
    from proxy.wire.head import RequestHead

# Places in the counter page, by their names in `proxy.shadow.cells`.
SAMPLED_OUT: Final = 0
METHOD: Final = 1
VARIANT: Final = 2
OVERRIDE: Final = 3
UPGRADE: Final = 4
IN_FLIGHT: Final = 7
LAG: Final = 8
UNREACHABLE: Final = 9
UNFINISHED: Final = 10
SHADOW_FAILED: Final = 2
COMPARER: Final = 5
SIZE_CLASSES: Final = 5


class Mirror:
    """The live state of a shadow; it outlives tables, so that its budget covers copies of earlier ones."""

    __slots__ = (
        "answer_max",
        "body_max",
        "capture_max",
        "compare_share",
        "counts",
        "deadline",
        "dropped",
        "in_flight",
        "in_flight_max",
        "key",
        "lag",
        "lanes",
        "marker",
        "memory",
        "memory_max",
        "methods",
        "model",
        "number",
        "only",
        "plain",
        "ready",
        "reference",
        "rewrite",
        "seed",
        "shadows",
        "share",
        "sought",
        "spare",
        "turn",
    )

    def __init__(self, shadows: Shadows) -> None:
        self.shadows = shadows
        self.memory = 0
        self.in_flight = 0
        self.turn = 0
        self.lanes: list[Lane] = []
        # Of the straight way (`proxy.shadow.straight`): what goes out at the next turn, and what may be used
        # again.
        self.ready: list[Copy] = []
        self.spare: list[Copy] = []

    def adopt(self, spec: ShadowSpec, counts: CopyCounts, endpoints: list[Endpoint], number: int) -> None:
        """Follow another table; `number` names what copies are compared as."""
        self.counts = counts
        self.number: int = number
        self.share: float = spec.share
        self.key: KeyReader | None = spec.key
        self.seed: int = spec.seed
        self.methods: list[bytes] = spec.methods
        self.reference: list[int] = spec.reference
        self.memory_max: int = spec.memory_max
        self.in_flight_max: int = spec.in_flight_max
        self.deadline: int = ticks(spec.deadline)
        self.body_max: int = spec.body_max
        self.answer_max: int = spec.answer_max
        self.capture_max: int = spec.capture_max
        self.compare_share: float = spec.compare_share
        self.lag: float = spec.lag
        self.marker: bytes = spec.marker + b": 1\r\n" if spec.marker else b""
        # Lower-case names with their colon: the marker is ours alone.
        self.dropped: list[bytes] = [name + b":" for name in (spec.marker.lower(), *spec.remove) if name]
        self.rewrite: Rewrite | None = spec.arm.upstream.rewrite
        # What its servers call the model, as a JSON string; empty where that is what clients say.
        self.model: bytes = b"" if self.rewrite is None else json_name(self.rewrite.model)
        kept = {(lane.host, lane.port): lane for lane in self.lanes}
        self.lanes = []
        for endpoint in endpoints:
            lane = kept.pop((endpoint.host, endpoint.port), None)
            if lane is None:
                lane = Lane(self, endpoint)
            lane.endpoint = endpoint
            self.lanes.append(lane)
        for lane in kept.values():
            lane.retire()
        # Nothing to take turns between, and nothing of a request to change.
        self.only: Lane | None = self.lanes[0] if len(self.lanes) == 1 else None
        self.judge(self.dropped)

    def judge(self, sought: list[bytes]) -> None:
        """Take note of which fields have to be searched for; see `Shadows.look_for`."""
        self.sought: list[bytes] = sought
        self.plain = self.rewrite is None and not sought

    def retire(self) -> None:
        """The table has no such shadow any more: close what nobody uses now, and the rest after its use."""
        for lane in self.lanes:
            lane.retire()
        self.lanes = []
        self.only = None

    # Before the request goes anywhere.

    def takes(
        self, arm: int, head: RequestHead, data: bytes, end: int, client: bytes, overridden: bool
    ) -> bool:
        """Whether a request is to be copied; counts it, and why not."""
        counts = self.counts
        counts.add(ELIGIBLE)
        reason = -1
        length: int = head.content_length
        if overridden:
            reason = OVERRIDE
        elif arm not in self.reference:
            reason = VARIANT
        elif self.methods and head.method not in self.methods:
            reason = METHOD
        elif head.upgrade:
            reason = UPGRADE
        elif self.share < 1.0 and not self._drawn(head, data, end, client):
            reason = SAMPLED_OUT
        elif self.shadows.late > self.lag > 0.0:
            reason = LAG
        elif length > self.body_max:
            reason = SKIP_TOO_LARGE
        elif self.in_flight >= self.in_flight_max:
            reason = IN_FLIGHT
        if reason < 0:
            return True
        self._count_skip(counts, reason, length)
        return False

    def _drawn(self, head: RequestHead, data: bytes, end: int, client: bytes) -> bool:
        key = self.key
        if key is None:
            return random() < self.share
        value = key.read(RequestView.of(head, data, end, client))
        # Without a key there is nobody to be consistent to.
        return (random() if value is None else fraction_of(value, self.seed)) < self.share

    def pairing(self) -> int:
        """Whether the answers to the next copy are to be compared, or why not."""
        share = self.compare_share
        if share >= 1.0 or (share > 0.0 and random() < share):
            return PAIRABLE
        return SAMPLED_OUT

    # Once the request is whole.

    def send(self, copy: Copy) -> None:
        """Send a copy if a connection can be had now or opened; it never waits for another copy's end."""
        tap = copy.tap
        if tap is not None and tap.finished and not OK <= tap.outcome <= UPSTREAM_5XX and not tap.status:
            # The primary itself was not asked: shed, or not to be reached.
            self.skip(copy, UNFINISHED)
            return
        if self.shadows.closing:
            self.skip(copy, UNFINISHED)
            return
        if self.in_flight >= self.in_flight_max:
            self.skip(copy, IN_FLIGHT)
            return
        lane = self._lane()
        if lane is None:
            self.skip(copy, UNREACHABLE)
            return
        counts = copy.counts
        counts.add(MIRRORED_0 + size_class(copy.body_bytes))
        counts.slot.start(-1)
        copy.state = SENT
        if lane.paused_until:
            lane.probe = copy
        if tap is None:
            at = len(copy.message) - copy.body_bytes - 2
            copy.message = b"".join((copy.message[:at], self.marker, copy.message[at:]))
        elif model := self.model or tap.client_model:
            copy.message = self._message_for(tap, model)
        else:
            copy.message = b"".join((self._head(tap), self.marker, tap.first[tap.head_end :]))
            copy.pieces = tap.pieces
        self.in_flight += 1
        lane.send(copy)

    def _lane(self) -> Lane | None:
        """The next endpoint that can be reached, as far as is known."""
        lanes = self.lanes
        count = len(lanes)
        now: int = self.shadows.wheel.now
        for _ in range(count):
            self.turn += 1
            if self.turn >= count:
                self.turn = 0
            lane = lanes[self.turn]
            if not lane.paused_until or lane.may_probe(now):
                return lane
        return None

    def _head(self, tap: Tap) -> bytes:
        """The lines of the copy's head: what its version would have got as the primary."""
        first = tap.first
        head_end = tap.head_end
        plain = tap.plain_head
        rewrite = self.rewrite
        # The shadow gets the whole request at once, so it has nothing to permit.
        if (
            plain
            or rewrite is not None
            or tap.expect
            or tap.marked
            or names_field(first, head_end, self.sought)
        ):
            head = self._without(plain or first[:head_end])
            return head if rewrite is None else rewrite.apply(head)
        return first[:head_end]

    def _message_for(self, tap: Tap, model: bytes) -> bytes:
        """The whole copy, with the name that its version knows the model by."""
        body = tap.first[tap.head_end + 2 :]
        if tap.pieces is not None:
            body = b"".join((body, *tap.pieces))
        limit: int = self.shadows.worker.live.table.limits.inspect_bytes
        head, body = renamed_copy(self._head(tap), body, model, limit)
        return b"".join((head, self.marker, b"\r\n", body))

    def _without(self, head: bytes) -> bytes:
        names = [*self.dropped, b"expect:"]
        kept: list[bytes] = []
        for line in head.split(b"\r\n"):
            lowered = line.lower()
            drop = False
            for name in names:
                if lowered.startswith(name):
                    drop = True
            if not drop:
                kept.append(line)
        return b"\r\n".join(kept)

    # Ends.

    def skip(self, copy: Copy, reason: int) -> None:
        """A copy that was being collected is not sent."""
        if copy.state != COLLECTING:
            return
        copy.state = GONE
        self._release(copy)
        self._count_skip(copy.counts, reason, copy.body_bytes)

    def _count_skip(self, counts: CopyCounts, reason: int, size: int) -> None:
        counts.add(SKIPPED_0 + reason * SIZE_CLASSES + size_class(size))
        counts.add(SKIPPED)

    def ended(self, copy: Copy, outcome: int, now_ns: int) -> None:
        """The shadow has answered by `now_ns`, or failed in the way that `outcome` says."""
        if copy.state != SENT:
            return
        copy.state = ANSWERED
        self.in_flight -= 1
        if outcome == OK and copy.status >= 400:
            outcome = int(outcome_of_status(copy.status))
        if outcome <= UPSTREAM_5XX:
            copy.shadow_us = (now_ns - copy.started_ns) // 1000
        elif copy.unpaired == PAIRABLE:
            copy.spoil(SHADOW_FAILED)
        copy.counts.end(outcome, copy.shadow_us)
        if copy.tap is None or copy.tap.finished:
            self.settle(copy)

    def settle(self, copy: Copy) -> None:
        """Both sides have ended: hand the pair on, or count why not."""
        copy.state = GONE
        reason = copy.unpaired
        if reason == PAIRABLE and not self.shadows.feed.pair(copy):
            reason = COMPARER
        if reason == PAIRABLE:
            copy.counts.add(PAIRED)
        else:
            copy.counts.add(UNPAIRED_0 + reason * SIZE_CLASSES + size_class(copy.body_bytes))
        self._release(copy)

    def _release(self, copy: Copy) -> None:
        self.memory -= copy.held
        copy.held = 0
        copy.answer = None
        copy.message = b""
        copy.pieces = None
        if copy.tap is not None:
            copy.tap.closed()
