"""The registry's paths alone, for a command that has opened the store itself."""

from __future__ import annotations

from aiohttp import web

from control.api import aliases, approvals, artifacts, models
from control.api.door import DOOR, Door
from control.api.errors import errors_as_json
from control.registry.shelf import Shelf


def registry_application(shelf: Shelf) -> web.Application:
    """An application that serves *shelf*. A control process that runs on the same store notices by itself."""

    async def nothing() -> None:
        return

    application = web.Application(middlewares=[errors_as_json])
    application[DOOR] = Door(shelf=shelf, follow=nothing, revision=lambda: 0, troubles=dict)
    artifacts.prepare(application)
    for module in (models, artifacts, aliases, approvals):
        application.add_routes(module.routes())
    return application
