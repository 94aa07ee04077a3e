"""Everything to one upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy import plain
from proxy.arms import Arm
from proxy.request import RequestView
from proxy.splits import parameters
from proxy.splits.base import Split
from proxy.splits.spec import SplitSpec, VariantSpec


class DirectSplit(Split):
    """`direct`: one upstream takes every request of the route."""

    kind = "direct"
    schema = parameters.schema(["upstream"], upstream=parameters.NAME_SCHEMA)

    def __init__(self, arms: list[Arm]) -> None:
        super().__init__(arms)
        self.arm = arms[0]

    @classmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        parameters.only(params, cls.schema, cls.kind)
        name = parameters.upstream(params, "upstream", upstreams)
        return SplitSpec(kind=cls.kind, variants=[VariantSpec(upstream=name, role="stable", weight=1.0)])

    @classmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        if len(arms) != 1 or entry.get("kind") != cls.kind:
            raise plain.PlainError(f"{place}.arms: a direct split has one arm, not {len(arms)}")
        return cls(arms)

    def choose(self, request: RequestView) -> Arm:  # noqa: ARG002 - the same for every request
        return self.arm
