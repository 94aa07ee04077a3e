"""Invented card transactions: the data that the sample models learn from and the traffic that they score."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

# Chosen so that a release that cannot score refunds fails about five requests in a hundred.
REFUND_SHARE = 0.05


class Transaction(NamedTuple):
    """What a model server is asked about; a refund has a negative amount."""

    amount: float
    """Currency units."""
    hour: float
    """Local hour of day, 0 to 24."""
    distance: float
    """Kilometres from the holder's home."""
    merchant_risk: float
    """0 (known and trusted) to 1."""


def draw(random_source: random.Random) -> Transaction:
    """One transaction as a customer might make it."""
    amount = random_source.lognormvariate(3.5, 1.0)
    if random_source.random() < REFUND_SHARE:
        amount = -amount
    return Transaction(
        amount=round(amount, 2),
        hour=round(random_source.uniform(0, 24), 2),
        distance=round(random_source.expovariate(1 / 40), 1),
        merchant_risk=round(random_source.betavariate(2, 6), 3),
    )


def is_fraud(transaction: Transaction, random_source: random.Random) -> bool:
    """The label that a model has to learn: likelier far from home, at night, with risky merchants."""
    night = 1.0 if transaction.hour < 6 else 0.0
    score = -4.0 + 0.02 * transaction.distance + 1.5 * night + 4.0 * transaction.merchant_risk
    return random_source.random() < 1 / (1 + math.exp(-score))
