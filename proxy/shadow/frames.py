"""What workers write to the comparing process: definitions of comparisons, and pairs of answers.

Every frame is a length (32 bits, little-endian, of what follows) and a kind. A definition comes before the
first pair that refers to its number, on every connection anew.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

LENGTH: Final = Struct("<I")
LENGTH_BYTES: Final = 4
# Kind, number, primary's and shadow's time in µs, their statuses, flags, and five lengths.
PAIR: Final = Struct("<BIQQHHBIIIII")
PAIR_BYTES: Final = 46
LENGTH_AND_PAIR: Final = Struct("<IBIQQHHBIIIII")
assert (LENGTH.size, PAIR.size, LENGTH_AND_PAIR.size) == (LENGTH_BYTES, PAIR_BYTES, LENGTH_BYTES + PAIR_BYTES)
DEFINITION: Final = Struct("<BI")
KIND_DEFINITION: Final = 1
KIND_PAIR: Final = 2
# The primary's body has no chunk framing although its head announces it.
PRIMARY_DECHUNKED: Final = 1
# Far above two captures of the largest size; what exceeds it is not from a worker.
FRAME_BYTES_MAX: Final = 256 * 1024 * 1024


class FrameError(ValueError):
    """The stream is out of step: nothing that follows on it can be trusted."""


class Pair:
    """Two answers to one request, as bytes; times in µs."""

    __slots__ = (
        "dechunked",
        "number",
        "primary_body",
        "primary_head",
        "primary_status",
        "primary_us",
        "request_id",
        "shadow_body",
        "shadow_head",
        "shadow_status",
        "shadow_us",
    )

    def __init__(self, frame: bytes) -> None:
        """Read a frame's content, kind included.

        Raises:
            FrameError: its lengths do not add up.
        """
        if len(frame) < PAIR.size:
            raise FrameError("a pair shorter than its fixed part")
        (
            _,
            self.number,
            self.primary_us,
            self.shadow_us,
            self.primary_status,
            self.shadow_status,
            flags,
            *lengths,
        ) = PAIR.unpack_from(frame)
        self.dechunked = bool(flags & PRIMARY_DECHUNKED)
        if PAIR.size + sum(lengths) != len(frame):
            raise FrameError("a pair whose lengths do not add up")
        parts: list[bytes] = []
        at = PAIR.size
        for length in lengths:
            parts.append(frame[at : at + length])
            at += length
        self.primary_head, self.primary_body, self.shadow_head, self.shadow_body, self.request_id = parts
