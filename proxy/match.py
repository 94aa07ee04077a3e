"""Whether a route takes a request: by host, path, method and headers, worked out when the table is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from proxy import plain
from proxy.request import RequestView, needle
from proxy.target import normal_path

CONDITIONS: Final = ("host", "path_prefix", "path", "path_regex", "methods", "headers")


class HeaderCondition:
    """A header that must be there, be equal to a value, or match an expression."""

    __slots__ = ("_equal", "_needle", "_pattern")

    def __init__(self, name: str, equal: bytes | None, pattern: re.Pattern[bytes] | None) -> None:
        self._needle = needle(name)
        self._equal = equal
        self._pattern = pattern

    def holds(self, request: RequestView) -> bool:
        """Whether the first header of that name is as wanted."""
        value = request.field(self._needle)
        if value is None:
            return False
        if self._equal is not None:
            return value == self._equal
        return self._pattern is None or self._pattern.search(value) is not None


class Matcher:
    """The conditions of one route; all must hold, and none is looked at that was not given."""

    __slots__ = (
        "_headers",
        "_host",
        "_host_suffix",
        "_methods",
        "_path",
        "_path_regex",
        "_prefix",
        "_prefix_slash",
        "anything",
        "needs_headers",
        "needs_host",
        "needs_path",
    )

    def __init__(
        self,
        *,
        host: bytes | None = None,
        host_suffix: bytes | None = None,
        path: bytes | None = None,
        prefix: bytes | None = None,
        path_regex: re.Pattern[bytes] | None = None,
        methods: frozenset[bytes] | None = None,
        headers: list[HeaderCondition] | None = None,
    ) -> None:
        self._host = host
        self._host_suffix = host_suffix
        self._path = path
        self._prefix = prefix
        # /v2 takes /v2 and /v2/x but not /v20; a prefix that ends in a slash is whole as it is.
        self._prefix_slash = b"" if prefix is None else prefix if prefix[-1:] == b"/" else prefix + b"/"
        self._path_regex = path_regex
        self._methods = methods
        self._headers = headers or []
        self.needs_host = host is not None or host_suffix is not None
        self.needs_path = path is not None or prefix is not None or path_regex is not None
        self.needs_headers = bool(self._headers)
        self.anything = not (self.needs_host or self.needs_path or methods or self._headers)

    def matches(self, method: bytes, host: bytes, path: bytes | None) -> bool:
        """Whether the route takes a request, its headers aside.

        `host` is the name in lower case without its port; `path` is `routing_path`, where None fits no route
        that looks at the path. Either may be anything when `needs_host` or `needs_path` is False.
        """
        if self._methods is not None and method not in self._methods:
            return False
        if self.needs_path:
            if path is None:
                return False
            if self._path is not None and path != self._path:
                return False
            if self._prefix is not None and path != self._prefix and not path.startswith(self._prefix_slash):
                return False
            if self._path_regex is not None and self._path_regex.search(path) is None:
                return False
        if self._host is not None and host != self._host:
            return False
        suffix = self._host_suffix
        return suffix is None or (host.endswith(suffix) and len(host) > len(suffix))

    def headers_match(self, request: RequestView) -> bool:
        """Whether the headers are as the route wants them."""
        for condition in self._headers:  # noqa: SIM110 - a generator costs three times the loop
            if not condition.holds(request):
                return False
        return True


def bare_host(host: bytes) -> bytes:
    """The name in a Host header: lower case, without port and final dot."""
    host = host.lower()
    if host[:1] == b"[":
        return host[: host.find(b"]") + 1]
    colon = host.find(b":")
    if colon >= 0:
        host = host[:colon]
    return host.removesuffix(b".")


def read_matcher(value: object, place: str) -> Matcher:
    """The matcher that a table entry (the `match` of a route as configured) describes.

    Raises:
        PlainError: the entry is malformed, an expression does not compile, or a path has no single meaning.
    """
    entry = plain.mapping(value, place)
    for name in entry:
        if name not in CONDITIONS:
            raise plain.PlainError(
                f"{place}.{name}", f"is not a condition; use one of {', '.join(CONDITIONS)}"
            )
    host, suffix = _read_host(entry.get("host"), f"{place}.host")
    methods = plain.texts(entry.get("methods") or [], f"{place}.methods")
    return Matcher(
        host=host,
        host_suffix=suffix,
        path=_read_path(entry.get("path"), f"{place}.path"),
        prefix=_read_path(entry.get("path_prefix"), f"{place}.path_prefix"),
        path_regex=_read_regex(entry.get("path_regex"), f"{place}.path_regex"),
        methods=frozenset(method.encode("ascii") for method in methods) or None,
        headers=_read_headers(entry.get("headers") or {}, f"{place}.headers"),
    )


def _read_host(value: object, place: str) -> tuple[bytes | None, bytes | None]:
    if value is None:
        return None, None
    text = plain.text(value, place)
    try:
        host = text.encode("ascii")
    except UnicodeEncodeError:
        raise plain.PlainError(place, f"{text!r} is not ASCII; write its xn-- form") from None
    if host.startswith(b"*."):
        return None, bare_host(host[1:])
    if b"*" in host:
        raise plain.PlainError(place, f"{text!r} has a * elsewhere than in front; write *.example.com")
    return bare_host(host), None


def _read_path(value: object, place: str) -> bytes | None:
    if value is None:
        return None
    text = plain.text(value, place)
    if not text.startswith("/"):
        raise plain.PlainError(place, f"{text!r} does not start with /")
    if "?" in text or "#" in text:
        raise plain.PlainError(place, f"{text!r} has a query or fragment; routes look at the path only")
    path = normal_path(text.encode("utf-8"))
    if path is None:
        raise plain.PlainError(place, f"{text!r} has no single meaning; write it without dot segments")
    return path


def _read_regex(value: object, place: str) -> re.Pattern[bytes] | None:
    if value is None:
        return None
    text = plain.text(value, place)
    try:
        return re.compile(text.encode("utf-8"))
    except re.error as error:
        raise plain.PlainError(place, f"{text!r} does not compile: {error}") from error


def _read_headers(value: object, place: str) -> list[HeaderCondition]:
    conditions: list[HeaderCondition] = []
    for name, wanted in plain.mapping(value, place).items():
        where = f"{place}.{name}"
        if wanted is True:
            conditions.append(HeaderCondition(name, None, None))
        elif isinstance(wanted, str):
            conditions.append(HeaderCondition(name, wanted.encode("utf-8"), None))
        else:
            expression = plain.required(_as_expression(wanted, where), "regex", where)
            conditions.append(HeaderCondition(name, None, _read_regex(expression, f"{where}.regex")))
    return conditions


def _as_expression(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise plain.PlainError(place, "must be a string, true or an object with regex")
    return plain.mapping(value, place)
