"""Streams of tokens on /metrics."""

from __future__ import annotations

from typing import Any

import pytest

from proxy import counters
from proxy.counts import ArmCounts
from proxy.histogram import bucket_index
from proxy.streams.metrics import stream_families


def counted() -> ArmCounts:
    """An arm with three streams, one of them stalled, and first tokens after a second."""
    counts = ArmCounts()
    counts.cells[counters.STREAMS] = 3
    counts.cells[counters.STREAMS_STALLED] = 1
    counts.cells[counters.STREAM_TOKENS] = 30
    counts.cells[counters.HIST_FIRST_TOKEN + bucket_index(1_000_000)] = 3
    counts.cells[counters.SUM_FIRST_TOKEN_US] = 3_000_000
    return counts


def test_only_arms_that_streamed_are_shown() -> None:
    """Units are in the names; a route that looks at no streams adds no series."""
    labels = ("chat", "v1", "stable")
    families = list(stream_families({labels: counted(), ("rest", "v1", "stable"): ArmCounts()}))

    found = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in families
        for sample in family.samples
    }
    assert {sample.labels["route"] for family in families for sample in family.samples} == {"chat"}
    assert all(family.documentation for family in families)
    assert found["headgate_streams_total", None] == 3
    assert found["headgate_streams_stalled_total", None] == 1
    assert found["headgate_stream_tokens_total", None] == 30
    assert found["headgate_first_token_seconds_sum", None] == pytest.approx(3.0)
    assert found["headgate_first_token_seconds_bucket", "0.8192"] == 0
    assert found["headgate_first_token_seconds_bucket", "1.6384"] == 3


def test_reports_have_streams_only_where_there_are_any() -> None:
    report: dict[str, Any] = counted().report()

    assert (report["streams"], report["stream_tokens"], report["streams_unread"]) == (3, 30, 0)
    assert report["first_token"] == [[bucket_index(1_000_000), 3]]
    assert not [name for name in ArmCounts().report() if "stream" in name or "token" in name]
