"""`headgate diff` compares what two configurations mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from control.cli.main import cli
from tests.control.cli.commands.test_check import GOOD, write


def diff(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["diff", *arguments])


def test_the_same_meaning_is_no_difference(tmp_path: Path) -> None:
    """Units, comments and defaults written out change nothing: exit code 0."""
    first = write(tmp_path / "a.yaml", GOOD)
    second = write(
        tmp_path / "b.yaml", "# a comment\n" + GOOD.replace("5%", "0.05") + "timeouts: {connect: 5000ms}\n"
    )

    done = diff(first, second)

    assert (done.exit_code, done.stdout) == (0, "both mean the same\n")


def test_values_are_named_by_their_path(tmp_path: Path) -> None:
    """Routes are found by name, however they are ordered: exit code 1."""
    more = GOOD + "  - {name: rest, upstream: v1}\n"
    first, second = write(tmp_path / "a.yaml", GOOD), write(tmp_path / "b.yaml", more.replace("5%", "10%"))

    done = diff(first, second)

    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("~ routes.fraud.rollout.steps") and "10%" in line for line in lines)
    assert any(line.startswith("+ routes.rest") for line in lines)
    assert json.loads(diff(first, second, "-o", "json").stdout)["equal"] is False


def test_a_wrong_file_is_an_error(tmp_path: Path) -> None:
    """What cannot be read cannot be compared: exit code 2, which a script can tell from a difference."""
    assert diff(write(tmp_path / "a.yaml", GOOD), str(tmp_path / "none.yaml")).exit_code == 2
