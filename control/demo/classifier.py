"""Logistic regression in plain Python: small enough to train while its server starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LEARNING_RATE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """Weights over standardised features."""

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def probability(self, features: Sequence[float]) -> float:
        """Chance of fraud, 0 to 1."""
        return _sigmoid(self.bias + _dot(self.weights, self._standard(features)))

    def _standard(self, features: Sequence[float]) -> list[float]:
        return [
            (value - mean) / scale
            for value, mean, scale in zip(features, self.means, self.scales, strict=True)
        ]


def train(rows: Sequence[Sequence[float]], labels: Sequence[bool], *, rounds: int) -> Classifier:
    """Fit by full-batch gradient descent.

    Args:
        rows: One sequence of feature values per sample, all of the same length.
        labels: Whether the sample is fraud.
        rounds: Passes over the data.
    """
    columns = list(zip(*rows, strict=True))
    means = tuple(math.fsum(column) / len(column) for column in columns)
    scales = tuple(_spread(column, mean) for column, mean in zip(columns, means, strict=True))
    standard = [
        [(value - mean) / scale for value, mean, scale in zip(row, means, scales, strict=True)]
        for row in rows
    ]
    weights, bias = [0.0] * len(columns), 0.0
    for _ in range(rounds):
        errors = [
            _sigmoid(bias + _dot(weights, row)) - label for row, label in zip(standard, labels, strict=True)
        ]
        bias -= _LEARNING_RATE * math.fsum(errors) / len(errors)
        for column in range(len(weights)):
            slope = math.fsum(error * row[column] for error, row in zip(errors, standard, strict=True))
            weights[column] -= _LEARNING_RATE * slope / len(errors)
    return Classifier(means=means, scales=scales, weights=tuple(weights), bias=bias)


def _spread(column: Sequence[float], mean: float) -> float:
    return math.sqrt(math.fsum((value - mean) ** 2 for value in column) / len(column)) or 1.0


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _sigmoid(value: float) -> float:
    # exp overflows beyond 709; long before that the answer is 0 or 1.
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
