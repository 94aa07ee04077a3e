"""Several processes log at once, and processes are killed while they do: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest

from control.audit.keys import open_key
from control.audit.note import Signer
from control.audit.offline import verify_database
from control.store.engine import open_store, sqlite_url
from control.store.offline import open_offline
from tests.control.store.conftest import database_url, postgres_socket
from tests.helpers.control import migrated_file

__all__ = ["database_url", "postgres_socket"]

ROOT = Path(__file__).parents[3]
PATIENCE = 300


def writer(url: str, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.control.audit.writers", url, name, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


def names_in(url: str, signer: Signer) -> Counter[str]:
    """What was logged, of a log that is whole but for a signature, which nobody has made."""
    with open_offline(url) as stored:
        verdict = verify_database(stored, signer.key, [])
        assert {finding.kind for finding in verdict.findings} <= {"unsigned"}, verdict.findings
        return Counter(str(orjson.loads(row.body)["resource_id"]) for row in stored.events())


async def crowd(url: str, tmp_path: Path, processes: int, events: int) -> None:
    await (await open_store(url)).close()
    running = [writer(url, f"w{number}", events) for number in range(processes)]
    for process in running:
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0

    wanted = Counter(f"w{number}-{event}" for number in range(processes) for event in range(events))
    assert names_in(url, open_key(tmp_path).signer) == wanted


async def test_a_few_processes_share_one_log(database_url: str, tmp_path: Path) -> None:
    """On SQLite and on PostgreSQL."""
    await crowd(database_url, tmp_path, 2, 8)


@pytest.mark.slow
async def test_32_processes_share_one_log(database_url: str, tmp_path: Path) -> None:
    """On SQLite and on PostgreSQL."""
    await crowd(database_url, tmp_path, 32, 20)


async def killed(tmp_path: Path, times: int) -> None:
    url, chance = sqlite_url(tmp_path / "headgate.db"), random.Random(7)
    await migrated_file(tmp_path / "headgate.db")
    acknowledged: list[str] = []
    for life in range(times):
        process = writer(url, f"life{life}", 100_000)
        assert process.stdout is not None
        first = process.stdout.readline()
        await asyncio.sleep(chance.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=PATIENCE)
        numbers = (first + rest).split(b"\n")[:-1]
        acknowledged += [f"life{life}-{int(number)}" for number in numbers]

    found = names_in(url, open_key(tmp_path).signer)
    assert max(found.values()) == 1
    assert set(acknowledged) <= set(found)
    # At most the one under way when it was killed was written without being acknowledged.
    assert len(found) - len(acknowledged) <= times


async def test_a_writer_killed_at_any_moment_leaves_a_whole_log(tmp_path: Path) -> None:
    """Everything acknowledged is there once; the store opens again."""
    await killed(tmp_path, 2)


@pytest.mark.slow
async def test_a_writer_killed_200_times_leaves_a_whole_log(tmp_path: Path) -> None:
    """The same, 200 times."""
    await killed(tmp_path, 200)
