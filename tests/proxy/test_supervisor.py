"""Tests of the supervisor as a live process: starts, refusals, restarts and ends."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.load import Loaded, load_file
from proxy import startup
from proxy.listeners import Listening
from proxy.processes import ProcessRecord, resident_bytes, start_ticks, write_records
from proxy.sockets import bound_socket
from proxy.startup import StartRefusedError
from proxy.state import StateDirectory, lock_file
from proxy.supervisor import prepare
from tests.helpers.configurations import configuration
from tests.helpers.supervisors import Supervised, supervised
from tests.helpers.waiting import until


@pytest.fixture
def upstream() -> Iterator[int]:
    """The port of something that accepts connections."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    yield server.getsockname()[1]
    server.close()


def settings(upstream: int, **changes: Any) -> str:
    """A configuration whose upstreams are there."""
    return configuration(
        upstreams={name: {"endpoints": [f"http://127.0.0.1:{upstream}"]} for name in ("v1", "v2")}, **changes
    )


@pytest.fixture
async def headgate(tmp_path: Path, upstream: int) -> AsyncIterator[Supervised]:
    """A Headgate of one worker without control, not started yet."""
    async with supervised(tmp_path, settings(upstream)) as headgate:
        yield headgate


async def test_from_start_to_end(headgate: Supervised) -> None:
    """All starts, the supervisor stays small and passes SIGHUP on; SIGTERM ends all with exit code 0."""
    await headgate.start()
    await headgate.ready()
    assert headgate.process is not None
    supervisor = headgate.process.pid

    memory, loaded = resident_bytes(supervisor), libraries(supervisor)
    headgate.process.send_signal(signal.SIGHUP)
    await until(lambda: "reload: unchanged" in headgate.said())
    code = await headgate.stop()

    assert memory < 20 * 1024 * 1024
    assert not any(name.startswith(("_asyncio", "_pydantic_core", "_http_parser")) for name in loaded)
    assert code == 0
    assert headgate.left() == []
    assert not headgate.state.supervisor.exists()


def libraries(pid: int) -> set[str]:
    """The names of the files that a process has mapped."""
    return {Path(line.split()[-1]).name for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}


async def test_interrupt_is_a_graceful_stop_and_twice_a_hard_one(headgate: Supervised) -> None:
    """Ctrl-C drains; a second Ctrl-C ends everything at once although a request is in flight."""
    await headgate.start()
    ready = await headgate.ready()
    host, _, port = ready["listeners"][0].rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await until(lambda: len(headgate.workers()) == 1)
    await asyncio.sleep(0.2)
    assert headgate.process is not None
    headgate.see()

    headgate.process.send_signal(signal.SIGINT)
    await until(lambda: "draining" in headgate.said())
    assert headgate.process.returncode is None
    headgate.process.send_signal(signal.SIGINT)

    assert await headgate.ended() == 130
    assert headgate.left() == []
    writer.close()


async def test_killed_agent(headgate: Supervised) -> None:
    """kill -9 of the agent: another one takes over, at the same addresses.

    And killed in the moment of a stop, when nobody starts another one: the supervisor ends its workers.
    """
    await headgate.start()
    before = await headgate.ready()
    agent = headgate.child("proxy.agent")
    assert headgate.process is not None

    os.kill(agent, signal.SIGKILL)
    await until(lambda: headgate.child("proxy.agent") not in (0, agent))
    after = await headgate.ready()

    assert after["listeners"] == before["listeners"]
    assert "agent ended (killed by SIGKILL); starting it again in 0.1 s" in headgate.said()

    os.kill(headgate.process.pid, signal.SIGSTOP)
    os.kill(headgate.child("proxy.agent"), signal.SIGKILL)
    os.kill(headgate.process.pid, signal.SIGTERM)
    os.kill(headgate.process.pid, signal.SIGCONT)

    assert await headgate.ended() == 0
    assert headgate.left() == []


