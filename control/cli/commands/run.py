"""`headgate run`: everything, from a file or from flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from config.load import Loaded
from control.cli.configuration import further_problems, load
from control.cli.failure import ProblemsError


@click.command("run")
@click.argument("config", required=False, metavar="[CONFIG]")
@click.option("--stable", multiple=True, metavar="URL", help="Without CONFIG: the present release.")
@click.option("--canary", multiple=True, metavar="URL", help="Without CONFIG: the new release.")
@click.option("--weight", metavar="PERCENT", help="Share of the canary, fixed: 5 is five percent.")
@click.option(
    "--rollout",
    metavar="PRESET|STEPS",
    help="Ramp and judge the canary instead: conservative, balanced, aggressive, or steps such as 5,25,100.",
)
@click.option(
    "--key",
    multiple=True,
    metavar="SPEC",
    help="Keep a client on its variant by this key, such as header:x-user-id; with --rollout, where none is "
    "given, by its address: all that comes from one machine goes one way.",
)
@click.option(
    "--streams",
    metavar="FORMAT",
    help="Look into streams of tokens, of format openai, and judge a rollout by them.",
)
@click.option("--bind", metavar="ADDRESS", help="Where requests are accepted.  [default: 127.0.0.1:8080]")
@click.option("--admin", metavar="ADDRESS", help="Admin address.  [default: 127.0.0.1:9901]")
@click.option("--workers", metavar="N", help="Worker processes, or auto.")
@click.option("--state", metavar="DIR", help="State directory.  [default: .headgate]")
def run_command(config: str | None, state: str | None, **flags: Any) -> None:
    """Serve, count, judge and roll back.

    \b
      headgate run headgate.yaml
      headgate run --stable http://127.0.0.1:9001 --canary http://127.0.0.1:9002 --weight 5

    Runs in the foreground. SIGTERM and SIGINT drain and stop it, SIGHUP reads the configuration again. Exit
    code 2 when it cannot start; then nothing remains running.
    """
    from control.cli.serving import serve

    given = [f"--{name}" for name, value in flags.items() if value]
    if config is None:
        if not flags["stable"]:
            raise click.UsageError("give a configuration file, or --stable URL")
        serve(_from_flags(state, flags), control=True, written=False)
        return
    if given:
        raise click.UsageError(f"{', '.join(given)}: not together with a configuration file")
    serve(load(config), state=None if state is None else Path(state), control=True, written=True)


def _from_flags(state: str | None, flags: dict[str, Any]) -> Loaded:
    from config.problems import ConfigError
    from config.quick import from_flags

    bind = {} if flags["bind"] is None else {"bind": flags["bind"]}
    try:
        loaded = from_flags(
            flags["stable"],
            flags["canary"],
            flags["weight"],
            admin=flags["admin"],
            keys=flags["key"],
            rollout=flags["rollout"],
            workers=flags["workers"],
            streams=flags["streams"],
            state=state,
            **bind,
        )
        problems = further_problems(loaded)
    except ConfigError as error:
        problems = error.problems
    if problems:
        raise ProblemsError([str(problem) for problem in problems])
    return loaded
