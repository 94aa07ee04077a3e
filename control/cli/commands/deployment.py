"""`headgate deployment`: bring a release to a route by one of five strategies, and look after it."""

from __future__ import annotations

from urllib.parse import quote

import click

from control.cli.acts import add_acts
from control.cli.client import AdminClient, admin_options
from control.cli.deployments import deployment_blocks, deployment_line
from control.cli.documents import read_document, settings_of
from control.cli.figures import moment
from control.cli.output import Format, Grid, emit, format_option

_ACTS = {
    "promote": "Be content with a deployment as it is: it becomes active.",
    "pause": "Leave a deployment as it is until it is resumed.",
    "resume": "Let a paused or inconclusive deployment go on.",
    "rollback": "Give all requests back to what served before.",
    "cancel": "End a deployment without blame; requests go back to what served before.",
}


@click.group("deployment")
def deployment_command() -> None:
    """Bring a release to a route by one of five strategies."""


@deployment_command.command("create")
@click.argument("route", required=False)
@click.option("-f", "--file", help="Read the request from a YAML or JSON file; - is standard input.")
@click.option(
    "--strategy",
    type=click.Choice(["direct", "blue_green", "canary", "shadow", "rolling"]),
    help="How the release gets its requests.",
)
@click.option("--upstream", help="An upstream of the configuration, or the name of a new one.")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL", help="An endpoint of a new upstream.")
@click.option("--release", help="What runs there, such as fraud:v2.")
@click.option("--environment", help="Where it is deployed; left out = production.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting, such as duration=1m."
)
@click.option("--reason", help="Why; kept with the deployment and in the audit log.")
@click.option(
    "--lift-quarantine", is_flag=True, help="Try a release again that was rolled back; needs --reason."
)
@format_option
@admin_options
def create(
    client: AdminClient,
    route: str | None,
    file: str | None,
    settings: tuple[str, ...],
    endpoints: tuple[str, ...],
    lift_quarantine: bool,
    output: Format,
    **given: str | None,
) -> None:
    """Make a deployment; what is given on the line wins over the file."""
    body = read_document(file) if file else {}
    body |= {name: value for name, value in given.items() if value is not None}
    if route is not None:
        body["route"] = route
    if lift_quarantine:
        body["lift_quarantine"] = True
    if endpoints:
        body["endpoints"] = list(endpoints)
    if settings:
        body["settings"] = {**body.get("settings", {}), **settings_of(settings)}
    answer = client.post("/v1/deployments", body)
    emit(answer, output, f"{answer['id']}: {deployment_line(answer)}")


@deployment_command.command("list")
@click.option("--status", help="Only those in this status.")
@click.option("--environment", help="Only those of this environment.")
@click.option("--route", help="Only those of this route.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@format_option
@admin_options
def list_(
    client: AdminClient,
    status: str | None,
    environment: str | None,
    route: str | None,
    limit: int,
    output: Format,
) -> None:
    """List deployments, newest first."""
    answer = client.get("/v1/deployments", status=status, environment=environment, route=route, limit=limit)
    rows = [
        [
            each["id"],
            each["route"],
            each["strategy"].replace("_", "-"),
            each["release"] or each["target"],
            each["environment"],
            each["status"].replace("_", " "),
            each["health"],
            moment(each["created_at"]),
            each["created_by"],
        ]
        for each in answer["deployments"]
    ]
    headings = ["id", "route", "strategy", "release", "environment", "status", "health", "made", "by"]
    emit(answer, output, [Grid(headings=headings, rows=rows)] if rows else "there is no deployment")


@deployment_command.command("get")
@click.argument("deployment", metavar="ID|ROUTE")
@format_option
@admin_options
def get(client: AdminClient, deployment: str, output: Format) -> None:
    """Show a deployment with its figures, its health and its history."""
    answer = client.get(f"/v1/deployments/{quote(deployment, safe='')}")
    emit(answer, output, deployment_blocks(answer))


add_acts(deployment_command, "deployment", _ACTS, lambda _, answer: deployment_line(answer))
