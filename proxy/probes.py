"""Asks endpoints whether they are well, whatever the traffic, and tells workers which are not."""

import asyncio
import logging
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp

from config.addresses import parse_endpoint_url
from config.health import Health
from config.schema import Config
from proxy.sockets import place_of
from proxy.tls import ClientContexts, ClientTls, Files, client_tls

log = logging.getLogger("headgate.health")

LOOK_SECONDS: Final = 0.2
# A body is of no interest; a server that sends one without end is not listened to.
BODY_BYTES_MAX: Final = 65536

Down = dict[str, list[str]]
"""By upstream, the endpoints (host:port) that are down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One endpoint and how it is asked: over a Unix socket at `path`, with `tls`, or plainly."""

    upstream: str
    endpoint: str
    url: str
    health: Health
    path: str = ""
    tls: ClientTls | None = None


def targets(config: Config) -> list[Target]:
    """All endpoints of upstreams with probes."""
    found: list[Target] = []
    for name, upstream in config.upstreams.items():
        if upstream.health is None:
            continue
        settings = {} if upstream.tls is None else upstream.tls.model_dump()
        for endpoint in upstream.endpoints:
            address = parse_endpoint_url(endpoint.url)
            base = "http://localhost" if address.path else endpoint.url
            found.append(
                Target(
                    upstream=name,
                    # As workers name it (`proxy.arms.EndpointSpec.key`).
                    endpoint=address.path or place_of(address.host, address.port),
                    url=f"{base}{path_of(upstream.health)}",
                    health=upstream.health,
                    path=address.path,
                    tls=client_tls(settings) if address.scheme == "https" else None,
                )
            )
    return found


def path_of(health: Health) -> str:
    """The path that is asked for (Open Inference Protocol v2: "server ready" and "model ready")."""
    if health.kind == "http":
        return health.path
    return f"/v2/models/{health.model}/ready" if health.model else "/v2/health/ready"


class Prober:
    """Follows the configuration: one task for each endpoint that has to be asked.

    `files` gives the PEM texts of the moment, by path.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        changed: Callable[[Down], None],
        files: Callable[[], Files] = dict,
    ) -> None:
        self._config = config
        self._changed = changed
        self._files = files
        self._down: set[tuple[str, str]] = set()
        self._contexts = ClientContexts()

    async def run(self) -> None:
        """Ask until cancelled. Probes belong to no route: they are in no count and no statistic."""
        running: dict[Target, asyncio.Task[None]] = {}
        connector = aiohttp.TCPConnector(limit=64, force_close=True)
        async with _session(connector) as session, asyncio.TaskGroup() as tasks:
            seen: Config | None = None
            while True:
                config = self._config()
                if config is not seen:
                    seen = config
                    wanted = set(targets(config))
                    for target in set(running) - wanted:
                        running.pop(target).cancel()
                    for target in wanted - set(running):
                        running[target] = tasks.create_task(self._follow(session, target))
                    self._forget({(target.upstream, target.endpoint) for target in wanted})
                await asyncio.sleep(LOOK_SECONDS)

    async def _follow(self, session: aiohttp.ClientSession, target: Target) -> None:
        if target.path:
            async with _session(aiohttp.UnixConnector(target.path, force_close=True)) as own:
                await self._ask_on(own, target)
        else:
            await self._ask_on(session, target)

    async def _ask_on(self, session: aiohttp.ClientSession, target: Target) -> None:
        health = target.health
        place = (target.upstream, target.endpoint)
        in_a_row = 0
        # Endpoints that were added together are not asked in step.
        await asyncio.sleep(random.uniform(0, min(1.0, health.interval)))
        while True:
            try:
                problem = await ask(session, target, self._context(target))
            except KeyError as exc:
                problem = f"{exc.args[0]} was not read"
            down = place in self._down
            if (problem is None) == down:
                in_a_row += 1
            else:
                in_a_row = 0
            if in_a_row >= (health.healthy if down else health.unhealthy):
                in_a_row = 0
                if down:
                    log.warning("upstream %s: %s is well again", *place)
                else:
                    log.warning("upstream %s: %s is down: %s", *place, problem)
                self._down ^= {place}
                self._tell()
            await asyncio.sleep(health.interval * random.uniform(0.9, 1.1))

    def _context(self, target: Target) -> ssl.SSLContext | bool:
        """What speaks TLS to it, as workers do."""
        # Texts are used only when contexts could be made of them (`proxy.certificates`).
        return True if target.tls is None else self._contexts.of(target.tls, self._files())

    def _forget(self, places: set[tuple[str, str]]) -> None:
        gone = self._down - places
        if gone:
            self._down -= gone
            self._tell()

    def _tell(self) -> None:
        down: Down = {}
        for upstream, endpoint in sorted(self._down):
            down.setdefault(upstream, []).append(endpoint)
        self._changed(down)


@asynccontextmanager
async def _session(connector: aiohttp.BaseConnector) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


async def ask(
    session: aiohttp.ClientSession, target: Target, context: ssl.SSLContext | bool = True
) -> str | None:
    """What is wrong with an endpoint, in a few words; None when it answers well."""
    limit = aiohttp.ClientTimeout(total=target.health.timeout)
    name = target.tls[3] or None if target.tls is not None else None
    try:
        async with session.get(
            target.url, timeout=limit, allow_redirects=False, ssl=context, server_hostname=name
        ) as answer:
            await answer.content.read(BODY_BYTES_MAX)
            return None if answer.status < 400 else f"answers {answer.status}"
    except TimeoutError:
        return f"no answer within {target.health.timeout:g} s"
    except (aiohttp.ClientError, OSError) as exc:
        if type(exc) is aiohttp.ClientConnectorError and exc.errno:
            # Those of names and of TLS, which extend it, say more by themselves.
            return os.strerror(exc.errno).lower()
        return str(exc) or type(exc).__name__
