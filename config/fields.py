"""Types of fields: how each is read from a file, and what an editor may accept for it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from config.addresses import Bind, parse_bind, parse_endpoint_url, parse_host_pattern
from config.values import (
    InvalidValueError,
    parse_cookie_name,
    parse_duration,
    parse_fraction,
    parse_header_name,
    parse_name,
    parse_size,
)

_NUMBER: Final = r"\d{1,18}(\.\d{1,18})?"
DURATION_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": rf"^({_NUMBER}|({_NUMBER}(us|ms|s|m|h|d))+)$"},
    ],
}
FRACTION_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "pattern": rf"^{_NUMBER} ?%$"},
    ],
}
SIZE_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": rf"^{_NUMBER} ?([bB]|[kKmMgGtT][iI]?[bB])?$"},
    ],
}
_HEADER_NAME: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": r"^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})$",
}


def _above_zero(value: float) -> float:
    if not value > 0:
        raise InvalidValueError("0 would leave no time at all", "write a duration above 0, such as 5s")
    return value


def _share_above_zero(value: float) -> float:
    if not value > 0:
        raise InvalidValueError("0% would get no requests", "write at least 0.01%")
    return value


def _at_most_half(value: float) -> float:
    if not 0 < value <= 0.5:
        raise InvalidValueError(f"{value:g} is outside 0.01% to 50%", "write an error chance such as 1%")
    return value


Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA)]
"""Seconds."""

PositiveDuration = Annotated[
    float, BeforeValidator(parse_duration), AfterValidator(_above_zero), WithJsonSchema(DURATION_SCHEMA)
]
"""Seconds, more than none."""

Fraction = Annotated[float, BeforeValidator(parse_fraction), WithJsonSchema(FRACTION_SCHEMA)]
"""A share from 0 to 1."""

Weight = Annotated[
    float, BeforeValidator(parse_fraction), AfterValidator(_share_above_zero), WithJsonSchema(FRACTION_SCHEMA)
]
"""A share above 0, up to 1."""

ErrorChance = Annotated[
    float, BeforeValidator(parse_fraction), AfterValidator(_at_most_half), WithJsonSchema(FRACTION_SCHEMA)
]
"""A probability above 0, up to one half."""

Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(SIZE_SCHEMA)]
"""Bytes."""

BindAddress = Annotated[
    Bind,
    BeforeValidator(parse_bind),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):\d{1,5}$"},
        mode="validation",
    ),
]
"""host:port to listen on."""


def parse_url(value: object) -> str:
    """The URL of an endpoint with its port written out."""
    return str(parse_endpoint_url(value))


EndpointUrl = Annotated[
    str,
    BeforeValidator(parse_url),
    WithJsonSchema(
        {"type": "string", "pattern": r"^([hH][tT][tT][pP][sS]?://[^/?#@\s]+/?|unix:/[^\x00]{1,106})$"}
    ),
]
"""http://host:port or https://host:port with the port written out, or unix:/path."""

Role = Literal["viewer", "operator", "approver", "admin"]
"""What somebody may do; each may also do what those before it may."""

