"""What `headgate shadow report` prints of a shadow."""

from __future__ import annotations

from typing import Any

from control.cli.output import plain
from control.cli.shadows import shadow_blocks
from control.shadows.counts import ShadowTotals, compared, copied
from control.shadows.report import agreement_view, ratio_view, shadow_report
from proxy.counters import SHADOW_0
from proxy.outcomes import OUTCOMES
from proxy.shadow.cells import ELIGIBLE, MIRRORED_0, PAIRED, SKIPPED, SKIPPED_0, UNPAIRED_0
from tests.helpers.pairs import comparison

KEY = ("fraud", "v2", "shadow", "s")
SAMPLE = {
    "request_id": "r1",
    "differences": [
        {"path": "/note", "kind": "value", "primary": "a" * 60, "shadow": 'say "b"'},
        {"path": "", "kind": "bad_json", "primary": None, "shadow": None},
    ],
}


def shown(*, samples: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """A shadow with a count of every sort, as the API tells of it."""
    cells = {
        ELIGIBLE: 130,
        SKIPPED: 20,
        SKIPPED_0: 20,
        MIRRORED_0: 110,
        PAIRED: 105,
        UNPAIRED_0 + 2 * 5 + 1: 5,
    }
    outcomes = [110] + [0] * (OUTCOMES - 1)
    values = copied(outcomes, [], [(cell - SHADOW_0, count) for cell, count in cells.items()])
    totals = ShadowTotals(values | compared(comparison(KEY, agree=90, differ=10) | {"lost": 3}), samples)
    earlier = {
        "stage": "r",
        "began": 1_600_000_000,
        "ended": 1_600_003_600,
        "agreement": agreement_view(totals),
        "latency_ratio": ratio_view(ShadowTotals({})),
    }
    return {
        "route": "fraud",
        "shadow": "v2",
        "upstream": "v2",
        "began": 1_600_003_600,
        "noise_floor": None,
        "gate": None,
        "earlier": [earlier],
        **shadow_report(totals),
    }


def test_every_count_is_shown_and_adds_up() -> None:
    """With reasons, what a killed process took along, and what earlier rules found."""
    shadow = shown()
    text = " ".join(plain(shadow_blocks(shadow)).split())

    assert "fraud: shadow v2 (v2) counted since 2020-09-13 13:26:40 UTC" in text
    assert "90 % of 100 pairs agree" in text
    assert "requests: 130 eligible, 110 copied, 20 skipped, 0 held or lost" in text
    assert "skipped sampled out 20" in text
    assert "not compared shadow failed 5" in text
    assert "not compared lost in the comparing process 3" in text
    assert "not compared waiting or lost 2" in text
    assert "answered ok 110" in text
    assert "/outputs/*/data/* number 10" in text
    assert "2020-09-13 12:26:40 UTC" in text
    assert shadow["pairs"]["not_compared_by_size"] == {"shadow_failed": {"16KiB": 5}}


def test_examples_show_values_only_where_they_were_kept() -> None:
    """Cut to a line, quoted as JSON; without values their places alone."""
    bare = {"request_id": "r2", "differences": [{"path": "/x", "kind": "missing"}]}
    text = " ".join(plain(shadow_blocks(shown(samples=(SAMPLE, bare)))).split())

    assert f'r1 /note value "{"a" * 38}… "say \\"b\\""' in text
    assert "(the whole) bad json null null" in text
    assert "r2 /x missing" in text
