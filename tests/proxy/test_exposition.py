"""Tests of joining our metrics with control's."""

from prometheus_client.parser import text_string_to_metric_families as parse_text

from proxy.exposition import merge
from tests.helpers.metrics import parse_openmetrics

OURS_TEXT = b"# HELP a_total A.\n# TYPE a_total counter\na_total 1.0\n"
OURS_OPEN = b"# HELP a A.\n# TYPE a counter\na_total 1.0\n# EOF\n"


def test_families_follow_each_other() -> None:
    """Control's families come after ours."""
    merged = merge(OURS_TEXT, b"# HELP b B.\n# TYPE b gauge\nb 2.0\n")

    assert [family.name for family in parse_text(merged.decode())] == ["a", "b"]


def test_family_of_both_is_ours() -> None:
    """A family that both have appears once: a second block would spoil the whole scrape."""
    theirs = b'# HELP a_total A.\n# TYPE a_total counter\na_total{x="y"} 9.0\n# TYPE b gauge\nb 2.0\n'

    merged = merge(OURS_TEXT, theirs)

    families = {family.name: family.samples for family in parse_text(merged.decode())}
    assert families.keys() == {"a", "b"}
    assert [sample.value for sample in families["a"]] == [1.0]


def test_end_mark_comes_once_and_last() -> None:
    """OpenMetrics ends with one mark, whatever both sides wrote."""
    theirs = b"# HELP b B.\n# TYPE b gauge\nb 2.0\n# EOF\n"

    for merged in (merge(OURS_OPEN, theirs), merge(OURS_OPEN, b""), merge(OURS_OPEN, theirs[:-6])):
        assert merged.count(b"# EOF") == 1
        assert merged.endswith(b"# EOF\n")
        assert parse_openmetrics(merged)[0].name == "a"


def test_last_line_without_an_end_is_ended() -> None:
    """A truncated last line does not run into the end mark."""
    merged = merge(OURS_OPEN, b"# TYPE b gauge\nb 2.0")

    assert merged.endswith(b"b 2.0\n# EOF\n")
