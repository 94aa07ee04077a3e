"""The process that compares: takes pairs from workers over a Unix socket, tells the agent what it found.

It is started by the agent, which reads its standard output: a line of JSON with everything found so far, four
times a second when something has changed. It ends when its standard input does. What it cannot keep up with
waits in the workers, who drop and count what exceeds their bound; so nothing here is ever waited for by a
request, and this process may be as slow, or as dead, as it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import orjson

from proxy.compare.bodies import Answer
from proxy.compare.pairs import compare_answers
from proxy.compare.rules import Rules
from proxy.compare.tallies import Comparisons
from proxy.shadow.frames import (
    DEFINITION,
    FRAME_BYTES_MAX,
    KIND_DEFINITION,
    KIND_PAIR,
    LENGTH,
    FrameError,
    Pair,
)

REPORT_SECONDS: Final = 0.25
# Comparisons of earlier tables are kept beside those in use; the oldest are forgotten beyond this.
COMPARISONS_MAX: Final = 256
READ_BYTES: Final = 1024 * 1024
NICENESS: Final = 5
# How long workers that end may take to have their last pairs compared.
LAST_WORDS_SECONDS: Final = 2.0
# Work done in one go before other workers and the report get their turn.
SLICE_SECONDS: Final = 0.02

Key = tuple[str, str, str, str]
"""Route, shadow, role and stage."""


class Comparison:
    """The rules of one comparison and what came of it."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.key: Key = (about["route"], about["shadow"], about["role"], about["stage"])
        self.rules = Rules(about["rules"])
        self.results = Comparisons()

    def take(self, pair: Pair) -> None:
        """Compare one pair."""
        primary = Answer(pair.primary_status, pair.primary_head, pair.primary_body, dechunked=pair.dechunked)
        shadow = Answer(pair.shadow_status, pair.shadow_head, pair.shadow_body)
        found = compare_answers(primary, shadow, self.rules)
        self.results.add(found, pair.primary_us, pair.shadow_us)
        if found:
            name = pair.request_id.partition(b":")[2].strip().decode("latin-1")
            self.results.sample(found, name, self.rules.samples, bodies=self.rules.show_bodies)


class Comparer:
    """All comparisons of this process."""

    def __init__(self) -> None:
        self.comparisons: dict[Key, Comparison] = {}
        self.unreadable = 0
        self.changed: set[Key] = set()
        self.open = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def define(self, about: dict[str, Any]) -> Comparison:
        """The comparison that a worker means; other rules under the same key are the newer ones."""
        found = Comparison(about)
        known = self.comparisons.pop(found.key, None)
        if known is not None:
            known.rules = found.rules
            found = known
        self.comparisons[found.key] = found
        while len(self.comparisons) > COMPARISONS_MAX:
            del self.comparisons[next(iter(self.comparisons))]
        return found

    def report(self) -> bytes:
        """What was found so far by the comparisons that have found something since, in one line."""
        changed, self.changed = self.changed, set()
        value = {
            "unreadable": self.unreadable,
            "comparisons": [
                {"key": key, **self.comparisons[key].results.to_json()}
                for key in changed
                if key in self.comparisons
            ],
        }
        return orjson.dumps(value) + b"\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one worker's frames to their end."""
        numbers: dict[int, Comparison] = {}
        pause_at = time.monotonic() + SLICE_SECONDS
        self.open += 1
        self.idle.clear()
        try:
            while True:
                (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                if not 0 < length <= FRAME_BYTES_MAX:
                    raise FrameError(f"a frame of {length} bytes")
                self._take(await reader.readexactly(length), numbers)
                if time.monotonic() > pause_at:
                    await asyncio.sleep(0)
                    pause_at = time.monotonic() + SLICE_SECONDS
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (FrameError, ValueError, KeyError, TypeError) as error:
            self.unreadable += 1
            sys.stderr.write(f"headgate comparer: a worker's line is given up: {error!r}\n")
        finally:
            self.open -= 1
            if not self.open:
                self.idle.set()
            writer.close()

    def _take(self, frame: bytes, numbers: dict[int, Comparison]) -> None:
        if frame[0] == KIND_DEFINITION:
            _, number = DEFINITION.unpack_from(frame)
            numbers[number] = self.define(orjson.loads(frame[DEFINITION.size :]))
        elif frame[0] == KIND_PAIR:
            pair = Pair(frame)
            comparison = numbers.get(pair.number)
            if comparison is None:
                raise FrameError(f"comparison {pair.number} was never defined")
            comparison.take(pair)
            self.changed.add(comparison.key)
        else:
            raise FrameError(f"a frame of kind {frame[0]}")


async def run(path: str) -> None:
    """Serve on a Unix socket until standard input ends and what workers have sent is compared."""
    comparer = Comparer()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), _on_input, ended)
    server = await asyncio.start_unix_server(comparer.serve, sock=bound(path), limit=READ_BYTES)
    async with server:
        while not ended.is_set():
            say(comparer)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS):
                    await ended.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await comparer.idle.wait()
        say(comparer)


def bound(path: str) -> socket.socket:
    """A socket that only this user can reach; whoever had the path before is out of service."""
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(old)
    return listener


def say(comparer: Comparer) -> None:
    """Report to the agent what has changed."""
    if comparer.changed:
        sys.stdout.buffer.write(comparer.report())
        sys.stdout.buffer.flush()


def _on_input(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        ended.set()


def main() -> int:
    """Entry point of ``python -m proxy.compare.process SOCKET``."""
    os.nice(NICENESS)
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        asyncio.run(run(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
