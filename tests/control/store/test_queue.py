"""Writers of one SQLite file take turns in the order they came; a dead one holds nobody up."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from control.errors import BusyError
from control.store.engine import StoreError, open_store, sqlite_url
from control.store.patience import Patience
from control.store.queue import Queue
from tests.helpers.control import migrated_file
from tests.helpers.waiting import until

SECONDS = 60.0

HOLDER = """
import asyncio, sys
from pathlib import Path
from control.store.patience import Patience
from control.store.queue import Queue

async def hold():
    async with Queue(Path(sys.argv[1])).turn(Patience(60)):
        print("mine", flush=True)
        await asyncio.sleep(600)

asyncio.run(hold())
"""


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """The queue of a file."""
    (tmp_path / "some.db").touch(mode=0o640)
    return Queue(tmp_path / "some.db")


async def _waiting(queue: Queue, name: str, order: list[str], *, seconds: float = SECONDS) -> None:
    async with queue.turn(Patience(seconds)):
        order.append(name)


def _given_out(queue: Queue) -> int:
    return int.from_bytes(queue.path.read_bytes()[:8], sys.byteorder)


async def _line_up(queue: Queue, names: str, order: list[str]) -> list[asyncio.Task[None]]:
    """Let one after the other take its number."""
    tasks = []
    for name in names:
        before = _given_out(queue)
        tasks.append(asyncio.create_task(_waiting(queue, name, order)))
        await until(lambda before=before: _given_out(queue) > before)  # type: ignore[misc]
    return tasks


async def test_who_comes_first_is_served_first(queue: Queue) -> None:
    """Also before the one who has just had a turn and wants the next."""
    order: list[str] = []
    async with queue.turn(Patience(SECONDS)):
        tasks = await _line_up(queue, "abcdefgh", order)
    await _waiting(queue, "again", order)
    await asyncio.gather(*tasks)

    assert order == [*"abcdefgh", "again"]


async def test_who_gives_up_or_dies_leaves_the_line(queue: Queue) -> None:
    """Those behind keep their order."""
    order: list[str] = []
    async with queue.turn(Patience(SECONDS)):
        tasks = await _line_up(queue, "abcd", order)
        tasks[1].cancel()
    await asyncio.wait(tasks)

    assert order == ["a", "c", "d"]


async def test_a_killed_process_ends_its_turn(queue: Queue) -> None:
    """The kernel frees what it held; until then it is named to who loses patience."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(queue.path.with_name("some.db")), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"mine\n"
    with pytest.raises(BusyError, match=rf"process {process.pid} did not end .* within 0.05 s; .*try again"):
        await _waiting(queue, "early", [], seconds=0.05)

    process.send_signal(signal.SIGKILL)
    order: list[str] = []
    await _waiting(queue, "late", order)
    await process.communicate()
    assert order == ["late"]


async def test_patience_is_for_a_queue_that_does_not_move(queue: Queue) -> None:
    """Many turns may take longer together than one may."""
    order: list[str] = []

    async def slow(name: str) -> None:
        async with queue.turn(Patience(5.0)):
            await asyncio.sleep(0.8)
            order.append(name)

    await asyncio.gather(*(slow(name) for name in "abcdefgh"))
    assert sorted(order) == [*"abcdefgh"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 24, b"x", (1 << 62).to_bytes(8, sys.byteorder) * 3])
async def test_whatever_is_in_the_file_turns_stay_alone(queue: Queue, content: bytes) -> None:
    """Emptied or overwritten while somebody has the turn: others still wait for its end."""
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with queue.turn(Patience(SECONDS)):
            inside += 1
            most = max(most, inside)
            queue.path.write_bytes(content)
            await asyncio.sleep(0.002)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(8)))
    assert most == 1


async def test_the_queue_is_open_to_who_may_write_the_database(queue: Queue) -> None:
    """Mode and owner are those of the database; without the right to it there is a clear error."""
    await _waiting(queue, "x", [])
    assert stat.S_IMODE(queue.path.stat().st_mode) == 0o640

    queue.path.unlink()
    queue.path.mkdir()
    with pytest.raises(StoreError, match=r"some\.db-queue: cannot be opened .* must be able to write"):
        await _waiting(queue, "x", [])


async def test_known_defect_one_of_many_writers_starved(tmp_path: Path) -> None:
    """SQLite's own waiting let those who write without a pause overtake one who waits, again and again."""
    path = tmp_path / "headgate.db"
    await migrated_file(path)
    stores = [await open_store(sqlite_url(path)) for _ in range(4)]
    written: list[int] = []

    async def write(number: int) -> None:
        async with stores[number].write():
            written.append(number)

    async def hog(number: int) -> None:
        for _ in range(25):
            await write(number)

    try:
        hogs = [asyncio.create_task(hog(number)) for number in range(1, 4)]
        await until(lambda: len(written) >= 3)
        began = len(written)
        await write(0)
        # Each other may have been in the line before, and one of them may have got its turn meanwhile.
        assert written.index(0) - began <= 4
        await asyncio.gather(*hogs)
    finally:
        for store in stores:
            await store.close()


async def test_a_program_that_does_not_queue_is_waited_for(tmp_path: Path) -> None:
    """It is told when it takes too long, and nothing is written."""
    path = tmp_path / "headgate.db"
    await migrated_file(path)
    store = await open_store(sqlite_url(path), patience=0.0)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with store.read() as connection:
                await connection.exec_driver_sql("PRAGMA busy_timeout=1")
            with pytest.raises(BusyError, match="another program kept it locked for 0 s; end that program"):
                async with store.write():
                    pytest.fail("it was let in")
            other.execute("COMMIT")
        async with store.write():
            pass
    finally:
        await store.close()


async def test_a_row_that_postgresql_keeps_locked_is_told(postgres_socket: str) -> None:
    """Its own wait for a lock ends with patience, too."""
    from control.store import audit
    from tests.helpers import postgres

    url = postgres.create_database(postgres_socket, f"busy_{os.getpid()}")
    store, other = await open_store(url, patience=0.05), await open_store(url)
    try:
        async with other.write() as holder:
            await audit.head(holder, lock=True)
            with pytest.raises(BusyError, match=r"kept it locked for 0\.05 s"):
                async with store.write() as connection:
                    await audit.head(connection, lock=True)
    finally:
        await store.close()
        await other.close()
        postgres.drop_database(postgres_socket, f"busy_{os.getpid()}")
