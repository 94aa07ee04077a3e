"""`python -m control.demo [--keep] [--rate N] [--duration SECONDS]`: the whole story, for real."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from control.demo.narrator import Narrator
from control.demo.processes import StartError
from control.demo.scenario import Pace
from control.demo.stage import StoryError
from control.demo.story import Story
from control.errors import HeadgateError

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the story; the exit code says whether it happened."""
    usual = Pace()
    parser = argparse.ArgumentParser(
        prog="python -m control.demo", description="A demonstration of Headgate."
    )
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--rate", type=float, default=usual.rate, help="requests per second (%(default)s)")
    parser.add_argument(
        "--duration", type=float, default=usual.duration_s, help="seconds the story may take (%(default)s)"
    )
    given = parser.parse_args(arguments)
    if not (0 < given.rate <= 5000 and 0 < given.duration <= 3600):
        parser.error("--rate must be from 1 to 5000, --duration from 1 to 3600")
    pace = Pace(rate=given.rate, duration_s=given.duration)
    with tempfile.TemporaryDirectory(prefix="headgate-demo-") as folder:
        try:
            asyncio.run(_interruptible(Path(folder), pace, keep=given.keep))
        except (StoryError, StartError, HeadgateError, aiohttp.ClientError) as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        except (KeyboardInterrupt, asyncio.CancelledError):
            return 0 if given.keep else _INTERRUPTED
    return 0


async def _interruptible(folder: Path, pace: Pace, *, keep: bool) -> None:
    task = asyncio.current_task()
    assert task is not None
    # Ctrl-C cancels the task already; being ended politely has to clean up, too.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await Story(folder, pace, Narrator()).play(keep=keep)


if __name__ == "__main__":
    sys.exit(main())