Name = Annotated[
    str,
    BeforeValidator(parse_name),
    WithJsonSchema({"type": "string", "pattern": r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?)$"}),
]
"""A name that can stand in a header, a cookie, a URL and a metric's label as it is."""

HostPattern = Annotated[
    str,
    BeforeValidator(parse_host_pattern),
    WithJsonSchema({"type": "string", "pattern": r"^(\*\.)?[A-Za-z0-9_.-]+$|^\[[0-9A-Fa-f:.]+\]$"}),
]
"""A host in lower case, or *. and a domain."""

HeaderName = Annotated[str, BeforeValidator(parse_header_name), WithJsonSchema(_HEADER_NAME)]
"""A header name in lower case."""


def header_name_or_off(value: object) -> str:
    """A header name, or empty for none."""
    return "" if value == "" else parse_header_name(value)


def cookie_name_or_off(value: object) -> str:
    """A cookie name, or empty for none."""
    return "" if value == "" else parse_cookie_name(value)


_NAME_OR_OFF: Final = {"anyOf": [_HEADER_NAME, {"const": ""}]}
OptionalHeaderName = Annotated[str, BeforeValidator(header_name_or_off), WithJsonSchema(_NAME_OR_OFF)]
"""A header name in lower case, or empty for none."""

OptionalCookieName = Annotated[str, BeforeValidator(cookie_name_or_off), WithJsonSchema(_NAME_OR_OFF)]
"""A cookie name, or empty for none."""


def parse_path(value: object) -> str:
    """The path of a URL, without a query."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise InvalidValueError.about(value, "is not a path", "write one that starts with /")
    if len(value) > 2048 or re.search(r"[\x00-\x20\x7f?#]", value):
        what = "holds a space, a control character, ? or #, or is longer than 2048 characters"
        raise InvalidValueError.about(value, what, "write the path alone, percent-encoded as in a request")
    # Clients and servers resolve these segments, so a route could be walked around.
    if any(segment in (".", "..") for segment in re.sub("%2[eE]", ".", value).split("/")):
        raise InvalidValueError.about(value, "has a segment . or ..", "write the path without it")
    return value


UrlPath = Annotated[
    str, BeforeValidator(parse_path), WithJsonSchema({"type": "string", "pattern": r"^/[^?#\s]*$"})
]
"""The path of a URL."""


def parse_regex(value: object) -> str:
    """A regular expression that compiles."""
    if not isinstance(value, str) or not value:
        raise InvalidValueError.about(value, "is not a regular expression", "write one in quotes: '^/v[12]/'")
    if len(value) > 1024:
        raise InvalidValueError("the regular expression is longer than 1024 characters", "shorten it")
    try:
        # Requests are matched as bytes.
        re.compile(value.encode())
    except (re.error, OverflowError, RecursionError, UnicodeEncodeError) as error:
        problem = f"the regular expression does not compile: {error}"
        raise InvalidValueError(problem, "correct it; Python's syntax applies") from None
    return value


Regex = Annotated[
    str, BeforeValidator(parse_regex), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 1024})
]
"""A regular expression in Python's syntax."""


def parse_method(value: object) -> str:
    """An HTTP method in capitals."""
    if not isinstance(value, str) or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}", value):
        raise InvalidValueError.about(value, "is not a method", "write one such as POST")
    if value != value.upper():
        # Methods are compared with case (RFC 9110, 9.1): post would never match.
        raise InvalidValueError.about(value, "is not in capitals", f"write {value.upper()}")
    return value


Method = Annotated[
    str,
    BeforeValidator(parse_method),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"]},
                {"type": "string", "pattern": r"^[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$"},
            ]
        }
    ),
]
"""An HTTP method in capitals."""


def parse_sha256(value: object) -> str:
    """64 hexadecimal digits, in lower case."""
    # The value is never shown: people paste the token itself here.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise InvalidValueError("not text, because it looks like a number", "put it in quotes")
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise InvalidValueError(
            "not a SHA-256 in hexadecimal",
            "write the 64 digits that `printf %s TOKEN | sha256sum` prints, never the token itself",
        )
    return value.lower()


Sha256 = Annotated[
    str,
    BeforeValidator(parse_sha256),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9a-fA-F]{64}$"}),
]
"""A SHA-256 digest in hexadecimal."""


def parse_text(value: object) -> str:
    """A string; a number or true without quotes is not one."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        raise InvalidValueError.about(value, "is not text", "put it in quotes")
    raise InvalidValueError.about(value, "is not text", "write a word, or text in quotes")


Text = Annotated[str, BeforeValidator(parse_text), WithJsonSchema({"type": "string"}), Field(max_length=1024)]
"""A string."""
