"""The percentage split: exact shares, in an order nobody can foresee."""

from __future__ import annotations

import random
from collections import Counter
from statistics import pstdev

import pytest
from scipy.stats import chisquare

from proxy.plain import PlainError
from proxy.splits.base import Split
from proxy.splits.percentage import PercentageSplit
from tests.helpers.routing import arms_of, name_of, spec_of, split_of, view

REQUEST = view()


def dealt(split: Split, count: int) -> list[str]:
    """Who gets the next requests."""
    return [name_of(split.choose(REQUEST)) for _ in range(count)]


def percentage(block: int = 20, **variants: float | str) -> Split:
    """A percentage split of these variants."""
    return split_of("percentage", variants=variants, block=block)


def test_spread_at_a_thousand_requests() -> None:
    """5 % of the first 1 000 requests are exactly 50; a coin would spread by 0.7 points."""
    counts = [dealt(percentage(v1=95, v2=5), 1_000).count("v2") for _ in range(50)]

    assert set(counts) == {50}


def test_spread_over_workers_and_odd_places() -> None:
    """Two workers that share 1 000 requests unevenly still keep the spread below 0.1 point."""
    random.seed(5)
    shares = []
    for _ in range(300):
        workers = [percentage(v1=95, v2=5), percentage(v1=95, v2=5)]
        first = random.randrange(1_000)
        counts = dealt(workers[0], first).count("v2") + dealt(workers[1], 1_000 - first).count("v2")
        shares.append(counts / 10)

    # Percentage points; a coin has 0.69.
    assert pstdev(shares) < 0.1
    assert abs(sum(shares) / len(shares) - 5) < 0.03


@pytest.mark.parametrize(
    ("variants", "block"),
    [
        ({"v1": 95, "v2": 5}, 20),
        ({"v1": 90, "v2": 7, "v3": 3}, 20),
        ({"v1": "33.33%", "v2": "33.33%", "v3": "33.34%"}, 7),
        ({"v1": 0.5, "v2": 0.01, "v3": 0.29, "v4": 0.2}, 20),
        ({"v1": 99.99, "v2": 0.01}, 20),
        ({"v1": 50, "v2": 50, "v3": 0}, 2),
        ({"v1": 12.5, "v2": 87.5}, 1000),
    ],
)
def test_long_shares_are_exact(variants: dict[str, float | str], block: int) -> None:
    """Over many blocks every variant is within a few requests of its share, however small that is."""
    split = percentage(block, **variants)
    count = 100_000 - 100_000 % block
    counts = Counter(dealt(split, count))

    amounts = {name: float(str(share).rstrip("%")) for name, share in variants.items()}
    for name, amount in amounts.items():
        # The roundings of blocks even out; a coin would be off by 300.
        assert abs(counts[name] - count * amount / sum(amounts.values())) <= 5


def test_each_block_is_exact() -> None:
    """Where the shares of a block are whole numbers, each block holds exactly those."""
    split = percentage(20, v1=75, v2=20, v3=5)

    for _ in range(200):
        assert Counter(dealt(split, 20)) == {"v1": 15, "v2": 4, "v3": 1}


def test_every_place_in_a_block_is_equally_likely() -> None:
    """The position of a variant in its block cannot be foreseen."""
    random.seed(11)
    split = percentage(10, v1=90, v2=10)
    places = Counter(dealt(split, 10).index("v2") for _ in range(5_000))

    # The seed is fixed; a correct shuffle fails for one seed in a thousand.
    assert chisquare([places[place] for place in range(10)]).pvalue > 0.001


def test_workers_start_at_different_phases() -> None:
    """A share too small for one block comes at a different time in each worker."""
    firsts = {dealt(percentage(20, v1=99, v2=1), 200).index("v2") // 20 for _ in range(60)}

    assert len(firsts) >= 4


def test_reload_goes_on_with_the_block() -> None:
    """A table that leaves the shares alone does not start the block over; one that changes them does."""
    for _ in range(50):
        first = percentage(20, v1=95, v2=5)
        start = dealt(first, 7)
        second = percentage(20, v1=95, v2=5)
        second.adopt(first)
        assert (start + dealt(second, 13)).count("v2") == 1

    changed = percentage(20, v1=90, v2=10)
    changed.adopt(second)
    assert dealt(changed, 20).count("v2") == 2
    changed.adopt(split_of("random", variants={"v1": 90, "v2": 10}))
    assert dealt(changed, 20).count("v2") == 2


def test_block_of_one_is_refused() -> None:
    """A block that cannot hold two variants is malformed."""
    arms = arms_of(spec_of("percentage", variants={"v1": 50, "v2": 50}))

    with pytest.raises(PlainError, match=r"split\.block: must be at least 2"):
        PercentageSplit.from_table({"weights": [0.5, 0.5], "block": 1}, arms, "split")
