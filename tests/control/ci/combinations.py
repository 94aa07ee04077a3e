"""Combinations of the main options, as pipelines of all platforms."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from control.ci.generator import CITemplateGenerator
from control.ci.options import PipelineOptions
from control.ci.provider import UnsupportedOptionError

VERSION = "0.1.0"
ONE = [{"name": "production", "approval": True}]
THREE = [
    {"name": "dev"},
    {"name": "staging", "shadow": True, "approval": True, "timeout": "4h", "on_undecided": "rollback"},
    {"name": "prod-eu", "approval": True, "route": "fraud-eu", "deploy": ["./deploy prod-eu", "./warm-up"]},
]
CHOICES: dict[str, list[Any]] = {
    "python": [["3.12"], ["3.11", "3.13"]],
    "gpu_runner": [None, "gpu-a10"],
    "monitoring": ["10m", 0],
    "approval_request": [True, False],
    "compliance_report": [True, False],
    "cache": [True, False],
    "environments": [None, ONE, THREE],
    "oidc": [
        None,
        {"provider": "aws", "identity": "arn:aws:iam::123456789012:role/models"},
        {"provider": "azure", "identity": "models", "tenant": "t-1", "subscription": "s-1"},
    ],
    "more": [
        {},
        {
            "runner": "linux-large",
            "branches": ["main", "release/1.x"],
            "prepare": ["make model"],
            "thresholds": ["accuracy>=0.92", "latency_ms<40"],
            "compare_with": None,
            "audit_key": "keys/audit.pub",
            "address_secret": "PROXY_ADDRESS",
            "token_secret": "PROXY_TOKEN",
            "tests": {"integration": [], "security": [], "unit": ["python -m pytest -k 'not slow'"]},
        },
    ],
}


def all_options() -> Iterator[dict[str, Any]]:
    """Every combination of the choices, but for one that only adds lines to single steps."""
    varied = {name: values for name, values in CHOICES.items() if name != "cache"}
    for chosen in itertools.product(*varied.values()):
        yield _options(dict(zip(varied, chosen, strict=True)))


def covering_options() -> Iterator[dict[str, Any]]:
    """Few of them, in which every two choices of different options stand together once."""
    missing = {
        frozenset({(first, i), (second, j)})
        for first, second in itertools.combinations(CHOICES, 2)
        for i in range(len(CHOICES[first]))
        for j in range(len(CHOICES[second]))
    }
    candidates = [
        dict(zip(CHOICES, places, strict=True))
        for places in itertools.product(*(range(len(values)) for values in CHOICES.values()))
    ]
    while missing:
        best = max(candidates, key=lambda places: len(missing & _pairs(places)))
        missing -= _pairs(best)
        yield _options({name: CHOICES[name][place] for name, place in best.items()})


def _pairs(places: dict[str, int]) -> set[frozenset[tuple[str, int]]]:
    return {frozenset(pair) for pair in itertools.combinations(places.items(), 2)}


def _options(chosen: dict[str, Any]) -> dict[str, Any]:
    more = chosen.pop("more")
    return {"model": "fraud", **{name: value for name, value in chosen.items() if value is not None}, **more}


def files_of(provider: str, options: dict[str, Any]) -> dict[str, str]:
    """Files by path; empty when the platform says that it cannot do this."""
    generator = CITemplateGenerator(PipelineOptions.model_validate(options), version=VERSION)
    try:
        return generator.generate(provider)
    except UnsupportedOptionError:
        return {}
