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

    def connection_lines(self, client: bytes) -> bytes:
        """Return what is the same for every request of a connection."""
        return b"x-forwarded-for: " + client + b"\r\n" + VIA if client else VIA

    def proto_and_host(self, data: bytes, end: int, host: bytes) -> bytes:
        """Return the X-Forwarded-Proto and -Host lines that the head ``data[:end]`` lacks."""
        host_line = b"x-forwarded-host: " + host + b"\r\n" if host else b""
        # Nearly no request has these fields: one search in the bytes as they came tells.
        if not self.append or data.find(b"orwarded-", 0, end) < 0:
            return self.proto_line + host_line
        lowered = data[:end].lower()
        lines = b""
        if b"\nx-forwarded-proto:" not in lowered:
            lines += self.proto_line
        if b"\nx-forwarded-host:" not in lowered:
            lines += host_line
        return lines

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
