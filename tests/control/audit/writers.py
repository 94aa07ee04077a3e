"""A process that logs events until it is done or killed: ``python -m tests.control.audit.writers``."""

from __future__ import annotations

import asyncio
import sys
import time

from control.audit.events import Draft, Origin
from control.store import audit
from control.store.engine import open_store


async def main(url: str, name: str, count: int) -> None:
    """Write so many events, one a transaction; print the number of each once it is acknowledged."""
    store = await open_store(url)
    for number in range(count):
        draft = Draft(
            type="data_access",
            severity="info",
            resource_type="data",
            resource_id=f"{name}-{number}",
            action="read",
            details={},
        )
        async with store.write() as connection:
            await audit.append(
                connection, [draft], origin=Origin(actor=name), at=time.time(), config_digest=""
            )
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
