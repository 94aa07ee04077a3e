"""JSON values, field by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from proxy.compare.embeddings import compare_embeddings
from proxy.compare.findings import Findings
from proxy.compare.labels import compare_labels, is_number
from proxy.compare.numbers import close
from proxy.compare.rules import Places, Rules, below
from proxy.compare.texts import similarity

Path = tuple[str, ...]
# Deeper than any answer of a model server; below it values are equal or not, without rules.
DEPTH_MAX: Final = 100
# Up to here every way to pair the entries of unordered lists is considered; longer ones are sorted.
MATCHED_MAX: Final = 64


def compare_fields(primary: Any, shadow: Any, rules: Rules, findings: Findings) -> None:
    """Compare two decoded JSON values."""
    _Comparison(rules, findings).values((), rules.places, primary, shadow)


def equal(first: Any, second: Any) -> bool:
    """Whether two values are the same, however deep they are; 1 and 1.0 are, 1 and true are not."""
    waiting = [(first, second)]
    while waiting:
        a, b = waiting.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            if a.keys() != b.keys():
                return False
            waiting += [(value, b[key]) for key, value in a.items()]
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            waiting += zip(a, b, strict=True)
        elif is_number(a) and is_number(b):
            if a != b:
                return False
        elif type(a) is not type(b) or a != b:
            return False
    return True


class _Comparison:
    def __init__(self, rules: Rules, findings: Findings) -> None:
        self._rules = rules
        self._findings = findings

    def values(self, path: Path, places: Places, primary: Any, shadow: Any) -> None:
        """Compare what stands at one path."""
        findings = self._findings
        if findings.full or any(place.ignored for place in places):
            return
        if len(path) > DEPTH_MAX:
            if not equal(primary, shadow):
                findings.add(path[:DEPTH_MAX], "value")
            return
        if places and self._specially(path, places, primary, shadow):
            return
        if isinstance(primary, dict) and isinstance(shadow, dict):
            self._objects(path, places, primary, shadow)
        elif isinstance(primary, list) and isinstance(shadow, list):
            self._lists(path, places, primary, shadow)
        elif is_number(primary) and is_number(shadow):
            if not close(primary, shadow, self._rules):
                findings.add(path, "number", primary, shadow)
        elif type(primary) is not type(shadow):
            findings.add(path, "type", _type(primary), _type(shadow))
        elif primary != shadow:
            findings.add(path, "value", primary, shadow)

    def _specially(self, path: Path, places: Places, primary: Any, shadow: Any) -> bool:
        """Compare by a rule made for this place; False when there is none, or the values do not fit it."""
        for place in places:
            if place.labelled and compare_labels(path, primary, shadow, self._findings):
                return True
            if place.cosine and compare_embeddings(path, primary, shadow, place.cosine, self._findings):
                return True
            if place.similarity and isinstance(primary, str) and isinstance(shadow, str):
                alike = similarity(primary, shadow)
                if alike < place.similarity:
                    self._findings.add(path, "text", None, round(alike, 4))
                return True
        return False

    def _objects(self, path: Path, places: Places, primary: dict[str, Any], shadow: dict[str, Any]) -> None:
        renamed = self._renamed(places, primary)
        theirs = set(renamed.values())
        for name in primary:
            other = renamed.get(name, name)
            inner = below(places, name)
            if other in shadow:
                self.values((*path, name), inner, primary[name], shadow[other])
            elif not any(place.ignored for place in inner):
                self._findings.add((*path, name), "missing")
        for name in shadow:
            known = name in theirs or (name in primary and name not in renamed)
            if not known and not any(place.ignored for place in below(places, name)):
                self._findings.add((*path, name), "extra")

    def _renamed(self, places: Places, primary: dict[str, Any]) -> dict[str, str]:
        if not any(place.steps or place.any for place in places):
            return {}
        return {name: place.renamed for name in primary for place in below(places, name) if place.renamed}

    def _lists(self, path: Path, places: Places, primary: list[Any], shadow: list[Any]) -> None:
        if len(primary) != len(shadow):
            self._findings.add(path, "length", len(primary), len(shadow))
            return
        if any(place.unordered for place in places):
            primary, shadow = self._paired(path, places, primary, shadow)
        inner_path = (*path, "*")
        if not any(place.steps or place.any for place in places):
            for first, second in zip(primary, shadow, strict=True):
                self.values(inner_path, (), first, second)
            return
        for index, (first, second) in enumerate(zip(primary, shadow, strict=True)):
            self.values(inner_path, below(places, str(index)), first, second)

    def _paired(
        self, path: Path, places: Places, primary: list[Any], shadow: list[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Put two lists whose order means nothing into an order in which as many entries as can be agree."""
        if len(primary) > MATCHED_MAX:
            return sorted(primary, key=_canonical), sorted(shadow, key=_canonical)
        inner = below(places, "*")

        def agree(first: int, second: int) -> bool:
            findings = Findings()
            _Comparison(self._rules, findings).values((*path, "*"), inner, primary[first], shadow[second])
            return not findings.found

        partner = matching(len(primary), agree)
        left = [index for index in range(len(shadow)) if index not in partner]
        order = [left.pop(0) if at < 0 else at for at in partner]
        return primary, [shadow[index] for index in order]


def matching(size: int, agree: Callable[[int, int], bool]) -> list[int]:
    """The partner of each of `size` entries in a largest matching, -1 for none (Kuhn 1955)."""
    friends = [[j for j in range(size) if agree(i, j)] for i in range(size)]
    taken_by = [-1] * size

    def seat(entry: int, asked: set[int]) -> bool:
        for other in friends[entry]:
            if other not in asked:
                asked.add(other)
                if taken_by[other] < 0 or seat(taken_by[other], asked):
                    taken_by[other] = entry
                    return True
        return False

    for entry in range(size):
        seat(entry, set())
    partner = [-1] * size
    for other, entry in enumerate(taken_by):
        if entry >= 0:
            partner[entry] = other
    return partner


def _canonical(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError):
        # Too deep to be written; any fixed place will do.
        return b""


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
