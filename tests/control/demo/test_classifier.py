"""The sample classifier learns."""

from __future__ import annotations

import random

import pytest

from control.demo.classifier import train
from control.demo.releases import RELEASES
from control.demo.transactions import REFUND_SHARE, draw, is_fraud


def test_it_separates_what_can_be_separated() -> None:
    """Points on two sides of a line get probabilities on two sides of a half."""
    rows = [(x, x % 3) for x in range(-20, 21) if x]

    model = train(rows, [x > 0 for x, _ in rows], rounds=200)

    assert all((model.probability(row) > 0.5) == (row[0] > 0) for row in rows)


def test_a_constant_feature_does_no_harm() -> None:
    """A column without spread is not divided by zero."""
    model = train([(1.0, 5.0), (2.0, 5.0)], [False, True], rounds=50)

    assert model.probability((2.0, 5.0)) > model.probability((1.0, 5.0))


def test_the_second_release_is_better_than_the_first() -> None:
    """What the demonstration promotes is in fact an improvement."""
    source = random.Random(7)
    sample = [
        (transaction, is_fraud(transaction, source)) for transaction in (draw(source) for _ in range(3000))
    ]

    right = {}
    for version in ("v1", "v2"):
        release = RELEASES[version]
        model = release.model()
        right[version] = sum((model.probability(release.features(t)) > 0.5) == fraud for t, fraud in sample)

    assert right["v2"] > right["v1"] + 60


def test_the_third_release_fails_on_refunds_only() -> None:
    """Its bug shows in about five requests of a hundred, and in all that are refunds."""
    source = random.Random(7)
    release = RELEASES["v3"]
    sample = [draw(source) for _ in range(4000)]

    for transaction in sample:
        if transaction.amount < 0:
            with pytest.raises(ValueError, match=r"math domain error|positive"):
                release.features(transaction)
        else:
            assert len(release.features(transaction)) == 4

    share = sum(transaction.amount < 0 for transaction in sample) / len(sample)
    assert abs(share - REFUND_SHARE) < 0.015
