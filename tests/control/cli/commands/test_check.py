"""`headgate check` tells everything that is wrong, where, and what would do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from control.cli.main import cli

ROOT = Path(__file__).parents[4]

GOOD = """\
listeners: [{bind: "127.0.0.1:0"}]
upstreams:
  v1: {endpoints: ["http://127.0.0.1:9001"]}
  v2: {endpoints: ["http://127.0.0.1:9002"]}
routes:
  - name: fraud
    match: {path_prefix: /v2}
    split: {kind: canary, key: [header:x-user-id], stable: v1, canary: v2}
    rollout: {preset: balanced, steps: [5%, 100%]}
"""


def check(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["check", *arguments])


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_good_file_is_said_to_be_good(tmp_path: Path) -> None:
    """One line a file, exit code 0."""
    path = write(tmp_path / "a.yaml", GOOD)

    done = check(path)

    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{path}: no problem found (1 route, 2 upstreams, 2 endpoints, 1 rollout)\n"


@pytest.mark.parametrize(
    ("old", "new", "line", "about"),
    [
        ("listeners:", "listener:", 1, "listener"),
        ('["http://127.0.0.1:9001"]', "[9001]", 3, "endpoints"),
        ("stable: v1", "stable: v9", 8, "v9"),
        ("kind: canary", "kind: canari", 8, "canari"),
        ("preset: balanced", "preset: bold", 9, "preset"),
        ("[5%, 100%]", "[50%, 5%]", 9, "rising"),
        ("[5%, 100%]", "[5%], guardrails: [{kind: astrology}]", 9, "astrology"),
    ],
)
def test_each_mistake_is_one_line_with_its_place(
    tmp_path: Path, old: str, new: str, line: int, about: str
) -> None:
    """Schema, splits and rollouts are checked alike; the exit code is 2."""
    path = write(tmp_path / "a.yaml", GOOD.replace(old, new))

    failed = check(path)

    assert failed.exit_code == 2
    assert failed.stdout == ""
    assert any(text.startswith(f"{path}:{line}:") and about in text for text in failed.stderr.splitlines())
    assert all(text.startswith(path) for text in failed.stderr.splitlines())


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to repair one thing to be told of the next."""
    first = write(
        tmp_path / "a.yaml", GOOD.replace("preset: balanced", "preset: bold").replace("[9001]", "[1]")
    )
    second = write(tmp_path / "b.yaml", GOOD)
    missing = str(tmp_path / "c.yaml")

    failed = check(first, second, missing)

    assert failed.exit_code == 2
    assert second in failed.stdout
    assert {text.split(":")[0] for text in failed.stderr.splitlines()} == {first, missing}


def test_programs_get_places_as_fields(tmp_path: Path) -> None:
    """-o json has file, line, column, path, problem and remedy of each."""
    path = write(tmp_path / "a.yaml", GOOD.replace("preset: balanced", "preset: bold"))

    failed = check(path, "-o", "json")

    told = json.loads(failed.stdout)
    assert failed.exit_code == 2
    assert told["valid"] is False
    (problem,) = told["problems"]
    assert (problem["file"], problem["line"]) == (path, 9)
    assert problem["problem"]
    assert problem["remedy"]


def test_a_probe_connects_to_each_endpoint(tmp_path: Path) -> None:
    """Endpoints that nobody listens on are named with their place; the others are not."""
    with socket.create_server(("127.0.0.1", 0)) as up, socket.socket() as down:
        down.bind(("127.0.0.1", 0))
        text = GOOD.replace("9001", str(up.getsockname()[1])).replace("9002", str(down.getsockname()[1]))
        path = write(tmp_path / "a.yaml", text)

        failed = check(path, "--probe")

        assert check(path).exit_code == 0
        assert failed.exit_code == 2
        assert failed.stderr.startswith(f"{path}:4:")
        assert (
            f"127.0.0.1:{down.getsockname()[1]} does not accept connections (connection refused)"
            in failed.stderr
        )
        assert failed.stderr.count("\n") == 1


def test_it_works_in_the_plain_install(tmp_path: Path) -> None:
    """Without numerics, SQL and templates, everything but rollouts is checked; nothing crashes."""
    path = write(tmp_path / "a.yaml", GOOD)
    wrong = write(tmp_path / "b.yaml", GOOD.replace("stable: v1", "stable: v9"))
    program = (
        "import sys\n"
        "for name in ('numpy', 'scipy', 'sqlalchemy', 'alembic', 'aiosqlite', 'jinja2'):\n"
        "    sys.modules[name] = None\n"
        "from control.cli.main import main\n"
        "main()"
    )

    for file, code in ((path, 0), (wrong, 2)):
        done = subprocess.run(
            [sys.executable, "-c", program, "check", file],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert done.returncode == code, done.stderr
        assert "mistake of Headgate" not in done.stderr
