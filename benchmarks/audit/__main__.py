"""Fills a log and measures appending, searching, proving and verifying: ``python -m benchmarks.audit``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from control.audit.events import Draft, Origin
from control.audit.offline import verify_database
from control.audit.witness import Witness
from control.store import audit, audit_search, audit_tiles
from control.store.audit_search import AuditFilter
from control.store.engine import Store, open_store, sqlite_url
from control.store.offline import open_offline

DAYS = 30
START = 1_700_000_000.0
BATCH = 1000
TYPES = ("model_registered", "model_promoted", "model_deployed", "approval_granted", "data_access")
ACTORS = [Origin(actor=f"user-{number}", address="192.0.2.1", user_agent="benchmark") for number in range(50)]


def draft(number: int) -> Draft:
    """An event of the usual size."""
    return Draft(
        type=TYPES[number % len(TYPES)] if number % 10 else "security_violation",
        severity="critical" if number % 1000 == 0 else "info",
        resource_type="model",
        resource_id=f"fraud:v{number % 500}",
        action="register",
        details={"model": "fraud", "version": f"v{number % 500}", "reason": "benchmark", "number": number},
    )


async def append(store: Store, first: int, events: int, total: int, batch: int) -> float:
    """Append *events* in transactions of *batch*; events per second."""
    began = time.perf_counter()
    for at in range(first, first + events, batch):
        origin = ACTORS[at // batch % len(ACTORS)]
        async with store.write() as connection:
            await audit.append(
                connection,
                [draft(number) for number in range(at, min(at + batch, first + events))],
                origin=origin,
                at=START + at / total * DAYS * 86_400,
                config_digest="",
            )
    return events / (time.perf_counter() - began)


async def times(question: Callable[[int], Awaitable[Any]], rounds: int) -> dict[str, float]:
    """Median and 99th percentile, in milliseconds, of *question* asked so often."""
    taken = []
    for number in range(rounds):
        began = time.perf_counter()
        await question(number)
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    return {"p50_ms": round(statistics.median(taken), 2), "p99_ms": round(taken[int(rounds * 0.99) - 1], 2)}


async def measure(directory: Path, total: int, rounds: int) -> dict[str, Any]:
    """Everything, in one log."""
    store = await open_store(sqlite_url(directory / "headgate.db"))
    witness = Witness(store, directory, events=1000)
    await witness.start()
    chunk = total // 10
    found: dict[str, Any] = {"one_a_commit_empty_per_second": round(await append(store, 0, 300, total, 1))}
    rates = []
    for number in range(10):
        rates.append(
            round(await append(store, number * chunk, chunk, total, min(BATCH, max(1, total // 1000))))
        )
        await witness.sign(time.time())
        sys.stderr.write(f"{(number + 1) * chunk} events, {rates[-1]} a second\n")
    found["appended_per_second_by_tenth"] = rates
    found["one_a_commit_full_per_second"] = round(await append(store, total, 300, total, 1))
    note = await witness.sign(time.time())
    found["events"] = note.checkpoint.size
    found["database_bytes_per_event"] = round((directory / "headgate.db").stat().st_size / found["events"])
    found["queries"] = await queries(store, rounds)
    found["proofs"] = await proofs(store, found["events"], rounds)
    await store.close()
    began = time.perf_counter()
    with open_offline(sqlite_url(directory / "headgate.db")) as stored:
        verdict = verify_database(stored, witness.key, [])
    assert verdict.whole, verdict.findings
    found["verify_seconds"] = round(time.perf_counter() - began, 1)
    found["verified_per_second"] = round(verdict.size / (time.perf_counter() - began))
    found["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


async def queries(store: Store, rounds: int) -> dict[str, Any]:
    """What people ask: a day by type, by actor, by severity; the newest; a page in the middle."""

    def asking(
        make: Callable[[float], AuditFilter], *, newest: bool = False
    ) -> Callable[[int], Awaitable[Any]]:
        async def ask(number: int) -> None:
            wanted = make(START + random.Random(number).randrange(DAYS - 1) * 86_400)
            async with store.read() as connection:
                await audit_search.page(connection, wanted, limit=50, after=None, newest_first=newest)

        return ask

    def day(since: float, **more: Any) -> AuditFilter:
        return AuditFilter(since=since, until=since + 86_400, **more)

    return {
        "day_by_type": await times(asking(lambda at: day(at, type="model_promoted")), rounds),
        "day_by_actor": await times(asking(lambda at: day(at, actor="user-7")), rounds),
        "day_by_severity": await times(asking(lambda at: day(at, severity="critical")), rounds),
        "day_newest_first": await times(asking(day, newest=True), rounds),
        "by_resource": await times(
            asking(lambda _: AuditFilter(resource_type="model", resource_id="fraud:v7")), rounds
        ),
        "newest": await times(asking(lambda _: AuditFilter(), newest=True), rounds),
    }


async def proofs(store: Store, size: int, rounds: int) -> dict[str, Any]:
    """Inclusion of any event, consistency with any earlier size."""

    async def inclusion(number: int) -> None:
        async with store.read() as connection:
            await audit_tiles.inclusion(connection, random.Random(number).randrange(size) + 1, size)

    async def consistency(number: int) -> None:
        async with store.read() as connection:
            await audit_tiles.consistency(connection, random.Random(number).randrange(size - 1) + 1, size)

    return {"inclusion": await times(inclusion, rounds), "consistency": await times(consistency, rounds)}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--to", type=Path, help="where to write the JSON; default: standard output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headgate-audit-") as name:
        found = asyncio.run(measure(Path(name), options.events, options.rounds))
    found["machine"] = {
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    text = json.dumps(found, indent=2) + "\n"
    if options.to is None:
        sys.stdout.write(text)
    else:
        options.to.write_text(text)


if __name__ == "__main__":
    main()