async def test_killed_supervisor(headgate: Supervised) -> None:
    """kill -9 of the supervisor: the rest ends by itself, and one started at once finds its addresses."""
    await headgate.start()
    await headgate.ready()
    assert headgate.process is not None
    headgate.see()
    first = headgate.left()
    headgate.process.kill()
    await headgate.process.wait()

    await headgate.start()

    await headgate.ready()
    await until(lambda: not set(first) & set(headgate.left()))
    assert await headgate.stop() == 0


async def test_drain_by_the_agent_ends_everything(headgate: Supervised) -> None:
    """When the agent has drained there is nothing left to supervise."""
    await headgate.start()
    await headgate.ready()
    headgate.see()

    os.kill(headgate.child("proxy.agent"), signal.SIGTERM)

    assert await headgate.ended() == 0
    assert "the agent has drained" in headgate.said()
    assert headgate.left() == []


async def test_refusal_of_the_agent_ends_everything(tmp_path: Path, upstream: int) -> None:
    """What only the agent can find wrong at the start ends everything with exit code 2."""
    async with supervised(tmp_path, settings(upstream)) as headgate:
        headgate.state.make()
        # Whoever runs the tests in the background of a shell has them ignore this signal.
        orphan = await asyncio.create_subprocess_exec("env", "--default-signal=INT", "sleep", "60")
        leave_orphan(headgate.state, orphan.pid, upstream)
        # An agent that does not go away, of a supervisor that was killed.
        lock = lock_file(headgate.state.agent_lock)

        await headgate.start()

        assert await headgate.ended() == 2
        assert "is in use by another Headgate" in headgate.said()
        assert not headgate.state.supervisor.exists()
        # Nothing is left of the earlier run either.
        assert await orphan.wait() == -signal.SIGINT
        os.close(lock)


def leave_orphan(state: StateDirectory, pid: int, port: int) -> None:
    """Write down a process as a worker of an earlier run that lives."""
    orphan = ProcessRecord(
        pid=pid,
        start_ticks=start_ticks(pid) or 0,
        boot="00",
        worker=0,
        page="/p",
        addresses=[["127.0.0.1", port]],
    )
    write_records(state.workers, [orphan])


def load(folder: Path, config: str) -> Loaded:
    """A configuration in a file."""
    path = folder / "headgate.yaml"
    path.write_text(config)
    return load_file(path, os.environ)


def refusal(loaded: Loaded) -> str:
    """Why nothing can be started; nothing may be held after that."""
    with pytest.raises(StartRefusedError) as error:
        prepare(loaded)
    if loaded.state_directory.is_dir():
        os.close(lock_file(StateDirectory(loaded.state_directory).lock))
    return str(error.value)


def test_second_run_on_the_same_state(tmp_path: Path, upstream: int) -> None:
    """A second run is refused and names the first one."""
    loaded = load(tmp_path, settings(upstream))
    state = StateDirectory(loaded.state_directory)
    state.make()
    first = lock_file(state.lock)

    with pytest.raises(
        StartRefusedError, match=rf"in use by another Headgate \(process {os.getpid()}\); stop it"
    ):
        prepare(loaded)
    os.close(first)


def test_listener_in_use(tmp_path: Path, upstream: int) -> None:
    """A listener that another program has is named with its place in the file."""
    said = refusal(load(tmp_path, settings(upstream, listeners=[{"bind": f"127.0.0.1:{upstream}"}])))

    assert said.startswith(f"{tmp_path}/headgate.yaml:")
    assert f"listeners[0].bind: 127.0.0.1:{upstream} is in use by another program; stop it" in said


def test_admin_address_in_use(tmp_path: Path, upstream: int) -> None:
    """So is the admin address."""
    said = refusal(load(tmp_path, settings(upstream, admin={"bind": f"127.0.0.1:{upstream}"})))

    assert f"admin.bind: 127.0.0.1:{upstream} is in use by another program" in said


def test_upstream_that_is_not_there(tmp_path: Path, upstream: int) -> None:
    """An upstream without a living endpoint is named with address and reason, after the configured wait."""
    config = settings(upstream, startup={"upstream_wait": 1.0})

    said = refusal(load(tmp_path, config.replace(f"http://127.0.0.1:{upstream}", "http://127.0.0.1:1", 1)))

    assert "upstreams.v1.endpoints: upstream v1 cannot be reached" in said
    assert "http://127.0.0.1:1 does not accept connections (connection refused)" in said
    assert "v2" not in said


