"""The agent: one process that keeps the workers of a machine running and tells them where requests go.

It reads the configuration, follows control (or compiles tables itself where there is none), owns the counter
pages, and serves the admin address. It never touches a request: when it dies, the workers serve on.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

from config.load import Loaded
from config.problems import ConfigError
from proxy.accepted import recall, remember
from proxy.admin import AdminServer
from proxy.certificates import Certificates
from proxy.control_link import ControlLink
from proxy.counters import CounterPage
from proxy.firsttable import START, FirstTable
from proxy.fleet import Fleet, StartError, worker_count
from proxy.keeper import TableKeeper
from proxy.leftovers import divert_scores, find_leftovers
from proxy.listeners import Listening, wanted_of
from proxy.options import Options, parse_options
from proxy.orders import orders
from proxy.probes import Prober
from proxy.processes import read_records
from proxy.reload import ConfigFile
from proxy.reloader import Reloader
from proxy.sessions import Sessions
from proxy.shadow.comparer import ComparerKeeper
from proxy.shadow.report import arms_only, handed_over
from proxy.slots import SlotBook, Table
from proxy.sockets import BindError
from proxy.state import StateBusyError, StateDirectory, lock_file
from proxy.tally import Tally
from proxy.tokens import load_key
from proxy.uplink import Uplink
from proxy.violations import Violations

log = logging.getLogger("headgate.agent")

EXIT_REFUSED: Final = 2
"""The start was refused for a reason that another try does not mend."""
EXIT_LEFT: Final = 75
"""Another agent shall take over the workers, which serve on."""

BOOT_BYTES: Final = 8


class Agent:
    """Everything one agent knows; the admin server and the metrics read it."""

    def __init__(
        self, options: Options, file: ConfigFile, loaded: Loaded, state: StateDirectory, lock: int
    ) -> None:
        self.options = options
        self.state = state
        self._lock = lock
        self.draining = False
        self.violations = Violations()
        self.sessions = Sessions(time.monotonic)
        self.left = asyncio.Event()
        self.boot = secrets.token_hex(BOOT_BYTES)
        self.tally = Tally(node=socket.gethostname(), boot=self.boot, book=SlotBook())
        self.keeper = TableKeeper(state, self.tally)
        self.reloader = Reloader(file, loaded, self.keeper)
        self.keeper.on_use = self._in_use
        self.comparer = ComparerKeeper(state.compare_socket, lambda: handed_over(self.tally.arms()))
        orphans = [record for record in read_records(state.workers) if record.alive]
        self.leftovers, self.files_given_up = find_leftovers(state, self.boot, orphans)
        for leftover in self.leftovers:
            self.tally.inherit(leftover.tally.inherited_boots)
        # Before anything that has to be closed again, as it may fail.
        self._listening = options.listening or Listening.open(
            wanted_of(loaded.config.listeners),
            worker_count(loaded.config.workers),
            earlier=orphans[0].addresses if orphans else (),
        )
        self.link = None if options.control is None else self._make_link(options.control)
        self.reloader.link = self.link
        self.uplink = Uplink(
            tally=self.tally,
            keeper=self.keeper,
            leftovers=self.leftovers,
            link=self.link,
            comparer=self.comparer,
        )
        config = loaded.config
        self.certificates = Certificates(loaded, [entry["tls"] for entry in self.listeners if entry["tls"]])
        self._admin = AdminServer(self, config.admin)
        self.reloader.certificates = self.certificates
        self.fleet = Fleet(
            state=state,
            tally=self.tally,
            count=self._listening.count,
            listening=self._listening,
            certificates=self.certificates,
            command=options.worker_command,
            orphans=orphans,
            save_ledger=self.keeper.save_ledger,
            hung_seconds=options.hung_seconds,
            feedback_key=_feedback_key(state.feedback_key),
            scores=divert_scores(self.leftovers),
        )

    @property
    def control(self) -> str:
        """How the line to control is: none, unknown, connected or away."""
        if self.link is None:
            return "none"
        return {None: "unknown", True: "connected", False: "away"}[self.link.connected]

    @property
    def ready(self) -> bool:
        """Whether all workers accept and route by the table in use, and it is known how control is."""
        return (
            not self.draining
            and self.fleet.all_ready
            and self.keeper.revision > 0
            and self.fleet.revision_applied == self.keeper.revision
            and self.control != "unknown"
        )

    @property
    def problems(self) -> list[str]:
        """What an operator should know now, in words."""
        away = [f"control is away: {self.link.trouble}"] if self.link and self.link.connected is False else []
        return [
            *self.reloader.problems,
            *self.certificates.problems,
            *self.keeper.troubles.values(),
            *self.fleet.problems,
            *away,
        ]

    @property
    def listeners(self) -> list[dict[str, Any]]:
        """The addresses where requests are accepted, with the ports as they are."""
        return self._listening.listeners

    @property
    def in_flight(self) -> int:
        """Requests that have begun and not ended."""
        return sum(counts.in_flight for counts in arms_only(self.tally.arms()).values())

    def drain(self) -> None:
        """Finish what is in flight and exit; first be unready for a while, if that was asked for.

        A second order does not wait.
        """
        delay = self.reloader.loaded.config.timeouts.drain_delay
        if not self.draining and delay > 0 and self.keeper.table is not None:
            log.info("not ready any more; draining in %g s", delay)
            self.draining = True
            asyncio.get_running_loop().call_later(delay, self.drain)
        elif not self.fleet.draining:
            self.draining = True
            log.info("draining")
            self.fleet.drain()

    def upgrade(self) -> bool:
        """Ask the supervisor to become the program on disk; return whether there is one to ask."""
        if self.options.parent_fd is None or not self.state.supervisor.exists():
            return False
        os.kill(os.getppid(), signal.SIGUSR2)
        return True

    @property
    def upgrade_refused(self) -> list[str]:
        """What stopped the last upgrade, behind a mark that tells it from others; empty if nothing did."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            return list(json.loads(self.state.supervisor.read_bytes())["upgrade"])
        return []

    def leave(self) -> None:
        """End without ending the workers: another agent takes over at once."""
        log.info("leaving the workers to another agent")
        self.left.set()

    async def run(self) -> None:
        """Serve until drained. Raises StartError or BindError when that cannot begin."""
        # The ledger first: pages without one cannot be told apart by the next agent.
        self.keeper.save_ledger()
        for index in range(self.fleet.count):
            path = self.state.page(self.boot, index)
            CounterPage.create(str(path), boot=self.boot, index=index)
            self.tally.add_page(path)
        try:
            await self._admin.start(self.options.admin_fd)
            await self._serve()
            await self._finish()
        except (StartError, BindError):
            if self.keeper.table is None:
                # No worker was started, so nothing was counted.
                self._remove_pages()
            raise
        finally:
            await self._admin.stop()
            if self.link is not None:
                await self.link.close()
            self._listening.close()

    async def _serve(self) -> None:
        refused: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [tasks.create_task(self.reloader.follow())]
                helpers.append(tasks.create_task(self.certificates.follow()))
                if self.link is not None:
                    helpers.append(tasks.create_task(self.link.follow()))
                    helpers.append(tasks.create_task(self.violations.run(self.link)))
                with orders(self, tasks):
                    if await self._first_table(tasks):
                        assert self.keeper.table is not None
                        self.keeper.serve_with(self.fleet)
                        serving = tasks.create_task(self.fleet.run(self.keeper.table))
                        helpers.append(tasks.create_task(self.uplink.run(self.fleet)))
                        helpers.append(tasks.create_task(self.comparer.run()))
                        prober = Prober(
                            lambda: self.reloader.loaded.config,
                            self.fleet.tell_health,
                            lambda: self.certificates.files,
                        )
                        helpers.append(tasks.create_task(prober.run()))
                        leaving = tasks.create_task(self.left.wait())
                        await asyncio.wait((serving, leaving), return_when=asyncio.FIRST_COMPLETED)
                        serving.cancel()
                        leaving.cancel()
                await self.comparer.close()
                for helper in helpers:
                    helper.cancel()
        except* StartError as group:
            # Not raised in here: Python 3.11.2 would wrap it into a group again.
            refused = group.exceptions[0]
        if refused is not None:
            raise refused

    async def _first_table(self, tasks: asyncio.TaskGroup) -> bool:
        """Choose the first table; return False when an order to stop comes first."""
        first = FirstTable(self.state, self.keeper, self.reloader, self.link, wait=self.options.control_wait)
        choice = tasks.create_task(first.choose())
        stop = tasks.create_task(self.fleet.drain_ordered())
        await asyncio.wait({choice, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if choice.done():
            await choice
            return True
        choice.cancel()
        return False

    async def abdicate(self) -> None:
        """Finish without a supervisor, out of the way of the agent that the next one starts."""
        log.warning("the supervisor is gone")
        self.drain()
        self.state.ours = False
        await self._admin.stop()
        self.release_lock()

    def release_lock(self) -> None:
        """Let another agent have the state directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _finish(self) -> None:
        """After the last worker: send the last counts, or leave them to the next agent."""
        if self.left.is_set():
            self.keeper.save_ledger()
            return
        if self.state.ours and await self.uplink.finish():
            self._remove_pages()
        log.info("drained")

    def _remove_pages(self) -> None:
        for page in self.tally.pages.values():
            page.close()
        self.tally.pages.clear()
        for file in [*self.state.pages.glob(f"{self.boot}-*.page"), self.state.ledger(self.boot)]:
            file.unlink(missing_ok=True)

    def _in_use(self, table: Table) -> None:
        self.comparer.follow(table)
        self._remember(table)

    def _remember(self, table: Table) -> None:
        """Keep the configuration that is in force from now on, for an agent that finds a faulty one."""
        loaded = self.reloader.loaded
        if self.state.ours and table["config_digest"] == loaded.digest:
            try:
                remember(self.state.config, loaded)
            except OSError as exc:
                self.keeper.write_failed("configuration", exc)

    def _make_link(self, control: Path) -> ControlLink:
        return ControlLink(
            control,
            loaded=lambda: self.reloader.loaded,
            revision=lambda: self.keeper.revision,
            on_table=self._on_table,
            on_refused=self.reloader.refuse,
        )

    def _on_table(self, table: Table) -> None:
        if self.keeper.table is None and table["config_digest"] != self.reloader.loaded.digest:
            # Made before control had read what we start with; the right one follows.
            return
        if self.keeper.apply(table):
            self.keeper.troubles.pop(START, None)


def _feedback_key(path: Path) -> bytes:
    try:
        return load_key(path)
    except (OSError, ValueError) as exc:
        log.error("requests cannot be signed for feedback: %s", exc)
        return b""


async def run_agent(options: Options) -> int:
    """Run an agent to its end and return the exit code; messages go to standard error."""
    file = ConfigFile(options.config, os.environ)
    problems: list[str] = []
    try:
        loaded = _load(file, options, problems)
        state = StateDirectory(options.state or loaded.state_directory)
        state.make()
        lock = lock_file(state.agent_lock)
    except (ConfigError, StateBusyError) as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_REFUSED
    except OSError as exc:
        sys.stderr.write(f"{exc.filename}: cannot keep state here: {exc.strerror}\n")
        return EXIT_REFUSED
    try:
        agent = Agent(options, file, loaded, state, lock)
        agent.reloader.refuse(problems)
        try:
            await agent.run()
        finally:
            agent.release_lock()
    except (StartError, BindError) as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_REFUSED
    return EXIT_LEFT if agent.left.is_set() else 0


def _load(file: ConfigFile, options: Options, problems: list[str]) -> Loaded:
    """Return the configuration; in a supervised agent the last one in force, if the file has become faulty.

    The supervisor has begun with a sound file, so a faulty one was written while Headgate ran: it is refused
    as it would be by a reload, and `problems` says why.
    """
    try:
        return file.load()
    except ConfigError as exc:
        earlier = None
        if options.parent_fd is not None and options.state is not None:
            earlier = recall(StateDirectory(options.state).config)
        if earlier is None:
            raise
        problems += [str(problem) for problem in exc.problems]
        return earlier


def main() -> int:
    """Entry point of `python -m proxy.agent`."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    # It tells of every change in the folder, ours or not.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    return asyncio.run(run_agent(parse_options(sys.argv[1:], dict(os.environ))))


if __name__ == "__main__":
    sys.exit(main())
