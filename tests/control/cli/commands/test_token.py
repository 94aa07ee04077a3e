"""`headgate token` makes a token that the configuration knows by its digest."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml
from click.testing import CliRunner

from control.cli.main import cli


def test_the_entry_fits_the_token() -> None:
    """The text shown is a token and YAML that can be pasted into the configuration."""
    shown = CliRunner().invoke(cli, ["token", "--name", "alice", "--role", "operator"])

    assert shown.exit_code == 0
    token = shown.stdout.splitlines()[0].removeprefix("token: ")
    (entry,) = yaml.safe_load(shown.stdout.split("\n\n", 1)[1])["admin"]["tokens"]
    assert entry == {
        "name": "alice",
        "sha256": hashlib.sha256(token.encode()).hexdigest(),
        "role": "operator",
    }
    assert len(token) >= 43


def test_no_two_are_alike() -> None:
    """Each call draws a new one."""
    tokens = {json.loads(CliRunner().invoke(cli, ["token", "-o", "json"]).stdout)["token"] for _ in range(20)}

    assert len(tokens) == 20


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 65, "a: b"])
def test_a_name_that_could_break_the_file_is_refused(name: str) -> None:
    """Names are what the configuration takes as names."""
    assert CliRunner().invoke(cli, ["token", "--name", name]).exit_code == 2
