"""`headgate schema`: the JSON Schema of the configuration."""

from __future__ import annotations

import json

import click


@click.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the configuration, for editors.

    Save it beside the configuration and name it in the first line of the file:

    \b
      headgate schema > headgate.schema.json
      # yaml-language-server: $schema=headgate.schema.json
    """
    from config.schema import Config

    click.echo(json.dumps(Config.model_json_schema(), indent=2))
