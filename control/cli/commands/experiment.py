"""`headgate experiment`: compare variants on a route for as long as it takes to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from control.cli.acts import add_acts
from control.cli.client import AdminClient, admin_options
from control.cli.documents import read_document
from control.cli.failure import CommandError
from control.cli.figures import evidence, improvement, interval, moment, number, seconds, share
from control.cli.output import Block, Format, Grid, emit, format_option

_ACTS = {
    "start": "Divide requests among the variants; also lets a paused experiment go on.",
    "pause": "Give everybody the control variant for a while.",
    "complete": "End an experiment with its result.",
    "cancel": "End an experiment without a result.",
}

# What the column of the metric is called; failures are shown as what succeeds.
_METRICS = {"failures": "success rate"}


@click.group("experiment")
def experiment_command() -> None:
    """Compare variants on a route for as long as it takes to know."""


@experiment_command.command("create")
@click.argument("route", required=False)
@click.option("-f", "--file", help="Read the description from a YAML or JSON file; - is standard input.")
@click.option("--name", help="What it is called.")
@click.option("--variant", "variants", multiple=True, metavar="UPSTREAM=WEIGHT", help="The first is control.")
@click.option("--key", "keys", multiple=True, help="Who gets which variant, such as header:x-user-id.")
@click.option("--layer", help="Experiments of one layer never share a key.")
@click.option("--share", help="Part of the keys that takes part, such as 20%.")
@click.option("--alpha", help="Chance of seeing a difference where there is none; left out = 5%.")
@click.option(
    "--metric",
    help="failures, latency:p95, first_byte:p50, first_token:p50, token_time:p50 or metric:NAME;"
    " left out = failures.",
)
@click.option("--direction", help="Which way a metric:NAME is worse: higher_is_worse or lower_is_worse.")
@click.option("--margin", help="A difference that does not matter.")
@click.option("--start", is_flag=True, help="Start it at once.")
@format_option
@admin_options
def create(
    client: AdminClient,
    route: str | None,
    file: str | None,
    variants: tuple[str, ...],
    keys: tuple[str, ...],
    start: bool,
    output: Format,
    **given: str | None,
) -> None:
    """Describe an experiment; what is given on the line wins over the file."""
    body = read_document(file) if file else {}
    body |= {name: value for name, value in given.items() if value is not None}
    if route is not None:
        body["route"] = route
    if variants:
        body["variants"] = dict(_variant(text) for text in variants)
    if keys:
        body["key"] = list(keys)
    answer = client.post("/v1/experiments", body)
    if start:
        try:
            answer = client.post(f"/v1/experiments/{answer['id']}/start", {})
        except CommandError as error:
            problem = f"{answer['id']} is a draft that was not started: {error.message}"
            raise CommandError(problem) from error
    emit(answer, output, f"{answer['id']}: {_line(answer)}")


@experiment_command.command("list")
@click.option("--status", help="Only those in this status.")
@click.option("--route", help="Only those of this route.")
@click.option("--layer", help="Only those of this layer.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@format_option
@admin_options
def list_(
    client: AdminClient, status: str | None, route: str | None, layer: str | None, limit: int, output: Format
) -> None:
    """List experiments, newest first."""
    answer = client.get("/v1/experiments", status=status, route=route, layer=layer, limit=limit)
    rows = [
        [
            each["id"],
            each["name"],
            each["route"],
            each["layer"] or "-",
            each["status"],
            _winner(each),
            moment(each["created_at"]),
            each["created_by"],
        ]
        for each in answer["experiments"]
    ]
    headings = ["id", "name", "route", "layer", "status", "winner", "made", "by"]
    emit(answer, output, [Grid(headings=headings, rows=rows)] if rows else "there is no experiment")


@experiment_command.command("get")
@click.argument("experiment", metavar="ID|ROUTE")
@format_option
@admin_options
def get(client: AdminClient, experiment: str, output: Format) -> None:
    """Show an experiment with what it says so far."""
    answer = client.get(f"/v1/experiments/{quote(experiment, safe='')}")
    emit(answer, output, _blocks(answer))


def _variant(text: str) -> tuple[str, Any]:
    name, equals, weight = text.partition("=")
    if not equals:
        return name, 1
    try:
        return name, weight if weight.endswith("%") else float(weight)
    except ValueError:
        raise CommandError(f"--variant {text}: is not UPSTREAM=WEIGHT", "write v2=50") from None


def _winner(experiment: Mapping[str, Any]) -> str:
    analysis = experiment["analysis"]
    return (analysis or {}).get("winner") or "-"


def _line(experiment: Mapping[str, Any]) -> str:
    variants = ", ".join(f"{name} {share(weight)}" for name, weight in experiment["variants"].items())
    return f"{experiment['name']} on {experiment['route']} is {experiment['status']} ({variants})"


def _blocks(experiment: Mapping[str, Any]) -> list[Block]:
    lines = [
        f"Experiment {experiment['id']}: {_line(experiment)}",
        f"  made  {moment(experiment['created_at'])} by {experiment['created_by']}",
    ]
    if experiment["layer"]:
        low, high = experiment["range"]
        lines.append(f"  layer {experiment['layer']}, {share(low)} to {share(high)} of its keys")
    analysis = experiment["analysis"]
    if not analysis:
        return ["\n".join(lines), "Nothing has been counted: it was not started."]
    show = {"seconds": seconds, "value": number}.get(analysis["unit"], share)
    arms = [analysis["control"] | {"verdict": "control"}, *analysis["treatments"]]
    rows = [
        [
            arm["name"],
            str(arm["requests"]),
            share(arm["success_rate"]),
            seconds(arm["mean_latency"]),
            show(arm["metric"]["value"]),
            interval((arm["metric"]["low"], arm["metric"]["high"]), show) or "-",
            improvement(arm.get("improvement"), "absolute"),
            improvement(arm.get("improvement"), "relative"),
            evidence(arm["log_e_peak"]) if "log_e_peak" in arm else "-",
            str(arm["verdict"]).replace("_", " "),
        ]
        for arm in arms
    ]
    grid = Grid(
        headings=[
            "variant",
            "requests",
            "success",
            "mean",
            _METRICS.get(analysis["metric"], analysis["metric"]),
            "interval",
            "better by",
            "relative",
            "evidence",
            "verdict",
        ],
        rows=rows,
        right=frozenset({1, 2, 3, 4, 8}),
    )
    lines.append(f"  {analysis['reason']}")
    if analysis["needed"]:
        lines.append(f"  about {analysis['needed']} more requests of a variant would tell")
    elif analysis["needed"] is None and experiment["status"] == "running":
        lines.append("  how many more requests would tell cannot be said yet: no difference has been seen")
    return ["\n".join(lines), grid]


add_acts(
    experiment_command,
    "experiment",
    _ACTS,
    lambda name, answer: _blocks(answer) if name == "complete" else _line(answer),
)
