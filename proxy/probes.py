"""Asks endpoints whether they are well, whatever the traffic, and tells workers which are not."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from config.health import Health
from config.schema import Config

log = logging.getLogger("headgate.health")

LOOK_SECONDS: Final = 0.2
# A body is of no interest; a server that sends one without end is not listened to.
BODY_BYTES_MAX: Final = 65536

Down = dict[str, list[str]]
"""By upstream, the endpoints (host:port) that are down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One endpoint and how it is asked."""

    upstream: str
    endpoint: str
    url: str
    health: Health


def targets(config: Config) -> list[Target]:
    """All endpoints of upstreams with probes."""
    found: list[Target] = []
    for name, upstream in config.upstreams.items():
        if upstream.health is None:
            continue
        for endpoint in upstream.endpoints:
            key = endpoint.url.partition("://")[2]
            url = f"{endpoint.url}{path_of(upstream.health)}"
            found.append(Target(upstream=name, endpoint=key, url=url, health=upstream.health))
    return found


def path_of(health: Health) -> str:
    """The path that is asked for (Open Inference Protocol v2: "server ready" and "model ready")."""
    if health.kind == "http":
        return health.path
    return f"/v2/models/{health.model}/ready" if health.model else "/v2/health/ready"


class Prober:
    """Follows the configuration: one task for each endpoint that has to be asked."""

    def __init__(self, config: Callable[[], Config], changed: Callable[[Down], None]) -> None:
        self._config = config
        self._changed = changed
        self._down: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Ask until cancelled. Probes belong to no route: they are in no count and no statistic."""
        running: dict[Target, asyncio.Task[None]] = {}
        connector = aiohttp.TCPConnector(limit=64, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
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
        health = target.health
        place = (target.upstream, target.endpoint)
        in_a_row = 0
        # Endpoints that were added together are not asked in step.
        await asyncio.sleep(random.uniform(0, min(1.0, health.interval)))
        while True:
            problem = await ask(session, target)
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


async def ask(session: aiohttp.ClientSession, target: Target) -> str | None:
    """What is wrong with an endpoint, in a few words; None when it answers well."""
    limit = aiohttp.ClientTimeout(total=target.health.timeout)
    try:
        async with session.get(target.url, timeout=limit, allow_redirects=False) as answer:
            await answer.content.read(BODY_BYTES_MAX)
            return None if answer.status < 400 else f"answers {answer.status}"
    except TimeoutError:
        return f"no answer within {target.health.timeout:g} s"
    except (aiohttp.ClientError, OSError) as exc:
        return str(exc) or type(exc).__name__
