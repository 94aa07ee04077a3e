"""What a control process does while another one leads: it says so, and waits for its turn."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import orjson
from aiohttp import web

from control.store.engine import Store
from control.store.leadership import Candidate, Leader, leader

log: Final = logging.getLogger("headgate.control")

# How soon a dead leader is replaced, and how soon one that lost its lock finds out.
LOOK_SECONDS: Final = 1.0


def standby_application(store: Store) -> web.Application:
    """Answers everything with 503 and who leads."""

    async def standing_by(_: web.Request) -> web.Response:
        found = await leader(store)
        body = {
            "error": {
                "code": "standby",
                "message": f"this control process stands by; {found.holder} leads (term {found.term})",
                "remedy": "ask the leader; this one takes over when it ends",
            }
        }
        headers = {"Retry-After": "1"}
        return web.Response(
            status=503, body=orjson.dumps(body), content_type="application/json", headers=headers
        )

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", standing_by)
    return application


async def wait_to_lead(candidate: Candidate, stop: asyncio.Event) -> Leader | None:
    """Wait until *candidate* leads; None when *stop* comes first."""
    told = False
    while not stop.is_set():
        found = await candidate.lead()
        if found is not None:
            log.info("leads, term %d", found.term)
            return found
        if not told:
            log.info("another control process leads; standing by")
            told = True
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
    return None


async def keep_leading(candidate: Candidate, stop: asyncio.Event) -> bool:
    """Look after the lead until *stop*; sets it and returns False when the lead is lost."""
    while not stop.is_set():
        if not await candidate.confirm():
            log.error("lost the lead: another control process has a later term, or the database is away")
            stop.set()
            return False
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
    return True
