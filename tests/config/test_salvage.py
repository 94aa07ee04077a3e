"""What is left of a faulty configuration for further checks."""

from __future__ import annotations

import pytest

from config.load import Loaded, load_text
from config.problems import ConfigError
from proxy.compile import check_config

GOOD = """
listeners: [{bind: "127.0.0.1:0"}]
upstreams:
  v1: {endpoints: ["http://127.0.0.1:9001"]}
  v2: {endpoints: ["http://127.0.0.1:9002"]}
routes:
  - name: r
    split: {kind: canary, stable: v1, canary: v9}
"""


def refused(text: str) -> ConfigError:
    """Return the error that a configuration is refused with."""
    with pytest.raises(ConfigError) as raised:
        load_text(text, file="t.yaml", environ={})
    return raised.value


def test_rest_of_a_faulty_file_can_be_checked_further() -> None:
    """A misspelt key does not hide that a split names an upstream that is not there."""
    error = refused(GOOD.replace("name: r\n", "name: r\n    bogus: 1\n"))

    assert [problem.path for problem in error.problems] == ["routes[0].bogus"]
    assert isinstance(error.rest, Loaded)
    assert [problem.path for problem in check_config(error.rest)] == ["routes[0].split.canary"]


def test_nothing_is_left_when_a_whole_route_or_upstream_is_faulty() -> None:
    """Taking those out would make the further checks complain about names that are in the file."""
    assert refused(GOOD.replace("  v2: {endpoints", "  v2: {endpoint")).rest is None
    assert refused(GOOD.replace('  v1: {endpoints: ["http://127.0.0.1:9001"]}', "  v1: 7")).rest is None


def test_duplicate_keys_leave_the_first_for_further_checks() -> None:
    """A key given twice is reported with what the split has to say."""
    error = refused(GOOD.replace("routes:", '  v2: {endpoints: ["http://127.0.0.1:9003"]}\nroutes:'))

    assert [problem.path for problem in error.problems] == ["upstreams.v2"]
    assert isinstance(error.rest, Loaded)
