"""The real process: it starts, ends with its supervisor, refuses to begin with a clear word."""

import fcntl
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.app import main
from tests.helpers.control import config_body, configuration
from tests.helpers.control_process import ControlProcess
from tests.helpers.counts import arm, report


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[ControlProcess]:
    found = ControlProcess(tmp_path / "state")
    yield found
    await found.kill()


async def test_it_serves_and_stops_when_asked(process: ControlProcess) -> None:
    """SIGTERM ends open watches, saves every count, and exits with 0; the next life has it all."""
    await process.start()
    async with process.client() as client:
        await client.json("PUT", "/v1/config", config_body(configuration()))
        await client.json(
            "POST", "/v1/statistics", report(arm("v1", "variant", "static", ok=9, route="rest"))
        )
        watch = await client.session.get("http://control/v1/watch?revision=0")
        assert stat.S_IMODE(process.socket.stat().st_mode) == 0o600

        assert await process.stop() == 0
        watch.close()

    await process.start()
    async with process.client() as client:
        status = await client.json("GET", "/v1/status")
    assert status["config"]["digest"] == config_body(configuration())["digest"]
    (rest,) = [route for route in status["routes"] if route["name"] == "rest"]
    assert rest["variants"][0]["total"]["requests"] == 9
    assert await process.stop() == 0


async def test_it_ends_with_its_supervisor(process: ControlProcess) -> None:
    """The pipe comes to its end however the supervisor died."""
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    try:
        await process.start(HEADGATE_PARENT_FD=str(reading))
    finally:
        os.close(reading)
    os.close(writing)

    assert await process.ended() == 0


def refused(state: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Run it in this process; it must say one line and give up with status 2."""
    status = main(["--state", str(state), "--socket", str(state / "c.sock"), *more])
    said = capsys.readouterr().err

    assert status == 2
    assert said.startswith("headgate control: ")
    assert said.count("\n") == 1
    return said


def test_a_state_directory_that_is_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path and what would do are named."""
    (tmp_path / "state").write_text("")

    said = refused(tmp_path / "state", capsys)

    assert str(tmp_path / "state") in said
    assert "directory" in said


def test_the_place_of_the_database_is_read_where_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there is named; a URL is used and never repeated with its password."""
    monkeypatch.delenv("URL", raising=False)
    assert "environment variable URL is empty" in refused(tmp_path, capsys, "--database-env", "URL")
    assert "no.txt" in refused(tmp_path, capsys, "--database-file", str(tmp_path / "no.txt"))

    monkeypatch.setenv("URL", "mysql://me:hush@db/x")
    assert "hush" not in refused(tmp_path, capsys, "--database-env", "URL")
    (tmp_path / "rubbish.db").write_bytes(b"rubbish" * 1000)
    (tmp_path / "url.txt").write_text(f"sqlite:///{tmp_path}/rubbish.db\n")
    assert "rubbish.db" in refused(tmp_path, capsys, "--database-file", str(tmp_path / "url.txt"))


def test_a_damaged_database_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is begun on top of rubbish."""
    (tmp_path / "headgate.db").write_bytes(b"rubbish" * 1000)

    assert "not a database" in refused(tmp_path, capsys)


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its schema is named."""
    with sqlite3.connect(tmp_path / "headgate.db") as raw:
        raw.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        raw.execute("INSERT INTO alembic_version VALUES ('9999')")
    raw.close()

    said = refused(tmp_path, capsys)

    assert "9999" in said
    assert "newer" in said


def test_a_database_that_is_none_of_ours_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong URL is not a new empty database."""
    assert "not a supported database" in refused(tmp_path, capsys, "--database", "mysql://x/y")


def test_two_at_once_on_one_directory_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would decide."""
    monkeypatch.setattr("control.app._LOCK_SECONDS", 0.2)
    with (tmp_path / "control.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert "another control process" in refused(tmp_path, capsys)


def test_a_socket_path_beyond_the_systems_limit_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anything is opened, instead of a failure to bind."""
    with pytest.raises(SystemExit) as left:
        main(["--state", str(tmp_path), "--socket", str(tmp_path / ("x" * 200))])

    assert left.value.code == 2
    assert "107 bytes" in capsys.readouterr().err
