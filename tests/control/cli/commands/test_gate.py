"""`headgate gate` against a live stand-in: exit codes, files, output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import pytest
from click.testing import CliRunner

from control.cli.main import cli
from tests.control.cli import samples
from tests.helpers.admin import AdminStandIn, admin_stand_in


@pytest.fixture
def admin() -> Iterator[AdminStandIn]:
    with admin_stand_in() as stand_in:
        yield stand_in


def ask(admin: AdminStandIn, *arguments: str) -> Any:
    environment = {"HEADGATE_ADMIN": admin.url, "HEADGATE_TOKEN": "secret-of-the-pipeline"}
    return CliRunner().invoke(cli, ["gate", *arguments], env=environment)


def rollout(admin: AdminStandIn, state: str) -> None:
    found = samples.rollout(state, reason="as decided", decisions=[{"id": samples.DECISION_ID}])
    admin.on("GET", "/v1/rollouts/fraud", (200, found))
    admin.on("GET", "/v1/rollouts/r-1", (200, found))
    admin.on("GET", f"/v1/decisions/{samples.DECISION_ID}", (200, samples.decision()))


@pytest.mark.parametrize(("state", "code"), [("promoted", 0), ("rolled_back", 1), ("progressing", 2)])
def test_the_exit_code_is_the_decision(admin: AdminStandIn, tmp_path: Path, state: str, code: int) -> None:
    """And both reports are there, whatever the decision."""
    rollout(admin, state)
    junit, summary = tmp_path / "a" / "gate.xml", tmp_path / "b" / "gate.md"

    done = ask(
        admin, "fraud", "--timeout", "1s", "--junit", str(junit), "--summary", str(summary), "-o", "json"
    )

    assert done.exit_code == code, done.output
    answer = json.loads(done.stdout)
    assert (answer["exit_code"], answer["state"], answer["release"]) == (code, state, "fraud:v2")
    assert parse(junit).getroot().get("tests") is not None
    assert summary.read_text().startswith("## fraud: fraud:v2 ")
    assert "secret-of-the-pipeline" not in done.output + junit.read_text() + summary.read_text()


def test_nobody_there_is_3(tmp_path: Path) -> None:
    """With a report, too: a pipeline shows why it stopped."""
    junit = tmp_path / "gate.xml"

    done = CliRunner().invoke(
        cli, ["gate", "fraud", "--admin", "127.0.0.1:9", "--timeout", "0.2s", "--junit", str(junit)]
    )

    assert done.exit_code == 3
    (suites,) = [parse(junit).getroot()]
    assert suites.get("errors") == "1"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fraud", "--timeout", "soon"],
        ["fraud", "--on-undecided", "shrug"],
        ["fraud", "--junit", "/proc/nothing/here.xml"],
        ["missing", "--appear", "0s"],
    ],
)
def test_wrong_use_is_4_never_undecided(admin: AdminStandIn, arguments: list[str]) -> None:
    """2 is what a pipeline reads as undecided, and a misspelt option must not look like that."""
    done = ask(admin, *arguments)

    assert done.exit_code == 4
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("headgate: ")


def test_a_refused_token_is_4_and_stays_secret(admin: AdminStandIn) -> None:
    """The message says what to do and does not repeat the token."""
    admin.on("GET", "/v1/rollouts/fraud", (401, {"error": {"message": "the token is not known"}}))

    done = ask(admin, "fraud")

    assert done.exit_code == 4
    assert "the token is not known" in done.stderr
    assert "secret-of-the-pipeline" not in done.output
