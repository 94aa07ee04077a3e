"""What a shadow counts beyond an arm's outcomes and latencies: cells behind those of every slot.

A shadow is counted in a slot like an arm, with the role ``shadow`` or ``noise``: its copies are what the slot
has started and finished. The cells here say what became of the requests that could have been copied:

    ELIGIBLE = MIRRORED + SKIPPED + what a live worker still holds, or a dead one took along
"""

from enum import IntEnum
from typing import Final

from proxy.counters import SHADOW_0, SHADOW_CELLS


class Skip(IntEnum):
    """Why a request was not copied. The numbers are places in the counter page: they keep their meaning."""

    SAMPLED_OUT = 0
    """Outside the shadow's share."""
    METHOD = 1
    """The method is not among those that are copied."""
    VARIANT = 2
    """Another variant than stable answered; its answers are nobody's reference."""
    OVERRIDE = 3
    """The client named the variant itself."""
    UPGRADE = 4
    """The request asked for another protocol."""
    TOO_LARGE = 5
    """The body is larger than the shadow's limit."""
    MEMORY = 6
    """The shadow's budget of memory is used up."""
    IN_FLIGHT = 7
    """As many copies as allowed are under way."""
    LAG = 8
    """The worker's loop was late: shadows are the first to be shed."""
    UNREACHABLE = 9
    """No connection could be opened lately; tried again after a pause."""
    UNFINISHED = 10
    """The request never became whole, or was refused before it was forwarded."""


class Unpaired(IntEnum):
    """Why a copy that was sent was not compared; the numbers keep their meaning."""

    SAMPLED_OUT = 0
    """Outside the share of answers that are compared, or comparing is off."""
    PRIMARY_FAILED = 1
    """The client got no complete answer of the upstream."""
    SHADOW_FAILED = 2
    """The shadow gave no complete answer; its outcome says why."""
    TOO_LARGE = 3
    """One of the answers is larger than what is kept for comparing."""
    MEMORY = 4
    """The shadow's budget of memory was used up before the answers were there."""
    COMPARER = 5
    """The comparing process was away, or so far behind that its queue was full."""


SKIPS: Final = 11
UNPAIRED: Final = 6
assert (len(Skip), len(Unpaired)) == (SKIPS, UNPAIRED)

SKIP_NAMES: Final = tuple(skip.name.lower() for skip in Skip)
UNPAIRED_NAMES: Final = tuple(reason.name.lower() for reason in Unpaired)

# Of request bodies: one packet, a feature vector, an image or a long prompt, and what is beyond the default.
SIZE_BOUNDS: Final = (1024, 16384, 262144, 4194304)
SIZE_CLASSES: Final = 5
SIZE_NAMES: Final = ("1KiB", "16KiB", "256KiB", "4MiB", "more")

# Literals: a sum is a look-up by name to the compiled hot path.
ELIGIBLE: Final = 1408
SKIPPED: Final = 1409
PAIRED: Final = 1410  # handed to the comparing process
MIRRORED_0: Final = 1411  # by size class; the sum is what was sent
SKIPPED_0: Final = 1416  # by reason, then size class
UNPAIRED_0: Final = 1472  # likewise
assert ELIGIBLE == SHADOW_0
assert MIRRORED_0 + SIZE_CLASSES <= SKIPPED_0
assert SKIPPED_0 + SKIPS * SIZE_CLASSES <= UNPAIRED_0
assert UNPAIRED_0 + UNPAIRED * SIZE_CLASSES <= SHADOW_0 + SHADOW_CELLS


def size_class(size: int) -> int:
    """The class of a body of ``size`` bytes."""
    if size <= 1024:
        return 0
    if size <= 16384:
        return 1
    if size <= 262144:
        return 2
    return 3 if size <= 4194304 else 4
