"""`headgate schema` helps an editor."""

from __future__ import annotations

import json

from click.testing import CliRunner

from control.cli.main import cli


def test_it_is_a_schema_of_the_whole_configuration() -> None:
    """JSON Schema with the keys of the top level and each kind's own."""
    shown = CliRunner().invoke(cli, ["schema"])

    schema = json.loads(shown.stdout)
    assert shown.exit_code == 0
    assert {"listeners", "upstreams", "routes"} <= set(schema["properties"])
    assert [
        kind
        for kind in ("direct", "random", "percentage", "hash", "canary")
        if f'"const": "{kind}"' not in shown.stdout
    ] == []
