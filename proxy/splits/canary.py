"""Sticky like `hash`, between a stable upstream and its canary, with a control slice to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from proxy import plain
from proxy.arms import Arm
from proxy.keys import KeyReader
from proxy.request import RequestView
from proxy.splits import schemas
from proxy.splits.base import Split, read_weights
from proxy.splits.layers import Layer, read_layer
from proxy.splits.spec import SplitSpec, VariantSpec
from proxy.splits.sticky import GROUP_MASK, SCALE, digest_of, read_keys, read_seed

ROLES = ("canary", "stable", "control")


class CanarySplit(Split):
    """`canary`: the canary owns the keys in [0, w), the control slice those in [1 - w', 1), stable the rest.

    w' = min(w, 1 - w): as much of stable as the canary gets, as long as there is that much. Raising w takes
    keys from stable only, so nobody who is on the canary leaves it. A request without a key goes to stable,
    and so does one whose key is outside the split's part of its layer.
    """

    kind = "canary"
    schema = schemas.parameters(
        ["stable", "canary"],
        stable=schemas.NAME,
        canary=schemas.NAME,
        key=schemas.KEY,
        weight=schemas.WEIGHT,
        control=schemas.CONTROL,
        default_key=schemas.TEXT,
        salt=schemas.TEXT,
        layer=schemas.LAYER,
    )

    def __init__(
        self, arms: list[Arm], weights: list[float], keys: KeyReader, seed: int, layer: Layer | None
    ) -> None:
        super().__init__(arms, needs_view=True, needs_body=keys.needs_body, noted=keys.noted)
        self.canary = arms[0]
        self.stable = arms[1]
        self.control = arms[2] if len(arms) > 2 else arms[1]
        self._canary_below = weights[0]
        # Without a slice its bound is out of reach, also for a fraction that rounds to 1.
        self._control_from = 1.0 - weights[2] if len(arms) > 2 and weights[2] > 0 else 2.0
        # At full weight there is nobody else, also for that fraction.
        if weights[0] >= 1.0:
            self._canary_below = 2.0
        self._keys = keys
        self._seed = seed
        self._layer = layer

    @classmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        reader = cls.reader(params, upstreams)
        stable = reader.upstream("stable")
        canary = reader.upstream("canary")
        if stable and stable == canary:
            reader.fault(
                ("canary",), f"{canary!r} is the stable upstream too", "name the upstream of the new release"
            )
        shares = _shares(reader.weight("weight"), control=reader.flag("control", default=True))
        return reader.finish(
            SplitSpec(
                kind=cls.kind,
                variants=[
                    VariantSpec(upstream=name, role=role, weight=share)
                    for name, role, share in zip((canary, stable, stable), ROLES, shares, strict=False)
                ],
                key=reader.keys(default=("client_address",)),
                default_key=reader.text("default_key"),
                salt=reader.text("salt"),
                layer=reader.layer(),
            )
        )

    @classmethod
    def default_salt(cls, spec: SplitSpec, route: str, releases: Mapping[str, str]) -> str:
        """Another release is another canary population: the same users need not always go first."""
        canary = spec.variants[0].upstream
        return f"{route}/{canary}/{releases.get(canary, '')}"

    @classmethod
    def reweigh(cls, spec: SplitSpec, canary_weight: float) -> SplitSpec:
        shares = _shares(canary_weight, control=len(spec.variants) == len(ROLES))
        variants = [
            replace(variant, weight=share) for variant, share in zip(spec.variants, shares, strict=False)
        ]
        return replace(spec, variants=variants)

    @classmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        roles = tuple(arm.role for arm in arms)
        if roles not in (ROLES, ROLES[:2]):
            raise plain.PlainError(
                f"{place}.arms", f"must be canary, stable and control, not {', '.join(roles)}"
            )
        weights = read_weights(entry, arms, place)
        layer = read_layer(entry, place)
        return cls(arms, weights, read_keys(entry, place), read_seed(entry, place), layer)

    def choose(self, request: RequestView) -> Arm:
        key = self._keys.read(request)
        if key is None:
            return self.stable
        arm = self.choose_keyed(key)
        request.group = self.group
        return arm

    def choose_keyed(self, key: bytes) -> Arm:
        if self._layer is not None and not self._layer.holds(key):
            self.group = -1
            return self.stable
        digest = digest_of(key, self._seed)
        self.group = digest & GROUP_MASK
        fraction = digest * SCALE
        if fraction < self._canary_below:
            return self.canary
        if fraction < self._control_from:
            return self.stable
        return self.control


def _shares(weight: float, *, control: bool) -> tuple[float, ...]:
    """Shares of canary, stable and, if wanted, control; they add up to 1."""
    if not control:
        return weight, 1.0 - weight
    slice_ = min(weight, 1.0 - weight)
    return weight, max(0.0, 1.0 - weight - slice_), slice_
