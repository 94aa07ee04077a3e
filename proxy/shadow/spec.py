"""A shadow as the routing table states it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy import plain
from proxy.arms import Arm, arm_at
from proxy.splits.sticky import read_keys, seed_of

if TYPE_CHECKING:
    from proxy.keys import KeyReader


class ShadowSpec:
    """Which requests of a route are copied, where to, and within what bounds.

    Times in seconds, sizes in bytes; every bound is for one worker. `reference` are the arms whose requests
    are copied; `noise` says that the copy goes to the upstream that answers the client, too. `rules` is how
    answers are compared, as the comparing process reads it; None = not at all.
    """

    __slots__ = (
        "answer_max",
        "arm",
        "body_max",
        "capture_max",
        "compare_share",
        "deadline",
        "in_flight_max",
        "key",
        "lag",
        "marker",
        "memory_max",
        "methods",
        "name",
        "reference",
        "remove",
        "rules",
        "seed",
        "share",
    )

    def __init__(self, entry: dict[str, object], arms: list[Arm], place: str) -> None:
        """Read a table's entry.

        Raises:
            PlainError: it is malformed.
        """
        values = plain.mapping(entry, place)
        self.name = plain.text(plain.required(values, "name", place), f"{place}.name")
        self.arm = arm_at(plain.required(values, "arm", place), arms, f"{place}.arm")
        self.reference: list[int] = [
            arm_at(number, arms, f"{place}.reference[{i}]").index
            for i, number in enumerate(
                plain.items(plain.required(values, "reference", place), f"{place}.reference")
            )
        ]
        self.share = plain.number(values.get("share", 1.0), f"{place}.share", most=1.0)
        self.key: KeyReader | None = read_keys(values, place) if values.get("key") else None
        self.seed = seed_of(plain.text(values.get("salt", ""), f"{place}.salt"), 1)
        self.methods: list[bytes] = [
            method.encode("ascii") for method in plain.texts(values.get("methods", []), f"{place}.methods")
        ]
        self.memory_max = plain.integer(values.get("memory", 16777216), f"{place}.memory", least=1)
        self.in_flight_max = plain.integer(values.get("in_flight", 64), f"{place}.in_flight", least=1)
        self.deadline = plain.number(values.get("deadline", 10.0), f"{place}.deadline", least=0.001)
        self.body_max = plain.integer(values.get("body", 1048576), f"{place}.body")
        self.answer_max = plain.integer(values.get("answer", 16777216), f"{place}.answer")
        self.lag = plain.number(values.get("lag", 0.05), f"{place}.lag")
        self.marker = plain.text(values.get("marker", "x-headgate-shadow"), f"{place}.marker").encode("ascii")
        self.remove: list[bytes] = [
            name.lower().encode("ascii") for name in plain.texts(values.get("remove", []), f"{place}.remove")
        ]
        compare = values.get("compare")
        self.rules: object = None
        self.compare_share = 0.0
        self.capture_max = 0
        if compare is not None:
            entry = dict(plain.mapping(compare, f"{place}.compare"))
            self.rules = entry.get("rules", {})
            self.compare_share = plain.number(entry.get("share", 1.0), f"{place}.compare.share", most=1.0)
            self.capture_max = plain.integer(entry.get("capture", 262144), f"{place}.compare.capture")


def read_shadows(value: object, arms: list[Arm], place: str) -> list[ShadowSpec]:
    """The shadows of a route.

    Raises:
        PlainError: one is malformed, or two have the same name and role.
    """
    found: list[ShadowSpec] = []
    for index, entry in enumerate(plain.items(value, place)):
        where = f"{place}[{index}]"
        spec = ShadowSpec(dict(plain.mapping(entry, where)), arms, where)
        if any((other.name, other.arm.role) == (spec.name, spec.arm.role) for other in found):
            raise plain.PlainError(f"{where}.name", f"{spec.name!r} is defined twice")
        found.append(spec)
    return found
