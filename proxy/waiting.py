"""Waiting for one of several things, with an end."""

import asyncio


async def happens(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event for at most `seconds`, or without a limit; return whether it came."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Wait until one of two events has come."""
    async with asyncio.TaskGroup() as tasks:
        waits = [tasks.create_task(one.wait()), tasks.create_task(other.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
