"""What is looked at before anything starts: state directory, addresses, upstreams and what control needs."""

import importlib.util
import os
import socket
import time
from collections.abc import Callable, Collection, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from config.addresses import Address, parse_endpoint_url
from config.load import Loaded
from proxy.compile import needs_control, only_shadows
from proxy.fleet import worker_count
from proxy.listeners import Given, Listening, given_sockets, same_host, unclaimed, wanted_of
from proxy.processes import read_records
from proxy.sockets import BindError, bound_socket, inherited_socket
from proxy.state import StateBusyError, StateDirectory, lock_file

# What `pip install headgate[control]` adds and control cannot do without.
CONTROL_NEEDS: Final = ("numpy", "scipy", "sqlalchemy", "alembic", "aiosqlite", "jinja2", "semver", "obstore")

# A Unix socket's path is held in 108 bytes that end with a zero.
SOCKET_PATH_MAX: Final = 107

# How long the agent of a supervisor that was killed may take to let go of what it holds.
PREDECESSOR_SECONDS: Final = 5.0
UPSTREAM_RETRY_SECONDS: Final = 0.25
CONNECT_SECONDS_MAX: Final = 5.0
SHADOW_LOOK_SECONDS: Final = 1.0
PROBES_AT_ONCE: Final = 16


class StartRefusedError(Exception):
    """Nothing was started; one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def lock_state(state: StateDirectory) -> int:
    """Make and lock the state directory; return the descriptor that holds the lock."""
    length = len(os.fsencode(state.control_socket))
    if length > SOCKET_PATH_MAX:
        raise StartRefusedError(
            [
                f"{state.root}: its path is {length - SOCKET_PATH_MAX} bytes too long for the socket in it;"
                " name a shorter state.directory"
            ]
        )
    try:
        state.make()
        return lock_file(state.lock)
    except StateBusyError as exc:
        raise StartRefusedError([f"{exc}; stop it, or name another state.directory"]) from exc
    except OSError as exc:
        raise StartRefusedError([f"{exc.filename}: cannot keep state here: {exc.strerror}"]) from exc


def wait_for_predecessor(state: StateDirectory) -> None:
    """Wait while the agent of a supervisor that was killed still finishes, for it holds our addresses."""
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    while time.monotonic() < deadline:
        try:
            descriptor = lock_file(state.agent_lock)
        except StateBusyError:
            time.sleep(0.05)
            continue
        os.close(descriptor)
        return


def given(environ: MutableMapping[str, str], pid: int) -> list[Given]:
    """Return the sockets that a service manager has opened for us."""
    try:
        return given_sockets(environ, pid)
    except BindError as exc:
        raise StartRefusedError([str(exc)]) from exc


def check_listeners(loaded: Loaded, state: StateDirectory, given: Sequence[Given] = ()) -> None:
    """Refuse to start when another program listens on one of the addresses."""
    if any(record.alive for record in read_records(state.workers)):
        # Workers of an earlier run serve on until ours take over: the addresses are in use, by us.
        return
    problems = []
    for number, listener in enumerate(loaded.config.listeners):
        if any(_serves(entry, listener.bind.host, listener.bind.port) for entry in given):
            continue
        try:
            bound_socket(listener.bind.host, listener.bind.port, shared=False).close()
        except BindError as exc:
            problems.append(str(loaded.problem(("listeners", number, "bind"), *_halves(exc))))
    if problems:
        raise StartRefusedError(problems)


def open_listeners(loaded: Loaded, state: StateDirectory, given: list[Given]) -> Listening:
    """Open the sockets for requests, beside those of workers that may still serve."""
    config = loaded.config
    wanted = wanted_of(config.listeners)
    strangers = unclaimed(given, wanted)
    if strangers:
        raise StartRefusedError(
            [
                f"the service manager hands over {place}, and no listener is for it; add one"
                for place in strangers
            ]
        )
    orphans = [record for record in read_records(state.workers) if record.alive]
    try:
        return Listening.open(
            wanted,
            worker_count(config.workers),
            kept=Listening(given),
            earlier=orphans[0].addresses if orphans else (),
        )
    except BindError as exc:
        raise StartRefusedError([str(exc)]) from exc


def bind_admin(loaded: Loaded, given: list[Given]) -> socket.socket:
    """Return the admin address's socket, which outlives every agent; a given one is taken from the list."""
    bind = loaded.config.admin.bind
    for entry in given:
        if _serves(entry, bind.host, bind.port):
            given.remove(entry)
            return inherited_socket(entry["fds"][0])
    try:
        return bound_socket(bind.host, bind.port, shared=False)
    except BindError as exc:
        raise StartRefusedError([str(loaded.problem(("admin", "bind"), *_halves(exc)))]) from exc


