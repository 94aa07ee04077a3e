"""Those who write to one SQLite file take turns in the order they came, whichever process they are in.

SQLite itself lets whoever finds the file locked look again now and then, ever less often: who has waited
longest looks least, and of many busy writers some never get in. Here each takes a number, by locking the byte
of that number in a file beside the database, and its turn has come when no lower byte is locked. The kernel
frees the byte with the file descriptor, so a process that is killed holds nobody up.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from control.errors import BusyError
from control.store.errors import StoreError
from control.store.patience import Patience

SUFFIX: Final = "-queue"
# struct flock of Linux: type, whence, start, length, pid.
_FLOCK: Final = struct.Struct("@hhqqi0q")
# The two parts of the file have different writers.
_FOLLOWING: Final = struct.Struct("=q")
_SERVING: Final = struct.Struct("=qq")
# Byte 0 is locked while a number is given out; the range of those before the first number is never empty.
_FIRST: Final = 2
_LAST: Final = 1 << 62
_PAUSE_SECONDS: Final = 0.001
_PAUSE_SECONDS_MAX: Final = 0.05


class _State(NamedTuple):
    """What the file says: the number that comes next, the one whose turn it is, and its process."""

    following: int = _FIRST
    serving: int = _FIRST
    process: int = 0


class Queue:
    """The queue of one database file. Systems without these locks have none: SQLite's own has to do."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self.path = Path(f"{database}{SUFFIX}")

    @asynccontextmanager
    async def turn(self, patience: Patience) -> AsyncIterator[None]:
        """Wait for those who came before; the turn ends with the block.

        Raises:
            BusyError: patience ended first.
            StoreError: the file of the queue cannot be opened.
        """
        try:
            descriptor = self._open()
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be opened ({error.strerror}); "
                "whoever writes to the database must be able to write to this file beside it"
            ) from error
        try:
            if hasattr(fcntl, "F_OFD_SETLK"):
                await self._wait(descriptor, patience)
            yield
        finally:
            os.close(descriptor)

    async def _wait(self, descriptor: int, patience: Patience) -> None:
        number, serving = 0, 0
        while True:
            number = number or _join(descriptor)
            if number and _lock(descriptor, fcntl.F_RDLCK, 1, number - 1):
                os.pwrite(descriptor, _SERVING.pack(number, os.getpid()), _FOLLOWING.size)
                return
            state = _read(descriptor)
            if state.serving != serving:
                # A queue that moves is slow, not stuck.
                serving = state.serving
                patience.renew()
            if patience.over:
                raise BusyError(
                    f"{self._database}: process {state.process} did not end its turn to write "
                    f"within {patience.seconds:g} s",
                    "look what keeps it, end it if need be, and try again",
                )
            # Whoever is next looks often; for those behind it is enough to look when they may be next.
            ahead = max(1, number - state.serving)
            await asyncio.sleep(min(_PAUSE_SECONDS_MAX, _PAUSE_SECONDS * ahead))

    def _open(self) -> int:
        with suppress(FileNotFoundError):
            return os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Whoever may write to the database may stand in its queue, as with SQLite's own files beside it.
        of = self._database.stat()
        os.fchmod(descriptor, of.st_mode & 0o666)
        if os.geteuid() == 0:
            os.fchown(descriptor, of.st_uid, of.st_gid)
        return descriptor


def _join(descriptor: int) -> int:
    """Take the next number; 0 when somebody else takes one at this moment."""
    if not _lock(descriptor, fcntl.F_WRLCK, 0, 1):
        return 0
    number = _read(descriptor).following
    # Somebody who emptied the file has set the numbers back: those given out come first.
    taken = _lock(descriptor, fcntl.F_WRLCK, number, 1)
    if taken:
        os.pwrite(descriptor, _FOLLOWING.pack(number + 1), 0)
    _lock(descriptor, fcntl.F_UNLCK, 0, 1)
    return number if taken else 0


def _lock(descriptor: int, kind: int, first: int, length: int) -> bool:
    request = _FLOCK.pack(kind, os.SEEK_SET, first, length, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _read(descriptor: int) -> _State:
    raw = os.pread(descriptor, _FOLLOWING.size + _SERVING.size, 0).ljust(
        _FOLLOWING.size + _SERVING.size, b"\0"
    )
    state = _State(*_FOLLOWING.unpack_from(raw), *_SERVING.unpack_from(raw, _FOLLOWING.size))
    return state if _FIRST <= state.following < _LAST else _State()
