"""`headgate schema`: the JSON Schema of the configuration."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the configuration, for editors.

    Save it beside the configuration and name it in the first line of the file:

    \b
      headgate schema > headgate.schema.json
      # yaml-language-server: $schema=headgate.schema.json
    """
    from config.json_schema import schema
    from proxy.compile import split_schemas

    whole = schema(split_kinds=split_schemas(), guardrail_kinds=_guardrail_schemas())
    click.echo(json.dumps(whole, indent=2, ensure_ascii=False))


def _guardrail_schemas() -> dict[str, dict[str, Any]] | None:
    """None where the control extra is missing: the schema then takes any guardrail."""
    try:
        from control.guardrails.base import Guardrail
        from control.guardrails.load import load_all
    except ModuleNotFoundError:
        return None
    load_all()
    return {kind: dict(guardrail.schema) for kind, guardrail in sorted(Guardrail.kinds.items())}
