"""A split as an operator asked for it, checked: what `from_config` makes and `compile` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]


class SplitConfigError(Exception):
    """A split that cannot be used: the place below `split`, what is wrong, and what would do."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


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
    extra: dict[str, object] = field(default_factory=dict)
    """What only the kind itself understands; goes into the table as it is."""

    @property
    def upstreams(self) -> list[str]:
        """Names of the variants, each once, in order."""
        return list(dict.fromkeys(variant.upstream for variant in self.variants))
