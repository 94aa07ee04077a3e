"""`python -m tests.soak SECONDS`: mixed load, faults and reloads; memory stays flat and counts true."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.helpers.headgate import Headgate, headgate
from tests.soak.server import Model

CLIENTS: Final = 12
RELOAD_SECONDS: Final = 7.0
SAMPLE_SECONDS: Final = 5.0
# Growth of all workers together from the second quarter of the run to its last.
GROWTH_BYTES_MAX: Final = 8 * 1024 * 1024
KINDS: Final = ("ok",) * 12 + ("stream", "slow", "large", "fails", "reset", "cut", "garbage")
MALFORMED: Final = (
    b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/1.1\r\nHo",
)
GOOD: Final = ("PUT ok ", "PUT large ", "PUT slow ")
Tally = Counter[str]


async def client(port: int, tally: Tally, until: float, number: int) -> None:
    """One client after the other: good ones, rude ones and broken ones."""
    rng = random.Random(number)
    while time.monotonic() < until:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            try:
                async with asyncio.timeout(30):
                    await _converse(reader, writer, tally, rng)
            finally:
                writer.close()
        await asyncio.sleep(0.005)


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tally: Tally, rng: random.Random
) -> None:
    if rng.random() < 0.05:
        writer.write(rng.choice(MALFORMED))
        if rng.random() < 0.5:
            await reader.read(1000)
        tally["malformed"] += 1
        return
    for _ in range(rng.randrange(1, 20)):
        kind = rng.choice(KINDS)
        size = rng.choice((0, 10, 50_000))
        # A POST may be lost to a connection that its server closes at that moment; nobody may repeat it.
        method = "PUT" if size < 100 else "POST"
        head = b"%b /%b HTTP/1.1\r\nHost: a\r\nX-User: %d\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (method.encode(), kind.encode(), rng.randrange(1000), size) + b"y" * size)
        tally["sent"] += 1
        if rng.random() < 0.05:
            tally["left"] += 1
            return
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        tally[f"{method} {kind} {status}"] += 1
        if b"chunked" in answer:
            await reader.readuntil(b"0\r\n\r\n")
        else:
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)


async def disturb(running: Headgate, ports: list[int], until: float, tally: Tally) -> None:
    """Change the configuration again and again: weights, endpoints, limits."""
    number = 0
    while time.monotonic() < until:
        number += 1
        running.write(**settings(ports, number))
        await running.reload()
        tally["reloads"] += 1
        await asyncio.sleep(RELOAD_SECONDS)


def settings(ports: list[int], number: int) -> dict[str, Any]:
    """A configuration that differs from the one before."""
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    return {
        "workers": 2,
        "upstreams": {
            "v1": {"endpoints": urls[:2], "concurrency": 100 + number % 3, "balance": "least_in_flight"},
            "v2": {"endpoints": urls[2:]},
        },
        "routes": [
            {
                "name": "all",
                "split": {
                    "kind": "canary",
                    "stable": "v1",
                    "canary": "v2",
                    "key": ["header:x-user"],
                    "weight": f"{10 + number % 10}%",
                },
                "retries": {"attempts": 1 + number % 2},
            }
        ],
    }


async def watch(running: Headgate, until: float, samples: list[int]) -> None:
    """Note the resident memory of all workers."""
    while time.monotonic() < until:
        samples.append(running.worker_bytes())
        await asyncio.sleep(SAMPLE_SECONDS)


def total(metrics: dict[str, float], name: str) -> int:
    """A family summed over its labels."""
    return round(sum(value for key, value in metrics.items() if key.split("{")[0] == name))


async def soak(seconds: float) -> list[str]:
    """Run for so long; what is not as it should be."""
    models = [Model() for _ in range(3)]
    servers = [await model.start() for model in models]
    ports = [model.port for model in models]
    tally: Tally = Counter()
    samples: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        async with headgate(Path(folder), settings(ports, 0)) as running:
            until = time.monotonic() + seconds
            async with asyncio.TaskGroup() as tasks:
                for number in range(CLIENTS):
                    tasks.create_task(client(running.port, tally, until, number))
                tasks.create_task(disturb(running, ports, until, tally))
                tasks.create_task(watch(running, until, samples))
            await asyncio.sleep(3)
            metrics = await running.metrics()
    for server in servers:
        server.close()
    return judge(tally, samples, metrics, sum(sum(model.seen.values()) for model in models))


def judge(tally: Tally, samples: list[int], metrics: dict[str, float], seen: int) -> list[str]:
    """Say what was seen, and return what is wrong with it."""
    attempts = total(metrics, "headgate_attempts_total")
    ended = total(metrics, "headgate_requests_total")
    early, late = samples[len(samples) // 4 : len(samples) // 2], samples[-len(samples) // 4 :]
    growth = min(late) - max(early)
    figures = {
        "requests sent": tally["sent"],
        "ended": ended,
        "attempts": attempts,
        "seen by model servers": seen,
        "reloads": tally["reloads"],
        "worker memory, early and late (MiB)": f"{max(early) / 2**20:.1f}, {min(late) / 2**20:.1f}",
    }
    for name, figure in figures.items():
        sys.stdout.write(f"{name}: {figure}\n")
    good = {name: count for name, count in tally.items() if name.startswith(GOOD)}
    sys.stdout.write(f"answers: {dict(sorted(tally.items()))}\n")
    checks = {
        "good requests were answered badly": any(not name.endswith(" 200") for name in good),
        "model servers saw more than was counted": seen > attempts,
        "more ended than was sent": ended > tally["sent"],
        "requests are still in flight": total(metrics, "headgate_in_flight_requests") != 0,
        "Headgate met errors of its own": total(metrics, "headgate_internal_errors_total") != 0,
        "requests were lost": total(metrics, "headgate_lost_requests_total") != 0,
        f"memory grew by {growth / 2**20:.1f} MiB": growth > GROWTH_BYTES_MAX,
    }
    return [problem for problem, wrong in checks.items() if wrong]


def main(arguments: list[str]) -> int:
    """Run; 1 when something is wrong."""
    problems = asyncio.run(soak(float(arguments[0]) if arguments else 1800.0))
    for problem in problems:
        sys.stdout.write(f"WRONG: {problem}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
