"""Sticky: the same key always gets the same variant."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from random import random

from proxy.arms import Arm
from proxy.keys import KeyReader
from proxy.request import RequestView
from proxy.splits import schemas
from proxy.splits.base import Before, Split, read_weights
from proxy.splits.layers import Layer, read_layer
from proxy.splits.ranges import Ranges, centred, read_ranges, succeed
from proxy.splits.spec import SplitSpec, VariantSpec
from proxy.splits.sticky import GROUP_MASK, SCALE, digest_of, read_keys, read_seed


class HashSplit(Split):
    """`hash`: the hash of a key, seeded by the split's salt, falls into the range of one variant.

    A request without a key is drawn at random by the same shares. In a layer, what is outside the split's
    part goes to one upstream, which has an arm of its own for that (the last one, with role stable): those
    requests are no part of what is compared.
    """

    kind = "hash"
    schema = schemas.parameters(
        ["variants", "key"],
        variants=schemas.VARIANTS,
        key=schemas.KEY,
        default_key=schemas.TEXT,
        salt=schemas.TEXT,
        layer=schemas.LAYER,
        outside=schemas.NAME,
    )

    def __init__(
        self, arms: list[Arm], ranges: Ranges, keys: KeyReader, seed: int, layer: Layer | None
    ) -> None:
        super().__init__(arms, needs_view=True, needs_body=keys.needs_body, noted=keys.noted)
        self._uppers = ranges.uppers
        self._owners = ranges.owners(arms)
        self._keys = keys
        self._seed = seed
        self._layer = layer
        self._outside = arms[-1]

    @classmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        reader = cls.reader(params, upstreams)
        shares = reader.variants()
        variants = [VariantSpec(upstream=name, role="variant", weight=w) for name, w in shares.items()]
        layer = reader.layer()
        outside = reader.upstream("outside")
        if layer is not None and variants:
            variants.append(VariantSpec(upstream=outside or variants[0].upstream, role="stable", weight=0.0))
        elif outside:
            reader.fault(("outside",), "there is no layer to be outside of", "add layer, or remove it")
        return reader.finish(
            SplitSpec(
                kind=cls.kind,
                variants=variants,
                key=reader.keys(),
                default_key=reader.text("default_key"),
                salt=reader.text("salt"),
                layer=layer,
            )
        )

    @classmethod
    def compile(
        cls, spec: SplitSpec, arms: Sequence[int], salt: str, epoch: int, before: Before | None
    ) -> dict[str, object]:
        entry = super().compile(spec, arms, salt, epoch, before)
        # Without the arm for what is outside the layer, which owns no range.
        inside = [variant for variant in spec.variants if variant.role == "variant"]
        names = [variant.upstream for variant in inside]
        weights = [variant.weight for variant in inside]
        ranges = centred(weights)
        # Another salt or epoch shuffles all keys, so that there is nothing to keep.
        if before is not None and all(before.entry.get(name) == entry[name] for name in ("salt", "epoch")):
            earlier = before.variants[:-1] if "layer" in before.entry else before.variants
            ranges = succeed(earlier, before.entry.get("ranges"), names, weights) or ranges
        entry["ranges"] = ranges.to_json()
        return entry

    @classmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        ranges = centred(read_weights(entry, arms, place))
        if "ranges" in entry:
            ranges = read_ranges(entry["ranges"], len(arms), f"{place}.ranges")
        layer = read_layer(entry, place)
        return cls(arms, ranges, read_keys(entry, place), read_seed(entry, place), layer)

    def choose(self, request: RequestView) -> Arm:
        key = self._keys.read(request)
        if key is None:
            if self._layer is not None:
                return self._outside
            return self._owners[bisect_right(self._uppers, random())]
        arm = self.choose_keyed(key)
        request.group = self.group
        return arm

    def choose_keyed(self, key: bytes) -> Arm:
        if self._layer is not None and not self._layer.holds(key):
            self.group = -1
            return self._outside
        digest = digest_of(key, self._seed)
        self.group = digest & GROUP_MASK
        return self._owners[bisect_right(self._uppers, digest * SCALE)]
