"""Options that several commands about statistics have: shares, and which plan is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from config.values import InvalidValueError, parse_fraction
from control.cli.failure import CommandError, ProblemsError

if TYPE_CHECKING:
    from control.plans.plan import RolloutPlan

PRESETS = ("conservative", "balanced", "aggressive")


class Share(click.ParamType[float | None]):
    """A share as in the configuration: `5%` or `0.05`; empty for none."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value is None or value == "":
            return None
        try:
            return parse_fraction(float(value) if isinstance(value, str) and "%" not in value else value)
        except (InvalidValueError, ValueError):
            self.fail(f"{value!r} is not a share; write 5% or 0.05", param, ctx)


def share_option(name: str, *, default: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that takes a share."""
    return click.option(name, type=Share(), default=default, show_default=bool(default), help=help)


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config` with `--route`, and `--preset`, which say whose thresholds are meant."""
    for option in (
        click.option("--preset", type=click.Choice(PRESETS), default="balanced", show_default=True),
        click.option("--route", help="The route of --config whose plan is meant; left out = the first one."),
        click.option("--config", metavar="FILE", help="Take the plan from a configuration file."),
    ):
        command = option(command)
    return command


def plan_of(config: str | None, route: str | None, preset: str) -> RolloutPlan:
    """The plan that the options name.

    Raises:
        CommandError: the file has problems, or no such rollout.
    """
    from control.cli.configuration import examine
    from control.plans.plan import RolloutPlan

    if config is None:
        return RolloutPlan.from_config({"preset": preset})
    loaded, problems = examine(config)
    if loaded is None or problems:
        raise ProblemsError([str(problem) for problem in problems])
    ramped = [each for each in loaded.config.routes if each.rollout is not None]
    for each in ramped:
        if route in (None, each.name):
            return RolloutPlan.from_config(each.rollout, sticky=True)
    names = ", ".join(each.name for each in ramped)
    raise CommandError(
        f"{config} has no rollout{f' on a route {route!r}' if route else ''}",
        f"use one of: {names}" if names else "give a route a rollout",
    )
