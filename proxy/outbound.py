"""The request head as it goes upstream: what came, less what belongs to one hop, plus our own lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.wire.rewrite import cut

if TYPE_CHECKING:
    from proxy.client import ClientConnection
    from proxy.relay import Relay
    from proxy.wire.head import RequestHead

VERSION_LINE_END: Final = b" HTTP/1.1\r\n"


def request_lines(client: ClientConnection, relay: Relay, head: RequestHead, data: bytes, end: int) -> bytes:
    """Return the head ``data[:end]`` rewritten for the upstream, without its blank line.

    Notes the request-id line in the relay: the response carries the same.
    """
    worker = client.worker
    forwarding = worker.live.forwarding
    if head.minor == 1:
        kept = cut(data, 0, end, head.cuts) if head.cuts else data[:end]
    else:
        # RFC 9110, section 2.5: a proxy speaks its own version.
        line: int = head.line_end
        version = line - len(VERSION_LINE_END)
        kept = cut(data, 0, version, head.cuts) + VERSION_LINE_END + cut(data, line, end, head.cuts)
        if not head.host:
            kept += b"host: " + relay.arm.authority + b"\r\n"
    if head.upgrade:
        kept += b"connection: upgrade\r\nupgrade: " + head.upgrade_protocol + b"\r\n"
    lines = client.client_lines.lines(forwarding, head.host, data, end)
    if head.request_id_start >= 0:
        relay.id_line = forwarding.request_id_line(data[head.request_id_start : head.request_id_end])
        return kept + lines
    id_line = forwarding.request_id_line(worker.request_ids.next())
    relay.id_line = id_line
    return kept + lines + id_line
