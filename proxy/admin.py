"""The admin address: metrics, probes, drain and reload of the proxy itself; everything else is control's."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from aiohttp import web

from proxy.auth import (
    Authenticator,
    DeniedError,
    Principal,
    Role,
    TokenConfig,
    check_host,
    check_origin,
    is_loopback,
    require,
)
from proxy.browser_page import away
from proxy.exposition import exposition
from proxy.forward import forward
from proxy.listeners import Address
from proxy.sign_in import SIGN_IN, SIGN_OUT, SignIn
from proxy.sockets import bound_socket, inherited_socket
from proxy.tls import ServerTls, server_context

if TYPE_CHECKING:
    from proxy.agent import Agent

log = logging.getLogger("headgate.admin")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Commands carry a reason, not data.
BODY_BYTES_MAX: Final = 1024 * 1024
BACKLOG: Final = 128
STOP_SECONDS: Final = 2.0
# Workers take a table in a few milliseconds; one that is stuck must not hold up who steers.
IN_USE_POLL_SECONDS: Final = 0.002
IN_USE_LOOKS: Final = 250
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
# Probes send no token, and without one they learn nothing but yes or no.
PROBES: Final = frozenset({"/livez", "/readyz"})
METRICS: Final = "/metrics"
FEEDBACK: Final = "/v1/feedback"

# Missing on a request whose sender need not say who it is.
_PRINCIPAL: Final = web.RequestKey("principal", Principal)
# Whether a cookie said who it is.
_BY_SESSION: Final = web.RequestKey("by_session", bool)

_PLAIN: Final = {
    405: ("method_not_allowed", "this path does not take that method", "see docs/api.md for the methods"),
    413: ("body_too_large", f"the body is larger than {BODY_BYTES_MAX} bytes", "send less"),
}


class AdminConfig(Protocol):
    """What the configuration says about the admin address."""

    @property
    def bind(self) -> Address: ...

    @property
    def tokens(self) -> Sequence[TokenConfig]: ...

    @property
    def tls(self) -> AdminTlsConfig | None: ...


class AdminTlsConfig(Protocol):
    """What the configuration says about TLS on it."""

    @property
    def clients(self) -> Mapping[str, str]: ...

    def model_dump(self) -> dict[str, Any]: ...


class AdminServer:
    """Serves the admin address of one agent. Refusals are counted by code."""

    def __init__(self, agent: Agent, config: AdminConfig) -> None:
        self.refused: Counter[str] = Counter()
        self.address: tuple[str, int] | None = None
        self._agent = agent
        self._bind = config.bind
        self._open_metrics = is_loopback(config.bind.host)
        self._tls = config.tls
        self._context: ssl.SSLContext | None = None
        clients = {} if config.tls is None else config.tls.clients
        self._authenticator = Authenticator(config.tokens, time.monotonic, clients)
        self._sign_in = SignIn(
            self._authenticator, agent.sessions, secure=config.tls is not None, local=self._open_metrics
        )
        self._runner: web.AppRunner | None = None

    async def start(self, descriptor: int | None) -> None:
        """Listen, on an inherited socket if there is one; BindError when the address cannot be had."""
        application = web.Application(middlewares=[self._guard], client_max_size=BODY_BYTES_MAX)
        application.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get(METRICS, self._metrics),
                web.post("/-/drain", self._drain),
                web.post("/-/reload", self._reload),
                web.post("/-/upgrade", self._upgrade),
                web.get(SIGN_IN, self._sign_in.again),
                web.post(SIGN_IN, self._sign_in.begin),
                web.post(SIGN_OUT, self._sign_in.end),
                web.route("*", "/{path:.*}", self._forward),
            ]
        )
        sock = (
            bound_socket(self._bind.host, self._bind.port, shared=False)
            if descriptor is None
            else inherited_socket(descriptor)
        )
        self.address = sock.getsockname()[:2]
        context = None
        if self._tls is not None:
            self._use(self._agent.certificates.files)
            self._agent.certificates.changed.append(self._use)
            # Each handshake is led on to the context of the moment, so that certificates can change.
            context = self._make_context(self._agent.certificates.files)
            context.sni_callback = self._present
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS
        )
        await self._runner.setup()
        log.info("admin address %s:%d", *self.address)
        await web.SockSite(self._runner, sock, backlog=BACKLOG, ssl_context=context).start()

    def _make_context(self, files: Mapping[str, str]) -> ssl.SSLContext:
        assert self._tls is not None
        return server_context(ServerTls(self._tls.model_dump()), files, optional_client=True)

    def _use(self, files: Mapping[str, str]) -> None:
        self._context = self._make_context(files)

    def _present(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        assert self._context is not None
        connection.context = self._context

    async def stop(self) -> None:
        """Close the listener and what is open."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request through if its sender may send it; turn every error into JSON."""
        try:
            self._admit(request)
            return await handler(request)
        except DeniedError as exc:
            self.refused[exc.code] += 1
            self._note(request, exc.code)
            response = (
                self._sign_in.form(request, exc)
                or away(request, exc)
                or error_response(exc.status, exc.code, exc.message, exc.remedy)
            )
            if exc.status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            if exc.status == 429:
                response.headers["Retry-After"] = "60"
            return response
        except web.HTTPException as exc:
            if exc.status < 400:
                raise
            code, message, remedy = _PLAIN.get(exc.status, ("error", exc.reason, "see docs/api.md"))
            self.refused[code] += 1
            return error_response(exc.status, code, message, remedy)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return error_response(500, "internal", "the agent failed to answer", "look at its log")

    def _admit(self, request: web.Request) -> None:
        """Note who sends a request, unless nobody need say; DeniedError when it may not be sent."""
        headers = request.headers
        check_host(headers.get("Host"), self._bind.host)
        safe = request.method in SAFE_METHODS
        if not safe:
            check_origin(headers.get("Origin"), headers.get("Sec-Fetch-Site"), headers.get("Host"))
        if self._sign_in.asked(request):
            return
        authorization = headers.get("Authorization")
        principal = None
        if authorization is None:
            principal = self._sign_in.known(request, safe=safe)
            request[_BY_SESSION] = principal is not None
        public = request.path in PROBES or (request.path == METRICS and self._open_metrics)
        if public and safe and authorization is None and principal is None and not self._authenticator.open:
            return
        if authorization is None and principal is None and request.transport is not None:
            principal = self._authenticator.by_certificate(request.transport.get_extra_info("peercert"))
        if principal is None:
            principal = self._authenticator.identify(authorization, request.remote or "")
        request[_PRINCIPAL] = principal
        require(principal, _role_for(request.path, safe=safe))

    def _note(self, request: web.Request, code: str) -> None:
        """Have it written into the audit log, if it was an attempt at what is not allowed."""
        actor = request[_PRINCIPAL].actor if _PRINCIPAL in request else ""
        self._agent.violations.note(
            code, address=request.remote or "", actor=actor, method=request.method, path=request.path
        )

    async def _livez(self, _: web.Request) -> web.Response:
        return json_response({"live": True})

    async def _readyz(self, request: web.Request) -> web.Response:
        agent = self._agent
        body: dict[str, Any] = {"ready": agent.ready}
        if _PRINCIPAL in request:
            body |= {
                "draining": agent.draining,
                "boot": agent.boot,
                "upgrade_refused": agent.upgrade_refused,
                "revision": agent.keeper.revision,
                "config_digest": agent.keeper.config_digest,
                "workers": {
                    "configured": agent.fleet.count,
                    "ready": agent.fleet.ready_count,
                    "revision": agent.fleet.revision_applied,
                },
                "listeners": [f"{entry['host']}:{entry['port']}" for entry in agent.listeners],
                "control": agent.control,
                "problems": agent.problems,
            }
        return json_response(body, status=200 if agent.ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = await exposition(self._agent, self.refused, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _drain(self, request: web.Request) -> web.Response:
        log.info("drain ordered by %s", request[_PRINCIPAL].actor)
        self._agent.drain()
        return json_response({"draining": True, "in_flight": self._agent.in_flight}, status=202)

    async def _upgrade(self, request: web.Request) -> web.Response:
        log.info("upgrade ordered by %s", request[_PRINCIPAL].actor)
        agent = self._agent
        value = {"boot": agent.boot, "upgrade_refused": agent.upgrade_refused}
        if not agent.upgrade():
            message = "this agent has no supervisor that could be replaced"
            return error_response(409, "not_supervised", message, "start it with headgate run")
        return json_response(value, status=202)

    async def _reload(self, request: web.Request) -> web.Response:
        log.info("reload ordered by %s", request[_PRINCIPAL].actor)
        reloaded = await self._agent.reloader.reload()
        if reloaded.outcome == "refused":
            message = "; ".join(reloaded.problems)
            error = {
                "code": "config_refused",
                "message": message,
                "remedy": "correct the file; the configuration before it stays in force",
                "problems": reloaded.problems,
            }
            return json_response({"error": error}, status=422)
        return json_response(
            {
                "outcome": reloaded.outcome,
                "revision": reloaded.revision,
                "digest": reloaded.digest,
                "restart_needed": reloaded.restart_needed,
            },
            status=202 if reloaded.outcome == "deferred" else 200,
        )

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        response = await forward(
            request,
            self._agent.link,
            request[_PRINCIPAL],
            by_session=request.get(_BY_SESSION, False),
            # Feedback orders nothing.
            in_use=None if request.path == FEEDBACK else self._in_use,
        )
        if response.status == 403:
            self._note(request, "refused_by_control")
        return response

    async def _in_use(self, revision: int) -> None:
        """Return when every worker routes by the revision, or when that takes too long to wait for."""
        fleet = self._agent.fleet
        for _ in range(IN_USE_LOOKS):
            if fleet.revision_applied >= revision or fleet.draining:
                return
            await asyncio.sleep(IN_USE_POLL_SECONDS)


def _role_for(path: str, *, safe: bool) -> Role:
    # Feedback says which request it is about with an id that we have signed: that is its permission.
    if safe or path == FEEDBACK:
        return Role.VIEWER
    return Role.ADMIN if path.startswith("/-/") else Role.OPERATOR


def json_response(value: object, *, status: int = 200) -> web.Response:
    """Return `value` as JSON that nobody keeps."""
    return web.Response(
        status=status,
        body=orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def error_response(status: int, code: str, message: str, remedy: str) -> web.Response:
    """Return an error as JSON."""
    return json_response({"error": {"code": code, "message": message, "remedy": remedy}}, status=status)
