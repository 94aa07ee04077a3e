"""`headgate token`: a new admin token and what the configuration has to know of it."""

from __future__ import annotations

import hashlib
import re
import secrets

import click

from control.cli.output import Format, emit, format_option

ROLES = ("viewer", "operator", "approver", "admin")
# 256 bits: a plain digest in the configuration then cannot be searched for the token.
_TOKEN_BYTES = 32


@click.command("token")
@click.option("--name", default="me", show_default=True, help="Who will hold it; stands in every record.")
@click.option("--role", type=click.Choice(ROLES), default="admin", show_default=True, help="What it may do.")
@format_option
def token_command(name: str, role: str, output: Format) -> None:
    """Generate an admin token and the entry for the configuration.

    The token is shown once and kept nowhere; the configuration holds its SHA-256 only.
    """
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", name):
        raise click.BadParameter("use letters, digits and . _ - inside, at most 64", param_hint="--name")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    entry = {"name": name, "sha256": hashlib.sha256(token.encode()).hexdigest(), "role": role}
    text = (
        f"token: {token}\n"
        "Keep it now; it cannot be shown again. Commands read it from HEADGATE_TOKEN.\n"
        "\n"
        "admin:\n"
        "  tokens:\n"
        f"    - {{name: {name}, sha256: {entry['sha256']}, role: {role}}}"
    )
    emit({"token": token, "entry": entry}, output, text)
