"""Fills a log and measures appending, searching, proving and verifying: ``python -m benchmarks.audit``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.load.machine import describe
from control.audit.events import Draft, Origin
from control.audit.witness import Witness
from control.store import audit, audit_search, audit_tiles
from control.store.audit_search import AuditFilter
from control.store.engine import Store, open_store, sqlite_url

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


async def fill(directory: Path, total: int) -> dict[str, Any]:
    """Append *total* events; processor time is the figure, since others may use the machine meanwhile."""
    store = await open_store(sqlite_url(directory / "headgate.db"))
    witness = Witness(store, directory)
    await witness.start()
    chunk = total // 10
    rates, costs = [], []
    for number in range(10):
        before = time.process_time()
        batch = min(BATCH, max(1, total // 1000))
        rates.append(round(await append(store, number * chunk, chunk, total, batch)))
        costs.append(round((time.process_time() - before) / chunk * 1000, 3))
        await witness.sign(time.time())
        sys.stderr.write(
            f"{(number + 1) * chunk} events, {rates[-1]} a second, {costs[-1]} ms of processor each\n"
        )
    await store.close()
    return {
        "appended_per_second_by_tenth": rates,
        "append_processor_ms_by_tenth": costs,
        "load": os.getloadavg()[0],
    }


async def measure(directory: Path, total: int, rounds: int) -> dict[str, Any]:
    """Everything else: what a commit costs in an empty log and in this one, searching, proving, verifying."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="headgate-audit-", dir=directory) as empty:
        other = await open_store(sqlite_url(Path(empty) / "headgate.db"))
        found["one_a_commit_empty_per_second"] = round(await append(other, 0, 300, total, 1))
        await other.close()
    store = await open_store(sqlite_url(directory / "headgate.db"))
    witness = Witness(store, directory)
    await witness.start()
    found["one_a_commit_full_per_second"] = round(await append(store, total, 300, total, 1))
    note = await witness.sign(time.time())
    found["events"] = note.checkpoint.size
    found["database_bytes_per_event"] = round((directory / "headgate.db").stat().st_size / found["events"])
    found["queries"] = await queries(store, rounds)
    found["proofs"] = await proofs(store, found["events"], rounds)
    await store.close()
    return found | verified(directory)


def verified(directory: Path) -> dict[str, Any]:
    """Verifying in a process of its own, as a person would: seconds and the most memory it took."""
    script = "from control.cli.main import main; main()"
    command = [sys.executable, "-c", script, "audit", "verify", "--state", str(directory)]
    began, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "verify_seconds": round(time.perf_counter() - began, 1),
        "verify_processor_seconds": round(after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime, 1),
        "verify_peak_memory_mib": after.ru_maxrss // 1024,
        "verify_says": done.stdout.splitlines()[0],
    }


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
    parser.add_argument(
        "--log",
        type=Path,
        help="a directory for the log: filled when it has none, then kept and measured again",
    )
    parser.add_argument("--only-fill", action="store_true", help="with --log: fill it and end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headgate-audit-") as name:
        directory = options.log or Path(name)
        directory.mkdir(parents=True, exist_ok=True)
        filled = directory / "filled.json"
        if not filled.exists():
            filled.write_text(json.dumps(asyncio.run(fill(directory, options.events))))
        if options.only_fill:
            return
        found = {"filling": json.loads(filled.read_text())}
        found |= asyncio.run(measure(directory, options.events, options.rounds))
    found["machine"] = describe(Path(__file__).parents[2])
    text = json.dumps(found, indent=2) + "\n"
    if options.to is None:
        sys.stdout.write(text)
    else:
        options.to.write_text(text)


if __name__ == "__main__":
    main()