def _serves(entry: Given, host: str, port: int) -> bool:
    return bool(entry["port"] == port) and same_host(entry["host"], host)


def missing_for_control() -> list[str]:
    """Return which distributions control needs and this environment lacks."""
    return [name for name in CONTROL_NEEDS if importlib.util.find_spec(name) is None]


def refuse_without_control(loaded: Loaded) -> None:
    """Refuse a configuration that only control could serve; StartRefusedError says which parts."""
    problems = needs_control(loaded)
    if problems:
        raise StartRefusedError([str(problem) for problem in problems])


def wait_for_upstreams(loaded: Loaded, say: Callable[[str], None]) -> None:
    """Wait until each upstream has an endpoint that accepts a connection, for `startup.upstream_wait`.

    After that the start is refused, or with `require_upstreams: false` goes on with a word of warning. For
    those that get nothing but copies nobody waits: shadows never stand in anybody's way.
    """
    startup = loaded.config.startup
    shadows = only_shadows(loaded.config)
    needed = [name for name in loaded.config.upstreams if name not in shadows]
    deadline = time.monotonic() + startup.upstream_wait
    told = False
    while True:
        down = _unreachable(loaded, needed, max(0.1, min(CONNECT_SECONDS_MAX, deadline - time.monotonic())))
        if not down:
            for name, why in _unreachable(loaded, shadows, SHADOW_LOOK_SECONDS).items():
                say(f"warning: the shadow's upstream {name} cannot be reached: {why}; it gets no copies yet")
            return
        if time.monotonic() >= deadline:
            break
        if not told:
            told = True
            say(f"waiting up to {startup.upstream_wait:g} s for {', '.join(down)}")
        time.sleep(min(UPSTREAM_RETRY_SECONDS, max(0.0, deadline - time.monotonic())))
    problems = [
        str(
            loaded.problem(
                ("upstreams", name, "endpoints"),
                f"upstream {name} cannot be reached: {why}",
                "start the model server, correct the address, or set startup.require_upstreams to false",
            )
        )
        for name, why in down.items()
    ]
    if startup.require_upstreams:
        raise StartRefusedError(problems)
    for problem in problems:
        say(f"warning: {problem}")


def _unreachable(loaded: Loaded, names: Collection[str], seconds: float) -> dict[str, str]:
    """Return which of the upstreams have no endpoint that accepts a connection, and each one's reason."""
    endpoints = [(name, endpoint) for name in names for endpoint in loaded.config.upstreams[name].endpoints]
    with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        reasons = list(
            pool.map(lambda entry: connection_fault(parse_endpoint_url(entry[1].url), seconds), endpoints)
        )
    down: dict[str, list[str]] = {name: [] for name in names}
    up = {name for (name, _), reason in zip(endpoints, reasons, strict=True) if not reason}
    for (name, endpoint), reason in zip(endpoints, reasons, strict=True):
        down[name].append(f"{endpoint.url} {reason}")
    return {name: ", ".join(whys) for name, whys in down.items() if whys and name not in up}


def connection_fault(address: Address, seconds: float) -> str:
    """Return why an address does not accept a connection, nothing when it does."""
    try:
        if address.path:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(seconds)
                sock.connect(address.path)
        else:
            socket.create_connection((address.host, address.port), seconds).close()
    except TimeoutError:
        return f"does not answer within {seconds:.1f} s"
    except socket.gaierror as exc:
        return f"has a host that cannot be resolved ({exc.strerror})"
    except OSError as exc:
        return f"does not accept connections ({(exc.strerror or str(exc)).lower()})"
    return ""


def _halves(exc: BindError) -> tuple[str, str]:
    problem, _, remedy = str(exc).partition("; ")
    return problem, remedy
