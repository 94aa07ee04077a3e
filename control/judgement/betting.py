"""Places the bets of many rollouts on their blocks at once, and says what their bets on harm are worth.

One look at a rollout is a few hundred small array operations, which cost more for being many than for their
numbers. A tick over many rollouts puts those of the same layout into one array, and the blocks of all of them
into one array for each kind of bet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from control.judgement.evidence import Evidence, StageLedger
from control.judgement.purse import Purse
from control.judgement.rows import Pairs, Tallies
from control.judgement.tallying import Counted
from control.judgement.view import EvidenceView
from control.plans.plan import RolloutPlan
from control.stats.layout import Layout
from control.stats.process import Bet, HarmBet, log_increments_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """What has come in for B rollouts with the same layout."""

    layout: Layout
    blocks: Ints
    """n_canary, n_control, x_canary, x_control of each event, shape (B, E, 4)."""
    there: Bools
    """Whether an event has a block, shape (B, E)."""


def take(
    layout: Layout, ledgers: Sequence[StageLedger], grown: Ints, figures: Counted
) -> tuple[list[tuple[Pairs, Pairs]], Blocks]:
    """The counts of the stages (`x` and `own`) with what came in, and the blocks to bet on.

    Args:
        grown: requests of canary and control since the last block, shape (B, 2).
    """
    before = np.stack([ledger.x.aligned(layout.keys).array for ledger in ledgers])
    asked = np.stack([ledger.own.aligned(layout.keys).array for ledger in ledgers])
    own = (figures.known & layout.own)[..., None]
    size = np.where(own, np.maximum(figures.n - asked, 0), grown[:, None, :])
    there = figures.known & size.any(axis=2)
    # Requests of earlier blocks may end in this one: what does not fit waits for the next.
    came = np.where(there[..., None], np.minimum(np.maximum(figures.x - before, 0), size), 0)
    after = [
        (
            Pairs(layout.keys, x.copy(), ledger.x.rest_of(layout.keys)),
            Pairs(layout.keys, n.copy(), ledger.own.rest_of(layout.keys)),
        )
        for ledger, x, n in zip(ledgers, before + came, asked + np.where(own, size, 0), strict=True)
    ]
    return after, Blocks(layout=layout, blocks=np.concatenate((size, came), axis=2), there=there)


class _Share(NamedTuple):
    """The blocks of a group of processes among all blocks that the same bet is placed on."""

    group: int
    there: Bools
    """Shape (B, P)."""
    first: int
    last: int


class Placed(NamedTuple):
    """What a rollout has won, and what it has counted, with the last blocks; the same objects without any."""

    wealth: Purse
    tallies: Tallies


def place(batches: Sequence[tuple[Sequence[Evidence], Blocks]]) -> list[list[Placed]]:
    """What becomes of each rollout of each batch when all its bets are placed on its blocks."""
    won = _won([blocks for _, blocks in batches])
    found: list[list[Placed]] = []
    for (evidence, blocks), shares in zip(batches, won, strict=True):
        layout = blocks.layout
        purses = [one.wealth.aligned(layout) for one in evidence]
        pending, begun = _absorbed(layout, purses, shares)
        tallies = np.stack([one.tallies.aligned(layout.keys).array for one in evidence])
        tallies += Tallies.added(np.where(blocks.there[..., None], blocks.blocks, 0))
        came = set(np.flatnonzero(blocks.there.any(axis=1)).tolist())
        # Copies, so that a rollout that is quiet from now on does not keep the whole arrays.
        found.append(
            [
                Placed(
                    Purse(layout, purse.settled, pending[row].copy(), begun[row].copy(), purse.rest),
                    Tallies(layout.keys, tallies[row].copy(), one.tallies.rest_of(layout.keys)),
                )
                if row in came
                else Placed(one.wealth, one.tallies)
                for row, (one, purse) in enumerate(zip(evidence, purses, strict=True))
            ]
        )
    return found


def _absorbed(
    layout: Layout, purses: Sequence[Purse], shares: Sequence[tuple[Bools, Floats]]
) -> tuple[Floats, Bools]:
    """What is pending in each purse, shape (B, N), and which processes have begun, shape (B, P)."""
    pending = np.stack([purse.pending for purse in purses])
    begun = np.stack([purse.begun for purse in purses])
    for group, (there, won) in zip(layout.groups, shares, strict=True):
        if len(won):
            mine = pending[:, group.span].reshape(len(purses), group.count, -1)
            mine[there] += won
            pending[:, group.span] = mine.reshape(len(purses), -1)
            begun[:, group.members] |= there
    return pending, begun


def _won(batches: Sequence[Blocks]) -> list[list[tuple[Bools, Floats]]]:
    """For each group of each batch: which processes have a block, (B, P), and what these win."""
    by_bet: dict[str, tuple[Bet, list[Ints]]] = {}
    counts: dict[str, int] = {}
    shares: list[list[_Share]] = []
    for batch in batches:
        mine: list[_Share] = []
        for number, group in enumerate(batch.layout.groups):
            there = batch.there[:, group.events]
            rows = batch.blocks[:, group.events][there]
            first = counts.get(group.bet.key, 0)
            counts[group.bet.key] = first + len(rows)
            by_bet.setdefault(group.bet.key, (group.bet, []))[1].append(rows)
            mine.append(_Share(number, there, first, first + len(rows)))
        shares.append(mine)
    won = {
        key: log_increments_of(bet, np.concatenate(rows)) if counts[key] else np.zeros((0, bet.size))
        for key, (bet, rows) in by_bet.items()
    }
    return [
        [
            (share.there, won[batch.layout.groups[share.group].bet.key][share.first : share.last])
            for share in mine
        ]
        for batch, mine in zip(batches, shares, strict=True)
    ]


def views(rollouts: Iterable[tuple[Evidence, RolloutPlan]]) -> list[EvidenceView]:
    """A view of each rollout that knows already what its bets on harm are worth."""
    found = [EvidenceView(evidence, plan) for evidence, plan in rollouts]
    by_layout: dict[int, list[EvidenceView]] = {}
    for view in found:
        if view.evidence.wealth.layout is view.plan.layout:
            by_layout.setdefault(id(view.plan.layout), []).append(view)
    for alike in by_layout.values():
        _know(alike, alike[0].plan.layout)
    return found


def _know(alike: Sequence[EvidenceView], layout: Layout) -> None:
    """Work out what the bets on harm of rollouts with the same layout are worth."""
    purses = [view.evidence.wealth for view in alike]
    harm = slice(0, layout.harm_size)
    floors = np.stack([purse.settled.floors(layout)[:, harm] for purse in purses], axis=1)
    phi = layout.phi([view.evidence.phi for view in alike])
    cap = next(group.caution.cap for group in layout.groups if group.harm) * phi[:, layout.process_of[harm]]
    values = np.minimum(floors[0] + np.minimum([purse.pending[harm] for purse in purses], cap), floors[1])
    worth: list[list[float]] = [[] for _ in alike]
    keys: list[str] = []
    for group in layout.groups:
        if group.harm:
            keys += [process.key for process in group.processes]
            bet = cast("HarmBet", group.bet)
            won = bet.log_e_of(values[:, group.span].reshape(len(alike), group.count, -1))
            log_e = won / phi[:, group.members]
            for mine, row in zip(worth, log_e.tolist(), strict=True):
                mine += row
    for view, mine in zip(alike, worth, strict=True):
        view.know(dict(zip(keys, mine, strict=True)))
