"""Sticky: the same key always gets the same variant."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from random import random

from xxhash import xxh3_64_intdigest

from proxy.arms import Arm
from proxy.keys import KeyReader
from proxy.request import RequestView
from proxy.splits import parameters
from proxy.splits.base import Split, read_weights
from proxy.splits.ranges import Ranges, centred, read_ranges
from proxy.splits.spec import SplitSpec, VariantSpec
from proxy.splits.sticky import SCALE, read_keys, read_seed


class HashSplit(Split):
    """`hash`: the hash of a key, seeded by the split's salt, falls into the range of one variant.

    A request without a key is drawn at random by the same shares.
    """

    kind = "hash"
    schema = parameters.schema(
        ["variants", "key"],
        variants=parameters.VARIANTS_SCHEMA,
        key=parameters.KEY_SCHEMA,
        default_key=parameters.SALT_SCHEMA,
        salt=parameters.SALT_SCHEMA,
    )

    def __init__(self, arms: list[Arm], ranges: Ranges, keys: KeyReader, seed: int) -> None:
        super().__init__(arms, needs_view=True, needs_body=keys.needs_body)
        self._uppers = ranges.uppers
        self._owners = ranges.owners(arms)
        self._keys = keys
        self._seed = seed

    @classmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        parameters.only(params, cls.schema, cls.kind)
        shares = parameters.variants(params, upstreams)
        return SplitSpec(
            kind=cls.kind,
            variants=[VariantSpec(upstream=name, role="variant", weight=w) for name, w in shares.items()],
            key=parameters.keys(params),
            default_key=parameters.text(params, "default_key"),
            salt=parameters.text(params, "salt"),
        )

    @classmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        weights = read_weights(entry, arms, place)
        if "ranges" in entry:
            ranges = read_ranges(entry["ranges"], len(arms), f"{place}.ranges")
        else:
            ranges = centred(weights)
        return cls(arms, ranges, read_keys(entry, place), read_seed(entry, place))

    def choose(self, request: RequestView) -> Arm:
        key = self._keys.read(request)
        fraction = random() if key is None else xxh3_64_intdigest(key, self._seed) * SCALE
        return self._owners[bisect_right(self._uppers, fraction)]
