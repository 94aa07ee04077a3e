"""The web application on control's socket: all paths, one shape for errors, limits on what comes in."""

from typing import Final

from aiohttp import web

from control.api import (
    aliases,
    approvals,
    artifacts,
    audit_log,
    audit_report,
    deployments,
    experiments,
    feedback,
    history,
    link,
    metrics,
    models,
    openapi,
    rollouts,
    shadows,
    status,
)
from control.api.door import DOOR, Door
from control.api.errors import errors_as_json
from control.api.keys import PLANE
from control.dashboard import page
from control.plane import Plane
from proxy.forward import REVISION_HEADER, SAFE_METHODS

# A thousand routes are a configuration of 1 MiB; a report of 4 096 full arms is 40 MiB and comes in parts.
_BODY_BYTES_MAX: Final = 16 * 1024 * 1024


def build_application(plane: Plane) -> web.Application:
    """An application that serves *plane*."""
    application = web.Application(middlewares=[errors_as_json], client_max_size=_BODY_BYTES_MAX)
    application[PLANE] = plane
    application[DOOR] = Door(
        shelf=plane.controller.shelf,
        follow=plane.controller.follower.follow,
        revision=lambda: plane.ledger.revision,
        troubles=lambda: plane.controller.follower.troubles,
    )
    application.on_response_prepare.append(_say_revision)
    artifacts.prepare(application)
    for module in (
        *(link, status, rollouts, shadows, deployments, experiments, feedback),
        *(audit_log, audit_report, history, metrics, page),
        *(models, artifacts, aliases, approvals, openapi),
    ):
        application.add_routes(module.routes())
    return application


async def _say_revision(request: web.Request, response: web.StreamResponse) -> None:
    """Name the table that carries out an order, so that the proxy can answer when it is in use."""
    if request.method not in SAFE_METHODS:
        response.headers[REVISION_HEADER] = str(request.app[PLANE].ledger.revision)
