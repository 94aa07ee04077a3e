"""`headgate approvals`: ask for a release to be let in, and decide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from control.cli.client import AdminClient
from control.cli.direct import registry_options
from control.cli.output import Block, Format, Grid, emit, format_option
from control.cli.plans import plan_in

_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A configuration that shall come into force: its plan is what is asked for.",
)
_STATES = ("pending", "approved", "rejected", "requires_review", "expired")


@click.group("approvals")
def approvals_command() -> None:
    """Ask for a release to be let into a stage, and decide.

    Who asks never decides; the first objection closes a request.
    """


@approvals_command.command("request")
@click.argument("release")
@click.argument("version", required=False)
@click.option("--stage", default="production", show_default=True, help="Where it shall be let in.")
@click.option("--justification", required=True, help="Why; shown to reviewers.")
@click.option("--reviewer", "reviewers", multiple=True, help="Who is asked; repeatable.")
@click.option("--quorum", type=click.IntRange(1, 20), help="How many must approve.")
@_CONFIG
@format_option
@registry_options
def request(
    client: AdminClient,
    release: str,
    version: str | None,
    stage: str,
    justification: str,
    reviewers: tuple[str, ...],
    quorum: int | None,
    config: Path | None,
    output: Format,
) -> None:
    """Ask for RELEASE to be let into a stage; it may also be given as NAME VERSION.

    What is asked for is bound to the rollout plan in force; with --config to that of a file, which can come
    into force once enough people have agreed.
    """
    release = release if version is None else f"{release}:{version}"
    body = {
        "release": release,
        "plan": None if config is None else plan_in(config, release, stage),
        "stage": stage,
        "justification": justification,
        "reviewers": list(reviewers),
        "quorum": quorum,
    }
    answer = client.post("/v1/approvals", {key: value for key, value in body.items() if value is not None})
    emit(answer, output, f"{answer['id']}: {answer['missing']}")


@approvals_command.command("list")
@click.option("--status", type=click.Choice(_STATES), help="Only requests that stand so.")
@click.option("--model", help="Only about this model.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@format_option
@registry_options
def list_approvals(
    client: AdminClient, status: str | None, model: str | None, limit: int, output: Format
) -> None:
    """List requests, newest first."""
    answer = client.get("/v1/approvals", status=status, model=model, limit=limit)
    rows = [
        [
            each["id"],
            each["release"],
            each["stage"],
            each["status"].replace("_", " "),
            f"{len(each['approved_by'])} of {each['quorum']}",
            each["requested_by"],
            each["expires_at"][:19].replace("T", " "),
        ]
        for each in answer["approvals"]
    ]
    headings = ["request", "release", "stage", "status", "approvals", "asked by", "expires"]
    emit(answer, output, [Grid(headings=headings, rows=rows)] if rows else "no request fits")


@approvals_command.command("show")
@click.argument("request")
@format_option
@registry_options
def show(client: AdminClient, request: str, output: Format) -> None:
    """Show a request with its votes and comments."""
    answer = client.get(_path(request))
    emit(answer, output, _blocks(answer))


@approvals_command.command("approve")
@click.argument("request")
@click.option("--reason", default="", help="What speaks for it.")
@format_option
@registry_options
def approve(client: AdminClient, request: str, reason: str, output: Format) -> None:
    """Agree."""
    _say(client.post(_path(request, "approve"), {"reason": reason}), output)


@approvals_command.command("reject")
@click.argument("request")
@click.option("--reason", required=True, help="What speaks against it.")
@format_option
@registry_options
def reject(client: AdminClient, request: str, reason: str, output: Format) -> None:
    """Object, which closes the request."""
    _say(client.post(_path(request, "reject"), {"reason": reason}), output)


@approvals_command.command("renew")
@click.argument("request")
@click.option("--justification", default="", help="Why, if it is another reason now.")
@_CONFIG
@format_option
@registry_options
def renew(client: AdminClient, request: str, justification: str, config: Path | None, output: Format) -> None:
    """Ask again for what has changed since; earlier votes count no more."""
    body: dict[str, Any] = {"justification": justification}
    if config is not None:
        asked = client.get(_path(request))
        body["plan"] = plan_in(config, asked["release"], asked["stage"])
    _say(client.post(_path(request, "renew"), body), output)


@approvals_command.command("comment")
@click.argument("request")
@click.argument("text")
@click.option("--reply-to", metavar="COMMENT", help="The comment it answers.")
@format_option
@registry_options
def comment(client: AdminClient, request: str, text: str, reply_to: str | None, output: Format) -> None:
    """Say something about a request."""
    body = {"text": text} | ({"reply_to": reply_to} if reply_to else {})
    answer = client.post(_path(request, "comments"), body)
    emit(answer, output, answer["id"])


@approvals_command.command("tasks")
@click.option("--all", "every", is_flag=True, help="Those that are done, too.")
@format_option
@registry_options
def tasks(client: AdminClient, every: bool, output: Format) -> None:
    """List what went without approval and nobody has looked at yet."""
    answer = client.get("/v1/approval-tasks", all="true" if every else None)
    rows = [
        [
            each["id"],
            each["release"],
            each["stage"],
            each["actor"],
            each["at"][:19],
            each["reason"],
            each["finding"],
        ]
        for each in answer["tasks"]
    ]
    headings = ["task", "release", "stage", "who", "time", "why", "finding"]
    emit(answer, output, [Grid(headings=headings, rows=rows)] if rows else "nothing to look at")


@approvals_command.command("review")
@click.argument("task")
@click.option("--accept/--object", "accept", required=True, help="Whether it was right.")
@click.option("--reason", required=True, help="Why.")
@format_option
@registry_options
def review(client: AdminClient, task: str, accept: bool, reason: str, output: Format) -> None:
    """Say whether going without approval was right; an objection takes the permission back."""
    path = f"/v1/approval-tasks/{quote(task, safe='')}/review"
    answer = client.post(path, {"accept": accept, "reason": reason})
    emit(answer, output, f"{answer['release']} in {answer['stage']}: {answer['finding']}")


def _path(request: str, *more: str) -> str:
    return "/".join(["/v1/approvals", quote(request, safe=""), *more])


def _say(answer: Mapping[str, Any], output: Format) -> None:
    text = f"{answer['release']} for {answer['stage']}: {answer['status'].replace('_', ' ')}"
    emit(answer, output, f"{text}; {answer['missing']}" if answer["status"] == "pending" else text)


def _blocks(answer: Mapping[str, Any]) -> list[Block]:
    lines = [
        f"{answer['id']}: {answer['release']} for {answer['stage']}, {answer['status'].replace('_', ' ')}",
        f"  asked by    {answer['requested_by']}, {answer['requested_at'][:19]}: {answer['justification']}",
        f"  needed      {answer['quorum']} of {', '.join(answer['reviewers']) or 'any approver'}",
        f"  bound to    release {answer['release_digest']}",
        f"              plan {answer['plan_digest']}{', not in force yet' * answer['plan_proposed']}",
        f"  expires     {answer['expires_at'][:19]}",
    ]
    if answer["missing"]:
        lines.append(f"  missing     {answer['missing']}")
    if answer["reason"]:
        lines.append(f"  reason      {answer['reason']}")
    blocks: list[Block] = ["\n".join(lines)]
    votes = [
        [vote["at"][:19], vote["reviewer"], vote["vote"], str(vote["round"]), vote["reason"]]
        for vote in answer["votes"]
    ]
    if votes:
        blocks.append(Grid(headings=["time", "who", "vote", "round", "why"], rows=votes))
    if answer["comments"]:
        blocks.append("\n".join(_thread(answer["comments"], None, 0)))
    return blocks


def _thread(comments: list[Mapping[str, Any]], above: str | None, depth: int) -> list[str]:
    lines: list[str] = []
    for each in comments:
        if each["reply_to"] == above:
            lines.append(f"{'  ' * depth}{each['author']}: {each['text']}  ({each['id']})")
            lines += _thread(comments, each["id"], depth + 1)
    return lines
