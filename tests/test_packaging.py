"""What is needed to install, build and ship Headgate: pins, image, build files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ("sidecar", "run", "build", "test")


@cache
def _project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@cache
def _pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes by normalised name."""
    pins = {}
    text = (ROOT / f"requirements/{lock}.txt").read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            match = re.match(r"([a-z0-9.-]+)==(\S+)(.*)", line)
            assert match, f"requirements/{lock}.txt: {line[:60]!r} is not pinned"
            pins[match[1]] = (match[2], frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", match[3])))
    return pins


def _names(requirements: list[str]) -> set[str]:
    found = {re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0] for requirement in requirements}
    return {name.lower().replace("_", "-") for name in found} - {"headgate"}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    """pip refuses anything that was not there when the versions were chosen."""
    pins = _pins(lock)

    assert pins
    assert [name for name, (_, hashes) in pins.items() if not hashes] == []


def test_pins_with_machine_code_cover_more_than_one_platform() -> None:
    """The same files install on x86-64 and Arm, on glibc and musl: each wheel has its own hash."""
    assert all(
        len(_pins("sidecar")[name][1]) > 8 for name in ("uvloop", "aiohttp", "pydantic-core", "orjson")
    )


def test_the_locks_contain_what_the_project_asks_for() -> None:
    """Whoever adds a dependency also runs `make lock`."""
    project = _project()["project"]
    extras = project["optional-dependencies"]

    assert _names(project["dependencies"]) <= set(_pins("sidecar"))
    assert _names(project["dependencies"] + extras["control"]) <= set(_pins("run"))
    assert _names(extras["control"] + extras["postgres"] + extras["test"]) <= set(_pins("test"))
    assert _names(_project()["build-system"]["requires"]) <= set(_pins("build"))


def test_the_locks_agree() -> None:
    """The smaller sets are parts of the one for tests, so what is tested is what is shipped."""
    tested = _pins("test")

    for lock in ("sidecar", "run", "build"):
        assert {name: pin for name, pin in _pins(lock).items() if tested.get(name) != pin} == {}


def test_the_sidecar_stays_small() -> None:
    """The plain install carries no numerics, no database and no template engine."""
    assert not {"numpy", "scipy", "sqlalchemy", "alembic", "aiosqlite", "jinja2"} & set(_pins("sidecar"))


def test_the_changelog_knows_the_version() -> None:
    """The newest entry is the version of the project."""
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert newest is not None
    assert newest[1] == _project()["project"]["version"]


def test_the_image_description_passes_hadolint() -> None:
    """The Dockerfile follows the rules of a linter made for it."""
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is not installed: make setup")

    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_needs_no_privileges() -> None:
    """Both images run as a numbered user, stop on SIGTERM and report their health."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    final = text.split(" AS base\n", 1)[1]

    assert re.search(r"^USER \d+:\d+$", final, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in final
    assert "HEALTHCHECK" in final
    assert "apt-get" not in final


def test_the_build_context_holds_what_the_image_copies() -> None:
    """.dockerignore lets through the packages, the pins and what the build reads, and no more."""
    let_through = {
        line[1:].rstrip("/")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }

    assert {
        "config",
        "proxy",
        "control",
        "requirements",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    } <= let_through
    assert not {"tests", ".git", ".venv", "benchmarks"} & let_through


@pytest.mark.parametrize("script", [".ci/run"])
def test_scripts_are_valid_and_executable(script: str) -> None:
    """bash can read them, and they stop at the first error."""
    path = ROOT / script

    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert path.stat().st_mode & 0o111
    assert "set -euo pipefail" in path.read_text("utf-8")


@pytest.mark.parametrize(
    "target",
    [
        "setup",
        "demo",
        "test",
        "unit",
        "check",
        "test-compiled",
        "test-slow",
        "test-real",
        "bench",
        "bench-quick",
        "stats-report",
        "clean",
    ],
)
def test_make_knows_its_targets(target: str) -> None:
    """Each can be resolved, and `make help` describes it."""
    assert shutil.which("make")

    dry = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert dry.returncode == 0, dry.stderr
    assert re.search(rf"^  {target} ", _help(), re.MULTILINE)


@cache
def _help() -> str:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return shown.stdout


def test_an_old_python_is_refused_with_a_clear_line(tmp_path: Path) -> None:
    """`make setup` says which version is needed, which was found and how to name another."""
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo Python 3.8.10; exit; }\nexit 1\n')
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")

    failed = subprocess.run(
        ["make", "setup", f"PYTHON={old}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert failed.returncode == 2
    assert "needs Python 3.11 or newer" in failed.stderr
    assert "Python 3.8.10" in failed.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.slow
def test_the_wheel_holds_everything_that_is_read_at_run_time(tmp_path: Path) -> None:
    """Packages, examples, migrations and pages are in the wheel; tests are not."""
    source = tmp_path / "source"
    shutil.copytree(
        ROOT,
        source,
        ignore=shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", ".*_cache"),
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            tmp_path,
            source,
        ],
        check=True,
        timeout=600,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("headgate-*.whl")

    names = zipfile.ZipFile(wheel).namelist()

    wanted = [
        path.relative_to(ROOT).as_posix()
        for package in ("config", "proxy", "control")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so", ".c", ".h")
    ]
    assert [name for name in wanted if name not in names] == []
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]
