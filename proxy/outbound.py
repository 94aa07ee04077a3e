"""The request as it goes upstream: what came, less what belongs to one hop, plus our own lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.tokens import TOKEN_PREFIX
from proxy.wire.rewrite import cut

if TYPE_CHECKING:
    from proxy.client import ClientConnection
    from proxy.forwarding import Forwarding, RequestIds
    from proxy.relay import Relay
    from proxy.wire.head import RequestHead

VERSION_LINE_END: Final = b" HTTP/1.1\r\n"


def request_message(
    client: ClientConnection, relay: Relay, head: RequestHead, data: bytes, end: int, stop: int
) -> bytes:
    """Return the head ``data[:end]`` rewritten for the upstream, and behind it ``data[end:stop]``.

    Notes the request-id line in the relay: the response carries the same.
    """
    worker = client.worker
    arm = relay.arm
    forwarding = worker.live.forwarding
    if head.request_id_start >= 0 or arm.signer is not None:
        added = _identified(relay, forwarding, head, data, worker.request_ids)
    else:
        added = b""
        if forwarding.request_id_prefix:
            relay.id_line = added = worker.request_ids.line(forwarding.request_id_prefix)
    lines = client.client_lines.lines(forwarding, head.host, head.forwarded_proto, head.forwarded_host)
    if arm.rewrite is not None:
        plain = _kept(relay, head, data, end) + lines + added
        if relay.tap is not None:
            # What shadows get is rewritten as their upstreams say.
            relay.tap.plain_head = plain
        return arm.rewrite.apply(plain) + data[end:stop]
    cuts = head.cuts
    if head.minor != 1 or head.upgrade or len(cuts) > 2:
        return b"".join((_kept(relay, head, data, end), lines, added, data[end:stop]))
    if cuts:
        start, behind = cuts
        return b"".join((data[:start], data[behind:end], lines, added, data[end:stop]))
    return b"".join((data[:end], lines, added, data[end:stop]))


def _identified(
    relay: Relay, forwarding: Forwarding, head: RequestHead, data: bytes, ids: RequestIds
) -> bytes:
    """Note the id line of a request that brings its own id or may get feedback; what is to be added."""
    prefix = forwarding.request_id_prefix
    id_line = added = b""
    if head.request_id_start >= 0:
        id_line = forwarding.request_id_line(data[head.request_id_start : head.request_id_end])
    elif prefix:
        id_line = added = ids.line(prefix)
    signer = relay.arm.signer
    if signer is not None and not relay.overridden:
        # A client's own id stays; the token for feedback then has a field of its own.
        token = signer.line(TOKEN_PREFIX if head.request_id_start >= 0 or not prefix else prefix)
        id_line, added = (id_line + token, token) if head.request_id_start >= 0 else (token, token)
    relay.id_line = id_line
    return added


def _kept(relay: Relay, head: RequestHead, data: bytes, end: int) -> bytes:
    """Return what goes on of a head, also of one of HTTP/1.0 or one that asks for another protocol."""
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
