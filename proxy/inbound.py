"""The response as it goes downstream: what came, less what belongs to one hop, plus our own lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.wire.rewrite import cut

if TYPE_CHECKING:
    from proxy.relay import Relay
    from proxy.wire.head import ResponseHead


def response_message(relay: Relay, head: ResponseHead, data: bytes, end: int, stop: int) -> bytes:
    """Return the head ``data[:end]`` rewritten for the client, and behind it ``data[end:stop]``."""
    lines = relay.arm.response_lines
    kept = cut(data, 0, end, head.cuts) if head.cuts else data[:end]
    if head.minor == 1 and relay.minor == 1 and not relay.close_downstream:
        return b"".join((kept, lines, relay.id_line, data[end:stop]))
    if head.minor == 0:
        # RFC 9110, section 2.5: a proxy speaks its own version.
        kept = b"HTTP/1.1" + kept[8:]
    if relay.dechunk:
        kept = without_transfer_encoding(kept)
    if relay.close_downstream:
        lines += b"connection: close\r\n"
    elif relay.minor == 0:
        lines += b"connection: keep-alive\r\n"
    return b"".join((kept, lines, relay.id_line, data[end:stop]))


def without_transfer_encoding(head: bytes) -> bytes:
    """Return a head without Transfer-Encoding and Trailer, for a client that gets the plain body."""
    lines = head.split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith((b"transfer-encoding:", b"trailer:"))]
    return b"\r\n".join(kept)
