"""Reads what an operator wrote for a split and collects everything that is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.counted import counted
from config.values import FRACTION_MIN, InvalidValueError, parse_fraction, parse_header_name
from proxy.keys import KeySpecError, parse_key
from proxy.splits.layers import LayerSpec
from proxy.splits.schemas import KEYS_MAX, TEXT_MAX, VARIANTS_MAX
from proxy.splits.spec import Path, SplitConfigError, SplitFault, SplitSpec

# Three shares of 33.33 are meant to be everything; what is off by more is a slip.
ROUNDING: Final = 1.01e-4
SHARE_REMEDY: Final = "write a number such as 90, or a percentage such as 90%"


class ParameterReader:
    """Reads the parameters of one split. A fault is noted and reading goes on; `finish` raises them all."""

    def __init__(self, params: Mapping[str, object], upstreams: Sequence[str]) -> None:
        self._params = params
        self._upstreams = upstreams
        self._faults: list[SplitFault] = []

    def fault(self, path: Path, problem: str, remedy: str, *, at_key: bool = False) -> None:
        """Note something wrong."""
        self._faults.append(SplitFault(path=path, problem=problem, remedy=remedy, at_key=at_key))

    def only(self, schema: Mapping[str, Any], kind: str) -> None:
        """Note each parameter that the kind does not have, and each that it needs and did not get."""
        known = list(schema["properties"])
        for name in self._params:
            if name not in known:
                self.fault(
                    (name,), f"a {kind} split has no {name!r}", f"use: {', '.join(known)}", at_key=True
                )
        for name in schema["required"]:
            if name not in self._params:
                self.fault((), f"a {kind} split needs {name!r}", f"add {name}", at_key=True)

    def finish(self, spec: SplitSpec) -> SplitSpec:
        """The split that was read, if nothing was wrong.

        Raises:
            SplitConfigError: something was.
        """
        if self._faults:
            raise SplitConfigError(self._faults)
        return spec

    def upstream(self, name: str) -> str:
        """The upstream that a parameter names."""
        value = self._params.get(name)
        if value is None and name not in self._params:
            return ""
        return self._known(value, (name,))

    def variants(self) -> dict[str, float]:
        """Shares by upstream, from `variants: {v1: 90, v2: 10}`; they add up to 100 or to 1."""
        value = self._params.get("variants")
        path: Path = ("variants",)
        if not isinstance(value, Mapping):
            if "variants" in self._params:
                remedy = "write upstreams and shares, for example {v1: 90, v2: 10}"
                self.fault(path, "is not a mapping", remedy)
            return {}
        if not 2 <= len(value) <= VARIANTS_MAX:
            remedy = f"name from 2 to {VARIANTS_MAX}; for a single one use kind: direct"
            self.fault(path, f"has {counted(len(value), 'variant')}", remedy)
        before = len(self._faults)
        amounts = {
            self._known(name, (*path, str(name)), at_key=True): self._share(given, (*path, str(name)))
            for name, given in value.items()
        }
        # A sum says nothing when a part of it could not be read.
        if len(self._faults) > before:
            return amounts
        percent = any(isinstance(given, str) and given.rstrip().endswith("%") for given in value.values())
        return self._shares(amounts, (100.0,) if percent else (100.0, 1.0), path)

    def weight(self, name: str) -> float:
        """A share from 0 to 1, written as 5% or 0.05; 0 when it is not given."""
        try:
            return parse_fraction(self._params[name]) if name in self._params else 0.0
        except InvalidValueError as error:
            self.fault((name,), error.problem, error.remedy)
            return 0.0

    def keys(self, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Where the key comes from, in the order in which the places are tried."""
        if "key" not in self._params:
            return default
        value = self._params["key"]
        if not isinstance(value, list | tuple):
            return self._key(value, ("key",), ())
        if not 1 <= len(value) <= KEYS_MAX:
            self.fault(("key",), f"names {len(value)} keys", f"name from 1 to {KEYS_MAX}")
        found: tuple[str, ...] = ()
        for index, item in enumerate(value[:KEYS_MAX]):
            found += self._key(item, ("key", index), found)
        return found

    def layer(self) -> LayerSpec | None:
        """The part of a layer, from `layer: {name: ranking, range: [0%, 40%]}`; None when not given."""
        value = self._params.get("layer")
        if value is None:
            return None
        remedy = "write for example {name: ranking, range: [0%, 40%]}"
        if not isinstance(value, Mapping) or set(value) != {"name", "range"}:
            self.fault(("layer",), "does not give name and range", remedy)
            return None
        name, bounds = value["name"], value["range"]
        if not isinstance(name, str) or not 1 <= len(name) <= TEXT_MAX:
            self.fault(("layer", "name"), "is not a short text", f"write from 1 to {TEXT_MAX} characters")
            return None
        if not isinstance(bounds, list | tuple) or len(bounds) != 2:
            self.fault(("layer", "range"), "is not a start and an end", remedy)
            return None
        try:
            start, end = (parse_fraction(bound) for bound in bounds)
        except InvalidValueError as error:
            self.fault(("layer", "range"), error.problem, error.remedy)
            return None
        if not start < end:
            self.fault(("layer", "range"), "ends where it starts, or before", remedy)
            return None
        return LayerSpec(name=name, start=start, end=end)

    def one_of(self, name: str, words: Sequence[str]) -> str:
        """One of some words; the first of them when none is given."""
        value = self._params.get(name, words[0])
        if value not in words:
            self.fault((name,), f"is not {' or '.join(words)}", f"write {' or '.join(words)}")
            return words[0]
        return str(value)

    def header(self, name: str) -> str:
        """The name of a header, empty when none is given."""
        if name not in self._params:
            return ""
        try:
            return parse_header_name(self._params[name])
        except InvalidValueError as error:
            self.fault((name,), error.problem, error.remedy)
            return ""

    def text(self, name: str) -> str | None:
        """A short text, or None when it is not given."""
        value = self._params.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not 1 <= len(value) <= TEXT_MAX:
            self.fault((name,), "is not a short text", f"write from 1 to {TEXT_MAX} characters in quotes")
            return None
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """true or false."""
        value = self._params.get(name, default)
        if not isinstance(value, bool):
            self.fault((name,), "is neither true nor false", "write true or false")
            return default
        return value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self._params.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.fault((name,), "is not a whole number in range", f"write one from {least} to {most}")
            return default
        return value

    def _known(self, value: object, path: Path, *, at_key: bool = False) -> str:
        if not isinstance(value, str):
            self.fault(path, "is not the name of an upstream", "put the name in quotes", at_key=at_key)
            return ""
        if value not in self._upstreams:
            remedy = f"define it under upstreams or use one of: {', '.join(self._upstreams)}"
            self.fault(path, f"there is no upstream {value!r}", remedy, at_key=at_key)
        return value

    def _share(self, value: object, path: Path) -> float:
        if isinstance(value, str):
            try:
                value = float(value.strip().removesuffix("%"))
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fault(path, "is not a share", SHARE_REMEDY)
            return 0.0
        if not 0 <= value <= 100:
            self.fault(path, f"{value:g} is outside 0 to 100", SHARE_REMEDY)
        return float(value)

    def _shares(self, amounts: dict[str, float], wholes: Sequence[float], path: Path) -> dict[str, float]:
        """Amounts as fractions of their sum, which has to be one of `wholes`."""
        total = math.fsum(amounts.values())
        if all(abs(total - whole) > ROUNDING * whole for whole in wholes):
            self.fault(path, f"the shares add up to {total:g}, not to 100", "make them add up to 100")
            return amounts
        shares = {name: amount / total for name, amount in amounts.items()}
        for name, share in shares.items():
            if 0 < share < FRACTION_MIN * (1 - ROUNDING):
                self.fault(
                    (*path, name), f"{share * 100:g}% is too small a share", "write 0 or at least 0.01%"
                )
        return shares

    def _key(self, value: object, path: Path, before: tuple[str, ...]) -> tuple[str, ...]:
        if not isinstance(value, str):
            self.fault(path, "is not a key", "write for example header:x-user-id")
            return ()
        try:
            parse_key(value)
        except KeySpecError as error:
            self.fault(path, error.problem, error.remedy)
            return ()
        if value in before:
            self.fault(path, f"{value} is named twice", "keep one of them")
        return (value,)
