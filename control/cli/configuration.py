"""Loads configuration files for commands and collects everything that can be wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from config.load import Loaded, load_file
from config.problems import ConfigError, Problem
from control.cli.failure import ProblemsError


def load(path: str) -> Loaded:
    """The configuration at `path`, checked as far as it can be without running it.

    Raises:
        ProblemsError: It cannot be used; has one line for each problem.
    """
    loaded, problems = examine(path)
    if loaded is None or problems:
        raise ProblemsError([str(problem) for problem in problems])
    return loaded


def examine(path: str) -> tuple[Loaded | None, list[Problem]]:
    """The configuration, when it can be read at all, and its problems in the order of the file."""
    try:
        loaded = load_file(path, os.environ)
    except ConfigError as error:
        # What the schema refused is left out, so that the kinds can say what they think of the rest.
        rest = error.rest
        further = further_problems(rest) if isinstance(rest, Loaded) else []
        return None, sorted({*error.problems, *further})
    return loaded, further_problems(loaded)


def further_problems(loaded: Loaded) -> list[Problem]:
    """What splits, guardrails and rollout plans have to say once the schema is content."""
    from proxy.certificates import check_tls
    from proxy.compile import check_config

    return sorted([*check_config(loaded), *check_tls(loaded), *_plan_problems(loaded)])


def unreachable(loaded: Loaded) -> list[Problem]:
    """Endpoints that do not accept a TCP connection now, each at its place in the file."""
    from config.addresses import parse_endpoint_url
    from proxy.startup import PROBES_AT_ONCE, connection_fault

    endpoints = [
        (name, number, endpoint, upstream.timeouts.connect or loaded.config.timeouts.connect)
        for name, upstream in loaded.config.upstreams.items()
        for number, endpoint in enumerate(upstream.endpoints)
    ]
    with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        faults = pool.map(
            lambda entry: connection_fault(parse_endpoint_url(entry[2].url), entry[3]), endpoints
        )
    return [
        loaded.problem(
            ("upstreams", name, "endpoints", number),
            f"{endpoint.url} {fault}",
            "start the model server, or correct the address",
        )
        for (name, number, endpoint, _), fault in zip(endpoints, faults, strict=True)
        if fault
    ]


def _plan_problems(loaded: Loaded) -> Iterator[Problem]:
    """What is wrong with rollouts; nothing is said where the control extra is not installed."""
    try:
        from control.plans.plan import RolloutPlan
        from control.plans.stream_guardrails import stream_problems
        from control.plans.unjudged import unjudged_problems
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("config", "proxy", "control"):
            raise
        return
    for number, route in enumerate(loaded.config.routes):
        if route.rollout is None:
            continue
        metrics = [metric.model_dump(mode="json") for metric in route.metrics]
        faults = [*RolloutPlan.problems(route.rollout, metrics), *stream_problems(route)]
        for fault in [*faults, *unjudged_problems(route.rollout)]:
            yield loaded.problem(("routes", number, "rollout", *fault.path), fault.problem, fault.remedy)
