"""Everything to one upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy import plain
from proxy.arms import Arm
from proxy.request import RequestView
from proxy.splits import schemas
from proxy.splits.base import Split
from proxy.splits.spec import SplitSpec, VariantSpec


class DirectSplit(Split):
    """`direct`: one upstream takes every request of the route."""

    kind = "direct"
    schema = schemas.parameters(["upstream"], upstream=schemas.NAME)

    def __init__(self, arms: list[Arm]) -> None:
        super().__init__(arms)
        self.arm = arms[0]

    @classmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        reader = cls.reader(params, upstreams)
        name = reader.upstream("upstream")
        variants = [VariantSpec(upstream=name, role="stable", weight=1.0)]
        return reader.finish(SplitSpec(kind=cls.kind, variants=variants))

    @classmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        if len(arms) != 1 or entry.get("kind") != cls.kind:
            raise plain.PlainError(f"{place}.arms", f"a direct split has one arm, not {len(arms)}")
        return cls(arms)

    def choose(self, request: RequestView) -> Arm:  # noqa: ARG002 - the same for every request
        return self.arm
