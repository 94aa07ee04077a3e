"""The direct split: one upstream, whatever comes."""

from __future__ import annotations

import pytest

from proxy.plain import PlainError
from proxy.splits.direct import DirectSplit
from tests.helpers.routing import arms_of, spec_of, split_of, user


def test_everything_goes_to_the_one_upstream() -> None:
    """Each request gets the only arm, which plays the part of stable."""
    split = split_of("direct", upstream="v3")

    arms = {split.choose(user(n)) for n in range(10)}

    assert [(arm.variant, arm.role) for arm in arms] == [("v3", "stable")]


def test_second_arm_is_refused() -> None:
    """A direct entry with two arms is malformed."""
    arms = arms_of(spec_of("random", variants={"v1": 50, "v2": 50}))

    with pytest.raises(PlainError, match="a direct split has one arm, not 2"):
        DirectSplit.from_table({"kind": "direct"}, arms, "split")


def test_no_canary_weight() -> None:
    """A kind without a canary has no weight that a rollout could set."""
    with pytest.raises(TypeError, match="a direct split has no canary"):
        DirectSplit.reweigh(spec_of("direct", upstream="v1"), 0.5)
