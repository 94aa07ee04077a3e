"""Flags make the same configuration as a file, and errors name the flag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.load import load_text
from config.problems import ConfigError
from config.quick import from_flags, read_percent
from config.render import to_yaml
from config.values import InvalidValueError
from proxy.compile import check_config, compile_table

STABLE, CANARY = "http://127.0.0.1:9001", "http://127.0.0.1:9002"


def errors(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        from_flags(*args, **kwargs)
    return [str(problem) for problem in caught.value.problems]


def split(*args: Any, **kwargs: Any) -> dict[str, Any]:
    loaded = from_flags(STABLE, CANARY, *args, **kwargs)
    found = loaded.config.routes[0].effective_split
    return {"kind": found.kind, **found.parameters}


@pytest.mark.parametrize("weight", [5, 5.0, "5", "5%", " 5 % "])
def test_a_weight_is_in_percent(weight: float | str) -> None:
    """`--weight 5` is five percent, by chance for each request."""
    assert split(weight) == {"kind": "random", "variants": {"stable": 95, "canary": 5}}


@pytest.mark.parametrize(
    ("weight", "stable", "canary"), [("0.1", 99.9, 0.1), (0, 100, 0), (100, 0, 100), ("0.01", 99.99, 0.01)]
)
def test_small_and_extreme_weights(weight: float | str, stable: float, canary: float) -> None:
    """Shares add up to 100 and look as they were written."""
    assert split(weight)["variants"] == {"stable": stable, "canary": canary}


def test_keys_make_it_sticky() -> None:
    """Then a user stays where they are."""
    assert split("7", keys=["header:x-user-id", "client_address"]) == {
        "kind": "canary",
        "stable": "stable",
        "canary": "canary",
        "key": ["header:x-user-id", "client_address"],
        "weight": 0.07,
    }


def test_streams_are_looked_into_and_judged_by_their_tokens() -> None:
    """Of a ramped canary; with a fixed weight they are only counted."""
    ramped = from_flags(STABLE, CANARY, rollout="balanced", streams="openai").config.routes[0]
    fixed = from_flags(STABLE, CANARY, 5, streams="openai").config.routes[0]

    assert ramped.streams is not None
    assert fixed.streams == ramped.streams
    assert ramped.rollout is not None
    kinds = [guardrail.kind for guardrail in ramped.rollout.guardrails or ()]
    assert "first_token_ratio" in kinds
    assert "latency_ratio" not in kinds
    assert fixed.rollout is None
    assert errors(STABLE, streams="other")[0].startswith("command line: --streams: ")


@pytest.mark.parametrize(
    ("rollout", "expected"),
    [
        ("aggressive", {"preset": "aggressive"}),
        ("5,25,100", {"steps": ["5%", "25%", "100%"]}),
        (" 0.5% , 100% ", {"steps": ["0.5%", "100%"]}),
    ],
)
def test_a_rollout_is_a_preset_or_weights(rollout: str, expected: dict[str, Any]) -> None:
    """The canary starts with nothing and is ramped."""
    loaded = from_flags(STABLE, CANARY, rollout=rollout)
    text = to_yaml(loaded.config)

    assert split(rollout=rollout) == {"kind": "canary", "stable": "stable", "canary": "canary"}
    found = loaded.config.routes[0].rollout
    assert found is not None
    assert found.preset == expected.get("preset", "balanced")
    assert all(weight in text for weight in expected.get("steps", []))


def test_one_release_alone_gets_everything() -> None:
    """A proxy without a split is a start, too."""
    loaded = from_flags([STABLE, CANARY], bind=":0", stable_release="m:1")

    assert loaded.config.routes[0].upstream == "stable"
    assert [endpoint.url for endpoint in loaded.config.upstreams["stable"].endpoints] == [STABLE, CANARY]
    assert loaded.config.upstreams["stable"].release == "m:1"


def test_other_flags(tmp_path: Path) -> None:
    """Addresses, workers and the state directory."""
    loaded = from_flags(
        STABLE, bind=":8000", admin="[::1]:9", workers="auto", state="here", directory=tmp_path
    )

    assert str(loaded.config.listeners[0].bind) == "0.0.0.0:8000"
    assert str(loaded.config.admin.bind) == "[::1]:9"
    assert loaded.config.workers == "auto"
    assert loaded.state_directory == tmp_path / "here"
    assert from_flags(STABLE, workers="3").config.workers == 3
    assert from_flags(STABLE).state_directory == Path.cwd() / ".headgate"


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        (
            {"weight": "x"},
            ["--weight: 'x' is not a percentage; write a number of percent from 0 to 100, such as 5"],
        ),
        (
            {"weight": 101},
            ["--weight: 101 is not a percentage; write a number of percent from 0 to 100, such as 5"],
        ),
        (
            {"weight": -1},
            ["--weight: -1 is not a percentage; write a number of percent from 0 to 100, such as 5"],
        ),
        (
            {"weight": float("nan")},
            ["--weight: nan is not a percentage; write a number of percent from 0 to 100, such as 5"],
        ),
        ({"weight": 0.001}, ["--weight: 0.001 is too little; write 0 or at least 0.01"]),
        ({}, ["--weight: is missing; say how many percent the canary gets: --weight 5"]),
        ({"weight": 5, "rollout": "5,100"}, ["--weight: the rollout sets the weight; leave out one of them"]),
        (
            {"rollout": "fast"},
            [
                "--rollout: 'fast' is not a percentage; write percentages such as 5,25,100, or"
                " conservative, balanced or aggressive"
            ],
        ),
        ({"rollout": "25,5"}, ["--rollout: 5% comes after 25%; list the weights in rising order"]),
        ({"rollout": "0,5"}, ["--rollout: 0% would get no requests; write at least 0.01%"]),
        (
            {"weight": 5, "bind": "8080"},
            ["--bind: '8080' has no host; write 127.0.0.1:8080, or :8080 for every one"],
        ),
        ({"weight": 5, "workers": "0"}, ["--workers: 0 is not a number of workers; write 1 to 256, or auto"]),
        ({"weight": 5, "state": ""}, ["--state: is empty; write something"]),
        (
            {"weight": 5, "admin": ":9999"},
            [
                "--admin: 0.0.0.0:9999 can be reached from outside, and no token guards it;"
                " bind to 127.0.0.1, or write admin.tokens in a configuration file"
            ],
        ),
        (
            {"weight": 5, "bind": "127.0.0.1:9901"},
            ["--admin: 127.0.0.1:9901 is taken by the listener on 127.0.0.1:9901; use another port"],
        ),
    ],
)
def test_errors_name_the_flag(flags: dict[str, Any], lines: list[str]) -> None:
    """There is no file to look into."""
    assert errors(STABLE, CANARY, **flags) == [f"command line: {line}" for line in lines]


def test_several_flags_are_reported_together() -> None:
    """Like everything wrong with a file."""
    assert errors("ftp://a:1", "b:2", 5, bind=":x") == [
        "command line: --bind: 'x' is not a port; use a number from 0 to 65535",
        "command line: --canary: 'b:2' is not an http:// URL; write http://host:port",
        "command line: --stable: 'ftp://a:1' is not an http:// URL; write http://host:port",
    ]


def test_flags_for_a_canary_that_is_not_there() -> None:
    """They would be forgotten silently otherwise."""
    assert errors(STABLE, weight=5, keys=["client_address"], rollout="balanced") == [
        "command line: --key: there is no canary; add --canary URL, or leave this out",
        "command line: --rollout: there is no canary; add --canary URL, or leave this out",
        "command line: --weight: there is no canary; add --canary URL, or leave this out",
    ]


def test_no_endpoint_at_all() -> None:
    """An empty list is no release."""
    (line,) = errors([])

    assert line.startswith("command line: --stable: there is no address to send requests to; add one")


def test_problems_found_later_name_flags_too() -> None:
    """Kinds of split check their own parameters."""
    loaded = from_flags(STABLE, CANARY, 5, keys=["heder:x"])

    (problem,) = check_config(loaded)
    assert str(problem).startswith("command line: --key: ")


@pytest.mark.parametrize(
    "flags",
    [
        {"weight": 5},
        {"weight": 0},
        {"weight": 100},
        {"weight": "33.33"},
        {"weight": 5, "keys": ["header:x-user-id"]},
        {"rollout": "balanced"},
        {"rollout": "5,25,100", "keys": ["cookie:uid"]},
    ],
)
def test_the_configuration_compiles_and_can_be_written_out(flags: dict[str, Any]) -> None:
    """`--print` gives a file that does the same."""
    loaded = from_flags(STABLE, CANARY, **flags)
    again = load_text(to_yaml(loaded.config), file="h.yaml", environ={})

    assert check_config(loaded) == []
    assert len(compile_table(loaded.config, revision=1, states={})["arms"]) >= 2
    assert (again.config, again.digest) == (loaded.config, loaded.digest)


@pytest.mark.parametrize("text", ["", "%", "5%%", "1e1", "0x5", "٥"])
def test_what_is_no_percentage(text: str) -> None:
    """Only decimal numbers are."""
    with pytest.raises(InvalidValueError, match="is not a percentage; write a number of percent"):
        read_percent(text)
