"""Metrics of a route: what is read, and what is refused with its place and a remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from config.metrics import METRICS_MAX, Metric
from proxy import counters

GOOD = {"name": "score", "source": "json:/outputs/0/score", "range": [0, 1]}


@pytest.mark.parametrize("source", ["header:x-score", "json:/a~1b/0", "feedback"])
def test_sources(source: str) -> None:
    metric = Metric.model_validate({**GOOD, "source": source})

    assert (metric.source, metric.range, metric.scale) == (source, (0.0, 1.0), "linear")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"source": "body"}, "is not where a value can come from"),
        ({"source": "header:"}, "is not where a value can come from"),
        ({"source": "json:a"}, "is not where a value can come from"),
        ({"range": [1, 0]}, "does not rise"),
        ({"range": [0, 1], "scale": "log"}, "cannot begin at 0"),
        ({"range": [0, float("inf")]}, "is not a number that a range can end at"),
        ({"range": "0..1"}, "is not a list"),
    ],
)
def test_what_cannot_be_used_says_why(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Metric.model_validate({**GOOD, **change})


def test_a_page_has_room_for_as_many_as_the_schema_takes() -> None:
    assert METRICS_MAX == counters.METRICS_MAX
