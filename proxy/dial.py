"""Opens connections to endpoints: over TCP, over TLS, or over a Unix socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from proxy.tls import ClientContexts, ClientTls, Files

if TYPE_CHECKING:
    from proxy.arms import EndpointSpec


class Dialer:
    """Opens connections for one worker. Endpoints that share their settings share a context."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._files: Files = {}
        self._contexts = ClientContexts()

    def use(self, files: Files) -> None:
        """Make the contexts of connections from now on from these texts."""
        self._files = files

    async def open(self, spec: EndpointSpec, factory: Callable[[], asyncio.BaseProtocol]) -> Any:
        """Return the protocol of a new connection; OSError (also ssl.SSLError) when there is none."""
        if spec.path:
            _, protocol = await self._loop.create_unix_connection(factory, spec.path)
        elif spec.tls is None:
            _, protocol = await self._loop.create_connection(factory, spec.host, spec.port)
        else:
            _, protocol = await self._loop.create_connection(
                factory,
                spec.host,
                spec.port,
                ssl=self._context(spec.tls),
                server_hostname=spec.tls[3] or spec.host,
            )
        return protocol

    def _context(self, tls: ClientTls) -> ssl.SSLContext:
        try:
            return self._contexts.of(tls, self._files)
        except KeyError as exc:
            raise OSError(f"{exc.args[0]} was not read") from exc
