"""The status page: what the control plane does and why, for a person, rendered here and readable as it is."""

import time
from importlib.resources import files
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from config.counted import counted
from control.api.deployments import deployment_view, deployments_of
from control.api.errors import ApiError
from control.api.experiments import experiment_view, experiments_of
from control.api.history import decision_view
from control.api.keys import PLANE
from control.api.requests import role_of
from control.api.shadows import shadows_view
from control.api.status import status_view
from control.audit.note import parse
from control.cli.figures import duration, evidence, improvement, limit, measure, seconds, share
from control.dashboard.bars import Bar, interval_bars, share_bar
from control.plane import Plane
from control.store import audit, audit_search, audit_tiles, checkpoints, rollouts, undertakings
from control.store.engine import Connection
from proxy.forward import ACTOR_HEADER, SESSION_HEADER

_HERE: Final = files("control.dashboard")
_TYPES: Final = {"css": "text/css", "js": "text/javascript"}
_STATIC: Final = ("headgate.css", "headgate.js")
_TAIL: Final = 15
_UNDERTAKINGS: Final = 5
_APPROVALS: Final = 20

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Without any, a browser would call the origin of the form for signing out null.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def routes() -> list[web.RouteDef]:
    """The paths of the page and of what it needs."""
    return [web.get("/", get_page), web.get("/static/{name}", get_static)]


async def get_page(request: web.Request) -> web.Response:
    """The whole page."""
    html = await render(request.app[PLANE], signed_in=_signed_in(request))
    return web.Response(text=html, content_type="text/html", charset="utf-8", headers=_HEADERS)


async def get_static(request: web.Request) -> web.Response:
    """The page's style sheet or script."""
    name = request.match_info["name"]
    if name not in _STATIC:
        raise ApiError(404, "not_found", "there is nothing at this path", "see docs/api.md for the paths")
    body = (_HERE / "static" / name).read_bytes()
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return web.Response(
        body=body, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8", headers=headers
    )


def _signed_in(request: web.Request) -> str | None:
    """Name and role of who is signed in and so can sign out; None if nobody had to."""
    if SESSION_HEADER not in request.headers:
        return None
    return f"{request.headers.get(ACTOR_HEADER, '')} ({role_of(request).name.lower()})"


async def render(plane: Plane, *, signed_in: str | None) -> str:
    """The page's HTML."""
    async with plane.ledger.store.read() as connection:
        decisions = await rollouts.recent_decisions(connection, limit=_TAIL)
        events = await audit_search.page(
            connection, audit_search.AuditFilter(), limit=_TAIL, after=None, newest_first=True
        )
        log = await _log_state(connection)
        deployed = await undertakings.listed(connection, undertakings.DEPLOYMENTS, limit=_UNDERTAKINGS)
        compared = await undertakings.listed(connection, undertakings.EXPERIMENTS, limit=_UNDERTAKINGS)
    shelf = plane.controller.shelf
    # One more than is shown tells whether there are more.
    approvals = await shelf.approvals.waiting(limit=_APPROVALS + 1)
    tasks = await shelf.tasks.all(limit=_APPROVALS + 1)
    status = status_view(plane)
    return _environment.get_template("status.html").render(
        signed_in=signed_in,
        status=status,
        rollouts={rollout["route"]: rollout for rollout in status["rollouts"]},
        quarantine={row["route"]: row for row in status["quarantine"]},
        condemned={row["release"]: row["route"] for row in status["quarantine"]},
        decisions=[decision_view(row) for row in decisions],
        events=[record.to_json() for record in events],
        log=log,
        shadows=shadows_view(plane),
        approvals=approvals[:_APPROVALS],
        approvals_more=len(approvals) > _APPROVALS,
        tasks=tasks[:_APPROVALS],
        tasks_more=len(tasks) > _APPROVALS,
        deployments=[deployment_view(each) for each in deployments_of(plane, deployed)],
        experiments=[
            experiment_view(plane.loop.experiments, each) for each in experiments_of(plane, compared)
        ],
    )


async def _log_state(connection: Connection) -> dict[str, Any]:
    """Size and root of the audit log, what was signed of it, and whether the two agree."""
    head = await audit.head(connection)
    row = await checkpoints.newest(connection)
    shown = {"size": head.size, "root": head.root.hex(), "checkpoint": None, "state": "not signed yet"}
    if row is None:
        return shown
    signed = parse(row.note).checkpoint
    state = "it is not what was signed"
    if signed.size <= head.size and await audit_tiles.root_at(connection, signed.size) == signed.root:
        state = "agrees with what was signed"
    return shown | {"checkpoint": {"size": signed.size, "at": row.at}, "state": state}


def _finding_bars(finding: dict[str, Any]) -> Any:
    unit = finding["unit"]
    arms = [Bar.of("canary", finding["canary"]), Bar.of("control", finding["control"])]
    words = ", ".join(f"{arm}: {measure(finding[arm], unit)}" for arm in ("canary", "control"))
    return interval_bars(arms, limit=None, label=words)


def _clock(unix: float | None) -> str:
    return "-" if unix is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(unix))


def _words(name: str) -> str:
    return name.replace("_", " ")


_environment: Final = Environment(
    loader=FileSystemLoader(str(_HERE / "templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    counted=counted,
    share=share,
    seconds=seconds,
    duration=duration,
    evidence=evidence,
    clock=_clock,
    words=_words,
)
_environment.globals.update(
    measure=measure, limit=limit, improvement=improvement, finding_bars=_finding_bars, share_bar=share_bar
)
