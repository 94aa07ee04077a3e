"""The part of the schema that says how a request is changed on its way to an upstream."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from config.base import Fault, Model, as_tuple, refuse
from config.fields import HeaderName, HostPattern, UrlPath
from config.values import InvalidValueError

# They frame the message, concern one hop, or are ours to write.
FIXED = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }
)
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")


def parse_header_value(value: object) -> str:
    """The value of a header, as it is sent."""
    # Never shown: it may be a credential.
    if not isinstance(value, str):
        raise InvalidValueError("the value is not text", "put it in quotes")
    if len(value) > 4096 or not _VALUE.fullmatch(value):
        what = "the value is empty, longer than 4096, or holds other than visible ASCII characters"
        raise InvalidValueError(what, "write what stands behind the colon, without spaces around it")
    return value


HeaderValue = Annotated[
    str,
    BeforeValidator(parse_header_value),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 4096}),
]


class PathRewrite(Model):
    """A beginning of the path that is written differently; other paths stay as they are."""

    prefix: UrlPath
    """What the path starts with, by whole segments."""
    replace: UrlPath
    """What stands there instead; the rest of the path and the query stay."""


class Rewrite(Model):
    """How a request to this upstream is changed; of the answer, only the model's name is."""

    add: Annotated[dict[HeaderName, HeaderValue], Field(max_length=32)] = Field(default_factory=dict)
    """Headers that are added; lines of these names that the client sent are left out."""
    remove: Annotated[tuple[HeaderName, ...], BeforeValidator(as_tuple), Field(max_length=32)] = ()
    """Headers that are left out."""
    path: PathRewrite | None = None
    """Another beginning of the path."""
    host: HostPattern | None = None
    """Host that the upstream is told; x-forwarded-host keeps the client's."""
    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Name of the model in JSON requests; answers say the client's again."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        remedy = "leave it out; Headgate writes it"
        faults = [
            Fault(path=(key, name), problem=f"{name} cannot be rewritten", remedy=remedy)
            for key, names in (("add", tuple(self.add)), ("remove", self.remove))
            for name in names
            if name in FIXED
        ]
        if self.host is not None and self.host.startswith("*."):
            faults.append(Fault(path=("host",), problem="names many hosts", remedy="write a single one"))
        refuse("rewrite", faults)
        return self
