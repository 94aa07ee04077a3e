"""Exact shares: requests are dealt out in shuffled blocks, not drawn one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from random import random
from typing import Final

from proxy import plain
from proxy.arms import Arm
from proxy.request import RequestView
from proxy.splits import schemas
from proxy.splits.base import Split, read_weights
from proxy.splits.spec import SplitSpec, VariantSpec

# Short blocks keep the shares exact over short stretches and over several workers: half a block dealt of 20
# is off by half a request on average, one of 1000 by several.
BLOCK: Final = 20
BLOCK_MAX: Final = 10_000
GOLDEN: Final = 0.6180339887498949


class PercentageSplit(Split):
    """`percentage`: every block of requests holds exactly each arm's share, in random order.

    Where a share of a block is no whole number, blocks take turns in rounding it up or down. The turns start
    at a random phase in each worker, so that several workers do not give their odd requests to the same arm.
    """

    kind = "percentage"
    schema = schemas.parameters(
        ["variants"],
        variants=schemas.VARIANTS,
        block={"type": "integer", "minimum": 2, "maximum": BLOCK_MAX, "default": BLOCK},
    )

    def __init__(self, arms: list[Arm], weights: list[float], block: int) -> None:
        super().__init__(arms)
        self._weights = weights
        self._block = block
        # What arms 0..i together are owed for one block.
        self._owed: list[float] = []
        total = 0.0
        for weight in weights:
            total += weight
            self._owed.append(round(total * block, 9))
        self._owed[-1] = float(block)
        self._phase = random()
        self._left = [0] * len(weights)
        self._left_total = 0

    @classmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        reader = cls.reader(params, upstreams)
        shares = reader.variants()
        variants = [VariantSpec(upstream=name, role="variant", weight=w) for name, w in shares.items()]
        block = reader.whole("block", BLOCK, 2, BLOCK_MAX)
        return reader.finish(SplitSpec(kind=cls.kind, variants=variants, extra={"block": block}))

    @classmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        block = plain.integer(entry.get("block", BLOCK), f"{place}.block", least=2)
        return cls(arms, read_weights(entry, arms, place), block)

    def choose(self, request: RequestView) -> Arm:  # noqa: ARG002 - the same for every request
        if self._left_total == 0:
            self._refill()
        left = self._left
        # Drawing without putting back makes every order of the block equally likely.
        at = int(random() * self._left_total)
        self._left_total -= 1
        index = 0
        while at >= left[index]:
            at -= left[index]
            index += 1
        left[index] -= 1
        return self.arms[index]

    def adopt(self, previous: Split) -> None:
        """Go on with the block of the table before, if the shares are the same."""
        if (
            isinstance(previous, PercentageSplit)
            and previous._weights == self._weights
            and previous._block == self._block
        ):
            self._phase = previous._phase
            self._left = previous._left
            self._left_total = previous._left_total

    def _refill(self) -> None:
        """Count out the next block: the sums owed to the first i arms are rounded with one common phase.

        Rounding the sums, rather than each arm, makes the counts add up to the block. Steps of the golden
        ratio spread the phases of any number of blocks as evenly as can be, so that the roundings even out.
        """
        phase = (self._phase + GOLDEN) % 1.0
        self._phase = phase
        below = 0
        for index, owed in enumerate(self._owed):
            upto = floor(owed + phase)
            self._left[index] = upto - below
            below = upto
        self._left_total = self._block
