"""An independent draw for each request."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from random import random

from proxy.arms import Arm
from proxy.request import RequestView
from proxy.splits import schemas
from proxy.splits.base import Split, read_weights
from proxy.splits.ranges import Ranges, ranges_of
from proxy.splits.spec import SplitSpec, VariantSpec


class RandomSplit(Split):
    """`random`: each request is drawn by the shares, whatever came before and whoever sends it."""

    kind = "random"
    schema = schemas.parameters(["variants"], variants=schemas.VARIANTS)

    def __init__(self, arms: list[Arm], ranges: Ranges) -> None:
        super().__init__(arms)
        self._uppers = ranges.uppers
        self._owners = ranges.owners(arms)

    @classmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        reader = cls.reader(params, upstreams)
        shares = reader.variants()
        variants = [VariantSpec(upstream=name, role="variant", weight=w) for name, w in shares.items()]
        return reader.finish(SplitSpec(kind=cls.kind, variants=variants))

    @classmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        return cls(arms, ranges_of(read_weights(entry, arms, place)))

    def choose(self, request: RequestView) -> Arm:  # noqa: ARG002 - the same for every request
        return self._owners[bisect_right(self._uppers, random())]
