"""A split as an operator asked for it, checked: what `from_config` makes and `compile` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from proxy.splits.layers import LayerSpec

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFault:
    """One thing wrong with a split: the place below `split`, what is wrong, and what would do."""

    path: Path
    problem: str
    remedy: str
    at_key: bool = False
    """Whether the key at that place is wrong, rather than its value."""


class SplitConfigError(Exception):
    """A split that cannot be used, with everything that is wrong with it."""

    def __init__(self, faults: Sequence[SplitFault]) -> None:
        super().__init__("; ".join(f"{fault.problem}: {fault.remedy}" for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSpec:
    """One arm to be: an upstream, the part it plays and its share of the requests, from 0 to 1."""

    upstream: str
    role: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSpec:
    """A checked split. `variants` are in the order of their arms; `salt` is None for the default one."""

    kind: str
    variants: Sequence[VariantSpec]
    key: Sequence[str] = ()
    default_key: str | None = None
    salt: str | None = None
    layer: LayerSpec | None = None
    """The keys that are divided; those outside go to the arm of role stable. None = all."""
    extra: dict[str, object] = field(default_factory=dict)
    """What only the kind itself understands; goes into the table as it is."""

    @property
    def upstreams(self) -> list[str]:
        """Names of the variants, each once, in order."""
        return list(dict.fromkeys(variant.upstream for variant in self.variants))
