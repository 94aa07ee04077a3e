"""Readers of network addresses: where to listen, where an endpoint is, which hosts a route takes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from config.values import InvalidValueError

_LABELS: Final = re.compile(
    r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII
)
_HOST_MAX: Final = 253
_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, never bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A TCP address to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return _is_loopback(self.host)

    def overlaps(self, other: Bind) -> bool:
        """Whether both cannot be listened on at once; port 0 is always a free one."""
        if self.port != other.port or self.port == 0:
            return False
        mine, theirs = _numeric(self.host), _numeric(other.host)
        return mine == theirs or bool(_ANY & {mine, theirs})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an endpoint is reached; `path` is that of a Unix socket, which has neither host nor port."""

    host: str
    port: int
    scheme: str = "http"
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_bind(value: object) -> Bind:
    """A listening address from ``"0.0.0.0:8080"``, ``"[::1]:80"`` or ``":8080"`` (every IPv4 interface)."""
    remedy = "write host:port, for example 127.0.0.1:8080, [::1]:8080 or :8080"
    if isinstance(value, Bind):
        return value
    digits = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if digits.isdecimal() and len(digits) <= 5:
        raise InvalidValueError.about(
            value, "has no host", f"write 127.0.0.1:{digits}, or :{digits} for every one"
        )
    if not isinstance(value, str) or "/" in value or value.startswith("unix:"):
        raise InvalidValueError.about(value, "is not host:port", remedy)
    host, port = _host_and_port(value.strip(), value, remedy)
    if port is None:
        raise InvalidValueError.about(value, "has no port", remedy)
    return Bind(host=host or "0.0.0.0", port=port)  # noqa: S104 - asked for by leaving the host out


def parse_endpoint_url(value: object) -> Address:
    """The address in ``"http://host:port"``, ``"https://host:port"`` or ``"unix:/path"``.

    The port is 80 or 443 when none is given.
    """
    remedy = "write http://host:port"
    if not isinstance(value, str):
        raise InvalidValueError.about(value, "is not a URL", remedy)
    text = value.strip()
    scheme, separator, rest = text.partition("://")
    if text.startswith("unix:"):
        return _unix(text.removeprefix("unix:"), value)
    scheme = scheme.lower()
    if scheme not in ("http", "https") or not separator:
        raise InvalidValueError.about(value, "is not an http:// URL", remedy)
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise InvalidValueError("the URL carries a user name or password", f"{remedy} without them")
    if path or "?" in authority or "#" in authority:
        raise InvalidValueError.about(
            value, "has a path or query", f"{remedy} alone; requests keep their own path"
        )
    host, port = _host_and_port(authority, value, remedy)
    if not host:
        raise InvalidValueError.about(value, "has no host", remedy)
    if port == 0:
        raise InvalidValueError.about(value, "has port 0", remedy)
    if port is None:
        port = 80 if scheme == "http" else 443
    return Address(host=host.lower(), port=port, scheme=scheme)


def _unix(path: str, value: object) -> Address:
    # sockaddr_un holds 108 bytes that end with a zero.
    if not path.startswith("/") or len(path.encode()) > 107 or "\0" in path:
        raise InvalidValueError.about(
            value, "is not the path of a Unix socket", "write unix: and an absolute path of at most 107 bytes"
        )
    return Address(host="", port=0, scheme="unix", path=path)


def parse_host_pattern(value: object) -> str:
    """A host in lower case, or ``*.`` and a domain for every name below it."""
    remedy = "write a host such as api.example.com, or *.example.com for every name below it"
    if not isinstance(value, str):
        raise InvalidValueError.about(value, "is not a host", remedy)
    text = value.strip().lower()
    if text.startswith("["):
        host, port = _host_and_port(text, value, remedy)
        text = f"[{host}]"
    else:
        name, colon, _ = text.removeprefix("*.").partition(":")
        port = 0 if colon else None
        _check_host(name, value, remedy)
    if port is not None:
        raise InvalidValueError.about(value, "has a port", "leave the port out")
    return text.removesuffix(".")


def _host_and_port(text: str, value: object, remedy: str) -> tuple[str, int | None]:
    if text.startswith("["):
        inside, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise InvalidValueError.about(value, "is not host:port", remedy)
        try:
            host = str(ipaddress.IPv6Address(inside.partition("%")[0]))
        except ValueError:
            raise InvalidValueError.about(inside, "is not an IPv6 address", remedy) from None
        if "%" in inside:
            raise InvalidValueError.about(inside, "names an interface", "leave out what follows %")
        return host, _port(after[1:]) if after else None
    if text.count(":") > 1:
        remedy = "put an IPv6 address in brackets, for example [::1]:8080"
        raise InvalidValueError.about(value, "has more than one colon", remedy)
    host, colon, port = text.partition(":")
    if host:
        _check_host(host, host, remedy)
    return host, _port(port) if colon else None


def _check_host(host: str, value: object, remedy: str) -> None:
    if len(host) > _HOST_MAX or not _LABELS.fullmatch(host):
        raise InvalidValueError.about(value, "is not a host name or address", remedy)
    # A name whose last label is a number can only be meant as an IPv4 address (WHATWG URL, 3.5).
    if host.removesuffix(".").rpartition(".")[2].isdigit():
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise InvalidValueError.about(value, "is not an IPv4 address", remedy) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        what = "is not a port" if text else "is left out after the colon"
        subject = text if text else "port"
        raise InvalidValueError.about(subject, what, "use a number from 0 to 65535")
    return int(text)


def _numeric(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(_numeric(host)).is_loopback
    except ValueError:
        return False
