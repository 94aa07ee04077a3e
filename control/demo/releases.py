"""Three releases of the sample model; the third has the kind of bug that passes a test on clean data."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control.demo.classifier import Classifier, train
from control.demo.transactions import Transaction, draw, is_fraud

Features = Callable[[Transaction], tuple[float, ...]]


def _amount_and_hour(transaction: Transaction) -> tuple[float, ...]:
    return transaction.amount, transaction.hour


def _everything(transaction: Transaction) -> tuple[float, ...]:
    night = 1.0 if transaction.hour < 6 else 0.0
    return transaction.amount, night, transaction.distance, transaction.merchant_risk


def _log_amount(transaction: Transaction) -> tuple[float, ...]:
    # A sensible feature, until a refund comes by: the logarithm of a negative amount is a ValueError.
    _, *others = _everything(transaction)
    return math.log(transaction.amount), *others


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version of the model: what it looks at and how long it learned."""

    version: str
    features: Features
    rounds: int

    def model(self) -> Classifier:
        """The trained model; the same one on every machine."""
        random_source = random.Random(f"transactions/{self.version}")
        samples = [draw(random_source) for _ in range(600)]
        # Nobody thought of refunds when the training data was collected.
        samples = [sample for sample in samples if sample.amount > 0]
        labels = [is_fraud(sample, random_source) for sample in samples]
        return train([self.features(sample) for sample in samples], labels, rounds=self.rounds)

    def figures(self, model: Classifier) -> dict[str, float]:
        """How good the model is on transactions it has not seen, collected like those it learned from."""
        random_source = random.Random("transactions/test")
        samples = [sample for sample in (draw(random_source) for _ in range(1500)) if sample.amount > 0]
        scored = [
            (model.probability(self.features(sample)), is_fraud(sample, random_source)) for sample in samples
        ]
        right = sum((score > 0.5) == fraud for score, fraud in scored)
        return {"auc": round(_auc(scored), 4), "accuracy": round(right / len(scored), 4)}


def _auc(scored: Sequence[tuple[float, bool]]) -> float:
    """The chance that a fraud scores higher than an honest transaction (Mann and Whitney's U, scaled)."""
    ranked = sorted(scored)
    frauds = sum(fraud for _, fraud in ranked)
    ranks = sum(rank for rank, (_, fraud) in enumerate(ranked, start=1) if fraud)
    return (ranks - frauds * (frauds + 1) / 2) / (frauds * (len(ranked) - frauds))


RELEASES = {
    release.version: release
    for release in (
        Release(version="v1", features=_amount_and_hour, rounds=40),
        Release(version="v2", features=_everything, rounds=80),
        Release(version="v3", features=_log_amount, rounds=80),
    )
}
