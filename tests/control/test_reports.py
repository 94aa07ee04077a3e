"""A report is taken whole or refused with the place of the fault."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.report_values import ReportError
from control.reports import parse_report
from tests.helpers.counts import arm, report

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["node", "boot", "sequence", "arms", "route", "outcomes", "total", "final"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def test_a_report_says_what_its_json_says() -> None:
    """Every field arrives where it belongs."""
    parsed = parse_report(
        report(
            arm("v2", "canary", "s1", ok=5, failed=2, in_flight=1, diverted=3, diverted_now=1, lost=1),
            node="n",
            boot="b",
            sequence=9,
            final=True,
            revision=4,
        )
    )

    (one,) = parsed.arms
    assert (parsed.node, parsed.boot, parsed.sequence, parsed.revision) == ("n", "b", 9, 4)
    assert parsed.final
    assert one.key == ("fraud", "v2", "canary", "s1")
    assert (one.counts.started, one.counts.finished, one.counts.failed) == (8, 7, 2)
    assert (one.counts.scalar("diverted"), one.counts.scalar("lost")) == (3, 1)
    assert int(one.counts.total.sum()) == 5
    assert one.diverted_now


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"node": ""}, "node"),
        ({"node": "x" * 257}, "node"),
        ({"boot": 7}, "boot"),
        ({"sequence": -1}, "sequence"),
        ({"sequence": 1.0}, "sequence"),
        ({"sequence": True}, "sequence"),
        ({"arms": None}, "arms"),
        ({"arms": [[]]}, r"arms\[0\]"),
        ({"final": "yes"}, "final"),
        ({"arms": [{}] * 4097}, "arms: 4097"),
    ],
)
def test_a_report_that_breaks_the_rules_is_refused(change: dict[str, Any], place: str) -> None:
    """The fault is named by its place."""
    with pytest.raises(ReportError, match=place):
        parse_report(report() | change)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"role": "boss"}, r"arms\[0\].role"),
        ({"outcomes": [0] * 3}, r"arms\[0\].outcomes"),
        ({"outcomes": [-1] * 16}, r"arms\[0\].outcomes\[0\]"),
        ({"started": 2**53 + 1}, r"arms\[0\].started"),
        ({"total": [[361, 1]]}, r"arms\[0\].total\[0\]"),
        ({"total": [[1]]}, r"arms\[0\].total\[0\]"),
        ({"first_byte": "x"}, r"arms\[0\].first_byte"),
        ({"stage": ""}, r"arms\[0\].stage"),
    ],
)
def test_an_arm_that_breaks_the_rules_is_refused(change: dict[str, Any], place: str) -> None:
    """One bad arm spoils the report: half of it would be counted twice when it is sent again."""
    with pytest.raises(ReportError, match=place):
        parse_report(report(arm("v2", "canary", "s1", ok=1) | change))


@given(JSON)
def test_any_json_is_parsed_or_refused(value: object) -> None:
    """Nothing but a ReportError comes out of a bad report."""
    try:
        parse_report(value)
    except ReportError as error:
        assert str(error)  # noqa: PT017 (raising is one of two good ends)
