"""Brings the counts of a stage up to date without betting on them: what is past, or is warming up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from control.judgement.evidence import StageLedger
from control.judgement.rows import Pairs
from control.judgement.tallying import Counted
from control.stats.layout import Layout


def caught_up(ledger: StageLedger, layout: Layout, figures: Counted, row: int) -> StageLedger:
    """The stage with everything that is known of a row taken in, and nothing bet on."""
    x, own, known = ledger.x.aligned(layout.keys), ledger.own.aligned(layout.keys), figures.known[row]
    return ledger.with_counts(
        Pairs(layout.keys, np.where(known[:, None], figures.x[row], x.array), x.rest),
        Pairs(layout.keys, np.where((known & layout.own)[:, None], figures.n[row], own.array), own.rest),
    )


def with_new_events(
    ledger: StageLedger, layout: Layout, figures: Counted, row: int, *, ended: bool
) -> StageLedger:
    """The stage with the events that only the plan in force has, which `figures` then leave out once.

    What happened before somebody asked was no block. Taken in later it would fill one block after the other,
    of both arms until the arm with less of it has run out. So counts of a new event begin where they are.
    Events that the plan has given up are forgotten: should it ask for them again, they are new.

    Args:
        ended: whether the stage has ended, so that only what comes late is still counted in it.
    """
    keys = layout.keys
    counted = tuple(key for key, late in zip(keys, layout.delayed, strict=True) if late) if ended else keys
    if ledger.keys is None or ledger.keys == counted:
        return replace(ledger, keys=counted)
    known = frozenset(ledger.keys)
    new = np.array([key not in known for key in keys])
    now = caught_up(ledger, layout, figures, row)
    x, own = (
        np.where(new[:, None], after.array, before.aligned(keys).array)
        for after, before in ((now.x, ledger.x), (now.own, ledger.own))
    )
    figures.known[row] &= ~new
    return replace(ledger, x=Pairs(keys, x), own=Pairs(keys, own), keys=counted)
