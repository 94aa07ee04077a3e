"""Readers of what people write: durations, fractions, sizes, addresses and names. No pydantic in here."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit


class InvalidValueError(ValueError):
    """A value that cannot be used: what is wrong with it and what to write instead."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


_SECONDS: Final = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_DURATION_PART.pattern})+")
# A year: longer is a slip of the unit, and timers keep their precision below it.
DURATION_MAX: Final = 366 * 86400.0

_BYTES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
SIZE_MAX: Final = 2**50

_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_DECIMAL: Final = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# The smallest share that can be asked for (0.01%); below it no rollout would ever see evidence.
FRACTION_MIN: Final = 0.0001

NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# RFC 9110, 5.6.2: token.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


def parse_duration(value: object) -> float:
    """Seconds from ``"250ms"``, ``"1m30s"`` or a number of seconds."""
    remedy = "write a number of seconds or a duration such as 250ms, 5s, 2m or 1h"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InvalidValueError(f"{_shown(value)} is not a duration", remedy)
    if isinstance(value, str):
        text = value.strip()
        if _DECIMAL.fullmatch(text):
            seconds = float(text)
        elif _DURATION.fullmatch(text):
            seconds = math.fsum(float(n) * _SECONDS[unit] for n, unit in _DURATION_PART.findall(text))
        else:
            raise InvalidValueError(f"{_shown(value)} is not a duration", remedy)
    else:
        seconds = float(value)
    if not 0 <= seconds <= DURATION_MAX:
        raise InvalidValueError(f"{_shown(value)} is outside 0s to 366d", remedy)
    return seconds


def parse_fraction(value: object) -> float:
    """A share in [0, 1] from ``"5%"`` or ``0.05``; the smallest above zero is 0.01%."""
    remedy = "write a percentage such as 5% or a fraction such as 0.05"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InvalidValueError(f"{_shown(value)} is not a share", remedy)
    if isinstance(value, str):
        text = value.strip()
        if percent := _PERCENT.fullmatch(text):
            # Division by 100 rounds once, so 7% is the same float as 0.07.
            fraction = float(percent[1]) / 100.0
        elif _DECIMAL.fullmatch(text):
            return parse_fraction(int(text) if text.isdigit() else float(text))
        else:
            raise InvalidValueError(f"{_shown(value)} is not a share", remedy)
    else:
        if value == 1 and isinstance(value, int):
            raise InvalidValueError("1 could mean 1% or all of it", "write 1% or 100%")
        fraction = float(value)
        if 1 < fraction <= 100:
            raise InvalidValueError(
                f"{_shown(value)} is more than everything", f"if {value:g}% is meant, write {value:g}%"
            )
    if not 0 <= fraction <= 1:
        raise InvalidValueError(f"{_shown(value)} is outside 0% to 100%", remedy)
    if 0 < fraction < FRACTION_MIN * (1 - 1e-9):
        raise InvalidValueError(f"{_shown(value)} is too small a share", "write 0 or at least 0.01%")
    return fraction


def parse_size(value: object) -> int:
    """Bytes from ``"64KiB"``, ``"1.5MB"`` or an integer."""
    remedy = "write a whole number of bytes or a size such as 64KiB, 10MB or 1GiB"
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InvalidValueError(f"{_shown(value)} is not a size", remedy)
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        factor = _BYTES.get(match[2].lower()) if match else None
        if match is None or factor is None:
            raise InvalidValueError(f"{_shown(value)} is not a size", remedy)
        scaled = float(match[1]) * factor if "." in match[1] else int(match[1]) * factor
        if scaled != int(scaled):
            raise InvalidValueError(f"{_shown(value)} is not a whole number of bytes", remedy)
        size = int(scaled)
    else:
        size = value
    if not 0 <= size <= SIZE_MAX:
        raise InvalidValueError(f"{_shown(value)} is outside 0 to 1024TiB", remedy)
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A TCP address to listen on; an empty host stands for every interface and is written ``0.0.0.0``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def overlaps(self, other: Bind) -> bool:
        """Whether both cannot be listened on at once (port 0 never clashes)."""
        if self.port != other.port or self.port == 0:
            return False
        wildcards = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        return self.host == other.host or self.host in wildcards or other.host in wildcards


