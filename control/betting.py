"""Places the bets of many rollouts on their blocks at once, and says what their bets on harm are worth.

One look at a rollout is a few hundred small array operations, which cost more for being many than for their
numbers. A tick over many rollouts puts the blocks of all of them into one array for each kind of bet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from control.evidence import Evidence, StageLedger
from control.plan import RolloutPlan
from control.stats.events import Tally
from control.stats.mixture import ODDS
from control.stats.process import Bet, Process, log_increments_of
from control.stats.wealth import Caution, Wealth
from control.tallying import Counted
from control.view import EvidenceView

Floats = npt.NDArray[np.float64]
Block = tuple[int, int, int, int]
"""n_canary, n_control, x_canary, x_control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bets:
    """What one rollout bets on: by the key of the event, the block that has come in."""

    evidence: Evidence
    plan: RolloutPlan
    blocks: Mapping[str, Block]


def take(
    ledger: StageLedger, grown: tuple[int, int], figures: Mapping[str, Counted]
) -> tuple[StageLedger, dict[str, Block]]:
    """The stage with what came in taken into its counts, and the blocks to bet on."""
    x, own = dict(ledger.x), dict(ledger.own)
    blocks: dict[str, Block] = {}
    for key, figure in figures.items():
        (before_c, before_t), (size_c, size_t) = x.get(key, (0, 0)), grown
        if figure.n is not None:
            asked_c, asked_t = own.get(key, (0, 0))
            size_c, size_t = max(0, figure.n[0] - asked_c), max(0, figure.n[1] - asked_t)
            own[key] = (asked_c + size_c, asked_t + size_t)
        if size_c + size_t == 0:
            continue
        # Requests of earlier blocks may end in this one: what does not fit waits for the next.
        x_c = min(max(0, figure.x[0] - before_c), size_c)
        x_t = min(max(0, figure.x[1] - before_t), size_t)
        x[key] = (before_c + x_c, before_t + x_t)
        blocks[key] = (size_c, size_t, x_c, x_t)
    return ledger.with_counts(x, own), blocks


def place(all_bets: Sequence[Bets]) -> list[Evidence]:
    """The evidence of each rollout with all its bets placed on its blocks, in the same order."""
    by_bet: dict[str, tuple[Bet, list[tuple[int, Process]], list[Block]]] = {}
    for i, bets in enumerate(all_bets):
        for processes in bets.plan.alike.values():
            bet = processes[0].bet
            _, whose, rows = by_bet.setdefault(bet.key, (bet, [], []))
            for process in processes:
                block = bets.blocks.get(process.event.key)
                if block is not None:
                    whose.append((i, process))
                    rows.append(block)
    wealth = [dict(bets.evidence.wealth) for bets in all_bets]
    for bet, whose, rows in by_bet.values():
        if not rows:
            continue
        won = log_increments_of(bet, np.array(rows, dtype=np.int64))
        won /= np.array([all_bets[i].evidence.phi for i, _ in whose])[:, None]
        for (i, process), increments in zip(whose, won, strict=True):
            held = wealth[i].get(process.key) or Wealth.begin(process, all_bets[i].plan.caution)
            wealth[i][process.key] = held.absorb(increments)
    return [
        bets.evidence.with_bets(mine, _tallied(bets)) if bets.blocks else bets.evidence
        for bets, mine in zip(all_bets, wealth, strict=True)
    ]


def _tallied(bets: Bets) -> dict[str, Tally]:
    tallies = dict(bets.evidence.tallies)
    for key, block in bets.blocks.items():
        tallies[key] = tallies.get(key, _NOTHING).add(*block)
    return tallies


def views(rollouts: Sequence[tuple[Evidence, RolloutPlan]]) -> list[EvidenceView]:
    """A view of each rollout that knows already what its bets on odds ratios are worth."""
    found = [EvidenceView(evidence, plan) for evidence, plan in rollouts]
    by_caution: dict[Caution, tuple[list[tuple[EvidenceView, str]], list[Wealth]]] = {}
    for view in found:
        whose, held = by_caution.setdefault(view.plan.caution, ([], []))
        for process in view.plan.alike.get((ODDS.key, True), ()):
            wealth = view.evidence.wealth.get(process.key)
            # After a change of the burst windows begin anew with the next slice; until then alone.
            if wealth is not None and wealth.fits(view.plan.caution):
                whose.append((view, process.key))
                held.append(wealth)
    for caution, (whose, held) in by_caution.items():
        if held:
            log_e = ODDS.log_e_of(Wealth.stack(held).values(caution)).tolist()
            for (view, key), value in zip(whose, log_e, strict=True):
                view.know(key, value)
    return found


_NOTHING = Tally()
