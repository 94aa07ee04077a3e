"""Lets a request name its variant, from a list that the operator allows."""

from __future__ import annotations

from collections.abc import Mapping

from proxy import plain
from proxy.arms import Arm, arm_at
from proxy.request import RequestView, needle


class Override:
    """Arms by the value of a header or, failing that, of a cookie; any other value counts for nothing."""

    __slots__ = ("_arms", "_cookie", "_needle")

    def __init__(self, arms: Mapping[bytes, Arm], header: str, cookie: str) -> None:
        self._arms = dict(arms)
        self._needle = needle(header) if header else b""
        self._cookie = cookie.encode("ascii")

    def find(self, request: RequestView) -> Arm | None:
        """The arm that the request asks for and may have, or None."""
        if self._needle:
            value = request.field(self._needle)
            if value is not None:
                arm = self._arms.get(value)
                if arm is not None:
                    return arm
        if self._cookie:
            value = request.cookie(self._cookie)
            if value is not None:
                return self._arms.get(value)
        return None


def read_override(value: object, arms: list[Arm], place: str) -> Override | None:
    """The override of a table entry; None when there is none or nothing may be asked for.

    Raises:
        PlainError: the entry is malformed.
    """
    if value is None:
        return None
    entry = plain.mapping(value, place)
    values = plain.mapping(plain.required(entry, "values", place), f"{place}.values")
    allowed: dict[bytes, Arm] = {}
    for name, number in values.items():
        allowed[name.encode("utf-8")] = arm_at(number, arms, f"{place}.values.{name}")
    if not allowed:
        return None
    return Override(
        allowed,
        plain.text(entry.get("header", ""), f"{place}.header"),
        plain.text(entry.get("cookie", ""), f"{place}.cookie"),
    )
