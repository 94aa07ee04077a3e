"""The random split: independent draws by the shares."""

from __future__ import annotations

import random
from collections import Counter

from scipy.stats import chi2_contingency, chisquare

from tests.helpers.routing import name_of, split_of, view

REQUEST = view(b"x-user: 1")


def draws(count: int, **variants: float) -> list[str]:
    """Who gets the requests of one and the same user."""
    split = split_of("random", variants=variants)
    return [name_of(split.choose(REQUEST)) for _ in range(count)]


def test_draws_follow_the_shares() -> None:
    """A chi-square test finds no difference from the shares."""
    random.seed(1)
    counts = Counter(draws(50_000, v1=70, v2=29, v3=1))

    # The seed is fixed; a correct draw fails for one seed in a thousand.
    assert chisquare([counts["v1"], counts["v2"], counts["v3"]], [35_000, 14_500, 500]).pvalue > 0.001


def test_draws_are_independent() -> None:
    """What came before says nothing about what comes next."""
    random.seed(2)
    arms = draws(40_000, v1=50, v2=50)
    pairs = Counter(zip(arms[::2], arms[1::2], strict=True))

    assert chi2_contingency([[pairs[a, b] for b in ("v1", "v2")] for a in ("v1", "v2")]).pvalue > 0.001


def test_share_of_zero_gets_nothing() -> None:
    """A variant that is listed with no share is never drawn, wherever it stands."""
    assert set(draws(2_000, v1=0, v2=100, v3=0)) == {"v2"}


def test_smallest_share() -> None:
    """One request in ten thousand is a share like any other."""
    random.seed(3)
    counts = Counter(draws(200_000, v1=99.99, v2=0.01))

    # 20 expected; outside 4..44 for one seed in a hundred thousand.
    assert 4 <= counts["v2"] <= 44


def test_request_is_not_looked_at() -> None:
    """No view has to be made for this kind."""
    split = split_of("random", variants={"v1": 50, "v2": 50})

    assert not split.needs_view
    assert not split.needs_body
