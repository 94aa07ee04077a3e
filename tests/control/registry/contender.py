"""One of many processes that register, approve, promote and name at once; prints what it could do."""

from __future__ import annotations

import asyncio
import json
import sys

from control.audit.events import Origin
from control.errors import HeadgateError
from control.registry.shelf import Shelf
from control.store.engine import open_store
from tests.helpers.registry import draft


async def contend(url: str, number: int, rounds: int) -> list[str]:
    """Do *rounds* of everything; returns what was done, as words."""
    store = await open_store(url)
    shelf, done = Shelf(store, place="."), []
    me = Origin(actor=f"p{number}")

    async def attempt(word: str, work: object) -> None:
        try:
            await work  # type: ignore[misc]
        except HeadgateError:
            return
        done.append(word)

    try:
        for each in range(rounds):
            # A version of one's own must be registered; one that all want, by one of them.
            await attempt(
                f"own {number}.{each}.0", shelf.registry.register(draft(f"{number}.{each}.0", "own"), me)
            )
            await attempt(f"all {each}", shelf.registry.register(draft(f"{each}.0.0", "all"), me))
            await attempt(f"staged {each}", shelf.registry.promote(f"all:{each}.0.0", "staging", me))
            asked = shelf.approvals.request(f"all:{each}.0.0", "production", me, justification="x")
            await attempt(f"asked {each}", asked)
            for request in await shelf.approvals.page(limit=5):
                await attempt("voted", shelf.approvals.vote(request["id"], me, approves=True))
            await attempt(f"live {each}", shelf.registry.promote(f"all:{each}.0.0", "production", me))
            await attempt("named", shelf.aliases.move("own", "newest", f"{number}.{each}.0", me))
    finally:
        await store.close()
    return done


if __name__ == "__main__":
    print(json.dumps(asyncio.run(contend(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
