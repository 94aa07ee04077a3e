"""Layers: experiments that share one divide the keys among themselves, so that no key is in two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xxhash import xxh3_64_intdigest

from proxy import plain
from proxy.splits.ranges import TOP
from proxy.splits.sticky import SCALE, seed_of

# Keeps a layer of some name apart from a split with that salt.
PREFIX: Final = "layer/"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """The part of a layer that one split owns: the keys whose fraction lies in [start, end)."""

    name: str
    start: float
    end: float

    def overlaps(self, other: LayerSpec) -> bool:
        """Whether a key could be in both."""
        return self.name == other.name and self.start < other.end and other.start < self.end

    def to_json(self) -> dict[str, object]:
        """The form it has in a table."""
        return {"name": self.name, "from": self.start, "to": self.end}


class Layer:
    """Tells which keys a split may divide.

    The place of a key in a layer depends on the key and the layer's name alone: not on the split, its epoch
    or its salt. Layers of different names are therefore independent of each other, and each is independent
    of how the splits in it divide what is theirs.
    """

    __slots__ = ("_end", "_seed", "_start")

    def __init__(self, name: str, start: float, end: float) -> None:
        self._seed = seed_of(PREFIX + name, 0)
        self._start = start
        # The very last keys of all round to 1.0.
        self._end = TOP if end >= 1.0 else end

    def holds(self, key: bytes) -> bool:
        """Whether the key is in this split's part of the layer."""
        fraction: float = xxh3_64_intdigest(key, self._seed) * SCALE
        return self._start <= fraction < self._end


def read_layer(entry: Mapping[str, object], place: str) -> Layer | None:
    """The layer of a table entry, None when its split divides all keys.

    Raises:
        PlainError: it is malformed.
    """
    if "layer" not in entry:
        return None
    place = f"{place}.layer"
    value = plain.mapping(entry["layer"], place)
    start = plain.number(plain.required(value, "from", place), f"{place}.from", most=1.0)
    end = plain.number(plain.required(value, "to", place), f"{place}.to", least=start, most=1.0)
    return Layer(plain.text(plain.required(value, "name", place), f"{place}.name"), start, end)


def conflict(
    spec: LayerSpec, key: Sequence[str], other: LayerSpec, other_key: Sequence[str]
) -> tuple[str, str] | None:
    """Why two splits cannot be in these places of a layer, and what would do; None when they can."""
    if spec.overlaps(other):
        low, high = max(spec.start, other.start), min(spec.end, other.end)
        return (
            f"{low * 100:g}% to {high * 100:g}% of layer {spec.name!r} is taken",
            "choose another range or layer",
        )
    if spec.name == other.name and tuple(key) != tuple(other_key):
        return (
            f"layer {spec.name!r} is divided by {', '.join(other_key)}, not by {', '.join(key)}",
            "use the same key in the whole layer",
        )
    return None
