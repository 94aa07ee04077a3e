"""What every kind of split is: checked by itself, compiled by itself, and asked once per request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mypy_extensions import mypyc_attr

from proxy import plain
from proxy.arms import Arm, arm_at
from proxy.request import RequestView
from proxy.splits.spec import SplitSpec

if TYPE_CHECKING:
    from proxy.splits.parameters import ParameterReader


class Before:
    """The entry of a split in an earlier table, and the names of its variants in the order of its arms."""

    __slots__ = ("entry", "variants")

    def __init__(self, entry: Mapping[str, object], variants: Sequence[str]) -> None:
        self.entry = entry
        self.variants = variants


@mypyc_attr(allow_interpreted_subclasses=True)
class Split(ABC):
    """Chooses an arm for each request. Called on the hot path: no I/O, no waiting, nothing worked out twice.

    `needs_view` is False when `choose` does not look at the request; `needs_body` is True when it looks into
    the body, which is then held back until it is whole or too long. `noted` is the lower-case name of a
    header that the split goes by where a request has it: the scan of the head finds it on its way, and
    `choose_keyed` is asked with its value instead of `choose`.
    """

    kind: ClassVar[str]
    schema: ClassVar[dict[str, Any]]
    """JSON Schema of the kind's own parameters."""
    kinds: ClassVar[dict[str, type[Split]]] = {}
    walks: ClassVar[bool] = False
    """Whether the weight also says which endpoints take part (`proxy.walk`)."""

    def __init_subclass__(cls) -> None:
        if cls.kind in Split.kinds:
            raise TypeError(f"split kind {cls.kind!r} is registered twice")
        Split.kinds[cls.kind] = cls

    def __init__(
        self, arms: list[Arm], *, needs_view: bool = False, needs_body: bool = False, noted: bytes = b""
    ) -> None:
        self.arms = arms
        self.noted = noted
        self.needs_view = needs_view
        self.needs_body = needs_body
        # Which of 64 groups the key of the last `choose_keyed` falls into, -1 for none.
        self.group = -1

    @classmethod
    def reader(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> ParameterReader:
        """What `from_config` reads the parameters with, all known and all necessary ones there."""
        # Not with this module: workers read tables only, and are smaller by what this imports.
        from proxy.splits.parameters import ParameterReader

        reader = ParameterReader(params, upstreams)
        reader.only(cls.schema, cls.kind)
        return reader

    @classmethod
    @abstractmethod
    def from_config(cls, params: Mapping[str, object], upstreams: Sequence[str]) -> SplitSpec:
        """Check the parameters an operator wrote; `upstreams` are the names that exist.

        Raises:
            SplitConfigError: at the first parameter that cannot be used.
        """

    @classmethod
    def default_salt(cls, spec: SplitSpec, route: str, releases: Mapping[str, str]) -> str:
        """What makes this split's assignment independent of every other's, unless the operator says so."""
        del releases
        return f"{route}/{spec.kind}"

    @classmethod
    def reweigh(cls, spec: SplitSpec, canary_weight: float) -> SplitSpec:
        """The split with another canary weight; only kinds with a canary have one."""
        raise TypeError(f"a {spec.kind} split has no canary whose weight could be {canary_weight:g}")

    @classmethod
    def condemn(cls, spec: SplitSpec) -> SplitSpec:
        """The split after a rollback: nothing may reach the canary any more."""
        return cls.reweigh(spec, 0.0)

    @classmethod
    def compile(
        cls, spec: SplitSpec, arms: Sequence[int], salt: str, epoch: int, before: Before | None
    ) -> dict[str, object]:
        """The table entry of a checked split.

        Args:
            spec: the split, its weights being those to use now.
            arms: number in the table of each of the spec's variants.
            salt, epoch: what seeds the hash of keys.
            before: the entry that this one replaces, if the route had a split of this kind.
        """
        del before
        entry: dict[str, object] = {
            "kind": spec.kind,
            "arms": list(arms),
            "weights": [variant.weight for variant in spec.variants],
            **spec.extra,
        }
        if spec.key:
            entry |= {
                "salt": salt,
                "epoch": epoch,
                "key": list(spec.key),
                "default_key": spec.default_key,
            }
        if spec.layer is not None:
            entry["layer"] = spec.layer.to_json()
        return entry

    @classmethod
    @abstractmethod
    def from_table(cls, entry: Mapping[str, object], arms: list[Arm], place: str) -> Split:
        """The split that a table entry describes; `arms` are its arms in the order of the entry.

        Raises:
            PlainError: the entry is malformed; the text starts with `place`.
        """

    @abstractmethod
    def choose(self, request: RequestView) -> Arm:
        """The arm of this request."""

    def choose_keyed(self, key: bytes) -> Arm:
        """The arm of a request whose header `noted` says this, which is not empty; sets `group`."""
        raise NotImplementedError

    def adopt(self, previous: Split) -> None:  # noqa: B027 - most kinds have no running state
        """Take over the running state of the same split in the table before, if there is any."""


def read_split(value: object, arms: list[Arm], place: str) -> Split:
    """Build the split of a route from its table entry; `arms` are all arms of the table.

    Raises:
        PlainError: the entry is malformed, or of an unknown kind.
    """
    entry = plain.mapping(value, place)
    kind = plain.text(plain.required(entry, "kind", place), f"{place}.kind")
    found = Split.kinds.get(kind)
    if found is None:
        raise plain.PlainError(f"{place}.kind", f"there is no {kind!r}; known are {', '.join(Split.kinds)}")
    numbers = plain.items(plain.required(entry, "arms", place), f"{place}.arms")
    own = [arm_at(number, arms, f"{place}.arms[{index}]") for index, number in enumerate(numbers)]
    if not own:
        raise plain.PlainError(f"{place}.arms", "must name at least one arm")
    return found.from_table(entry, own, place)


def read_weights(entry: Mapping[str, object], arms: list[Arm], place: str) -> list[float]:
    """The shares of a table entry, one for each arm, which add up to 1."""
    given = plain.items(plain.required(entry, "weights", place), f"{place}.weights")
    if len(given) != len(arms):
        raise plain.PlainError(f"{place}.weights", f"there are {len(given)} for {len(arms)} arms")
    weights = [plain.number(item, f"{place}.weights[{i}]", most=1.0) for i, item in enumerate(given)]
    if abs(sum(weights) - 1.0) > 1e-9:
        raise plain.PlainError(f"{place}.weights", f"must add up to 1, not {sum(weights):g}")
    return weights
