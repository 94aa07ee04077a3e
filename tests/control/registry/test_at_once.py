"""Many processes at once, and processes killed in the middle: nothing lost, nothing doubled, one winner."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from control.store.engine import Store, open_store
from proxy.launch import child_environment, python_command
from tests.helpers.registry import shelf_on


async def _start(url: str, number: int, rounds: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *python_command("tests.control.registry.contender", url, str(number), str(rounds)),
        env=child_environment({}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )


async def _check(store: Store, tmp_path: Path) -> None:
    """What must hold whatever was interrupted: one in production, history and log say the same."""
    shelf = shelf_on(store, tmp_path)
    async with store.read() as connection:

        async def count(query: str) -> int:
            return int((await connection.execute(text(query))).scalar_one())

        assert await count("SELECT count(*) FROM releases WHERE name='all' AND stage='production'") <= 1
        registered = await count("SELECT count(*) FROM releases")
        assert registered == await count("SELECT count(*) FROM release_moves WHERE action='register'")
        assert registered == await count("SELECT count(*) FROM audit_events WHERE type='model_registered'")
        moves = await count("SELECT count(*) FROM release_moves WHERE action='promote'")
        assert moves == await count("SELECT count(*) FROM audit_events WHERE type='model_promoted'")
        steps = await count("SELECT count(*) FROM alias_moves")
        assert steps == await count("SELECT count(*) FROM audit_events WHERE type='alias_moved'")
        asked = await count("SELECT count(*) FROM approvals")
        assert asked == await count("SELECT count(*) FROM audit_events WHERE type='approval_requested'")
        votes = await count("SELECT count(*) FROM approval_votes")
        assert votes == await count("SELECT count(*) FROM audit_events WHERE type='approval_granted'")
        assert await count("SELECT size FROM audit_head") == await count("SELECT count(*) FROM audit_events")
        holder = await count("SELECT count(*) FROM stage_holders WHERE name='all' AND release_id IS NOT NULL")
        assert holder == await count("SELECT count(*) FROM aliases WHERE name='all' AND alias='prod'")
    assert await shelf.approvals.page(limit=1000) is not None


async def _contend(url: str, tmp_path: Path, processes: int, rounds: int) -> None:
    await (await open_store(url)).close()
    running = [await _start(url, number, rounds) for number in range(processes)]
    done: Counter[str] = Counter()
    for process in running:
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()[-2000:]
        done.update(json.loads(out))
    for each in range(rounds):
        # Whoever comes first registers it; stages may be left and entered again.
        assert done[f"all {each}"] == 1
        assert done[f"staged {each}"] >= 1
    for number in range(processes):
        assert all(done[f"own {number}.{each}.0"] == 1 for each in range(rounds))
    assert done["named"] == processes * rounds
    store = await open_store(url)
    try:
        await _check(store, tmp_path)
    finally:
        await store.close()


@pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
async def test_four_processes_at_once(database_url: str, tmp_path: Path) -> None:
    """The small form of the test below."""
    await _contend(database_url, tmp_path, 4, 1)


@pytest.mark.slow
async def test_thirty_two_processes_at_once(database_url: str, tmp_path: Path) -> None:
    """Registering, approving, promoting, naming and logging, on both databases."""
    await _contend(database_url, tmp_path, 32, 3)


@pytest.mark.slow
async def test_killed_in_the_middle_two_hundred_times(database_url: str, tmp_path: Path) -> None:
    """kill -9 at any moment: the store opens, and what is there is whole."""
    await (await open_store(database_url)).close()
    number = 0
    for _ in range(50):
        running = [await _start(database_url, number + each, 200) for each in range(4)]
        number += 4
        await asyncio.sleep(random.uniform(1.5, 4.0))
        for process in running:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.communicate()
        store = await open_store(database_url)
        try:
            await _check(store, tmp_path)
        finally:
            await store.close()
