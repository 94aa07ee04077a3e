"""Reads a statistics report from the link, strictly: what it does not understand it refuses."""

from dataclasses import dataclass
from typing import Any, Final

from control.counts import GROUP_CELLS, METRICS_CELLS, SCALARS, ArmKey, Counts, make_counts
from control.shadows.reported import ReportedShadow, ShadowReportError, parse_shadows
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES

# Above what JSON numbers of other languages carry exactly; at a million requests a second, 285 years.
_COUNT_MAX: Final = 2**53
# Sums of metric values are in units of 2^-32 of the metric's range.
_SUM_MAX: Final = 2**62
_NAME_MAX: Final = 256
ARMS_MAX: Final = 4096
"""A node with more arms than this posts them in several reports."""

ROLES: Final = frozenset({"stable", "control", "canary", "variant"})


class ReportError(ValueError):
    """A report that breaks the link's rules; the text names the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedArm:
    """One arm's cumulative counts in one boot, and whether a worker diverts it at this moment."""

    key: ArmKey
    counts: Counts
    diverted_now: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one boot of one node has counted since it began. `final`: the boot counts no more."""

    node: str
    boot: str
    sequence: int
    revision: int
    arms: tuple[ReportedArm, ...]
    final: bool
    shadows: tuple[ReportedShadow, ...] = ()


def parse_report(value: object) -> Report:
    """Check a decoded report.

    Raises:
        ReportError: something is missing, of the wrong type or out of range.
    """
    body = _object(value, "report")
    arms = body.get("arms")
    if not isinstance(arms, list):
        raise ReportError("arms: must be a list")
    if len(arms) > ARMS_MAX:
        raise ReportError(f"arms: {len(arms)} in one report, at most {ARMS_MAX} are taken; split it")
    final = body.get("final", False)
    if not isinstance(final, bool):
        raise ReportError("final: must be true or false")
    return Report(
        node=_name(body, "node", "node"),
        boot=_name(body, "boot", "boot"),
        sequence=_count(body.get("sequence"), "sequence"),
        revision=_count(body.get("revision", 0), "revision"),
        arms=tuple(_arm(arm, f"arms[{place}]") for place, arm in enumerate(arms)),
        final=final,
        shadows=_shadows(body),
    )


def _shadows(body: dict[str, Any]) -> tuple[ReportedShadow, ...]:
    try:
        return parse_shadows(body)
    except ShadowReportError as error:
        raise ReportError(str(error)) from error


def _arm(value: object, place: str) -> ReportedArm:
    body = _object(value, place)
    role = _name(body, "role", f"{place}.role")
    if role not in ROLES:
        raise ReportError(f"{place}.role: {role!r} is none of {', '.join(sorted(ROLES))}")
    outcomes = body.get("outcomes")
    if not isinstance(outcomes, list) or len(outcomes) != OUTCOMES:
        raise ReportError(f"{place}.outcomes: must list {OUTCOMES} counts")
    scalars = {name: _count(body.get(name, 0), f"{place}.{name}") for name in SCALARS}
    counts = make_counts(
        scalars,
        [_count(count, f"{place}.outcomes[{i}]") for i, count in enumerate(outcomes)],
        _buckets(body.get("total", []), f"{place}.total"),
        _buckets(body.get("first_byte", []), f"{place}.first_byte"),
        groups=_buckets(body.get("groups", []), f"{place}.groups", GROUP_CELLS),
        metrics=_buckets(body.get("metrics", []), f"{place}.metrics", METRICS_CELLS, _SUM_MAX),
    )
    key = ArmKey(
        route=_name(body, "route", f"{place}.route"),
        variant=_name(body, "variant", f"{place}.variant"),
        role=role,
        stage=_name(body, "stage", f"{place}.stage"),
    )
    return ReportedArm(
        key=key, counts=counts, diverted_now=_count(body.get("diverted_now", 0), f"{place}.diverted_now") > 0
    )


def _buckets(value: object, place: str, size: int = BUCKETS, most: int = _COUNT_MAX) -> list[tuple[int, int]]:
    if not isinstance(value, list) or len(value) > size:
        raise ReportError(f"{place}: must list at most {size} [bucket, count] pairs")
    pairs = []
    for i, pair in enumerate(value):
        if not isinstance(pair, list) or len(pair) != 2:
            raise ReportError(f"{place}[{i}]: must be [bucket, count]")
        bucket = _count(pair[0], f"{place}[{i}][0]")
        if bucket >= size:
            raise ReportError(f"{place}[{i}][0]: bucket {bucket} is not in 0..{size - 1}")
        pairs.append((bucket, _count(pair[1], f"{place}[{i}][1]", most)))
    return pairs


def _object(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ReportError(f"{place}: must be an object")
    return value


def _name(body: dict[str, Any], key: str, place: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_MAX:
        raise ReportError(f"{place}: must be a text of 1 to {_NAME_MAX} characters")
    return value


def _count(value: object, place: str, most: int = _COUNT_MAX) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ReportError(f"{place}: must be a whole number from 0 to 2^{most.bit_length() - 1}")
    return value
