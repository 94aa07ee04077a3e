"""A configuration from the flags of `headgate run`, for a first split without a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import ValidationError

from config.explain import explain
from config.load import Loaded, config_digest
from config.problems import ConfigError, Path, Problem
from config.schema import Config
from config.source import Source
from config.values import InvalidValueError, parse_fraction

ROUTE: Final = "default"
STABLE: Final = "stable"
CANARY: Final = "canary"
_PRESETS: Final = ("conservative", "balanced", "aggressive")
_SPLIT: Final[Path] = ("routes", 0, "split")
_ROLLOUT: Final[Path] = ("routes", 0, "rollout")
_FLAGS: Final[Mapping[Path, str]] = {
    ("listeners", 0, "bind"): "--bind",
    ("admin", "bind"): "--admin",
    ("workers",): "--workers",
    ("state", "directory"): "--state",
    ("upstreams", STABLE): "--stable",
    ("upstreams", CANARY): "--canary",
    (*_SPLIT, "weight"): "--weight",
    (*_SPLIT, "variants"): "--weight",
    (*_SPLIT, "key"): "--key",
    _ROLLOUT: "--rollout",
    ("routes", 0, "streams", "format"): "--streams",
}
# What decides about a model that streams: longer answers take longer, and are no worse for it.
_STREAM_GUARDRAILS: Final = (
    "error_rate_rise",
    "first_token_ratio",
    "token_time_ratio",
    "sample_ratio",
    "retry_share",
    "client_abort_share",
)


def from_flags(
    stable: str | Sequence[str],
    canary: str | Sequence[str] = (),
    weight: float | str | None = None,
    *,
    bind: str = "127.0.0.1:8080",
    admin: str | None = None,
    keys: Sequence[str] = (),
    rollout: str | None = None,
    workers: int | str | None = None,
    state: str | None = None,
    streams: str | None = None,
    stable_release: str = "",
    canary_release: str = "",
    directory: FilePath | None = None,
) -> Loaded:
    """A configuration of one route that takes every request.

    Without `rollout` the weight is fixed: every request is drawn independently, or by key when `keys` are
    given. With it the canary is ramped through the steps, always by key.

    Args:
        stable: URL of the current release, or several.
        canary: URL of the new release, or several; left out, everything goes to stable.
        weight: percent of the requests for the canary: 5 and "5%" are five percent, 0.5 is half of one.
        keys: where the key of a sticky split comes from, in order, such as "header:x-user-id".
        rollout: a preset's name, or weights in percent separated by commas, such as "5,25,100".
        streams: what event streams are, `openai`, to look into them and to judge a rollout by their tokens.
        state: the state directory, relative to `directory` (left out = the working directory).

    Raises:
        ConfigError: it cannot be used; every problem names its flag.
    """
    source = Source(file="command line", places={}, labels=_FLAGS)
    problems: list[Problem] = []
    value: dict[str, Any] = {
        "listeners": [{"bind": bind}],
        "upstreams": {STABLE: _upstream(stable, stable_release)},
        "routes": [{"name": ROUTE}],
    }
    if admin is not None:
        value["admin"] = {"bind": admin}
    if workers is not None:
        value["workers"] = int(workers) if isinstance(workers, str) and workers.isdecimal() else workers
    if state is not None:
        value["state"] = {"directory": state}
    route = value["routes"][0]
    if streams is not None:
        route["streams"] = {"format": streams}
    if canary:
        value["upstreams"][CANARY] = _upstream(canary, canary_release)
        split, plan, faults = _canary(weight, list(keys), rollout)
        problems += [source.problem(path, problem, remedy) for path, problem, remedy in faults]
        route["split"] = split
        if plan is not None:
            judged = {"guardrails": [{"kind": kind} for kind in _STREAM_GUARDRAILS]} if streams else {}
            route["rollout"] = plan | judged
    else:
        route["upstream"] = STABLE
        problems += [
            source.problem(path, "there is no canary", "add --canary URL, or leave this out")
            for path, given in (
                ((*_SPLIT, "weight"), weight is not None),
                ((*_SPLIT, "key"), bool(keys)),
                (_ROLLOUT, rollout is not None),
            )
            if given
        ]
    try:
        config = Config.from_json(value)
    except ValidationError as error:
        raise ConfigError(problems + explain(error, value, source, ())) from None
    if problems:
        raise ConfigError(problems)
    return Loaded(
        config=config,
        source=source,
        digest=config_digest(config),
        directory=(directory or FilePath.cwd()).absolute(),
    )


_Faults = list[tuple[Path, str, str]]


def _canary(
    weight: float | str | None, keys: list[str], rollout: str | None
) -> tuple[dict[str, Any], dict[str, Any] | None, _Faults]:
    """The split, the rollout if there is one, and what is wrong with the flags they come from."""
    faults: _Faults = []
    sticky: dict[str, Any] = {"kind": "canary", "stable": STABLE, "canary": CANARY}
    if keys:
        sticky["key"] = keys
    if rollout is not None:
        if weight is not None:
            faults.append(((*_SPLIT, "weight"), "the rollout sets the weight", "leave out one of them"))
        return sticky, _plan(rollout, faults), faults
    share = 0.0
    if weight is None:
        faults.append(((*_SPLIT, "weight"), "is missing", "say how many percent the canary gets: --weight 5"))
    else:
        try:
            share = read_percent(weight)
        except InvalidValueError as error:
            faults.append(((*_SPLIT, "weight"), error.problem, error.remedy))
    if keys:
        return {**sticky, "weight": share}, None, faults
    variants = {STABLE: _percent(1 - share), CANARY: _percent(share)}
    return {"kind": "random", "variants": variants}, None, faults


def _percent(share: float) -> float | int:
    # Rounded, so that 100 - 0.1 is not shown as 99.90000000000001.
    percent = round(share * 100, 6)
    return int(percent) if percent == int(percent) else percent


def _plan(rollout: str, faults: _Faults) -> dict[str, Any]:
    text = rollout.strip()
    if text in _PRESETS:
        return {"preset": text}
    steps: list[float] = []
    for part in text.split(","):
        try:
            steps.append(read_percent(part))
        except InvalidValueError as error:
            remedy = "write percentages such as 5,25,100, or conservative, balanced or aggressive"
            faults.append((_ROLLOUT, error.problem, remedy))
            return {}
    return {"steps": steps}


def read_percent(value: float | str) -> float:
    """A share from a number of percent: 5, "5" and "5%" are 0.05."""
    remedy = "write a number of percent from 0 to 100, such as 5"
    text = value.strip().removesuffix("%").rstrip() if isinstance(value, str) else f"{value:.17g}"
    try:
        return parse_fraction(f"{text}%")
    except InvalidValueError as error:
        if error.problem.endswith("too small a share"):
            raise InvalidValueError.about(value, "is too little", "write 0 or at least 0.01") from None
        raise InvalidValueError.about(value, "is not a percentage", remedy) from None


def _upstream(urls: str | Sequence[str], release: str) -> dict[str, Any]:
    endpoints = [urls] if isinstance(urls, str) else list(urls)
    return {"endpoints": endpoints, **({"release": release} if release else {})}
