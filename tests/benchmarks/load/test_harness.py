"""The load source and the static upstream do what the figures say of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load.build import build
from benchmarks.load.processes import Program, free_port
from benchmarks.load.slices import LoadSource
from benchmarks.load.workloads import WORKLOADS, Mode, Workload

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("load")


@pytest.fixture(scope="module")
def source(folder: Path) -> LoadSource:
    return LoadSource(build("load", folder), cpu=None)


@pytest.fixture(scope="module")
def upstream(folder: Path) -> Iterator[tuple[Program, int]]:
    port = free_port()
    program = Program([str(build("upstream", folder)), str(port)], cpu=None, log=folder / "log", cwd=folder)
    program.wait_listening(port)
    yield program, port
    program.stop()


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_every_workload_is_answered(
    source: LoadSource, upstream: tuple[Program, int], workload: Workload
) -> None:
    """Each workload gets answers, none of them failed, and times that make sense."""
    program, port = upstream
    before = program.cpu_seconds()

    counts = source.run(workload, port, 0.5)

    assert counts["failures"] == counts["reconnects"] == 0
    assert counts["events" if workload.mode is Mode.EVENTS else "answers"] > 100
    assert 0.5 <= counts["seconds"] < 1.0
    assert program.cpu_seconds() > before
    if workload.mode is not Mode.EVENTS:
        assert 0 < counts["p50_us"] <= counts["p90_us"] <= counts["p99_us"] <= counts["p999_us"] < 1e6


def test_open_loop_keeps_its_rate(source: LoadSource, upstream: tuple[Program, int]) -> None:
    """As many requests as were due, whatever the connections."""
    counts = source.run(WORKLOADS["open-2000"], upstream[1], 1.0)

    assert 1_900 <= counts["answers"] <= 2_001


def test_program_that_does_not_start_says_why(folder: Path) -> None:
    """The last words of a program are in the error."""
    program = Program(["sh", "-c", "echo no such thing; exit 3"], cpu=None, log=folder / "sh.log", cwd=folder)

    with pytest.raises(RuntimeError, match="ended with 3: no such thing"):
        program.wait_listening(free_port())
