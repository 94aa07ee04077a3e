"""`headgate status`: what is going on, once or continuously."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from control.cli.client import AdminClient, admin_options
from control.cli.failure import CommandError, ExitCode, UnreachableError
from control.cli.figures import duration, seconds
from control.cli.output import Block, Format, console, emit, format_option, plain, rich_group
from control.cli.rollouts import quarantine_lines, rollout_blocks, route_grid, stream_grid


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again and again, until interrupted.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two.",
)
@click.option("--ready", is_flag=True, help="Print nothing; exit with 0 if requests are taken, else 1.")
@format_option
@admin_options
def status_command(
    client: AdminClient, watch: bool, interval: float, ready: bool, output: Format
) -> int | None:
    """Show routes, weights, counts and verdicts.

    Figures of variants are of the last minute, totals since they are counted. "set" is the weight that the
    routing table asks for, "seen" the share of requests that came.
    """
    if ready:
        return ExitCode.OK if client.exchange("GET", "/readyz").status == 200 else ExitCode.NEGATIVE
    if not watch:
        status = client.get("/v1/status")
        emit(status, output, status_blocks(status))
        return None
    client.get("/v1/status")  # A wrong address or token ends the command now, not in every line.
    try:
        _watch(client, interval, output)
    except KeyboardInterrupt:
        return ExitCode.OK
    return None


def status_blocks(status: Mapping[str, Any]) -> list[Block]:
    """Everything, in the order in which a person asks."""
    process, config = status["process"], status["config"]
    uptime = duration(process["uptime_seconds"])
    lines = [f"Headgate {process['version']}, up {uptime}, revision {status['revision']}"]
    if config:
        lines.append(f"configuration {Path(config['source']).name}, {config['digest'][:19]}")
    lines += [
        f"node {node['node']}: revision {node['revision']}, heard {seconds(node['heard_seconds_ago'])} ago"
        for node in status["nodes"]
    ] or ["no node has reported yet"]
    # An older Headgate, which this command may be newer than, does not say.
    if trouble := process.get("trouble"):
        lines.append(f"nothing is decided at present, requests go on: {trouble}")
    blocks: list[Block] = ["\n".join(lines)]
    rollouts = {rollout["route"]: rollout for rollout in status["rollouts"]}
    for route in status["routes"]:
        blocks.append(f"route {route['name']} ({route['split']}){_diverting(route['diverting'])}")
        blocks.append(route_grid(route))
        if (streams := stream_grid(route)) is not None:
            blocks.append(streams)
        if route["name"] in rollouts:
            blocks += rollout_blocks(rollouts[route["name"]])
        else:
            condemned = [row for row in status["quarantine"] if row["route"] == route["name"]]
            blocks += ["\n".join(quarantine_lines(row, row["deployment"])) for row in condemned]
    return blocks


def _diverting(proxies: int) -> str:
    if not proxies:
        return ""
    return (
        f"; {proxies} prox{'y diverts' if proxies == 1 else 'ies divert'} the canary's requests to stable now"
    )


def _watch(client: AdminClient, interval: float, output: Format) -> None:
    if output == "text" and sys.stdout.isatty():
        _watch_screen(client, interval)
        return
    while True:
        try:
            status = client.get("/v1/status")
        except UnreachableError as error:
            click.echo(f"headgate: {error.format_message()}", err=True)
        else:
            text = plain(status_blocks(status)) + "\n"
            click.echo(text if output == "text" else json.dumps(status, ensure_ascii=False))
        time.sleep(interval)


def _watch_screen(client: AdminClient, interval: float) -> None:
    from rich.live import Live

    blocks: list[Block] = ["waiting for the first answer"]
    with Live(rich_group(blocks), console=console(), screen=True, auto_refresh=False) as live:
        while True:
            try:
                blocks = status_blocks(client.get("/v1/status"))
                note = time.strftime("%H:%M:%S") + ", Ctrl-C to leave"
            except CommandError as error:
                # The last picture stays, with the reason why it is old.
                note = error.format_message()
            live.update(rich_group([*blocks, note]), refresh=True)
            time.sleep(interval)