def test_missing_upstream_may_be_allowed(
    tmp_path: Path, upstream: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """With require_upstreams off the same is a warning."""
    config = settings(upstream, startup={"upstream_wait": 0, "require_upstreams": False})
    loaded = load(tmp_path, config.replace(f"http://127.0.0.1:{upstream}", "http://127.0.0.1:1", 1))

    prepared = prepare(loaded)

    assert "warning: " in capsys.readouterr().err
    os.close(prepared.lock_fd)
    os.close(prepared.admin_fd)


def test_a_shadow_that_is_not_there_holds_nobody_up(
    tmp_path: Path, upstream: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What gets copies alone is not waited for, and its absence is a warning."""
    shadows = [{"upstream": "v3"}, {"upstream": "v1", "name": "itself"}]
    config = configuration(
        upstreams={
            name: {"endpoints": [f"http://127.0.0.1:{port}"]} for name, port in (("v1", upstream), ("v3", 1))
        },
        routes=[{"name": "all", "upstream": "v1", "shadows": shadows}],
        startup={"upstream_wait": 600},
    )

    prepared = prepare(load(tmp_path, config))

    said = capsys.readouterr().err
    assert "warning: the shadow's upstream v3 cannot be reached: http://127.0.0.1:1 does not accept" in said
    os.close(prepared.lock_fd)
    os.close(prepared.admin_fd)


def test_upstream_that_comes_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model server that starts together with us is waited for."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    loaded = load(tmp_path, settings(reserved.getsockname()[1], startup={"upstream_wait": 60}))
    late = threading.Timer(1.5, reserved.listen)
    late.start()

    prepared = prepare(loaded)

    assert "waiting up to 60 s for v1, v2" in capsys.readouterr().err
    late.join()
    reserved.close()
    os.close(prepared.lock_fd)
    os.close(prepared.admin_fd)


def test_without_the_control_extra(
    tmp_path: Path, upstream: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where control is not installed Headgate runs without it, and says so in one line."""
    monkeypatch.setattr(startup, "CONTROL_NEEDS", ("json", "no_such_distribution"))

    prepared = prepare(load(tmp_path, settings(upstream)))

    assert not prepared.control
    (line,) = capsys.readouterr().err.splitlines()
    assert "running without control (no_such_distribution not installed)" in line
    os.close(prepared.lock_fd)
    os.close(prepared.admin_fd)


def test_state_that_cannot_be_written(tmp_path: Path, upstream: int) -> None:
    """A state directory that is a file is named."""
    (tmp_path / "taken").write_text("")

    said = refusal(load(tmp_path, settings(upstream, state={"directory": "taken"})))

    assert "taken: cannot keep state here" in said


def test_state_whose_path_is_too_long(tmp_path: Path, upstream: int) -> None:
    """A path that no socket's name has room for is refused before anything is made."""
    name = "x" * 100

    said = refusal(load(tmp_path, settings(upstream, state={"directory": name})))

    assert "too long for the socket in it; name a shorter state.directory" in said
    assert not (tmp_path / name).exists()


def test_addresses_of_our_own_orphans_are_no_obstacle(tmp_path: Path, upstream: int) -> None:
    """Workers of an earlier run that still serve do not keep a new run from starting."""
    theirs = bound_socket("127.0.0.1", 0, shared=True)
    theirs.listen()
    port = theirs.getsockname()[1]
    loaded = load(tmp_path, settings(upstream, listeners=[{"bind": f"127.0.0.1:{port}"}]))
    state = StateDirectory(loaded.state_directory)
    state.make()
    leave_orphan(state, os.getpid(), port)

    prepared = prepare(loaded)

    assert prepared.admin.startswith("http://127.0.0.1:")
    listening = Listening.from_text(prepared.listeners)
    assert listening.listeners[0]["port"] == port
    listening.close()
    theirs.close()
    os.close(prepared.lock_fd)
    os.close(prepared.admin_fd)
