"""The request as it goes upstream: what came, less what belongs to one hop, plus our own lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.tokens import TOKEN_PREFIX
from proxy.wire.rewrite import cut

if TYPE_CHECKING:
    from proxy.client import ClientConnection
    from proxy.relay import Relay
    from proxy.wire.head import RequestHead

VERSION_LINE_END: Final = b" HTTP/1.1\r\n"


def request_message(
    client: ClientConnection, relay: Relay, head: RequestHead, data: bytes, end: int, stop: int
) -> bytes:
    """Return the head ``data[:end]`` rewritten for the upstream, and behind it ``data[end:stop]``.

    Notes the request-id line in the relay: the response carries the same.
    """
    rewrite = relay.arm.rewrite
    if rewrite is None:
        return _message(client, relay, head, data, end, stop)
    plain = _message(client, relay, head, data, end, end)
    if relay.tap is not None:
        # What shadows get is rewritten as their upstreams say.
        relay.tap.plain_head = plain
    return rewrite.apply(plain) + data[end:stop]


def _message(
    client: ClientConnection, relay: Relay, head: RequestHead, data: bytes, end: int, stop: int
) -> bytes:
    worker = client.worker
    forwarding = worker.live.forwarding
    prefix = forwarding.request_id_prefix
    id_line = added = b""
    if head.request_id_start >= 0:
        id_line = forwarding.request_id_line(data[head.request_id_start : head.request_id_end])
    elif prefix:
        id_line = added = worker.request_ids.line(prefix)
    signer = relay.arm.signer
    if signer is not None and not relay.overridden:
        # A client's own id stays; the token for feedback then has a field of its own.
        token = signer.line(TOKEN_PREFIX if head.request_id_start >= 0 or not prefix else prefix)
        id_line, added = (id_line + token, token) if head.request_id_start >= 0 else (token, token)
    relay.id_line = id_line
    lines = client.client_lines.lines(
        forwarding, head.host, has_proto=head.forwarded_proto, has_host=head.forwarded_host
    )
    cuts = head.cuts
    if head.minor != 1 or head.upgrade:
        return b"".join((_detour(relay, head, data, end), lines, added, data[end:stop]))
    if not cuts:
        return b"".join((data[:end], lines, added, data[end:stop]))
    if len(cuts) == 2:
        return b"".join((data[: cuts[0]], data[cuts[1] : end], lines, added, data[end:stop]))
    return b"".join((cut(data, 0, end, cuts), lines, added, data[end:stop]))


def _detour(relay: Relay, head: RequestHead, data: bytes, end: int) -> bytes:
    """Return the head of an HTTP/1.0 request, or of one that asks for another protocol."""
    if head.minor == 1:
        kept = cut(data, 0, end, head.cuts)
    else:
        # RFC 9110, section 2.5: a proxy speaks its own version.
        line: int = head.line_end
        version = line - len(VERSION_LINE_END)
        kept = cut(data, 0, version, head.cuts) + VERSION_LINE_END + cut(data, line, end, head.cuts)
        if not head.host:
            kept += b"host: " + relay.arm.authority + b"\r\n"
    if head.upgrade:
        kept += b"connection: upgrade\r\nupgrade: " + head.upgrade_protocol + b"\r\n"
    return kept
