"""The control process: opens the store, serves its socket, ticks, and ends with its supervisor."""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvloop
from aiohttp import web

from control.api.server import build_application
from control.audit.keys import KeyFileError
from control.audit.witness import Intervals, Witness
from control.clock import SteadyClock
from control.collect import Collector
from control.controller import Controller
from control.feedback import FeedbackBook
from control.garbage import collect_seldom
from control.ledger import Ledger
from control.library.place import named_url
from control.loop import TICK_SECONDS, Loop
from control.plane import Plane
from control.publish import Publisher
from control.seen import Seen
from control.standby import keep_leading, standby_application, wait_to_lead
from control.store import rollouts
from control.store.engine import Store, StoreError, open_store, sqlite_url
from control.store.leadership import Candidate
from control.webhooks.gatekeeper import Gatekeeper
from control.webhooks.notifier import Notifier
from control.webhooks.sender import Sender
from proxy.launch import PARENT_FD_VARIABLE
from proxy.processes import start_ticks
from proxy.release import version
from proxy.state import StateDirectory
from proxy.tokens import load_key

log: Final = logging.getLogger("headgate.control")

# A former control that is told to stop finishes its tick and its answers first.
_LOCK_SECONDS: Final = 15.0
_SHUTDOWN_SECONDS: Final = 5.0
# sun_path of a Unix socket holds 108 bytes, the last of them zero.
_SOCKET_PATH_MAX: Final = 107


class LostLeadError(Exception):
    """Another process leads; whoever started this one starts it again, to stand by."""


class StartError(Exception):
    """The process cannot begin; the text says why and what would do."""


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop. Returns the exit status: 0 stopped, 1 lost the lead, 2 could not begin."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # What it says of its own accord is for those who write migrations.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    collect_seldom()
    try:
        with _only_one(options.state):
            # Whoever left it there is gone: we hold the lock.
            options.socket.unlink(missing_ok=True)
            uvloop.run(
                serve(
                    _database(options),
                    options.socket,
                    state=options.state,
                    tick_seconds=options.tick,
                    parent_fd=_parent_fd(),
                )
            )
    except (StartError, StoreError) as error:
        sys.stderr.write(f"headgate control: {error}\n")
        return 2
    except LostLeadError as error:
        sys.stderr.write(f"headgate control: {error}\n")
        return 1
    return 0


async def serve(
    database: str, socket: Path, *, state: Path, tick_seconds: float, parent_fd: int | None
) -> None:
    """Serve and tick until SIGTERM, SIGINT or the end of the parent's pipe."""
    stop = asyncio.Event()
    _stop_on_signals(stop)
    if parent_fd is not None:
        _stop_with_parent(parent_fd, stop)
    store = await open_store(database)
    candidate = Candidate(store, f"{platform.node()}:{os.getpid()}")
    try:
        if await candidate.lead() is None and not await _stand_by(store, candidate, socket, stop):
            return
        await _serve_as_leader(store, candidate, socket, state, tick_seconds, stop)
    finally:
        await candidate.close()
        await store.close()
    log.info("stopped")


