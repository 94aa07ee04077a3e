"""Reads a statistics report from the link, strictly: what it does not understand it refuses."""

from dataclasses import dataclass
from typing import Any, Final

from control.counts import (
    ASIDE_CELLS,
    GROUP_CELLS,
    GROUP_TIMES_CELLS,
    METRICS_CELLS,
    SCALARS,
    ArmKey,
    Counts,
    make_counts,
)
from control.report_values import ReportError, read_count, read_pairs
from control.shadows.reported import ReportedShadow, parse_shadows
from proxy.histogram import BUCKETS
from proxy.outcomes import OUTCOMES

# Sums of metric values are in units of 2^-32 of the metric's range.
_SUM_MAX: Final = 2**62
_NAME_MAX: Final = 256
_OF_STREAMS: Final = ("first_token", "token_gap", "token_time")
ARMS_MAX: Final = 4096
"""A node with more arms than this posts them in several reports."""

ROLES: Final = frozenset({"stable", "control", "canary", "variant"})


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
        sequence=read_count(body.get("sequence"), "sequence"),
        revision=read_count(body.get("revision", 0), "revision"),
        arms=tuple(_arm(arm, f"arms[{place}]") for place, arm in enumerate(arms)),
        final=final,
        shadows=parse_shadows(body),
    )


def _arm(value: object, place: str) -> ReportedArm:
    body = _object(value, place)
    role = _name(body, "role", f"{place}.role")
    if role not in ROLES:
        raise ReportError(f"{place}.role: {role!r} is none of {', '.join(sorted(ROLES))}")
    outcomes = body.get("outcomes")
    if not isinstance(outcomes, list) or len(outcomes) != OUTCOMES:
        raise ReportError(f"{place}.outcomes: must list {OUTCOMES} counts")
    scalars = {name: read_count(body.get(name, 0), f"{place}.{name}") for name in SCALARS}
    counts = make_counts(
        scalars,
        [read_count(count, f"{place}.outcomes[{i}]") for i, count in enumerate(outcomes)],
        read_pairs(body.get("total", []), BUCKETS, f"{place}.total"),
        read_pairs(body.get("first_byte", []), BUCKETS, f"{place}.first_byte"),
        groups=read_pairs(body.get("groups", []), GROUP_CELLS, f"{place}.groups"),
        group_times=read_pairs(body.get("group_times", []), GROUP_TIMES_CELLS, f"{place}.group_times"),
        aside=read_pairs(body.get("aside", []), ASIDE_CELLS, f"{place}.aside"),
        metrics=read_pairs(body.get("metrics", []), METRICS_CELLS, f"{place}.metrics", _SUM_MAX),
        **{name: read_pairs(body.get(name, []), BUCKETS, f"{place}.{name}") for name in _OF_STREAMS},
    )
    key = ArmKey(
        route=_name(body, "route", f"{place}.route"),
        variant=_name(body, "variant", f"{place}.variant"),
        role=role,
        stage=_name(body, "stage", f"{place}.stage"),
    )
    return ReportedArm(
        key=key,
        counts=counts,
        diverted_now=read_count(body.get("diverted_now", 0), f"{place}.diverted_now") > 0,
    )


def _object(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ReportError(f"{place}: must be an object")
    return value


def _name(body: dict[str, Any], key: str, place: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_MAX:
        raise ReportError(f"{place}: must be a text of 1 to {_NAME_MAX} characters")
    return value
