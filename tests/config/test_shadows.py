"""What is wrong with shadows: each fault with its place, what it is, and what would do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.load import load_text
from config.problems import ConfigError
from config.schema import Config
from proxy.compile import check_config

CONFIG: dict[str, Any] = {
    "listeners": [{"bind": "127.0.0.1:8080"}],
    "upstreams": {name: {"endpoints": ["http://127.0.0.1:9001"]} for name in ("v1", "v2", "v3")},
}


def configuration(shadows: Any, *steps: Any) -> dict[str, Any]:
    """A route with these shadows, and with a rollout where there are steps."""
    split = {"kind": "canary", "key": ["header:x-user-id"], "stable": "v1", "canary": "v2"}
    route = {"name": "fraud", "split": split, "shadows": shadows}
    return CONFIG | {"routes": [route | ({"rollout": {"steps": list(steps)}} if steps else {})]}


def faults(shadows: Any, *steps: Any) -> list[str]:
    """What is wrong, by loading and by checking; each without its line and column."""
    text = json.dumps(configuration(shadows, *steps))
    try:
        found = check_config(load_text(text, file="h.yaml", environ={}))
    except ConfigError as error:
        found = list(error.problems)
    assert all(str(problem).startswith("h.yaml:1:") for problem in found)
    return [str(problem).split(": ", 1)[1] for problem in found]


AT = "routes[0].shadows[0]"


@pytest.mark.parametrize(
    ("shadow", "fault"),
    [
        ({}, "{at}.upstream: is missing; add it"),
        ({"upstream": "v9"}, "{at}.upstream: there is no upstream 'v9'; use one of: v1, v2, v3"),
        ({"share": "120%"}, "{at}.share: '120%' is outside 0% to 100%; write a percentage such as 5%"),
        ({"share": "lots"}, "{at}.share: 'lots' is not a share; write a percentage such as 5%"),
        ({"noise": 2}, "{at}.noise: 2 is more than everything; write 2% if that is what is meant"),
        ({"key": ["json:/user"]}, "{at}.key[0]: json:/user would hold every request back until its body"),
        (
            {"key": ["cookiee:a"]},
            "{at}.key[0]: 'cookiee' is not a place a key can come from; use header:NAME",
        ),
        ({"methods": ["po st"]}, "{at}.methods[0]: 'po st' is not a method; write one such as POST"),
        ({"methods": ["PUT", "PUT"]}, "{at}.methods[1]: 'PUT' is listed twice; keep one of them"),
        ({"copies": 2}, "{at}.copies: there is no such key; did you mean compare?"),
        ({"limits": {"memory": "1KiB"}}, "{at}.limits.memory: '1KiB' is too little; use 65536 or more"),
        ({"limits": {"in_flight": 0}}, "{at}.limits.in_flight: 0 is too little; use 1 or more"),
        (
            {"limits": {"deadline": "0s"}},
            "{at}.limits.deadline: 0 would leave no time at all; write a duration",
        ),
        ({"limits": {"lag": "-1s"}}, "{at}.limits.lag: '-1s' is not a duration; write a number of seconds"),
        ({"limits": {"body": "x"}}, "{at}.limits.body: 'x' is not a size; write a whole number of bytes"),
        (
            {"limits": {"answer": 1000}, "compare": {"capture": 2000}},
            "{at}.compare.capture: 2000 bytes are never there: limits.answer is 1000; raise limits.answer",
        ),
        ({"headers": {"marker": "host"}}, "{at}.headers.marker: has a meaning of its own; choose another"),
        (
            {"headers": {"remove": ["content-length"]}},
            "{at}.headers.remove[0]: a request is not a request without content-length; leave it in",
        ),
        (
            {"headers": {"remove": ["cookie", "Cookie"]}},
            "{at}.headers.remove[1]: 'cookie' is listed twice; keep one of them",
        ),
        ({"compare": {"share": "101%"}}, "{at}.compare.share: '101%' is outside 0% to 100%; write"),
        ({"compare": {"capture": "1GiB"}}, "{at}.compare.capture: '1GiB' is too much; use 67108864 or less"),
        (
            {"compare": {"headers": ["a b"]}},
            "{at}.compare.headers[0]: 'a b' is not a header name; write a token such as x-request-id",
        ),
        (
            {"compare": {"json": {"ignore": ["id"]}}},
            "{at}.compare.json.ignore[0]: 'id' is not a path into an answer; write one such as /outputs",
        ),
        (
            {"compare": {"json": {"ignore": ["/a~2"]}}},
            "{at}.compare.json.ignore[0]: '/a~2' has a ~ that stands for nothing; write ~0 for ~",
        ),
        (
            {"compare": {"json": {"tolerance": 2}}},
            "{at}.compare.json.tolerance: 2 is too much; use 1.0 or less",
        ),
        (
            {"compare": {"labels": [{"path": "a"}]}},
            "{at}.compare.labels[0].path: 'a' is not a path into an answer; write one such as",
        ),
        (
            {"compare": {"json": {"ignore": ["/a"]}, "texts": [{"path": "/b"}, {"path": "/a"}]}},
            "{at}.compare.texts[1].path: /a has a rule already, in json.ignore; keep one of them",
        ),
        (
            {"compare": {"embeddings": [{"path": "/e", "cosine": 1.5}]}},
            "{at}.compare.embeddings[0].cosine: 1.5 is too much; use 1.0 or less",
        ),
        (
            {"compare": {"texts": [{"path": "/t", "similarity": 0}]}},
            "{at}.compare.texts[0].similarity: 0 is too little; use more than 0.0",
        ),
        (
            {"compare": {"samples": {"count": 101}}},
            "{at}.compare.samples.count: 101 is too much; use 100 or less",
        ),
    ],
)
def test_each_fault_says_where_what_and_what_would_do(shadow: dict[str, Any], fault: str) -> None:
    """And it is the only one that is found."""
    (found,) = faults([{"upstream": "v2"} | shadow if shadow else {}])

    assert found.startswith(fault.format(at=AT)), found


def test_shadows_of_a_route_have_names_and_are_few() -> None:
    """Two of one name, and a ninth."""
    twice = [{"upstream": "v2"}, {"upstream": "v3", "name": "v2"}]
    many = [{"upstream": "v2", "name": f"s{number}"} for number in range(9)]

    assert faults(twice) == [
        "routes[0].shadows[1]: has the name of shadows[0], v2; give each shadow of a route a name of its own"
    ]
    assert faults(many) == ["routes[0].shadows: is too long; use at most 8 entries"]
    assert faults({"upstream": "v2"})[0].startswith("routes[0].shadows: a mapping is not a list; write it")


@pytest.mark.parametrize(
    ("shadow", "step", "fault"),
    [
        ({}, {"shadow": "v9"}, "the route has no shadow 'v9'; "),
        (
            {"upstream": "v3"},
            {"shadow": "v3"},
            "the shadow v3 copies to v3, not to the canary v2; name a shadow",
        ),
        (
            {"compare": {"share": "0%"}},
            {"shadow": "v2"},
            "the answers of the shadow v2 are not compared; raise",
        ),
    ],
)
def test_a_step_asks_for_a_shadow_that_can_answer(
    shadow: dict[str, Any], step: dict[str, Any], fault: str
) -> None:
    """One that is there, copies to the canary, and is compared."""
    (found,) = faults([{"upstream": "v2"} | shadow], step | {"agreement": "99%"}, "100%")

    assert found.startswith(f"routes[0].rollout.steps[0].shadow: {fault}"), found


def test_all_faults_are_told_at_once() -> None:
    """Of several shadows, in the order of their places."""
    found = faults(
        [{"upstream": "v2", "share": 7}, {"upstream": "v3", "limits": {"in_flight": -1}, "noise": "x"}]
    )

    assert [line.split(": ")[0] for line in found] == [
        "routes[0].shadows[0].share",
        "routes[0].shadows[1].limits.in_flight",
        "routes[0].shadows[1].noise",
    ]


def test_a_number_that_allows_everything_is_none() -> None:
    """Infinity has no place in JSON, and would make all numbers equal."""
    rules = {"json": {"absolute": float("inf")}}

    with pytest.raises(ConfigError, match="absolute"):
        load_text(
            json.dumps(configuration([{"upstream": "v2", "compare": rules}])).replace("Infinity", ".inf"),
            file="h.yaml",
            environ={},
        )


def test_what_is_in_order_is_taken_as_it_stands() -> None:
    """With the defaults that are safe: POST alone, marked, bounded."""
    loaded = load_text(json.dumps(configuration([{"upstream": "v2"}])), file="h.yaml", environ={})
    (shadow,) = loaded.config.routes[0].shadows

    assert check_config(loaded) == []
    assert (shadow.label, shadow.share, shadow.methods) == ("v2", 1.0, ("POST",))
    assert shadow.headers.marker == "x-headgate-shadow"
    assert (shadow.limits.in_flight, shadow.limits.memory) == (64, 16 * 1024 * 1024)
    assert shadow.compare.samples.bodies is False
    assert Config.from_json(loaded.config.to_json()) == loaded.config
