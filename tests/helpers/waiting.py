"""Waiting for what other processes do, with an end."""

import asyncio
from collections.abc import Awaitable, Callable

SECONDS = 60.0
STEP = 0.02


async def until(holds: Callable[[], object], *, seconds: float = SECONDS, what: object = "") -> None:
    """Wait until `holds()` is true; AssertionError with `what`, called if it can be, after `seconds`."""
    await until_async(_as_async(holds), seconds=seconds, what=what)


async def until_async(
    holds: Callable[[], Awaitable[object]], *, seconds: float = SECONDS, what: object = ""
) -> None:
    """The same for a condition that has to wait itself."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await holds():
        if loop.time() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        await asyncio.sleep(STEP)


def _as_async(holds: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    async def ask() -> object:
        return holds()

    return ask
