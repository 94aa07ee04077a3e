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

    __slots__ = ("append", "drop", "names", "proto_line", "request_id_prefix")

    def __init__(self, names: HeaderNames, *, tls: bool = False) -> None:
        self.names = names
        self.append = names.append_forwarded
        self.drop: tuple[bytes, ...] = () if names.append_forwarded else FORWARDED_FIELDS
        self.proto_line = b"x-forwarded-proto: https\r\n" if tls else b"x-forwarded-proto: http\r\n"
        self.request_id_prefix = names.request_id + b": " if names.request_id else b""

    def request_id_line(self, request_id: bytes) -> bytes:
        """Return the field that names the request, in both directions; nothing when it is switched off."""
        if not self.request_id_prefix:
            return b""
        return self.request_id_prefix + request_id + b"\r\n"

    def response_lines(self, variant: bytes) -> bytes:
        """Return what every response of an arm carries."""
        if not self.names.variant:
            return VIA
        return VIA + self.names.variant + b": " + variant + b"\r\n"


class RequestIds:
    """Ids nobody else makes: 64 random bits per worker start, then a counter."""

    __slots__ = ("count", "prefix")

    def __init__(self) -> None:
        self.prefix = os.urandom(8).hex().encode()
        self.count = 0

    def next(self) -> bytes:
        """Return a new id of 32 hexadecimal digits."""
        self.count += 1
        return self.prefix + b"%016x" % self.count


class ClientLines:
    """What Headgate says about one client; the lines are the same for every request of a connection."""

    __slots__ = ("_client", "_forwarding", "_host", "_lines")

    def __init__(self, client: bytes) -> None:
        self._client = b"x-forwarded-for: " + client + b"\r\n" + VIA if client else VIA
        self._forwarding: Forwarding | None = None
        self._host = b""
        self._lines = b""

    def lines(self, forwarding: Forwarding, host: bytes, data: bytes, end: int) -> bytes:
        """Return the X-Forwarded-* and Via lines that the head ``data[:end]`` for ``host`` lacks."""
        if forwarding is not self._forwarding or host != self._host:
            self._forwarding = forwarding
            self._host = host
            self._lines = self._client + forwarding.proto_line + host_line(host)
        # Nearly no request has such fields: one search in the bytes as they came tells.
        if not forwarding.append or data.find(b"orwarded-", 0, end) < 0:
            return self._lines
        lowered = data[:end].lower()
        lines = self._client
        if b"\nx-forwarded-proto:" not in lowered:
            lines += forwarding.proto_line
        if b"\nx-forwarded-host:" not in lowered:
            lines += host_line(host)
        return lines


def host_line(host: bytes) -> bytes:
    """Return the X-Forwarded-Host line; nothing for a request of HTTP/1.0 without a Host."""
    return b"x-forwarded-host: " + host + b"\r\n" if host else b""
