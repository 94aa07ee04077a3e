"""Where the key of a sticky split comes from: header, cookie, query, path, body, token or address."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from typing import Final

from proxy.request import RequestView, needle

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
# A payload is looked at for each request; identity providers stay well below this.
JWT_BYTES_MAX: Final = 8192
SEGMENT_MAX: Final = 255
REMEDY: Final = "use header:NAME, cookie:NAME, query:NAME, path:N, json:/POINTER, jwt:CLAIM or client_address"
AUTHORIZATION: Final = needle(b"authorization")


class KeySpecError(ValueError):
    """A key specification that cannot be used."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class KeySource(ABC):
    """One place a key can come from. Called for each request: reads what is there, never raises."""

    needs_body: bool = False

    @abstractmethod
    def read(self, request: RequestView) -> bytes | None:
        """The key, or None when the request does not carry one."""


class HeaderKey(KeySource):
    """`header:NAME`: the first header of that name."""

    __slots__ = ("name", "needle")

    def __init__(self, name: str) -> None:
        self.name = name.lower().encode("latin-1")
        self.needle = needle(name)

    def read(self, request: RequestView) -> bytes | None:
        return request.field(self.needle)


class CookieKey(KeySource):
    """`cookie:NAME`: the first cookie of that name."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name.encode("ascii")

    def read(self, request: RequestView) -> bytes | None:
        return request.cookie(self._name)


class QueryKey(KeySource):
    """`query:NAME`: the first query parameter of that name, decoded."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name.encode("utf-8")

    def read(self, request: RequestView) -> bytes | None:
        return request.query(self._name)


class PathKey(KeySource):
    """`path:N`: a segment of the path, counted from 0, decoded."""

    __slots__ = ("_index",)

    def __init__(self, index: int) -> None:
        self._index = index

    def read(self, request: RequestView) -> bytes | None:
        return request.path_segment(self._index)


class AddressKey(KeySource):
    """`client_address`: the address the connection comes from; everyone behind one NAT is one key."""

    __slots__ = ()

    def read(self, request: RequestView) -> bytes | None:
        return request.client


class JsonKey(KeySource):
    """`json:/POINTER`: a field of a JSON body (RFC 6901), if the body is within the inspection limit.

    Absent when the body is larger, compressed, not JSON, or has no text, number or boolean at that place.
    """

    __slots__ = ("_loads", "_steps")

    needs_body = True

    def __init__(self, pointer: str) -> None:
        # Most tables have no such key; a worker then goes without the library.
        import orjson

        self._loads: Callable[[bytes], object] = orjson.loads
        self._steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]

    def read(self, request: RequestView) -> bytes | None:
        body = request.body
        return self.find(body) if body else None

    def find(self, body: bytes) -> bytes | None:
        """What a JSON text has at this place."""
        try:
            value = self._loads(body)
        except ValueError:
            return None
        for step in self._steps:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list):
                # RFC 6901, 4: digits without a leading zero.
                if not (step.isascii() and step.isdigit()) or (len(step) > 1 and step[0] == "0"):
                    return None
                if len(step) > 9 or int(step) >= len(value):
                    return None
                value = value[int(step)]
            else:
                return None
        return scalar(value)


class JwtKey(KeySource):
    """`jwt:CLAIM`: a claim of the bearer token in `Authorization`. The signature is NOT verified.

    Good enough to divide traffic, never to grant anything: a client can write any claim it likes, and so
    choose its variant, as it can with a header.
    """

    __slots__ = ("_claim", "_loads")

    def __init__(self, claim: str) -> None:
        import orjson

        self._claim = claim
        self._loads: Callable[[bytes], object] = orjson.loads

    def read(self, request: RequestView) -> bytes | None:
        value = request.field(AUTHORIZATION)
        if value is None or value[:7].lower() != b"bearer ":
            return None
        parts = value[7:].split(b".")
        if len(parts) != 3 or len(parts[1]) > JWT_BYTES_MAX:
            return None
        try:
            payload = self._loads(urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
        except ValueError:
            return None
        return scalar(payload.get(self._claim)) if isinstance(payload, dict) else None


class KeyReader:
    """Tries the places in their order; the first key that is not empty is taken, then the default."""

    __slots__ = ("_default", "_first", "_needle", "_others", "needs_body", "noted")

    def __init__(self, sources: Sequence[KeySource], default: bytes | None = None) -> None:
        first = sources[0]
        self._first = first
        # The header that is looked at for every request, and what finds it.
        self.noted = first.name if isinstance(first, HeaderKey) else b""
        self._needle = first.needle if isinstance(first, HeaderKey) else b""
        self._others = list(sources[1:])
        self._default = default
        self.needs_body = any(source.needs_body for source in sources)

    def read(self, request: RequestView) -> bytes | None:
        """The key of a request, or None when it has none and there is no default."""
        needle = self._needle
        key = request.field(needle) if needle else self._first.read(request)
        if key:
            return key
        for source in self._others:
            key = source.read(request)
            if key:
                return key
        return self._default


def scalar(value: object) -> bytes | None:
    """A JSON text, number or boolean as bytes, so that "7" and 7 are the same key; None for the rest."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int | float):
        return str(value).encode("ascii")
    return None


def parse_key(spec: str) -> KeySource:
    """The source that a specification such as `header:x-user-id` names.

    Raises:
        KeySpecError: it names none.
    """
    if spec == "client_address":
        return AddressKey()
    kind, colon, rest = spec.partition(":")
    if not colon:
        raise KeySpecError(f"{spec!r} is not a key", REMEDY)
    if kind == "header" or kind == "cookie":
        if not TOKEN.fullmatch(rest):
            raise KeySpecError(f"{rest!r} is not the name of a {kind}", f"write for example {kind}:user-id")
        return HeaderKey(rest) if kind == "header" else CookieKey(rest)
    if kind == "query":
        if not rest:
            raise KeySpecError("the query parameter has no name", "write for example query:user")
        return QueryKey(rest)
    if kind == "path":
        if not (rest.isascii() and rest.isdigit() and len(rest) <= 3 and int(rest) <= SEGMENT_MAX):
            raise KeySpecError(
                f"{rest!r} is not the number of a path segment",
                f"count from 0 to {SEGMENT_MAX}, for example path:1",
            )
        return PathKey(int(rest))
    if kind == "json":
        if not rest.startswith("/") or re.search(r"~(?![01])", rest):
            raise KeySpecError(
                f"{rest!r} is not a JSON pointer", "write for example json:/user/id (RFC 6901)"
            )
        return JsonKey(rest)
    if kind == "jwt":
        if not rest:
            raise KeySpecError("the claim has no name", "write for example jwt:sub")
        return JwtKey(rest)
    raise KeySpecError(f"{kind!r} is not a place a key can come from", REMEDY)
