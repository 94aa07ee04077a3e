"""`headgate check`: every problem of configuration files, each with its place and what would do."""

from __future__ import annotations

from dataclasses import asdict

import click

from config.counted import counted
from config.schema import Config
from control.cli.configuration import examine, unreachable
from control.cli.failure import ProblemsError
from control.cli.output import Format, emit, format_option


@click.command("check")
@click.argument("config", nargs=-1, required=True, metavar="CONFIG...")
@click.option("--probe", is_flag=True, help="Also connect to every endpoint.")
@format_option
def check_command(config: tuple[str, ...], probe: bool, output: Format) -> None:
    """Report every problem of configuration files.

    Prints one line for each problem, as FILE:LINE:COLUMN: PATH: what is wrong; what would do. Exit code 0
    when there is none, else 2. Nothing is started and nothing is written.
    """
    found = []
    fine = []
    for path in config:
        loaded, problems = examine(path)
        if loaded is not None and probe and not problems:
            problems = unreachable(loaded)
        found += problems
        if loaded is not None and not problems:
            fine.append({"file": path, "digest": loaded.digest, "summary": _summary(loaded.config)})
    if output != "text":
        emit(
            {"valid": not found, "files": fine, "problems": [asdict(problem) for problem in found]},
            output,
            "",
        )
    elif fine:
        emit(
            None, output, "\n".join(f"{file['file']}: no problem found ({file['summary']})" for file in fine)
        )
    if found:
        raise ProblemsError([str(problem) for problem in found])


def _summary(config: Config) -> str:
    rollouts = sum(route.rollout is not None and route.rollout.enabled for route in config.routes)
    endpoints = sum(len(upstream.endpoints) for upstream in config.upstreams.values())
    return ", ".join(
        [
            counted(len(config.routes), "route"),
            counted(len(config.upstreams), "upstream"),
            counted(endpoints, "endpoint"),
            counted(rollouts, "rollout"),
        ]
    )
