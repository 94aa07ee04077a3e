"""Reads what a report says about shadows, strictly: what it does not understand it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from control.report_values import ReportError, read_count, read_pairs
from control.shadows.counts import ROLES, ShadowKey, compared, copied
from proxy.compare.findings import KINDS
from proxy.compare.tallies import PATHS_MAX, RATIOS
from proxy.counters import SHADOW_CELLS
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES

SHADOWS_MAX: Final = 1024
_NAME_MAX: Final = 256
_SAMPLES_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedShadow:
    """A part of what one boot has counted about a shadow, by name; its parts complete each other."""

    key: ShadowKey
    values: dict[str, int]
    samples: tuple[dict[str, Any], ...] = ()


def parse_shadows(body: dict[str, Any]) -> tuple[ReportedShadow, ...]:
    """The shadows of a decoded report; none where it has no such part.

    Raises:
        ReportError: something is missing, of the wrong type or out of range.
    """
    found: list[ReportedShadow] = []
    for name, read in (("shadows", _copies), ("comparisons", _comparison)):
        entries = body.get(name, [])
        if not isinstance(entries, list) or len(entries) > SHADOWS_MAX:
            raise ReportError(f"{name}: must be a list of at most {SHADOWS_MAX}")
        for place, entry in enumerate(entries):
            where = f"{name}[{place}]"
            if not isinstance(entry, dict):
                raise ReportError(f"{where}: must be an object")
            found.append(read(entry, where))
    return tuple(found)


def _copies(entry: dict[str, Any], place: str) -> ReportedShadow:
    outcomes = entry.get("outcomes")
    if not isinstance(outcomes, list) or len(outcomes) != OUTCOMES:
        raise ReportError(f"{place}.outcomes: must list {OUTCOMES} counts")
    values = copied(
        [read_count(count, f"{place}.outcomes[{i}]") for i, count in enumerate(outcomes)],
        read_pairs(entry.get("total", []), BUCKETS, f"{place}.total"),
        read_pairs(entry.get("cells", []), SHADOW_CELLS, f"{place}.cells"),
    )
    values |= {name: read_count(entry.get(name, 0), f"{place}.{name}") for name in ("started", "lost")}
    return ReportedShadow(key=_key(entry, place), values=values)


def _comparison(entry: dict[str, Any], place: str) -> ReportedShadow:
    kinds = entry.get("kinds", {})
    if not isinstance(kinds, dict) or not set(kinds) <= set(KINDS):
        raise ReportError(f"{place}.kinds: must count differences by a kind that is known")
    paths = entry.get("paths", [])
    if not isinstance(paths, list) or len(paths) > PATHS_MAX + len(KINDS):
        raise ReportError(f"{place}.paths: must list at most {PATHS_MAX + len(KINDS)}")
    for i, path in enumerate(paths):
        good = isinstance(path, list) and len(path) == 3 and isinstance(path[0], str) and path[1] in KINDS
        if not good or len(path[0]) > _NAME_MAX:
            raise ReportError(f"{place}.paths[{i}]: must be [path, kind, count]")
    plain: dict[str, Any] = {
        "kinds": {kind: read_count(count, f"{place}.kinds.{kind}") for kind, count in kinds.items()},
        "paths": [[path, kind, read_count(count, f"{place}.paths")] for path, kind, count in paths],
    }
    for name in ("compared", "agreed", "lost", "primary_sum_us", "shadow_sum_us"):
        plain[name] = read_count(entry.get(name, 0), f"{place}.{name}")
    for name, most in (("primary_us", BUCKETS), ("shadow_us", BUCKETS), ("ratio", RATIOS)):
        plain[name] = read_pairs(entry.get(name, []), most, f"{place}.{name}")
    samples = entry.get("samples", [])
    if not isinstance(samples, list) or not all(isinstance(sample, dict) for sample in samples):
        raise ReportError(f"{place}.samples: must be a list of objects")
    return ReportedShadow(
        key=_key(entry, place),
        values=compared(plain),
        samples=tuple(samples[:_SAMPLES_MAX]),
    )


def _key(entry: dict[str, Any], place: str) -> ShadowKey:
    names: list[str] = []
    for name in ("route", "shadow", "role", "stage"):
        value = entry.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= _NAME_MAX:
            raise ReportError(f"{place}.{name}: must be a text of 1 to {_NAME_MAX} characters")
        names.append(value)
    if names[2] not in ROLES:
        raise ReportError(f"{place}.role: {names[2]!r} is none of {', '.join(sorted(ROLES))}")
    return ShadowKey(*names)
