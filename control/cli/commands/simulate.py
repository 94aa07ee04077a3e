"""`headgate simulate`: what a plan would do to traffic of a given kind."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

from config.counted import counted
from control.cli.failure import CommandError
from control.cli.figures import duration, share
from control.cli.options import plan_of, plan_options, share_option
from control.cli.output import Block, Format, Grid, emit, format_option


@click.command("simulate")
@share_option("--control-rate", default="1%", help="Failures among control's requests.")
@share_option("--canary-rate", default="5%", help="Failures among the canary's.")
@click.option(
    "--rate", type=click.FloatRange(0.01, 1e6), default=100.0, show_default=True, help="Requests/s."
)
@share_option("--weight", default="", help="The canary's share; left out = that of the plan's first step.")
@click.option(
    "--hours", type=click.FloatRange(0.01, 48), default=1.0, show_default=True, help="Time watched."
)
@click.option("--onset", type=click.IntRange(0), default=0, help="Seconds until the canary turns bad.")
@click.option("--runs", type=click.IntRange(10, 100_000), default=200, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Same seed, same answer.")
@plan_options
@format_option
def simulate_command(
    control_rate: float,
    canary_rate: float,
    rate: float,
    weight: float | None,
    hours: float,
    onset: int,
    runs: int,
    seed: int,
    config: str | None,
    route: str | None,
    preset: str,
    output: Format,
) -> None:
    """Say how fast harm is found, and how often where there is none.

    Nothing is started and nobody is asked: traffic is drawn at random, and the statistics that decide in
    earnest watch it every second.
    """
    from control.rollout.forecast import forecast
    from control.rollout.simulate import Traffic

    plan = plan_of(config, route, preset)
    traffic = Traffic(
        requests_per_second=rate,
        control_rate=control_rate,
        canary_rate=canary_rate,
        onset_s=onset,
        seconds=max(60, int(hours * 3600)),
    )
    if onset >= traffic.seconds:
        raise CommandError("--onset is after the end", "watch longer with --hours")
    with _bar(output) as progress:
        found = forecast(
            plan,
            traffic,
            weight=plan.steps[0].weight if weight is None else weight,
            runs=runs,
            seed=seed,
            progress=progress,
        )
    value, low, high = found.false_alarm_rate
    lines = [
        f"{counted(runs, 'run')} of {duration(traffic.seconds)} at {rate:g} requests/s, "
        f"canary at {share(found.weight)}, alpha {share(plan.alpha)}, seed {seed}",
        f"  failing {share(canary_rate)} instead of {share(control_rate)}: "
        f"found in {found.detected} of {runs}",
    ]
    if found.detection_s is not None and found.canary_requests is not None:
        median, late = (duration(seconds) for seconds in found.detection_s)
        requests, many = found.canary_requests
        lines.append(f"    after {median} in half of the runs, after {late} in nine of ten")
        lines.append(f"    which is {requests:.0f} and {many:.0f} canary requests")
    lines.append(
        f"  nothing wrong: condemned in {found.false_alarms} of {runs} ({share(value)}, "
        f"with 95 % confidence {share(low)} to {share(high)})"
    )
    blocks: list[Block] = ["\n".join(lines)]
    if found.course:
        rows = [[duration(at), kind.replace("_", " "), share(after)] for at, kind, after in found.course]
        blocks.append("One whole rollout of such a canary:")
        blocks.append(Grid(headings=["after", "decision", "canary"], rows=rows, right=frozenset({0, 2})))
    emit(found.to_json(), output, blocks)


@contextlib.contextmanager
def _bar(output: Format) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error where a person looks."""
    if output != "text" or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
