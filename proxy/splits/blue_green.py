"""Blue-green: everybody on one colour, the other one warm beside it, and one step between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from proxy import plain
from proxy.arms import Arm
from proxy.request import RequestView, needle
from proxy.splits import schemas
from proxy.splits.base import Split
from proxy.splits.spec import SplitSpec, VariantSpec

COLOURS = ("blue", "green")
ROLES = ("canary", "stable")


class BlueGreenSplit(Split):
    """`blue_green`: the live colour gets every request; a request with the preview header gets the dark one.

    The colour that is live by the configuration has the role stable, the other one the role canary. A
    controller swaps them by weight 1, and swaps them back by weight 0; there is nothing in between. Requests
    with the preview header are left out of statistics: they come from those who test, not from users.
    """

    kind = "blue_green"
    schema = schemas.parameters(
        list(COLOURS),
        blue=schemas.NAME,
        green=schemas.NAME,
        live={"enum": list(COLOURS), "default": "blue"},
        preview=schemas.TEXT,
    )

    def __init__(self, arms: list[Arm], *, swapped: bool, preview: str) -> None:
        super().__init__(arms, needs_view=bool(preview))
        self._live = arms[0] if swapped else arms[1]
        self._dark = arms[1] if swapped else arms[0]
        self._needle = needle(preview) if preview else b""

    @classmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        reader = cls.reader(params, upstreams)
        colours = {name: reader.upstream(name) for name in COLOURS}
        if colours["blue"] and colours["blue"] == colours["green"]:
            reader.fault(
                ("green",), f"{colours['green']!r} is blue, too", "name the upstream of the other release"
            )
        live = reader.one_of("live", COLOURS)
        dark = "green" if live == "blue" else "blue"
        preview = reader.header("preview")
        return reader.finish(
            SplitSpec(
                kind=cls.kind,
                variants=[
                    VariantSpec(upstream=colours[dark], role="canary", weight=0.0),
                    VariantSpec(upstream=colours[live], role="stable", weight=1.0),
                ],
                extra={"preview": preview} if preview else {},
            )
        )

    @classmethod
    def reweigh(cls, spec: SplitSpec, canary_weight: float) -> SplitSpec:
        """Swapped at full weight, not swapped below: a part of a swap would mix the colours."""
        swapped = 1.0 if canary_weight >= 1.0 else 0.0
        weights = (swapped, 1.0 - swapped)
        variants = [
            replace(variant, weight=weight) for variant, weight in zip(spec.variants, weights, strict=True)
        ]
        return replace(spec, variants=variants)

    @classmethod
    def condemn(cls, spec: SplitSpec) -> SplitSpec:
        return replace(cls.reweigh(spec, 0.0), extra={})

    @classmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        roles = tuple(arm.role for arm in arms)
        if roles != ROLES:
            raise plain.PlainError(f"{place}.arms", f"must be canary and stable, not {', '.join(roles)}")
        weights = plain.items(plain.required(entry, "weights", place), f"{place}.weights")
        if weights not in ([0.0, 1.0], [1.0, 0.0]):
            raise plain.PlainError(f"{place}.weights", f"one colour has everything, not {weights}")
        preview = plain.text(entry.get("preview", ""), f"{place}.preview")
        return cls(arms, swapped=weights == [1.0, 0.0], preview=preview)

    def choose(self, request: RequestView) -> Arm:
        if self._needle and request.field(self._needle) is not None:
            request.overridden = True
            return self._dark
        return self._live
