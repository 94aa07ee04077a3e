"""Fixed logarithmic latency buckets: sixteen per doubling, from 100 µs to about ten minutes.

The edges never move, so histograms of workers, nodes and days add cell by cell. A bucket is 4.4 % wide,
so a quantile read from its middle is at most 2.2 % off. Bucket 0 holds everything up to 100 µs; bucket
`i` holds latencies in (edge(i - 1), edge(i)]; the last one has no upper limit.
"""

from bisect import bisect_left
from typing import Final

BUCKETS: Final = 361
BUCKETS_PER_DOUBLING: Final = 16
FIRST_EDGE_US: Final = 100


def _edge_floor_us(index: int) -> int:
    """Return the largest whole number of microseconds in bucket `index`, without rounding errors."""
    power = FIRST_EDGE_US**BUCKETS_PER_DOUBLING << index
    edge = int(FIRST_EDGE_US * 2 ** (index / BUCKETS_PER_DOUBLING))
    while edge**BUCKETS_PER_DOUBLING > power:
        edge -= 1
    while (edge + 1) ** BUCKETS_PER_DOUBLING <= power:
        edge += 1
    return edge


# One edge fewer than buckets: what is above the last edge falls into the last bucket by itself.
EDGES_US: Final[list[int]] = [_edge_floor_us(index) for index in range(BUCKETS - 1)]
# Looked up instead of searched: most answers take less, and their bucket fits a byte.
SHORT_US: Final = 4096
SHORT: Final[bytes] = bytes([bisect_left(EDGES_US, microseconds) for microseconds in range(SHORT_US)])


def bucket_index(microseconds: int) -> int:
    """Return the bucket (0..360) of a latency; negative and huge ones are clamped to the outer buckets."""
    if 0 <= microseconds < SHORT_US:
        return SHORT[microseconds]
    return bisect_left(EDGES_US, microseconds)


def bucket_upper_edge(index: int) -> float:
    """Return the upper edge of bucket `index` in seconds.

    The last bucket is open: its edge (593 s) is nominal, and Prometheus is told `+Inf` instead.
    """
    if not 0 <= index < BUCKETS:
        raise IndexError(f"bucket {index} is not in 0..{BUCKETS - 1}")
    return float(FIRST_EDGE_US * 2 ** (index / BUCKETS_PER_DOUBLING) / 1e6)
