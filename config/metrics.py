"""The part of the schema that says what else than failures and latency is counted of a route's answers."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.base import Fault, Model, as_tuple, refuse
from config.fields import Name, Text
from config.values import InvalidValueError

# What a counter page has room for (proxy.counters).
METRICS_MAX: Final = 4
_HEADER: Final = re.compile(r"header:[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_POINTER: Final = re.compile(r"json:(/([^~]|~[01])*)+")


def _source(value: str) -> str:
    if value == "feedback" or _HEADER.fullmatch(value) or _POINTER.fullmatch(value):
        return value
    raise InvalidValueError(
        f"{value!r} is not where a value can come from",
        "write header:NAME, json:/POINTER (RFC 6901) or feedback",
    )


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise InvalidValueError(
            f"{value} is not a number that a range can end at", "write for example [0, 1]"
        )
    return value


Bound = Annotated[float, Field(strict=False), AfterValidator(_finite)]


class Metric(Model):
    """A number that each good answer, or somebody later, says about a request."""

    name: Name
    """What guardrails, commands and `POST /v1/feedback` call it."""
    source: Annotated[Text, AfterValidator(_source)]
    """`header:NAME` or `json:/POINTER` of the answer, or `feedback`: reported later by the request's id."""
    range: Annotated[tuple[Bound, Bound], BeforeValidator(as_tuple)]
    """The lowest and the highest value that are told apart; values beyond count as these."""
    scale: Literal["linear", "log"] = "linear"
    """How the range is cut into buckets: equally wide ones, or (`log`) each wider by one factor."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        low, high = self.range
        faults = []
        if not low < high:
            problem = f"does not rise from {low:g} to {high:g}"
            faults.append(Fault(path=("range",), problem=problem, remedy="write the lower end first"))
        if self.scale == "log" and low <= 0:
            problem = f"a logarithmic scale cannot begin at {low:g}"
            faults.append(
                Fault(path=("range",), problem=problem, remedy="begin above 0, or use scale: linear")
            )
        refuse("metric", faults)
        return self
