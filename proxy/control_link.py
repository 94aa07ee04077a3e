"""The agent's side of the line to control: configuration up, tables down, statistics up."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from config.load import Loaded
from proxy.events import EventReader, EventTooLongError
from proxy.slots import Table

log = logging.getLogger("headgate.control")

# Control's host name on its Unix socket; HTTP needs one, nothing resolves it.
BASE: Final = "http://control"
CALL_SECONDS: Final = 10.0
# Control beats every 5 s; three missed beats are a lost line.
WATCH_SILENCE_SECONDS: Final = 15.0
RETRY_FIRST: Final = 0.1
RETRY_MAX: Final = 2.0


class ControlAwayError(Exception):
    """Control does not answer, or not in its own words."""


class ConfigRefusedError(Exception):
    """Control does not accept a configuration; one text for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ControlLink:
    """Keeps a line to control open. `connected` is None until the first attempt has succeeded or failed."""

    def __init__(
        self,
        socket: Path,
        *,
        loaded: Callable[[], Loaded],
        revision: Callable[[], int],
        on_table: Callable[[Table], None],
        on_refused: Callable[[list[str]], None],
    ) -> None:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(socket), limit=0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
        )
        self.connected: bool | None = None
        self.reconnects = 0
        self.trouble = ""
        # Why control does not accept the last configuration it was told; empty when it does.
        self.refused: list[str] = []
        self._loaded = loaded
        self._revision = revision
        self._on_table = on_table
        self._on_refused = on_refused

    async def follow(self) -> None:
        """Keep control informed of the configuration and take its tables, for ever."""
        delay = RETRY_FIRST
        while True:
            try:
                try:
                    await self.put_config(self._loaded())
                except ConfigRefusedError as exc:
                    self._on_refused(exc.problems)
                async with aclosing(self._watch(self._revision())) as tables:
                    async for table in tables:
                        self._on_table(table)
                raise ControlAwayError("control closed the watch")
            except ControlAwayError as exc:
                if self.connected:
                    delay = RETRY_FIRST
                self._is_away(str(exc))
            # Without jitter every proxy of a fleet would come back in the same instant.
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(RETRY_MAX, delay * 2)

    async def put_config(self, loaded: Loaded) -> int:
        """Tell control the configuration; return its revision.

        Raises ConfigRefusedError when it does not accept it, ControlAwayError when it does not answer.
        """
        body = {
            "digest": loaded.digest,
            "source": loaded.source.file,
            "config": loaded.config.to_json(),
            # So that a control whose store is younger than this proxy numbers its tables above ours.
            "revision": self._revision(),
        }
        status, value = await self._call("PUT", "/v1/config", body)
        if status == 422:
            self.refused = _problems(value, loaded)
            raise ConfigRefusedError(self.refused)
        if status != 200 or not isinstance(value, dict) or not isinstance(value.get("revision"), int):
            raise ControlAwayError(f"PUT /v1/config was answered {status}: {_brief(value)}")
        self._has_answered()
        self.refused = []
        return int(value["revision"])

    async def post_statistics(self, report: dict[str, Any]) -> None:
        """Send a cumulative report; ControlAwayError unless control has stored it."""
        status, value = await self._call("POST", "/v1/statistics", report)
        if not 200 <= status < 300:
            raise ControlAwayError(f"POST /v1/statistics was answered {status}: {_brief(value)}")

    async def post_violations(self, violations: list[dict[str, Any]]) -> None:
        """Have attempts written into the audit log; ControlAwayError unless they are."""
        status, value = await self._call("POST", "/v1/violations", {"violations": violations})
        if status != 200:
            raise ControlAwayError(f"POST /v1/violations was answered {status}: {_brief(value)}")

    async def close(self) -> None:
        """Close all connections."""
        await self.session.close()

    async def _call(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        try:
            async with self.session.request(
                method,
                BASE + path,
                # Given as a file, a configuration of a thousand routes is sent piece by piece.
                data=aiohttp.BytesIOPayload(BytesIO(orjson.dumps(body)), content_type="application/json"),
            ) as response:
                data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ControlAwayError(f"{method} {path}: {_reason(exc)}") from exc
        try:
            return response.status, orjson.loads(data) if data else None
        except orjson.JSONDecodeError:
            return response.status, data[:200].decode(errors="replace")

    async def _watch(self, revision: int) -> AsyncGenerator[Table, None]:
        """Yield each table that control publishes, beginning with one that is not `revision`."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CALL_SECONDS, sock_read=WATCH_SILENCE_SECONDS
        )
        try:
            async with self.session.get(
                f"{BASE}/v1/watch",
                params={"revision": str(revision)},
                headers={"Accept": "text/event-stream"},
                timeout=timeout,
            ) as response:
                if response.status != 200:
                    raise ControlAwayError(f"GET /v1/watch was answered {response.status}")
                self._has_answered()
                events = EventReader()
                async for received in response.content.iter_any():
                    for event in events.feed(received):
                        if event.kind == "table":
                            yield _table(event.data)
        except (aiohttp.ClientError, TimeoutError, OSError, EventTooLongError) as exc:
            raise ControlAwayError(f"GET /v1/watch: {_reason(exc)}") from exc

    def _has_answered(self) -> None:
        if not self.connected:
            if self.connected is False:
                self.reconnects += 1
            log.info("control answers")
        self.connected = True
        self.trouble = ""

    def _is_away(self, trouble: str) -> None:
        if self.connected:
            log.warning("control is away (%s); serving on with the last table", trouble)
        self.connected = False
        self.trouble = trouble


def _table(data: bytes) -> Table:
    try:
        table = orjson.loads(data)
        revision, digest, arms = table["revision"], table["config_digest"], table["arms"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise ControlAwayError(f"GET /v1/watch: not a table: {exc!r}") from exc
    if not (isinstance(revision, int) and isinstance(digest, str) and isinstance(arms, list)):
        raise ControlAwayError("GET /v1/watch: a table without revision, config_digest or arms")
    return dict(table)


def _problems(value: Any, loaded: Loaded) -> list[str]:
    """What control found wrong, each with its place in the file, which control has never seen."""
    errors = value.get("errors") if isinstance(value, dict) else None
    if not isinstance(errors, list) or not errors:
        return [f"control refused the configuration: {_brief(value)}"]
    return [error if isinstance(error, str) else _problem(error, loaded) for error in errors]


def _problem(error: Any, loaded: Loaded) -> str:
    if isinstance(error, dict) and "problem" in error:
        path = loaded.source.path_of(str(error.get("path") or ""))
        return str(loaded.problem(path, str(error["problem"]), str(error.get("remedy") or "")))
    return _brief(error)


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        error = value.get("error", value)
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            return f"{error['message']}; {error.get('remedy') or ''}".rstrip("; ")
    return str(value)[:300]


def _reason(exc: BaseException) -> str:
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return str(exc) or type(exc).__name__
