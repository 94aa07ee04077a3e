"""The entry point: help without imports, one line for each failure, exit codes that mean one thing."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from control.cli import main
from control.cli.catalogue import CATALOGUE
from control.cli.commands import version as version_module

ROOT = Path(__file__).parents[3]
HEAVY = {"numpy", "scipy", "sqlalchemy", "aiohttp", "rich", "pydantic", "yaml", "prometheus_client"}


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(main.cli, arguments)


def test_help_imports_no_command_and_nothing_heavy() -> None:
    """`headgate --help` answers at once: it reads the catalogue and no command's file."""
    program = (
        "import json, sys\n"
        "from control.cli.main import cli\n"
        "try:\n    cli.main(['--help'])\n"
        "finally:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    loaded = json.loads(done.stderr)
    assert all(f"  {name} " in done.stdout for name in CATALOGUE)
    assert not {name.split(".")[0] for name in loaded} & HEAVY
    assert not [name for name in loaded if name.startswith("control.cli.commands.")]


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_says_what_the_command_says(name: str) -> None:
    """Each entry leads to a command of that name whose help begins with the catalogue's line."""
    module = importlib.import_module(f"control.cli.commands.{CATALOGUE[name].module}")

    command = getattr(module, f"{name}_command")

    assert isinstance(command, click.Command)
    assert command.name == name
    assert (command.help or "").splitlines()[0] == CATALOGUE[name].help


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_command_has_help(name: str) -> None:
    """`headgate COMMAND --help` works for each."""
    shown = invoke(name, "--help")

    assert shown.exit_code == 0
    assert f"Usage: headgate {name}" in shown.stdout


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["check"], ["check", "--frobnicate", "x"], ["token", "--role", "king"]]
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    """A typing error is answered with one line that says where help is."""
    failed = invoke(*arguments)

    assert failed.exit_code == 2
    assert failed.stderr.count("\n") == 1
    assert failed.stderr.startswith("headgate: ")
    assert "--help'" in failed.stderr


def test_a_mistake_of_ours_does_not_look_like_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python exits with 1 on an exception, which would mean "the answer is no": it becomes 2."""

    def broken() -> str:
        raise LookupError("no such\nthing")

    monkeypatch.setattr(version_module, "headgate_version", broken)

    failed = invoke("version")

    assert failed.exit_code == 2
    assert failed.stderr.count("\n") == 1
    assert "LookupError: no such thing" in failed.stderr


def test_version_has_two_spellings() -> None:
    """`headgate --version` is one line, `headgate version` tells more."""
    short, long = invoke("--version"), invoke("version", "-o", "json")

    assert short.stdout.startswith("headgate ")
    assert short.exit_code == long.exit_code == 0
    told = json.loads(long.stdout)
    assert told["headgate"] == short.stdout.split()[1]
    assert told["hot path"].startswith(("compiled", "interpreted"))


def test_a_closed_pipe_is_no_mistake() -> None:
    """`headgate schema | head -1` ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-c", "from control.cli.main import main; main()", "schema"],
            cwd=ROOT,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert "Traceback" not in done.stderr
    assert "mistake" not in done.stderr