def parse_bind(value: object) -> Bind:
    """A listening address from ``"0.0.0.0:8080"``, ``"[::1]:80"`` or ``":8080"``."""
    remedy = "write host:port, for example 127.0.0.1:8080, [::1]:8080 or :8080"
    if isinstance(value, Bind):
        return value
    if not isinstance(value, str):
        raise InvalidValueError(f"{_shown(value)} is not an address", remedy)
    text = value.strip()
    if text.startswith(("http://", "https://", "unix:", "/")):
        raise InvalidValueError(f"{_shown(value)} is not host:port", remedy)
    host, port = _host_and_port(text, value, remedy)
    if port is None:
        raise InvalidValueError(f"{_shown(value)} has no port", remedy)
    return Bind(host=host or "0.0.0.0", port=port)  # noqa: S104 - asked for by leaving the host out


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an endpoint is reached over plain HTTP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def parse_endpoint_url(value: object) -> Address:
    """The address in ``"http://host:port"``; port 80 when none is given."""
    remedy = "write http://host:port"
    if not isinstance(value, str):
        raise InvalidValueError(f"{_shown(value)} is not a URL", remedy)
    text = value.strip()
    scheme, found, rest = text.partition("://")
    if text.startswith("unix:"):
        raise InvalidValueError("Unix sockets as endpoints are not supported yet", remedy)
    if not found:
        raise InvalidValueError(f"{_shown(value)} is not a URL", remedy)
    if scheme.lower() == "https":
        raise InvalidValueError("TLS to upstreams is not supported yet", remedy)
    if scheme.lower() != "http":
        raise InvalidValueError(f"{_shown(value)} is not an http:// URL", remedy)
    parts = urlsplit("//" + rest)
    if "@" in parts.netloc:
        raise InvalidValueError("the URL carries a user name or password", f"{remedy} without them")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "?" in rest or "#" in rest:
        raise InvalidValueError(
            f"{_shown(value)} has a path", f"{remedy}; requests keep the path they came with"
        )
    host, port = _host_and_port(parts.netloc, value, remedy)
    if not host:
        raise InvalidValueError(f"{_shown(value)} has no host", remedy)
    if port == 0:
        raise InvalidValueError(f"{_shown(value)} has port 0", remedy)
    return Address(host=host.lower(), port=80 if port is None else port)


def parse_name(value: object) -> str:
    """A name of a route, an upstream or a token."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise InvalidValueError(
            f"{_shown(value)} is not a name",
            "use up to 64 letters, digits, dots, dashes and underscores, with a letter or digit at both ends",
        )
    return value


def parse_header_name(value: object) -> str:
    """A header name in lower case (names are compared without case, RFC 9110, 5.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value) or len(value) > 128:
        raise InvalidValueError(f"{_shown(value)} is not a header name", "write a token such as x-request-id")
    return value.lower()


def _host_and_port(text: str, value: object, remedy: str) -> tuple[str, int | None]:
    if text.startswith("["):
        inside, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise InvalidValueError(f"{_shown(value)} is not host:port", remedy)
        try:
            host = str(ipaddress.IPv6Address(inside))
        except ValueError:
            raise InvalidValueError(f"{_shown(inside)} is not an IPv6 address", remedy) from None
        port_text = after[1:] if after else None
    else:
        if text.count(":") > 1:
            raise InvalidValueError(
                f"{_shown(value)} has more than one colon", "put an IPv6 address in brackets: [::1]:8080"
            )
        host, colon, port = text.partition(":")
        port_text = port if colon else None
        if host and not _HOST.fullmatch(host):
            raise InvalidValueError(f"{_shown(host)} is not a host name or address", remedy)
    if port_text is None:
        return host, None
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and int(port_text) <= 65535):
        raise InvalidValueError(f"{_shown(port_text)} is not a port", "use a number from 0 to 65535")
    return host, int(port_text)


def _shown(value: object) -> str:
    """The value as it may stand in a message: short, and never a whole structure."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
