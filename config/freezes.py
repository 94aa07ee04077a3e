"""The part of the schema that says when nothing may be widened: weekly hours and single periods."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from config.base import Fault, Model, as_tuple, refuse, repeated
from config.fields import Name
from config.values import InvalidValueError

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d|24:00"


def parse_time_of_day(value: object) -> str:
    """A time of day as `HH:MM`, from `00:00` to `24:00`."""
    if isinstance(value, int):
        # YAML 1.1 reads 18:00 without quotes as a number of minutes.
        raise InvalidValueError(f"{value} is not a time of day", 'put it in quotes: "18:00"')
    if not isinstance(value, str) or not re.fullmatch(_TIME, value):
        raise InvalidValueError.about(value, "is not a time of day", 'write one such as "18:00"')
    return value


def parse_moment(value: object) -> str:
    """A date and time with its distance from UTC, written as in RFC 3339."""
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str):
        raise InvalidValueError.about(value, "is not a time", "write 2026-12-20T18:00:00Z")
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidValueError.about(value, "is not a time", "write 2026-12-20T18:00:00Z") from None
    if found.tzinfo is None:
        raise InvalidValueError.about(value, "does not say how far from UTC it is", "end it with Z or +01:00")
    return found.isoformat()


def parse_time_zone(value: object) -> str:
    """The name of a time zone that this machine knows."""
    if not isinstance(value, str):
        raise InvalidValueError.about(value, "is not a time zone", "write UTC or Europe/Berlin")
    try:
        zone(value)
    except (KeyError, ValueError, OSError):
        remedy = "write UTC or a name such as Europe/Berlin; other names need the package tzdata"
        raise InvalidValueError.about(value, "is not a time zone known here", remedy) from None
    return value


def zone(name: str) -> tzinfo:
    """The time zone of this name; UTC needs no data."""
    return UTC if name.upper() == "UTC" else ZoneInfo(name)


TimeOfDay = Annotated[
    str, BeforeValidator(parse_time_of_day), WithJsonSchema({"type": "string", "pattern": rf"^({_TIME})$"})
]
Moment = Annotated[
    str,
    BeforeValidator(parse_moment),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*(Z|[+-]\d\d:?\d\d)$"}),
]
TimeZone = Annotated[
    str,
    BeforeValidator(parse_time_zone),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9_+/-]{1,64}$"}),
]


class Freeze(Model):
    """A time in which no canary gets more requests by itself; going back is always possible."""

    # What is written out is read again: by the name that a file has for it.
    model_config = ConfigDict(serialize_by_alias=True)

    name: Name
    """What it is called in gates, decisions and the audit log."""
    days: Annotated[tuple[Weekday, ...], BeforeValidator(as_tuple), Field(max_length=7)] = ()
    """Days on which it begins, each week; none given and no `since` = every day."""
    start: Annotated[TimeOfDay, Field(alias="from")] = "00:00"
    """When it begins on such a day."""
    end: Annotated[TimeOfDay, Field(alias="to")] = "24:00"
    """When it ends; not after `from` = on the next day."""
    time_zone: TimeZone = "UTC"
    """What `days`, `from` and `to` are read in; daylight saving is followed."""
    since: Moment | None = None
    """Begin of a single period, with its distance from UTC; then `days`, `from` and `to` stay away."""
    until: Moment | None = None
    """End of it."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        faults = repeated("days", self.days)
        if (self.since is None) != (self.until is None):
            key, other = ("until", "since") if self.since is None else ("since", "until")
            faults.append(Fault(path=(key,), problem=f"there is no {other}", remedy=f"give {other} as well"))
        elif self.since is not None and self.until is not None:
            if self.days or self.start != "00:00" or self.end != "24:00":
                remedy = "make two entries of it"
                faults.append(
                    Fault(path=("since",), problem="is given together with weekly hours", remedy=remedy)
                )
            if datetime.fromisoformat(self.until) <= datetime.fromisoformat(self.since):
                problem = "is not after since"
                faults.append(Fault(path=("until",), problem=problem, remedy="write a later time"))
        refuse("freeze", faults)
        return self


Freezes = Annotated[tuple[Freeze, ...], BeforeValidator(as_tuple), Field(max_length=100)]


def plain_freezes(freezes: tuple[Freeze, ...]) -> list[dict[str, Any]]:
    """Freezes as plain values, as plans keep them."""
    return [freeze.model_dump(mode="json", by_alias=True) for freeze in freezes]
