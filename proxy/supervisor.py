"""The supervisor: the process that `headgate run` becomes. Starts agent and control, and starts them again.

It stays small, for it must be what never fails: no event loop, no threads, no third-party code. Everything
that can go wrong is looked at before it begins (`prepare`); then the process replaces itself by a bare
interpreter that only waits for signals.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from proxy.becoming import Settings, become, drain_seconds, inherit
from proxy.launch import ADMIN_FD_VARIABLE, PARENT_FD_VARIABLE, python_command
from proxy.listeners import Listening
from proxy.processes import read_records
from proxy.sockets import BindError, place_of
from proxy.spawned import Spawned, say
from proxy.state import StateDirectory, write_atomically
from proxy.upgrade import Preflight

if TYPE_CHECKING:
    from config.load import Loaded

EXIT_REFUSED: Final = 2
EXIT_KILLED: Final = 130
# The agent's: it has left its workers to the next one.
EXIT_LEFT: Final = 75

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
STOP_GRACE_SECONDS: Final = 15.0
CONTROL_STOP_SECONDS: Final = 10.0
# How long the children of the program before may take to make room.
LEAVE_SECONDS: Final = 10.0
TICK_SECONDS: Final = 0.25
# While there is no agent nobody replaces a worker that dies, so its pause stays short; a start takes about a
# second of processor time.
AGENT_DELAY_MAX: Final = 2.0


def prepare(
    loaded: "Loaded", *, config: Path | None = None, state: Path | None = None, control: bool = True
) -> Settings:
    """Check everything that can be checked before a start, and take the lock and the admin address.

    Args:
        loaded: the configuration; it is read again by the agent from `config`.
        config: its file, when that is not where `loaded` says it came from.
        state: state directory, instead of the configured one.
        control: whether to run the control process, if it is installed.

    Raises:
        proxy.startup.StartRefusedError: nothing can be started; nothing was.
    """
    # Imported here: the process that supervises does without them.
    from proxy import startup

    missing = startup.missing_for_control() if control else []
    if missing or not control:
        startup.refuse_without_control(loaded)
    directory = StateDirectory((state or loaded.state_directory).absolute())
    lock_fd = startup.lock_state(directory)
    admin_socket = None
    listening = None
    try:
        given = startup.given(os.environ, os.getpid())
        startup.wait_for_predecessor(directory)
        startup.check_listeners(loaded, directory, given)
        admin_socket = startup.bind_admin(loaded, given)
        listening = startup.open_listeners(loaded, directory, given)
        startup.wait_for_upstreams(loaded, say)
    except BaseException:
        os.close(lock_fd)
        if admin_socket is not None:
            admin_socket.close()
        if listening is not None:
            listening.close()
        raise
    if missing:
        say(
            f"running without control ({', '.join(missing)} not installed): weights stay as configured and"
            " nothing is judged; pip install 'headgate[control]' adds it"
        )
    host, port = admin_socket.getsockname()[:2]
    return Settings(
        config=str((config or Path(loaded.source.file)).absolute()),
        state=str(directory.root),
        control=control and not missing,
        drain=drain_seconds(loaded.config.timeouts.drain, loaded.config.timeouts.drain_delay),
        lock_fd=lock_fd,
        admin_fd=admin_socket.detach(),
        admin=f"{'http' if loaded.config.admin.tls is None else 'https'}://{place_of(host, port)}",
        listeners=listening.to_text(),
        database=loaded.config.state.control_arguments(loaded.directory.absolute()),
    )


def run(
    loaded: "Loaded", *, config: Path | None = None, state: Path | None = None, control: bool = True
) -> int:
    """Run Headgate in the foreground. Returns (2) only when the start is refused; arguments as for `prepare`.

    Otherwise this process becomes the supervisor, without what was imported so far, and its exit code is 0
    after a graceful stop, 2 when agent or control refuse their first start, 130 after a hard stop.
    """
    from proxy.startup import StartRefusedError

    try:
        settings = prepare(loaded, config=config, state=state, control=control)
    except StartRefusedError as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_REFUSED
    return become(settings)


class Supervisor:
    """Two programs to keep running, and a loop of signals."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = StateDirectory(Path(settings.state))
        # Whoever holds the other end of this pipe knows, without asking, when we are gone.
        self._alive_read, self._alive_write = settings.alive_read, settings.alive_write
        if self._alive_read < 0:
            self._alive_read, self._alive_write = os.pipe()
        self._agent = Spawned(
            "agent",
            self._agent_command(),
            {PARENT_FD_VARIABLE: self._alive_read, ADMIN_FD_VARIABLE: settings.admin_fd},
            delay_max=AGENT_DELAY_MAX,
            listening=Listening.from_text(settings.listeners),
        )
        self._control: Spawned | None = None
        if settings.control:
            self._control = Spawned(
                "control", self._control_command(), {PARENT_FD_VARIABLE: self._alive_read}
            )
        self._preflight = Preflight(settings.config, control=settings.control)
        self._refusal: list[str] = []
        self._replacing: set[Spawned] = set()
        self._leave_by = 0.0
        self._stopping = False
        self._exit_code = 0

    def _agent_command(self) -> list[str]:
        settings = self._settings
        control = str(self._state.control_socket) if settings.control else "none"
        arguments = ("--config", settings.config, "--state", settings.state, "--control", control)
        return python_command("proxy.agent", *arguments)

    def _control_command(self) -> list[str]:
        socket = str(self._state.control_socket)
        settings = self._settings
        where = ("--state", settings.state, "--socket", socket, *settings.database)
        return python_command("control.app", *where)

    def supervise(self) -> int:
        """Run until told to stop, or until the agent has drained; return the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._take_over()
        self._tell()
        try:
            while not self._stopping:
                for child in self._children():
                    child.start_if_due()
                self._take_signal(TICK_SECONDS)
                self._preflight.end_if_overdue()
                self._hurry()
            self._stop()
        finally:
            self._state.supervisor.unlink(missing_ok=True)
        return self._exit_code

    def _tell(self) -> None:
        """Say where we are, for the command and the agent; `upgrade` is what stopped the last one."""
        about = {
            "pid": os.getpid(),
            "admin": self._settings.admin,
            "generation": self._settings.generation,
            "upgrade": self._refusal,
        }
        write_atomically(self._state.supervisor, json.dumps(about).encode(), durable=False)

    def _take_over(self) -> None:
        """Replace the children of the program that this process was before, if there was one."""
        for child, pid, number in (
            (self._agent, self._settings.agent_pid, signal.SIGUSR2),
            (self._control, self._settings.control_pid, signal.SIGTERM),
        ):
            if child is not None and pid:
                child.adopt(pid)
                child.send(number)
                self._replacing.add(child)
        self._leave_by = time.monotonic() + LEAVE_SECONDS

    def _hurry(self) -> None:
        """Kill a child of the program before that does not make room; workers are not in its way."""
        if self._replacing and time.monotonic() > self._leave_by:
            for child in self._replacing:
                say(f"{child.name} does not make room; killing it")
                child.send(signal.SIGKILL)
            self._leave_by = time.monotonic() + LEAVE_SECONDS

    def _begin_upgrade(self) -> None:
        if self._preflight.pid or self._replacing:
            say("an upgrade is under way already")
            return
        try:
            self._preflight.start()
        except OSError as exc:
            self._refuse([f"{sys.executable} cannot be run: {exc.strerror}"])

    def _preflight_ended(self, status: int) -> None:
        plan = self._preflight.ended(status)
        if plan["problems"]:
            self._refuse(plan["problems"])
        elif not self._stopping:
            self._upgrade(plan)

    def _refuse(self, problems: list[str]) -> None:
        self._refusal = [f"{self._settings.generation}.{time.monotonic_ns()}", *problems]
        for problem in problems:
            say(f"not upgraded: {problem}")
        self._tell()

    def _upgrade(self, plan: dict[str, Any]) -> None:
        """Become the new program; this returns only if the new one cannot have what it needs."""
        before = Listening.from_text(self._settings.listeners)
        wanted = [(host, port, backlog, tls) for host, port, backlog, tls in plan["wanted"]]
        try:
            listening = Listening.open(wanted, plan["workers"], kept=before)
        except BindError as exc:
            self._refuse([str(exc)])
            return
        say("becoming the program on disk")
        settings = self._settings._replace(
            listeners=listening.to_text(),
            drain=drain_seconds(plan["drain"], plan["drain_delay"]),
            generation=self._settings.generation + 1,
            agent_pid=self._agent.pid,
            control_pid=self._control.pid if self._control is not None else 0,
            alive_read=self._alive_read,
            alive_write=self._alive_write,
        )
        try:
            # Sockets that are not wanted any more are not inherited, which closes them.
            become(settings)
        except OSError as exc:
            inherit(settings, inheritable=False)
            listening.close_all_but(before)
            self._refuse([f"{sys.executable} cannot be run: {exc.strerror}"])

    def _children(self) -> list[Spawned]:
        return [self._agent] if self._control is None else [self._control, self._agent]

    def _take_signal(self, seconds: float) -> None:
        """Wait for a signal and do what it says."""
        info = signal.sigtimedwait(SIGNALS, seconds)
        if info is None:
            return
        if info.si_signo == signal.SIGCHLD:
            self._reap()
        elif info.si_signo == signal.SIGHUP:
            self._agent.send(signal.SIGHUP)
        elif info.si_signo == signal.SIGUSR2:
            self._begin_upgrade()
        elif self._stopping and info.si_signo == signal.SIGINT:
            self._kill_all()
        else:
            self._stopping = True

    def _reap(self) -> None:
        """Wait for every child that has ended; others than ours come to us when we are process 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._preflight.pid:
                self._preflight_ended(status)
            for child in self._children():
                if child.pid == pid:
                    self._ended(child, status)

    def _ended(self, child: Spawned, status: int) -> None:
        asked = child in self._replacing
        self._replacing.discard(child)
        pause = child.ended(status, asked=asked)
        if self._stopping or asked:
            return
        if child is self._agent and child.exit_code == 0:
            say("the agent has drained")
            self._stopping = True
        elif self._refused(child):
            self._exit_code = EXIT_REFUSED
            self._stopping = True
        else:
            say(f"{child.name} ended ({child.ending()}); starting it again in {pause:g} s")

    def _refused(self, child: Spawned) -> bool:
        """Return whether a first start was refused, so that the operator in front of us should hear of it.

        With a table from before, the proxy can do without control for as long as it has to.
        """
        if child.starts != 1 or child.exit_code != EXIT_REFUSED:
            return False
        return child is self._agent or not self._state.table.exists()

    def _stop(self) -> None:
        """Let the agent drain, then whatever workers it left behind, then end control."""
        self._agent.send(signal.SIGTERM)
        self._wait(self._agent, self._drain_seconds())
        self._end_orphans()
        if self._control is not None:
            self._control.send(signal.SIGTERM)
            self._wait(self._control, CONTROL_STOP_SECONDS)

    def _wait(self, child: Spawned, seconds: float | None) -> None:
        deadline = None if seconds is None else time.monotonic() + seconds
        while child.running:
            if deadline is not None and time.monotonic() > deadline:
                say(f"{child.name} does not stop; killing it")
                child.kill_group()
                deadline = None
            self._take_signal(TICK_SECONDS)

    def _end_orphans(self) -> None:
        """End workers whose agent died and has no successor."""
        # They are the last to have the sockets, so that clients are refused when they have ended.
        Listening.from_text(self._settings.listeners).close()
        orphans = [record for record in read_records(self._state.workers) if record.alive]
        for orphan in orphans:
            orphan.send(signal.SIGINT)
        seconds = self._drain_seconds()
        deadline = None if seconds is None else time.monotonic() + seconds
        while any(orphan.alive for orphan in orphans):
            if deadline is not None and time.monotonic() > deadline:
                for orphan in orphans:
                    orphan.send(signal.SIGKILL)
                deadline = None
            self._take_signal(TICK_SECONDS / 5)

    def _kill_all(self) -> None:
        """End everything at once: whoever interrupts twice does not want to wait."""
        say("stopping at once")
        self._exit_code = EXIT_KILLED
        for child in self._children():
            child.kill_group()
        for record in read_records(self._state.workers):
            record.send(signal.SIGKILL)

    def _drain_seconds(self) -> float | None:
        drain = self._settings.drain
        return drain + STOP_GRACE_SECONDS if drain > 0 else None


def main() -> int:
    """Entry point of `python -m proxy.supervisor SETTINGS`, which only `become` uses."""
    settings = Settings.from_text(sys.argv[1])
    inherit(settings, inheritable=False)
    return Supervisor(settings).supervise()


if __name__ == "__main__":
    sys.exit(main())
