"""The fields Headgate adds on the way: who asked (X-Forwarded-*), by which way (Via), under which id."""

from __future__ import annotations

import os
from typing import Final

from proxy.settings import HeaderNames

VIA: Final = b"via: 1.1 headgate\r\n"
FORWARDED_FIELDS: Final = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")


class Forwarding:
    """Field lines prepared for one table, so that a request only joins bytes.

    ``append`` keeps what proxies before us wrote and adds to it: a second X-Forwarded-For line continues the
    list (RFC 9110, section 5.3), proto and host are added where missing. ``replace`` drops what came (the
    scan cuts those lines) and states what this proxy saw: right when clients connect directly.
    """

    __slots__ = ("append", "drop", "names", "request_id_prefix")

    def __init__(self, names: HeaderNames) -> None:
        self.names = names
        self.append = names.append_forwarded
        self.drop: tuple[bytes, ...] = () if names.append_forwarded else FORWARDED_FIELDS
        self.request_id_prefix = names.request_id + b": " if names.request_id else b""

    def request_id_line(self, request_id: bytes) -> bytes:
        """Return the field that names the request, in both directions; only for a name that is set."""
        return self.request_id_prefix + request_id + b"\r\n"

    def response_lines(self, variant: bytes) -> bytes:
        """Return what every response of an arm carries."""
        if not self.names.variant:
            return VIA
        return VIA + self.names.variant + b": " + variant + b"\r\n"


# The ends of the lines, the last one first: two digits and CRLF.
ENDS: Final[list[bytes]] = [b"%02x\r\n" % number for number in reversed(range(256))]


class RequestIds:
    """Ids nobody else makes, of 32 hexadecimal digits: 64 random bits per worker start, then a counter."""

    __slots__ = ("_lines", "_prefix", "_start", "count")

    def __init__(self) -> None:
        self._start = os.urandom(8).hex().encode()
        self.count = 0
        # The lines of the next requests, the last one first, for a field of this prefix.
        self._prefix = b""
        self._lines: list[bytes] = []

    def line(self, prefix: bytes) -> bytes:
        """Return a field that begins with ``prefix`` (name, colon, space) and holds a new id."""
        lines = self._lines
        if not lines or prefix != self._prefix:
            self._prefix = prefix
            stem = prefix + self._start + b"%014x" % self.count
            self.count += 1
            self._lines = lines = [stem + end for end in ENDS]
        return lines.pop()


class ClientLines:
    """What Headgate says about one client; the lines are the same for every request of a connection."""

    __slots__ = ("_client", "_forwarding", "_host", "_lines", "_proto")

    def __init__(self, client: bytes, *, tls: bool = False) -> None:
        self._proto = b"x-forwarded-proto: https\r\n" if tls else b"x-forwarded-proto: http\r\n"
        self._client = b"x-forwarded-for: " + client + b"\r\n" + VIA if client else VIA
        self._forwarding: Forwarding | None = None
        self._host = b""
        self._lines = b""

    def lines(self, forwarding: Forwarding, host: bytes, has_proto: bool, has_host: bool) -> bytes:
        """Return the X-Forwarded-* and Via lines that a request for ``host`` lacks."""
        if has_proto or has_host:
            lines = self._client
            if not has_proto:
                lines += self._proto
            return lines if has_host else lines + host_line(host)
        if forwarding is not self._forwarding or host != self._host:
            self._forwarding = forwarding
            self._host = host
            self._lines = self._client + self._proto + host_line(host)
        return self._lines


def host_line(host: bytes) -> bytes:
    """Return the X-Forwarded-Host line; nothing for a request of HTTP/1.0 without a Host."""
    return b"x-forwarded-host: " + host + b"\r\n" if host else b""
