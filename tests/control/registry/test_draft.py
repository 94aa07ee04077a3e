"""What may be registered: grammar and bounds of every field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from control.errors import InvalidError
from control.registry.draft import check_draft
from tests.helpers.registry import SOME, draft


@pytest.mark.parametrize("name", ["../etc", "a/b", "", ".", "x" * 65, "a\x00b", "-a", "a b", "ä", "a\n"])
def test_known_defect_a_name_led_out_of_the_store(name: str) -> None:
    """Names have a grammar, so none can be a path."""
    with pytest.raises(InvalidError, match="model name"):
        check_draft(draft(name=name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"artifact": replace(SOME, digest="sha256:../../etc/passwd")}, "not a digest"),
        ({"artifact": replace(SOME, digest="md5:" + "a" * 32)}, "not a digest"),
        ({"artifact": replace(SOME, size=-1)}, "artifact size"),
        ({"artifact": replace(SOME, kind="socket")}, "artifact kind"),
        ({"metrics": {"auc": float("nan")}}, "metrics: auc is nan; give it a finite number"),
        ({"metrics": {"auc": 10**400}}, "metrics: auc"),
        ({"metrics": {"a\x00": 1.0}}, "metrics: 'a"),
        ({"metrics": {str(n): 1.0 for n in range(501)}}, "there are 501"),
        ({"tags": {"team": "x" * 257}}, "tag team: is 257 characters"),
        ({"description": "a\x00b"}, "cannot be shown"),
        ({"config": {"a": object()}}, "not plain JSON"),
        ({"config": {"a": "\x00"}}, "zero character"),
        ({"config": {"a": "x" * 300_000}}, "config: is 300"),
        ({"endpoints": ["ftp://x"]}, "endpoints"),
        ({"parents": ["nothing"]}, "names no release"),
    ],
)
def test_a_draft_that_cannot_be_kept_is_refused(changes: dict[str, Any], message: str) -> None:
    """Each field has a grammar and a bound; the error names it."""
    with pytest.raises(InvalidError, match=message):
        check_draft(draft(**changes))