async def _stand_by(store: Store, candidate: Candidate, socket: Path, stop: asyncio.Event) -> bool:
    """Say on the socket that another process leads, until this one does; False when it was stopped first."""
    runner = web.AppRunner(standby_application(store), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await _listen(runner, socket)
        return await wait_to_lead(candidate, stop) is not None
    finally:
        await runner.cleanup()
        await asyncio.to_thread(socket.unlink, missing_ok=True)


async def _serve_as_leader(
    store: Store, candidate: Candidate, socket: Path, state: Path, tick_seconds: float, stop: asyncio.Event
) -> None:
    sender = Sender()
    plane = await _start(store, state, tick_seconds, sender)
    leads = True
    witness = plane.witness
    assert witness is not None
    runner = web.AppRunner(
        build_application(plane),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        await _listen(runner, socket)
        log.info("serving on %s, revision %d, %s", socket, plane.ledger.revision, _since_start())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(plane.loop.run(stop))
            keeping = tasks.create_task(keep_leading(candidate, stop)) if candidate.contested else None
            tasks.create_task(witness.run(stop))
            await stop.wait()
            # Watchers first, or closing would wait for connections that never end by themselves.
            plane.ledger.publisher.close()
        leads = keeping is None or keeping.result()
    finally:
        await runner.cleanup()
        await plane.loop.close()
        if plane.notifier is not None:
            await plane.notifier.close()
        await sender.close()
    if not leads:
        raise LostLeadError(f"{store.place}: another control process leads now")
    await plane.loop.save()


def _since_start() -> str:
    """How long the start has taken; nearly all is imports, so a busy machine shows as the difference."""
    began = start_ticks(os.getpid()) or 0
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")
    return f"{age:.1f} s after its start ({time.process_time():.1f} s of processor time)"


async def _start(store: Store, state: Path, tick_seconds: float, sender: Sender) -> Plane:
    async with store.read() as connection:
        floor = await rollouts.latest_time(connection)
    clock = SteadyClock(floor)
    controller = Controller(Ledger(store, Collector(), Publisher()), clock, base=state)
    try:
        await controller.start()
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(
            f"{store.place}: holds what this version cannot read ({type(error).__name__}: {error}); "
            "run the version that wrote it, or move the file away to start afresh"
        ) from error
    ledger = controller.ledger

    def intervals() -> Intervals:
        if ledger.active is None:
            return Intervals()
        wanted = ledger.active.base.audit.checkpoints
        return Intervals(events=wanted.events, seconds=wanted.interval)

    witness = Witness(store, state, intervals=intervals)
    try:
        await witness.start()
    except KeyFileError as error:
        raise StartError(str(error)) from error
    notifier = Notifier(sender)
    feedback = _feedback(controller, state)
    if feedback is not None:
        await feedback.start()

    def tell(decision: dict[str, Any]) -> None:
        notifier.configure(() if ledger.active is None else ledger.active.config.notifications)
        notifier.tell(decision)

    ledger.listeners.append(tell)
    return Plane(
        witness=witness,
        controller=controller,
        loop=Loop(controller, tick_seconds=tick_seconds, gatekeeper=Gatekeeper(sender)),
        started_at=time.time(),
        version=version(),
        notifier=notifier,
        feedback=feedback,
    )


def _feedback(controller: Controller, state: Path) -> FeedbackBook | None:
    places = StateDirectory(state)
    try:
        return FeedbackBook(controller, load_key(places.feedback_key), Seen(places.feedback_seen))
    except (OSError, ValueError) as error:
        log.error("no feedback can be taken: %s", error)
        return None


async def _listen(runner: web.AppRunner, socket: Path) -> None:
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, socket).start()
    except OSError as error:
        raise StartError(f"{socket}: cannot be listened on ({error.strerror or error})") from error
    finally:
        os.umask(before)


@contextlib.contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Hold the state directory's lock: two control processes would both decide."""
    path = state / "control.lock"
    try:
        state.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise StartError(
            f"{path}: {error.strerror}; make {state} a directory that this user may write"
        ) from error
    with file:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StartError(
                        f"{path}: another control process has held {state} for {_LOCK_SECONDS:g} s; end it"
                    ) from None
                time.sleep(0.1)
        yield


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def _stop_with_parent(descriptor: int, stop: asyncio.Event) -> None:
    """Stop when the pipe that the supervisor holds open comes to its end."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        try:
            ended = not os.read(descriptor, 1)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            log.info("the supervisor is gone")
            loop.remove_reader(descriptor)
            stop.set()

    os.set_blocking(descriptor, False)
    loop.add_reader(descriptor, readable)


def _parent_fd() -> int | None:
    text = os.environ.get(PARENT_FD_VARIABLE, "")
    if not text:
        return None
    try:
        descriptor = int(text)
        os.fstat(descriptor)
    except (ValueError, OSError) as error:
        raise StartError(f"{PARENT_FD_VARIABLE}: {text!r} is not an open file descriptor") from error
    return descriptor


def _database(options: argparse.Namespace) -> str:
    """The URL of the database, from the place that was named; what is wrong is said without the URL.

    Raises:
        StartError: nothing is there.
    """
    try:
        url = named_url(options.database, options.database_env, options.database_file)
    except StoreError as error:
        raise StartError(str(error)) from error
    return url or sqlite_url(options.state / "headgate.db")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m control.app", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory of the database")
    parser.add_argument("--socket", type=_socket_path, required=True, help="Unix socket to serve on")
    parser.add_argument(
        "--database", help="sqlite:///path or postgresql://…; default: in the state directory"
    )
    parser.add_argument("--database-env", metavar="NAME", help="environment variable that holds the URL")
    parser.add_argument("--database-file", type=Path, metavar="PATH", help="file that holds the URL")
    parser.add_argument("--tick", type=float, default=TICK_SECONDS, help="seconds between two ticks")
    return parser


def _socket_path(text: str) -> Path:
    if len(os.fsencode(text)) > _SOCKET_PATH_MAX:
        raise argparse.ArgumentTypeError(
            f"{text} is longer than the {_SOCKET_PATH_MAX} bytes a socket's path may have; use a shorter one"
        )
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
